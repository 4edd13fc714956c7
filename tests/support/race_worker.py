"""A process that writes to a session that another process writes to: ``race_worker.py URL DO ATTEMPTS NAME``.

It says ``ready``, waits for a line, and prints one JSON object per attempt. ``commits`` talks to the store itself;
``turns`` runs turns of a runtime whose store has no leases, so two may run at once and the first to commit wins.
``writes`` commits to a session of its own until it is killed, and tells of each commit before and after; it is
started so often that it imports the store and nothing of the core.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from lash_hookspecs.errors import HeadRevisionConflict, StoreBusy, StoreError, StoreUnavailable
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Head, Writer

SESSION = "contested"
#: The two begin every attempt at the same revision more often than not when they look this often in between.
_LOOKS = 3


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


async def commits(backend: StoreBackend, attempts: int, name: str) -> None:
    """Commit nodes at the revision that was just seen, again and again."""
    store = backend.session(SESSION)
    for number in range(attempts):
        head = await store.head()
        assert isinstance(head, Head)
        for _ in range(_LOOKS if number % 2 else 0):
            await store.path(head.leaf or "", last=5)
        parent, nodes = head.leaf, []
        for place in range(1 + number % 3):
            node_id = secrets.token_hex(16)
            nodes.append(Node(node_id, parent, number, "message", f"{name} {number} {place}".encode()))
            parent = node_id
        commit = Commit(
            session_id=SESSION,
            commit_id=secrets.token_hex(8),
            writer=Writer(head.incarnation, head.epoch),
            expected_revision=head.revision,
            leaf=parent,
            state=f"state of {name} {number}".encode(),
            record=f"record of {name} {number}".encode(),
            committed_at=number,
            nodes=tuple(nodes),
        )
        told = {
            "nodes": [[node.node_id, node.parent_node_id, node.payload.decode()] for node in nodes],
            "commit_id": commit.commit_id,
            "seen": head.revision,
        }
        try:
            receipt = await store.commit(commit)
        except HeadRevisionConflict as conflict:
            say(**told, refused=True, expected=conflict.expected, actual=conflict.actual)
        else:
            say(**told, refused=False, revision=receipt.revision, digest=receipt.digest)


async def writes(backend: StoreBackend, attempts: int, name: str) -> None:
    """Commit for ever; a commit that a lost server has not answered is sent again under its id."""
    store = backend.session(name)
    while True:
        try:
            head = await store.head()
        except StoreError:
            await asyncio.sleep(0.02)
            continue
        known = head if isinstance(head, Head) else None
        parent, nodes = known.leaf if known else None, []
        for _ in range(1 + secrets.randbelow(3)):
            node_id = secrets.token_hex(16)
            nodes.append(Node(node_id, parent, 1, "message", f"{name} {node_id}".encode() * 40))
            parent = node_id
        commit = Commit(
            session_id=name,
            commit_id=secrets.token_hex(8),
            writer=Writer(known.incarnation if known else secrets.token_hex(8), known.epoch if known else 0),
            expected_revision=known.revision if known else None,
            leaf=parent,
            state=b"{}",
            record=b"{}",
            committed_at=1,
            nodes=tuple(nodes),
        )
        say(
            tries=commit.commit_id, nodes=[[node.node_id, node.parent_node_id, node.payload.decode()] for node in nodes]
        )
        receipt = None
        while receipt is None:
            try:
                receipt = await store.commit(commit)
            except (StoreUnavailable, StoreBusy):
                await asyncio.sleep(0.02)
        say(done=commit.commit_id, revision=receipt.revision, digest=receipt.digest)


def deed_of(word: str) -> Callable[[StoreBackend, int, str], Awaitable[None]]:
    """Give what to do, imported before the other one is told that this one is ready."""
    if word == "turns":
        from race_turns import turns

        return lambda backend, attempts, name: turns(backend.session(SESSION), attempts, name, say)
    return {"commits": commits, "writes": writes}[word]


async def opened(url: str) -> StoreBackend:
    if url.startswith("sqlite:"):
        from lash_store_sql.sqlite import open_sqlite

        return await open_sqlite(url, True)
    from lash_store_sql.postgres.backend import open_postgres

    return await open_postgres(url, True)


async def main() -> None:
    url, does, attempts, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    backend = await opened(url)
    deed = deed_of(does)
    say(ready=True)
    await asyncio.to_thread(sys.stdin.readline)
    try:
        await deed(backend, attempts, name)
    finally:
        await backend.close()


if __name__ == "__main__":
    asyncio.run(main())

"""A process that writes to a session that another process writes to: ``race_worker.py URL DO ATTEMPTS NAME``.

It says ``ready``, waits for a line, and prints one JSON object per attempt. ``commits`` talks to the store itself;
``turns`` runs turns of a runtime whose store has no leases, so two may run at once and the first to commit wins.
``writes`` commits to a session of its own until it is killed, and tells of each commit before and after.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

from lash_core.app import open_backend
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.policy import SessionSpec
from lash_core.runtime.runtime import LashRuntime
from lash_hookspecs.errors import (
    ConflictBranched,
    HeadRevisionConflict,
    SessionError,
    StoreBusy,
    StoreError,
    StoreUnavailable,
    TurnError,
)
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelChunk, ModelInfo, ModelReply, ModelRequest, ReplyChunk
from lash_hookspecs.records.payloads import TextPart
from lash_hookspecs.records.store import Commit, Head, Writer
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.offers import OfferContext, ProviderOffer, lash_offer_providers

SESSION = "contested"
#: The two begin every attempt at the same revision more often than not when they look this often in between.
_LOOKS = 3


class Leaseless:
    """A session store of level ``core`` alone: whatever would say who works on a session is out of sight."""

    def __init__(self, store: SessionStore) -> None:
        for name in (
            "head", "commit", "path", "nodes", "graph", "put_blobs", "get_blobs", "records", "append", "read", "trim",
            "delete",
        ):  # fmt: skip
            setattr(self, name, getattr(store, name))


class Numbered:
    """The provider ``numbered``: every answer is another one, and is paid for."""

    def __init__(self, name: str, store: SessionStore) -> None:
        self.name, self.paid = name, 0
        self._store = store

    async def model_info(self, model: str) -> ModelInfo:
        return ModelInfo(context_window=100_000)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        self.paid += 1
        for _ in range(self.paid * 7 % 23):  # some answers take long enough for the other one to commit
            await self._store.head()
        text = f"{self.name} answers {self.paid}"
        yield ReplyChunk(reply=ModelReply(parts=(TextPart(text=text),), usage=TokenUsage(input_tokens=1)))

    async def close(self) -> None:
        return None


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


async def turns(backend: StoreBackend, attempts: int, name: str) -> None:
    """Run turns with ``on_conflict="branch"``; every answer is on the path or on a branch that is told."""
    model = Numbered(name, backend.session(SESSION))

    @implements(lash_offer_providers)
    def providers(context: OfferContext) -> list[ProviderOffer]:
        return [ProviderOffer(names=("numbered",), open=lambda asked: model)]

    class Plugin:
        lash_offer_providers = staticmethod(providers)

    from lash_basics import mode_plugin

    env = RuntimeEnvironment(plugins=PluginManager.for_tests((*BUILTINS, mode_plugin, Plugin)), tool_sets=())
    store: Any = Leaseless(backend.session(SESSION))
    runtime = await LashRuntime.from_environment(env, SessionSpec(session_id=SESSION, model="numbered"), store=store)
    for number in range(attempts):
        before = model.paid
        try:
            result = await runtime.turn(TurnInput(text=f"{name} {number}"), TurnLimits(), on_conflict="branch")
        except ConflictBranched as kept:
            say(outcome="branched", leaf=kept.leaf, paid=model.paid - before, last=model.paid)
        except (HeadRevisionConflict, TurnError, SessionError) as refused:
            say(outcome="refused", code=refused.code, paid=model.paid - before, last=model.paid)
        else:
            say(outcome=result.outcome, text=result.text, paid=model.paid - before, last=model.paid)
    await runtime.close()


async def main() -> None:
    url, does, attempts, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    backend = await open_backend(PluginManager.discover(builtins=BUILTINS), url, True)
    say(ready=True)
    await asyncio.to_thread(sys.stdin.readline)
    try:
        await {"commits": commits, "turns": turns, "writes": writes}[does](backend, attempts, name)
    finally:
        await backend.close()


if __name__ == "__main__":
    asyncio.run(main())

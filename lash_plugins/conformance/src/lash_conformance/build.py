"""What a store is fed with: ids, nodes, commits, and a writer that follows its own session."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import attrs
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Fork, Holder, Receipt, Writer

__all__ = ["INCARNATION", "Author", "chain", "commit", "holder", "ident", "node"]

# Two processes of one test must not make the same ids.
_numbers = itertools.count(os.getpid() << 32)


def _begin_anew() -> None:
    global _numbers
    _numbers = itertools.count(os.getpid() << 32)


os.register_at_fork(after_in_child=_begin_anew)

#: The first life of whatever session a test writes.
INCARNATION = f"{0xAB:032x}"


def ident(number: int | None = None) -> str:
    """Give 32 lower-case hex digits: of a number, or fresh ones, ordered by time."""
    return f"{next(_numbers) << 32 if number is None else number:032x}"


def node(node_id: str | None = None, parent: str | None = None, **fields: Any) -> Node:
    """Make a node; what is not given is something unremarkable."""
    name = ident() if node_id is None else node_id
    payload = b'{"role":"user","text":"%s"}' % name[:40].encode("utf-8", "replace")
    given: dict[str, Any] = {"timestamp": 1_000_000, "kind": "message", "payload": payload}
    return Node(name, parent, **given | fields)


def chain(count: int, parent: str | None = None, **fields: Any) -> list[Node]:
    """Make nodes that follow each other."""
    nodes: list[Node] = []
    for _ in range(count):
        nodes.append(node(parent=nodes[-1].node_id if nodes else parent, **fields))
    return nodes


def commit(session_id: str = "chat", **fields: Any) -> Commit:
    """Make a commit; without further word it is the first of a session and has no nodes."""
    nodes = tuple(fields.pop("nodes", ()))
    given: dict[str, Any] = {
        "commit_id": ident(),
        "writer": Writer(INCARNATION, 0),
        "expected_revision": None,
        "leaf": nodes[-1].node_id if nodes else None,
        "state": b'{"v":1}',
        "record": b'{"turn":1}',
        "committed_at": 2_000_000,
    }
    return Commit(session_id=session_id, nodes=nodes, **given | fields)


def holder(name: str = "worker", instance: str = "one") -> Holder:
    """Make somebody who takes leases."""
    return Holder(name, "vega", 4711, "boot:pidns:start", instance)


@attrs.define
class Author:
    """Writes one session and remembers where it is."""

    backend: StoreBackend
    session_id: str = "chat"
    writer: Writer = attrs.field(factory=lambda: Writer(INCARNATION, 0))
    revision: int | None = None
    leaf: str | None = None
    written: list[Node] = attrs.field(factory=list)

    @property
    def store(self) -> SessionStore:
        """The session's store."""
        return self.backend.session(self.session_id)

    @property
    def ids(self) -> list[str]:
        """The ids of the nodes that it has written."""
        return [written.node_id for written in self.written]

    def next(self, nodes: Sequence[Node] = (), **fields: Any) -> Commit:
        """Make the next commit."""
        given: dict[str, Any] = {
            "writer": self.writer,
            "expected_revision": self.revision,
            "leaf": nodes[-1].node_id if nodes else self.leaf,
        }
        return commit(self.session_id, nodes=nodes, **given | fields)

    async def commit(self, nodes: Sequence[Node] = (), **fields: Any) -> Receipt:
        """Make the next commit and store it."""
        following = self.next(nodes, **fields)
        receipt = await self.store.commit(following)
        self.revision, self.leaf = receipt.revision, following.leaf
        self.written += nodes
        return receipt

    async def turn(self, count: int = 3, **fields: Any) -> list[Node]:
        """Commit some nodes behind the leaf."""
        nodes = chain(count, self.leaf)
        await self.commit(nodes, **fields)
        return nodes

    async def fork(self, session_id: str, leaf: str | None, incarnation: str | None = None) -> Author:
        """Begin another session on the same graph."""
        writer = Writer(incarnation or ident(), 0)
        other = Author(self.backend, session_id, writer)
        await other.commit(leaf=leaf, fork=Fork(self.session_id, leaf))
        return other

"""The kit's own model of a store: the contract in plain dictionaries, sharing no code with any store.

Its methods have the names and arguments of `SessionStore` and `LeasedStore`, with the session's id in front; each
gives the right answer, or raises `Refused`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    CommitRecord,
    Deleted,
    Head,
    Holder,
    Lease,
    Receipt,
    StreamEntry,
    StreamRow,
    Writer,
    blob_ref,
    commit_digest,
)

__all__ = ["Reference", "Refused"]


class Refused(Exception):
    """The right answer is an error of `lash_hookspecs.errors`.

    Args:
        error: The name of its class.
        fields: What it has to say; `None` for an attribute means that it is left open.
    """

    def __init__(self, error: str, **fields: Any) -> None:
        super().__init__(error)
        self.error = error
        self.fields = fields

    def __repr__(self) -> str:
        return (
            ", ".join([f"Refused({self.error!r}", *(f"{name}={value!r}" for name, value in self.fields.items())]) + ")"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refused) and (self.error, self.fields) == (other.error, other.fields)

    __hash__ = None  # type: ignore[assignment]  # it changes, so it is no key


@attrs.define
class _Graph:
    nodes: dict[str, Node] = attrs.field(factory=dict)
    owners: dict[str, str] = attrs.field(factory=dict)

    def path(self, leaf: str) -> list[Node]:
        """Walk to the root; the model is only ever asked for paths that are whole."""
        found: list[Node] = []
        at: str | None = leaf
        while at is not None:
            found.append(self.nodes[at])
            at = self.nodes[at].parent_node_id
        return found[::-1]


@attrs.define
class _Life:
    head: Head
    graph: _Graph
    records: list[CommitRecord] = attrs.field(factory=list)
    streams: dict[str, list[StreamRow]] = attrs.field(factory=dict)
    last: dict[str, int] = attrs.field(factory=dict)


@attrs.define
class _Name:
    dead: list[Deleted] = attrs.field(factory=list)
    floor: int = 0
    fence: int = 0
    holder: Holder | None = None
    epoch: int = 0
    in_force: bool = False


@attrs.define
class Reference:
    """Sessions by id, the names they had, and the blobs of all."""

    lives: dict[str, _Life] = attrs.field(factory=dict)
    names: dict[str, _Name] = attrs.field(factory=dict)
    blobs: dict[str, bytes] = attrs.field(factory=dict)

    def name(self, session_id: str) -> _Name:
        """Give what outlives the incarnations of a session."""
        return self.names.setdefault(session_id, _Name())

    def head(self, session_id: str) -> Head | Absent | Deleted:
        """Answer `SessionStore.head`."""
        if life := self.lives.get(session_id):
            return life.head
        dead = self.name(session_id).dead
        return dead[-1] if dead else Absent()

    def commit(self, session_id: str, commit: Commit) -> Receipt:
        """Answer `SessionStore.commit`; the checks stand in the order of the protocol."""
        if commit.session_id != session_id:
            raise Refused("SessionBindingMismatch", bound=session_id, requested=commit.session_id)
        self._refuse_dead(session_id, commit.writer)
        life = self.lives.get(session_id)
        for record in life.records if life else ():
            if record.commit_id == commit.commit_id:
                if record.digest != commit_digest(commit):
                    raise Refused("CommitIdReused", commit_id=commit.commit_id)
                return Receipt(session_id, commit.commit_id, record.revision, record.digest)
        self._refuse_fenced(session_id, commit.writer.epoch or 0)
        actual = life.head.revision if life else None
        if commit.expected_revision != actual or (life and life.head.incarnation != commit.writer.incarnation):
            raise Refused("HeadRevisionConflict", expected=commit.expected_revision, actual=actual)
        if life and commit.fork:
            raise Refused("InvalidInput")
        self._refuse_missing(commit)
        graph = life.graph if life else self._graph_for(commit)
        for node in commit.nodes:
            if node.node_id in graph.nodes:
                raise Refused("CorruptSession", kind="duplicate_node", node_ids=(node.node_id,))
        return self._store(commit, life, graph)

    def path(self, session_id: str, leaf: str, *, after: str | None = None, last: int | None = None) -> list[Node]:
        """Answer `SessionStore.path`."""
        life = self.lives.get(session_id)
        if life is None or leaf not in life.graph.nodes:
            raise Refused("CorruptSession", kind="dangling_leaf", node_ids=(leaf,))
        path = life.graph.path(leaf)
        if after is not None:
            ids = [node.node_id for node in path]
            if after not in ids:
                raise Refused("CorruptSession", kind="dangling_parent", node_ids=(after,))
            path = path[ids.index(after) + 1 :]
        return path if last is None else path[max(len(path) - last, 0) :]

    def nodes(self, session_id: str, node_ids: Sequence[str]) -> list[Node]:
        """Answer `SessionStore.nodes`."""
        nodes = self._nodes(session_id)
        return [nodes[node_id] for node_id in node_ids if node_id in nodes]

    def graph(self, session_id: str, *, after: str | None = None, limit: int | None = None) -> list[Node]:
        """Answer `SessionStore.graph`."""
        nodes = list(self._nodes(session_id).values())
        start = 0 if after is None else [node.node_id for node in nodes].index(after) + 1
        return nodes[start:][:limit]

    def put_blobs(self, session_id: str, bodies: Sequence[bytes]) -> list[str]:
        """Answer `SessionStore.put_blobs`."""
        self.blobs.update({blob_ref(body): body for body in bodies})
        return [blob_ref(body) for body in bodies]

    def get_blobs(self, session_id: str, refs: Sequence[str]) -> dict[str, bytes]:
        """Answer `SessionStore.get_blobs`."""
        for ref in refs:
            if ref not in self.blobs:
                raise Refused("MissingBlob", ref=ref, component=None)
        return {ref: self.blobs[ref] for ref in refs}

    def records(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[CommitRecord]:
        """Answer `SessionStore.records`."""
        life = self.lives.get(session_id)
        return [record for record in life.records if record.revision > after][:limit] if life else []

    def append(self, session_id: str, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> list[int]:
        """Answer `SessionStore.append`."""
        life = self._writable(session_id, writer)
        rows = life.streams.setdefault(stream, [])
        sequences = []
        for entry in entries:
            known = [row.sequence for row in rows if row.key == entry.key]
            if not known:
                life.last[stream] = life.last.get(stream, 0) + 1
                rows.append(StreamRow(life.last[stream], entry.key, entry.body))
            sequences.append(known[0] if known else life.last[stream])
        return sequences

    def read(self, session_id: str, stream: str, *, after: int = 0, limit: int | None = None) -> list[StreamRow]:
        """Answer `SessionStore.read`."""
        life = self.lives.get(session_id)
        return [row for row in life.streams.get(stream, []) if row.sequence > after][:limit] if life else []

    def trim(self, session_id: str, stream: str, upto: int, *, writer: Writer) -> int:
        """Answer `SessionStore.trim`."""
        return self._trim(self._writable(session_id, writer), stream, upto)

    def delete(self, session_id: str, *, incarnation: str, deleted_at: int) -> None:
        """Answer `SessionStore.delete`."""
        name, life = self.name(session_id), self.lives.get(session_id)
        if incarnation in {tombstone.incarnation for tombstone in name.dead}:
            return
        if life is None or life.head.incarnation != incarnation:
            raise Refused("SessionMissing")
        name.dead.append(Deleted(incarnation, life.head.revision, deleted_at))
        name.fence, name.holder, name.in_force = 0, None, False
        del self.lives[session_id]
        self._forget(life.graph)

    def lease(self, session_id: str) -> tuple[Holder, int, bool] | None:
        """Answer `LeasedStore.lease`: who, which epoch, and whether it is in force."""
        name = self.name(session_id)
        return None if name.holder is None else (name.holder, name.epoch, name.in_force)

    def take_lease(
        self, session_id: str, holder: Holder, ttl: float, *, replacing: int | None = None
    ) -> tuple[Holder, int, bool]:
        """Answer `LeasedStore.take_lease`."""
        name = self.name(session_id)
        if name.holder is not None and name.in_force and name.epoch != replacing:
            raise Refused("SessionLeased", holder=name.holder, epoch=name.epoch)
        self._raise_fence(session_id, name.floor + 1)
        name.holder, name.epoch, name.in_force = holder, name.fence, True
        return holder, name.epoch, True

    def renew_lease(self, session_id: str, lease: Lease, ttl: float) -> tuple[Holder, int, bool]:
        """Answer `LeasedStore.renew_lease`."""
        name = self.name(session_id)
        if name.fence != lease.epoch:
            raise Refused("WriterFenced", epoch=lease.epoch, current=name.fence, holder=name.holder)
        name.holder, name.epoch, name.in_force = lease.holder, lease.epoch, True
        return lease.holder, lease.epoch, True

    def release_lease(self, session_id: str, lease: Lease) -> None:
        """Answer `LeasedStore.release_lease`."""
        name = self.name(session_id)
        if name.fence == lease.epoch:
            name.holder, name.in_force = None, False

    def expire(self) -> None:
        """Let every lease expire."""
        for name in self.names.values():
            name.in_force = False

    def _nodes(self, session_id: str) -> dict[str, Node]:
        life = self.lives.get(session_id)
        return life.graph.nodes if life else {}

    def _refuse_dead(self, session_id: str, writer: Writer) -> None:
        if writer.incarnation in {tombstone.incarnation for tombstone in self.name(session_id).dead}:
            raise Refused("SessionDeleted")

    def _refuse_fenced(self, session_id: str, epoch: int) -> None:
        name = self.name(session_id)
        if epoch < name.fence:
            raise Refused("WriterFenced", epoch=epoch, current=name.fence, holder=name.holder)

    def _refuse_missing(self, commit: Commit) -> None:
        wanted: list[tuple[str | None, str]] = list(commit.components.items())
        wanted += [(None, ref) for node in commit.nodes for ref in node.refs]
        for component, ref in wanted:
            if ref not in commit.blobs and ref not in self.blobs:
                raise Refused("MissingBlob", ref=ref, component=component)

    def _writable(self, session_id: str, writer: Writer) -> _Life:
        self._refuse_dead(session_id, writer)
        life = self.lives.get(session_id)
        if life is None or life.head.incarnation != writer.incarnation:
            raise Refused("SessionMissing")
        if writer.epoch is not None:
            self._refuse_fenced(session_id, writer.epoch)
        return life

    def _graph_for(self, commit: Commit) -> _Graph:
        if commit.fork is None:
            return _Graph()
        source = self.lives.get(commit.fork.session_id)
        if source is None:
            raise Refused("SessionMissing")
        if commit.fork.leaf is not None and commit.fork.leaf not in source.graph.nodes:
            raise Refused("CorruptSession", kind="dangling_leaf", node_ids=(commit.fork.leaf,))
        return source.graph

    def _store(self, commit: Commit, life: _Life | None, graph: _Graph) -> Receipt:
        session_id, before = commit.session_id, life.head if life else None
        head = Head(
            session_id=session_id,
            incarnation=commit.writer.incarnation,
            revision=before.revision + 1 if before else 1,
            epoch=0,
            leaf=commit.leaf,
            components=dict(commit.components),
            state=commit.state,
            open_turn=commit.open_turn,
            labels=dict(commit.labels if commit.labels is not None else before.labels if before else {}),
            created_at=before.created_at if before else commit.committed_at,
            updated_at=commit.committed_at,
        )
        if life is None:
            life = self.lives[session_id] = _Life(head, graph)
        life.head = head
        self._raise_fence(session_id, max(commit.writer.epoch or 0, self.name(session_id).fence))
        for node in commit.nodes:
            graph.nodes[node.node_id], graph.owners[node.node_id] = node, head.incarnation
        self.blobs.update(commit.blobs)
        for used in commit.consumed:
            self._trim(life, used.stream, used.upto)
        life.records.append(
            CommitRecord(
                revision=head.revision,
                commit_id=commit.commit_id,
                digest=commit_digest(commit),
                epoch=commit.writer.epoch or 0,
                leaf=commit.leaf,
                open_turn=commit.open_turn,
                components=dict(commit.components),
                record=commit.record,
                committed_at=commit.committed_at,
            )
        )
        return Receipt(session_id, commit.commit_id, head.revision, life.records[-1].digest)

    def _raise_fence(self, session_id: str, epoch: int) -> None:
        name = self.name(session_id)
        name.fence, name.floor = epoch, max(name.floor, epoch)
        if life := self.lives.get(session_id):
            life.head = attrs.evolve(life.head, epoch=epoch)

    @staticmethod
    def _trim(life: _Life, stream: str, upto: int) -> int:
        rows = life.streams.get(stream, [])
        life.streams[stream] = [row for row in rows if row.sequence > upto]
        return len(rows) - len(life.streams[stream])

    def _forget(self, graph: _Graph) -> None:
        """Drop what no living session of the graph stored or stands on."""
        sharers = [life for life in self.lives.values() if life.graph is graph]
        incarnations = {life.head.incarnation for life in sharers}
        wanted: Iterable[str | None] = [
            *(life.head.leaf for life in sharers),
            *(node_id for node_id, owner in graph.owners.items() if owner in incarnations),
        ]
        kept = {node.node_id for leaf in wanted if leaf in graph.nodes for node in graph.path(str(leaf))}
        for node_id in graph.nodes.keys() - kept:
            del graph.nodes[node_id], graph.owners[node_id]

"""`FakeStore`: a store in dictionaries, of level ``core``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from lash_hookspecs.errors import MissingBlob, StoreError
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    CommitRecord,
    Deleted,
    Head,
    Receipt,
    SessionPage,
    SessionQuery,
    SessionRow,
    StoreCapabilities,
    StoreStats,
    StreamEntry,
    StreamRow,
    Writer,
    blob_ref,
)
from lash_hookspecs.store_checks import Known, next_head, nodes_behind, page_of, record_of, walk_path

__all__ = ["FakeSessionStore", "FakeStore"]


@attrs.define
class _Life:
    """One incarnation of a session; streams are lists of rows behind the last sequence that was given."""

    head: Head
    nodes: dict[str, Node] = attrs.field(factory=dict)
    records: dict[str, CommitRecord] = attrs.field(factory=dict)
    streams: dict[str, list[StreamRow]] = attrs.field(factory=dict)
    last: dict[str, int] = attrs.field(factory=dict)


@attrs.define
class FakeStore:
    """A `StoreBackend` that forgets everything with the object: level ``core``, durability ``none``.

    Attributes:
        name: What messages call it.
        max_value: The limit to declare for one value, in bytes.
        max_nodes_per_commit: The limit to declare for one commit.
        commits: Every commit that was stored, of all sessions, in order.
    """

    name: str = "fake:"
    max_value: int | None = None
    max_nodes_per_commit: int | None = None
    commits: list[Commit] = attrs.field(factory=list)
    _lives: dict[str, _Life] = attrs.field(factory=dict, repr=False)
    _dead: dict[str, list[Deleted]] = attrs.field(factory=dict, repr=False)
    _blobs: dict[str, bytes] = attrs.field(factory=dict, repr=False)

    @property
    def capabilities(self) -> StoreCapabilities:
        """Level ``core`` alone."""
        return StoreCapabilities(max_value=self.max_value, max_nodes_per_commit=self.max_nodes_per_commit)

    def session(self, session_id: str) -> FakeSessionStore:
        """Give the handle of one session."""
        return FakeSessionStore(self, session_id)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions."""
        return page_of((SessionRow(life.head, None) for life in self._lives.values()), query)

    async def stats(self) -> StoreStats:
        """Count what is there."""
        lives = self._lives.values()
        return StoreStats(
            sessions=len(lives),
            nodes=sum(len(life.nodes) for life in lives),
            commits=sum(len(life.records) for life in lives),
            blobs=len(self._blobs),
            bytes_on_disk=None,
        )

    async def migrate(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing: a test may look at it afterwards."""


@attrs.frozen
class FakeSessionStore:
    """One session of a `FakeStore`."""

    _store: FakeStore
    _id: str

    async def head(self) -> Head | Absent | Deleted:
        """Read the head."""
        if life := self._life:
            return life.head
        dead = self._dead
        return dead[-1] if dead else Absent()

    async def commit(self, commit: Commit) -> Receipt:
        """Store one commit."""
        receipt = self._known().replayed(commit)
        if receipt is not None:
            return receipt
        if commit.fork is not None:
            raise StoreError("this store cannot share a graph: copy the path instead", session_id=self._id)
        return self._write(commit)

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        """Read a path, root first."""
        return walk_path(self._id, self._nodes, leaf, after=after, last=last)

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        """Read nodes by id."""
        return [node for each in node_ids if (node := self._nodes.get(each)) and not node.hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        """Read all nodes."""
        return nodes_behind(self._id, self._nodes, after, limit)

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        """Store blobs."""
        self._known().check_sizes(bodies)
        refs = [blob_ref(body) for body in bodies]
        self._store._blobs.update(zip(refs, bodies, strict=True))
        return refs

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        """Read blobs."""
        for ref in refs:
            if ref not in self._store._blobs:
                raise MissingBlob(session_id=self._id, ref=ref)
        return {ref: self._store._blobs[ref] for ref in refs}

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        """Read commit records."""
        found = self._life.records.values() if self._life else ()
        return [record for record in found if record.revision > after][:limit]

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        """Append to a stream."""
        self._known().check_writer(writer)
        self._known().check_sizes(entry.body for entry in entries)
        return [self._add(stream, entry) for entry in entries]

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        """Read a stream."""
        rows = self._life.streams.get(stream, ()) if self._life else ()
        return [row for row in rows if row.sequence > after][:limit]

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        """Remove the beginning of a stream."""
        self._known().check_writer(writer)
        return self._drop(stream, upto)

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        """Delete the session."""
        if self._known().check_deletion(incarnation) and (life := self._life):
            self._dead.append(Deleted(incarnation, life.head.revision, deleted_at))
            del self._store._lives[self._id]

    @property
    def _life(self) -> _Life | None:
        return self._store._lives.get(self._id)

    @property
    def _nodes(self) -> dict[str, Node]:
        return self._life.nodes if self._life else {}

    @property
    def _dead(self) -> list[Deleted]:
        return self._store._dead.setdefault(self._id, [])

    def _known(self) -> Known:
        life = self._life
        return Known(
            self._id,
            life.head if life else None,
            {tombstone.incarnation for tombstone in self._dead},
            life.records if life else {},
            self._nodes,
            self._store._blobs.__contains__,
            self._store.capabilities,
        )

    def _write(self, commit: Commit) -> Receipt:
        life = self._life
        head = next_head(commit, life.head if life else None)
        if life is None:
            life = self._store._lives[self._id] = _Life(head)
        life.head = head
        life.nodes.update((node.node_id, node) for node in commit.nodes)
        self._store._blobs.update(commit.blobs)
        for used in commit.consumed:
            self._drop(used.stream, used.upto)
        record = life.records[commit.commit_id] = record_of(commit, head.revision)
        self._store.commits.append(commit)
        return Receipt(self._id, commit.commit_id, head.revision, record.digest)

    def _add(self, stream: str, entry: StreamEntry) -> int:
        assert self._life is not None
        rows = self._life.streams.setdefault(stream, [])
        for row in rows:
            if row.key == entry.key:
                return row.sequence
        number = self._life.last[stream] = self._life.last.get(stream, 0) + 1
        rows.append(StreamRow(number, entry.key, entry.body))
        return number

    def _drop(self, stream: str, upto: int) -> int:
        rows = self._life.streams.get(stream, []) if self._life else []
        gone = sum(row.sequence <= upto for row in rows)
        del rows[:gone]
        return gone

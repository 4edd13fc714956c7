"""The in-memory store: the reference for what a store promises, and the default of tests.

Nothing here survives the process (durability ``none``). Every method runs without awaiting anything, so each is
atomic on an event loop; a backend belongs to one loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs
from lash_hookspecs.errors import (
    CommitIdReused,
    CorruptSession,
    HeadRevisionConflict,
    InvalidInput,
    LimitExceeded,
    MissingBlob,
    SessionBindingMismatch,
    SessionDeleted,
    SessionLeased,
    SessionMissing,
    WriterFenced,
)
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
    SessionPage,
    SessionQuery,
    SessionRow,
    StoreCapabilities,
    StoreStats,
    StreamEntry,
    StreamRow,
    Writer,
    blob_ref,
    commit_digest,
)

__all__ = ["MemoryBackend", "MemorySession"]


@attrs.define
class _Stream:
    last: int = 0
    rows: list[StreamRow] = attrs.field(factory=list)

    def sequence(self, entry: StreamEntry) -> int:
        for row in self.rows:
            if row.key == entry.key:
                return row.sequence
        self.last += 1
        self.rows.append(StreamRow(self.last, entry.key, entry.body))
        return self.last

    def trim(self, upto: int) -> int:
        kept = [row for row in self.rows if row.sequence > upto]
        removed = len(self.rows) - len(kept)
        self.rows = kept
        return removed


@attrs.define
class _Graph:
    """Nodes by id in the order of storing, each with the incarnation that stored it."""

    nodes: dict[str, Node] = attrs.field(factory=dict)
    owners: dict[str, str] = attrs.field(factory=dict)


@attrs.define
class _Session:
    head: Head
    graph: _Graph
    records: dict[str, CommitRecord] = attrs.field(factory=dict)
    streams: dict[str, _Stream] = attrs.field(factory=dict)


@attrs.define
class _Name:
    """What stays with a session's name from one incarnation to the next.

    Attributes:
        floor: The highest epoch that was ever given or committed.
        fence: The epoch below which a writer is refused.
        lease: The lease in force or expired; ``None`` once released.
        expires_at: When the lease expires, by the backend's clock.
        dead: The tombstones, oldest first.
    """

    floor: int = 0
    fence: int = 0
    lease: Lease | None = None
    expires_at: float = 0.0
    dead: list[Deleted] = attrs.field(factory=list)

    @property
    def holder(self) -> Holder | None:
        return self.lease.holder if self.lease else None

    def died(self, incarnation: str) -> bool:
        return any(tombstone.incarnation == incarnation for tombstone in self.dead)


class MemoryBackend:
    """A database of sessions in this process's memory, under ``memory:``.

    Args:
        clock: Seconds; judges when leases expire.
        max_value: The limit to declare for one value, in bytes.
        max_nodes_per_commit: The limit to declare for one commit.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_value: int | None = None,
        max_nodes_per_commit: int | None = None,
    ) -> None:
        self.clock = clock
        self._capabilities = StoreCapabilities(
            levels=frozenset({"core", "concurrent", "sharing"}),
            durability="none",
            database_clock=True,
            max_value=max_value,
            max_nodes_per_commit=max_nodes_per_commit,
        )
        self.living: dict[str, _Session] = {}
        self.names: dict[str, _Name] = {}
        self.blobs: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """The store's URL."""
        return "memory:"

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        return self._capabilities

    def session(self, session_id: str) -> MemorySession:
        """Give the handle of one session."""
        return MemorySession(self, session_id)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions, ordered by id."""
        found = [self._row(session_id) for session_id in sorted(self.living) if self._matches(session_id, query)]
        page = tuple(found[: query.limit])
        return SessionPage(page, page[-1].head.session_id if page and len(found) > len(page) else None)

    async def stats(self) -> StoreStats:
        """Count what is stored."""
        graphs = {id(session.graph): session.graph for session in self.living.values()}
        return StoreStats(
            sessions=len(self.living),
            nodes=sum(len(graph.nodes) for graph in graphs.values()),
            commits=sum(len(session.records) for session in self.living.values()),
            blobs=len(self.blobs),
            bytes_on_disk=None,
        )

    async def migrate(self) -> None:
        """Do nothing: what is in memory is always of this version."""

    async def close(self) -> None:
        """Forget everything."""
        self.living.clear()
        self.names.clear()
        self.blobs.clear()

    def lease_of(self, session_id: str) -> Lease | None:
        """Give a session's lease with the time it has left."""
        name = self.names.get(session_id)
        if name is None or name.lease is None:
            return None
        return attrs.evolve(name.lease, expires_in=name.expires_at - self.clock())

    def _row(self, session_id: str) -> SessionRow:
        return SessionRow(self.living[session_id].head, self.lease_of(session_id))

    def _matches(self, session_id: str, query: SessionQuery) -> bool:
        head = self.living[session_id].head
        if query.after is not None and session_id <= query.after:
            return False
        if query.open_turn is not None and query.open_turn != (head.open_turn is not None):
            return False
        return query.labels.items() <= head.labels.items()


class MemorySession:
    """One session in memory."""

    def __init__(self, backend: MemoryBackend, session_id: str) -> None:
        self._backend = backend
        self._id = session_id

    async def head(self) -> Head | Absent | Deleted:
        """Read the head."""
        if session := self._living:
            return session.head
        dead = self._name.dead
        return dead[-1] if dead else Absent()

    async def commit(self, commit: Commit) -> Receipt:
        """Store one commit atomically."""
        session, name = self._living, self._name
        if commit.session_id != self._id:
            raise SessionBindingMismatch(bound=self._id, requested=commit.session_id)
        if name.died(commit.writer.incarnation):
            raise self._deleted()
        digest = commit_digest(commit)
        if session and (record := session.records.get(commit.commit_id)):
            return self._replay(record, digest)
        self._check_epoch(commit.writer.epoch or 0)
        self._check_revision(commit, session)
        self._check_blobs(commit)
        self._check_limits(commit)
        if session and commit.fork:
            raise InvalidInput(f"session {self._id!r}: only the first commit of a session can fork")
        graph = session.graph if session else self._fork_graph(commit)
        self._check_new(commit.nodes, graph)
        return self._store(commit, digest, session, graph)

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        """Read the nodes from the root to a leaf, root first."""
        nodes = self._nodes
        if leaf not in nodes:
            raise self._corrupt("dangling_leaf", f"leaf {leaf!r} is not stored", leaf)
        found: list[Node] = []
        for node in self._climb(leaf):
            if node.node_id == after or (after is None and len(found) == last):
                break
            found.append(node)
        else:
            if after is not None:
                raise self._corrupt("dangling_parent", f"node {after!r} is not on the path to {leaf!r}", after)
        return found[:last][::-1]

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        """Read nodes by id, in the order asked for."""
        stored = self._nodes
        return [node for node_id in node_ids if (node := stored.get(node_id)) and not node.hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        """Read all nodes that are not hidden, in the order in which they were stored."""
        nodes = self._nodes
        start = 0
        if after is not None:
            if after not in nodes:
                raise self._corrupt("dangling_parent", f"node {after!r} is not stored", after)
            start = list(nodes).index(after) + 1
        return [node for node in list(nodes.values())[start:] if not node.hidden][:limit]

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        """Store blobs and give their refs."""
        limit = self._backend.capabilities.max_value
        refs = [blob_ref(body) for body in bodies]
        _check_sizes(bodies, limit)
        self._backend.blobs.update(zip(refs, bodies, strict=True))
        return refs

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        """Read blobs by ref."""
        for ref in refs:
            if ref not in self._backend.blobs:
                raise MissingBlob(session_id=self._id, ref=ref)
        return {ref: self._backend.blobs[ref] for ref in refs}

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        """Read commit records with a revision above ``after``, oldest first."""
        session = self._living
        return [record for record in session.records.values() if record.revision > after][:limit] if session else []

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        """Append entries to a stream."""
        streams = self._writable(writer).streams
        _check_sizes((entry.body for entry in entries), self._backend.capabilities.max_value)
        lane = streams.setdefault(stream, _Stream())
        return [lane.sequence(entry) for entry in entries]

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        """Read entries with a sequence above ``after``, oldest first."""
        session = self._living
        lane = session.streams.get(stream) if session else None
        return [row for row in lane.rows if row.sequence > after][:limit] if lane else []

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        """Remove entries with a sequence up to ``upto``."""
        lane = self._writable(writer).streams.get(stream)
        return lane.trim(upto) if lane else 0

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        """Delete the session and leave a tombstone."""
        session, name = self._living, self._name
        if name.died(incarnation):
            return
        if session is None or session.head.incarnation != incarnation:
            raise SessionMissing(f"there is no incarnation {incarnation!r} of session {self._id!r}")
        name = self._backend.names.setdefault(self._id, name)
        name.dead.append(Deleted(incarnation, session.head.revision, deleted_at))
        name.lease, name.fence = None, 0
        del self._backend.living[self._id]
        self._drop_unshared(session.graph)

    async def lease(self) -> Lease | None:
        """Read the lease."""
        return self._backend.lease_of(self._id)

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        """Take the lease and a new epoch."""
        held = await self.lease()
        if held and held.expires_in > 0 and held.epoch != replacing:
            raise SessionLeased(session_id=self._id, holder=held.holder, expires_in=held.expires_in, epoch=held.epoch)
        name = self._backend.names.setdefault(self._id, _Name())
        self._raise_fence(name, name.floor + 1)
        name.lease = Lease(holder, name.floor, ttl)
        name.expires_at = self._backend.clock() + ttl
        return name.lease

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        """Extend the lease."""
        name = self._name
        if name.fence != lease.epoch:
            raise self._fenced(lease.epoch, name)
        name.lease = Lease(lease.holder, lease.epoch, ttl)
        name.expires_at = self._backend.clock() + ttl
        return name.lease

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        if self._name.fence == lease.epoch:
            self._name.lease = None

    @property
    def _living(self) -> _Session | None:
        return self._backend.living.get(self._id)

    @property
    def _name(self) -> _Name:
        return self._backend.names.get(self._id) or _Name()

    @property
    def _nodes(self) -> dict[str, Node]:
        session = self._living
        return session.graph.nodes if session else {}

    def _climb(self, leaf: str) -> Iterator[Node]:
        nodes, seen, child = self._nodes, set[str](), leaf
        node_id: str | None = leaf
        while node_id is not None:
            if node_id in seen:
                raise self._corrupt("parent_cycle", f"node {node_id!r} is its own ancestor", node_id)
            if node_id not in nodes:
                message = f"node {child!r} has the parent {node_id!r}, which is not stored"
                raise self._corrupt("dangling_parent", message, child, node_id)
            seen.add(node_id)
            yield nodes[node_id]
            child, node_id = node_id, nodes[node_id].parent_node_id

    def _replay(self, record: CommitRecord, digest: str) -> Receipt:
        if record.digest != digest:
            raise CommitIdReused(session_id=self._id, commit_id=record.commit_id)
        return Receipt(self._id, record.commit_id, record.revision, digest)

    def _check_epoch(self, epoch: int) -> None:
        if epoch < self._name.fence:
            raise self._fenced(epoch, self._name)

    def _check_revision(self, commit: Commit, session: _Session | None) -> None:
        actual = session.head.revision if session else None
        stranger = session is not None and session.head.incarnation != commit.writer.incarnation
        if commit.expected_revision != actual or stranger:
            raise HeadRevisionConflict(session_id=self._id, expected=commit.expected_revision, actual=actual)

    def _check_blobs(self, commit: Commit) -> None:
        for ref, body in commit.blobs.items():
            if blob_ref(body) != ref:
                raise InvalidInput(f"blob {ref} does not have the content that its ref names", session_id=self._id)
        for component, ref in commit.components.items():
            if ref not in commit.blobs and ref not in self._backend.blobs:
                raise MissingBlob(session_id=self._id, ref=ref, component=component)
        for ref in (ref for node in commit.nodes for ref in node.refs):
            if ref not in commit.blobs and ref not in self._backend.blobs:
                raise MissingBlob(session_id=self._id, ref=ref)

    def _check_limits(self, commit: Commit) -> None:
        limit = self._backend.capabilities.max_nodes_per_commit
        if limit is not None and len(commit.nodes) > limit:
            raise LimitExceeded(f"a commit of {len(commit.nodes)} nodes is over the store's limit of {limit}")
        bodies = [node.payload for node in commit.nodes]
        _check_sizes(
            [*bodies, *commit.blobs.values(), commit.state, commit.record], self._backend.capabilities.max_value
        )

    def _check_new(self, nodes: Sequence[Node], graph: _Graph) -> None:
        seen = set[str]()
        for node in nodes:
            if node.node_id in graph.nodes or node.node_id in seen:
                raise self._corrupt("duplicate_node", f"node {node.node_id!r} is stored already", node.node_id)
            seen.add(node.node_id)

    def _fork_graph(self, commit: Commit) -> _Graph:
        if commit.fork is None:
            return _Graph()
        source = self._backend.living.get(commit.fork.session_id)
        if source is None:
            raise SessionMissing(f"there is no session {commit.fork.session_id!r} to fork", session_id=self._id)
        leaf = commit.fork.leaf
        if leaf is not None and leaf not in source.graph.nodes:
            raise self._corrupt("dangling_leaf", f"leaf {leaf!r} is not stored", leaf)
        return source.graph

    def _store(self, commit: Commit, digest: str, session: _Session | None, graph: _Graph) -> Receipt:
        backend, epoch = self._backend, max(commit.writer.epoch or 0, self._name.fence)
        head = self._next_head(commit, session.head if session else None, epoch)
        if session is None:
            session = backend.living[self._id] = _Session(head, graph)
        session.head = head
        for node in commit.nodes:
            graph.nodes[node.node_id] = node
            graph.owners[node.node_id] = head.incarnation
        backend.blobs.update(commit.blobs)
        for consumed in commit.consumed:
            if lane := session.streams.get(consumed.stream):
                lane.trim(consumed.upto)
        session.records[commit.commit_id] = _record(commit, digest, head)
        self._raise_fence(backend.names.setdefault(self._id, _Name()), epoch)
        return Receipt(self._id, commit.commit_id, head.revision, digest)

    def _next_head(self, commit: Commit, before: Head | None, epoch: int) -> Head:
        labels = commit.labels if commit.labels is not None else before.labels if before else {}
        return Head(
            session_id=self._id,
            incarnation=commit.writer.incarnation,
            revision=before.revision + 1 if before else 1,
            epoch=epoch,
            leaf=commit.leaf,
            components=dict(commit.components),
            state=commit.state,
            open_turn=commit.open_turn,
            labels=dict(labels),
            created_at=before.created_at if before else commit.committed_at,
            updated_at=commit.committed_at,
        )

    def _raise_fence(self, name: _Name, epoch: int) -> None:
        name.fence = epoch
        name.floor = max(name.floor, epoch)
        if session := self._living:
            session.head = attrs.evolve(session.head, epoch=epoch)

    def _writable(self, writer: Writer) -> _Session:
        session, name = self._living, self._name
        if name.died(writer.incarnation):
            raise self._deleted()
        if session is None or session.head.incarnation != writer.incarnation:
            raise SessionMissing(f"session {self._id!r} has no commit yet", session_id=self._id)
        if writer.epoch is not None and writer.epoch < name.fence:
            raise self._fenced(writer.epoch, name)
        return session

    def _drop_unshared(self, graph: _Graph) -> None:
        sharers = [session for session in self._backend.living.values() if session.graph is graph]
        mine = {session.head.incarnation for session in sharers}
        wanted = [session.head.leaf for session in sharers]
        wanted += [node_id for node_id, owner in graph.owners.items() if owner in mine]
        kept = set[str]()
        for start in wanted:
            node_id = start
            while node_id is not None and node_id not in kept and node_id in graph.nodes:
                kept.add(node_id)
                node_id = graph.nodes[node_id].parent_node_id
        for node_id in set(graph.nodes) - kept:
            del graph.nodes[node_id]
            del graph.owners[node_id]

    def _deleted(self) -> SessionDeleted:
        return SessionDeleted(f"session {self._id!r} was deleted: this writer is refused for ever", session_id=self._id)

    def _fenced(self, epoch: int, name: _Name) -> WriterFenced:
        return WriterFenced(session_id=self._id, epoch=epoch, current=name.fence, holder=name.holder)

    def _corrupt(self, kind: str, reason: str, *node_ids: str) -> CorruptSession:
        return CorruptSession(f"session {self._id!r}: {reason}", kind=kind, node_ids=node_ids, session_id=self._id)


def _record(commit: Commit, digest: str, head: Head) -> CommitRecord:
    return CommitRecord(
        revision=head.revision,
        commit_id=commit.commit_id,
        digest=digest,
        epoch=commit.writer.epoch or 0,
        leaf=commit.leaf,
        open_turn=commit.open_turn,
        components=head.components,
        record=commit.record,
        committed_at=commit.committed_at,
    )


def _check_sizes(bodies: Iterable[bytes], limit: int | None) -> None:
    for body in bodies:
        if limit is not None and len(body) > limit:
            raise LimitExceeded(f"a value of {len(body)} bytes is over the store's limit of {limit}")

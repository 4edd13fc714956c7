"""The in-memory store: the reference for what a store promises, and the default of tests.

Nothing here survives the process (durability ``none``). Every method runs without awaiting anything, so each is
atomic on an event loop; a backend belongs to one loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import attrs
from lash_hookspecs.errors import (
    CorruptSession,
    MissingBlob,
    SessionLeased,
    SessionMissing,
    WriterFenced,
)
from lash_hookspecs.protocols.stores import StoreBackend
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
)
from lash_hookspecs.store_checks import Known, next_head, nodes_behind, page_of, record_of, walk_path

from lash_core.stores.memory_data import Graph, Name, Session, Stream
from lash_core.stores.memory_upkeep import KeptMemory, MemoryUpkeep

__all__ = ["MemoryBackend", "MemorySession"]


class MemoryBackend(MemoryUpkeep):
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
        super().__init__(clock)
        self._capabilities = StoreCapabilities(
            levels=frozenset({"core", "concurrent", "sharing", "retention", "migration"}),
            durability="none",
            database_clock=True,
            tenants=True,
            max_value=max_value,
            max_nodes_per_commit=max_nodes_per_commit,
        )
        self._tenants: dict[str, MemoryBackend] = {}

    @property
    def name(self) -> str:
        """The store's URL."""
        return "memory:"

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        return self._capabilities

    def tenant(self, name: str) -> StoreBackend:
        """Give the view of one tenant; ``""`` is this backend's own."""
        if name and name not in self._tenants:
            limits = self._capabilities
            self._tenants[name] = MemoryBackend(
                clock=self.clock, max_value=limits.max_value, max_nodes_per_commit=limits.max_nodes_per_commit
            )
        return _TenantView(self, name, self._tenants[name] if name else self)

    def session(self, session_id: str) -> MemorySession:
        """Give the handle of one session."""
        return MemorySession(self, session_id)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions, ordered by id."""
        return page_of(map(self._row, self.living), query)

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
        """Forget everything, of every tenant."""
        self._tenants.clear()
        self.living.clear()
        self.names.clear()
        self.blobs.clear()

    def _row(self, session_id: str) -> SessionRow:
        return SessionRow(self.living[session_id].head, self.lease_of(session_id))


class _TenantView:
    """One tenant's part of a backend. Closing it closes nothing.

    Args:
        root: The backend.
        name: The tenant.
        part: Where the tenant's sessions are.
    """

    def __init__(self, root: MemoryBackend, name: str, part: MemoryBackend) -> None:
        self._root = root
        self._tenant = name
        self._part = part
        self.vacuum, self.gc, self.expire = part.vacuum, part.gc, part.expire
        self.check, self.load = part.check, part.load

    @property
    def name(self) -> str:
        """The URL with the tenant behind it."""
        return self._root.name + (f"#tenant={quote(self._tenant, safe='')}" if self._tenant else "")

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        return self._root.capabilities

    def tenant(self, name: str) -> StoreBackend:
        """Give the view of another tenant."""
        return self._root.tenant(name)

    def session(self, session_id: str) -> MemorySession:
        """Give the handle of one session."""
        return self._part.session(session_id)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List the tenant's living sessions, ordered by id."""
        return await self._part.sessions(query)

    async def stats(self) -> StoreStats:
        """Count what the tenant has."""
        return await self._part.stats()

    async def migrate(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing: the backend is closed by who opened it."""


class MemorySession(KeptMemory):
    """One session in memory."""

    _backend: MemoryBackend

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
        session, source = self._living, self._backend.living.get(commit.fork.session_id) if commit.fork else None
        shared = session or source
        if receipt := self._known(shared.graph if shared else Graph()).replayed(commit):
            return receipt
        return self._store(commit, session, session.graph if session else self._fork_graph(commit))

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        """Read the nodes from the root to a leaf, root first."""
        return walk_path(self._id, self._nodes, leaf, after=after, last=last)

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        """Read nodes by id, in the order asked for."""
        stored = self._nodes
        return [node for node_id in node_ids if (node := stored.get(node_id)) and not node.hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        """Read all nodes that are not hidden, in the order in which they were stored."""
        return nodes_behind(self._id, self._nodes, after, limit)

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        """Store blobs and give their refs."""
        self._known().check_sizes(bodies)
        refs = [blob_ref(body) for body in bodies]
        for ref, body in zip(refs, bodies, strict=True):
            self._backend.put_blob(ref, body)
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
        known = self._known()
        known.check_writer(writer)
        known.check_sizes(entry.body for entry in entries)
        lane = self._streams.setdefault(stream, Stream())
        return [lane.sequence(entry) for entry in entries]

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        """Read entries with a sequence above ``after``, oldest first."""
        lane = self._streams.get(stream)
        return [row for row in lane.rows if row.sequence > after][:limit] if lane else []

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        """Remove entries with a sequence up to ``upto``."""
        self._known().check_writer(writer)
        lane = self._streams.get(stream)
        return lane.trim(upto) if lane else 0

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        """Delete the session and leave a tombstone."""
        session = self._living
        if not self._known().check_deletion(incarnation) or session is None:
            return
        self._backend.bury(self._id, deleted_at)
        self._drop_unshared(session.graph)

    async def lease(self) -> Lease | None:
        """Read the lease."""
        return self._backend.lease_of(self._id)

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        """Take the lease and a new epoch."""
        held = await self.lease()
        if held and held.expires_in > 0 and held.epoch != replacing:
            raise SessionLeased(session_id=self._id, holder=held.holder, expires_in=held.expires_in, epoch=held.epoch)
        name = self._backend.names.setdefault(self._id, Name())
        self._raise_fence(name, name.floor + 1)
        name.lease = Lease(holder, name.floor, ttl)
        name.expires_at = self._backend.clock() + ttl
        return name.lease

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        """Extend the lease."""
        name = self._name
        if name.fence != lease.epoch:
            raise WriterFenced(session_id=self._id, epoch=lease.epoch, current=name.fence, holder=name.holder)
        name.lease = Lease(lease.holder, lease.epoch, ttl)
        name.expires_at = self._backend.clock() + ttl
        return name.lease

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        if self._name.fence == lease.epoch:
            self._name.lease = None

    @property
    def _living(self) -> Session | None:
        return self._backend.living.get(self._id)

    @property
    def _name(self) -> Name:
        return self._backend.names.get(self._id) or Name()

    @property
    def _nodes(self) -> dict[str, Node]:
        session = self._living
        return session.graph.nodes if session else {}

    @property
    def _streams(self) -> dict[str, Stream]:
        session = self._living
        return session.streams if session else {}

    def _known(self, graph: Graph | None = None) -> Known:
        session, name = self._living, self._name
        return Known(
            self._id,
            session.head if session else None,
            {tombstone.incarnation for tombstone in name.dead},
            session.records if session else {},
            graph.nodes if graph else {},
            self._backend.blobs.__contains__,
            self._backend.capabilities,
            fence=name.fence,
            holder=name.holder,
        )

    def _fork_graph(self, commit: Commit) -> Graph:
        if commit.fork is None:
            return Graph()
        source = self._backend.living.get(commit.fork.session_id)
        if source is None:
            raise SessionMissing(f"there is no session {commit.fork.session_id!r} to fork", session_id=self._id)
        leaf = commit.fork.leaf
        if leaf is not None and leaf not in source.graph.nodes:
            reason = f"session {self._id!r}: leaf {leaf!r} is not stored"
            raise CorruptSession(reason, kind="dangling_leaf", node_ids=(leaf,), session_id=self._id)
        return source.graph

    def _store(self, commit: Commit, session: Session | None, graph: Graph) -> Receipt:
        backend, fence = self._backend, self._name.fence
        head = next_head(commit, session.head if session else None)
        head = attrs.evolve(head, epoch=max(head.epoch, fence))
        record = record_of(commit, head.revision)
        if session is None:
            session = backend.living[self._id] = Session(head, graph)
        session.head, session.stored_at = head, time.time_ns() // 1000
        for node in commit.nodes:
            graph.nodes[node.node_id] = node
            graph.owners[node.node_id] = head.incarnation
        for ref, body in commit.blobs.items():
            backend.put_blob(ref, body)
        for ref in (*commit.components.values(), *(ref for node in commit.nodes for ref in node.refs)):
            backend.put_at[ref] = backend.clock()
        for consumed in commit.consumed:
            if lane := session.streams.get(consumed.stream):
                lane.trim(consumed.upto)
        session.records[commit.commit_id] = record
        self._raise_fence(backend.names.setdefault(self._id, Name()), head.epoch)
        return Receipt(self._id, commit.commit_id, head.revision, record.digest)

    def _raise_fence(self, name: Name, epoch: int) -> None:
        name.fence = epoch
        name.floor = max(name.floor, epoch)
        if session := self._living:
            session.head = attrs.evolve(session.head, epoch=epoch)

    def _drop_unshared(self, graph: Graph) -> None:
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
            graph.drop(node_id)

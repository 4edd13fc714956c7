"""A store in dictionaries that passes at levels core, concurrent and sharing, in small steps that can be broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import attrs
from lash_hookspecs.errors import CorruptSession, MissingBlob, SessionLeased, SessionMissing, StoreError, WriterFenced
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

LEVELS = ("core", "concurrent", "sharing")


@attrs.define
class Graph:
    """The nodes that sessions share, and which incarnation stored each."""

    nodes: dict[str, Node] = attrs.field(factory=dict)
    owners: dict[str, str] = attrs.field(factory=dict)


@attrs.define
class Lane:
    """One stream."""

    rows: dict[str, StreamRow] = attrs.field(factory=dict)
    last: int = 0


@attrs.define
class Life:
    """One incarnation of a session."""

    head: Head
    graph: Graph
    records: dict[str, CommitRecord] = attrs.field(factory=dict)
    lanes: dict[str, Lane] = attrs.field(factory=dict)


@attrs.define
class Name:
    """What a session's name keeps from one incarnation to the next."""

    floor: int = 0
    fence: int = 0
    lease: Lease | None = None
    expires_at: float = 0.0
    dead: list[Deleted] = attrs.field(factory=list)


class PlainSession:
    """One session."""

    def __init__(self, backend: PlainBackend, session_id: str) -> None:
        self.backend, self.id = backend, session_id

    @property
    def life(self) -> Life | None:
        return self.backend.lives.get(self.id)

    @property
    def name(self) -> Name:
        return self.backend.names.setdefault(self.id, Name())

    @property
    def all_nodes(self) -> dict[str, Node]:
        return self.life.graph.nodes if self.life else {}

    @property
    def lanes(self) -> dict[str, Lane]:
        return self.life.lanes if self.life else {}

    def known(self, graph: Graph | None = None) -> Known:
        return Known(
            self.id,
            self.life.head if self.life else None,
            {tombstone.incarnation for tombstone in self.name.dead},
            self.life.records if self.life else {},
            graph.nodes if graph else {},
            self.backend.blobs.__contains__,
            self.backend.capabilities,
            fence=self.name.fence,
            holder=self.name.lease.holder if self.name.lease else None,
        )

    async def head(self) -> Head | Absent | Deleted:
        if self.life:
            return self.life.head
        return self.name.dead[-1] if self.name.dead else Absent()

    def replayed(self, commit: Commit) -> Receipt | None:
        source = self.backend.lives.get(commit.fork.session_id) if commit.fork else None
        shared = self.life or source
        return self.known(shared.graph if shared else None).replayed(commit)

    async def commit(self, commit: Commit) -> Receipt:
        return self.replayed(commit) or self.write(commit)

    def write(self, commit: Commit) -> Receipt:
        life = self.life
        graph = life.graph if life else self.forked(commit)
        head = self.next_head(commit, life.head if life else None)
        if life is None:
            life = self.backend.lives[self.id] = Life(head, graph)
        life.head = head
        self.add_nodes(commit, graph)
        self.add_blobs(commit.blobs)
        for used in commit.consumed:
            self.drop(used.stream, used.upto)
        record = life.records[commit.commit_id] = self.record(commit, head.revision)
        self.raise_fence(max(head.epoch, self.name.fence))
        return Receipt(self.id, commit.commit_id, head.revision, record.digest)

    def next_head(self, commit: Commit, before: Head | None) -> Head:
        return next_head(commit, before)

    def record(self, commit: Commit, revision: int) -> CommitRecord:
        return record_of(commit, revision)

    def add_nodes(self, commit: Commit, graph: Graph) -> None:
        for node in commit.nodes:
            graph.nodes[node.node_id], graph.owners[node.node_id] = node, commit.writer.incarnation

    def add_blobs(self, blobs: Mapping[str, bytes]) -> None:
        self.backend.blobs.update(blobs)

    def forked(self, commit: Commit) -> Graph:
        if commit.fork is None:
            return Graph()
        if "sharing" not in self.backend.capabilities.levels:
            raise StoreError("this store cannot share a graph: copy the path instead", session_id=self.id)
        source, leaf = self.backend.lives.get(commit.fork.session_id), commit.fork.leaf
        if source is None:
            raise SessionMissing(f"there is no session {commit.fork.session_id!r} to fork", session_id=self.id)
        if leaf is not None and leaf not in source.graph.nodes:
            raise CorruptSession("no such leaf", kind="dangling_leaf", node_ids=(leaf,), session_id=self.id)
        return source.graph

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        return walk_path(self.id, self.all_nodes, leaf, after=after, last=last)

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        found = self.all_nodes
        return [found[each] for each in node_ids if each in found and not found[each].hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        return nodes_behind(self.id, self.all_nodes, after, limit)

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        self.known().check_sizes(bodies)
        self.add_blobs({blob_ref(body): body for body in bodies})
        return [blob_ref(body) for body in bodies]

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        for ref in refs:
            if ref not in self.backend.blobs:
                raise MissingBlob(session_id=self.id, ref=ref)
        return {ref: self.backend.blobs[ref] for ref in refs}

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        found = self.life.records.values() if self.life else ()
        return [record for record in found if record.revision > after][:limit]

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        self.known().check_writer(writer)
        self.known().check_sizes(entry.body for entry in entries)
        lane = self.lanes.setdefault(stream, Lane())
        return [self.add(lane, entry) for entry in entries]

    def add(self, lane: Lane, entry: StreamEntry) -> int:
        if entry.key not in lane.rows:
            lane.last += 1
            lane.rows[entry.key] = StreamRow(lane.last, entry.key, entry.body)
        return lane.rows[entry.key].sequence

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        lane = self.lanes.get(stream, Lane())
        return [row for row in lane.rows.values() if row.sequence > after][:limit]

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        self.known().check_writer(writer)
        return self.drop(stream, upto)

    def drop(self, stream: str, upto: int) -> int:
        lane = self.lanes.get(stream, Lane())
        gone = [key for key, row in lane.rows.items() if row.sequence <= upto]
        for key in gone:
            del lane.rows[key]
        return len(gone)

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        if self.known().check_deletion(incarnation) and self.life:
            self.bury(Deleted(incarnation, self.life.head.revision, deleted_at))

    def bury(self, tombstone: Deleted) -> None:
        graph = self.backend.lives.pop(self.id).graph
        self.name.dead.append(tombstone)
        self.name.lease, self.name.fence = None, 0
        self.forget(graph)

    def forget(self, graph: Graph) -> None:
        sharers = [life for life in self.backend.lives.values() if life.graph is graph]
        mine = {life.head.incarnation for life in sharers}
        wanted = {life.head.leaf for life in sharers} | {key for key, owner in graph.owners.items() if owner in mine}
        kept = {node.node_id for leaf in wanted if leaf in graph.nodes for node in walk_path("", graph.nodes, leaf)}
        for node_id in graph.nodes.keys() - kept:
            del graph.nodes[node_id], graph.owners[node_id]

    async def lease(self) -> Lease | None:
        return self.backend.lease_of(self.id)

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        held = await self.lease()
        if held and held.expires_in > 0 and held.epoch != replacing:
            raise SessionLeased(session_id=self.id, holder=held.holder, expires_in=held.expires_in, epoch=held.epoch)
        self.raise_fence(self.name.floor + 1)
        return self.grant(holder, self.name.floor, ttl)

    def grant(self, holder: Holder, epoch: int, ttl: float) -> Lease:
        self.name.lease, self.name.expires_at = Lease(holder, epoch, ttl), self.backend.clock() + ttl
        return self.name.lease

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        if self.name.fence != lease.epoch:
            holder = self.name.lease.holder if self.name.lease else None
            raise WriterFenced(session_id=self.id, epoch=lease.epoch, current=self.name.fence, holder=holder)
        return self.grant(lease.holder, lease.epoch, ttl)

    async def release_lease(self, lease: Lease) -> None:
        if self.name.fence == lease.epoch:
            self.name.lease = None

    def raise_fence(self, epoch: int) -> None:
        self.name.fence, self.name.floor = epoch, max(self.name.floor, epoch)
        if self.life:
            self.life.head = attrs.evolve(self.life.head, epoch=epoch)


class PlainBackend:
    """A database of sessions."""

    Session: ClassVar[type[PlainSession]] = PlainSession
    name = "plain:"

    def __init__(self, clock: Callable[[], float], max_value: int | None) -> None:
        self.clock, self.max_value = clock, max_value
        self.lives: dict[str, Life] = {}
        self.names: dict[str, Name] = {}
        self.blobs: dict[str, bytes] = {}

    @property
    def capabilities(self) -> StoreCapabilities:
        return StoreCapabilities(
            levels=frozenset(LEVELS), database_clock=True, max_value=self.max_value, max_nodes_per_commit=3_000
        )

    def session(self, session_id: str) -> PlainSession:
        return self.Session(self, session_id)

    def lease_of(self, session_id: str) -> Lease | None:
        name = self.names.get(session_id, Name())
        return name.lease and attrs.evolve(name.lease, expires_in=name.expires_at - self.clock())

    async def sessions(self, query: SessionQuery) -> SessionPage:
        return page_of((SessionRow(life.head, self.lease_of(each)) for each, life in self.lives.items()), query)

    async def stats(self) -> StoreStats:
        graphs = {id(life.graph): life.graph for life in self.lives.values()}
        return StoreStats(
            sessions=len(self.lives),
            nodes=sum(len(graph.nodes) for graph in graphs.values()),
            commits=sum(len(life.records) for life in self.lives.values()),
            blobs=len(self.blobs),
            bytes_on_disk=None,
        )

    async def migrate(self) -> None: ...

    async def close(self) -> None: ...


async def open_plain(url: str, create: bool, clock: Callable[[], float], kind: Any = PlainBackend) -> Any:
    """Open ``plain:`` or ``plain:?max_value=N``."""
    return kind(clock, int(url.partition("max_value=")[2] or 0) or None)

"""Retention, checks and archives of the in-memory store: the reference for what they promise.

Nothing here awaits anything, so each call is atomic; budgets are never spent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
from lash_hookspecs.errors import (
    CorruptSession,
    InvalidInput,
    MissingBlob,
    NodeInUse,
    NodeMissing,
    SessionDeleted,
    SessionExists,
    SessionMissing,
)
from lash_hookspecs.graph_checks import above, below, edge_faults
from lash_hookspecs.protocols.retention import GRACE
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.retention import (
    AUDIT_STREAM,
    ArchivedHead,
    ArchivedNode,
    ArchivedRecord,
    ArchivedRow,
    CheckReport,
    CollectReport,
    DeleteReport,
    ExpireReport,
    Finding,
    HideReport,
    Keep,
    Progress,
    PruneReport,
    Redaction,
    RedactReport,
    Retention,
    VacuumReport,
)
from lash_hookspecs.records.store import CommitRecord, Head, blob_ref

from lash_core.stores.memory_data import Graph, MemoryData, Session, Stream

__all__ = ["KeptMemory", "MemoryUpkeep"]

_REF = re.compile(rb"[0-9a-f]{64}")


class KeptMemory:
    """What a session's handle has of `RetainedSession` and `ArchivedSession`."""

    _backend: MemoryUpkeep
    _id: str

    async def hide(self, node_ids: Sequence[str], *, dry_run: bool = False) -> HideReport:
        """Take nodes out of sight, and all below them."""
        graph = self._found.graph
        for node_id in node_ids:
            if node_id not in graph.nodes:
                raise NodeMissing(f"session {self._id!r} has no node {node_id!r}", session_id=self._id)
        parents = _parents(graph)
        taken = below(parents, node_ids)
        for name, session in self._backend.sharing(graph).items():
            for node_id in above(parents, [session.head.leaf]) & taken:
                raise NodeInUse(session_id=self._id, node_id=node_id, used_by=name)
        fresh = [node for node in graph.nodes.values() if node.node_id in taken and not node.hidden]
        if not dry_run:
            for node in fresh:
                graph.nodes[node.node_id] = attrs.evolve(node, hidden=True)
                graph.hidden_at[node.node_id] = self._backend.clock()
        return HideReport(
            node_ids=tuple(node.node_id for node in fresh),
            bytes=sum(len(node.payload) for node in fresh),
            dry_run=dry_run,
        )

    async def redact(self, redaction: Redaction, *, dry_run: bool = False) -> RedactReport:
        """Replace a node's payload by a marker, and what repeats it."""
        graph = self._found.graph
        if redaction.node_id not in graph.nodes:
            raise NodeMissing(f"session {self._id!r} has no node {redaction.node_id!r}", session_id=self._id)
        saved = self._backend.saved() if dry_run else None
        try:
            return attrs.evolve(_Redacting(self._backend, graph, redaction).run(self._id), dry_run=dry_run)
        finally:
            if saved is not None:
                self._backend.restore(saved)

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> PruneReport:
        """Remove what is not kept of commit records, their documents and streams."""
        session = self._found
        rows = list(session.records.values())
        removed = _prunable(rows, retention.records)
        emptied = [row for row in _prunable(rows, retention.documents)[len(removed) :] if row.record]
        entries = {
            stream: session.streams[stream].rows[: max(0, len(session.streams[stream].rows) - max(keep, 0))]
            for stream, keep in retention.streams.items()
            if stream in session.streams
        }
        if not dry_run:
            for row in removed:
                del session.records[row.commit_id]
            for row in emptied:
                session.records[row.commit_id] = attrs.evolve(row, record=b"")
            for stream, gone in entries.items():
                session.streams[stream].trim(gone[-1].sequence if gone else 0)
        bodies = [entry.body for gone in entries.values() for entry in gone]
        return PruneReport(
            records=len(removed),
            documents=len(emptied),
            entries=len(bodies),
            bytes=sum(len(row.record) for row in (*removed, *emptied)) + sum(map(len, bodies)),
            dry_run=dry_run,
        )

    async def erase(
        self, *, incarnation: str, deleted_at: int, with_forks: bool = False, dry_run: bool = False
    ) -> DeleteReport:
        """Delete the session, and tell what went and what stays."""
        if incarnation in {dead.incarnation for dead in self._backend.dead(self._id)}:
            return DeleteReport(session_ids=(), nodes=0, bytes=0, shared_nodes=0, shared_with=(), dry_run=dry_run)
        session = self._backend.living.get(self._id)
        if session is None or session.head.incarnation != incarnation:
            raise SessionMissing(
                f"there is no incarnation {incarnation!r} of session {self._id!r}", session_id=self._id
            )
        return self._backend.erase(self._id, deleted_at, with_forks=with_forks, dry_run=dry_run)

    async def archive(self, *, after: str | None = None, limit: int | None = None) -> Sequence[ArchivedNode]:
        """Read all nodes of the graph, the hidden ones too, each with its owner."""
        session = self._backend.living.get(self._id)
        if session is None:
            return []
        graph = session.graph
        if after is not None and after not in graph.nodes:
            reason = f"session {self._id!r}: node {after!r} is not stored"
            raise CorruptSession(reason, kind="dangling_parent", node_ids=(after,), session_id=self._id)
        names = {sharer.head.incarnation: name for name, sharer in self._backend.sharing(graph).items()}
        start = 0 if after is None else list(graph.nodes).index(after) + 1
        return [
            ArchivedNode(node=node, owner=names.get(graph.owners[node.node_id]))
            for node in list(graph.nodes.values())[start:][:limit]
        ]

    async def sharers(self) -> Sequence[str]:
        """Name the living sessions that share the graph, oldest first."""
        session = self._backend.living.get(self._id)
        return list(self._backend.sharing(session.graph)) if session else []

    async def streams(self) -> Mapping[str, int]:
        """Give the streams' names, each with the newest sequence ever given."""
        session = self._backend.living.get(self._id)
        return {name: lane.last for name, lane in session.streams.items()} if session else {}

    @property
    def _found(self) -> Session:
        session = self._backend.living.get(self._id)
        if session is None:
            raise SessionMissing(f"there is no session {self._id!r}", session_id=self._id)
        return session


class MemoryUpkeep(MemoryData):
    """What the backend has of `RetainedBackend`, `CheckedBackend` and `ArchivingBackend`."""

    async def vacuum(
        self,
        *,
        grace: float = GRACE,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> VacuumReport:
        """Remove hidden nodes."""
        gone: list[Node] = []
        shown = young = 0
        for graph in self.graphs():
            parents = _parents(graph)
            leaves = [session.head.leaf for session in self.sharing(graph).values()]
            hidden = [node for node in graph.nodes.values() if node.hidden]
            visible = [node.node_id for node in graph.nodes.values() if not node.hidden]
            seen = above(parents, [*leaves, *visible])
            late = self.clock() - grace
            fresh = above(parents, [n.node_id for n in hidden if graph.hidden_at.get(n.node_id, late) > late]) - seen
            old = [node for node in hidden if node.node_id not in seen and node.node_id not in fresh]
            gone += old
            shown += sum(node.node_id in seen for node in hidden)
            young += len(fresh)
            if not dry_run:
                for node in hidden:
                    if node.node_id in seen:
                        graph.nodes[node.node_id] = attrs.evolve(node, hidden=False)
                for node in old:
                    graph.drop(node.node_id)
        size = sum(len(node.payload) for node in gone)
        return VacuumReport(
            nodes=len(gone), bytes=size, shown=shown, young=young, remaining=0, done=True, dry_run=dry_run
        )

    async def gc(
        self,
        *,
        grace: float = GRACE,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> CollectReport:
        """Remove blobs that nothing reaches."""
        reached = self.reached_refs()
        loose = [ref for ref in self.blobs if ref not in reached]
        late = self.clock() - grace
        old = [ref for ref in loose if self.put_at.get(ref, late) <= late]
        size = sum(len(self.blobs[ref]) for ref in old)
        if not dry_run:
            for ref in old:
                del self.blobs[ref]
        young = len(loose) - len(old)
        return CollectReport(
            blobs=len(old), segments=0, bytes=size, young=young, remaining=0, done=True, dry_run=dry_run
        )

    async def expire(
        self,
        *,
        now: int,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> ExpireReport:
        """Delete the sessions whose time to live is over."""
        over = sorted(
            name
            for name, session in self.living.items()
            if session.head.ttl and session.stored_at + session.head.ttl * 1_000_000 <= now
        )
        leases = {name: self.lease_of(name) for name in over}
        leased = {name for name, lease in leases.items() if lease and lease.expires_in > 0}
        saved = self.saved() if dry_run else None
        gone = [self.erase(name, now, with_forks=False, dry_run=False) for name in over if name not in leased]
        if saved is not None:
            self.restore(saved)
        return ExpireReport(
            session_ids=tuple(name for report in gone for name in report.session_ids),
            nodes=sum(report.nodes for report in gone),
            bytes=sum(report.bytes for report in gone),
            leased=len(leased),
            remaining=0,
            done=True,
            dry_run=dry_run,
        )

    async def check(self, *, repair: bool = False, progress: Progress | None = None) -> CheckReport:
        """Look for what breaks a rule."""
        findings = [finding for graph in self.graphs() for finding in self._check_graph(graph, repair)]
        for name, session in self.living.items():
            findings += self._check_session(name, session, repair)
        return CheckReport(
            sessions=len(self.living),
            nodes=sum(len(graph.nodes) for graph in self.graphs()),
            blobs=len(self.blobs),
            findings=tuple(findings),
        )

    def _check_graph(self, graph: Graph, repair: bool) -> Iterator[Finding]:
        name = next(iter(self.sharing(graph)))
        dangling, cycles = edge_faults(_parents(graph))
        for node_id in dangling:
            parent = graph.nodes[node_id].parent_node_id
            assert parent is not None
            detail = f"node {node_id!r} has the parent {parent!r}, which is not stored"
            done = f"node {node_id!r} is a root now: what is below it can be read again" if repair else None
            ids = (node_id, parent)
            yield Finding(kind="dangling_parent", detail=detail, session_id=name, node_ids=ids, repaired=done)
        for node_id in cycles:
            done = f"node {node_id!r} is a root now: the cycle is cut there" if repair else None
            detail = f"node {node_id!r} is its own ancestor"
            yield Finding(kind="parent_cycle", detail=detail, session_id=name, node_ids=(node_id,), repaired=done)
        for node_id in (*dangling, *cycles) if repair else ():
            graph.nodes[node_id] = attrs.evolve(graph.nodes[node_id], parent_node_id=None)

    def _check_session(self, name: str, session: Session, repair: bool) -> Iterator[Finding]:
        leaf, nodes = session.head.leaf, session.graph.nodes
        if leaf is not None and leaf not in nodes:
            done = None
            if repair:
                records = reversed(session.records.values())
                to = next((record.leaf for record in records if record.leaf in nodes), None)
                session.head = attrs.evolve(session.head, leaf=to)
                done = f"the leaf is {to!r} now, as an earlier commit left it" if to else "the leaf is unset now"
            detail = f"leaf {leaf!r} is not stored"
            yield Finding(kind="dangling_leaf", detail=detail, session_id=name, node_ids=(leaf,), repaired=done)
        for ref in self.refs_of(session) - self.blobs.keys():
            detail = f"it refers to blob {ref}, which is not stored"
            left = "nothing can be done: its content is nowhere in the store" if repair else None
            yield Finding(kind="missing_blob", detail=detail, session_id=name, left=left)

    async def load(self, rows: Iterable[ArchivedRow]) -> Sequence[str]:
        """Store a family of sessions from its rows, all or none."""
        saved = self.saved()
        try:
            return _load(self, rows)
        except BaseException:
            self.restore(saved)
            raise

    def refs_of(self, session: Session) -> set[str]:
        """Give the refs that a session has for certain: of components and of nodes."""
        sets = [session.head.components, *(record.components for record in session.records.values())]
        return {ref for refs in sets for ref in refs.values()} | {
            ref for node in session.graph.nodes.values() for ref in node.refs
        }

    def reached_refs(self) -> set[str]:
        """Give the refs of the blobs that something reaches."""
        reached: set[str] = set()
        for session in self.living.values():
            own = self.refs_of(session)
            bodies = [session.head.state, *(row.body for lane in session.streams.values() for row in lane.rows)]
            bodies += [self.blobs[ref] for ref in own if ref in self.blobs]
            reached |= own
            reached.update(match.decode() for body in bodies for match in _REF.findall(body))
        return reached

    def erase(self, session_id: str, deleted_at: int, *, with_forks: bool, dry_run: bool) -> DeleteReport:
        """Delete a living session, and perhaps those that stand on its nodes."""
        graph = self.living[session_id].graph
        sharers, parents = self.sharing(graph), _parents(graph)
        owners = {session.head.incarnation: name for name, session in sharers.items()}
        owned = {node_id: owners.get(owner) for node_id, owner in graph.owners.items()}
        standing = {
            name: above(parents, [session.head.leaf, *(each for each, owner in owned.items() if owner == name)])
            for name, session in sharers.items()
        }
        taken = {session_id}
        while with_forks and (
            more := {
                name
                for name, nodes in standing.items()
                if name not in taken and any(owned[each] in taken for each in nodes)
            }
        ):
            taken |= more
        kept = set().union(*(nodes for name, nodes in standing.items() if name not in taken))
        gone = [node for node in graph.nodes.values() if node.node_id not in kept]
        shared = {node_id for node_id in kept if owned[node_id] in taken}
        size = sum(len(node.payload) for node in gone)
        for name in taken:
            size += sum(len(record.record) for record in sharers[name].records.values())
            size += sum(len(row.body) for lane in sharers[name].streams.values() for row in lane.rows)
        if not dry_run:
            for name in taken:
                self.bury(name, deleted_at)
            for node in gone:
                graph.drop(node.node_id)
        return DeleteReport(
            session_ids=tuple(sorted(taken, key=lambda name: (name != session_id, list(sharers).index(name)))),
            nodes=len(gone),
            bytes=size,
            shared_nodes=len(shared),
            shared_with=tuple(
                sorted(name for name in sharers if name not in taken and not shared.isdisjoint(standing[name]))
            ),
            dry_run=dry_run,
        )


class _Redacting:
    """Takes one payload out of a graph's sessions."""

    def __init__(self, backend: MemoryUpkeep, graph: Graph, redaction: Redaction) -> None:
        self._backend = backend
        self._graph = graph
        self._redaction = redaction
        self._sharers = backend.sharing(graph)
        self._replaced: dict[str, str] = {}
        self._dropped: set[str] = set()
        self._freed = 0

    def run(self, session_id: str) -> RedactReport:
        own = self._own_refs()
        copies = self._nodes()
        self._components()
        heads = records = entries = 0
        for session in self._sharers.values():
            heads += self._head(session)
            records += self._records(session)
            entries += sum(self._stream(lane) for lane in session.streams.values())
        self._backend.put_entry(session_id, AUDIT_STREAM, self._redaction.audit)
        self._dropped -= self._backend.reached_refs()
        for ref in self._dropped:
            self._freed += len(self._backend.blobs.pop(ref, b""))
        return RedactReport(
            node_id=self._redaction.node_id,
            copies=tuple(copies),
            records=records,
            entries=entries,
            heads=heads,
            components=len(self._replaced),
            blobs=len(self._dropped),
            shared_blobs=len(own - self._dropped),
            sessions=tuple(sorted(self._sharers)),
            bytes=self._freed,
            dry_run=False,
        )

    def _own_refs(self) -> set[str]:
        nodes = (self._graph.nodes[node_id] for node_id in self._redaction.payloads if node_id in self._graph.nodes)
        return {ref for node in nodes for ref in node.refs}

    def _scrub(self, body: bytes) -> bytes | None:
        scrubbed = self._redaction.scrub(body)
        if scrubbed is not None:
            self._freed += max(0, len(body) - len(scrubbed))
        return scrubbed

    def _nodes(self) -> Iterator[str] | list[str]:
        copies = []
        for node_id, node in list(self._graph.nodes.items()):
            marker = self._redaction.payloads.get(node_id)
            if marker is not None:
                self._freed += max(0, len(node.payload) - len(marker))
                self._dropped.update(node.refs)
                self._graph.nodes[node_id] = attrs.evolve(node, payload=marker, refs=())
            elif (scrubbed := self._scrub(node.payload)) is not None:
                self._graph.nodes[node_id] = attrs.evolve(node, payload=scrubbed)
            else:
                continue
            if node_id != self._redaction.node_id:
                copies.append(node_id)
        return copies

    def _components(self) -> None:
        refs = {ref for session in self._sharers.values() for ref in session.head.components.values()}
        for session in self._sharers.values():
            refs.update(ref for record in session.records.values() for ref in record.components.values())
        for ref in refs & self._backend.blobs.keys():
            if (scrubbed := self._scrub(self._backend.blobs[ref])) is not None:
                self._replaced[ref] = blob_ref(scrubbed)
                self._dropped.add(ref)
                self._backend.put_blob(self._replaced[ref], scrubbed)

    def _moved(self, components: Mapping[str, str]) -> dict[str, str]:
        return {name: self._replaced.get(ref, ref) for name, ref in components.items()}

    def _head(self, session: Session) -> bool:
        scrubbed, head = self._scrub(session.head.state), session.head
        state = head.state if scrubbed is None else scrubbed
        session.head = attrs.evolve(head, state=state, components=self._moved(head.components))
        return scrubbed is not None

    def _records(self, session: Session) -> int:
        count = 0
        for commit_id, record in session.records.items():
            scrubbed = self._scrub(record.record)
            body = record.record if scrubbed is None else scrubbed
            session.records[commit_id] = attrs.evolve(record, record=body, components=self._moved(record.components))
            count += scrubbed is not None
        return count

    def _stream(self, lane: Stream) -> int:
        scrubbed = [(row, self._scrub(row.body)) for row in lane.rows]
        lane.rows = [row if body is None else attrs.evolve(row, body=body) for row, body in scrubbed]
        return sum(body is not None for _, body in scrubbed)


def _parents(graph: Graph) -> dict[str, str | None]:
    return {node.node_id: node.parent_node_id for node in graph.nodes.values()}


def _prunable(rows: Sequence[CommitRecord], keep: Keep | None) -> list[CommitRecord]:
    """Give the oldest records, up to the first one that is kept."""
    if keep is None or (keep.last is None and keep.since is None):
        return []
    turn = rows[-1].open_turn if rows else None
    pruned = []
    for row in rows[: max(0, len(rows) - max(1, keep.last or 0))]:
        if (keep.since is not None and row.committed_at >= keep.since) or (turn is not None and row.open_turn == turn):
            break
        pruned.append(row)
    return pruned


def _load(backend: MemoryUpkeep, rows: Iterable[ArchivedRow]) -> list[str]:
    heads: dict[str, Head] = {}
    graph: Graph | None = None
    stage = 0
    for row in rows:
        order = 0 if isinstance(row, ArchivedHead) else 1 if isinstance(row, ArchivedNode) else 2
        if order < stage or (order and not heads):
            raise InvalidInput(f"a {type(row).__name__} is not in its place among the rows of an archive")
        stage = order
        if isinstance(row, ArchivedHead):
            _check_new(backend, row.head)
            graph = backend.begin(row.head, graph)
            heads[row.head.session_id] = row.head
        elif isinstance(row, ArchivedNode):
            assert graph is not None
            _add_node(backend, graph, row, heads)
        elif row.session_id not in heads:
            raise InvalidInput(f"session {row.session_id!r} has rows in the archive, but no head")
        elif isinstance(row, ArchivedRecord):
            _need(backend, row.session_id, row.record.components.values())
            backend.living[row.session_id].records[row.record.commit_id] = row.record
        else:
            backend.begin_stream(row)
    return list(heads)


def _check_new(backend: MemoryUpkeep, head: Head) -> None:
    if head.session_id in backend.living:
        raise SessionExists(f"session {head.session_id!r} is there already", session_id=head.session_id)
    if head.incarnation in {dead.incarnation for dead in backend.dead(head.session_id)}:
        raise SessionDeleted(
            f"session {head.session_id!r} was deleted: this writer is refused for ever", session_id=head.session_id
        )
    _need(backend, head.session_id, head.components.values())


def _add_node(backend: MemoryUpkeep, graph: Graph, row: ArchivedNode, heads: Mapping[str, Head]) -> None:
    node, session_id = row.node, next(iter(heads))
    if node.node_id in graph.nodes:
        reason, kind = f"node {node.node_id!r} is there twice", "duplicate_node"
        raise CorruptSession(f"session {session_id!r}: {reason}", kind=kind, node_ids=(node.node_id,))
    if node.parent_node_id is not None and node.parent_node_id not in graph.nodes:
        reason = f"node {node.node_id!r} comes before its parent {node.parent_node_id!r}"
        raise CorruptSession(f"session {session_id!r}: {reason}", kind="dangling_parent", node_ids=(node.node_id,))
    _need(backend, session_id, node.refs)
    graph.nodes[node.node_id] = node
    owner = heads.get(row.owner) if row.owner is not None else None
    graph.owners[node.node_id] = owner.incarnation if owner else ""
    if node.hidden:
        graph.hidden_at[node.node_id] = backend.clock()


def _need(backend: MemoryUpkeep, session_id: str, refs: Iterable[str]) -> None:
    for ref in refs:
        if ref not in backend.blobs:
            raise MissingBlob(session_id=session_id, ref=ref)

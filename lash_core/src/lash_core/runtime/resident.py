"""What of a session is in memory, kept in step with its store; the one place that writes commits."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import CorruptSession, HeadRevisionConflict, UnreadableData, WriterFenced
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.events import LeafHealed, StoredEvent
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import Payload, decode_payload, kind_of, refs_of
from lash_hookspecs.records.state import CommitDocument, HeadDocument, PluginFingerprint
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    Consumed,
    Deleted,
    Fork,
    Head,
    Holder,
    Receipt,
    Writer,
    blob_ref,
)
from lash_hookspecs.records.usage import UsageRow, merge_ledger
from pydantic import ValidationError

from lash_core.graph.conversation import Conversation
from lash_core.graph.session_graph import Healed, SessionGraph
from lash_core.runtime.environment import Residency
from lash_core.runtime.reading import read_record

if TYPE_CHECKING:
    from lash_core.runtime.environment import RuntimeEnvironment

__all__ = ["KEPT", "Change", "ResidentSession", "read_document"]

#: The step of a commit that keeps the tail of a turn that lost a conflict: it moves neither leaf nor components (T7).
KEPT = "kept"

#: How many commits are looked through for a leaf that is still there, before a dangling one is healed.
_LOOK_BACK = 100


@attrs.frozen(kw_only=True)
class Change:
    """What one commit does, in the runtime's words.

    Attributes:
        step: What it is for; see `CommitDocument`.
        document: The head's document after it; its ledger is added to by ``usage``.
        payloads: New payloads with their node ids; they follow the leaf and move it.
        leaf: Where the leaf is moved before that, for a branch.
        moves_leaf: Whether ``leaf`` counts.
        events: Stored events.
        usage: Usage deltas.
        journaled: Usage deltas of responses that the journal holds, used up by ``consumed``.
        filed: Usage of descendants that a stream holds, likewise.
        noted: Events that wait for a commit, any commit.
        consumed: Stream entries that are used up.
        fork: For the first commit of a fork.
        nodes: Nodes copied as they are, parents before children; the leaf is moved behind them.
        blobs: Bodies that new nodes refer to.
        components: Bodies of components (S6); those that are not named stay as they are, unless ``all_components``.
        dropped: Names of components that do not stay.
        all_components: Whether no other component stays.
        plugins: Who took part (P8).
    """

    step: str
    document: HeadDocument
    payloads: Sequence[tuple[str, Payload]] = ()
    leaf: str | None = None
    moves_leaf: bool = False
    events: Sequence[StoredEvent] = ()
    usage: Sequence[UsageRow] = ()
    journaled: Sequence[UsageRow] = ()
    filed: Sequence[UsageRow] = ()
    noted: Sequence[StoredEvent] = ()
    consumed: Sequence[Consumed] = ()
    fork: Fork | None = None
    nodes: Sequence[Node] = ()
    blobs: Mapping[str, bytes] = attrs.field(factory=dict)
    components: Mapping[str, bytes] = attrs.field(factory=dict)
    dropped: Collection[str] = ()
    all_components: bool = False
    plugins: tuple[PluginFingerprint, ...] = ()

    @property
    def all_usage(self) -> tuple[UsageRow, ...]:
        """What the ledger is added to by."""
        return (*self.usage, *self.journaled, *self.filed)


@attrs.frozen
class _Lost:
    """A commit whose answer was no receipt: stored or not, the next look at the records tells.

    Attributes:
        commit_id: What it is called.
        usage: The usage that it carried.
        noted: The events that waited for it.
    """

    commit_id: str
    usage: tuple[UsageRow, ...]
    noted: tuple[StoredEvent, ...]


class ResidentSession:
    """A session's head, document, graph and conversation.

    Attributes:
        session_id: The session.
        store: Its store.
        head: The stored head as last seen; ``None`` when it was never committed.
        document: The head's document.
        graph: Resident nodes (L4).
        epoch: The fencing number that this writer carries.
        holder: Who this writer is, for people.
        labels: For the first commit.
        ttl: What the session's shall be; ``None`` to leave it.
        unflushed: Usage of a commit that failed; it rides the next one (T7).
        stored_after_all: The last commit that seemed to fail and turned out to be stored.
        untold: Events of a commit that failed, likewise.
        scope_id: Tells this runtime from any other one of the session; in traces.
        tracer: What happens to the session is told to it.
    """

    def __init__(self, session_id: str, store: SessionStore, env: RuntimeEnvironment) -> None:
        self.session_id = session_id
        self.store = store
        self.head: Head | None = None
        self.document = HeadDocument()
        self.graph = SessionGraph()
        self.epoch = 0
        self.holder: Holder | None = None
        self._signed: int | None = None
        self.labels: Mapping[str, str] | None = None
        self.ttl: float | None = None
        self.unflushed: tuple[UsageRow, ...] = ()
        self.untold: tuple[StoredEvent, ...] = ()
        self._lost: _Lost | None = None
        self.stored_after_all: str | None = None
        self._failed = ""
        self.scope_id = secrets.token_hex(8)
        self.tracer = env.tracer.bind(session_id=session_id, scope_id=self.scope_id)
        self._env = env
        self._incarnation = secrets.token_hex(8)
        self._conversation: Conversation | None = None
        self._healed: Healed | None = None
        self._refreshing = asyncio.Lock()

    @property
    def revision(self) -> int | None:
        """The stored revision as last seen."""
        return self.head.revision if self.head else None

    @property
    def healed(self) -> Healed | None:
        """A dangling leaf that was moved in memory; its next commit records it (G3)."""
        return self._healed

    @property
    def component_refs(self) -> Mapping[str, str]:
        """The stored component set: name → blob ref."""
        return self.head.components if self.head else {}

    async def component_bodies(self, refs: Mapping[str, str]) -> Mapping[str, bytes]:
        """Read the bodies of components.

        Raises:
            MissingBlob: One is gone (S6).
        """
        if not refs:
            return {}
        bodies = await self.store.get_blobs(sorted(set(refs.values())))
        return {name: bodies[ref] for name, ref in refs.items()}

    @property
    def writer(self) -> Writer:
        """Who this writer is, for the store."""
        return Writer(self._incarnation, self.epoch)

    @property
    def conversation(self) -> Conversation:
        """The read model of the active path; decoded when it is first asked for."""
        if self._conversation is None:
            try:
                self._conversation = Conversation(self.graph.path)
            except UnreadableData as error:
                raise error.of_session(self.session_id)  # noqa: B904  it is the same one
        return self._conversation

    async def refresh(self) -> Absent | Deleted | Head:
        """Read the head, and what is new of the path if somebody else has committed.

        One at a time: a writer refreshes first, so a reader's late answer never replaces what the writer stored.

        Raises:
            UnreadableData: The head or a payload cannot be read (S9).
            CorruptSession: The path has a hole or a cycle (G4).
        """
        async with self._refreshing:
            try:
                return await self._refresh()
            except UnreadableData as error:
                raise error.of_session(self.session_id)  # noqa: B904  it is the same one

    async def _refresh(self) -> Absent | Deleted | Head:
        found = await self.store.head()
        await self._settle_lost()
        if not isinstance(found, Head):
            if self.head is not None:
                self._forget()
            return found
        known = self.head
        if known is not None and (known.incarnation, known.revision) == (found.incarnation, found.revision):
            return found
        document = read_document(found)
        await self._load_graph(found, known)
        self.head, self.document = found, document
        self._incarnation = found.incarnation
        return found

    @contextlib.contextmanager
    def holding(self, nodes: Sequence[Node]) -> Iterator[None]:
        """Hold stored nodes beside the active path, while a commit moves the leaf to where they lead."""
        self.graph.insert(node for node in nodes if node.node_id not in self.graph)
        try:
            yield
        finally:
            if self._env.residency is Residency.ACTIVE_PATH_ONLY:
                self.graph.trim()

    async def commit(self, change: Change, commit_id: str | None = None) -> Receipt:
        """Store a change atomically and take it over; on an error the resident state is as it was (T7).

        Args:
            change: What to store.
            commit_id: What the commit is called (S4); a fresh id by default.

        Raises:
            HeadRevisionConflict: Somebody else committed first, and more than what a lost conflict left beside the
                active path.
        """
        commit_id = commit_id or secrets.token_hex(8)
        if self.unflushed or self.untold:
            change = attrs.evolve(change, usage=(*self.unflushed, *change.usage), noted=(*self.untold, *change.noted))
        while True:
            commit, document, record = self._prepared(change, commit_id)
            try:
                with self.tracer.commit(record, commit):
                    receipt = await self.store.commit(commit)
                break
            except BaseException as error:
                if isinstance(error, HeadRevisionConflict) and await self._follow_kept():
                    change = attrs.evolve(change, document=change.document.evolve(usage=self.document.usage))
                    continue
                self._failed = commit.commit_id
                self._keep(commit.commit_id, change, error)
                raise
        self.unflushed, self.untold = (), ()
        self._take_over(commit, document, receipt, change)
        return receipt

    def _prepared(self, change: Change, commit_id: str) -> tuple[Commit, HeadDocument, CommitDocument]:
        now = self._env.clock()
        nodes = self._nodes(change, now)
        document = change.document
        if change.all_usage:
            document = document.evolve(usage=merge_ledger(document.usage, change.all_usage))
        components, bodies = self._components(change)
        record = self._record(change)
        commit = Commit(
            session_id=self.session_id,
            commit_id=commit_id,
            writer=self.writer,
            expected_revision=self.revision,
            leaf=self._leaf(change, nodes),
            state=document.to_bytes(),
            record=record.to_bytes(),
            committed_at=now,
            nodes=tuple(nodes),
            components=components,
            blobs={**change.blobs, **bodies},
            open_turn=document.open_turn.turn_id if document.open_turn else None,
            consumed=tuple(change.consumed),
            fork=change.fork,
            labels=self.labels if self.head is None else None,
            ttl=self.ttl if self.ttl != (self.head.ttl if self.head else 0.0) else None,
        )
        return commit, document, record

    async def _follow_kept(self) -> bool:
        """Go on behind commits that only kept what others had lost; ``False`` when there is any other."""
        known = self.head
        if known is None:
            return False
        records = await self.store.records(after=known.revision)
        if not records or records[-1].revision != known.revision + len(records):
            return False  # retention removed some of them
        if any(not record.record or read_record(record).step != KEPT for record in records):
            return False
        await self.refresh()
        return self.head is not None and self.head.revision == records[-1].revision

    def release_turn_usage(self) -> tuple[UsageRow, ...]:
        """Give the usage of turns that a failed commit left for the next one, and keep it no longer."""
        waiting = (*self.unflushed, *(self._lost.usage if self._lost else ()))
        self.unflushed = tuple(row for row in self.unflushed if row.source != "turn")
        if self._lost is not None:
            others = tuple(row for row in self._lost.usage if row.source != "turn")
            self._lost = attrs.evolve(self._lost, usage=others)
        return tuple(row for row in waiting if row.source == "turn")

    def _keep(self, commit_id: str, change: Change, error: BaseException) -> None:
        """Keep what a failed commit carried for others; who took the session over lists the turn's calls as unknown."""
        if isinstance(error, WriterFenced):
            self.unflushed = tuple(row for row in change.usage if row.source != "turn")
            self.untold = tuple(change.noted)
        else:
            self.unflushed, self.untold = (), ()
            self._lost = _Lost(commit_id, tuple(change.usage), tuple(change.noted))

    @property
    def has_lost(self) -> bool:
        """Whether a commit carried something for others of which nobody knows whether it is stored."""
        return self._lost is not None and bool(self._lost.usage or self._lost.noted)

    def keeps(self, commit_id: str) -> bool:
        """Tell whether a commit failed in the store: what it carried for others is kept here."""
        return self._failed == commit_id

    async def _settle_lost(self) -> None:
        """Learn whether a commit that failed is stored after all; the what it carried for others rides the next."""
        if self._lost is None:
            return
        lost = self._lost
        records = await self.store.records(after=self.revision or 0)
        self._lost = None
        if any(record.commit_id == lost.commit_id for record in records):
            self.stored_after_all = lost.commit_id
        else:
            self.unflushed = (*self.unflushed, *lost.usage)
            self.untold = (*self.untold, *lost.noted)

    def _components(self, change: Change) -> tuple[Mapping[str, str], Mapping[str, bytes]]:
        stored = self.head.components if self.head else {}
        refs = {name: blob_ref(body) for name, body in change.components.items()}
        bodies = {ref: change.components[name] for name, ref in refs.items() if stored.get(name) != ref}
        if change.all_components:
            return refs, bodies
        return {**{name: ref for name, ref in stored.items() if name not in change.dropped}, **refs}, bodies

    def _leaf(self, change: Change, nodes: Sequence[Node]) -> str | None:
        if change.payloads or (nodes and not change.moves_leaf):
            return nodes[-1].node_id
        return change.leaf if change.moves_leaf else self.graph.leaf

    def _nodes(self, change: Change, now: int) -> list[Node]:
        nodes = list(change.nodes)
        parent = change.leaf if change.moves_leaf else (nodes[-1].node_id if nodes else self.graph.leaf)
        for node_id, payload in change.payloads:
            body = payload.to_bytes()
            nodes.append(Node(node_id, parent, now, kind_of(payload), body, refs=refs_of(payload)))
            parent = node_id
        return nodes

    def _record(self, change: Change) -> CommitDocument:
        turn = change.document.open_turn or self.document.open_turn
        healed = self._healed
        events = (*change.noted, *change.events)
        if healed is not None:
            events = (LeafHealed(dangling=healed.dangling, leaf=healed.leaf), *events)
        return CommitDocument(
            step=change.step,
            turn_id=turn.turn_id if turn else None,
            turn_index=turn.turn_index if turn else None,
            usage=merge_ledger((), change.all_usage),
            events=events,
            plugins=change.plugins,
            writer=self.holder.describe() if self.holder and self._signed != self.epoch else None,
        )

    def _take_over(self, commit: Commit, document: HeadDocument, receipt: Receipt, change: Change) -> None:
        known = self.head
        self.head = Head(
            session_id=self.session_id,
            incarnation=commit.writer.incarnation,
            revision=receipt.revision,
            epoch=self.epoch,
            leaf=commit.leaf,
            components=commit.components,
            state=commit.state,
            open_turn=commit.open_turn,
            labels=known.labels if known else dict(commit.labels or {}),
            ttl=commit.ttl if commit.ttl is not None else (known.ttl if known else 0.0),
            created_at=known.created_at if known else commit.committed_at,
            updated_at=commit.committed_at,
        )
        self.document = document
        self._healed = None
        self._signed = self.epoch
        copied = len(change.nodes)
        self.graph.insert(node for node in commit.nodes[:copied] if node.node_id not in self.graph)
        if change.moves_leaf:
            self.graph.set_leaf(change.leaf)
            self._conversation = None
        self.graph.extend(commit.nodes[copied:])
        if change.moves_leaf and self._env.residency is Residency.ACTIVE_PATH_ONLY:
            self.graph.trim()
        if self._conversation is not None:
            for node, (_, payload) in zip(commit.nodes[copied:], change.payloads, strict=True):
                self._conversation.add(node, payload)

    async def _load_graph(self, head: Head, known: Head | None) -> None:
        if known is not None and known.incarnation == head.incarnation and await self._catch_up(head, known):
            return
        self._conversation = None
        self.graph = await self._whole_graph(head)

    async def _catch_up(self, head: Head, known: Head) -> bool:
        """Read what others have put behind the resident leaf; ``False`` when the leaf is elsewhere."""
        if known.leaf is None or head.leaf is None or self.graph.dangling:
            return False
        try:
            fresh = await self.store.path(head.leaf, after=known.leaf) if head.leaf != known.leaf else ()
            keeps_all = self._env.residency is Residency.KEEP_ALL
            beside = await self.store.graph(after=self.graph.newest) if keeps_all else ()
        except CorruptSession:  # the leaf is elsewhere; or the session that shared its nodes with this one is deleted
            return False
        if any(node.node_id in self.graph for node in fresh):
            return False
        on_path = {node.node_id for node in fresh}
        self.graph.insert(node for node in beside if node.node_id not in on_path and node.node_id not in self.graph)
        if self._conversation is not None:
            read = [(node, payload) for node in fresh if (payload := decode_payload(node)) is not None]
            for node, payload in read:
                self._conversation.add(node, payload)
        self.graph.extend(fresh)
        return True

    async def _whole_graph(self, head: Head) -> SessionGraph:
        try:
            if self._env.residency is Residency.KEEP_ALL:
                graph = SessionGraph(await self.store.graph(), head.leaf)
            else:
                return SessionGraph(await self.store.path(head.leaf) if head.leaf is not None else (), head.leaf)
        except CorruptSession as error:
            if error.kind != "dangling_leaf":
                raise
            graph = SessionGraph(await self.store.graph(), head.leaf)
        if graph.dangling:
            self._healed = graph.heal(await self._last_known_path(head, graph))
        if self._env.residency is Residency.ACTIVE_PATH_ONLY:
            graph.trim()
        return graph

    async def _last_known_path(self, head: Head, graph: SessionGraph) -> list[str]:
        """Give the resident path, or the one of the newest commit whose leaf is still there."""
        if self.graph.path:
            return [node.node_id for node in self.graph.path]
        records = await self.store.records(after=max(0, head.revision - _LOOK_BACK))
        known = (record.leaf for record in reversed(records) if record.leaf is not None and record.leaf in graph)
        leaf = next(known, None)
        return [] if leaf is None else [node.node_id for node in graph.path_to(leaf)]

    def _forget(self) -> None:
        self.head = None
        self.document = HeadDocument()
        self.graph = SessionGraph()
        self._conversation = None
        self._incarnation = secrets.token_hex(8)


def read_document(head: Head) -> HeadDocument:
    """Decode a head's document.

    Raises:
        UnreadableData: It does not fit.
    """
    try:
        return HeadDocument.from_bytes(head.state)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "document"
        raise UnreadableData(row="the head", reason=f"{where}: {first['msg']}", session_id=head.session_id) from error

"""`LashRuntime`: one live session."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import attrs
from lash_hookspecs.errors import (
    ConfigurationError,
    LashError,
    SessionBindingMismatch,
    SessionDeleted,
    SessionExists,
    SessionMissing,
    StoreRegressed,
    TurnError,
)
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.protocols.tasks import SessionTasks
from lash_hookspecs.records.events import Branched, NodesAppended
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ModeEvent, Payload, PluginNode
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest, SessionReadView
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.store import Deleted, Head, Holder, Receipt
from lash_hookspecs.records.tools import Availability
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult
from lash_hookspecs.specs.events import (
    SessionClosed,
    SessionRestored,
    lash_on_session_closed,
    lash_on_session_restored,
)

from lash_core.graph.conversation import Item
from lash_core.runtime.beginnings import begin_at, begin_with, origin_of, turn_index_of
from lash_core.runtime.children import Child, create_child, end_of_chain
from lash_core.runtime.completion import complete
from lash_core.runtime.configuring import configure
from lash_core.runtime.environment import Residency, RuntimeEnvironment
from lash_core.runtime.live import refuse_live, register, unregister
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.parked import ParkedSession
from lash_core.runtime.parts import open_parts
from lash_core.runtime.policy import SessionPolicy, SessionSpec
from lash_core.runtime.reading import EventCursor, SequencedEvent, orphaned_node_ids, replay_events
from lash_core.runtime.report import RestoreReport
from lash_core.runtime.resident import Change, ResidentSession
from lash_core.runtime.rewriting import new_node_id, rewrite_history, window_of
from lash_core.runtime.services import read_view
from lash_core.runtime.state import PersistedSessionState
from lash_core.runtime.text import check_session_id, check_text, clean_payload
from lash_core.runtime.turns import Emit, abandon, asking, begin, continue_turn, drive, refused
from lash_core.stores.memory import MemoryBackend

__all__ = ["Appended", "LashRuntime", "StaleBranch"]

Store = SessionStore | StoreBackend


@attrs.frozen
class Appended:
    """Nodes were appended and committed.

    Attributes:
        node_ids: The new nodes, in order; the last one is the leaf.
        receipt: The store's receipt.
    """

    node_ids: tuple[str, ...]
    receipt: Receipt


@attrs.frozen
class StaleBranch:
    """Nothing was appended: the path does not hold the required ancestor any more (G7).

    Attributes:
        current_leaf: Where the session stands.
    """

    current_leaf: str | None


class LashRuntime:
    """One live session: it runs turns, branches, parks.

    Build it with one of the ``from_…`` doors or with `resume`. One turn runs at a time; a second one is refused.

    All doors end in one order (L1): session id → policy → graph (a dangling leaf is healed) → plugins and mode → tool
    state → plugin snapshots → mode state → `lash_on_session_restored`. Nothing is written, but for a state that the
    store does not hold yet: that is committed at once.
    """

    def __init__(self, session: OpenSession) -> None:
        """Wrap a session; use a door."""
        self.session = session
        self._parked: ParkedSession | None = None

    # The doors

    @classmethod
    async def from_environment(
        cls,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        state: PersistedSessionState | None = None,
        store: Store | None = None,
    ) -> LashRuntime:
        """Open a session by the door that fits: with a store or without, with background tasks or without.

        Args:
            env: Shared services.
            spec: Which session, and what the caller sets for it.
            state: What the session is; ``None`` for what the store has, else a fresh one. One that was read from the
                store must not be newer than the store; one that no store has is committed at once.
            store: The session's store, or a database; else the environment's.

        Raises:
            ConfigurationError: ``Residency.ACTIVE_PATH_ONLY`` without a store; said before anything is read.
            PolicyError: A value of the spec cannot be; names the field.
            SessionMissing, SessionExists: As ``spec.create`` demands, or as ``state`` does.
            UnknownName, PluginError: The mode, a tool set or a plugin of the session cannot be used; named.
            UnreadableData, CorruptSession, MissingBlob: What is stored cannot be used.
        """
        stored, background = store is not None or env.store is not None, env.tasks is not None
        if stored and background:
            return await cls.from_persistent_background_state(env, spec, state, store)
        if stored:
            return await cls.from_persistent_embedded_state(env, spec, state, store)
        if background:
            return await cls.from_background_state(env, spec, state)
        return await cls.from_embedded_state(env, spec, state)

    @classmethod
    async def from_embedded_state(
        cls, env: RuntimeEnvironment, spec: SessionSpec, state: PersistedSessionState | None = None
    ) -> LashRuntime:
        """Open a session that lives in memory, without background tasks; raises like `from_environment`."""
        return await cls._build(env.evolve(store=None, tasks=None), spec, state, None)

    @classmethod
    async def from_background_state(
        cls, env: RuntimeEnvironment, spec: SessionSpec, state: PersistedSessionState | None = None
    ) -> LashRuntime:
        """Open a session that lives in memory, with background tasks; raises like `from_environment`."""
        _require_tasks(env)
        return await cls._build(env.evolve(store=None), spec, state, None)

    @classmethod
    async def from_persistent_embedded_state(
        cls,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        state: PersistedSessionState | None = None,
        store: Store | None = None,
    ) -> LashRuntime:
        """Open a session of a store, without background tasks; raises like `from_environment`."""
        _require_store(env, store)
        return await cls._build(env.evolve(tasks=None), spec, state, store)

    @classmethod
    async def from_persistent_background_state(
        cls,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        state: PersistedSessionState | None = None,
        store: Store | None = None,
    ) -> LashRuntime:
        """Open a session of a store, with background tasks; raises like `from_environment`."""
        _require_store(env, store)
        _require_tasks(env)
        return await cls._build(env, spec, state, store)

    @classmethod
    async def resume(cls, parked: ParkedSession, env: RuntimeEnvironment) -> LashRuntime:
        """Open a parked session again, in any process (L8).

        Raises:
            SessionBusy: The session is open in this process; names the runtime.
            SessionMissing: The handle has a revision and the store has no such session.
            SessionDeleted: The session was deleted.
            StoreRegressed: The store is older than the handle.
        """
        if env.store is None:
            raise ConfigurationError("resume needs an environment with a store")
        refuse_live(env.store, parked.session_id)
        parked.check(await env.store.session(parked.session_id).head(), env.store.name)
        return await cls.from_environment(env, parked.spec())

    @classmethod
    async def _build(
        cls, env: RuntimeEnvironment, spec: SessionSpec, state: PersistedSessionState | None, store: Store | None
    ) -> LashRuntime:
        """Every door ends here (L1)."""
        if store is not None and not isinstance(store, SessionStore):
            env, store = env.evolve(store=store), None
        if env.residency is Residency.ACTIVE_PATH_ONLY and store is None and env.store is None:
            raise ConfigurationError("Residency.ACTIVE_PATH_ONLY needs a store: what is not resident must be somewhere")
        session_id = check_session_id(spec.session_id or (state.session_id if state else ""))
        spec = attrs.evolve(spec, session_id=session_id)
        spec.over(SessionConfig())
        backend = env.store or MemoryBackend()
        durable = backend.capabilities.durability != "none" if store is None else True
        resident = ResidentSession(session_id, store or backend.session(session_id), env)
        resident.labels = spec.labels if spec.labels is not None or state is None else dict(state.labels)
        runtime = cls(OpenSession(env, spec, resident, backend, durable=durable))
        await runtime.session.open()
        try:
            if state is not None:
                await runtime._take_up(state)
            await runtime._announce()
        except BaseException:
            await runtime.session.parts.close()
            raise
        register(runtime, env.store)
        return runtime

    async def _take_up(self, state: PersistedSessionState) -> None:
        """Hold a state that was brought to what the store has, and commit one that no store has."""
        session, head = self.session, self.session.resident.head
        if state.session_id not in ("", self.session_id):
            raise SessionBindingMismatch(bound=self.session_id, requested=state.session_id)
        if head is None and not state.fresh:
            async with session.writing():
                await begin_with(session, state, state.document, step="state")
        elif head is not None and state.revision is None and not state.fresh:
            raise SessionExists(
                f"session {self.session_id!r} is in {session.backend.name} already, and the state that was given was "
                "never stored: leave the state out to open what is stored, or give it another session id",
                session_id=self.session_id,
            )
        elif head is not None and head.revision < (state.revision or 0):
            raise StoreRegressed(
                f"session {self.session_id!r} is at revision {head.revision} in {session.backend.name}, the state at "
                f"{state.revision}: the store is older than the state",
                session_id=self.session_id,
            )

    async def _announce(self) -> None:
        session = self.session
        session.resident.tracer.session_opened(
            self.head, self.document.evolve(config=session.config), session.backend.name
        )
        await self.session.parts.hooks.notify(
            lash_on_session_restored,
            SessionRestored(
                session_id=self.session_id,
                revision=self.session.resident.revision,
                turn_index=self.document.turn_index,
                interrupted=self.interrupted,
                session=self.session.services,
            ),
        )

    # What it is

    @property
    def session_id(self) -> str:
        """The session."""
        return self.session.session_id

    @property
    def env(self) -> RuntimeEnvironment:
        """The shared services that it was built with."""
        return self.session.env

    @property
    def scope_id(self) -> str:
        """Tells this runtime from any other one of the session; in traces and in messages."""
        return self.session.scope_id

    @property
    def me(self) -> Holder:
        """This runtime as the holder of a lease."""
        return self.session.holder

    @property
    def head(self) -> Head | None:
        """The stored head as last seen; ``None`` before the first commit."""
        return self.session.resident.head

    @property
    def document(self) -> HeadDocument:
        """The head's document as last seen."""
        return self.session.document

    @property
    def report(self) -> RestoreReport:
        """What differs between the session as it was stored and as it is now (L5, P8)."""
        return self.session.parts.report

    @property
    def interrupted(self) -> bool:
        """Whether a turn is unfinished and nobody works on it (L14)."""
        return self.document.open_turn is not None and not self.running

    @property
    def running(self) -> bool:
        """Whether a turn runs, here or elsewhere, as last seen."""
        return self.session.run is not None or (
            self.session.holder_elsewhere is not None and self.document.open_turn is not None
        )

    @property
    def holder(self) -> Holder | None:
        """Who runs a turn elsewhere, as last seen."""
        return self.session.holder_elsewhere

    @property
    def path(self) -> list[Node]:
        """The nodes of the active path, root first."""
        return list(self.session.resident.graph.path)

    @property
    def items(self) -> list[Item]:
        """The nodes of the active path with their payloads, root first."""
        return list(self.session.resident.conversation.items)

    @property
    def resident_node_count(self) -> int:
        """How many nodes are in memory (L4)."""
        return len(self.session.resident.graph)

    def view(self) -> SessionReadView:
        """Give the session as it is in memory at this moment; never waits for a turn."""
        return read_view(self.session)

    def describe(self) -> str:
        """Name this runtime, for messages."""
        return f"runtime {self.scope_id} of {self.me.describe()}"

    async def policy(self) -> SessionPolicy:
        """Resolve what turns are run with: what the caller set, over what is stored, over what the provider says (L3).

        Raises:
            UnknownName, ConfigurationError: The model cannot be used.
        """
        policy = await self.session.policy()
        policy.warn_if_assumed()
        return policy

    async def refresh(self) -> None:
        """Read what others have committed, and whether a turn runs elsewhere; nothing while one runs here."""
        if self.session.slot.taken:
            return
        found = await self.session.refresh()
        if isinstance(found, Deleted) and self.session.spec.create is False:
            raise SessionDeleted(f"session {self.session_id!r} was deleted", session_id=self.session_id)
        await self.session.see_lease()

    # Turns

    async def turn(
        self,
        turn_input: TurnInput,
        limits: TurnLimits,
        emit: Emit,
        *,
        resume: bool = False,
        follow_handoffs: bool = False,
    ) -> TurnResult:
        """Run one turn to its final commit.

        An interrupted turn is abandoned first, its calls marked, unless ``resume`` asks to continue it, in which
        case it is finished before this one begins (L14). A session that was handed off passes the turn on to the one
        that works now (H3).

        Args:
            turn_input: What the user says.
            limits: What the turn may use (T12).
            emit: Takes events as they happen.
            resume: Whether to continue an interrupted turn instead of abandoning it.
            follow_handoffs: Whether a turn that hands off goes on with the successor's first turn.

        Raises:
            SessionBusy: A turn runs already, here or elsewhere; nothing was written.
            ConfigurationError: Model, mode or limits cannot be used; nothing was written.
            SuccessorMissing: The session was handed off to one that is gone.
            StoreError: A commit failed; the turn is interrupted and can be continued (T7).
        """
        check_text(turn_input.text)
        result = await self._own_turn(turn_input, limits, emit, resume)
        if result is None:
            successor = await self.successor()
            return await successor.turn(turn_input, limits, emit, resume=resume, follow_handoffs=follow_handoffs)
        return (await self._followed(limits, emit) or result) if follow_handoffs else result

    async def _own_turn(self, turn_input: TurnInput, limits: TurnLimits, emit: Emit, resume: bool) -> TurnResult | None:
        """Run a turn in this session; ``None`` when it was handed off."""
        session = self.session
        async with session.slot:
            await session.refuse_if_not_as_specified()
            if session.document.successor is not None:
                return None
            asked = await asking(session, limits, turn_input.overrides)
            denied = await refused(session, turn_input)
            if denied is not None:
                return denied
            async with session.leased() as lease:
                if session.document.open_turn is not None and resume:
                    await continue_turn(session, lease, emit)
                elif session.document.open_turn is not None:
                    await abandon(session, emit)
                run = await begin(session, turn_input, limits, asked, emit)
                return await drive(session, run, lease, limits)

    async def _followed(self, limits: TurnLimits, emit: Emit) -> TurnResult | None:
        """Run the first turn of the session that this one was handed off to, if it waits for one."""
        if self.document.successor is None:
            return None
        successor = await self.successor()
        first = successor.document.first_input
        return None if first is None else await successor.turn(first, limits, emit, follow_handoffs=True)

    async def continue_turn(self, emit: Emit) -> TurnResult:
        """Continue the interrupted turn: what is finished is not repeated (T6).

        Raises:
            TurnError: There is none, or it was begun by a version that this one cannot continue.
            SessionBusy: It is not interrupted but running; nothing was written.
        """
        async with self.session.slot:
            await self.session.refuse_if_not_as_specified()
            self._refuse_uninterrupted()
            async with self.session.leased() as lease:
                return await continue_turn(self.session, lease, emit)

    async def abandon_turn(self) -> TurnResult:
        """Give the interrupted turn up: its unanswered calls get marked results, and it ends as stopped.

        Raises:
            TurnError: There is none.
            SessionBusy: It is not interrupted but running; nothing was written.
        """
        async with self.session.slot:
            await self.session.refuse_if_not_as_specified()
            self._refuse_uninterrupted()
            async with self.session.leased():
                return await abandon(self.session, lambda event: None)

    def _refuse_uninterrupted(self) -> None:
        if self.document.open_turn is None:
            raise TurnError(f"session {self.session_id!r} has no interrupted turn", session_id=self.session_id)

    async def cancel(self) -> None:
        """Cancel the turn that runs in this runtime, if any; returns when that is committed."""
        slot = self.session.slot
        slot.cancelled = slot.taken
        try:
            if self.session.run is not None:
                await self.session.run.cancel()
        except LashError:
            await slot.wait()
            raise
        await slot.wait()

    async def complete(self, request: CompletionRequest) -> ModelReply:
        """Ask a model outside the conversation; its usage goes into the ledger under the request's source (T8).

        Raises:
            ModelError: The call failed for good.
        """
        return await complete(self.session, request)

    # The graph

    async def branch_to(self, node_id: str) -> Receipt:
        """Make another node the leaf; committed at once.

        What tools, plugins and the mode keep goes back to what it was at that node (L11).

        Raises:
            NodeMissing: The node is not in the session's graph.
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        session = self.session
        async with session.writing("branch"):
            await session.refuse_unknown_node(node_id)
            assert session.resident.head is not None
            origin = await origin_of(self.session_id, session.store, session.resident.head, node_id)
            session.resident.graph.insert(node for node in origin.path if node.node_id not in session.resident.graph)
            rewound = await open_parts(session, origin.refs)
            try:
                receipt = await session.commit(
                    Change(
                        step="branch",
                        document=session.document,
                        leaf=node_id,
                        moves_leaf=True,
                        components=await session.resident.component_bodies(origin.refs),
                        all_components=True,
                        events=(Branched(leaf=node_id, abandoned=session.resident.graph.leaf),),
                    )
                )
            except BaseException:
                await rewound.close()
                raise
            await session.take_parts(rewound)
            return receipt

    async def append_nodes(
        self, payloads: Sequence[Message | PluginNode | ModeEvent], *, requires_ancestor: str | None = None
    ) -> Appended | StaleBranch:
        """Append nodes behind the leaf; committed at once.

        Args:
            payloads: What the nodes hold, in order.
            requires_ancestor: A node that must be on the active path.

        Returns:
            `StaleBranch`, and nothing is appended, when the ancestor is not on the path (G7).

        Raises:
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        session = self.session
        async with session.writing("append"):
            graph = session.resident.graph
            if requires_ancestor is not None and not graph.is_on_path(requires_ancestor):
                return StaleBranch(graph.leaf)
            named: list[tuple[str, Payload]] = [(new_node_id(session), clean_payload(payload)) for payload in payloads]
            node_ids = tuple(node_id for node_id, _ in named)
            receipt = await session.commit(
                Change(
                    step="append",
                    document=session.document.evolve(config=session.config),
                    payloads=named,
                    events=(NodesAppended(node_ids=node_ids),),
                )
            )
            return Appended(node_ids, receipt)

    async def rewrite_history(self, instructions: str = "", *, keep_turns: int | None = None) -> bool:
        """Let the installed rewriters make another path of the active one; the old path stays as a branch (G1).

        Args:
            instructions: What the rewriters should mind, in words.
            keep_turns: How many of the last turns are to stay as they are; the rewriters' choice by default.

        Returns:
            Whether anything changed; committed at once.

        Raises:
            PluginError: A rewriter failed; the path is as it was.
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        window = await window_of(self.session)
        async with self.session.writing("rewrite its history"):
            return await rewrite_history(self.session, "manual", instructions, window, keep_turns)

    async def get_historic_node(self, node_id: str) -> Node | None:
        """Give any node of the graph: a resident one, else the stored one; ``None`` if there is none (L9).

        Raises:
            ConfigurationError: It is not resident, and the session has no store.
        """
        resident = self.session.resident.graph.get(node_id)
        if resident is not None:
            return resident
        if self.env.store is None and not self.session.durable:
            raise ConfigurationError(
                f"node {node_id!r} is not in memory, and session {self.session_id!r} has no store to look into"
            )
        return next(iter(await self.session.store.nodes([node_id])), None)

    async def orphaned_node_ids(self, *, after: str | None = None, limit: int | None = None) -> list[str]:
        """List the nodes off the active path of the stored head, in the order in which they were stored (L10).

        Args:
            after: Only those stored behind this node.
            limit: At most this many; read on with the last one as ``after``.

        Raises:
            CorruptSession: The stored leaf is unset (``no_leaf``) or absent (``dangling_leaf``).
        """
        return await orphaned_node_ids(self.session_id, self.session.store, after, limit)

    def events(self, after: EventCursor | str | None = None) -> AsyncIterator[SequencedEvent]:
        """Replay every committed event behind a cursor, once and in order (T9).

        Raises:
            InvalidInput: The text is no cursor.
        """
        return replay_events(self.session.store, EventCursor.parse(after) if isinstance(after, str) else after)

    async def fork(self, session_id: str, *, at: str | None = None) -> LashRuntime:
        """Make a new session that begins where this one is, or at a node of it (S12).

        Raises:
            SessionExists: There is a session of that name.
            NodeMissing: The node is not in the session's graph.
        """
        await self.refresh()
        session = self.session
        if self.env.store is None:
            raise ConfigurationError("fork needs an environment with a store")
        if session.resident.head is None:
            raise SessionMissing(
                f"session {self.session_id!r} has nothing to fork yet: run a turn first", session_id=self.session_id
            )
        if at is not None:
            await session.refuse_unknown_node(at)
        leaf = at if at is not None else session.resident.graph.leaf
        origin = await origin_of(self.session_id, session.store, session.resident.head, leaf)
        labels = dict(session.resident.head.labels)
        spec = attrs.evolve(session.spec, session_id=session_id, create=True, labels=labels)
        forked = await LashRuntime.from_environment(self.env, spec)
        document = HeadDocument(
            config=self.document.config, turn_index=turn_index_of(origin.path), forked_from=self.session_id
        )
        async with forked.session.writing():
            await begin_at(forked.session, origin, document, step="fork", shares=session.shares)
        return forked

    # Its state and configuration

    async def export_state(self) -> PersistedSessionState:
        """Give the session as a value, with what tools, plugins and the mode would keep now."""
        session = self.session
        nodes = tuple(session.resident.graph)
        refs = sorted({ref for node in nodes for ref in node.refs})
        snapshots = session.parts.snapshots()
        carried = {name: ref for name, ref in session.resident.component_refs.items() if name not in snapshots}
        return PersistedSessionState(
            session_id=self.session_id,
            document=self.document,
            nodes=nodes,
            leaf=session.resident.graph.leaf,
            components={**await session.resident.component_bodies(carried), **snapshots},
            blobs=await session.store.get_blobs(refs) if refs else {},
            labels=dict(session.resident.head.labels) if session.resident.head else {},
            revision=session.resident.revision,
        )

    async def set_persisted_state(self, state: PersistedSessionState) -> None:
        """Make the session what a state says; committed at once, so nothing undoes it.

        Nodes that the session has already are left alone; new ones are added, and the leaf, the configuration and
        what tools, plugins and the mode keep become the state's. The ledger stays: what was used was used.

        Raises:
            SessionBindingMismatch: The state is another session's.
            CorruptSession: Its leaf is not among its nodes, or a parent is missing.
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        if state.session_id not in ("", self.session_id):
            raise SessionBindingMismatch(bound=self.session_id, requested=state.session_id)
        session = self.session
        async with session.writing("replace its state"):
            known = {node.node_id for node in await session.store.graph()} if session.resident.head else set()
            fresh = tuple(node for node in state.nodes if node.node_id not in known)
            if state.leaf is not None:
                path = await session.store.path(state.leaf) if state.leaf in known else ()
                graph = session.resident.graph
                graph.insert(node for node in path if node.node_id not in graph)
            document = state.document.evolve(
                usage=self.document.usage,
                open_turn=None,
                parent=self.document.parent,
                successor=self.document.successor,
            )
            state = attrs.evolve(state, nodes=fresh)
            await begin_with(session, state, document, step="state")

    async def update_session_config(self, **changes: Any) -> SessionConfig:
        """Change the stored configuration; committed at once.

        Plugins may change what is stored (`lash_transform_config`). A smaller context window lets the rewriters
        shorten the history first.

        Args:
            **changes: Fields of `SessionConfig`.

        Raises:
            PolicyError: A field does not exist or a value cannot be; names the field.
            ConfigurationError: The mode; a session keeps its mode (P11).
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        async with self.session.writing("change its configuration"):
            return await configure(self.session, changes)

    def set_tool_availability(self, names: Sequence[str], level: Availability | None) -> None:
        """Override how far tools are available, ``None`` for their own level; durable with the next commit.

        Raises:
            UnknownName: The session has no such tool.
        """
        self.session.services.set_tool_availability(tuple(names), level)

    # Other sessions

    async def create_session(self, request: SessionCreateRequest) -> Child:
        """Start a child, or a successor (H3).

        Raises:
            SessionExists: There is a session of that name.
            PolicyError: It would be deeper than the subagents' authority allows.
        """
        return await create_child(self.session, request)

    @property
    def tasks(self) -> SessionTasks | None:
        """The session's background tasks; ``None`` without a task host (H2)."""
        return self.session.tasks

    @property
    def children(self) -> Mapping[str, Child]:
        """The sessions that this one has started and holds."""
        return dict(self.session.children)

    async def successor(self) -> LashRuntime:
        """Open the session that works now, at the end of the chain of handoffs (H3).

        Raises:
            SuccessorMissing: One of the chain is gone.
        """
        last = await end_of_chain(self.session)
        held = self.session.children.get(last)
        if held is not None:
            return held.runtime
        if last == self.session_id:
            return self
        spec = attrs.evolve(self.session.spec, session_id=last, create=False, labels=None, mode=None, model=None)
        runtime = await LashRuntime.from_environment(self.env, spec)
        self.session.children[last] = Child(runtime, self.session)
        return runtime

    async def await_background_work(self) -> None:
        """Wait for the session's hidden background tasks, then see and keep what they changed.

        Raises:
            ExceptionGroup: What tasks raised, all of it.
        """
        if self.session.tasks is not None:
            await self.session.tasks.wait_hidden()
        await self.refresh()
        if self.session.unsaved and self.head is not None and not self.session.slot.taken:
            async with self.session.writing():
                await self.session.commit(Change(step="background", document=self.document))

    # Its end

    async def delete(self) -> None:
        """Delete the session; its writers are refused for ever (S8). A chain of handoffs through it stays whole.

        Raises:
            SessionMissing: It was never committed.
            SessionBusy: A turn of it runs.
        """
        session = self.session
        async with session.slot:
            await session.resident.refresh()
            if self.head is None:
                raise SessionMissing(f"there is no session {self.session_id!r}", session_id=self.session_id)
            async with session.leased():
                await session.store.delete(incarnation=session.resident.writer.incarnation, deleted_at=self.env.clock())
                await session.resident.refresh()

    async def park(self) -> ParkedSession:
        """Commit what is not committed yet, close the runtime, and give a handle to the session (L6, L7).

        When the commit fails the runtime stays usable. Parking a parked runtime gives the same handle again (L12).

        Raises:
            ConfigurationError: The store keeps nothing.
            SessionBusy: A turn runs.
        """
        if self._parked is not None:
            return self._parked
        if not self.session.durable:
            raise ConfigurationError("park needs a durable store; this session is held in memory")
        if self.session.slot.closed:
            raise ConfigurationError(f"session {self.session_id!r} was closed; open it again before you park it")
        await self._save(always=True)
        session = self.session
        self._parked = ParkedSession.of(
            session.spec, session.backend.name, session.resident.head, session.resident.epoch
        )
        await self._end(parked=True)
        return self._parked

    async def close(self) -> None:
        """Cancel a turn that runs here and give back what was opened; may be called twice (L12)."""
        if self.session.slot.closed:
            return
        try:
            await self.cancel()
        finally:
            await self._end(parked=False)

    async def _save(self, *, always: bool) -> None:
        """Commit what waits for a commit.

        Args:
            always: Whether to make a commit even if nothing waits, as long as nobody else works on the session.
        """
        session = self.session
        try:
            async with session.writing():
                if session.unsaved or (always and self.head is not None) or self._would_be_lost():
                    document = self.document.evolve(config=session.config)
                    await session.commit(Change(step="park", document=document))
        except LashError as error:
            if getattr(error, "code", "") != "session_busy" or session.slot.taken or session.unsaved:
                raise

    def _would_be_lost(self) -> bool:
        """Whether a session that was never committed has more to it than its handle tells."""
        spec = self.session.spec
        return self.head is None and any((spec.instructions, spec.model_settings, spec.mode_options, spec.labels))

    async def _end(self, *, parked: bool) -> None:
        self.session.slot.closed = True
        unregister(self, self.env.store)
        await self.session.parts.hooks.notify(
            lash_on_session_closed, SessionClosed(session_id=self.session_id, parked=parked)
        )
        async with contextlib.AsyncExitStack() as closing:  # the last one entered is closed first
            closing.push_async_callback(self.session.parts.close)
            for child in list(self.session.children.values()):
                closing.push_async_callback(child.close)
            if self.session.tasks is not None:
                closing.push_async_callback(self.session.tasks.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Park where the store is durable, else close; after an error cancel the turn first and never mask it (L12)."""
        try:
            if self.session.slot.closed:
                return
            if error is not None:
                await self.cancel()
            if self.session.durable:
                await self._save(always=False)
            await self.close()
        except LashError:
            if error is None:
                raise
            with contextlib.suppress(LashError):
                await self.close()


def _require_store(env: RuntimeEnvironment, store: Store | None) -> None:
    if store is None and env.store is None:
        raise ConfigurationError("a persistent session needs a store: give one, or an environment with one")


def _require_tasks(env: RuntimeEnvironment) -> None:
    if env.tasks is None:
        raise ConfigurationError("a session with background tasks needs an environment with a task host")

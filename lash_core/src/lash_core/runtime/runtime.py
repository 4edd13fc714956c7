"""`LashRuntime`: one live session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from lash_hookspecs.errors import ConfigurationError, InvalidInput, LashError, SessionBindingMismatch
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ModeEvent, PluginNode
from lash_hookspecs.records.retention import DeleteReport
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.store import Receipt
from lash_hookspecs.records.tools import Availability
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult
from pydantic import JsonValue

from lash_core.runtime import ending, graph_changes, state_changes, turn_doors
from lash_core.runtime.actions import invoke
from lash_core.runtime.beginnings import fork
from lash_core.runtime.children import Child, create_child, hold, open_child
from lash_core.runtime.completion import complete
from lash_core.runtime.configuring import configure
from lash_core.runtime.conflicts import ConflictPolicy, check_conflict_policy
from lash_core.runtime.doors import OpenableRuntime
from lash_core.runtime.graph_changes import Appended, StaleBranch
from lash_core.runtime.handoffs import end_of_chain
from lash_core.runtime.live import unregister
from lash_core.runtime.parked import ParkedSession
from lash_core.runtime.resident import Change
from lash_core.runtime.rewriting import rewrite_history, window_of
from lash_core.runtime.state import PersistedSessionState
from lash_core.runtime.text import check_input
from lash_core.runtime.turns import Emit

__all__ = ["Appended", "LashRuntime", "StaleBranch"]


class LashRuntime(OpenableRuntime):
    """One live session: it runs turns, branches, parks.

    Build it with one of the ``from_…`` doors or with `resume`. One turn runs at a time; a second one is refused.

    All doors end in one order (L1): session id → policy → graph (a dangling leaf is healed) → plugins and mode → tool
    state → plugin snapshots → mode state → `lash_on_session_restored`. Nothing is written, but for a state that the
    store does not hold yet: that is committed at once.
    """

    # Turns

    async def turn(
        self,
        turn_input: TurnInput | None = None,
        limits: TurnLimits | None = None,
        emit: Emit = lambda event: None,
        *,
        resume: bool = False,
        follow_handoffs: bool = False,
        files: Mapping[str, bytes] | None = None,
        on_conflict: ConflictPolicy = "raise",
    ) -> TurnResult:
        """Run one turn to its final commit.

        An interrupted turn is abandoned first, its calls marked, unless ``resume`` asks to continue it, in which
        case it is finished before this one begins (L14). A session that was handed off passes the turn on to the one
        that works now (H3).

        Args:
            turn_input: What the user says; by default what the session was created to begin with.
            limits: What the turn may use (T12); by default what the environment says.
            emit: Takes events as they happen; one that raises gets no more of them, and harms no turn.
            resume: Whether to continue an interrupted turn instead of abandoning it.
            follow_handoffs: Whether a turn that hands off goes on with the successor's first turn.
            files: Bytes by id of those attachments that are not stored yet; stored with the user's message.
            on_conflict: What becomes of what the turn has made when somebody else commits before it can: ``raise``
                gives it up, ``branch`` keeps it beside the active path (T7).

        Raises:
            InvalidInput: There is no text, it cannot be stored, or an attachment is neither stored nor given; nothing
                was written.
            SessionBusy: A turn runs already, here or elsewhere; nothing was written.
            ConfigurationError: Model, mode or limits cannot be used; nothing was written.
            SuccessorMissing: The session was handed off to one that is gone.
            ConflictBranched: Somebody else committed first; names the leaf of what is kept.
            StoreError: A commit failed; the turn is interrupted and can be continued (T7).
        """
        on_conflict = check_conflict_policy(on_conflict)
        if turn_input is None:
            turn_input = await self._first_input()
        check_input(turn_input)
        limits = limits or self.env.termination.limits
        result = await turn_doors.run_turn(
            self.session, turn_input, limits, emit, resume=resume, files=files, on_conflict=on_conflict
        )
        if result is None:
            successor = await self.successor()
            return await successor.turn(
                turn_input,
                limits,
                emit,
                resume=resume,
                follow_handoffs=follow_handoffs,
                files=files,
                on_conflict=on_conflict,
            )
        return (await self._followed(limits, emit, on_conflict) or result) if follow_handoffs else result

    async def _first_input(self) -> TurnInput:
        await self.refresh()
        first = self.document.first_input
        if first is None:
            raise InvalidInput(f"session {self.session_id!r} waits for no first turn; say what the turn is about")
        return first

    async def _followed(self, limits: TurnLimits, emit: Emit, on_conflict: ConflictPolicy) -> TurnResult | None:
        """Run the first turn of the session that this one was handed off to, if it waits for one."""
        if self.document.successor is None:
            return None
        successor = await self.successor()
        if successor.document.first_input is None:
            return None
        return await successor.turn(None, limits, emit, follow_handoffs=True, on_conflict=on_conflict)

    async def attach(self, file: Attachment) -> AttachmentRef:
        """Store a file that a turn is about to refer to.

        Raises:
            InvalidInput: It is too large, or its media type is none.
            StoreError: It cannot be stored.
            SessionError: The runtime was closed.
        """
        self.session.slot.refuse_closed()
        return await self.session.files.attach(file)

    async def continue_turn(
        self, emit: Emit = lambda event: None, *, on_conflict: ConflictPolicy = "raise"
    ) -> TurnResult:
        """Continue the interrupted turn: what is finished is not repeated (T6).

        Args:
            emit: Takes events as they happen.
            on_conflict: As in `turn`.

        Raises:
            TurnError: There is none, or it was begun by a version that this one cannot continue.
            SessionBusy: It is not interrupted but running; nothing was written.
        """
        return await turn_doors.continue_interrupted(self.session, emit, check_conflict_policy(on_conflict))

    async def abandon_turn(self) -> TurnResult:
        """Give the interrupted turn up: its unanswered calls get marked results, and it ends as stopped.

        Raises:
            TurnError: There is none.
            SessionBusy: It is not interrupted but running; nothing was written.
        """
        return await turn_doors.abandon_interrupted(self.session)

    async def cancel(self) -> None:
        """Cancel the turn that runs in this runtime, if any; returns when that is committed.

        Called by a hook or a tool of that turn it returns at once: the turn ends after it.

        Raises:
            StoreError: The commit failed; the turn is interrupted.
        """
        await turn_doors.cancel(self.session)

    async def complete(self, request: CompletionRequest) -> ModelReply:
        """Ask a model outside the conversation; its usage goes into the ledger under the request's source (T8).

        Raises:
            UnknownName, ConfigurationError: The model cannot be used.
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
        async with self.session.writing("branch"):
            return await graph_changes.branch_to(self.session, node_id)

    async def append_nodes(
        self, payloads: Sequence[Message | PluginNode | ModeEvent], *, requires_ancestor: str | None = None
    ) -> Appended | StaleBranch:
        """Append nodes behind the leaf; committed at once.

        Args:
            payloads: What the nodes hold, in order; at least one.
            requires_ancestor: A node that must be on the active path.

        Returns:
            `StaleBranch`, and nothing is appended, when the ancestor is not on the path (G7).

        Raises:
            InvalidInput: There is nothing to append, or something cannot be stored; nothing was written.
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        async with self.session.writing("append"):
            return await graph_changes.append_nodes(self.session, payloads, requires_ancestor)

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
            return await rewrite_history(self.session, instructions, window, keep_turns)

    async def fork(self, session_id: str = "", *, at: str | None = None) -> LashRuntime:
        """Make a new session that begins where this one is, or at a node of it (S12).

        Args:
            session_id: The new session; empty for a fresh id.
            at: The node; the leaf by default.

        Raises:
            SessionExists: There is a session of that name.
            SessionMissing: This one has nothing to fork yet.
            NodeMissing: The node is not in the session's graph.
            SessionError: The runtime was closed.
        """
        self.session.slot.refuse_closed()
        return LashRuntime.of(await fork(self.session, session_id, at))

    # Its state and configuration

    async def export_state(self) -> PersistedSessionState:
        """Give the session as a value, with what tools, plugins and the mode would keep now."""
        return await state_changes.export_state(self.session)

    async def set_persisted_state(self, state: PersistedSessionState) -> None:
        """Make the session what a state says; committed at once, so nothing undoes it.

        Nodes that the session has already are left alone; new ones are added, and the leaf, the configuration and
        what tools, plugins and the mode keep become the state's. The ledger stays: what was used was used.

        Raises:
            SessionBindingMismatch: The state is another session's; `PersistedSessionState.renamed` makes it this one's.
            StoreRegressed: The state is from a later revision than the store has.
            CorruptSession: Its leaf is not among its nodes, or a parent is missing; nothing was changed.
            UnreadableData, PluginError: A node of it, or what tools, plugins or the mode keep in it, cannot be taken
                up; nothing was changed.
            ConfigurationError: It is of another mode; a session keeps its mode (P11).
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        if state.session_id not in ("", self.session_id):
            raise SessionBindingMismatch(bound=self.session_id, requested=state.session_id)
        async with self.session.writing("replace its state"):
            await state_changes.set_persisted_state(self.session, state)

    async def update_session_config(self, **changes: Any) -> SessionConfig:
        """Change the stored configuration; committed at once.

        Plugins may change what is stored (`lash_transform_config`). A smaller context window lets the rewriters
        shorten the history with the same commit.

        Args:
            **changes: Fields of `SessionConfig`.

        Raises:
            PolicyError: A field does not exist or a value cannot be; names the field.
            ConfigurationError: The mode; a session keeps its mode (P11).
            PluginError: A plugin failed; path and configuration are as they were.
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

    async def invoke(self, name: str, arguments: Mapping[str, Any] | None = None) -> JsonValue:
        """Make a request of a plugin: run one of its `actions`.

        Raises:
            UnknownName: No plugin of the session offers it; the message says what is near.
            InvalidInput: The arguments do not fit; the action was not run.
            PluginError: The action failed, or gave what it had not promised; names plugin and action.
            SessionError: The runtime was closed.
        """
        return await invoke(self.session, name, arguments or {})

    # Other sessions

    async def create_session(self, request: SessionCreateRequest) -> Child:
        """Start a child, or a successor (H3); its first commit is made at once.

        Raises:
            SessionExists: There is a session of that name.
            SessionMissing: It cannot start where a session stands that is not stored.
            PolicyError: It would be deeper than the subagents' authority allows.
            ConfigurationError: The start cannot be used, or there is no store for it.
            SessionBindingMismatch: The ``session_store_factory`` gave another session's store.
            SessionError: The runtime was closed.
        """
        self.session.slot.refuse_closed()
        return await create_child(self.session, request)

    async def child(self, session_id: str) -> Child:
        """Hold a stored session of this one's again, as after a resume: the one that is held, else it is opened.

        Raises:
            SessionMissing: It is not stored.
            SessionError: It comes from elsewhere, or the runtime was closed.
        """
        self.session.slot.refuse_closed()
        return await open_child(self.session, session_id)

    async def successor(self) -> LashRuntime:
        """Open the session that works now, at the end of the chain of handoffs; this one when there is none (H3).

        It is held: closing this runtime closes it.

        Raises:
            SuccessorMissing: One of the chain is gone.
        """
        await self.refresh()
        last = await end_of_chain(self.session)
        return self if last == self.session_id else (await hold(self.session, last)).runtime

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

    async def delete(self, *, with_forks: bool = False) -> DeleteReport | None:
        """Delete the session; its writers are refused for ever (S8).

        A chain of handoffs through it stays whole: who handed off to it hands off to who follows it, or works again
        itself when nobody does (H3).

        Args:
            with_forks: Delete the sessions that stand on its nodes, too; those nodes stay otherwise.

        Returns:
            What went and what stays; ``None`` from a store that does not tell.

        Raises:
            SessionMissing: It was never committed.
            SessionBusy: A turn of it runs, or of a fork or a neighbour in the chain; nothing was deleted.
            ConfigurationError: The store cannot delete forks with it.
        """
        return await ending.delete(self.session, with_forks=with_forks)

    async def park(self) -> ParkedSession:
        """Commit what is not committed yet, close the runtime, and give a handle to the session (L6, L7).

        When the commit fails the runtime stays usable. Parking a parked runtime gives the same handle again (L12).

        Raises:
            ConfigurationError: The store keeps nothing, or the runtime was closed.
            SessionBusy: A turn runs.
            StoreError: The commit failed.
        """
        if self._parked is not None:
            return self._parked
        if not self.session.durable:
            raise ConfigurationError("park needs a durable store; this session is held in memory")
        if self.closed:
            raise ConfigurationError(f"session {self.session_id!r} was closed; open it again before you park it")
        return await self._park(always=True)

    async def close(self) -> None:
        """Cancel a turn that runs here and give back what was opened; may be called twice (L12).

        Children that are held are closed too. Usage and events that no commit has yet are committed, where that is
        possible.

        Raises:
            StoreError: The commit of the cancelled turn failed; the runtime is closed all the same.
        """
        if self.closed:
            return
        try:
            await self.cancel()
        finally:
            unregister(self, self.env.store)
            await ending.close(self.session)

    async def _park(self, *, always: bool) -> ParkedSession:
        session = self.session
        await ending.save(session, always=always)
        self._parked = ParkedSession.of(
            session.spec, session.backend.name, session.resident.head, session.resident.epoch
        )
        unregister(self, self.env.store)
        await ending.end(session, parked=True)
        return self._parked

    async def leave(self) -> None:
        """Cancel a turn that runs here, keep what is not kept yet where the store is durable, and close (L12).

        Raises:
            StoreError: Something could not be kept; the runtime is closed all the same.
        """
        if self.closed:
            return
        try:
            await self.cancel()
            if self.session.durable:
                await self._park(always=False)
        finally:
            await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Park where the store is durable, else close; an error on the way never masks the original one (L12)."""
        try:
            await self.leave()
        except LashError:
            if error is None:
                raise

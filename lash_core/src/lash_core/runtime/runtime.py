"""`LashRuntime`: one live session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import attrs
from lash_hookspecs.errors import (
    ConfigurationError,
    LashError,
    NodeMissing,
    SessionDeleted,
    SessionExists,
    SessionMissing,
    TurnError,
    UnreadableData,
)
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.protocols.modes import ExecutionMode
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.events import Event, Notice, TurnContinued, TurnStarted
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelInfo
from lash_hookspecs.records.payloads import Message, Payload, TextPart
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.store import Absent, Deleted, Head, Holder, Receipt
from lash_hookspecs.records.turn import OpenTurn, TurnInput, TurnLimits, TurnResult
from lash_hookspecs.specs.events import SessionRestored, lash_on_session_restored
from lash_hookspecs.specs.offers import ToolSetup

from lash_core.attachments.files import Accepted, SessionFiles
from lash_core.attachments.session_store import SessionAttachments
from lash_core.graph.conversation import Item, repair
from lash_core.machine.turn_machine import TurnContext, TurnMachine
from lash_core.runtime.environment import Residency, RuntimeEnvironment
from lash_core.runtime.forking import begin_fork
from lash_core.runtime.interrupted import ABANDONED, Rebuilt, rebuild, rebuild_to_abandon
from lash_core.runtime.lease import HeldLease, is_live, read_lease, take_lease
from lash_core.runtime.process import this_process
from lash_core.runtime.resident import Change, ResidentSession
from lash_core.runtime.slot import WriteSlot
from lash_core.runtime.spec import ParkedSession, SessionSpec
from lash_core.runtime.text import check_session_id, check_text
from lash_core.runtime.turn_run import TurnRun, new_turn_id
from lash_core.stores.memory import MemoryBackend
from lash_core.tools.surface import ToolSurface

__all__ = ["LashRuntime"]

Emit = Callable[[Event], None]


class LashRuntime:
    """One live session: it runs turns, branches, parks.

    Build it with `from_environment` or `resume`. One turn runs at a time; a second one is refused.
    """

    def __init__(self, env: RuntimeEnvironment, spec: SessionSpec, resident: ResidentSession) -> None:
        self._env = env
        self._spec = spec
        self._resident = resident
        self._files = SessionFiles(
            SessionAttachments(resident.store, resident.session_id),
            env.attachments,
            max_bytes=min(env.max_attachment, (env.store and env.store.capabilities.max_value) or env.max_attachment),
            cache_bytes=env.attachment_cache,
        )
        self._holder = this_process(env.name)
        self._mode: ExecutionMode | None = None
        self._tools: ToolSurface | None = None
        self._holder_elsewhere: Holder | None = None
        self._writing = WriteSlot(resident.session_id, self._holder)
        self._run: TurnRun | None = None

    @classmethod
    async def from_environment(
        cls, env: RuntimeEnvironment, spec: SessionSpec, store: SessionStore | None = None
    ) -> LashRuntime:
        """Open a session.

        The order: session id → stored head and path → policy → mode → tools → `SessionRestored`.

        Args:
            env: Shared services.
            spec: Which session, and what the caller sets for it.
            store: The session's store; else one of the environment's, else one in memory.

        Raises:
            SessionMissing: ``spec.create`` is ``False`` and there is none.
            SessionExists: ``spec.create`` is ``True`` and there is one.
            UnknownName: The mode is offered by no plugin.
            UnreadableData, CorruptSession: What is stored cannot be used.
        """
        session_id = check_session_id(spec.session_id)
        if env.residency is Residency.ACTIVE_PATH_ONLY and store is None and env.store is None:
            raise ConfigurationError("Residency.ACTIVE_PATH_ONLY needs a store: what is not resident must be somewhere")
        backend = env.store or MemoryBackend()
        resident = ResidentSession(session_id, store or backend.session(session_id), env)
        resident.labels = spec.labels
        runtime = cls(env, attrs.evolve(spec, session_id=session_id), resident)
        await runtime._open()
        return runtime

    @classmethod
    async def resume(cls, parked: ParkedSession, env: RuntimeEnvironment) -> LashRuntime:
        """Open a parked session again, in any process (L8).

        Raises:
            SessionMissing: The handle has a revision and the store has no such session.
            SessionDeleted: The session was deleted.
            StoreRegressed: The store is older than the handle.
        """
        spec = SessionSpec(session_id=parked.session_id, model=parked.model, mode=parked.mode)
        if env.store is None:
            raise ConfigurationError("resume needs an environment with a store")
        found = await env.store.session(parked.session_id).head()
        parked.check(found, env.store.name)
        return await cls.from_environment(env, spec)

    @property
    def session_id(self) -> str:
        """The session."""
        return self._resident.session_id

    @property
    def head(self) -> Head | None:
        """The stored head as last seen; ``None`` before the first commit."""
        return self._resident.head

    @property
    def document(self) -> HeadDocument:
        """The head's document as last seen."""
        return self._resident.document

    @property
    def interrupted(self) -> bool:
        """Whether a turn is unfinished and nobody works on it (L14)."""
        return self._resident.document.open_turn is not None and not self.running

    @property
    def running(self) -> bool:
        """Whether a turn runs, here or elsewhere, as last seen."""
        return self._run is not None or (
            self._holder_elsewhere is not None and self._resident.document.open_turn is not None
        )

    @property
    def holder(self) -> Holder | None:
        """Who runs a turn elsewhere, as last seen."""
        return self._holder_elsewhere

    @property
    def path(self) -> list[Node]:
        """The nodes of the active path, root first."""
        return list(self._resident.graph.path)

    @property
    def items(self) -> list[Item]:
        """The nodes of the active path with their payloads, root first."""
        return list(self._resident.conversation.items)

    async def refresh(self) -> None:
        """Read what others have committed, and whether a turn runs elsewhere; nothing while one runs here."""
        if self._writing.taken:
            return
        found = await self._resident.refresh()
        if isinstance(found, Deleted) and self._spec.create is False:
            raise SessionDeleted(f"session {self.session_id!r} was deleted", session_id=self.session_id)
        await self._see_lease()

    async def attach(self, file: Attachment) -> AttachmentRef:
        """Store a file that a turn is about to refer to.

        Raises:
            InvalidInput: It is too large, or its media type is none.
            StoreError: It cannot be stored.
        """
        return await self._files.attach(file)

    async def turn(
        self,
        turn_input: TurnInput,
        limits: TurnLimits,
        emit: Emit,
        *,
        resume: bool = False,
        files: Mapping[str, bytes] | None = None,
    ) -> TurnResult:
        """Run one turn to its final commit.

        An interrupted turn is abandoned first, its calls marked, unless ``resume`` asks to continue it, in which
        case it is finished before this one begins (L14).

        Args:
            turn_input: What the user says.
            limits: What the turn may use (T12).
            emit: Takes events as they happen.
            resume: Whether to continue an interrupted turn instead of abandoning it.
            files: Bytes by id of those attachments that are not stored yet; stored with the user's message.

        Raises:
            InvalidInput: The text cannot be stored, or an attachment is neither stored nor given; nothing was written.
            SessionBusy: A turn runs already, here or elsewhere; nothing was written.
            ConfigurationError: Model, mode or limits cannot be used; nothing was written.
            StoreError: A commit failed; the turn is interrupted and can be continued (T7).
        """
        check_text(turn_input.text, alone=not turn_input.attachments)
        async with self._writing:
            await self._refuse_if_not_as_specified()
            provider, info = await self._model(limits)
            accepted = await self._files.accept(turn_input.attachments, files)
            turn_input = turn_input.evolve(attachments=tuple(part.ref for part in accepted.parts))
            async with self._leased() as lease:
                if self._resident.document.open_turn is not None and resume:
                    await self._drive(await self._restore(emit), lease, self._open_turn().machine.limits)
                elif self._resident.document.open_turn is not None:
                    await self._abandon(emit)
                run = await self._begin(turn_input, accepted, limits, provider, info, emit)
                return await self._drive(run, lease, limits)

    async def continue_turn(self, emit: Emit) -> TurnResult:
        """Continue the interrupted turn: what is finished is not repeated (T6).

        Raises:
            TurnError: There is none, or it was begun by a version that this one cannot continue.
            SessionBusy: It is not interrupted but running; nothing was written.
        """
        async with self._writing:
            await self._refuse_if_not_as_specified()
            self._refuse_uninterrupted()
            async with self._leased() as lease:
                run = await self._restore(emit)
                return await self._drive(run, lease, self._open_turn().machine.limits)

    async def abandon_turn(self) -> TurnResult:
        """Give the interrupted turn up: its unanswered calls get marked results, and it ends as stopped.

        Raises:
            TurnError: There is none.
            SessionBusy: It is not interrupted but running; nothing was written.
        """
        async with self._writing:
            await self._refuse_if_not_as_specified()
            self._refuse_uninterrupted()
            async with self._leased():
                return await self._abandon(lambda event: None)

    async def cancel(self) -> None:
        """Cancel the turn that runs in this runtime, if any; returns when that is committed."""
        self._writing.cancelled = self._writing.taken
        try:
            if self._run is not None:
                await self._run.cancel()
        except LashError:
            await self._writing.wait()
            raise
        await self._writing.wait()

    async def branch_to(self, node_id: str) -> Receipt:
        """Make another node the leaf; committed at once (L11).

        Raises:
            NodeMissing: The node is not in the session's graph.
            TurnError: A turn is interrupted; continue or abandon it first.
        """
        async with self._writing:
            await self._refuse_if_not_as_specified()
            self._refuse_interrupted("branch")
            await self._refuse_unknown_node(node_id)
            async with self._leased():
                path = await self._resident.store.path(node_id)
                missing = [each for each in path if each.node_id not in self._resident.graph]
                self._resident.graph.insert(missing)
                change = Change(step="branch", document=self.document, leaf=node_id, moves_leaf=True)
                return await self._resident.commit(change, self._env.plugins.fingerprint())

    async def fork(self, session_id: str, *, at: str | None = None) -> LashRuntime:
        """Make a new session that begins where this one is, or at a node of it (S12).

        Raises:
            SessionExists: There is a session of that name.
            NodeMissing: The node is not in the session's graph.
        """
        await self.refresh()
        leaf = at if at is not None else self._resident.graph.leaf
        fork_spec = attrs.evolve(self._spec, session_id=session_id, create=True, labels=None)
        if self._env.store is None:
            raise ConfigurationError("fork needs an environment with a store")
        if self.head is None:
            raise SessionMissing(
                f"session {self.session_id!r} has nothing to fork yet: run a turn first", session_id=self.session_id
            )
        if at is not None:
            await self._refuse_unknown_node(at)
        forked = await LashRuntime.from_environment(self._env, fork_spec)
        forked._resident.labels = dict(self.head.labels)
        async with forked._writing, forked._leased():
            await begin_fork(self._resident, forked._resident, leaf, self._env)
        return forked

    async def delete(self) -> None:
        """Delete the session; its writers are refused for ever (S8).

        Raises:
            SessionMissing: It was never committed.
            SessionBusy: A turn of it runs.
        """
        async with self._writing:
            await self._resident.refresh()
            if self.head is None:
                raise SessionMissing(f"there is no session {self.session_id!r}", session_id=self.session_id)
            async with self._leased():
                await self._resident.store.delete(
                    incarnation=self._resident.writer.incarnation, deleted_at=self._env.clock()
                )
                await self._resident.refresh()

    async def park(self) -> ParkedSession:
        """Close the runtime and give a handle to the session (L6, L7).

        Raises:
            ConfigurationError: The store keeps nothing.
            SessionBusy: A turn runs.
        """
        if self._env.store is None or self._env.store.capabilities.durability == "none":
            raise ConfigurationError("park needs a durable store; this session is held in memory")
        async with self._writing:
            await self._resident.refresh()
        self._writing.closed = True
        return ParkedSession(
            session_id=self.session_id,
            store=self._env.store.name,
            revision=self._resident.revision,
            epoch=self._resident.epoch,
            model=self._spec.model,
            mode=self._spec.mode,
        )

    async def close(self) -> None:
        """Cancel a turn that runs here and give back what was opened; may be called twice (L12)."""
        if not self._writing.closed:
            try:
                await self.cancel()
            finally:
                self._writing.closed = True

    # How it is opened

    async def _open(self) -> None:
        found = await self._resident.refresh()
        self._check_create(found)
        await self._see_lease()
        self._resolve_mode()
        await self._env.plugins.notify(
            lash_on_session_restored,
            SessionRestored(
                session_id=self.session_id,
                revision=self._resident.revision,
                turn_index=self.document.turn_index,
                interrupted=self.interrupted,
            ),
        )

    def _check_create(self, found: Absent | Deleted | Head) -> None:
        if self._spec.create is True and isinstance(found, Head):
            raise SessionExists(f"session {self.session_id!r} exists already", session_id=self.session_id)
        if self._spec.create is False and not isinstance(found, Head):
            what = "was deleted" if isinstance(found, Deleted) else "does not exist"
            raise SessionMissing(f"session {self.session_id!r} {what}", session_id=self.session_id)

    async def _see_lease(self) -> None:
        lease = await read_lease(self._resident.store)
        mine = lease is not None and lease.holder.instance == self._holder.instance
        self._holder_elsewhere = lease.holder if lease is not None and is_live(lease) and not mine else None

    def _resolve_mode(self) -> None:
        stored = self.document.config.mode
        wanted = self._spec.mode
        if self.head is not None and wanted is not None and wanted != stored:
            raise ConfigurationError(
                f"session {self.session_id!r} runs in mode {stored!r}; a session keeps its mode, so start another "
                f"session for mode {wanted!r}",
                session_id=self.session_id,
            )
        name = self._config().mode
        if self._mode is None or self._mode.name != name:
            self._mode = self._env.plugins.mode(name).build()

    def _config(self) -> SessionConfig:
        return self._spec.over(self.document.config)

    # Before a turn

    async def _refuse_if_not_as_specified(self) -> None:
        known = self._resident.head
        found = await self._resident.refresh()
        if known is None:
            self._check_create(found)
        elif not isinstance(found, Head) or found.incarnation != known.incarnation:
            raise SessionDeleted(
                f"session {self.session_id!r} was deleted while it was open", session_id=self.session_id
            )
        self._resolve_mode()

    async def _refuse_unknown_node(self, node_id: str) -> None:
        if not await self._resident.store.nodes([node_id]):
            raise NodeMissing(
                f"session {self.session_id!r} has no node {node_id!r}; `lash sessions tree` lists them",
                session_id=self.session_id,
            )

    def _refuse_uninterrupted(self) -> None:
        if self.document.open_turn is None:
            raise TurnError(f"session {self.session_id!r} has no interrupted turn", session_id=self.session_id)

    def _refuse_interrupted(self, what: str) -> None:
        if self.document.open_turn is not None:
            raise TurnError(
                f"session {self.session_id!r} has an unfinished turn: continue or abandon it before you {what}",
                session_id=self.session_id,
            )

    async def _model(self, limits: TurnLimits) -> tuple[ModelProvider, ModelInfo]:
        name, _, model = self._config().model.partition(":")
        provider = self._env.providers.get(name)
        info = await provider.model_info(model)
        if limits.cost is not None and not info.reports_cost:
            raise ConfigurationError(
                f"a cost limit needs a model that reports its cost; {self._config().model!r} does not: "
                "limit tokens or model calls instead",
                session_id=self.session_id,
            )
        return provider, info

    @contextlib.asynccontextmanager
    async def _leased(self) -> AsyncIterator[HeldLease | None]:
        """Hold the lease, and see what was committed before it was taken: the session may be another's by now."""
        lease = await take_lease(self.session_id, self._resident.store, self._holder, self._env)
        head = self._resident.head
        self._resident.epoch = lease.epoch if lease is not None else (head.epoch if head is not None else 0)
        self._holder_elsewhere = None
        try:
            await self._refuse_if_not_as_specified()
            yield lease
        finally:
            if lease is not None:
                with contextlib.suppress(LashError):  # it expires by itself; the caller's outcome is another
                    await lease.release()

    def _surface(self) -> ToolSurface:
        if self._tools is None:
            setup = ToolSetup(session_id=self.session_id, root=self._env.root)
            named = [
                (f"tool set {offer.name!r}", offer.build(setup))
                for offer in self._env.plugins.tools(self._env.tool_sets)
            ]
            if self._env.tools is not None:
                named.append(("the app", self._env.tools))
            self._tools = ToolSurface(named, keep=self._files.keep)
        return self._tools

    # A turn

    def _context(self) -> TurnContext:
        return TurnContext(tools=self._surface().specs, call_ids=self._resident.conversation.call_ids)

    async def _begin(
        self,
        turn_input: TurnInput,
        accepted: Accepted,
        limits: TurnLimits,
        provider: ModelProvider,
        info: ModelInfo,
        emit: Emit,
    ) -> TurnRun:
        mode = self._mode
        assert mode is not None
        now = self._env.clock()
        turn_id, turn_index = new_turn_id(now), self.document.turn_index + 1
        config = self._config()
        if info.notice and not any(row.model == config.model for row in self.document.usage):
            emit(Notice(text=info.notice))
        message = Message(
            role="user",
            parts=(TextPart(text=turn_input.text), *accepted.parts),
            source_key=turn_input.source_key,
            turn_index=turn_index,
        )
        mended = repair(self._resident.conversation)
        payloads: list[tuple[str, Payload]] = [
            (f"{turn_id}{0xFFFF0000 + number:08x}", result) for number, result in enumerate(mended)
        ]
        payloads.append((f"{turn_id}{0:08x}", message))
        machine = TurnMachine.begin(mode, turn_input, turn_id, turn_index, self._context(), limits)
        started = TurnStarted(turn_id=turn_id, turn_index=turn_index)
        open_turn = OpenTurn(turn_id=turn_id, turn_index=turn_index, started_at=now, machine=machine.snapshot())
        document = self.document.evolve(config=config, turn_index=turn_index, open_turn=open_turn)
        await self._files.store_outside(accepted)
        await self._resident.commit(
            Change(step="input", document=document, payloads=payloads, events=(started,), blobs=accepted.blobs),
            self._env.plugins.fingerprint(),
        )
        emit(started)
        return self._turn_run(Rebuilt(machine, journaled=0, unknown_calls=0), provider, emit, now)

    def _turn_run(self, rebuilt: Rebuilt, provider: ModelProvider, emit: Emit, started_at: int) -> TurnRun:
        return TurnRun(
            resident=self._resident,
            machine=rebuilt.machine,
            env=self._env,
            tools=self._surface(),
            files=self._files,
            provider=provider,
            emit=emit,
            started_at=started_at,
            journaled=rebuilt.journaled,
            unknown_calls=rebuilt.unknown_calls,
        )

    async def _drive(self, run: TurnRun, lease: HeldLease | None, limits: TurnLimits) -> TurnResult:
        self._run = run
        if lease is not None:
            lease.keep(run.fail)
        timer = asyncio.create_task(_stop_after(run, limits.seconds)) if limits.seconds else None
        try:
            await run.settle()
            if self._writing.cancelled:
                await run.cancel()
            if not run.done:
                await self._env.host.run_turn(run)
        finally:
            self._run = None
            if timer is not None:
                timer.cancel()
                await asyncio.gather(timer, return_exceptions=True)
        if run.result is None:
            raise TurnError(
                f"host {self._env.host.name!r} returned before the turn was done; it is interrupted and can be "
                "continued",
                session_id=self.session_id,
            )
        return run.result

    # An interrupted turn

    def _open_turn(self) -> OpenTurn:
        open_turn = self.document.open_turn
        if open_turn is None:
            raise TurnError(
                f"the interrupted turn of session {self.session_id!r} was ended by somebody else meanwhile",
                session_id=self.session_id,
            )
        return open_turn

    async def _restore(self, emit: Emit) -> TurnRun:
        open_turn = self._open_turn()
        assert self._mode is not None
        rebuilt = await rebuild(self._resident.store, open_turn, self._mode, self._context())
        provider, _info = await self._model(open_turn.machine.limits)
        emit(TurnContinued(turn_id=open_turn.turn_id, turn_index=open_turn.turn_index))
        run = self._turn_run(rebuilt, provider, emit, open_turn.started_at)
        await run.note_lost()
        return run

    async def _abandon(self, emit: Emit) -> TurnResult:
        open_turn = self._open_turn()
        assert self._mode is not None
        store, context = self._resident.store, self._context()
        try:
            rebuilt = await rebuild(store, open_turn, self._mode, context)
        except (TurnError, UnreadableData):
            rebuilt = await rebuild_to_abandon(store, open_turn, context)
        run = self._turn_run(rebuilt, _NoProvider(), emit, open_turn.started_at)
        await run.stop("stopped", "abandoned", ABANDONED.message)
        assert run.result is not None
        return run.result


class _NoProvider:
    """Stands where a turn that is only abandoned asks no model."""

    async def model_info(self, model: str) -> ModelInfo:
        return ModelInfo()

    def stream(self, request: Any) -> Any:
        raise TurnError("an abandoned turn asks no model")

    async def close(self) -> None:
        return None


async def _stop_after(run: TurnRun, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await run.stop("stopped", "time_limit", f"the turn reached its time limit of {seconds:g} s")

"""One turn on its way: what a host drives (H5).

A response is durable when `TurnRun.run` returns: the commit that the machine asks for holds it, or else the effect
journal does.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import LashError, PluginError, TurnError
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.effects import (
    RESPONSES,
    CallFailed,
    ModelCall,
    ModelReplied,
    Response,
    Started,
    ToolReplied,
    ToolRun,
)
from lash_hookspecs.records.events import Event, StoredEvent, ToolFinished, ToolStarted, TurnEnded
from lash_hookspecs.records.payloads import Payload, ToolCallPart
from lash_hookspecs.records.store import Consumed, Receipt, StreamEntry
from lash_hookspecs.records.tools import ToolResult
from lash_hookspecs.records.turn import OpenTurn, StopReason, TurnEnd, TurnOutcome, TurnResult
from lash_hookspecs.records.usage import TokenUsage, UsageRow, add_usage, subtract_usage
from lash_hookspecs.specs.events import (
    TurnCommitted,
    TurnFinalized,
    TurnPhase,
    lash_on_turn_committed,
    lash_on_turn_finalized,
    lash_on_turn_phase,
)

from lash_core.machine.turn_machine import Produced, TurnMachine
from lash_core.runtime.asking import Asked, ask_model
from lash_core.runtime.conflicts import ConflictPolicy
from lash_core.runtime.handoffs import check_successor
from lash_core.runtime.handover import Handed, Wish, handed_over
from lash_core.runtime.lease import HeldLease
from lash_core.runtime.parts import MODE
from lash_core.runtime.resident import Change
from lash_core.runtime.turn_hooks import at_boundary, at_end
from lash_core.tools.dispatch import ToolDispatch

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["JOURNAL", "LOST", "STARTED", "Tail", "TurnRun", "called_tools", "new_turn_id"]

#: The stream that holds the responses since the last commit.
JOURNAL = "journal"

#: Ends the journal key of the note that a side-effecting call is about to run.
STARTED = ":started"

#: Begins the end of the journal key of the note that a model call is made again because a process died (T8).
LOST = ":lost-"


@attrs.frozen
class Tail:
    """What a turn has made since its last commit, and cannot commit any more.

    Attributes:
        payloads: In the order of the path.
        usage: Of the model's answers that nothing else keeps.
    """

    payloads: tuple[Payload, ...]
    usage: tuple[UsageRow, ...]


class TurnRun:
    """A `lash_hookspecs.protocols.hosts.TurnRunner`.

    Attributes:
        result: The turn's end, once its final commit is durable.
        emit: Takes events, live and stored ones.
        lease: What it writes under; given with `on_conflict` by whoever has it driven.
        on_conflict: What becomes of its tail when somebody else commits first.
        handover: The worker that has it, while one does.
        worker_error: What a worker could not do.
    """

    def __init__(
        self,
        *,
        session: OpenSession,
        machine: TurnMachine,
        asked: Asked | None,
        emit: Callable[[Event], None],
        started_at: int,
        journaled: int = 0,
        unknown_calls: int = 0,
    ) -> None:
        """Take up a turn.

        Args:
            session: The session.
            machine: The turn's machine, fed with what the journal holds.
            asked: What its model is asked with; ``None`` for a turn that is only ended.
            emit: Takes events, live and stored ones.
            started_at: When the turn began, microseconds since 1970-01-01 UTC.
            journaled: The last sequence of the journal.
            unknown_calls: Model calls of a dead process whose response nobody has (T8).
        """
        self.result: TurnResult | None = None
        self.lease: HeldLease | None = None
        self.on_conflict: ConflictPolicy = "raise"
        self.handover: Handed | None = None
        self.worker_error: LashError | None = None
        self._effects = 0
        self._session = session
        self._machine = machine
        self._asked = asked
        self.emit = emit
        self._dispatch = self._dispatching()
        self._started_at = started_at
        self._journaled = journaled
        self._unknown_calls = unknown_calls
        self._in_journal = machine.produced_usage  # a machine that was rebuilt has it all from there
        self._tracer = session.resident.tracer.bind(turn_id=machine.turn_id, turn_index=machine.turn_index)
        self._running: dict[str, asyncio.Task[Response]] = {}
        self._writing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._failure: BaseException | None = None
        self._refused: Produced | None = None
        self._over = asyncio.Event()

    @property
    def session_id(self) -> str:
        """The session."""
        return self._session.session_id

    @property
    def turn_id(self) -> str:
        """The turn."""
        return self._machine.turn_id

    @property
    def turn_index(self) -> int:
        """The turn's number in the session, from 1."""
        return self._machine.turn_index

    @property
    def worker(self) -> Sequence[str]:
        """The command that carries an order out; what lies in the current folder is not imported by it."""
        return (sys.executable, "-P", "-m", "lash_core.worker")

    @property
    def done(self) -> bool:
        """Whether the turn has had its final commit."""
        if self._failure is not None:
            raise self._failure
        return self.result is not None

    def outstanding(self) -> Sequence[ModelCall | ToolRun]:
        """Give the effects that wait for a response and do not run in this process."""
        if self._stopping or self.handover is not None:
            return ()
        return [effect for effect in self._machine.outstanding() if effect.key not in self._running]

    async def settle(self) -> None:
        """Commit what the machine holds at a boundary or at its end; done once before a host takes over."""
        async with self._writing:
            await self._settle()

    async def began(self) -> None:
        """Tell probes that the user's message is committed."""
        await self._phase("began")

    async def note_lost(self) -> None:
        """Make it durable that model calls are made again: whoever continues after this process counts them too."""
        for effect in self._machine.outstanding():
            if isinstance(effect, ModelCall):
                await self._journal(f"{effect.key}{LOST}{self._unknown_calls}", Started())

    async def run(self, effect: ModelCall | ToolRun) -> None:
        """Run one effect and make its result durable."""
        if self.handover is not None:
            raise TurnError("a worker has the turn: its effects cannot run here", session_id=self.session_id)
        stopped = self._stopping  # after a host was told of the effect and before it begins
        if stopped:
            await self.wait()
            return
        too_much = self._beyond_host(effect)
        if too_much is not None:
            await self.stop("stopped", "host_limit", too_much)
            return
        task = asyncio.create_task(self._perform(effect))
        self._running[effect.key] = task
        try:
            response = await task
            async with self._writing:
                await self._deliver(effect.key, response)
        except asyncio.CancelledError:
            if not self._stopping or not task.cancelled():
                raise
            await self.wait()
        finally:
            self._running.pop(effect.key, None)

    async def wait(self) -> None:
        """Wait until the turn is done, or given up."""
        await self._over.wait()
        if self._failure is not None:
            raise self._failure

    async def cancel(self) -> None:
        """End the turn as cancelled."""
        await self.stop("cancelled", "cancelled", "the turn was cancelled")

    def begin_cancelling(self) -> None:
        """Begin to end the turn as cancelled; for what runs in the turn itself and cannot wait for that."""
        _ = self._begin_stopping("cancelled", "cancelled", "the turn was cancelled")

    async def stop(self, outcome: TurnOutcome, reason: StopReason, message: str) -> None:
        """End the turn early: running effects are cancelled, and what was done is committed.

        It is carried out even if the caller is cancelled meanwhile, as a tool is that ends its own turn. A worker that
        has the turn is told, and the turn ends when it has heard.
        """
        if self.handover is not None:
            self.handover.want(Wish(outcome, reason, message))
            return
        await asyncio.shield(self._begin_stopping(outcome, reason, message))

    def _begin_stopping(self, outcome: TurnOutcome, reason: StopReason, message: str) -> asyncio.Task[None]:
        ending = asyncio.create_task(self._stop(self._cut(), outcome, reason, message))
        self._ending.add(ending)
        ending.add_done_callback(self._ended)
        return ending

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._ending.discard(ending)
        if not ending.cancelled():
            ending.exception()  # is the turn's failure too: whoever waits for the turn has it

    async def _stop(self, running: frozenset[str], outcome: TurnOutcome, reason: StopReason, message: str) -> None:
        async with self._writing:
            if self._over.is_set():
                return
            self._machine.stop(outcome, reason, message, running=running)
            await self._settle()

    def fail(self, error: LashError) -> None:
        """Give the turn up without writing: somebody else owns the session."""
        self._give_up(error)
        self._cut()

    def handed_over(self, *, secrets: bool = True) -> AbstractAsyncContextManager[Handed]:
        """Let a worker have the turn; see `lash_hookspecs.protocols.hosts.TurnRunner.handed_over`."""
        if self._running or self.handover is not None:
            raise TurnError("a turn is handed over while nothing of it runs", session_id=self.session_id)
        return handed_over(self, self._session, self.lease, self.on_conflict, secrets=secrets)

    async def go_on(self, *, untouched: bool) -> None:
        """Take the turn up where a worker left it.

        Args:
            untouched: Whether no worker ever had the session, so that nothing can be lost.
        """
        from lash_core.runtime.turns import rebuilt_turn

        rebuilt = await rebuilt_turn(self._session)
        self._machine, self._journaled = rebuilt.machine, rebuilt.journaled
        self._unknown_calls = rebuilt.noted_calls if untouched else rebuilt.unknown_calls
        self._in_journal = self._machine.produced_usage
        self._dispatch = self._dispatching()
        if not untouched:
            await self.note_lost()
        await self.settle()

    async def ended_elsewhere(self, result: TurnResult, *, told: bool) -> None:
        """Be done, with what a worker has committed.

        Args:
            result: It.
            told: Whether readers have heard of the end.
        """
        self.result = result
        self._over.set()
        if not told:
            self.emit(
                TurnEnded(
                    turn_id=self.turn_id,
                    turn_index=result.turn_index,
                    outcome=result.outcome,
                    text=result.text,
                    reason=result.reason,
                    message=result.message,
                    handoff=result.handoff,
                )
            )

    def _beyond_host(self, effect: ModelCall | ToolRun) -> str | None:
        """Tell why the host cannot carry an effect; ``None`` when it can (H5)."""
        host = self._session.env.host
        history, payload = host.capabilities.max_history, host.capabilities.max_payload
        if history is not None and self._effects >= history:
            return f"host {host.name!r} remembers {history:,} effects of a turn, and this one needs more"
        size = 0 if payload is None else len(effect.to_bytes())
        if payload is not None and size > payload:
            return f"effect {effect.key} has {size:,} bytes, and host {host.name!r} carries {payload:,}"
        self._effects += 1
        return None

    def _dispatching(self) -> ToolDispatch:
        session = self._session
        return ToolDispatch(
            surface=session.parts.tools,
            spill=self._spill,
            keep=session.files.keep,
            limit=session.env.max_tool_output,
            sleep=session.env.sleep,
        )

    def tail(self) -> Tail:
        """Give what a turn that was given up had made since its last commit."""
        produced = self._refused or self._machine.produced()
        return Tail(
            payloads=tuple(payload for _, payload in produced.payloads), usage=tuple(self._received_usage(produced))
        )

    def _give_up(self, error: BaseException) -> None:
        if self._failure is None:
            self._tracer.turn_interrupted(error)
        self._failure = error
        self._over.set()

    def _cut(self) -> frozenset[str]:
        self._stopping = True
        running = frozenset(self._running)
        for task in self._running.values():
            task.cancel()
        return running

    async def _perform(self, effect: ModelCall | ToolRun) -> Response:
        if isinstance(effect, ModelCall):
            return await self._call_model(effect)
        if await self._has_side_effects(effect):
            await self._journal(effect.key + STARTED, Started())
            self._machine.feed(effect.key, Started())
        self.emit(ToolStarted(call=effect.call))
        await self._phase("tool_call", effect.call.tool)
        context = ToolCallContext(
            session_id=self.session_id,
            turn_id=self.turn_id,
            call=effect.call,
            idempotency_key=f"{self.session_id}:{effect.key}",
            session=self._session.services,
        )
        with self._tracer.tool_call(effect) as call:
            result = call.finished(await self._heir_checked(await self._dispatch.run(context)))
        await self._phase("tool_replied", effect.call.tool)
        return ToolReplied(result=result)

    async def _heir_checked(self, result: ToolResult) -> ToolResult:
        """Let a model see that a session cannot take over, instead of handing off to it (T2, H3)."""
        if result.handoff is None:
            return result
        try:
            await check_successor(self._session, result.handoff)
        except LashError as error:
            return result.evolve(status="error", error_code="handoff_refused", output=error.message, handoff=None)
        return result

    async def _has_side_effects(self, effect: ToolRun) -> bool:
        """Tell whether a call may do harm; a tool that only a mode's code named is looked up here."""
        tools = self._session.parts.tools
        await tools.ensure([effect.call.tool])
        spec = tools.specs.get(effect.call.tool)
        return "side_effecting" in (effect.tool_kind, spec.kind if spec else None)

    async def _call_model(self, effect: ModelCall) -> ModelReplied | CallFailed:
        if self._asked is None:
            raise TurnError("a turn that is only ended asks no model", session_id=self.session_id)
        await self._phase("model_call", effect.key)
        answer = await ask_model(
            self._session, self._asked, effect.key, tools=effect.tools, emit=self.emit, tracer=self._tracer
        )
        await self._session.parts.tools.ensure(called_tools([answer]))  # the machine must know their kinds
        await self._phase("model_replied", effect.key)
        return answer

    async def _spill(self, whole: bytes) -> str:
        [ref] = await self._session.store.put_blobs([whole])
        return ref

    async def _journal(self, key: str, response: Response) -> None:
        entry = StreamEntry(key, RESPONSES.dump_json(response, exclude_none=True))
        [sequence] = await self._session.store.append(JOURNAL, [entry], writer=self._session.resident.writer)
        self._journaled = max(self._journaled, sequence)
        if isinstance(response, ModelReplied):
            calls, usage = self._in_journal
            self._in_journal = calls + 1, add_usage(usage, response.reply.usage)

    async def _deliver(self, key: str, response: Response) -> None:
        if not self._machine.feed(key, response) or self._failure is not None:
            return
        if isinstance(response, ToolReplied):
            self.emit(ToolFinished(result=response.result))
        if self._machine.wants_commit:
            await self._settle()
        else:
            await self._journal(key, response)

    async def _settle(self) -> None:
        try:
            self._machine.proceed()
            while self.result is None and self._machine.wants_commit:
                if self._machine.at_boundary:
                    await self._pass_boundary()
                await self._commit_produced()
                self._machine.proceed()
        except BaseException as error:
            if self.result is None:  # what the machine had produced is lost with the commit: nobody may go on with it
                self._give_up(error)
            raise

    async def _pass_boundary(self) -> None:
        self._tracer.boundary(self._machine.usage)
        await self._phase("boundary")
        try:
            denial, additions = await at_boundary(self._session, self._machine)
        except PluginError as error:
            self._machine.fail("plugin_error", error.message)
            return
        if denial is not None:
            self._machine.stop("stopped", "denied", f"{denial.plugin}: {denial.reason}")
            return
        self._machine.add((*additions.messages, *additions.nodes))
        self._machine.pass_boundary()

    async def _commit_produced(self) -> None:
        if self._machine.end is not None:
            await self._add_at_end(self._machine.end)
        produced = self._machine.produced()
        for event in produced.events:
            if not isinstance(event, ToolFinished):
                self.emit(event)
        if self._machine.end is not None:
            await self._finish(self._machine.end, produced)
        else:
            await self._commit("boundary", produced, self._open_turn())
            await self._phase("committed", "boundary")

    async def _add_at_end(self, end: TurnEnd) -> None:
        try:
            additions = await at_end(self._session, self._machine, end)
        except PluginError as error:
            self._machine.fail("plugin_error", error.message)
            return
        self._machine.add((*additions.messages, *additions.nodes))

    def _open_turn(self) -> OpenTurn:
        return OpenTurn(
            turn_id=self.turn_id,
            turn_index=self._machine.turn_index,
            started_at=self._started_at,
            machine=self._machine.snapshot(),
            overrides=self._asked.overrides if self._asked else None,
        )

    async def _finish(self, end: TurnEnd, produced: Produced) -> None:
        turn_index = self._machine.turn_index
        if end.handoff is not None:
            self._session.waiting.link(end.handoff)
        elif end.outcome == "finished" and self._session.successor is not None:  # a tool has started it
            end = end.evolve(handoff=self._session.successor)
        await self._phase("finalized", end.outcome)
        await self._session.parts.hooks.notify(
            lash_on_turn_finalized,
            TurnFinalized(
                session_id=self.session_id,
                turn_id=self.turn_id,
                turn_index=turn_index,
                end=end,
                session=self._session.services,
            ),
        )
        ended = TurnEnded(
            turn_id=self.turn_id,
            turn_index=turn_index,
            outcome=end.outcome,
            text=end.text,
            reason=end.reason,
            message=end.message,
            handoff=end.handoff,
        )
        produced.events.append(ended)
        step = "abandon" if end.reason == "abandoned" else "final"
        receipt = await self._commit(step, produced, None)
        self.result = TurnResult(
            session_id=self.session_id,
            turn_index=turn_index,
            outcome=end.outcome,
            text=end.text,
            usage=self._machine.usage,
            head_revision=receipt.revision,
            reason=end.reason,
            message=end.message,
            handoff=end.handoff,
        )
        self._over.set()
        self._tracer.turn_finished(self.result, self._started_at)
        self.emit(ended)
        await self._session.parts.hooks.notify(
            lash_on_turn_committed,
            TurnCommitted(
                session_id=self.session_id,
                turn_id=self.turn_id,
                result=self.result,
                receipt=receipt,
                session=self._session.services,
            ),
        )
        await self._phase("ended", end.outcome)

    async def _commit(self, step: str, produced: Produced, open_turn: OpenTurn | None) -> Receipt:
        events: Sequence[StoredEvent] = produced.events
        session_state = self._machine.session_state
        body = self._session.parts.mode_body(session_state)
        self._refused = produced
        receipt = await self._session.commit(
            Change(
                step=step,
                document=self._session.document.evolve(open_turn=open_turn),
                payloads=produced.payloads,
                events=events,
                usage=self._received_usage(produced),
                journaled=self._journaled_usage(),
                consumed=[Consumed(JOURNAL, self._journaled)] if self._journaled else (),
                components={} if body is None else {MODE: body},
                dropped=(MODE,) if body is None else (),
            )
        )
        self._refused = None
        self._session.parts.session_state = session_state
        self._journaled = 0
        self._unknown_calls = 0
        self._in_journal = 0, TokenUsage()
        return receipt

    @property
    def _model(self) -> str:
        return self._asked.policy.config.model if self._asked else self._session.document.config.model

    async def _phase(self, phase: str, detail: str = "") -> None:
        hooks = self._session.parts.hooks
        if hooks.handles(lash_on_turn_phase):
            context = TurnPhase(session_id=self.session_id, turn_id=self.turn_id, phase=phase, detail=detail)
            await hooks.notify(lash_on_turn_phase, context)

    def _received_usage(self, produced: Produced) -> list[UsageRow]:
        """Give the usage of responses that nothing but this commit keeps."""
        calls, usage = self._in_journal
        if produced.model_calls == calls:
            return []
        received = subtract_usage(produced.usage, usage)
        return [UsageRow(source="turn", model=self._model, usage=received, calls=produced.model_calls - calls)]

    def _journaled_usage(self) -> list[UsageRow]:
        """Give the usage that whoever takes the turn up finds in the journal, should this commit fail."""
        calls, usage = self._in_journal
        if not calls and not self._unknown_calls:
            return []
        return [UsageRow(source="turn", model=self._model, usage=usage, calls=calls, unknown_calls=self._unknown_calls)]


def called_tools(responses: Iterable[Response]) -> set[str]:
    """Give the names of the tools that models call."""
    return {
        part.call.tool
        for response in responses
        if isinstance(response, ModelReplied)
        for part in response.reply.parts
        if isinstance(part, ToolCallPart)
    }


def new_turn_id(now: int) -> str:
    """Make a turn id: 24 hex digits that sort by time; a prefix of the ids of the turn's nodes."""
    return f"{now // 1_000:012x}{secrets.token_hex(6)}"

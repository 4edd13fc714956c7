"""One turn on its way: what a host drives (H5).

A response is durable when `TurnRun.run` returns: the commit that the machine asks for holds it, or else the effect
journal does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lash_hookspecs.errors import AttachmentUnresolved, LashError
from lash_hookspecs.protocols.models import ModelProvider
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
from lash_hookspecs.records.models import ModelRequest
from lash_hookspecs.records.store import Consumed, Receipt, StreamEntry
from lash_hookspecs.records.tools import ToolResult
from lash_hookspecs.records.turn import OpenTurn, StopReason, TurnEnd, TurnOutcome, TurnResult
from lash_hookspecs.records.usage import UsageRow
from lash_hookspecs.specs.events import TurnCommitted, TurnFinalized, lash_on_turn_committed, lash_on_turn_finalized

from lash_core.attachments.files import SessionFiles
from lash_core.machine.turn_machine import Produced, TurnMachine
from lash_core.runtime.model_call import call_model
from lash_core.runtime.resident import Change, ResidentSession
from lash_core.tools.surface import ToolSurface, output_text

if TYPE_CHECKING:
    from lash_core.runtime.environment import RuntimeEnvironment

__all__ = ["JOURNAL", "LOST", "STARTED", "TurnRun", "new_turn_id"]

#: The stream that holds the responses since the last commit.
JOURNAL = "journal"

#: Ends the journal key of the note that a side-effecting call is about to run.
STARTED = ":started"

#: Begins the end of the journal key of the note that a model call is made again because a process died (T8).
LOST = ":lost-"


class TurnRun:
    """A `lash_hookspecs.protocols.hosts.TurnRunner`."""

    def __init__(
        self,
        *,
        resident: ResidentSession,
        machine: TurnMachine,
        env: RuntimeEnvironment,
        tools: ToolSurface,
        files: SessionFiles,
        provider: ModelProvider,
        emit: Callable[[Event], None],
        started_at: int,
        journaled: int = 0,
        unknown_calls: int = 0,
    ) -> None:
        """Take up a turn.

        Args:
            resident: The session.
            machine: The turn's machine, fed with what the journal holds.
            env: Shared services.
            tools: The session's tools.
            files: The session's attachments.
            provider: Who is asked.
            emit: Takes events, live and stored ones.
            started_at: When the turn began, microseconds since 1970-01-01 UTC.
            journaled: The last sequence of the journal.
            unknown_calls: Model calls of a dead process whose response nobody has (T8).
        """
        self.result: TurnResult | None = None
        self._resident = resident
        self._machine = machine
        self._env = env
        self._tools = tools
        self._files = files
        self._provider = provider
        self._emit = emit
        self._started_at = started_at
        self._journaled = journaled
        self._unknown_calls = unknown_calls
        self._running: dict[str, asyncio.Task[Response]] = {}
        self._writing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._failure: BaseException | None = None
        self._over = asyncio.Event()

    @property
    def session_id(self) -> str:
        """The session."""
        return self._resident.session_id

    @property
    def turn_id(self) -> str:
        """The turn."""
        return self._machine.turn_id

    @property
    def done(self) -> bool:
        """Whether the turn has had its final commit."""
        if self._failure is not None:
            raise self._failure
        return self.result is not None

    def outstanding(self) -> Sequence[ModelCall | ToolRun]:
        """Give the effects that wait for a response and do not run in this process."""
        if self._stopping:
            return ()
        return [effect for effect in self._machine.outstanding() if effect.key not in self._running]

    async def settle(self) -> None:
        """Commit what the machine holds at a boundary or at its end; done once before a host takes over."""
        async with self._writing:
            await self._settle()

    async def note_lost(self) -> None:
        """Make it durable that model calls are made again: whoever continues after this process counts them too."""
        for effect in self._machine.outstanding():
            if isinstance(effect, ModelCall):
                await self._journal(f"{effect.key}{LOST}{self._unknown_calls}", Started())

    async def run(self, effect: ModelCall | ToolRun) -> None:
        """Run one effect and make its result durable."""
        stopped = self._stopping  # after a host was told of the effect and before it begins
        if stopped:
            await self.wait()
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

    async def stop(self, outcome: TurnOutcome, reason: StopReason, message: str) -> None:
        """End the turn early: running effects are cancelled, and what was done is committed.

        It is carried out even if the caller is cancelled meanwhile, as a tool is that ends its own turn.
        """
        ending = asyncio.create_task(self._stop(self._cut(), outcome, reason, message))
        self._ending.add(ending)
        ending.add_done_callback(self._ended)
        await asyncio.shield(ending)

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
        self._failure = error
        self._over.set()
        self._cut()

    def _cut(self) -> frozenset[str]:
        self._stopping = True
        running = frozenset(self._running)
        for task in self._running.values():
            task.cancel()
        return running

    async def _perform(self, effect: ModelCall | ToolRun) -> Response:
        if isinstance(effect, ModelCall):
            return await self._call_model(effect)
        if effect.tool_kind == "side_effecting":
            await self._journal(effect.key + STARTED, Started())
            self._machine.feed(effect.key, Started())
        self._emit(ToolStarted(call=effect.call))
        context = ToolCallContext(
            session_id=self.session_id,
            turn_id=self.turn_id,
            call=effect.call,
            idempotency_key=f"{self.session_id}:{effect.key}",
        )
        return ToolReplied(result=await self._bounded(await self._tools.run(context)))

    async def _call_model(self, effect: ModelCall) -> ModelReplied | CallFailed:
        config = self._resident.document.config
        conversation = self._resident.conversation
        model = config.model.partition(":")[2]
        try:
            messages = await self._files.resolve(conversation.provider_messages(), lambda: self._taken(model))
        except AttachmentUnresolved as error:
            return CallFailed(message=error.message, error_kind=error.code)
        request = ModelRequest(
            model=model,
            instructions="\n\n".join(text for text in (config.instructions, *conversation.system) if text),
            messages=messages,
            tools=tuple(self._tools.specs.values()) if effect.tools else (),
            settings=config.model_settings,
            session_id=self.session_id,
            call_key=effect.key,
        )
        return await call_model(self._provider, request, self._env, self._emit)

    async def _taken(self, model: str) -> tuple[str, ...]:
        return (await self._provider.model_info(model)).attachments

    async def _bounded(self, result: ToolResult) -> ToolResult:
        """Spill an oversize output to a blob and keep its head (S11)."""
        limit = self._env.max_tool_output
        text = output_text(result.output)
        if len(text) <= limit:
            return result
        [ref] = await self._resident.store.put_blobs([text.encode()])
        note = f"\n[cut: the first {limit:,} of {len(text):,} characters; the whole is kept as blob {ref}]"
        return result.evolve(output=text[:limit] + note, spilled=ref)

    async def _journal(self, key: str, response: Response) -> None:
        entry = StreamEntry(key, RESPONSES.dump_json(response, exclude_none=True))
        [sequence] = await self._resident.store.append(JOURNAL, [entry], writer=self._resident.writer)
        self._journaled = max(self._journaled, sequence)

    async def _deliver(self, key: str, response: Response) -> None:
        if self._failure is not None or not self._machine.feed(key, response):
            return
        if isinstance(response, ToolReplied):
            self._emit(ToolFinished(result=response.result))
        if self._machine.wants_commit:
            await self._settle()
        else:
            await self._journal(key, response)

    async def _settle(self) -> None:
        try:
            self._machine.proceed()
            while self.result is None and self._machine.wants_commit:
                if self._machine.at_boundary:
                    self._machine.pass_boundary()
                await self._commit_produced()
                self._machine.proceed()
        except BaseException as error:
            if self.result is None:  # what the machine had produced is lost with the commit: nobody may go on with it
                self._failure = error
                self._over.set()
            raise

    async def _commit_produced(self) -> None:
        produced = self._machine.produced()
        for event in produced.events:
            if not isinstance(event, ToolFinished):
                self._emit(event)
        if self._machine.end is not None:
            await self._finish(self._machine.end, produced)
        else:
            await self._commit("boundary", produced, self._open_turn())

    def _open_turn(self) -> OpenTurn:
        return OpenTurn(
            turn_id=self.turn_id,
            turn_index=self._machine.turn_index,
            started_at=self._started_at,
            machine=self._machine.snapshot(),
        )

    async def _finish(self, end: TurnEnd, produced: Produced) -> None:
        turn_index = self._machine.turn_index
        await self._env.plugins.notify(
            lash_on_turn_finalized,
            TurnFinalized(session_id=self.session_id, turn_id=self.turn_id, turn_index=turn_index, end=end),
        )
        ended = TurnEnded(
            turn_id=self.turn_id,
            turn_index=turn_index,
            outcome=end.outcome,
            text=end.text,
            reason=end.reason,
            message=end.message,
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
        )
        self._over.set()
        self._emit(ended)
        await self._env.plugins.notify(
            lash_on_turn_committed,
            TurnCommitted(session_id=self.session_id, turn_id=self.turn_id, result=self.result, receipt=receipt),
        )

    async def _commit(self, step: str, produced: Produced, open_turn: OpenTurn | None) -> Receipt:
        events: Sequence[StoredEvent] = produced.events
        receipt = await self._resident.commit(
            Change(
                step=step,
                document=self._resident.document.evolve(open_turn=open_turn),
                payloads=produced.payloads,
                events=events,
                usage=self._usage(produced),
                consumed=[Consumed(JOURNAL, self._journaled)] if self._journaled else (),
            ),
            self._env.plugins.fingerprint(),
        )
        self._journaled = 0
        self._unknown_calls = 0
        return receipt

    def _usage(self, produced: Produced) -> list[UsageRow]:
        if not produced.model_calls and not self._unknown_calls:
            return []
        return [
            UsageRow(
                source="turn",
                model=self._resident.document.config.model,
                usage=produced.usage,
                calls=produced.model_calls,
                unknown_calls=self._unknown_calls,
            )
        ]


def new_turn_id(now: int) -> str:
    """Make a turn id: 24 hex digits that sort by time; a prefix of the ids of the turn's nodes."""
    return f"{now // 1_000:012x}{secrets.token_hex(6)}"

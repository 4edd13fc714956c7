"""The turn machine: effects out, responses in (T1).

It drives a mode, which is a pure step, and owns what a mode must not: keys, node ids, limits, the batch of tool
calls, and how a turn is cut short. It has no clock and no random of its own, so the same snapshot and the same
responses give the same effects in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

import attrs
from lash_hookspecs.errors import TurnError
from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    BoundaryPassed,
    ExecutionMode,
    Finish,
    Keep,
    ModeInput,
    ModelAnswered,
    ModeStep,
    PassBoundary,
    RunTools,
    ToolsFinished,
    TurnBegan,
)
from lash_hookspecs.records.effects import CallFailed, ModelCall, ModelReplied, Response, Started, ToolReplied, ToolRun
from lash_hookspecs.records.events import StoredEvent, ToolFinished, UsageReported
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ModeEvent, Part, Payload, ToolCallPart, ToolInvocation
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec, ToolStatus
from lash_hookspecs.records.turn import (
    MachineSnapshot,
    PendingStep,
    StopReason,
    TurnEnd,
    TurnInput,
    TurnLimits,
    TurnOutcome,
)
from lash_hookspecs.records.usage import TokenUsage, add_usage
from pydantic import JsonValue

from lash_core.graph.conversation import marked_result

__all__ = ["MACHINE_VERSION", "Produced", "TurnContext", "TurnMachine"]

#: Grows when a snapshot of an older machine cannot be continued; such a turn can still be abandoned.
MACHINE_VERSION = 1

#: Why a turn ends whose model could not be asked; any other kind of failure is the model's own.
_FAILURES: dict[str, StopReason] = {"attachment_unresolved": "attachment_unresolved", "plugin": "plugin_error"}


@attrs.define
class Produced:
    """What the machine made since the last commit, for the next one.

    Attributes:
        payloads: New payloads with their node ids, in order.
        events: Stored events, in order.
        usage: Usage of model calls that replied.
        model_calls: How many those are.
    """

    payloads: list[tuple[str, Payload]] = attrs.field(factory=list)
    events: list[StoredEvent] = attrs.field(factory=list)
    usage: TokenUsage = attrs.field(factory=TokenUsage)
    model_calls: int = 0


@attrs.frozen
class TurnContext:
    """What the machine looks up and does not keep.

    Attributes:
        tools: Every tool that the session knows, by name.
        call_ids: Call ids that the path has already.
        mode_options: The session's mode options.
        offered: Gives what can be called in the turn; every tool by default.
    """

    tools: Mapping[str, ToolSpec]
    call_ids: AbstractSet[str]
    mode_options: Mapping[str, JsonValue] = attrs.field(factory=dict)
    offered: Callable[[], tuple[ToolSpec, ...]] = attrs.Factory(
        lambda self: lambda: tuple(self.tools.values()), takes_self=True
    )


class TurnMachine:
    """One turn.

    Attributes:
        end: How the turn ended; ``None`` while it runs.
        at_boundary: Whether it waits for `pass_boundary`.
        session_state: What the mode keeps from turn to turn.
    """

    def __init__(
        self, mode: ExecutionMode, snapshot: MachineSnapshot, turn_id: str, turn_index: int, context: TurnContext
    ) -> None:
        """Take up a turn where a snapshot left it.

        Raises:
            TurnError: The snapshot is another machine's, mode's or mode version's, and cannot be continued.
        """
        _check_versions(mode, snapshot)
        self.end: TurnEnd | None = None
        self.at_boundary = False
        self.turn_id = turn_id
        self.turn_index = turn_index
        self._mode = mode
        self._context = context
        self._state = snapshot.mode_state
        self.session_state = snapshot.session_state
        self._next_effect = snapshot.next_effect
        self._next_node = snapshot.next_node
        self._model_calls = snapshot.model_calls
        self._usage = snapshot.usage
        self._limits = snapshot.limits
        self._waiting: dict[str, ModelCall | ToolRun] = {effect.key: effect for effect in snapshot.waiting}
        self._pending = snapshot.pending
        self._serial: list[ToolRun] = []
        self._batch: RunTools | None = None
        self._results: dict[str, ToolResult] = {}
        self._begun: set[str] = set()
        self._early: dict[str, list[Response]] = {}
        self._call_ids: set[str] = set()
        self._produced = Produced()

    @classmethod
    def begin(
        cls,
        mode: ExecutionMode,
        turn_input: TurnInput,
        turn_id: str,
        turn_index: int,
        context: TurnContext,
        limits: TurnLimits,
        session_state: JsonValue = None,
    ) -> TurnMachine:
        """Begin a turn: its snapshot goes into the commit of the user's message; `proceed` takes the first step."""
        snapshot = MachineSnapshot(
            version=MACHINE_VERSION,
            mode=mode.name,
            mode_version=mode.version,
            session_state=session_state,
            pending=PendingStep(kind="turn_began", inputs=(turn_input,)),
            limits=limits,
        )
        return cls(mode, snapshot, turn_id, turn_index, context)

    @property
    def usage(self) -> TokenUsage:
        """Usage of the whole turn so far."""
        return self._usage

    @property
    def model_calls(self) -> int:
        """Calls of the model so far."""
        return self._model_calls

    @property
    def produced_usage(self) -> tuple[int, TokenUsage]:
        """Calls of the model since the last commit that were answered, and their usage."""
        return self._produced.model_calls, self._produced.usage

    @property
    def wants_commit(self) -> bool:
        """Whether what was produced must be stored before anything else runs.

        So it is at a boundary, at the end, and before a model call: a model never sees what is not durable.
        """
        asks = any(isinstance(effect, ModelCall) for effect in self._waiting.values())
        return self.at_boundary or self.end is not None or (asks and bool(self._produced.payloads))

    def outstanding(self) -> tuple[ModelCall | ToolRun, ...]:
        """Give the effects that wait for a response, in the order in which they were asked for."""
        return tuple(self._waiting.values())

    def snapshot(self) -> MachineSnapshot:
        """Give what the commit of everything produced so far must keep.

        Raises:
            TurnError: A batch of tools is under way; such a point is rebuilt from the journal instead.
        """
        if self._batch is not None:
            raise TurnError("a snapshot inside a batch of tools would lose it", step="snapshot")
        return MachineSnapshot(
            version=MACHINE_VERSION,
            mode=self._mode.name,
            mode_version=self._mode.version,
            mode_state=self._state,
            session_state=self.session_state,
            next_effect=self._next_effect,
            next_node=self._next_node,
            waiting=self.outstanding(),
            pending=self._pending,
            model_calls=self._model_calls,
            usage=self._usage,
            limits=self._limits,
        )

    def produced(self) -> Produced:
        """Take what was made since the last call."""
        produced, self._produced = self._produced, Produced()
        self._call_ids.clear()  # from here on the path says which are used, in a rebuilt machine too
        return produced

    def feed(self, key: str, response: Response) -> bool:
        """Take a response in; ``False`` when nothing waits for it."""
        effect = self._waiting.get(key)
        if effect is None or self.end is not None:
            return False
        if isinstance(response, Started):
            self._begun.add(key)
            return True
        del self._waiting[key]
        if isinstance(effect, ModelCall) and isinstance(response, ModelReplied):
            self._model_replied(response.reply)
        elif isinstance(effect, ModelCall) and isinstance(response, CallFailed):
            self.stop("failed", _FAILURES.get(response.error_kind, "model_error"), response.message)
        elif isinstance(effect, ToolRun) and isinstance(response, ToolReplied):
            self._tool_replied(effect, response.result)
        else:
            raise TurnError(f"effect {key} is a {effect.kind}; a {response.kind} does not answer it", step="feed")
        return True

    def add(self, payloads: Iterable[Payload]) -> None:
        """Put what is not the mode's on the path, behind what was produced so far."""
        for payload in payloads:
            if isinstance(payload, Message):
                payload = payload.evolve(turn_index=self.turn_index)
            self._produced.payloads.append((self._new_node_id(), payload))

    def fail(self, reason: StopReason, message: str) -> None:
        """Let the end of the turn be a failure, whatever it was."""
        if self.end is None:
            self.stop("failed", reason, message)
        else:
            self.end = self.end.evolve(outcome="failed", reason=reason, message=message)

    def pass_boundary(self, inputs: Iterable[TurnInput] = ()) -> None:
        """Let input in at a boundary; `proceed` goes on once everything that was produced is committed."""
        self.at_boundary = False
        self._pending = PendingStep(kind="boundary_passed", inputs=tuple(inputs))

    def proceed(self) -> None:
        """Take the step that waited for a commit, if one does."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if pending.kind == "turn_began":
            began = pending.inputs[0]
            options = {**self._context.mode_options, **(began.mode_options or {})}
            self._step(TurnBegan(began, self._context.offered(), self.session_state, options))
        else:
            self._step(BoundaryPassed(pending.inputs))

    def stop(
        self, outcome: TurnOutcome, reason: StopReason, message: str, running: AbstractSet[str] = frozenset()
    ) -> None:
        """Cut the turn short: every call of the batch gets a result, and the turn ends.

        Args:
            outcome: How the turn ends.
            reason: Why, for programs.
            message: Why, for people.
            running: Keys of effects that were running in this process and have been cancelled.
        """
        if self.end is not None:
            return
        if self._batch is not None:
            marks = {effect.call.call_id: self._mark(key, effect, running) for key, effect in self._tool_runs()}
            for call in self._batch.calls:
                if call.call_id not in self._results:
                    self._results[call.call_id] = marked_result(call, marks.get(call.call_id, "interrupted"))
            self._record_batch()
        self._waiting.clear()
        self._serial.clear()
        self._pending = None
        self.at_boundary = False
        self.end = TurnEnd(outcome=outcome, reason=reason, message=message)

    def _mark(self, key: str, effect: ToolRun, running: AbstractSet[str]) -> ToolStatus:
        if effect.tool_kind == "read_only" and key not in self._begun:
            return "interrupted"
        if key in running:
            return "cancelled"
        return "outcome_unknown" if key in self._begun or effect.tool_kind == "idempotent" else "interrupted"

    def replay(self, journal: Iterable[tuple[str, Response]]) -> None:
        """Feed what the journal holds; entries that nothing ever waits for are left out.

        A side-effecting call that began and has no result is answered by a marked one: it is not run again. An entry
        that comes too early is kept until its effect is out: a tool may have become serial since the journal was
        written.
        """
        self.proceed()
        for key, response in journal:
            if not self.feed(key, response):
                self._early.setdefault(key, []).append(response)
        for key, effect in self._tool_runs():
            if key in self._begun:
                self.feed(key, ToolReplied(result=marked_result(effect.call, "outcome_unknown")))

    def _answer_early(self, run: ToolRun) -> None:
        for response in self._early.pop(run.key, ()):
            self.feed(run.key, response)
        if run.key in self._begun:
            self.feed(run.key, ToolReplied(result=marked_result(run.call, "outcome_unknown")))

    def _tool_runs(self) -> list[tuple[str, ToolRun]]:
        return [(key, effect) for key, effect in self._waiting.items() if isinstance(effect, ToolRun)]

    def _step(self, event: ModeInput) -> None:
        try:
            step = self._mode.step(self._state, event)
            terminal = _terminal(self._mode, step)
        except Exception as error:  # noqa: BLE001  a mode is a stranger's code: its failure ends the turn, typed
            self.stop("failed", "mode_error", f"mode {self._mode.name!r} failed: {type(error).__name__}: {error}")
            return
        self._state = step.state
        if not isinstance(step.session_state, Keep):
            self.session_state = step.session_state
        for action in step.actions[:-1]:
            assert isinstance(action, Append)
            self._append(action.payload)
        if isinstance(terminal, AskModel):
            self._ask_model(terminal)
        elif isinstance(terminal, RunTools):
            self._run_tools(terminal)
        elif isinstance(terminal, PassBoundary):
            self.at_boundary = True
        else:
            self.end = terminal.end

    def _ask_model(self, action: AskModel) -> None:
        reached = self._limit_reached()
        if reached is not None:
            self.stop("stopped", *reached)
            return
        self._model_calls += 1
        effect = ModelCall(key=self._new_key(), tools=action.tools)
        self._waiting[effect.key] = effect

    def _limit_reached(self) -> tuple[StopReason, str] | None:
        limits, usage = self._limits, self._usage
        if limits.model_calls is not None and self._model_calls >= limits.model_calls:
            return "model_call_limit", f"the turn reached its limit of {limits.model_calls} model calls"
        if limits.tokens is not None and usage.total_tokens >= limits.tokens:
            return "token_limit", f"the turn reached its limit of {limits.tokens} tokens ({usage.total_tokens} used)"
        if limits.cost is not None and usage.cost is not None and usage.cost >= limits.cost:
            return "cost_limit", f"the turn reached its cost limit of ${limits.cost} (${usage.cost} spent)"
        return None

    def _model_replied(self, reply: ModelReply) -> None:
        self._usage = add_usage(self._usage, reply.usage)
        self._produced.usage = add_usage(self._produced.usage, reply.usage)
        self._produced.model_calls += 1
        self._produced.events.append(UsageReported(model=reply.model or "", usage=reply.usage))
        self._step(ModelAnswered(reply.evolve(parts=self._unique_calls(reply.parts))))

    def _unique_calls(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(
            ToolCallPart(call=self._unique(part.call)) if isinstance(part, ToolCallPart) else part for part in parts
        )

    def _unique(self, call: ToolCall) -> ToolCall:
        if not call.call_id or call.call_id in self._call_ids or call.call_id in self._context.call_ids:
            call = call.evolve(call_id=f"call_{self._new_key()}")
        self._call_ids.add(call.call_id)
        return call

    def _run_tools(self, action: RunTools) -> None:
        if not action.recorded:  # ids that no reply brought
            action = RunTools(tuple(self._unique(call) for call in action.calls), recorded=False)
        self._batch = action
        runs = [self._tool_run(call) for call in action.calls]
        parallel = [run for run in runs if not self._is_serial(run.call)]
        self._serial = [run for run in runs if self._is_serial(run.call)]
        self._waiting.update((run.key, run) for run in parallel)
        self._advance_batch()

    def _tool_run(self, call: ToolCall) -> ToolRun:
        spec = self._context.tools.get(call.tool)
        return ToolRun(key=self._new_key(), call=call, tool_kind=spec.kind if spec else "read_only")

    def _is_serial(self, call: ToolCall) -> bool:
        spec = self._context.tools.get(call.tool)
        return spec is not None and spec.serial

    def _tool_replied(self, effect: ToolRun, result: ToolResult) -> None:
        self._results[effect.call.call_id] = result
        self._begun.discard(effect.key)
        self._advance_batch()

    def _advance_batch(self) -> None:
        if self._waiting:
            return
        if self._serial:
            run = self._serial.pop(0)
            self._waiting[run.key] = run
            self._answer_early(run)
            return
        results = self._record_batch()
        self.end = _ended_by(results)
        if self.end is None:
            self._step(ToolsFinished(results))

    def _record_batch(self) -> tuple[ToolResult, ...]:
        batch, self._batch = self._batch, None
        assert batch is not None
        results = tuple(self._results[call.call_id] for call in batch.calls)
        self._results = {}
        self._begun.clear()
        for call, result in zip(batch.calls, results, strict=True):
            self._append(ToolInvocation(result=result, call=None if batch.recorded else call))
            self._produced.events.append(ToolFinished(result=result))
        return results

    def _append(self, payload: Message | ModeEvent | ToolInvocation) -> None:
        if isinstance(payload, Message):
            if payload.role == "assistant" and not payload.parts:
                return
            payload = payload.evolve(turn_index=self.turn_index)
        elif isinstance(payload, ToolInvocation):
            payload = payload.evolve(turn_index=self.turn_index)
        self._produced.payloads.append((self._new_node_id(), payload))

    def _new_key(self) -> str:
        key = f"{self.turn_id}-{self._next_effect}"
        self._next_effect += 1
        return key

    def _new_node_id(self) -> str:
        node_id = f"{self.turn_id}{self._next_node:08x}"
        self._next_node += 1
        return node_id


def _terminal(mode: ExecutionMode, step: object) -> AskModel | RunTools | PassBoundary | Finish:
    if not isinstance(step, ModeStep) or not step.actions:
        raise TypeError(f"a step must be a ModeStep with at least one action, not {step!r}")
    *before, last = step.actions
    if isinstance(last, Append) or not all(isinstance(action, Append) for action in before):
        names = ", ".join(type(action).__name__ for action in step.actions)
        raise TypeError(f"a step is Appends, then one of AskModel, RunTools, PassBoundary, Finish; got {names}")
    if not isinstance(last, (AskModel, RunTools, PassBoundary, Finish)):
        raise TypeError(f"{last!r} is no action")
    return last


def _ended_by(results: Iterable[ToolResult]) -> TurnEnd | None:
    """Give the end that a tool's result makes of the turn; of several, the first in the order of the calls decides."""
    for result in results:
        if result.status != "ok" or (result.control is None and result.handoff is None):
            continue
        if result.control == "fail":
            message = f"tool {result.tool!r} stopped the turn"
            return TurnEnd(outcome="stopped", text=result.text, reason="tool_stopped", message=message)
        return TurnEnd(outcome="finished", text=result.text, handoff=result.handoff)
    return None


def _check_versions(mode: ExecutionMode, snapshot: MachineSnapshot) -> None:
    if snapshot.version != MACHINE_VERSION:
        raise TurnError(
            f"the turn was begun by version {snapshot.version} of the turn machine, this one has {MACHINE_VERSION}; "
            "it can be abandoned, not continued",
            step="continue",
        )
    if (snapshot.mode, snapshot.mode_version) != (mode.name, mode.version):
        raise TurnError(
            f"the turn was begun by mode {snapshot.mode!r} version {snapshot.mode_version}, this is {mode.name!r} "
            f"version {mode.version}; it can be abandoned, not continued",
            step="continue",
        )

"""The turn machine over two modes: rebuilt at any point it goes on as the live one would (T1, T3, T6, T8, T12)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import attrs
import pytest
from calls_mode import CallsMode
from hypothesis import given
from hypothesis import strategies as st
from lash_basics.standard_mode import StandardMode
from lash_core.machine.turn_machine import MACHINE_VERSION, Produced, TurnContext, TurnMachine
from lash_hookspecs.errors import TurnError
from lash_hookspecs.protocols.modes import (
    AskModel,
    BoundaryPassed,
    ExecutionMode,
    ModeInput,
    ModelAnswered,
    ModeStep,
    PassBoundary,
)
from lash_hookspecs.records.effects import CallFailed, ModelCall, ModelReplied, Response, Started, ToolReplied, ToolRun
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, Part, Payload, TextPart, ToolCallPart, ToolInvocation
from lash_hookspecs.records.tools import ToolCall, ToolKind, ToolResult, ToolSpec
from lash_hookspecs.records.turn import MachineSnapshot, TurnEnd, TurnInput, TurnLimits
from lash_hookspecs.records.usage import TokenUsage, UsageRow, add_usage, merge_ledger
from pydantic import JsonValue

TURN = "0123456789abcdef01234567"
KINDS: tuple[ToolKind, ...] = ("read_only", "idempotent", "side_effecting")
TOOLS = {
    f"{kind}{'_serial' if serial else ''}": ToolSpec(
        name=f"{kind}{'_serial' if serial else ''}", kind=kind, serial=serial
    )
    for kind in KINDS
    for serial in (False, True)
}
MODES: dict[str, Callable[[], ExecutionMode]] = {
    "standard": StandardMode,
    "calls": CallsMode,
    "calls with a prelude": lambda: CallsMode(
        prelude=({"note": "first"}, {"tool": "idempotent"}, {"boundary": True}, {"tool": "read_only_serial"})
    ),
    "calls from a boundary": lambda: CallsMode(prelude=({"boundary": True},)),
}

both_modes = pytest.mark.parametrize("mode", ["standard", "calls"])


class Driver:
    """A host, a store and a clock in one: feeds a machine and keeps what a commit and a journal would hold."""

    def __init__(
        self, mode: ExecutionMode, *, limits: TurnLimits | None = None, rebuilds: bool = False, tools: Any = None
    ) -> None:
        self.mode = mode
        self.rebuilds = rebuilds
        self.tools: dict[str, ToolSpec] = TOOLS if tools is None else tools
        self.path: list[tuple[str, Payload]] = []
        self.call_ids: set[str] = set()
        self.journal: list[tuple[str, Response]] = []
        self.usage: list[UsageRow] = []
        self.asked: list[ModelCall | ToolRun] = []
        self.machine = TurnMachine.begin(
            mode, TurnInput(text="go"), TURN, 1, self.context(), limits or TurnLimits(model_calls=None)
        )
        self.stored = self.machine.snapshot().to_bytes()
        if rebuilds:
            self.machine = self.rebuilt()
        self.machine.proceed()
        self.settle()

    def context(self) -> TurnContext:
        return TurnContext(tools=self.tools, call_ids=self.call_ids)

    def rebuilt(self) -> TurnMachine:
        """What another process makes of the last commit and the journal since."""
        snapshot = MachineSnapshot.from_bytes(self.stored)
        context = TurnContext(tools=self.tools, call_ids=set(self.call_ids))
        machine = TurnMachine(self.mode, snapshot, TURN, 1, context)
        machine.replay(self.journal)
        return machine

    def respond(self, key: str, response: Response) -> None:
        """Let a response become durable, in the next commit or in the journal."""
        assert self.machine.feed(key, response)
        if self.machine.wants_commit:
            self.settle()
        else:
            self.journal.append((key, response))
        if self.rebuilds and self.machine.end is None:
            self.machine = self.rebuilt()
            self.settle()

    def start(self, effect: ModelCall | ToolRun) -> None:
        """Say that a side-effecting call begins, as a runner does; without a rebuild, as it lives on."""
        if isinstance(effect, ToolRun) and effect.tool_kind == "side_effecting":
            assert self.machine.feed(effect.key, Started())
            self.journal.append((effect.key, Started()))

    def settle(self) -> None:
        self.machine.proceed()
        while self.machine.wants_commit:
            if self.machine.at_boundary:
                self.machine.pass_boundary()
            produced = self.machine.produced()
            self.commit(produced)
            if self.machine.end is not None:
                return
            self.stored = self.machine.snapshot().to_bytes()
            if self.rebuilds:
                self.machine = self.rebuilt()
            self.machine.proceed()

    def commit(self, produced: Produced) -> None:
        self.path += produced.payloads
        self.journal = []
        self.usage.append(UsageRow(source="turn", model="m", usage=produced.usage, calls=produced.model_calls))
        for _, payload in produced.payloads:
            if isinstance(payload, Message):
                self.call_ids.update(call.call_id for call in payload.tool_calls)
            elif isinstance(payload, ToolInvocation) and payload.call is not None:
                self.call_ids.add(payload.call.call_id)


@attrs.frozen
class Script:
    """A whole turn's chance, fixed: what models and tools say, and which response comes next."""

    mode: str
    replies: tuple[tuple[tuple[str, str], ...], ...]
    order: tuple[int, ...]
    statuses: tuple[str, ...]
    boundaries: tuple[bool, ...]

    def reply(self, number: int) -> ModelReply:
        usage = TokenUsage(input_tokens=number + 1, output_tokens=2, cost=Decimal("0.1") if number % 2 else None)
        wanted = self.replies[number] if number < len(self.replies) else ()
        if self.mode == "standard":
            calls = [ToolCallPart(call=ToolCall(call_id=call_id, tool=tool)) for tool, call_id in wanted]
            parts: tuple[Part, ...] = (*calls,) if calls else (TextPart(text="done"),)
            return ModelReply(parts=parts, usage=usage)
        program: list[dict[str, Any]] = []
        for at, (tool, call_id) in enumerate(wanted):
            program.append({"tool": tool, "id": call_id})
            if self.boundaries[(number + at) % len(self.boundaries)]:
                program += [{"note": at}, {"boundary": True}]
        return ModelReply(parts=(TextPart(text=json.dumps(program) if program else "done"),), usage=usage)

    def answer(self, effect: ModelCall | ToolRun, number: int) -> Response:
        """Depends on what is asked alone, so that a rebuilt machine is answered alike."""
        if isinstance(effect, ModelCall):
            return ModelReplied(reply=self.reply(number))
        serial = int(effect.key.rpartition("-")[2])
        status: Any = self.statuses[serial % len(self.statuses)]
        return ToolReplied(
            result=ToolResult(call_id=effect.call.call_id, tool=effect.call.tool, status=status, output=effect.key)
        )


names = st.sampled_from([*TOOLS, "nobody_knows_it"])
calls = st.lists(st.tuples(names, st.sampled_from(["", "a", "b", "c", "d"])), min_size=1, max_size=4).map(tuple)
scripts = st.builds(
    Script,
    mode=st.sampled_from(sorted(MODES)),
    replies=st.lists(calls, max_size=3).map(tuple),
    order=st.lists(st.integers(0, 5), min_size=1, max_size=8).map(tuple),
    statuses=st.lists(st.sampled_from(["ok", "error"]), min_size=1, max_size=3).map(tuple),
    boundaries=st.lists(st.booleans(), min_size=1, max_size=3).map(tuple),
)
standard_scripts = scripts.map(lambda script: attrs.evolve(script, mode="standard"))


def play(script: Script, driver: Driver, *, steps: int | None = None, start: bool = False) -> Driver:
    """Answer effects in the script's order, until the turn ends or some steps were made."""
    done = models = 0
    while driver.machine.end is None and done != steps:
        outstanding = driver.machine.outstanding()
        assert outstanding, "a turn that has not ended waits for something"
        effect = outstanding[script.order[done % len(script.order)] % len(outstanding)]
        driver.asked.append(effect)
        if start:
            driver.start(effect)
        number, models = models, models + isinstance(effect, ModelCall)
        driver.respond(effect.key, script.answer(effect, number))
        done += 1
    return driver


def mode_of(script: Script) -> ExecutionMode:
    return MODES[script.mode]()


def exported(path: Sequence[tuple[str, Payload]]) -> list[tuple[str, bytes]]:
    return [(node_id, payload.to_bytes()) for node_id, payload in path]


@given(scripts, st.integers(0, 12))
def test_a_machine_that_is_rebuilt_at_any_point_waits_for_exactly_the_same(script: Script, steps: int) -> None:
    driver = play(script, Driver(mode_of(script)), steps=steps)
    if driver.machine.end is None:
        assert driver.rebuilt().outstanding() == driver.machine.outstanding()


@given(scripts)
def test_a_turn_that_is_rebuilt_after_every_response_leaves_the_same_nodes_and_the_same_end(script: Script) -> None:
    live = play(script, Driver(mode_of(script)))
    killed = play(script, Driver(mode_of(script), rebuilds=True))
    assert exported(killed.path) == exported(live.path)
    assert killed.asked == live.asked
    assert killed.machine.end == live.machine.end
    assert killed.machine.usage == live.machine.usage


@given(scripts, st.integers(0, 12))
def test_only_a_side_effecting_call_that_began_is_not_asked_for_again(script: Script, steps: int) -> None:
    driver = play(script, Driver(mode_of(script)), steps=steps, start=True)
    if driver.machine.end is not None:
        return
    before = driver.machine.outstanding()
    for effect in before:
        driver.start(effect)
    begun = {
        effect.call.call_id: effect.key
        for effect in before
        if isinstance(effect, ToolRun) and effect.tool_kind == "side_effecting"
    }
    machine = driver.rebuilt()
    again = {effect.key for effect in machine.outstanding()}
    assert again.isdisjoint(begun.values())
    assert {effect.key for effect in before} - set(begun.values()) <= again
    machine.stop("cancelled", "cancelled", "enough")
    statuses = {
        payload.result.call_id: payload.result.status
        for _, payload in machine.produced().payloads
        if isinstance(payload, ToolInvocation)
    }
    assert {call_id: statuses[call_id] for call_id in begun} == dict.fromkeys(begun, "outcome_unknown")


@given(scripts)
def test_results_stand_in_the_order_of_their_calls(script: Script) -> None:
    driver = play(script, Driver(mode_of(script)))
    if script.mode != "standard":
        made = [(payload.call, payload.result) for _, payload in driver.path if isinstance(payload, ToolInvocation)]
        wanted = [tool for reply in script.replies for tool, _ in reply]
        assert [result.tool for _, result in made][-len(wanted) or len(made) :] == wanted
        assert all(call is not None and call.call_id == result.call_id for call, result in made)
        return
    expected: list[str] = []
    for _, payload in driver.path:
        if isinstance(payload, Message):
            assert expected == []
            expected = [call.call_id for call in payload.tool_calls]
        elif isinstance(payload, ToolInvocation):
            assert payload.result.call_id == expected.pop(0)
    assert expected == []


@given(scripts)
def test_a_serial_call_never_runs_beside_another(script: Script) -> None:
    driver = Driver(mode_of(script))
    done = models = 0
    while driver.machine.end is None:
        outstanding = driver.machine.outstanding()
        serial = [each for each in outstanding if isinstance(each, ToolRun) and each.call.tool.endswith("_serial")]
        assert not serial or len(outstanding) == 1
        effect = outstanding[script.order[done % len(script.order)] % len(outstanding)]
        driver.respond(effect.key, script.answer(effect, models))
        models += isinstance(effect, ModelCall)
        done += 1


@given(scripts)
def test_call_ids_are_unique_whatever_the_model_writes(script: Script) -> None:
    driver = play(script, Driver(mode_of(script)))
    ids = [payload.result.call_id for _, payload in driver.path if isinstance(payload, ToolInvocation)]
    assert len(ids) == len(set(ids))
    assert "" not in ids


@given(scripts, st.integers(0, 12))
def test_a_late_or_unknown_response_changes_nothing(script: Script, steps: int) -> None:
    driver = play(script, Driver(mode_of(script)), steps=steps)
    before = driver.machine.outstanding()
    answered = [each.key for each in driver.asked]
    for key in (*answered, f"{TURN}-999", ""):
        if key not in {effect.key for effect in before}:
            assert not driver.machine.feed(key, ToolReplied(result=ToolResult(call_id="late", tool="late")))
            assert not driver.machine.feed(key, ModelReplied(reply=ModelReply()))
    assert driver.machine.outstanding() == before
    assert driver.machine.produced() == Produced() or before


@given(scripts)
def test_the_usage_of_the_commits_adds_up_to_the_usage_of_the_replies(script: Script) -> None:
    driver = play(script, Driver(mode_of(script)))
    replies = [effect for effect in driver.asked if isinstance(effect, ModelCall)]
    total = TokenUsage()
    for number in range(len(replies)):
        total = add_usage(total, script.reply(number).usage)
    [row] = merge_ledger((), driver.usage)
    assert (row.usage, row.calls) == (total, len(replies))
    assert driver.machine.usage == total


@given(standard_scripts, st.integers(0, 12), st.integers(0, 63))
def test_a_turn_that_is_stopped_at_any_point_has_every_call_answered_and_marked(
    script: Script, steps: int, running_bits: int
) -> None:
    driver = play(script, Driver(StandardMode()), steps=steps)
    if driver.machine.end is not None:
        return
    waiting = driver.machine.outstanding()
    begun = {each.key for at, each in enumerate(waiting) if running_bits >> at & 1}
    running = {each.key for at, each in enumerate(waiting) if running_bits >> at & 2}
    for effect in waiting:
        if effect.key in begun:
            driver.start(effect)
    driver.machine.stop("cancelled", "cancelled", "enough", running=running)
    driver.settle()
    made = [call for _, payload in driver.path if isinstance(payload, Message) for call in payload.tool_calls]
    results = [payload.result for _, payload in driver.path if isinstance(payload, ToolInvocation)]
    assert [call.call_id for call in made] == [result.call_id for result in results]
    by_call = {effect.call.call_id: effect for effect in waiting if isinstance(effect, ToolRun)}
    for result in results:
        ran = by_call.get(result.call_id)
        if ran is not None:
            assert result.status == mark(ran, ran.key in begun, ran.key in running)
        else:
            assert result.status in ("ok", "error", "interrupted")
    assert driver.machine.outstanding() == ()
    assert driver.machine.end == TurnEnd(outcome="cancelled", reason="cancelled", message="enough")


def mark(effect: ToolRun, begun: bool, running: bool) -> str:
    if effect.tool_kind == "read_only":
        return "interrupted"
    if running:
        return "cancelled"
    return "outcome_unknown" if begun or effect.tool_kind == "idempotent" else "interrupted"


class ForgetfulMode(StandardMode):
    """Drops the model's first answer, calls and all."""

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        if isinstance(event, ModelAnswered) and state != "dropped":
            return ModeStep("dropped", (PassBoundary(),))
        if isinstance(event, BoundaryPassed) and state == "dropped":
            return ModeStep("dropped", (AskModel(),))
        return super().step(state, event)


@pytest.mark.parametrize("rebuilds", [False, True], ids=["live", "rebuilt"])
def test_a_call_id_that_never_came_onto_the_path_is_free_again(rebuilds: bool) -> None:
    driver = Driver(ForgetfulMode(), rebuilds=rebuilds)
    for _ in range(2):
        [ask] = driver.machine.outstanding()
        driver.respond(ask.key, endless("standard", 0, TokenUsage()))
    [run] = driver.machine.outstanding()
    assert isinstance(run, ToolRun)
    assert (run.key, run.call.call_id) == (f"{TURN}-3", "c0")


def test_a_call_that_waits_behind_a_serial_one_is_marked_as_never_begun() -> None:
    driver = Driver(StandardMode())
    [ask] = driver.machine.outstanding()
    two = tuple(ToolCallPart(call=ToolCall(call_id=name, tool="side_effecting_serial")) for name in ("x", "y"))
    driver.respond(ask.key, ModelReplied(reply=ModelReply(parts=two)))
    [first] = driver.machine.outstanding()
    driver.start(first)
    driver.machine.stop("cancelled", "cancelled", "enough", running={first.key})
    driver.settle()
    statuses = [payload.result.status for _, payload in driver.path if isinstance(payload, ToolInvocation)]
    assert statuses == ["cancelled", "interrupted"]


def endless(mode: str, number: int, usage: TokenUsage) -> ModelReplied:
    if mode == "calls":
        return ModelReplied(reply=ModelReply(parts=(TextPart(text='[{"tool": "idempotent"}]'),), usage=usage))
    part = ToolCallPart(call=ToolCall(call_id=f"c{number}", tool="idempotent"))
    return ModelReplied(reply=ModelReply(parts=(part,), usage=usage))


@both_modes
@pytest.mark.parametrize(
    ("limits", "reason", "message"),
    [
        (TurnLimits(model_calls=3), "model_call_limit", "the turn reached its limit of 3 model calls"),
        (TurnLimits(tokens=25), "token_limit", "the turn reached its limit of 25 tokens (30 used)"),
        (TurnLimits(cost=Decimal("0.25")), "cost_limit", "the turn reached its cost limit of $0.25 ($0.3 spent)"),
    ],
    ids=["model calls", "tokens", "cost"],
)
@pytest.mark.parametrize("rebuilds", [False, True], ids=["live", "rebuilt"])
def test_a_limit_ends_a_turn_in_a_typed_outcome(
    mode: str, limits: TurnLimits, reason: str, message: str, rebuilds: bool
) -> None:
    usage = TokenUsage(input_tokens=7, output_tokens=3, cost=Decimal("0.1"))
    driver = Driver(MODES[mode](), limits=limits, rebuilds=rebuilds)
    asked = 0
    while driver.machine.end is None:
        [effect] = driver.machine.outstanding()
        if isinstance(effect, ModelCall):
            driver.respond(effect.key, endless(mode, asked, usage))
            asked += 1
        else:
            result = ToolResult(call_id=effect.call.call_id, tool=effect.call.tool)
            driver.respond(effect.key, ToolReplied(result=result))
    end = driver.machine.end
    assert (end.outcome, end.reason, end.message) == ("stopped", reason, message)
    assert asked == 3
    calls_made = sum(isinstance(payload, ToolInvocation) for _, payload in driver.path)
    assert calls_made == 3, "the calls of the last reply ran and are on the path"


@both_modes
def test_a_model_that_failed_for_good_fails_the_turn(mode: str) -> None:
    driver = Driver(MODES[mode]())
    [ask] = driver.machine.outstanding()
    driver.respond(ask.key, CallFailed(message="no credit", error_kind="auth"))
    end = driver.machine.end
    assert end is not None
    assert (end.outcome, end.reason, end.message) == ("failed", "model_error", "no credit")


def test_a_mode_that_raises_fails_the_turn_and_names_itself() -> None:
    class Broken(CallsMode):
        def step(self, state: Any, event: Any) -> Any:
            raise ValueError("no idea")

    end = Driver(Broken()).machine.end
    assert end is not None
    assert (end.outcome, end.reason) == ("failed", "mode_error")
    assert end.message == "mode 'calls' failed: ValueError: no idea"


def test_a_snapshot_inside_a_batch_of_tools_is_refused() -> None:
    driver = Driver(StandardMode())
    [ask] = driver.machine.outstanding()
    driver.respond(ask.key, endless("standard", 0, TokenUsage()))
    with pytest.raises(TurnError) as caught:
        driver.machine.snapshot()
    assert str(caught.value) == "a snapshot inside a batch of tools would lose it"


def test_a_turn_of_another_machine_version_is_refused() -> None:
    snapshot = Driver(StandardMode()).machine.snapshot().evolve(version=MACHINE_VERSION + 1)
    with pytest.raises(TurnError) as caught:
        TurnMachine(StandardMode(), snapshot, TURN, 1, TurnContext(tools={}, call_ids=frozenset()))
    assert str(caught.value) == (
        "the turn was begun by version 2 of the turn machine, this one has 1; it can be abandoned, not continued"
    )


@pytest.mark.parametrize(
    ("mode", "was"),
    [(CallsMode(version=2), "mode 'calls' version 1"), (StandardMode(), "mode 'calls' version 1")],
    ids=["another version", "another mode"],
)
def test_a_turn_of_another_mode_or_mode_version_is_refused(mode: ExecutionMode, was: str) -> None:
    snapshot = Driver(CallsMode()).machine.snapshot()
    with pytest.raises(TurnError) as caught:
        TurnMachine(mode, snapshot, TURN, 1, TurnContext(tools={}, call_ids=frozenset()))
    assert str(caught.value) == (
        f"the turn was begun by {was}, this is {mode.name!r} version {mode.version}; it can be abandoned, not continued"
    )


def test_a_response_of_the_wrong_kind_is_refused() -> None:
    driver = Driver(StandardMode())
    [ask] = driver.machine.outstanding()
    with pytest.raises(TurnError) as caught:
        driver.machine.feed(ask.key, ToolReplied(result=ToolResult(call_id="a", tool="b")))
    assert str(caught.value) == f"effect {TURN}-1 is a model_call; a tool_replied does not answer it"


@pytest.mark.parametrize("finished", [True, False])
def test_a_tool_that_became_serial_since_the_crash_does_not_run_a_journaled_call_again(finished: bool) -> None:
    two = tuple(ToolCallPart(call=ToolCall(call_id=name, tool="side_effecting")) for name in ("x", "y"))
    context = TurnContext(TOOLS, set())
    machine = TurnMachine.begin(StandardMode(), TurnInput(text="go"), TURN, 1, context, TurnLimits())
    machine.proceed()
    snapshot = machine.snapshot()
    [ask] = machine.outstanding()
    asked = (ask.key, ModelReplied(reply=ModelReply(parts=two)))
    machine.feed(*asked)
    first, second = machine.outstanding()
    done = ToolReplied(result=ToolResult(call_id="y", tool="side_effecting", output="paid"))
    journal: list[tuple[str, Response]] = [asked, (second.key, Started()), *([(second.key, done)] if finished else [])]
    serial = {name: spec.evolve(serial=True) for name, spec in TOOLS.items()}
    rebuilt = TurnMachine(StandardMode(), snapshot, TURN, 1, TurnContext(serial, set()))
    rebuilt.replay(journal)
    assert rebuilt.outstanding() == (first,)
    rebuilt.feed(first.key, ToolReplied(result=ToolResult(call_id="x", tool="side_effecting")))
    assert rebuilt.at_boundary, "the second call is answered by the journal"
    results = [payload.result for _, payload in rebuilt.produced().payloads if isinstance(payload, ToolInvocation)]
    assert [each.status for each in results] == ["ok", "ok" if finished else "outcome_unknown"]

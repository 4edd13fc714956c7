"""A tool ends its turn, once its batch is recorded; a rebuilt machine ends it alike (T1, invariant 46)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from calls_mode import CallsMode
from lash_basics.standard_mode import StandardMode
from lash_core.machine.turn_machine import TurnContext, TurnMachine
from lash_hookspecs.protocols.modes import ExecutionMode, TurnBegan
from lash_hookspecs.records.effects import ModelReplied, Response, Started, ToolReplied
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import ToolCallPart, ToolInvocation
from lash_hookspecs.records.tools import ToolCall, ToolKind, ToolResult, ToolSpec, ToolStatus
from lash_hookspecs.records.turn import MachineSnapshot, TurnEnd, TurnInput, TurnLimits

TURN = "0123456789abcdef01234567"
NAMES = ("a", "b", "c")
TOOLS = {name: ToolSpec(name=name, kind="read_only") for name in NAMES} | {
    "last": ToolSpec(name="last", kind="read_only", serial=True)
}


class Turn:
    """A turn up to a batch of calls, and the journal since its last commit."""

    def __init__(self, *names: str, mode: ExecutionMode | None = None) -> None:
        self.mode = mode or StandardMode()
        self.context = TurnContext(tools=TOOLS, call_ids=set())
        self.machine = TurnMachine.begin(self.mode, TurnInput(text="go"), TURN, 1, self.context, TurnLimits())
        self.stored = self.machine.snapshot().to_bytes()
        self.machine.proceed()
        self.journal: list[tuple[str, Response]] = []
        if names:
            calls = tuple(ToolCallPart(call=ToolCall(call_id=name, tool=name)) for name in names)
            [effect] = self.machine.outstanding()
            self.respond(effect.key, ModelReplied(reply=ModelReply(parts=calls)))

    def respond(self, key: str, response: Response) -> None:
        assert self.machine.feed(key, response)
        self.journal.append((key, response))

    def answer(self, **results: dict[str, Any]) -> None:
        """Answer what is out, until nothing is; a tool that is not named says nothing special."""
        while self.machine.end is None and (waiting := self.machine.outstanding()):
            for effect in waiting:
                if effect.kind != "tool_run":
                    return
                name = effect.call.tool
                result = ToolResult(call_id=name, tool=name, **results.get(name, {}))
                self.respond(effect.key, ToolReplied(result=result))

    def rebuilt(self) -> TurnMachine:
        machine = TurnMachine(self.mode, MachineSnapshot.from_bytes(self.stored), TURN, 1, self.context)
        machine.replay(self.journal)
        return machine


def recorded(machine: TurnMachine) -> list[str]:
    return [each.result.tool for _, each in machine.produced().payloads if isinstance(each, ToolInvocation)]


FINISH: dict[str, Any] = {"output": "the answer", "control": "finish"}
FAIL: dict[str, Any] = {"output": {"why": "ä"}, "control": "fail"}
HANDOFF: dict[str, Any] = {"output": "over to you", "handoff": "s2"}

ENDS: dict[str, tuple[dict[str, Any], TurnEnd]] = {
    "finish": (FINISH, TurnEnd(outcome="finished", text="the answer")),
    "fail": (
        FAIL,
        TurnEnd(outcome="stopped", reason="tool_stopped", text='{"why": "ä"}', message="tool 'a' stopped the turn"),
    ),
    "handoff": (HANDOFF, TurnEnd(outcome="finished", text="over to you", handoff="s2")),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_tool_ends_its_turn_and_a_rebuilt_machine_ends_it_alike(how: str) -> None:
    result, end = ENDS[how]
    turn = Turn("a")
    turn.answer(a=result)
    rebuilt = turn.rebuilt()
    assert turn.machine.end == end
    assert turn.machine.wants_commit
    assert rebuilt.end == end
    assert rebuilt.produced() == turn.machine.produced()


def test_every_call_of_the_batch_is_recorded_serial_ones_too() -> None:
    turn = Turn("a", "last", "b")
    turn.answer(a=FINISH)
    assert turn.machine.end == ENDS["finish"][1]
    assert recorded(turn.machine) == ["a", "last", "b"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_first_in_the_order_of_the_calls_decides_whichever_answers_first(order: tuple[int, ...]) -> None:
    turn = Turn(*NAMES)
    said = {"a": {"output": "nothing"}, "b": HANDOFF, "c": FINISH}
    effects = turn.machine.outstanding()
    for at in order:
        name = NAMES[at]
        turn.respond(effects[at].key, ToolReplied(result=ToolResult(call_id=name, tool=name, **said[name])))
    assert turn.machine.end == ENDS["handoff"][1]


@pytest.mark.parametrize("status", ["error", "cancelled", "interrupted", "outcome_unknown"])
def test_only_a_call_that_ended_well_ends_the_turn(status: ToolStatus) -> None:
    turn = Turn("a")
    turn.answer(a=FINISH | {"status": status})
    assert turn.machine.end is None


def test_a_call_that_a_modes_code_made_ends_the_turn_too() -> None:
    turn = Turn(mode=CallsMode(prelude=({"tool": "a", "id": "a"}, {"note": "never reached"})))
    turn.answer(a=FINISH)
    assert turn.machine.end == turn.rebuilt().end == ENDS["finish"][1]
    assert recorded(turn.machine) == ["a"]


def test_a_turn_that_is_cut_short_is_not_ended_by_its_tools() -> None:
    turn = Turn("a", "b")
    effects = turn.machine.outstanding()
    turn.respond(effects[0].key, ToolReplied(result=ToolResult(call_id="a", tool="a", **FINISH)))
    turn.machine.stop("cancelled", "cancelled", "enough")
    assert turn.machine.end == TurnEnd(outcome="cancelled", reason="cancelled", message="enough")
    assert recorded(turn.machine) == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "running", "status"),
    [("read_only", True, "cancelled"), ("read_only", False, "outcome_unknown"), (None, False, "interrupted")],
)
def test_a_call_that_began_is_marked_so_even_if_its_tool_became_known_late(
    kind: ToolKind | None, running: bool, status: ToolStatus
) -> None:
    turn = Turn("unheard_of")
    [effect] = turn.machine.outstanding()
    if kind is not None:
        assert turn.machine.feed(effect.key, Started())
    turn.machine.stop("cancelled", "cancelled", "enough", running={effect.key} if running else set())
    [result] = [each.result for _, each in turn.machine.produced().payloads if isinstance(each, ToolInvocation)]
    assert result.status == status


def test_a_mode_is_told_what_is_offered() -> None:
    told: list[Any] = []

    class Listening(StandardMode):
        def step(self, state: Any, event: Any) -> Any:
            if isinstance(event, TurnBegan):
                told.append([spec.name for spec in event.tools])
            return super().step(state, event)

    for context in (
        TurnContext(tools=TOOLS, call_ids=set()),
        TurnContext(tools=TOOLS, call_ids=set(), offered=lambda: (TOOLS["b"],)),
    ):
        TurnMachine.begin(Listening(), TurnInput(text="go"), TURN, 1, context, TurnLimits()).proceed()
    assert told == [["a", "b", "c", "last"], ["b"]]

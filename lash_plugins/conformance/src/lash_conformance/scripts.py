"""Turns that a mode is led through: what the model says, how tools end, what arrives at a boundary."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
from lash_hookspecs.protocols.modes import (
    AskModel,
    BoundaryPassed,
    ExecutionMode,
    Finish,
    ModeInput,
    ModelAnswered,
    ModeStep,
    PassBoundary,
    RunTools,
    ToolsFinished,
    TurnBegan,
)
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import ReasoningPart, TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec, ToolStatus
from lash_hookspecs.records.turn import TurnInput
from lash_hookspecs.records.usage import TokenUsage
from pydantic import JsonValue

__all__ = ["MOST_STEPS", "SCRIPTS", "TOOLS", "Script", "Taken", "lead", "spoken"]

#: Steps after which a turn counts as one that never ends.
MOST_STEPS = 40

TOOLS = (
    ToolSpec(
        name="add",
        description="Add two numbers.",
        input_schema={"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
        kind="read_only",
    ),
    ToolSpec(name="note", description="Write a note.", input_schema={"type": "object"}),
)


@attrs.frozen
class Script:
    """What happens in one turn besides what the mode does.

    Attributes:
        name: For messages.
        replies: What the model answers, in order; after these it says "Done.".
        statuses: How calls end, in order; after these they end well.
        inputs: What arrives at the first boundaries.
    """

    name: str
    replies: tuple[ModelReply, ...] = ()
    statuses: tuple[ToolStatus, ...] = ()
    inputs: tuple[tuple[TurnInput, ...], ...] = ()


@attrs.frozen
class Taken:
    """A step that a mode has taken.

    Attributes:
        state: What it was given.
        event: What it was told.
        step: What it answered.
    """

    state: JsonValue
    event: ModeInput
    step: ModeStep


def spoken(*said: str | ToolCall, finish: str = "") -> ModelReply:
    """Make a reply of texts and calls."""
    parts = tuple(TextPart(text=each) if isinstance(each, str) else ToolCallPart(call=each) for each in said)
    calls = any(isinstance(each, ToolCall) for each in said)
    return ModelReply.model_validate(
        {
            "parts": parts,
            "usage": TokenUsage(input_tokens=5, output_tokens=5),
            "finish_reason": finish or ("tool_calls" if calls else "stop"),
        }
    )


def _add(number: int, tool: str = "add") -> ToolCall:
    return ToolCall(call_id=f"call-{number}", tool=tool, arguments={"a": number, "b": 1})


_TWICE = (spoken("Let me see.", _add(1), _add(2)), spoken(_add(3, "note")))
_FAILURES: tuple[ToolStatus, ...] = ("error", "cancelled", "interrupted", "outcome_unknown")

#: What each mode is led through; an author adds what the mode in question needs.
SCRIPTS: tuple[Script, ...] = (
    Script("an answer", (spoken("Hello."),)),
    Script("calls, then an answer", _TWICE),
    Script("a tool that is not there", (spoken(_add(1, "nobody_has_it")),)),
    Script("arguments that are no object", (spoken(ToolCall(call_id="call-1", tool="add", arguments='{"a": 1')),)),
    Script("nothing said", (spoken(),)),
    Script("nothing said after a call", (spoken(_add(1)), spoken())),
    Script("reasoning alone", (ModelReply(parts=(ReasoningPart(text="Hm."),)),)),
    Script("an answer that was cut off", (spoken("Once upon a", finish="length"),)),
    Script("a call that was filtered", (spoken("I will", _add(1), finish="content_filter"),)),
    Script("hostile text", (spoken('\u0000\u2028"]}}\\ {"tool": 1} ```python\n' + "x" * 20_000),)),
    *(Script(f"a call that ended as {status}", (spoken(_add(1)),), (status,)) for status in _FAILURES),
    Script("a message at the boundary", (spoken(_add(1)), spoken("One.")), (), ((TurnInput(text="And two?"),),)),
)


def lead(
    mode: Callable[[], ExecutionMode],
    script: Script,
    *,
    taken: Sequence[Taken] = (),
    options: Mapping[str, JsonValue] | None = None,
    session_state: JsonValue = None,
    through: Callable[[JsonValue], JsonValue] = copy.deepcopy,
    must_end: bool = True,
) -> list[Taken]:
    """Lead a mode through a turn, or through the rest of one.

    Args:
        mode: Asked for the mode at each step.
        script: What happens.
        taken: The steps that were taken already, by whoever.
        options: The mode options.
        session_state: What the mode kept in the turns before.
        through: What a state goes through between two steps.
        must_end: Whether a turn that does not end is an error; else it is left after many steps.

    Raises:
        AssertionError: A step is none, or the turn does not end.
    """
    done = list(taken)
    world = _world(script)
    event: ModeInput | None = TurnBegan(
        TurnInput(text="What is one and one?"), TOOLS, copy.deepcopy(session_state), dict(options or {})
    )
    state: JsonValue = None
    for each in done:
        event, state = world(each.step), through(each.step.state)
    while event is not None:
        if len(done) == MOST_STEPS:
            assert not must_end, f"{script.name}: the turn has not ended after {MOST_STEPS} steps"
            break
        step = mode().step(copy.deepcopy(state), copy.deepcopy(event))
        done.append(Taken(state, event, step))
        event, state = world(step), through(step.state)
    return done


def _world(script: Script) -> Callable[[ModeStep], ModeInput | None]:
    """Answer steps as the script says; ``None`` behind the last one."""
    replies, statuses, inputs = iter(script.replies), iter(script.statuses), iter(script.inputs)

    def answer(step: ModeStep) -> ModeInput | None:
        assert isinstance(step, ModeStep), f"{script.name}: a step must be a ModeStep, not {step!r}"
        last = step.actions[-1] if step.actions else None
        if isinstance(last, AskModel):
            return ModelAnswered(_heard(next(replies, spoken("Done.")), last))
        if isinstance(last, RunTools):
            return ToolsFinished(tuple(_results(last, statuses)))
        if isinstance(last, PassBoundary):
            return BoundaryPassed(next(inputs, ()))
        assert isinstance(last, Finish), f"{script.name}: a step must end in an action, not in {last!r}"
        return None

    return answer


def _heard(reply: ModelReply, asked: AskModel) -> ModelReply:
    """Leave out calls where the model was told of no tools."""
    if asked.tools:
        return reply
    return reply.evolve(
        parts=tuple(part for part in reply.parts if not isinstance(part, ToolCallPart)), finish_reason="stop"
    )


def _results(asked: RunTools, statuses: Iterator[ToolStatus]) -> Iterator[ToolResult]:
    for call in asked.calls:
        known = call.tool in {tool.name for tool in TOOLS}
        status = next(statuses, "ok" if known else "error")
        output: JsonValue = "2" if status == "ok" else f"{call.tool!r} ended as {status}"
        yield ToolResult(call_id=call.call_id, tool=call.tool, status=status, output=output)

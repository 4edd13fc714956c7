"""A second execution mode, for tests: its "model" writes a list of calls instead of calling tools.

A reply such as ``[{"tool": "add", "arguments": {"a": 1}}, {"boundary": true}]`` is run from left to right: calls that
stand together run together, a ``boundary`` passes one, ``{"note": …}`` puts an event on the path. The results are told
to the model as a user's message would be; a reply that is no list ends the turn.
"""

from __future__ import annotations

import json
from typing import Any

from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.modes import (
    Action,
    Append,
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
from lash_hookspecs.records.payloads import Message, ModeEvent, TextPart
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.turn import TurnEnd
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, lash_offer_modes
from pydantic import JsonValue

__all__ = ["CallsMode", "modes"]


class CallsMode:
    """The mode ``calls``. Its state is the rest of the list that is being run.

    Args:
        version: The mode's version.
        prelude: Entries that run before the model is first asked.
    """

    def __init__(self, version: int = 1, prelude: tuple[dict[str, Any], ...] = ()) -> None:
        self._version = version
        self._prelude = prelude

    @property
    def name(self) -> str:
        return "calls"

    @property
    def version(self) -> int:
        return self._version

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        match event:
            case TurnBegan():
                return _run(list(self._prelude), ())
            case ModelAnswered(reply):
                return _answered(reply)
            case ToolsFinished(results):
                told = json.dumps([result.model_dump(include={"tool", "status", "output"}) for result in results])
                return _run(_rest(state), (Append(_said("user", told)),))
            case BoundaryPassed():
                return _run(_rest(state), ())
        raise TypeError(f"the calls mode does not know the event {type(event).__name__}")


def _answered(reply: ModelReply) -> ModeStep:
    text = "".join(part.text for part in reply.parts if isinstance(part, TextPart))
    try:
        program = json.loads(text)
    except ValueError:
        program = None
    said = Append(_said("assistant", text))
    if not isinstance(program, list):
        return ModeStep(None, (said, Finish(TurnEnd(outcome="finished", text=text))))
    return _run(program, (said,))


def _run(program: list[Any], before: tuple[Append, ...]) -> ModeStep:
    actions: list[Action] = list(before)
    for at, entry in enumerate(program):
        if "note" in entry:
            actions.append(Append(ModeEvent(mode="calls", data=entry["note"])))
        elif "boundary" in entry:
            return ModeStep(program[at + 1 :], (*actions, PassBoundary()))
        else:
            calls, rest = _together(program[at:])
            return ModeStep(rest, (*actions, RunTools(calls, recorded=False)))
    return ModeStep([], (*actions, AskModel()))


def _together(program: list[Any]) -> tuple[tuple[ToolCall, ...], list[Any]]:
    calls = []
    for entry in program:
        if "tool" not in entry:
            break
        calls.append(ToolCall(call_id=entry.get("id", ""), tool=entry["tool"], arguments=entry.get("arguments", {})))
    return tuple(calls), program[len(calls) :]


def _rest(state: JsonValue) -> list[Any]:
    return state if isinstance(state, list) else []


def _said(role: Any, text: str) -> Message:
    return Message(role=role, parts=(TextPart(text=text),) if text else ())


@implements(lash_offer_modes)
def modes(context: OfferContext) -> list[ModeOffer]:
    def build() -> ExecutionMode:
        return CallsMode()

    return [ModeOffer(name="calls", build=build)]

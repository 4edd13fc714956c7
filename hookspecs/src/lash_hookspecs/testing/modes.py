"""`FakeMode`: the least that a mode can do."""

from __future__ import annotations

import attrs
from pydantic import JsonValue

from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    BoundaryPassed,
    Finish,
    ModeInput,
    ModelAnswered,
    ModeStep,
    PassBoundary,
    RunTools,
    ToolsFinished,
    TurnBegan,
)
from lash_hookspecs.records.payloads import Message, ToolCallPart
from lash_hookspecs.records.turn import TurnEnd

__all__ = ["FakeMode"]


@attrs.frozen
class FakeMode:
    """An `ExecutionMode` that asks the model, runs what it calls, and ends the turn with its first words.

    Attributes:
        name: The mode's name.
        version: The mode's version.
    """

    name: str = "fake"
    version: int = 1

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        """Take one step; the state is nothing.

        Raises:
            TypeError: The event is of a kind that it does not know.
        """
        match event:
            case TurnBegan() | BoundaryPassed():
                return ModeStep(None, (AskModel(),))
            case ToolsFinished():
                return ModeStep(None, (PassBoundary(),))
            case ModelAnswered(reply):
                cut = reply.finish_reason in ("content_filter", "length")
                parts = tuple(part for part in reply.parts if not (cut and isinstance(part, ToolCallPart)))
                said = Message(role="assistant", parts=parts)
                if said.tool_calls:
                    return ModeStep(None, (Append(said), RunTools(said.tool_calls)))
                return ModeStep(None, (Append(said), Finish(TurnEnd(outcome="finished", text=said.text))))
        raise TypeError(f"the mode {self.name!r} does not know the event {type(event).__name__}")

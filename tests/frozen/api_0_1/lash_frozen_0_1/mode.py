"""A mode written against hook API 0.1: asks the model, runs what it calls, and counts the turns."""

from __future__ import annotations

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
from lash_hookspecs.records.payloads import Message
from lash_hookspecs.records.turn import TurnEnd
from pydantic import JsonValue


class FrozenMode:
    """The mode ``frozen``."""

    name = "frozen"
    version = 1

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        """Take one step."""
        match event:
            case TurnBegan(session_state=count):
                return ModeStep(None, (AskModel(),), session_state=int(str(count or 0)) + 1)
            case ModelAnswered(reply=reply):
                said = Message(role="assistant", parts=reply.parts)
                if said.tool_calls:
                    return ModeStep(None, (Append(said), RunTools(said.tool_calls)))
                return ModeStep(None, (Append(said), Finish(TurnEnd(outcome="finished", text=said.text))))
            case ToolsFinished():
                return ModeStep(None, (PassBoundary(),))
            case BoundaryPassed():
                return ModeStep(None, (AskModel(),))

"""The standard mode: ask the model, run the tools that it calls, ask again, until it answers."""

from __future__ import annotations

from lash_hookspecs.protocols.modes import (
    Action,
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
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ToolCallPart
from lash_hookspecs.records.turn import TurnEnd
from pydantic import JsonValue

__all__ = ["StandardMode"]


class StandardMode:
    """The mode ``standard``.

    Its state says one thing: whether the model has seen the results of tools since the user last spoke. Then, and
    only then, may it end the turn without a word.
    """

    @property
    def name(self) -> str:
        """The mode's name."""
        return "standard"

    @property
    def version(self) -> int:
        """The version of the mode's state."""
        return 1

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        """Take one step.

        Raises:
            TypeError: The event is of a kind that this version does not know.
        """
        match event:
            case TurnBegan():
                return _step(False, AskModel())
            case ModelAnswered(reply):
                return _answered(_saw_results(state), reply)
            case ToolsFinished():
                return _step(True, PassBoundary())
            case BoundaryPassed(inputs):
                return _step(_saw_results(state) and not inputs, AskModel())
            case _:
                raise TypeError(f"the standard mode does not know the event {type(event).__name__}")


def _step(saw_results: bool, *actions: Action) -> ModeStep:
    return ModeStep(state={"saw_results": saw_results}, actions=actions)


def _saw_results(state: JsonValue) -> bool:
    return isinstance(state, dict) and state.get("saw_results") is True


def _answered(saw_results: bool, reply: ModelReply) -> ModeStep:
    if reply.finish_reason == "content_filter":  # what was cut off by a filter must not run
        reply = reply.evolve(parts=tuple(part for part in reply.parts if not isinstance(part, ToolCallPart)))
    message = Message(role="assistant", parts=reply.parts)
    if message.tool_calls:
        return _step(saw_results, Append(message), RunTools(message.tool_calls))
    return _step(saw_results, Append(message), Finish(_end(saw_results, reply, message.text)))


def _end(saw_results: bool, reply: ModelReply, text: str) -> TurnEnd:
    if reply.finish_reason == "length":
        return TurnEnd(
            outcome="stopped", text=text, reason="output_limit", message="the model reached its output limit"
        )
    if reply.finish_reason == "content_filter":
        return TurnEnd(
            outcome="stopped",
            text=text,
            reason="content_filter",
            message="the provider's content filter cut the answer off",
        )
    if text.strip() or saw_results:
        return TurnEnd(outcome="finished", text=text)
    return TurnEnd(
        outcome="failed",
        reason="model_error",
        message="the model answered nothing: neither text nor a tool call; say it in other words or choose "
        "another model",
    )

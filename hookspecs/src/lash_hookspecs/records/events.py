"""What happens in a turn, as a reader sees it (T9).

Stored events are in the record of the commit that they belong to; live ones are for readers in the same process.
A new event is a class here and its name in `Event`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_hookspecs.records.turn import StopReason, TurnOutcome
from lash_hookspecs.records.usage import TokenUsage

__all__ = [
    "EVENTS",
    "Event",
    "LeafHealed",
    "Notice",
    "ReasoningDelta",
    "StoredEvent",
    "TextDelta",
    "TextRetracted",
    "ToolFinished",
    "ToolStarted",
    "TurnContinued",
    "TurnEnded",
    "TurnStarted",
    "UsageReported",
]


class TurnStarted(Record):
    """A turn began. Stored."""

    type: Literal["turn_started"] = "turn_started"
    turn_id: str
    turn_index: int


class TurnContinued(Record):
    """An interrupted turn was taken up again. Live."""

    type: Literal["turn_continued"] = "turn_continued"
    turn_id: str
    turn_index: int


class Notice(Record):
    """Something the user should know once, such as that the model is the offline one. Live."""

    type: Literal["notice"] = "notice"
    text: str


class TextDelta(Record):
    """A piece of the answer. Live."""

    type: Literal["text_delta"] = "text_delta"
    text: str
    attempt: int = 1


class ReasoningDelta(Record):
    """A piece of the model's reasoning. Live."""

    type: Literal["reasoning_delta"] = "reasoning_delta"
    text: str
    attempt: int = 1


class TextRetracted(Record):
    """The attempt failed: forget its deltas. Live.

    Attributes:
        attempt: The attempt that failed, from 1.
        wait: Seconds until the next attempt; ``None`` when this was the last one.
        reason: Why.
    """

    type: Literal["text_retracted"] = "text_retracted"
    attempt: int
    wait: float | None = None
    reason: str


class ToolStarted(Record):
    """A tool call began. Live."""

    type: Literal["tool_started"] = "tool_started"
    call: ToolCall


class ToolFinished(Record):
    """A tool call ended. Stored."""

    type: Literal["tool_finished"] = "tool_finished"
    result: ToolResult


class UsageReported(Record):
    """A model call reported its usage. Stored."""

    type: Literal["usage_reported"] = "usage_reported"
    model: str
    usage: TokenUsage


class LeafHealed(Record):
    """A dangling leaf was moved when the session was loaded (G3). Stored."""

    type: Literal["leaf_healed"] = "leaf_healed"
    dangling: str
    leaf: str | None


class TurnEnded(Record):
    """A turn ended. Stored."""

    type: Literal["turn_ended"] = "turn_ended"
    turn_id: str
    turn_index: int
    outcome: TurnOutcome
    text: str = ""
    reason: StopReason | None = None
    message: str = ""
    handoff: str | None = None


StoredEvent = Annotated[
    TurnStarted | ToolFinished | UsageReported | LeafHealed | TurnEnded, Field(discriminator="type")
]
Event = Annotated[
    TurnStarted
    | TurnContinued
    | Notice
    | TextDelta
    | ReasoningDelta
    | TextRetracted
    | ToolStarted
    | ToolFinished
    | UsageReported
    | LeafHealed
    | TurnEnded,
    Field(discriminator="type"),
]

#: Encodes and decodes any event.
EVENTS: TypeAdapter[
    TurnStarted
    | TurnContinued
    | Notice
    | TextDelta
    | ReasoningDelta
    | TextRetracted
    | ToolStarted
    | ToolFinished
    | UsageReported
    | LeafHealed
    | TurnEnded
] = TypeAdapter(Event)

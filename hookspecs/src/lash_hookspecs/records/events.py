"""What happens in a turn, as a reader sees it (T9).

Stored events are in the record of the commit that they belong to; live ones are for readers in the same process.
A new event is a class here and its name in `Event`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from lash_hookspecs.records.model_base import WHEN_USED, Record
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_hookspecs.records.turn import StopReason, TurnOutcome
from lash_hookspecs.records.usage import TokenUsage, UsageRow

__all__ = [
    "EVENTS",
    "Branched",
    "ChildUsage",
    "ConfigChanged",
    "Event",
    "HandedOff",
    "HistoryRewritten",
    "LeafHealed",
    "NodesAppended",
    "Notice",
    "PluginEvent",
    "PluginsChanged",
    "ReasoningDelta",
    "StoredEvent",
    "TailKept",
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


class ConfigChanged(Record):
    """The session's configuration changed. Stored.

    Attributes:
        fields: The names of what changed; values are in the configuration, not in an event.
    """

    type: Literal["config_changed"] = "config_changed"
    fields: tuple[str, ...]


class Branched(Record):
    """Another node became the leaf. Stored.

    Attributes:
        leaf: The node.
        abandoned: The leaf before.
    """

    type: Literal["branched"] = "branched"
    leaf: str | None
    abandoned: str | None


class HistoryRewritten(Record):
    """The path was replaced by a shorter or other one; the old one stays as a branch. Stored.

    Attributes:
        trigger: Why: ``manual`` or ``window_shrink``.
        kept: Nodes at the beginning that both have.
        added: Nodes that the new path has behind them.
        abandoned: The leaf of the old path.
    """

    type: Literal["history_rewritten"] = "history_rewritten"
    trigger: str
    kept: int
    added: int
    abandoned: str | None


class NodesAppended(Record):
    """An app or a plugin put nodes on the path. Stored."""

    type: Literal["nodes_appended"] = "nodes_appended"
    node_ids: tuple[str, ...]


class PluginEvent(Record):
    """Something that a plugin tells. Stored.

    Attributes:
        plugin: Who.
        name: What, in its own words.
        body: More of it.
    """

    type: Literal["plugin_event"] = "plugin_event"
    plugin: str
    name: str
    body: JsonValue = None


class PluginsChanged(Record):
    """Other plugins take part than in the commit before (P8). Stored.

    Attributes:
        added: ``distribution/name version`` of plugins that were not there.
        removed: Those that are gone; what they kept stays.
        changed: ``distribution/name old → new``.
        reordered: Whether those that stayed are called in another order.
    """

    type: Literal["plugins_changed"] = "plugins_changed"
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    reordered: bool = False


class ChildUsage(Record):
    """A child used something (H3, T8). Live; the ledger has it with the parent's next commit."""

    type: Literal["child_usage"] = "child_usage"
    session_id: str
    row: UsageRow


class HandedOff(Record):
    """Another session took over (H3). Stored."""

    type: Literal["handed_off"] = "handed_off"
    successor: str


class TailKept(Record):
    """Somebody else committed before a turn could; what it had made is kept beside the active path (T7). Stored.

    Attributes:
        turn_id: The turn that lost.
        leaf: The last node of what is kept.
    """

    type: Literal["tail_kept"] = "tail_kept"
    turn_id: str
    leaf: str


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
    TurnStarted
    | ToolFinished
    | UsageReported
    | LeafHealed
    | Branched
    | ConfigChanged
    | HandedOff
    | TailKept
    | HistoryRewritten
    | NodesAppended
    | PluginEvent
    | PluginsChanged
    | TurnEnded,
    Field(discriminator="type"),
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
    | Branched
    | ChildUsage
    | ConfigChanged
    | HandedOff
    | TailKept
    | HistoryRewritten
    | NodesAppended
    | PluginEvent
    | PluginsChanged
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
    | Branched
    | ChildUsage
    | ConfigChanged
    | HandedOff
    | TailKept
    | HistoryRewritten
    | NodesAppended
    | PluginEvent
    | PluginsChanged
    | TurnEnded
] = TypeAdapter(Event, config=WHEN_USED)

"""The payloads of nodes, and how they become and come from bytes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, ValidationError

from lash_hookspecs.errors import UnreadableData
from lash_hookspecs.records.attachments import AttachmentRef, Stored
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.tools import ToolCall, ToolResult

__all__ = [
    "PAYLOADS",
    "AttachmentPart",
    "Message",
    "ModeEvent",
    "OtherPart",
    "Part",
    "Payload",
    "PluginNode",
    "ReasoningPart",
    "Role",
    "StateSnapshot",
    "TextPart",
    "ToolCallPart",
    "ToolInvocation",
    "decode_payload",
    "kind_of",
    "refs_of",
]

Role = Literal["system", "user", "assistant"]


class TextPart(Record):
    """Text."""

    kind: Literal["text"] = "text"
    text: str


class ReasoningPart(Record):
    """The model's reasoning, kept so that it can be sent back to the provider that signed it.

    Attributes:
        text: What may be shown.
        provider: Who made it; only this provider gets it back.
        replay: What that provider wants back, as it gave it.
    """

    kind: Literal["reasoning"] = "reasoning"
    text: str = ""
    provider: str | None = None
    replay: dict[str, JsonValue] | None = None


class ToolCallPart(Record):
    """A tool call in an assistant message."""

    kind: Literal["tool_call"] = "tool_call"
    call: ToolCall


class AttachmentPart(Record):
    """A file in a message.

    Attributes:
        ref: The file.
        stored: Where its bytes are; the session's store keeps its own as long as the node.
    """

    kind: Literal["attachment"] = "attachment"
    ref: AttachmentRef
    stored: Stored = "session"


class OtherPart(Record):
    """A part of a kind that this version does not know; skipped when a request is built."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


_KNOWN = ("text", "reasoning", "tool_call", "attachment")


def _unknown(part: OtherPart) -> OtherPart:
    """Leave known kinds to their own classes: one that does not fit them is unreadable, not unknown."""
    if part.kind in _KNOWN:
        raise ValueError(f"a part of kind {part.kind!r} does not fit it")
    return part


#: Two unions, since pydantic looks up a field's value itself and calls a function for anything cleverer.
Part = Annotated[
    Annotated[TextPart | ReasoningPart | ToolCallPart | AttachmentPart, Field(discriminator="kind")]
    | Annotated[OtherPart, AfterValidator(_unknown)],
    Field(union_mode="left_to_right"),
]


class Message(Record):
    """A message of the conversation.

    Attributes:
        role: Who speaks.
        parts: What is said, in order.
        id: Set when a rewrite copied the message to a new node; else the node's id is the message's (G5).
        source_key: The caller's key of the input that this message brought (T10).
        turn_index: The turn it belongs to, from 1.
        marker: ``interrupted`` on a message that a repair added, ``summary`` on one that stands for others that a
            rewrite took off the path.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    id: str | None = None
    source_key: str | None = None
    turn_index: int | None = None
    marker: str | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order."""
        return tuple(part.call for part in self.parts if isinstance(part, ToolCallPart))

    @property
    def attachments(self) -> tuple[AttachmentPart, ...]:
        """The files, in order."""
        return tuple(part for part in self.parts if isinstance(part, AttachmentPart))


class ToolInvocation(Record):
    """The result of one tool call, beside the message that asked for it.

    Attributes:
        result: How the call ended.
        call: The call itself where no message of the path holds it (a call made by code).
        turn_index: The turn it belongs to, from 1.
    """

    result: ToolResult
    call: ToolCall | None = None
    turn_index: int | None = None


class ModeEvent(Record):
    """Something an execution mode wants on the path; no part of the conversation."""

    mode: str
    data: JsonValue = None


class StateSnapshot(Record):
    """A mode's state at a point of the path."""

    mode: str
    version: int = 1
    data: JsonValue = None


class PluginNode(Record):
    """A node that a plugin or an app owns; no part of the conversation."""

    plugin: str
    type: str
    body: JsonValue = None


Payload = Message | ToolInvocation | ModeEvent | StateSnapshot | PluginNode

#: Node kind → payload model. A new kind is a line here and a class above.
PAYLOADS: dict[str, type[Payload]] = {
    "message": Message,
    "tool": ToolInvocation,
    "mode_event": ModeEvent,
    "state_snapshot": StateSnapshot,
    "plugin": PluginNode,
}

_KINDS = {model: kind for kind, model in PAYLOADS.items()}


def kind_of(payload: Payload) -> str:
    """Give the node kind of a payload."""
    return _KINDS[type(payload)]


def refs_of(payload: Payload) -> tuple[str, ...]:
    """Give the blobs of the session's store that a payload refers to."""
    refs: list[str] = []
    if isinstance(payload, Message):
        refs = [part.ref.id for part in payload.parts if isinstance(part, AttachmentPart) and part.stored == "session"]
    elif isinstance(payload, ToolInvocation):
        result = payload.result
        refs = [*([result.spilled] if result.spilled else []), *(ref.id for ref in result.attachments)]
    return tuple(dict.fromkeys(refs)) if refs else ()


def decode_payload(node: Node) -> Payload | None:
    """Decode a node's payload; ``None`` for a kind that this version does not know (G2).

    Raises:
        UnreadableData: The payload does not fit its kind.
    """
    model = PAYLOADS.get(node.kind)
    if model is None:
        return None
    try:
        payload: Payload = model.__pydantic_validator__.validate_json(node.payload)
        return payload
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        steps = (str(step) for step in first["loc"])
        where = ".".join(step for step in steps if not step.startswith("tagged-union[")) or "payload"
        raise UnreadableData(row=f"node {node.node_id}", reason=f"{where}: {first['msg']}") from error

"""What is said to and by a model provider."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from lash_hookspecs.records.attachments import AttachmentData
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.payloads import Part
from lash_hookspecs.records.tools import ToolResult, ToolSpec
from lash_hookspecs.records.usage import TokenUsage

__all__ = [
    "AssistantTurn",
    "FinishReason",
    "ModelChunk",
    "ModelInfo",
    "ModelMessage",
    "ModelReply",
    "ModelRequest",
    "ReasoningChunk",
    "ReplyChunk",
    "TextChunk",
    "ToolTurn",
    "UserTurn",
]

FinishReason = Literal["stop", "tool_calls", "length", "content_filter", "other"]


class UserTurn(Record):
    """A user's message.

    Attributes:
        text: The words; may be empty beside attachments.
        attachments: Files; a provider is given the bytes of those that `ModelInfo` says it takes, and no others.
    """

    role: Literal["user"] = "user"
    text: str
    attachments: tuple[AttachmentData, ...] = ()


class AssistantTurn(Record):
    """A model's message; never empty in a request."""

    role: Literal["assistant"] = "assistant"
    parts: tuple[Part, ...]


class ToolTurn(Record):
    """The results of all calls of the assistant message before it, in the order of the calls.

    Attributes:
        results: The results.
        attachments: The bytes of the files that the results name, each once; filled just before the call.
    """

    role: Literal["tool"] = "tool"
    results: tuple[ToolResult, ...]
    attachments: tuple[AttachmentData, ...] = ()

    def files_of(self, result: ToolResult) -> tuple[AttachmentData, ...]:
        """Give the files of one of the results, in its order."""
        known = {file.ref.id: file for file in self.attachments}
        return tuple(known[ref.id] for ref in result.attachments if ref.id in known)


#: A request's messages are provider-valid: every call is answered once, right behind the message that made it.
ModelMessage = Annotated[UserTurn | AssistantTurn | ToolTurn, Field(discriminator="role")]


class ModelRequest(Record):
    """One request to a model.

    Attributes:
        model: The model's name for the provider (what follows ``provider:``).
        instructions: The system prompt.
        messages: The conversation, provider-valid.
        tools: What the model may call.
        settings: Passed to the provider: ``temperature``, ``max_tokens`` …
        session_id: For providers that cache by it.
        call_key: Stable across retries and processes; identifies the call.
    """

    model: str
    instructions: str = ""
    messages: tuple[ModelMessage, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    session_id: str = ""
    call_key: str = ""


class ModelReply(Record):
    """A whole answer of a model.

    Attributes:
        parts: Text, reasoning and tool calls, in order.
        usage: What the call cost.
        finish_reason: Why the model stopped.
        model: The model that answered, as the provider names it.
    """

    parts: tuple[Part, ...] = ()
    usage: TokenUsage = TokenUsage()
    finish_reason: FinishReason = "stop"
    model: str | None = None


class TextChunk(Record):
    """A piece of text, as it streams."""

    kind: Literal["text"] = "text"
    text: str


class ReasoningChunk(Record):
    """A piece of reasoning, as it streams."""

    kind: Literal["reasoning"] = "reasoning"
    text: str


class ReplyChunk(Record):
    """The end of a stream: the whole answer."""

    kind: Literal["reply"] = "reply"
    reply: ModelReply


ModelChunk = TextChunk | ReasoningChunk | ReplyChunk


class ModelInfo(Record):
    """What a provider knows of a model.

    Attributes:
        context_window: Tokens; ``None`` when the provider does not know.
        reports_cost: Whether replies carry a cost; a cost limit is refused without it (T12).
        notice: Said once per session to the user, on stderr; empty for none.
        attachments: Prefixes of the media types that it takes, such as ``image/png`` or ``text/``; ``""`` takes
            everything. The model reads a note in place of any other file.
    """

    context_window: int | None = None
    reports_cost: bool = False
    notice: str = ""
    attachments: tuple[str, ...] = ()

"""`FakeModel`: a model provider that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import attrs

from lash_hookspecs.errors import ModelError, UnknownName
from lash_hookspecs.records.models import (
    AssistantTurn,
    ModelChunk,
    ModelInfo,
    ModelReply,
    ModelRequest,
    ReasoningChunk,
    ReplyChunk,
    TextChunk,
    UserTurn,
)
from lash_hookspecs.records.payloads import ReasoningPart, TextPart
from lash_hookspecs.records.usage import TokenUsage

__all__ = ["FakeModel"]


@attrs.define
class FakeModel:
    """A `ModelProvider` that gives scripted replies, one after the other, and echoes when none is left.

    ::

        provider = FakeModel([ModelReply(parts=(ToolCallPart(call=call),)), ModelError("busy", retryable=True)])

    Attributes:
        replies: What it answers; an error is raised.
        model: The one model that it has.
        info: What it tells of it.
        requests: What it was asked, in order.
        closed: How often it was closed.
    """

    replies: list[ModelReply | ModelError] = attrs.field(factory=list)
    model: str = "fake"
    info: ModelInfo = attrs.field(factory=lambda: ModelInfo(context_window=32_768, attachments=("",)))
    requests: list[ModelRequest] = attrs.field(factory=list)
    closed: int = 0

    async def model_info(self, model: str) -> ModelInfo:
        """Tell what the test says.

        Raises:
            UnknownName: It is another model.
        """
        if model != self.model:
            raise UnknownName(f"there is no model {model!r}; there is {self.model!r}")
        return self.info

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        """Give the next reply, word by word.

        Raises:
            ModelError: The test says so.
        """
        self.requests.append(request)
        reply = self.replies.pop(0) if self.replies else _echo(request)
        if isinstance(reply, ModelError):
            raise reply
        for part in reply.parts:
            if isinstance(part, TextPart | ReasoningPart):
                for word in _words(part.text):
                    await asyncio.sleep(0)
                    yield TextChunk(text=word) if isinstance(part, TextPart) else ReasoningChunk(text=word)
        yield ReplyChunk(reply=reply)

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


def _echo(request: ModelRequest) -> ModelReply:
    said = next((turn.text for turn in reversed(request.messages) if isinstance(turn, UserTurn)), "")
    answers = sum(isinstance(turn, AssistantTurn) for turn in request.messages)
    text = f"You said {said!r}." if said else f"This is answer {answers + 1}."
    return ModelReply(
        parts=(TextPart(text=text),),
        usage=TokenUsage(input_tokens=len(request.messages), output_tokens=len(text.split())),
        model=request.model,
    )


def _words(text: str) -> Iterator[str]:
    words = text.split(" ")
    for at, word in enumerate(words):
        piece = word if at == 0 else f" {word}"
        if piece:
            yield piece

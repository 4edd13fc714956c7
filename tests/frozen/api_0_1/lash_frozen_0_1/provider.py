"""A model written against hook API 0.1: calls ``double`` with the number that it is given, and says what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lash_hookspecs.records.models import ModelChunk, ModelInfo, ModelReply, ModelRequest, ReplyChunk, TextChunk, ToolTurn
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.usage import TokenUsage


class FrozenProvider:
    """The provider ``frozen``."""

    async def model_info(self, model: str) -> ModelInfo:
        """Tell what the model can take."""
        return ModelInfo(context_window=10_000)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        """Answer."""
        last = request.messages[-1]
        usage = TokenUsage(input_tokens=1, output_tokens=1)
        if isinstance(last, ToolTurn):
            text = f"it is {last.results[0].output}; {'guided' if 'Double what' in request.instructions else 'lost'}"
            yield TextChunk(text=text)
            yield ReplyChunk(reply=ModelReply(parts=(TextPart(text=text),), usage=usage))
        else:
            call = ToolCall(call_id="c1", tool="double", arguments={"number": 20})
            reply = ModelReply(parts=(ToolCallPart(call=call),), usage=usage, finish_reason="tool_calls")
            yield ReplyChunk(reply=reply)

    async def close(self) -> None:
        """Hold nothing."""

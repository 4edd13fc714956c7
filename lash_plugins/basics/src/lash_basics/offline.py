"""The provider ``offline``: a model without a key and without a network.

It extracts, counts, searches and writes with the file tools; it does not think. All that it knows is in the request,
so every process answers a request alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from lash_hookspecs.records.models import ModelChunk, ModelInfo, ModelReply, ModelRequest, ReplyChunk, TextChunk
from lash_hookspecs.records.payloads import TextPart

from lash_basics.extractive.model import reply_to
from lash_basics.script import Script
from lash_basics.streaming import estimate_usage, tokens_of, words_in_chunks

__all__ = ["CONTEXT_WINDOW", "NOTICE", "OfflineProvider"]

#: Tokens that the offline model is said to take.
CONTEXT_WINDOW = 128_000

NOTICE = (
    "this is the offline model: it extracts and counts, it does not think; choose a real one with "
    "--model provider:name, e.g. --model openai:gpt-5, which lash-provider-pydantic-ai brings"
)


class OfflineProvider:
    """A `ModelProvider`; ``offline`` is the built-in model, ``offline:FILE`` plays a script."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}

    async def model_info(self, model: str) -> ModelInfo:
        """Tell what is known of the model.

        Raises:
            ConfigurationError: ``model`` names a script that cannot be used.
        """
        if not model:
            return ModelInfo(context_window=CONTEXT_WINDOW, notice=NOTICE, attachments=("",))
        return ModelInfo(
            context_window=CONTEXT_WINDOW, reports_cost=self._script(model).reports_cost, attachments=("",)
        )

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        """Answer a request.

        Raises:
            ModelError: A script says so, or has no reply left.
        """
        return self._script(request.model).stream(request) if request.model else _stream(request)

    async def close(self) -> None:
        """Forget the scripts that were read."""
        self._scripts.clear()

    def _script(self, model: str) -> Script:
        if model not in self._scripts:
            self._scripts[model] = Script.load(Path(model))
        return self._scripts[model]


async def _stream(request: ModelRequest) -> AsyncIterator[ModelChunk]:
    # In a thread: ranking the sentences of a long text takes a while, and the event loop has other sessions to serve.
    reply = _limited(await asyncio.to_thread(reply_to, request), request.settings.get("max_tokens"))
    reply = reply.evolve(usage=estimate_usage(request, reply.parts))
    for part in reply.parts:
        if isinstance(part, TextPart):
            for piece in words_in_chunks(part.text):
                yield TextChunk(text=piece)
    yield ReplyChunk(reply=reply)


def _limited(reply: ModelReply, most: object) -> ModelReply:
    """Cut an answer off at ``max_tokens``, as any model does."""
    if not isinstance(most, int) or reply.finish_reason != "stop":
        return reply
    text = "".join(part.text for part in reply.parts if isinstance(part, TextPart))
    if tokens_of(text) <= most:
        return reply
    cut = text.encode()[: max(0, most) * 4].decode(errors="ignore")
    return reply.evolve(parts=(TextPart(text=cut),) if cut else (), finish_reason="length")

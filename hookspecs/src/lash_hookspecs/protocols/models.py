"""What a model provider implements."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from lash_hookspecs.records.models import ModelChunk, ModelInfo, ModelRequest

__all__ = ["ModelProvider"]


@runtime_checkable
class ModelProvider(Protocol):
    """Calls models. One object serves all sessions of a process."""

    async def model_info(self, model: str) -> ModelInfo:
        """Tell what is known of a model, without a network call.

        Args:
            model: What follows ``provider:``; empty when nothing does.

        Raises:
            UnknownName: The provider has no such model.
            ConfigurationError: It cannot be used as things are, such as without a key; the message says what to
                set.
        """
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        """Ask the model once: chunks as they come, then exactly one `ReplyChunk`.

        The texts of the chunks, joined, are the text of the reply, and no chunk is empty. Ids of calls are unique in a
        reply; the request stays as it was. It is an async generator: closing it early, or cancelling who reads it,
        cancels the call, and the next one is answered. Calls may run together. Retries are the runtime's.

        Raises:
            ModelError: The call failed; says whether a retry may help.
        """
        ...

    async def close(self) -> None:
        """Give back connections; may be called twice."""
        ...

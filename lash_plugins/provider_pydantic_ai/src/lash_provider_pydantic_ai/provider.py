"""The provider object of one name: opens the library when it is first called, and closes what it opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from lash_hookspecs.records.models import ModelChunk, ModelInfo, ModelRequest

if TYPE_CHECKING:
    from lash_provider_pydantic_ai.connection import Connection

__all__ = ["PydanticAIProvider"]


class PydanticAIProvider:
    """A `ModelProvider` for one of the names in the manifest, such as ``openai`` or ``anthropic``."""

    def __init__(self, name: str) -> None:
        """Remember the name; nothing is imported or opened."""
        self.name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None

    async def model_info(self, model: str) -> ModelInfo:
        """Tell what is known of a model, without a network call.

        Raises:
            UnknownName: The provider has no such model, or the name cannot be one.
            ConfigurationError: A key, a base URL or the service's own library is missing.
        """
        connection = await self._connected()
        await connection.prepare(model)
        return connection.info(model)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        """Ask the model once, without any retry; closing the iterator closes the connection.

        Raises:
            ModelError: The call failed.
            UnknownName: As from `model_info`, when that was not asked before.
            ConfigurationError: As from `model_info`, when that was not asked before.
        """
        connection = await self._connected()
        await connection.prepare(request.model)
        async with aclosing(connection.ask(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        connection, self._connection = self._connection, None
        if connection is not None and self._loop is asyncio.get_running_loop():
            await connection.close()

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # connections and locks belong to the loop that first used them
            self._loop, self._lock, self._connection = loop, asyncio.Lock(), None
        async with self._lock:
            if self._connection is None:
                # The import takes a second or more: a thread keeps the loop free for other sessions.
                self._connection = await asyncio.to_thread(_connection, self.name)
            return self._connection


def _connection(name: str) -> Connection:
    from lash_provider_pydantic_ai.connection import Connection

    return Connection(name)

"""A turn on its way, for whoever reads along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from lash_hookspecs.records.events import Event
from lash_hookspecs.records.turn import TurnResult

from lash_core.runtime.runtime import LashRuntime

__all__ = ["Turn"]


class Turn:
    """A turn on its way: iterate it for its events, ask `result` for its end.

    Events are kept until they are read, so a slow reader never slows the turn (T9).
    """

    def __init__(self, runtime: LashRuntime, start: Callable[[Callable[[Event], None]], Any]) -> None:
        """Start the turn on the running loop; `Session.stream` does it."""
        self._runtime = runtime
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task: asyncio.Task[TurnResult] = asyncio.ensure_future(start(self._events.put_nowait))
        self._task.add_done_callback(lambda task: self._events.put_nowait(None))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._read()

    async def result(self) -> TurnResult:
        """Wait for the final commit and give the result. Cancelling the waiter cancels the turn.

        Raises:
            SessionBusy: A turn of the session runs already; nothing was written.
            ConfigurationError: Model, mode or limits cannot be used; nothing was written.
            StoreError: A commit failed; the turn is interrupted and can be continued.
        """
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if not self._task.done():
                await self.cancel()
            raise

    async def cancel(self) -> None:
        """End the turn as cancelled; returns when that is committed. Nothing happens to one that has ended."""
        await asyncio.sleep(0)  # one that was only just begun takes its first step
        if not self._task.done():
            await self._runtime.cancel()
            await asyncio.wait([self._task])

    async def _read(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)

"""Who hears of tasks: bounded queues that never slow a task."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import Self

from lash_hookspecs.records.tasks import Gap, TaskEvent, TaskFilter, TaskRecord

__all__ = ["Reader", "Readers"]

#: Events that wait for a reader; more, and it loses the oldest.
LONGEST_QUEUE = 256


class Reader:
    """One subscription."""

    def __init__(self, task_filter: TaskFilter, limit: int = LONGEST_QUEUE) -> None:
        self.filter = task_filter
        self._limit = limit
        self._events: deque[TaskEvent] = deque()
        self._missed: int | None = 0
        self._wake = asyncio.Event()
        self._closed = False

    def put(self, event: TaskEvent) -> None:
        """Take an event; drop the oldest when there are too many."""
        if len(self._events) == self._limit:
            self._events.popleft()
            self._missed = None if self._missed is None else self._missed + 1
        self._events.append(event)
        self._wake.set()

    def gap(self) -> None:
        """Say that events are missing, nobody knows how many."""
        self._events.clear()
        self._missed = None
        self._wake.set()

    def close(self) -> None:
        """End it; what waits is still read."""
        self._closed = True
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskEvent | Gap:
        while True:
            if self._missed != 0:
                missed, self._missed = self._missed, 0
                return Gap(missed=missed)
            if self._events:
                return self._events.popleft()
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


class Readers:
    """All subscriptions of a host; one that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()

    def add(self, task_filter: TaskFilter | None) -> Reader:
        """Begin a subscription."""
        reader = Reader(task_filter or TaskFilter())
        self._readers.add(reader)
        return reader

    def tell(self, event: TaskEvent, record: TaskRecord) -> None:
        """Hand an event to whoever wants it."""
        for reader in self._matching(event.session_id):
            if reader.filter.kind in (None, record.kind):
                reader.put(event)

    def gap(self, session_id: str) -> None:
        """Say to whoever reads of a session that events are missing."""
        for reader in self._matching(session_id):
            reader.gap()

    def close(self) -> None:
        """End all of them."""
        for reader in list(self._readers):
            reader.close()

    def _matching(self, session_id: str) -> list[Reader]:
        return [
            reader for reader in self._readers if not reader._closed and reader.filter.session_id in (None, session_id)
        ]

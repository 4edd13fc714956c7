"""A task whose work is elsewhere, with a callback here that stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lash_hookspecs.protocols.tasks import CancelCallback
from lash_hookspecs.records.tasks import TaskEnded, TaskRecord, TaskStateChanged

from lash_core.hosts.task_job import Pace, callback_failed, event_of
from lash_core.hosts.task_log import TaskLog
from lash_core.hosts.waiting import stop_tasks

__all__ = ["ExternalJob"]


class ExternalJob:
    """A task whose work is elsewhere, with a callback here that stops it."""

    def __init__(
        self,
        record: TaskRecord,
        log: TaskLog,
        on_cancel: CancelCallback,
        pace: Pace,
        ended: Callable[[ExternalJob], None],
    ) -> None:
        self.record = record
        self.log = log
        self.moving = asyncio.Lock()
        self._on_cancel = on_cancel
        self._pace = pace
        self._ended = ended
        self._calling: asyncio.Task[None] | None = None

    @property
    def runs_here(self) -> bool:
        """Whether its work is in this process."""
        return False

    def ask(self, reason: str | None) -> None:
        """Call back, once."""
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_back(reason), name=f"cancel task {self.record.task_id}")

    def abandon(self) -> None:
        """Forget it; whoever does the work has said that it ended."""
        self._ended(self)

    async def close(self, reason: str) -> None:
        """Forget it; the work is not this process's."""
        if self._calling is not None:
            await stop_tasks([self._calling], self._pace.grace)
        self._ended(self)

    async def join(self) -> None:
        """Wait until the callback has returned, if it was called."""
        if self._calling is not None and self._calling is not asyncio.current_task():
            await asyncio.wait([self._calling])

    async def _call_back(self, reason: str | None) -> None:
        try:
            await self._on_cancel(reason)
        except Exception as error:  # noqa: BLE001  a callback may raise anything; the task stays as asked
            fields: dict[str, Any] = {"state": "running", "reason": callback_failed(error)}
            event = event_of(TaskStateChanged, self.record, self._pace.clock, **fields)
        else:
            why = f"cancelled: {reason}" if reason else "cancelled"
            event = event_of(TaskEnded, self.record, self._pace.clock, state="cancelled", reason=why)
        async with self.moving:
            await self.log.write_anyway(event)

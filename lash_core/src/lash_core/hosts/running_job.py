"""A task whose work runs in this process: attempt by attempt, stopped as its cancel policy says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import attrs
from lash_hookspecs.protocols.tasks import CancelCallback, TaskWork
from lash_hookspecs.records.tasks import (
    LiveState,
    TaskEnded,
    TaskEvent,
    TaskProgress,
    TaskRecord,
    TaskStateChanged,
    bounded,
)

from lash_core.hosts.task_job import Pace, callback_failed, describe_error, event_of
from lash_core.hosts.task_log import TaskLog
from lash_core.hosts.waiting import first_of, stop_tasks

__all__ = ["RunningJob"]

logger = logging.getLogger("lash.tasks")


@attrs.frozen
class _Outcome:
    """How an attempt ended: with a result, a failure, or cancelled (neither)."""

    result: str | None = None
    failure: str | None = None
    cancelled: bool = False


class RunningJob:
    """A task whose work runs in this process.

    Attributes:
        record: As registered; only identity and policies are read from it.
        log: Where its events go.
        moving: Held while it is given to another session.
        cancelled: Set when it shall stop.
        attempt: The attempt, from 1.
    """

    def __init__(
        self,
        record: TaskRecord,
        log: TaskLog,
        work: TaskWork,
        on_cancel: CancelCallback | None,
        pace: Pace,
        ended: Callable[[RunningJob], None],
    ) -> None:
        self.record = record
        self.log = log
        self.moving = asyncio.Lock()
        self.cancelled = asyncio.Event()
        self.attempt = record.attempt + 1
        self._work = work
        self._on_cancel = on_cancel
        self._pace = pace
        self._ended = ended
        self._reason: str | None = None
        self._closing: str | None = None
        self._over = False
        self._working: asyncio.Task[str | None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._main: asyncio.Task[None] | None = None

    @property
    def runs_here(self) -> bool:
        """Whether its work is in this process."""
        return True

    def begin(self) -> None:
        """Run it."""
        self._main = asyncio.create_task(self._run(), name=f"task {self.record.task_id}")

    # What may be asked of it

    def ask(self, reason: str | None) -> None:
        """Stop it as its cancel policy says; once."""
        if self.cancelled.is_set():
            return
        self._reason = reason
        self.cancelled.set()
        self._stopping = asyncio.create_task(self._stop(), name=f"stop task {self.record.task_id}")

    def abandon(self) -> None:
        """Stop it without a word; it has ended for everybody else."""
        if self._main is not None and not self._over:
            self._over = True
            self._main.cancel()

    async def close(self, reason: str) -> None:
        """Stop it now; recorded as interrupted."""
        if self._main is not None and self._closing is None:
            self._closing = reason
            self._main.cancel()  # once: it ends the work itself, however often that takes
        await self.join()

    async def join(self) -> None:
        """Wait until it has ended."""
        if self._main is not None and self._main is not asyncio.current_task():
            await asyncio.wait([self._main])

    async def tell(self, event_type: type[TaskEvent], **fields: Any) -> None:
        """Record what happened; what cannot be stored now is stored later."""
        async with self.moving:
            event = event_of(event_type, self.record, self._pace.clock, **fields)
            error = await self.log.write_anyway(event)
        if error is not None:
            logger.warning(
                "task %r of session %r: its state is not stored yet: %s",
                self.record.task_id,
                self.record.session_id,
                error,
            )

    def progress(self, text: str) -> None:
        """Take what it says of how far it is."""
        self.log.progress(event_of(TaskProgress, self.record, self._pace.clock, text=bounded(text)))

    # How it runs

    async def _run(self) -> None:
        try:
            try:
                fields = await self._attempts()
                if self._stopping is not None and self.record.cancel_policy == "external":
                    await asyncio.wait([self._stopping], timeout=self._pace.grace)
            except asyncio.CancelledError:
                fields = {"state": "interrupted", "reason": self._closing or "its event loop was closed"}
            await stop_tasks([each for each in (self._working, self._stopping) if each], self._pace.grace)
            if not self._over:
                self._over = True
                await self.tell(TaskEnded, **fields)
        finally:
            self._ended(self)

    async def _attempts(self) -> dict[str, Any]:
        while not self.cancelled.is_set():
            await self.tell(TaskStateChanged, state="running", attempt=self.attempt)
            outcome = await self._once()
            if self.cancelled.is_set():
                return self._cancelled(outcome)
            if outcome.cancelled:
                return {"state": "cancelled", "reason": "it cancelled itself"}
            if outcome.failure is None:
                return {"state": "completed", "result": outcome.result}
            if self.attempt >= self.record.max_attempts:
                many = f"all {self.record.max_attempts} attempts failed" if self.record.max_attempts > 1 else None
                return {"state": "failed", "failure": outcome.failure, "reason": many}
            which = f"attempt {self.attempt} of {self.record.max_attempts} failed: {outcome.failure}"
            await self.tell(TaskStateChanged, state="waiting", reason=bounded(which))
            await first_of(self.cancelled.wait(), self._pace.sleep(self._pace.retry_wait(self.attempt)))
            self.attempt += 1
        return self._cancelled(_Outcome())

    def _cancelled(self, outcome: _Outcome) -> dict[str, Any]:
        reason = f"cancelled: {self._reason}" if self._reason else "cancelled"
        return {"state": "cancelled", "reason": reason, "result": outcome.result, "failure": outcome.failure}

    async def _once(self) -> _Outcome:
        self._working = asyncio.create_task(self._call(), name=f"work of task {self.record.task_id}")
        await asyncio.wait([self._working])
        if self._working.cancelled():
            return _Outcome(cancelled=True)
        error = self._working.exception()
        if error is not None:
            return _Outcome(failure=describe_error(error))
        given = self._working.result()
        return _Outcome(result=None if given is None else bounded(str(given)))

    async def _call(self) -> str | None:
        return await self._work(_Context(self, self.attempt))

    async def _stop(self) -> None:
        policy = self.record.cancel_policy
        if policy == "external":
            await self._call_back()
            return
        if policy == "cooperative":
            await self._pace.sleep(self._pace.grace)
        while self._working is not None and not self._working.done():
            self._working.cancel()
            await self._pace.sleep(self._pace.grace)

    async def _call_back(self) -> None:
        assert self._on_cancel is not None
        try:
            await self._on_cancel(self._reason)
        except Exception as error:  # noqa: BLE001  a callback may raise anything; the task goes on and says why
            await self.tell(TaskStateChanged, state="running", reason=callback_failed(error))


class _Context:
    """What the work gets; see `lash_hookspecs.protocols.tasks.TaskContext`."""

    def __init__(self, job: RunningJob, attempt: int) -> None:
        self._job = job
        self.attempt = attempt

    @property
    def task_id(self) -> str:
        return self._job.record.task_id

    @property
    def session_id(self) -> str:
        return self._job.record.session_id

    @property
    def idempotency_key(self) -> str:
        return self._job.record.idempotency_key

    @property
    def cancelled(self) -> asyncio.Event:
        return self._job.cancelled

    def progress(self, text: str) -> None:
        self._job.progress(text)

    async def mark(self, state: LiveState, reason: str | None = None) -> None:
        await self._job.tell(TaskStateChanged, state=state, reason=reason and bounded(reason))

"""The task host that runs tasks as asyncio tasks of this process."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lash_hookspecs.errors import SessionMissing
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.tasks import TaskFilter, TaskRecord

from lash_core.hosts.task_fold import Retention
from lash_core.hosts.task_job import Pace, default_retry_wait
from lash_core.hosts.task_pool import TaskPool
from lash_core.hosts.task_readers import Reader
from lash_core.hosts.task_session import LocalSessionTasks

__all__ = ["LocalTaskHost", "Retention"]


class LocalTaskHost:
    """Runs the background tasks of a process's sessions on its event loop.

    Records are in each session's store, so they outlive the host; the work does not. What still runs when the host is
    closed is recorded as ``interrupted``; what runs when the process is killed is listed so.
    """

    def __init__(
        self,
        name: str = "lash",
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        poll: float = 1.0,
        grace: float = 10.0,
        heartbeat: float = 60.0,
        retry_wait: Callable[[int], float] = default_retry_wait,
        retention: Retention | None = None,
    ) -> None:
        """Make a host; nothing runs yet.

        Args:
            name: What the holder of its tasks is called, for people.
            clock: Microseconds since 1970-01-01 UTC.
            sleep: Waits some seconds.
            poll: Seconds between two looks at the stream of a session with a live task, for requests of others.
            grace: Seconds that a task which was asked to stop has before it is aborted.
            heartbeat: Seconds after which a silent task's process says that it lives.
            retry_wait: Seconds to wait after a failed attempt, counted from 1.
            retention: How long records of ended tasks are kept.
        """
        pace = Pace(clock=clock, sleep=sleep, poll=poll, grace=grace, heartbeat=heartbeat, retry_wait=retry_wait)
        self._pool = TaskPool(name, pace, retention or Retention())
        self._attached: builtins.list[LocalSessionTasks] = []

    @property
    def name(self) -> str:
        """The host's name."""
        return "local"

    def attach(
        self, session_id: str, store: SessionStore, *, database: StoreBackend | None = None
    ) -> LocalSessionTasks:
        """Open the tasks of a session; touches nothing."""
        tasks = LocalSessionTasks(self._pool, session_id, store, database)
        self._attached = [*self._open(), tasks]
        return tasks

    def attached(self, session_id: str) -> LocalSessionTasks:
        """Give the tasks of a session that is attached, as it was attached last."""
        for tasks in reversed(self._open()):
            if tasks.session_id == session_id:
                return tasks
        raise SessionMissing(f"session {session_id!r} is not open in this task host", session_id=session_id)

    async def list(self, task_filter: TaskFilter | None = None) -> Sequence[TaskRecord]:
        """List the tasks of all attached sessions, or of the one that the filter names."""
        chosen = task_filter or TaskFilter()
        found = {record.instance: record for tasks in self._open() for record in await tasks.list(chosen)}
        return sorted(found.values(), key=lambda record: record.created_at)

    def subscribe(self, task_filter: TaskFilter | None = None) -> Reader:
        """Hear what happens to tasks of all attached sessions from now on."""
        return self._pool.readers.add(task_filter)

    async def close(self) -> None:
        """Stop everything that runs here; it is recorded as ``interrupted``."""
        attached, self._attached = self._open(), []
        for tasks in attached:
            await tasks.shut()
        await self._pool.close()

    def _open(self) -> builtins.list[LocalSessionTasks]:
        return [tasks for tasks in self._attached if not tasks.closed]

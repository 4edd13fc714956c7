"""What runs in this process, for all sessions: jobs, the logs they write to, and the watch on those."""

from __future__ import annotations

import asyncio
import logging

from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.tasks import CancelRequested, StillAlive, TaskEnded, TaskEvent, TaskRecord

from lash_core.hosts.task_fold import Retention, forget_host, host_here
from lash_core.hosts.task_job import Job, Pace, event_of
from lash_core.hosts.task_log import TaskLog
from lash_core.hosts.task_readers import Readers
from lash_core.hosts.waiting import stop_tasks

__all__ = ["TaskPool"]

logger = logging.getLogger("lash.tasks")


class TaskPool:
    """The jobs of a host.

    A log with a job on it is looked at every ``pace.poll`` seconds: that is how a request of another process to
    cancel is noticed, how progress is stored, and how what could not be stored is tried again.

    Attributes:
        pace: The host's times.
        readers: Who hears of tasks.
        holder: This host, as the holder of what it runs.
        jobs: What runs here, by the task's instance.
    """

    def __init__(self, name: str, pace: Pace, retention: Retention) -> None:
        self.pace = pace
        self.readers = Readers()
        self.holder = host_here(self, name)
        self.jobs: dict[str, Job] = {}
        self._retention = retention
        self._shared: dict[tuple[int, str], tuple[StoreBackend, TaskLog]] = {}
        self._users: dict[TaskLog, int] = {}
        self._watchers: dict[TaskLog, asyncio.Task[None]] = {}
        self._looking: set[TaskLog] = set()

    # Logs

    def use_log(self, session_id: str, store: SessionStore, database: StoreBackend | None) -> TaskLog:
        """Give the log of a session; one for all who name the same database. To be released."""
        log = self.shared_log(session_id, store, database) if database is not None else self._new(session_id, store)
        self._users[log] = self._users.get(log, 0) + 1
        return log

    def shared_log(self, session_id: str, store: SessionStore, database: StoreBackend) -> TaskLog:
        """Give the log that is open for a session of a database, or a new one."""
        place = (id(database), session_id)
        if place not in self._shared or self._shared[place][1].deleted:
            self._shared[place] = (database, self._new(session_id, store))
        return self._shared[place][1]

    def is_attached(self, log: TaskLog) -> bool:
        """Tell whether a session that is open uses the log."""
        return log in self._users

    def release_log(self, log: TaskLog) -> None:
        """Say that one user less needs it."""
        self._users[log] -= 1
        if self._users[log] == 0:
            del self._users[log]
        self._drop_unused(log)

    def _new(self, session_id: str, store: SessionStore) -> TaskLog:
        return TaskLog(
            session_id,
            store,
            clock=self.pace.clock,
            retention=self._retention,
            tell=self._told,
            tell_gap=self._missed,
        )

    def _drop_unused(self, log: TaskLog) -> None:
        if log not in self._users and log not in self._watchers and not self._jobs_on(log):
            self._shared = {place: each for place, each in self._shared.items() if each[1] is not log}

    # Jobs

    def adopt(self, job: Job) -> None:
        """Answer for a task from now on."""
        self.jobs[job.record.instance] = job
        self.watch(job.log)
        self._obey(job)

    def forget(self, job: Job) -> None:
        """A task has ended."""
        self.jobs.pop(job.record.instance, None)
        watcher = self._watchers.get(job.log)
        if watcher is not None and not self._needs_watch(job.log) and job.log not in self._looking:
            watcher.cancel()

    def _jobs_on(self, log: TaskLog) -> list[Job]:
        return [job for job in self.jobs.values() if job.log is log]

    def _obey(self, job: Job) -> None:
        known = job.log.records().get(job.record.task_id)
        if known is None or known.instance != job.record.instance or not known.live:
            job.abandon()
        elif known.state == "cancel_requested":
            job.ask(known.reason)

    def _told(self, event: TaskEvent, record: TaskRecord) -> None:
        self.readers.tell(event, record)
        job = self.jobs.get(event.instance)
        if job is None:
            return
        if isinstance(event, CancelRequested):
            job.ask(event.reason)
        elif isinstance(event, TaskEnded):
            job.abandon()

    def _missed(self, log: TaskLog) -> None:
        self.readers.gap(log.session_id)
        for job in self._jobs_on(log):
            self._obey(job)

    # The watch

    def watch(self, log: TaskLog) -> None:
        """Look at a log regularly while a job is on it."""
        if log not in self._watchers and self._needs_watch(log):
            self._watchers[log] = asyncio.create_task(self._watch(log), name=f"tasks of session {log.session_id}")

    def _needs_watch(self, log: TaskLog) -> bool:
        return log.owing or bool(self._jobs_on(log))

    async def _watch(self, log: TaskLog) -> None:
        try:
            while self._needs_watch(log):
                await self.pace.sleep(self.pace.poll)
                await self._look(log)
        finally:
            self._watchers.pop(log, None)
            self._drop_unused(log)

    async def _look(self, log: TaskLog) -> None:
        self._looking.add(log)
        self._say_that_they_live(log)
        try:
            await self.store_now(log)
        finally:
            self._looking.discard(log)

    async def store_now(self, log: TaskLog) -> None:
        """Store what waits; what cannot be stored is tried again at the next look."""
        error = await log.write_anyway()
        if error is not None:
            logger.warning("the tasks of session %r: %s", log.session_id, error)
            self.watch(log)
        if log.deleted:
            self.session_deleted(log)

    def session_deleted(self, log: TaskLog) -> None:
        """Stop what belongs to a session that is no more; nobody gets this log any more."""
        log.deleted = True
        for job in self._jobs_on(log):
            job.ask("the session was deleted")

    def _say_that_they_live(self, log: TaskLog) -> None:
        silent_since = self.pace.clock() - int(self.pace.heartbeat * 1_000_000)
        records = log.records()
        for job in self._jobs_on(log):
            known = records.get(job.record.task_id)
            if job.runs_here and known is not None and known.live and known.updated_at <= silent_since:
                log.add(event_of(StillAlive, known, self.pace.clock))

    async def close(self) -> None:
        """Stop everything."""
        await asyncio.gather(*(job.close("its task host was closed") for job in list(self.jobs.values())))
        await stop_tasks(self._watchers.values(), self.pace.grace)
        self.readers.close()
        forget_host(self.holder)

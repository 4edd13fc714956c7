"""The tasks of one open session, in this process."""

from __future__ import annotations

import asyncio
import builtins
import logging
import weakref
from collections.abc import Sequence
from typing import Any, get_args

from lash_hookspecs.errors import (
    InvalidInput,
    LashError,
    SessionDeleted,
    SessionError,
    TaskMissing,
)
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.protocols.tasks import CancelCallback, HiddenWork, TaskWork
from lash_hookspecs.records.tasks import (
    TERMINAL_STATES,
    CancelRequested,
    LiveState,
    TaskEnded,
    TaskEvent,
    TaskFilter,
    TaskHolder,
    TaskProgress,
    TaskRecord,
    TaskRegistered,
    TaskRegistration,
    TaskStateChanged,
    TerminalState,
    bounded,
)

from lash_core.hosts.external_job import ExternalJob
from lash_core.hosts.hidden_tasks import HiddenTasks
from lash_core.hosts.running_job import RunningJob
from lash_core.hosts.task_entering import check_registration, fresh_id, new_record, task_exists
from lash_core.hosts.task_fold import judged
from lash_core.hosts.task_job import Job, event_of
from lash_core.hosts.task_pool import TaskPool
from lash_core.hosts.task_readers import Reader
from lash_core.hosts.task_transfer import transfer_tasks
from lash_core.hosts.waiting import first_of

__all__ = ["LocalSessionTasks"]

logger = logging.getLogger("lash.tasks")


class LocalSessionTasks:
    """What a `lash_core.hosts.local_tasks.LocalTaskHost` gives for a session; see `AttachedTasks`.

    Attributes:
        closed: Whether nothing may be started any more.
    """

    def __init__(self, pool: TaskPool, session_id: str, store: SessionStore, database: StoreBackend | None) -> None:
        self.closed = False
        self._pool = pool
        self._database = database
        self._log = pool.use_log(session_id, store, database)
        self._hidden = HiddenTasks(session_id)
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()

    @property
    def session_id(self) -> str:
        """The session."""
        return self._log.session_id

    # Beginning

    async def start(
        self, registration: TaskRegistration, work: TaskWork, *, on_cancel: CancelCallback | None = None
    ) -> TaskRecord:
        """Run work in this process, as a managed task."""
        if (registration.cancel_policy == "external") != (on_cancel is not None):
            raise InvalidInput(
                "a task with work of its own has on_cancel if, and only if, its cancel policy is 'external'; "
                f"this one has {registration.cancel_policy!r}",
                session_id=self.session_id,
            )
        record = await self._enter(registration, TaskHolder.of(self._pool.holder))
        job = RunningJob(record, self._log, work, on_cancel, self._pool.pace, self._pool.forget)
        self._pool.adopt(job)
        job.begin()
        return record

    def start_hidden(self, work: HiddenWork, *, name: str = "") -> None:
        """Run work in this process that nobody lists."""
        self._refuse_closed()
        self._hidden.start(work, name)

    async def register(self, registration: TaskRegistration, *, on_cancel: CancelCallback | None = None) -> TaskRecord:
        """Record a task whose work is elsewhere."""
        if on_cancel is not None:
            registration = registration.evolve(cancel_policy="external")
        record = await self._enter(registration, None)
        if on_cancel is not None:
            self._pool.adopt(ExternalJob(record, self._log, on_cancel, self._pool.pace, self._pool.forget))
        return record

    async def _enter(self, registration: TaskRegistration, holder: TaskHolder | None) -> TaskRecord:
        self._refuse_closed()
        check_registration(self.session_id, registration)
        await self._log.refresh()
        task_id = registration.task_id or fresh_id(registration)
        known = self._log.records().get(task_id)
        before = judged(known, self._pool.pace.clock()) if known is not None else None
        events: list[TaskEvent] = []
        if known is not None and before is not None and known.live:
            if before.live:
                raise task_exists(before)
            events.append(self._event(TaskEnded, known, state="interrupted", reason=before.reason))
        record = new_record(self.session_id, task_id, registration, holder, before, self._pool.pace.clock())
        await self._log.write(*events, self._event(TaskRegistered, record, record=record))
        winner = self._log.records().get(task_id)
        if winner is not None and winner.instance != record.instance:
            raise task_exists(winner)
        return record

    # What becomes of them

    async def update(
        self,
        task_id: str,
        *,
        state: LiveState | None = None,
        progress: str | None = None,
        reason: str | None = None,
    ) -> TaskRecord:
        """Say where a task stands."""
        self._check_state(state, get_args(LiveState))
        record = await self._find(task_id)
        events: list[TaskEvent] = []
        if progress is not None:
            events.append(self._event(TaskProgress, record, text=bounded(progress)))
        if state is not None:
            events.append(self._event(TaskStateChanged, record, state=state, reason=reason and bounded(reason)))
        return await self._write(record, events)

    async def complete(
        self,
        task_id: str,
        state: TerminalState = "completed",
        *,
        result: str | None = None,
        failure: str | None = None,
        reason: str | None = None,
    ) -> TaskRecord:
        """Say that a task has ended."""
        self._check_state(state, get_args(TerminalState))
        record = await self._find(task_id)
        words = {"result": result, "failure": failure, "reason": reason}
        told = {word: text and bounded(text) for word, text in words.items()}
        return await self._write(record, [self._event(TaskEnded, record, state=state, **told)])

    async def request_cancel(self, task_id: str, reason: str | None = None) -> TaskRecord:
        """Ask for a task to stop, wherever it runs."""
        record = await self._find(task_id)
        if record.state == "cancel_requested":
            return record
        return await self._write(record, [self._event(CancelRequested, record, reason=reason and bounded(reason))])

    async def cancel_all(self, reason: str | None = None) -> Sequence[TaskRecord]:
        """Ask for every live task to stop."""
        return [await self.request_cancel(record.task_id, reason) for record in await self.list()]

    async def _write(self, record: TaskRecord, events: builtins.list[TaskEvent]) -> TaskRecord:
        if not record.live or not events:
            return record
        job = self._pool.jobs.get(record.instance)
        if job is not None:  # what this process answers for happens whether or not the store takes it now
            async with job.moving:
                await self._log.write_anyway(*events)
            self._pool.watch(self._log)
        else:
            await self._log.write(*events)
        known = self._log.records().get(record.task_id)
        return known if known is not None and known.instance == record.instance else record

    async def _find(self, task_id: str) -> TaskRecord:
        known = self._log.records().get(task_id)
        if known is not None and known.instance in self._pool.jobs:  # of what runs here, the store knows no more
            return known
        return await self.get(task_id)

    # Looking

    async def get(self, task_id: str) -> TaskRecord:
        """Give a task, ended or not."""
        await self._log.refresh()
        for record in self._log.listed():
            if record.task_id == task_id:
                return record
        raise TaskMissing(
            f"session {self.session_id!r} has no task {task_id!r}; `lash tasks list` shows which there are",
            task_id=task_id,
            session_id=self.session_id,
        )

    async def list(self, task_filter: TaskFilter | None = None) -> Sequence[TaskRecord]:
        """List tasks in the order of registration."""
        chosen = task_filter or TaskFilter()
        if chosen.session_id not in (None, self.session_id):
            return []
        await self._log.refresh()
        return [
            record
            for record in self._log.listed()
            if (record.live or chosen.include_terminal) and chosen.kind in (None, record.kind)
        ]

    async def wait(self, task_id: str) -> TaskRecord:
        """Wait until a task has ended, wherever it runs."""
        while True:
            changed = self._log.changed
            record = await self.get(task_id)
            if not record.live:
                return record
            await first_of(changed.wait(), self._pool.pace.sleep(self._pool.pace.poll))

    def subscribe(self, task_filter: TaskFilter | None = None) -> Reader:
        """Hear what happens to this session's tasks from now on."""
        reader = self._pool.readers.add((task_filter or TaskFilter()).evolve(session_id=self.session_id))
        self._readers.add(reader)
        return reader

    # Giving away

    async def transfer(self, task_ids: Sequence[str], to_session: str) -> builtins.list[TaskRecord]:
        """Give live tasks to another session of the same store; their work goes on."""
        records = [await self.get(task_id) for task_id in task_ids]
        if to_session == self.session_id:
            return records
        moved = await transfer_tasks(self._pool, self._log, self._database, records, to_session)
        return [moved.get(record.task_id, record) for record in records]

    # For the runtime

    async def flush(self) -> None:
        """Store what is not stored yet; to be called after a session's first commit."""
        await self._pool.store_now(self._log)

    async def wait_hidden(self) -> None:
        """Wait until no hidden task of this runtime is left, those that they start included."""
        await self._hidden.wait()

    async def close(self, *, deleted: bool = False) -> None:
        """Apply the close policies to the live tasks that are this process's, and cancel hidden ones."""
        if self.closed:
            return
        await self.shut()
        if deleted:
            self._pool.session_deleted(self._log)
        else:
            await self._pool.store_now(self._log)
            await self._apply_close_policies()
        self._let_go()

    async def detach(self) -> None:
        """Let go of them and touch no task but hidden ones."""
        if not self.closed:
            await self.shut()
            self._let_go()

    def _let_go(self) -> None:
        for reader in list(self._readers):
            reader.close()
        self._pool.release_log(self._log)

    async def shut(self) -> None:
        """Start nothing more, and cancel hidden tasks."""
        self.closed = True
        await self._hidden.close()

    async def _apply_close_policies(self) -> None:
        ending: builtins.list[Job] = []
        for record in self._log.listed():
            job = self._pool.jobs.get(record.instance)
            if not record.live or (job is None and record.holder is not None):
                continue
            try:
                if record.close_policy == "cancel":
                    ending += [job] if job is not None else []
                    await self._write(record, [self._event(CancelRequested, record, reason="the session was closed")])
                elif record.close_policy == "transfer" and record.transfer_to is not None:
                    await self.transfer([record.task_id], record.transfer_to)
            except LashError as error:  # it is kept; closing goes on
                self._complain(error)
        await asyncio.gather(*(job.join() for job in ending))

    def _complain(self, error: LashError) -> None:
        logger.warning("closing the tasks of session %r: %s", self.session_id, error)

    # Words

    def _event(self, kind: type[Any], task: TaskRecord, /, **fields: Any) -> Any:
        return event_of(kind, task, self._pool.pace.clock, **fields)

    def _refuse_closed(self) -> None:
        if self._log.deleted:
            raise SessionDeleted(f"session {self.session_id!r} was deleted", session_id=self.session_id)
        if self.closed:
            raise SessionError(
                f"session {self.session_id!r} was closed; open it again to start tasks", session_id=self.session_id
            )

    def _check_state(self, state: str | None, allowed: tuple[str, ...]) -> None:
        if state is not None and state not in allowed:
            use = "complete" if state in TERMINAL_STATES else "update or request_cancel"
            raise InvalidInput(
                f"a task's state cannot be set to {state!r} here, only to one of {', '.join(allowed)}; use {use}",
                session_id=self.session_id,
            )

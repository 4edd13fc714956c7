"""The tasks of one open session, in this process."""

from __future__ import annotations

import asyncio
import builtins
import logging
import secrets
import weakref
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, get_args

from lash_hookspecs.errors import (
    InvalidInput,
    LashError,
    SessionDeleted,
    SessionError,
    SessionMissing,
    TaskError,
    TaskExists,
    TaskMissing,
)
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.protocols.tasks import CancelCallback, HiddenWork, TaskWork
from lash_hookspecs.records.store import Head
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
    TaskTransferred,
    TerminalState,
    bounded,
)

from lash_core.hosts.hidden_tasks import HiddenTasks
from lash_core.hosts.task_fold import judged
from lash_core.hosts.task_jobs import ExternalJob, Job, RunningJob, event_of
from lash_core.hosts.task_log import TaskLog
from lash_core.hosts.task_pool import TaskPool
from lash_core.hosts.task_readers import Reader

__all__ = ["LocalSessionTasks"]

logger = logging.getLogger("lash.tasks")

_LONGEST_ID = 200


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
        self._check(registration)
        await self._log.refresh()
        task_id = registration.task_id or f"{registration.kind}-{secrets.token_hex(4)}"
        known = self._log.records().get(task_id)
        before = judged(known, self._pool.pace.clock()) if known is not None else None
        events: list[TaskEvent] = []
        if known is not None and before is not None and known.live:
            if before.live:
                raise self._exists(before)
            events.append(self._event(TaskEnded, known, state="interrupted", reason=before.reason))
        record = self._record(task_id, registration, holder, before)
        await self._log.write(*events, self._event(TaskRegistered, record, record=record))
        winner = self._log.records().get(task_id)
        if winner is not None and winner.instance != record.instance:
            raise self._exists(winner)
        return record

    def _record(
        self, task_id: str, registration: TaskRegistration, holder: TaskHolder | None, before: TaskRecord | None
    ) -> TaskRecord:
        again = before if before is not None and before.state == "interrupted" else None
        instance = secrets.token_hex(8)
        now = self._pool.pace.clock()
        return TaskRecord(
            task_id=task_id,
            instance=instance,
            session_id=self.session_id,
            kind=registration.kind,
            producer=registration.producer,
            parent_task_id=registration.parent_task_id,
            child_session_id=registration.child_session_id,
            cancel_policy=registration.cancel_policy,
            close_policy=registration.close_policy,
            transfer_to=registration.transfer_to,
            attempt=again.attempt if again else 0,
            max_attempts=registration.max_attempts,
            idempotency_key=registration.idempotency_key or (again.idempotency_key if again else instance),
            created_at=now,
            updated_at=now,
            holder=holder,
        )

    def _check(self, registration: TaskRegistration) -> None:
        task_id = registration.task_id
        if task_id and (len(task_id) > _LONGEST_ID or not task_id.isprintable()):
            raise InvalidInput(
                f"{task_id[:40]!r} cannot be a task id: printable text of at most {_LONGEST_ID} characters",
                session_id=self.session_id,
            )
        if (registration.close_policy == "transfer") != (registration.transfer_to is not None):
            raise InvalidInput(
                f"transfer_to is given with close policy 'transfer' and with no other, not with "
                f"{registration.close_policy!r}",
                session_id=self.session_id,
            )

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
            waits = [
                asyncio.create_task(changed.wait()),
                asyncio.ensure_future(self._pool.pace.sleep(self._pool.pace.poll)),
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

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
        target = await self._target(to_session)
        live = [record for record in records if record.live]
        jobs = [job for record in live if (job := self._job_here(record))]
        async with AsyncExitStack() as still:
            for job in jobs:
                await still.enter_async_context(job.moving)
            moved = await self._move(live, target)
            for job in jobs:
                if job.record.task_id in moved:
                    job.record, job.log = job.record.evolve(session_id=to_session), target
        self._pool.watch(target)
        return [moved.get(record.task_id, record) for record in records]

    async def _move(self, live: Sequence[TaskRecord], target: TaskLog) -> dict[str, TaskRecord]:
        known = {record.task_id: record for record in target.listed()}
        for record in live:
            if record.task_id in known and known[record.task_id].live:
                raise self._exists(known[record.task_id])
        current = self._log.records()
        moved = {
            record.task_id: current[record.task_id].evolve(session_id=target.session_id)
            for record in live
            if record.task_id in current and current[record.task_id].live  # it may have ended meanwhile
        }
        if moved:
            await target.write(*(self._event(TaskRegistered, each, record=each) for each in moved.values()))
            gone = [self._event(TaskTransferred, record, to_session=target.session_id) for record in live]
            await self._log.write_anyway(*(each for each in gone if each.task_id in moved))
        return moved

    def _job_here(self, record: TaskRecord) -> Job | None:
        job = self._pool.jobs.get(record.instance)
        if job is None and record.holder is not None:
            raise TaskError(
                f"task {record.task_id!r} of session {self.session_id!r} runs in {record.holder.describe()}; only that "
                "process can transfer it",
                task_id=record.task_id,
                session_id=self.session_id,
            )
        return job

    async def _target(self, to_session: str) -> TaskLog:
        if self._database is None:
            raise SessionMissing(
                f"session {to_session!r} cannot be reached from here: the tasks of session {self.session_id!r} were "
                "attached without a database",
                session_id=to_session,
            )
        store = self._database.session(to_session)
        log = self._pool.shared_log(to_session, store, self._database)
        if not self._pool.is_attached(log) and not isinstance(await store.head(), Head):
            raise SessionMissing(f"session {to_session!r} does not exist; no task was moved", session_id=to_session)
        await log.refresh()
        return log

    # For the runtime

    async def flush(self) -> None:
        """Store what is not stored yet; to be called after a session's first commit."""
        await self._log.flush()

    async def wait_hidden(self) -> None:
        """Wait until no hidden task of this runtime is left, those that they start included."""
        await self._hidden.wait()

    async def close(self) -> None:
        """Apply the close policies to the live tasks that are this process's, and cancel hidden ones."""
        if self.closed:
            return
        await self.shut()
        try:
            await self._log.flush()
        except LashError as error:
            self._complain(error)
        await self._apply_close_policies()
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

    def _exists(self, record: TaskRecord) -> TaskExists:
        return TaskExists(
            f"session {record.session_id!r} has a task {record.task_id!r} already, and it is {record.state}",
            task_id=record.task_id,
            session_id=record.session_id,
        )

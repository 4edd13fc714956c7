"""`FakeTaskHost`: background tasks in memory, without a store and without waiting for a clock."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Sequence
from typing import Any, Self

import attrs

from lash_hookspecs.errors import InvalidInput, SessionError, SessionMissing, TaskExists, TaskMissing
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.protocols.tasks import CancelCallback, HiddenWork, TaskWork
from lash_hookspecs.records.tasks import (
    TERMINAL_STATES,
    CancelRequested,
    LiveState,
    TaskEnded,
    TaskEvent,
    TaskFilter,
    TaskProgress,
    TaskRecord,
    TaskRegistered,
    TaskRegistration,
    TaskStateChanged,
    TaskTransferred,
    TerminalState,
    bounded,
)

__all__ = ["FakeSubscription", "FakeTaskHost", "FakeTasks"]

_ALL = TaskFilter(include_terminal=True)


@attrs.define(eq=False)
class _Job:
    """A task: its record, and what runs for it; also the `TaskContext` of its work."""

    host: FakeTaskHost
    record: TaskRecord
    on_cancel: CancelCallback | None = None
    cancelled: asyncio.Event = attrs.field(factory=asyncio.Event)
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)
    running: asyncio.Task[None] | None = None

    @property
    def task_id(self) -> str:
        return self.record.task_id

    @property
    def session_id(self) -> str:
        return self.record.session_id

    @property
    def attempt(self) -> int:
        return self.record.attempt

    @property
    def idempotency_key(self) -> str:
        return self.record.idempotency_key

    def progress(self, text: str) -> None:
        self.become(TaskProgress, {"progress": bounded(text)}, text=bounded(text))

    async def mark(self, state: LiveState, reason: str | None = None) -> None:
        kept = self.record.state if self.record.state == "cancel_requested" else state
        self.become(TaskStateChanged, {"state": kept, "reason": reason}, state=state, reason=reason)

    def become(self, kind: type[Any], changes: dict[str, Any], **fields: Any) -> None:
        """Change the record, unless the task has ended, and tell the readers."""
        if self.record.live:
            self.record = self.record.evolve(**changes, updated_at=self.host.now())
            self.tell(kind, **fields)

    def end(self, state: TerminalState, **words: str | None) -> None:
        """End it; once."""
        told = {name: text and bounded(text) for name, text in words.items()}
        self.become(TaskEnded, {"state": state, **told, "completed_at": self.host.now()}, state=state, **told)
        self.ended.set()

    def tell(self, kind: type[Any], **fields: Any) -> None:
        record = self.record
        about = {"session_id": record.session_id, "task_id": record.task_id, "instance": record.instance}
        self.host.tell(kind(**about, at=record.updated_at, **fields), record)

    async def run(self, work: TaskWork) -> None:
        """Make attempts until one ends well, or none is left."""
        for attempt in range(1, self.record.max_attempts + 1):
            self.become(TaskStateChanged, {"attempt": attempt}, state="running", attempt=attempt)
            await self.mark("running")
            try:
                result = await work(self)
            except asyncio.CancelledError:
                asked = self.cancelled.is_set()
                self.end(
                    "cancelled" if asked else "interrupted", reason="cancelled" if asked else "the host was closed"
                )
                return
            except Exception as error:  # noqa: BLE001  whatever work raises is the task's failure
                failure = f"{type(error).__name__}: {error}"
                if self.cancelled.is_set() or attempt == self.record.max_attempts:
                    self.end("cancelled" if self.cancelled.is_set() else "failed", failure=failure)
                    return
            else:
                given = None if result is None else str(result)
                self.end("cancelled" if self.cancelled.is_set() else "completed", result=given)
                return

    async def stop(self, reason: str | None) -> None:
        """Ask it to stop, as its policy says; once."""
        if not self.record.live or self.cancelled.is_set():
            return
        self.become(CancelRequested, {"state": "cancel_requested", "reason": reason}, reason=reason)
        self.cancelled.set()
        if self.on_cancel is not None:
            await self.on_cancel(reason)
        if self.on_cancel is not None or self.record.cancel_policy == "abort":
            await self.abort()

    async def abort(self) -> None:
        """Cancel what runs for it, and wait for its end."""
        if self.running is not None and self.running is not asyncio.current_task():
            self.running.cancel()
            await asyncio.wait([self.running])
        if self.record.live and (self.running is None or self.running.done()):
            self.end("cancelled" if self.cancelled.is_set() else "interrupted")


@attrs.define(eq=False)
class FakeSubscription:
    """A `TaskSubscription` that loses nothing."""

    wanted: TaskFilter
    _events: asyncio.Queue[TaskEvent | None] = attrs.field(factory=asyncio.Queue, repr=False)
    closed: bool = False

    def hear(self, event: TaskEvent, record: TaskRecord) -> None:
        """Take an event, if it is one that is wanted."""
        theirs = self.wanted.session_id in (None, event.session_id) and self.wanted.kind in (None, record.kind)
        if theirs and not self.closed:
            self._events.put_nowait(event)

    def close(self) -> None:
        """End it."""
        if not self.closed:
            self.closed = True
            self._events.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskEvent:
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


@attrs.define(eq=False)
class FakeTaskHost:
    """A `TaskHost` of one process: tasks run here and are forgotten with it. Work that is asked to stop is given time.

    Attributes:
        name: The host's name.
    """

    name: str = "fake"
    _jobs: builtins.list[_Job] = attrs.field(factory=list, repr=False)
    _attached: dict[str, FakeTasks] = attrs.field(factory=dict, repr=False)
    _readers: builtins.list[FakeSubscription] = attrs.field(factory=list, repr=False)
    _now: int = 0

    def attach(self, session_id: str, store: SessionStore, *, database: StoreBackend | None = None) -> FakeTasks:
        """Open the tasks of a session; the store is left alone."""
        self._attached[session_id] = FakeTasks(self, session_id)
        return self._attached[session_id]

    def attached(self, session_id: str) -> FakeTasks:
        """Give the tasks of a session that is attached.

        Raises:
            SessionMissing: It is not attached here.
        """
        if session_id not in self._attached:
            raise SessionMissing(f"session {session_id!r} is not attached here", session_id=session_id)
        return self._attached[session_id]

    async def list(self, task_filter: TaskFilter | None = None) -> Sequence[TaskRecord]:
        """List the tasks of all attached sessions."""
        wanted = task_filter or TaskFilter()
        return [record for name in self._attached for record in self.of(name, wanted)]

    def subscribe(self, task_filter: TaskFilter | None = None) -> FakeSubscription:
        """Hear what happens from now on."""
        reader = FakeSubscription(task_filter or TaskFilter())
        self._readers.append(reader)
        return reader

    async def close(self) -> None:
        """Stop everything that runs here; it is interrupted."""
        for job in [job for job in self._jobs if job.running is not None]:
            await job.abort()
        for reader in self._readers:
            reader.close()

    def now(self) -> int:
        """Give a time later than the one before."""
        self._now += 1
        return self._now

    def tell(self, event: TaskEvent, record: TaskRecord) -> None:
        """Tell readers of an event."""
        for reader in self._readers:
            reader.hear(event, record)

    def of(self, session_id: str, wanted: TaskFilter) -> builtins.list[TaskRecord]:
        """Give records of a session: of tasks with one id, the newest."""
        newest = {job.task_id: job.record for job in self._jobs if job.session_id == session_id}
        return [
            record
            for record in newest.values()
            if (record.live or wanted.include_terminal)
            and wanted.kind in (None, record.kind)
            and wanted.session_id in (None, session_id)
        ]

    def find(self, session_id: str, task_id: str) -> _Job:
        """Find the newest task of an id.

        Raises:
            TaskMissing: There is none.
        """
        for job in reversed(self._jobs):
            if (job.session_id, job.task_id) == (session_id, task_id):
                return job
        raise TaskMissing(f"session {session_id!r} has no task {task_id!r}", task_id=task_id, session_id=session_id)

    def enter(self, session_id: str, registration: TaskRegistration, on_cancel: CancelCallback | None) -> _Job:
        """Record a task that begins.

        Raises:
            TaskExists: A live one has the id.
            InvalidInput: The registration contradicts itself.
        """
        if (registration.close_policy == "transfer") != (registration.transfer_to is not None):
            raise InvalidInput("transfer_to is given with close policy 'transfer' and with no other")
        number = len(self._jobs) + 1
        task_id = registration.task_id or f"{registration.kind}-{number}"
        if any(record.task_id == task_id and record.live for record in self.of(session_id, _ALL)):
            raise TaskExists(f"session {session_id!r} has a task {task_id!r} already", task_id=task_id)
        said = registration.model_dump(exclude={"task_id", "idempotency_key"})
        instance, now = f"instance-{number}", self.now()
        record = TaskRecord(
            **said,
            task_id=task_id,
            instance=instance,
            session_id=session_id,
            idempotency_key=registration.idempotency_key or instance,
            created_at=now,
            updated_at=now,
        )
        job = _Job(self, record, on_cancel)
        self._jobs.append(job)
        job.tell(TaskRegistered, record=record)
        return job


@attrs.define(eq=False)
class FakeTasks:
    """The `AttachedTasks` of a `FakeTaskHost`.

    Attributes:
        session_id: The session.
        closed: Whether nothing may be started any more.
        flushed: How often it was flushed.
    """

    _host: FakeTaskHost
    session_id: str
    closed: bool = False
    flushed: int = 0
    _hidden: set[asyncio.Task[object]] = attrs.field(factory=set, repr=False)

    async def start(
        self, registration: TaskRegistration, work: TaskWork, *, on_cancel: CancelCallback | None = None
    ) -> TaskRecord:
        """Run work, as a managed task."""
        self._refuse_closed()
        if (registration.cancel_policy == "external") != (on_cancel is not None):
            raise InvalidInput("on_cancel is given with cancel policy 'external' and with no other")
        job = self._host.enter(self.session_id, registration, on_cancel)
        begun = job.record
        job.running = asyncio.create_task(job.run(work))
        return begun

    def start_hidden(self, work: HiddenWork, *, name: str = "") -> None:
        """Run work that nobody lists."""
        self._refuse_closed()

        async def run() -> object:
            return await work()

        self._hidden.add(asyncio.create_task(run(), name=name or None))

    async def register(self, registration: TaskRegistration, *, on_cancel: CancelCallback | None = None) -> TaskRecord:
        """Record a task whose work is elsewhere."""
        self._refuse_closed()
        said = registration.evolve(cancel_policy="external") if on_cancel else registration
        return self._host.enter(self.session_id, said, on_cancel).record

    async def update(
        self, task_id: str, *, state: LiveState | None = None, progress: str | None = None, reason: str | None = None
    ) -> TaskRecord:
        """Say where a task stands."""
        job = self._find(task_id)
        if state not in (None, "pending", "running", "waiting"):
            raise InvalidInput(f"a task's state cannot be set to {state!r} here; use complete or request_cancel")
        if progress is not None:
            job.progress(progress)
        if state is not None:
            await job.mark(state, reason)
        return job.record

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
        job = self._find(task_id)
        if state not in TERMINAL_STATES:
            raise InvalidInput(f"a task's state cannot be set to {state!r} here; use update or request_cancel")
        job.end(state, result=result, failure=failure, reason=reason)
        return job.record

    async def request_cancel(self, task_id: str, reason: str | None = None) -> TaskRecord:
        """Ask for a task to stop; policies ``abort`` and ``external`` have stopped it when this returns."""
        job = self._find(task_id)
        await job.stop(reason)
        return job.record

    async def cancel_all(self, reason: str | None = None) -> Sequence[TaskRecord]:
        """Ask for every live task to stop."""
        return [await self.request_cancel(record.task_id, reason) for record in await self.list()]

    async def get(self, task_id: str) -> TaskRecord:
        """Give a task, ended or not."""
        return self._find(task_id).record

    async def list(self, task_filter: TaskFilter | None = None) -> Sequence[TaskRecord]:
        """List tasks in the order of registration."""
        return self._host.of(self.session_id, task_filter or TaskFilter())

    async def wait(self, task_id: str) -> TaskRecord:
        """Wait until a task has ended."""
        job = self._find(task_id)
        await job.ended.wait()
        return job.record

    async def transfer(self, task_ids: Sequence[str], to_session: str) -> builtins.list[TaskRecord]:
        """Give live tasks to another attached session; their work goes on."""
        jobs = [self._find(task_id) for task_id in task_ids]
        theirs = {record.task_id for record in self._host.attached(to_session)._live()}
        if to_session == self.session_id:
            return [job.record for job in jobs]
        for job in jobs:
            if job.record.live and job.task_id in theirs:
                raise TaskExists(f"session {to_session!r} has a task {job.task_id!r} already", task_id=job.task_id)
        for job in jobs:
            if job.record.live:
                job.tell(TaskTransferred, to_session=to_session)
                job.record = job.record.evolve(session_id=to_session)
        return [job.record for job in jobs]

    def subscribe(self, task_filter: TaskFilter | None = None) -> FakeSubscription:
        """Hear what happens to this session's tasks from now on."""
        return self._host.subscribe((task_filter or TaskFilter()).evolve(session_id=self.session_id))

    async def flush(self) -> None:
        """Count it."""
        self.flushed += 1

    async def wait_hidden(self) -> None:
        """Wait until no hidden task is left.

        Raises:
            ExceptionGroup: Some failed.
        """
        failed: builtins.list[Exception] = []
        while self._hidden:
            done, _ = await asyncio.wait(self._hidden)
            self._hidden -= done
            failed += [error for task in done if isinstance(error := _error_of(task), Exception)]
        if failed:
            raise ExceptionGroup(f"hidden tasks of session {self.session_id!r} failed", failed)

    async def detach(self) -> None:
        """Let go of them; hidden ones are cancelled."""
        self.closed = True
        for task in self._hidden:
            task.cancel()
        await asyncio.gather(*self._hidden, return_exceptions=True)
        self._hidden.clear()

    async def close(self, *, deleted: bool = False) -> None:
        """Apply the close policies; once."""
        if self.closed:
            return
        await self.detach()
        for record in self._live():
            job = self._find(record.task_id)
            if deleted or record.close_policy == "cancel":
                await job.stop("the session was closed")
                await job.abort()
            elif record.transfer_to is not None:
                await self.transfer([record.task_id], record.transfer_to)

    def _find(self, task_id: str) -> _Job:
        return self._host.find(self.session_id, task_id)

    def _live(self) -> builtins.list[TaskRecord]:
        return self._host.of(self.session_id, TaskFilter())

    def _refuse_closed(self) -> None:
        if self.closed:
            raise SessionError(f"the tasks of session {self.session_id!r} were closed", session_id=self.session_id)


def _error_of(task: asyncio.Task[object]) -> BaseException | None:
    return None if task.cancelled() else task.exception()

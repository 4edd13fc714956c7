"""Background tasks: who runs them, and what plugins, tools and the runtime may ask (H2).

Tasks belong to a session id, not to an open session: they are kept in the session's store, so another process lists
them, cancels them, and sees what became of them. A host runs the work of those that were started in its process.

Two kinds: *managed* tasks are listed, retried and cancelled by id; *hidden* ones are only waited for.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, runtime_checkable

from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.tasks import (
    Gap,
    LiveState,
    TaskEvent,
    TaskFilter,
    TaskRecord,
    TaskRegistration,
    TerminalState,
)

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "AttachedTasks",
    "CancelCallback",
    "HiddenWork",
    "SessionTasks",
    "TaskContext",
    "TaskHost",
    "TaskSubscription",
    "TaskWork",
]


@runtime_checkable
class TaskContext(Protocol):
    """What the work of a managed task gets."""

    @property
    def task_id(self) -> str:
        """The task."""
        ...

    @property
    def session_id(self) -> str:
        """The session that it belongs to at this moment."""
        ...

    @property
    def attempt(self) -> int:
        """The attempt, from 1."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt, in any process."""
        ...

    @property
    def cancelled(self) -> asyncio.Event:
        """Set when the task shall stop. Work of policy ``cooperative`` looks at it or waits for it."""
        ...

    def progress(self, text: str) -> None:
        """Say how far it is; free of cost, so each line of a log will do. Cut to `MAX_TEXT` characters."""
        ...

    async def mark(self, state: LiveState, reason: str | None = None) -> None:
        """Say that it waits, or runs again; nothing once it has ended."""
        ...


#: The work of a managed task: called once per attempt. What it returns is the task's result.
TaskWork: TypeAlias = Callable[[TaskContext], Awaitable[str | None]]

#: The work of a hidden task.
HiddenWork: TypeAlias = Callable[[], Awaitable[object]]

#: Stops work that is elsewhere; gets the reason. Called once.
CancelCallback: TypeAlias = Callable[[str | None], Awaitable[None]]


class TaskSubscription(Protocol):
    """Events as they happen, for ``async for``. Ends when it, its session's tasks or its host are closed.

    A reader that is too slow loses the oldest events and finds a `Gap` in their place; it never slows a task. Events of
    other processes arrive when this one reads the stream: at each call, and regularly while a task runs here.
    """

    def close(self) -> None:
        """End it; may be called twice."""
        ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> TaskEvent | Gap: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


class SessionTasks(Protocol):
    """The background tasks of one session. What plugins and tools get."""

    @property
    def session_id(self) -> str:
        """The session."""
        ...

    async def start(
        self, registration: TaskRegistration, work: TaskWork, *, on_cancel: CancelCallback | None = None
    ) -> TaskRecord:
        """Run work in this process, as a managed task.

        Args:
            registration: What is said of it.
            work: Called once per attempt. Its errors are the task's failure; they are raised nowhere.
            on_cancel: Needed by cancel policy ``external``, and by no other.

        Raises:
            TaskExists: A live task has the id.
            InvalidInput: The registration cannot be.
            SessionError: The session's tasks were closed.
            StoreError: It could not be recorded; nothing was started.
        """
        ...

    def start_hidden(self, work: HiddenWork, *, name: str = "") -> None:
        """Run work in this process that nobody lists; `AttachedTasks.wait_hidden` waits for it.

        Args:
            work: Called once; cancelled when the session is closed.
            name: For messages.

        Raises:
            SessionError: The session's tasks were closed.
        """
        ...

    async def register(self, registration: TaskRegistration, *, on_cancel: CancelCallback | None = None) -> TaskRecord:
        """Record a task whose work is elsewhere; whoever does it calls `update` and `complete`.

        Args:
            registration: What is said of it.
            on_cancel: Called once when it shall be cancelled; the task is ``cancelled`` when that returns. Without it
                the task stays ``cancel_requested`` until somebody completes it.

        Raises:
            TaskExists, InvalidInput, SessionError, StoreError: As `start`.
        """
        ...

    async def update(
        self,
        task_id: str,
        *,
        state: LiveState | None = None,
        progress: str | None = None,
        reason: str | None = None,
    ) -> TaskRecord:
        """Say where a task stands. One that has ended, and a request to cancel, stay as they are.

        Raises:
            TaskMissing: There is none of that id.
            InvalidInput: The state is not ``pending``, ``running`` or ``waiting``.
        """
        ...

    async def complete(
        self,
        task_id: str,
        state: TerminalState = "completed",
        *,
        result: str | None = None,
        failure: str | None = None,
        reason: str | None = None,
    ) -> TaskRecord:
        """Say that a task has ended. One that has ended already stays as it is.

        Raises:
            TaskMissing: There is none of that id.
            InvalidInput: The state is not a terminal one.
        """
        ...

    async def request_cancel(self, task_id: str, reason: str | None = None) -> TaskRecord:
        """Ask for a task to stop, wherever it runs; its cancel policy says how. One that has ended stays as it is.

        Raises:
            TaskMissing: There is none of that id.
        """
        ...

    async def cancel_all(self, reason: str | None = None) -> Sequence[TaskRecord]:
        """Ask for every live task to stop; those that were asked."""
        ...

    async def get(self, task_id: str) -> TaskRecord:
        """Give a task, ended or not.

        Raises:
            TaskMissing: There is none of that id, or its record was dropped: they are kept for a bounded time.
        """
        ...

    async def list(self, task_filter: TaskFilter | None = None) -> Sequence[TaskRecord]:
        """List tasks in the order of registration; only live ones unless the filter says otherwise."""
        ...

    async def wait(self, task_id: str) -> TaskRecord:
        """Wait until a task has ended, wherever it runs.

        Raises:
            TaskMissing: There is none of that id.
        """
        ...

    async def transfer(self, task_ids: Sequence[str], to_session: str) -> builtins.list[TaskRecord]:
        """Give live tasks to another session of the same store; their work goes on. Ended ones stay.

        To the same session, nothing changes.

        Raises:
            TaskMissing: There is none of an id; nothing was moved.
            TaskExists: The other session has a live one of an id; nothing was moved.
            TaskError: One runs in another process.
            SessionMissing: The other session is not there.
        """
        ...

    def subscribe(self, task_filter: TaskFilter | None = None) -> TaskSubscription:
        """Hear what happens to this session's tasks from now on."""
        ...


class AttachedTasks(SessionTasks, Protocol):
    """The tasks of a session that a runtime has open: what the runtime itself may ask besides."""

    async def flush(self) -> None:
        """Store what is not stored yet; to be called after a session's first commit.

        Before that commit there is no stream: records are kept in memory and are as visible here as others. What the
        store does not take now is logged and tried again.
        """
        ...

    async def wait_hidden(self) -> None:
        """Wait until no hidden task of this runtime is left, those that they start included.

        Raises:
            ExceptionGroup: Some failed since the last call; holds every error.
        """
        ...

    async def detach(self) -> None:
        """Let go of them and touch no task but hidden ones: the session could not be opened. May be called twice."""
        ...

    async def close(self, *, deleted: bool = False) -> None:
        """Apply the close policies to the live tasks that are this process's, and cancel hidden ones.

        What is kept runs on without the session being open. May be called twice; never fails, what goes wrong is
        logged.

        Args:
            deleted: The session was deleted: every task of it that runs here is cancelled, whatever its close policy.
        """
        ...


@runtime_checkable
class TaskHost(Protocol):
    """Where background tasks run; one for all sessions of a process."""

    @property
    def name(self) -> str:
        """The host's name."""
        ...

    def attach(self, session_id: str, store: SessionStore, *, database: StoreBackend | None = None) -> AttachedTasks:
        """Open the tasks of a session; touches nothing.

        Each call gives a scope of its own: hidden tasks belong to it.

        Args:
            session_id: The session.
            store: Its store.
            database: Where that comes from. Two attachments of one session in one database are one list, and tasks
                can be given to its other sessions.
        """
        ...

    def attached(self, session_id: str) -> SessionTasks:
        """Give the tasks of a session that is attached.

        Raises:
            SessionMissing: It is not attached here.
        """
        ...

    async def list(self, task_filter: TaskFilter | None = None) -> Sequence[TaskRecord]:
        """List the tasks of all attached sessions, or of the one that the filter names."""
        ...

    def subscribe(self, task_filter: TaskFilter | None = None) -> TaskSubscription:
        """Hear what happens to tasks of all attached sessions from now on."""
        ...

    async def close(self) -> None:
        """Stop everything that runs here; it is recorded as ``interrupted``. May be called twice.

        To be called before the store is closed.
        """
        ...

"""What a host does for one task, whatever kind of work it is; and at what pace."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs
from lash_hookspecs.records.tasks import TaskRecord, bounded

from lash_core.hosts.task_log import TaskLog

__all__ = ["Job", "Pace", "callback_failed", "default_retry_wait", "describe_error", "event_of"]


def default_retry_wait(attempt: int) -> float:
    """Seconds before the attempt after the given one: 1, 2, 4 …, at most 60."""
    return float(min(2 ** (attempt - 1), 60))


@attrs.frozen(kw_only=True)
class Pace:
    """The times of a host.

    Attributes:
        clock: Microseconds since 1970-01-01 UTC.
        sleep: Waits some seconds.
        poll: Seconds between two looks at a stream while a task of it runs here.
        grace: Seconds that a task which was asked to stop has before it is aborted.
        heartbeat: Seconds after which a silent task's process says that it lives.
        retry_wait: Seconds to wait after a failed attempt.
    """

    clock: Callable[[], int]
    sleep: Callable[[float], Awaitable[Any]]
    poll: float = 1.0
    grace: float = 10.0
    heartbeat: float = 60.0
    retry_wait: Callable[[int], float] = default_retry_wait


class Job(Protocol):
    """A task that this process answers for."""

    record: TaskRecord
    log: TaskLog
    moving: asyncio.Lock

    @property
    def runs_here(self) -> bool:
        """Whether its work is in this process."""
        ...

    def ask(self, reason: str | None) -> None:
        """Somebody wants it to stop."""
        ...

    def abandon(self) -> None:
        """It has ended by somebody else's word."""
        ...

    async def close(self, reason: str) -> None:
        """Stop it now; recorded as interrupted."""
        ...

    async def join(self) -> None:
        """Wait until it has ended, or until the callback that stops it has returned."""
        ...


def event_of(kind: type[Any], task: TaskRecord, clock: Callable[[], int], /, **fields: Any) -> Any:
    """Make an event about a task."""
    about = {"session_id": task.session_id, "task_id": task.task_id, "instance": task.instance}
    return kind(at=clock(), **about, **fields)


def describe_error(error: BaseException) -> str:
    """Give the type and the text of an error."""
    return bounded("".join(traceback.format_exception_only(error)).strip())


def callback_failed(error: Exception) -> str:
    """Say why a task that shall be cancelled is not."""
    return bounded(f"its cancel callback failed: {describe_error(error)}")

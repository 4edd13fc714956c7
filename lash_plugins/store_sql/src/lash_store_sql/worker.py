"""One thread that owns one connection: every unit of work is one hop to it and runs to its end there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import attrs
from lash_hookspecs.errors import StoreBusy, StoreError

from lash_store_sql.faults import is_transient, translate
from lash_store_sql.rows import RowError
from lash_store_sql.sqlite_connection import SqliteConnection

__all__ = ["Job", "Unit", "Worker", "settle"]

T = TypeVar("T")

#: Works on the connection, in one transaction of its own; may be called again after a rollback.
Unit = Callable[[SqliteConnection], T]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02


@attrs.define
class Job:
    """A unit of work, and who waits for it.

    Attributes:
        unit: What to do.
        row: What it reads or writes, for messages.
        session_id: Whose that is.
        deadline: When contention is no longer waited out, by the monotonic clock.
        loop: Where the waiter is.
        future: What it waits for; a cancelled one is left out if it has not begun.
    """

    unit: Unit[Any]
    row: str
    session_id: str | None
    deadline: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Worker:
    """Runs units of work on a connection, one after the other.

    Args:
        path: The database's file, for messages.
        connect: Makes the connection; called in the thread, before the first unit.
        timeout: Seconds for which contention is waited out.
        name: The thread's name.
    """

    def __init__(self, path: Path, connect: Callable[[], SqliteConnection], *, timeout: float, name: str) -> None:
        self._path = path
        self._connect = connect
        self._timeout = timeout
        self._pid = os.getpid()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: SqliteConnection | None = None
        self._closed = False
        self._ended: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    async def run(self, unit: Unit[T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work in the thread.

        Cancelling the caller lets a unit that has begun run to its end; one that has not is left out.

        Args:
            unit: What to do.
            row: What it reads or writes, for messages.
            session_id: Whose that is.
        """
        self.check_usable()
        job = self._job(unit, row, session_id)
        self._jobs.put(job)
        found: T = await job.future
        return found

    async def close(self) -> None:
        """Finish what was begun, close the connection and end the thread."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._ended = lambda: loop.call_soon_threadsafe(settle, ended, None, None)
        self._end()
        await asyncio.shield(ended)

    def check_usable(self) -> None:
        """Refuse work once it was closed, and in another process than the one that opened it.

        Raises:
            StoreError: One of the two.
        """
        if self._pid != os.getpid():
            raise StoreError(
                f"{self._path}: the store was opened by process {self._pid} and is used by process {os.getpid()}: "
                "open it again after a fork"
            )
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")

    def _job(self, unit: Unit[Any], row: str, session_id: str | None) -> Job:
        loop = asyncio.get_running_loop()
        return Job(unit, row, session_id, time.monotonic() + self._timeout, loop, loop.create_future())

    def _end(self) -> None:
        """Let the thread end behind what waits already."""
        self._jobs.put(None)

    def _live(self) -> None:
        self._work()
        if self._connection is not None:
            self._connection.close()
            if self._connection.turns is not None:
                self._connection.turns.close()
        with contextlib.suppress(RuntimeError):
            self._ended()

    def _work(self) -> None:
        """Do what comes until the end."""
        while (job := self._jobs.get()) is not None:
            if not job.future.cancelled():
                self._do(job)
            del job

    def _do(self, job: Job) -> None:
        result, error = self._outcome(job)
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody waits
            job.loop.call_soon_threadsafe(settle, job.future, result, error)

    def _outcome(self, job: Job) -> tuple[Any, BaseException | None]:
        """Run a job's unit in a transaction of its own; give its result, or its error."""
        try:
            return self._attempt(job), None
        except BaseException as raised:  # noqa: BLE001  whatever it is, the caller shall have it
            return None, raised

    def _attempt(self, job: Job) -> Any:
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._once(job, job.deadline - time.monotonic())
            except sqlite3.Error as error:
                if time.monotonic() + pause >= job.deadline:
                    raise self._busy(error) from error
            pause = self._pause(pause)

    def _pause(self, pause: float) -> float:
        """Wait for another process, and give how long the next wait is."""
        import random

        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  only spreads the tries
        return min(2 * pause, _LONGEST_PAUSE)

    def _busy(self, error: sqlite3.Error) -> StoreBusy:
        return StoreBusy(
            f"{self._path} was busy for {self._timeout:g} s: another process is writing; try again", retry_after=1.0
        )

    def _once(self, job: Job, patience: float) -> Any:
        """Run the unit; a transient error comes out as it is, any other translated."""
        try:
            connection = self._connected()
            connection.patience = patience
            return job.unit(connection)
        except (sqlite3.Error, RowError, UnicodeEncodeError, OverflowError) as error:
            if isinstance(error, sqlite3.Error) and is_transient(error):
                raise
            raise translate(error, self._path, job.row, job.session_id) from error
        finally:
            self._roll_back()

    def _connected(self) -> SqliteConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _roll_back(self) -> None:
        """End a transaction that is still open."""
        if self._connection is None:
            return
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        self._connection.leave()


def settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Give a waiter its outcome, unless it has gone; in its own loop."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

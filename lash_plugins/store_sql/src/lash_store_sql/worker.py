"""One thread that owns one connection: every unit of work is one hop to it and runs to its end there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from lash_hookspecs.errors import StoreBusy, StoreError

from lash_store_sql.faults import is_transient, translate
from lash_store_sql.rows import RowError
from lash_store_sql.sqlite_connection import SqliteConnection

__all__ = ["Unit", "Worker"]

T = TypeVar("T")

#: Works on the connection, in one transaction of its own; may be called again after a rollback.
Unit = Callable[[SqliteConnection], T]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Unit[Any], str, str | None, float]


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
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._connection: SqliteConnection | None = None
        self._closed = False
        self._ended: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, unit: Unit[T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work in the thread.

        Cancelling the caller lets a unit that has begun run to its end; one that has not is left out.

        Args:
            unit: What to do.
            row: What it reads or writes, for messages.
            session_id: Whose that is.
        """
        self._check_process()
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, future, unit, row, session_id, time.monotonic() + self._timeout))
        return await future

    async def close(self) -> None:
        """Finish what was begun, close the connection and end the thread."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._ended = lambda: loop.call_soon_threadsafe(_settle, ended, None, None)
        self._jobs.put(None)
        await asyncio.shield(ended)

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise StoreError(
                f"{self._path}: the store was opened by process {self._pid} and is used by process {os.getpid()}: "
                "open it again after a fork"
            )

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, unit, row, session_id, deadline = job
            if future.cancelled():
                continue
            try:
                result, error = self._attempt(unit, row, session_id, deadline), None
            except BaseException as raised:  # noqa: BLE001  whatever it is, the caller shall have it
                result, error = None, raised
            with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody waits
                loop.call_soon_threadsafe(_settle, future, result, error)
            del job, loop, future, unit, result, error
        if self._connection is not None:
            self._connection.close()
        with contextlib.suppress(RuntimeError):
            self._ended()

    def _attempt(self, unit: Unit[T], row: str, session_id: str | None, deadline: float) -> T:
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._once(unit, row, session_id)
            except sqlite3.Error as error:
                if time.monotonic() + pause >= deadline:
                    raise StoreBusy(
                        f"{self._path} was busy for {self._timeout:g} s: another process is writing; try again",
                        retry_after=1.0,
                    ) from error
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  only spreads the tries
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _once(self, unit: Unit[T], row: str, session_id: str | None) -> T:
        """Run the unit; a transient error comes out as it is, any other translated."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            return unit(self._connection)
        except (sqlite3.Error, RowError, UnicodeEncodeError, OverflowError) as error:
            if isinstance(error, sqlite3.Error) and is_transient(error):
                raise
            raise translate(error, self._path, row, session_id) from error
        finally:
            if self._connection is not None and self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

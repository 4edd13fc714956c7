"""Threads that run units of work, each on a connection that it takes for as long.

The pool is our own and small: a wrong password is told by the first connection and not by a timeout, and a
connection that was lost is replaced by the unit that noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import attrs
import psycopg
from lash_hookspecs.errors import StoreBusy, StoreError, StoreUnavailable

from lash_store_sql.postgres.connection import PostgresConnection, connect
from lash_store_sql.postgres.faults import comes_soon, is_refusal, is_transient, told, translate
from lash_store_sql.postgres.url import Location
from lash_store_sql.rows import RowError

__all__ = ["Pool", "Unit"]

T = TypeVar("T")

#: Works on the connection, in one transaction of its own; may be called again after a rollback or a lost connection.
Unit = Callable[[PostgresConnection], T]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.25
#: Seconds after which a connection that nobody needed is closed.
_IDLE = 300.0


@attrs.frozen
class _Job(Generic[T]):
    """A unit of work, and how it is to be run; see `Pool.run`."""

    unit: Unit[T]
    row: str
    session_id: str | None
    writes: bool
    patient: bool
    deadline: float


class Pool:
    """Runs units of work side by side.

    Args:
        location: The database.
        prepare: Called with each new connection, before its first unit.
    """

    def __init__(self, location: Location, prepare: Callable[[PostgresConnection], None]) -> None:
        self._location = location
        self._prepare = prepare
        self._pid = os.getpid()
        self._threads = ThreadPoolExecutor(location.pool_size, thread_name_prefix="lash-postgres")
        self._lock = threading.Lock()
        self._idle: list[tuple[float, PostgresConnection]] = []
        self._closed = False

    async def run(
        self,
        unit: Unit[T],
        row: str,
        session_id: str | None = None,
        *,
        writes: bool = False,
        patient: bool = True,
    ) -> T:
        """Run a unit of work in a thread.

        Cancelling the caller lets a unit that has begun run to its end; one that has not is left out.

        Args:
            unit: What to do.
            row: What it reads or writes, for messages.
            session_id: Whose that is.
            writes: Whether a connection that is lost leaves open what became of it.
            patient: Whether a server that cannot be reached is waited for.
        """
        self._check_process()
        if self._closed:
            raise StoreError(f"{self._location.url}: the store is closed")
        job = _Job(unit, row, session_id, writes, patient, time.monotonic() + self._location.timeout)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, job)

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        await asyncio.shield(asyncio.to_thread(self._end))

    def _end(self) -> None:
        self._threads.shutdown(wait=True)
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise StoreError(
                f"{self._location.url}: the store was opened by process {self._pid} and is used by process "
                f"{os.getpid()}: open it again after a fork"
            )

    def _work(self, job: _Job[T]) -> T:
        """Try until it is done, or the time is up; a unit whose connection was lost finds what it did before."""
        pause, uncertain = _FIRST_PAUSE, False
        while True:
            connection = None
            try:
                connection = self._take(job)
                return self._once(connection, job)
            except psycopg.Error as error:
                lost = connection is not None and connection.closed
                uncertain = uncertain or (lost and job.writes)
                if lost:
                    self._drop_idle()
                if time.monotonic() + pause >= job.deadline:
                    raise self._overdue(error, job, lost or connection is None, uncertain) from error
            finally:
                if connection is not None:
                    self._give_back(connection)
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  only spreads the tries
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _once(self, connection: PostgresConnection, job: _Job[T]) -> T:
        """Run the unit; what is worth another try comes out as it is, any other error translated."""
        try:
            return job.unit(connection)
        except (psycopg.Error, RowError, UnicodeError, OverflowError) as error:
            if isinstance(error, psycopg.Error) and (connection.closed or is_transient(error)):
                raise
            raise translate(error, self._location, job.row, job.session_id) from error

    def _overdue(self, error: psycopg.Error, job: _Job[Any], away: bool, uncertain: bool) -> StoreError:
        url, waited = self._location.url, self._location.timeout
        text = told(error, self._location)
        if not away:
            return StoreBusy(f"{url} was busy for {waited:g} s: {text}; try again", retry_after=1.0)
        fate = f"; the {job.row} that was sent may or may not be stored: send it again to learn which"
        return StoreUnavailable(f"{url} could not be reached for {waited:g} s: {text}{fate if uncertain else ''}")

    def _take(self, job: _Job[Any]) -> PostgresConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()[1]
        try:
            connection = connect(self._location)
        except psycopg.Error as error:
            if is_refusal(error) or not (job.patient or comes_soon(error)):
                raise translate(error, self._location, job.row, job.session_id) from error
            raise
        try:
            self._prepare(connection)
        except BaseException as error:
            lost = connection.closed
            connection.close()
            if isinstance(error, psycopg.Error) and not lost and not is_transient(error):
                raise translate(error, self._location, "the schema", None) from error
            raise
        return connection

    def _drop_idle(self) -> None:
        """Close what most likely went the same way."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _give_back(self, connection: PostgresConnection) -> None:
        """Keep a connection that is well, for who comes next; the one used last is used first."""
        with contextlib.suppress(psycopg.Error):
            if not connection.closed and connection.in_transaction:
                connection.rollback()
        now = time.monotonic()
        with self._lock:
            if not connection.closed and not connection.in_transaction:
                self._idle.append((now, connection))
            else:
                connection.close()
            while self._idle and self._idle[0][0] < now - _IDLE:
                self._idle.pop(0)[1].close()

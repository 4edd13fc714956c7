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
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import attrs
import psycopg
from lash_hookspecs.errors import StoreBusy, StoreError, StoreUnavailable
from psycopg.pq.abc import PGresult

from lash_store_sql.postgres.connection import PostgresConnection, connect
from lash_store_sql.postgres.faults import comes_soon, is_refusal, is_transient, told, translate
from lash_store_sql.postgres.flight import ask, finish
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
    uncertain: bool


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
        self._slots = threading.Semaphore(location.pool_size)
        #: Session → what its cancelled callers have left running.
        self._left: dict[str | None, set[Future[Any]]] = {}
        self._closed = False

    async def run(
        self,
        unit: Unit[T],
        row: str,
        session_id: str | None = None,
        *,
        writes: bool = False,
        patient: bool = True,
        deadline: float | None = None,
        uncertain: bool = False,
    ) -> T:
        """Run a unit of work in a thread.

        Cancelling the caller lets a unit that has begun run to its end; one that has not is left out. What follows of
        the same session waits for that end, so that it sees what became of it.

        Args:
            unit: What to do.
            row: What it reads or writes, for messages.
            session_id: Whose that is.
            writes: Whether a connection that is lost leaves open what became of it.
            patient: Whether a server that cannot be reached is waited for.
            deadline: When it is given up, by the monotonic clock; by default `deadline`.
            uncertain: Whether it was sent once already, and nobody knows what became of that.
        """
        self._check_open()
        job = _Job(unit, row, session_id, writes, patient, deadline or self.deadline, uncertain)
        await self._settle(session_id)
        future = self._threads.submit(self._work, job)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel():
                self._leave(session_id, future)
            raise

    @property
    def deadline(self) -> float:
        """When a unit that begins now is given up, by the monotonic clock."""
        return time.monotonic() + self._location.timeout

    async def ask(
        self, statement: str, values: Sequence[Any], row: str, session_id: str, deadline: float
    ) -> PGresult | None:
        """Run one of our statements without a thread, on a connection that is free.

        Cancelling the caller lets it run to its end, as in `run`.

        Returns:
            Its result; ``None`` if it failed on the server, or was not tried since no connection is free.

        Raises:
            psycopg.OperationalError: The connection was lost; it may have been done.
            StoreUnavailable: Likewise, and the time is up.
            UnicodeError, OverflowError: A value cannot be stored.
        """
        self._check_open()
        await self._settle(session_id)
        connection = self._take_idle()
        if connection is None:
            return None
        try:
            result = await ask(connection, statement, values)
        except asyncio.CancelledError:
            self._abandon(connection, session_id)
            raise
        except psycopg.OperationalError as error:
            self._give_back(connection)
            self._drop_idle()
            if time.monotonic() + _FIRST_PAUSE >= deadline:
                raise self._overdue(error, row, True, True) from error
            raise
        except BaseException:
            self._give_back(connection)
            raise
        self._give_back(connection)
        return result

    async def _settle(self, session_id: str | None) -> None:
        """Wait for what cancelled callers of a session have left running, as long as for a server that is away."""
        left = self._left.get(session_id) if session_id is not None else None
        if left:
            waiting = [asyncio.wrap_future(future) for future in left]
            ended, _ = await asyncio.wait(waiting, timeout=self._location.timeout)
            for future in ended:
                future.exception()  # nobody asks for it any more

    def _leave(self, session_id: str | None, future: Future[Any]) -> None:
        left = self._left.setdefault(session_id, set())
        left.add(future)
        loop = asyncio.get_running_loop()

        def forget() -> None:
            left.discard(future)
            if not left and self._left.get(session_id) is left:
                del self._left[session_id]

        def ended(_: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(forget)

        future.add_done_callback(ended)

    def _abandon(self, connection: PostgresConnection, session_id: str) -> None:
        try:
            self._leave(session_id, self._threads.submit(self._finish, connection))
        except RuntimeError:  # the store is being closed
            connection.close()
            self._give_back(connection)

    def _finish(self, connection: PostgresConnection) -> None:
        """Wait for what nobody waits for any more."""
        with contextlib.suppress(psycopg.Error):
            finish(connection)
        self._give_back(connection)

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        await asyncio.shield(asyncio.to_thread(self._end))

    def _end(self) -> None:
        self._threads.shutdown(wait=True)
        for _ in range(self._location.pool_size):
            self._slots.acquire(timeout=self._location.timeout)
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    def _check_open(self) -> None:
        if self._pid != os.getpid():
            raise StoreError(
                f"{self._location.url}: the store was opened by process {self._pid} and is used by process "
                f"{os.getpid()}: open it again after a fork"
            )
        if self._closed:
            raise StoreError(f"{self._location.url}: the store is closed")

    def _work(self, job: _Job[T]) -> T:
        """Try until it is done, or the time is up; a unit whose connection was lost finds what it did before."""
        pause, uncertain = _FIRST_PAUSE, job.uncertain
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
                    raise self._overdue(error, job.row, lost or connection is None, uncertain) from error
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

    def _overdue(self, error: psycopg.Error, row: str, away: bool, uncertain: bool) -> StoreError:
        url, waited = self._location.url, self._location.timeout
        text = told(error, self._location)
        if not away:
            return StoreBusy(f"{url} was busy for {waited:g} s: {text}; try again", retry_after=1.0)
        fate = f"; the {row} that was sent may or may not be stored: send it again to learn which"
        return StoreUnavailable(f"{url} could not be reached for {waited:g} s: {text}{fate if uncertain else ''}")

    def _take_idle(self) -> PostgresConnection | None:
        if not self._slots.acquire(blocking=False):
            return None
        with self._lock:
            if self._idle:
                return self._idle.pop()[1]
        self._slots.release()
        return None

    def _take(self, job: _Job[Any]) -> PostgresConnection:
        if not self._slots.acquire(timeout=max(0.0, job.deadline - time.monotonic())):
            url, waited = self._location.url, self._location.timeout
            raise StoreBusy(f"{url} had no free connection for {waited:g} s; try again", retry_after=1.0)
        with self._lock:
            if self._idle:
                return self._idle.pop()[1]
        try:
            return self._connect(job)
        except BaseException:
            self._slots.release()
            raise

    def _connect(self, job: _Job[Any]) -> PostgresConnection:
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
            if not connection.closed and not connection.in_transaction and not self._closed:
                self._idle.append((now, connection))
            else:
                connection.close()
            while self._idle and self._idle[0][0] < now - _IDLE:
                self._idle.pop(0)[1].close()
        self._slots.release()

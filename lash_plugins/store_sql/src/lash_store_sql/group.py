"""The writer of a file: what waits at the same moment shares a transaction, hence one fsync.

Jobs are done in the order in which they came, so a session's are, too. Each has its own outcome, told when the
transaction is durable. A job that fails before it has written anything spoils nothing; when one fails later, or the
transaction as a whole does (no space, an I/O error), all of it is rolled back and the jobs are done one by one.

A job that comes alone, small, while nothing else waits, is done on the event loop at once: a hop to the thread and back
would cost more than the transaction's own work. The loop waits for the disk then, so that is done only while commits
are measured to be short; else, and with whatever else there is to do, the thread does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from lash_store_sql.faults import is_transient
from lash_store_sql.sqlite_connection import SqliteConnection
from lash_store_sql.worker import Job, Unit, Worker, settle

__all__ = ["GroupWriter"]

T = TypeVar("T")

#: The most jobs, and the most bytes, of one transaction.
_MOST, _MOST_BYTES = 64, 4 * 1024 * 1024
#: The most bytes that are written on the event loop.
_SMALL = 64 * 1024
#: Seconds that a transaction may take, by the mean of the last ones, for the event loop to wait for the next one.
_SHORT = 0.002
#: How much the newest transaction counts in that mean.
_WEIGHT = 0.2

Outcome = tuple[Any, BaseException | None]


class _ApartError(Exception):
    """Jobs cannot share a transaction: one of them failed behind something that it had written."""


@attrs.define
class _Write(Job):
    """A job that writes.

    Attributes:
        shares: Whether it may share a transaction.
        size: About how many bytes it writes.
    """

    shares: bool = False
    size: int = 0


class GroupWriter(Worker):
    """Runs units that write. One of them at a time has the connection: the thread, or an event loop."""

    def __init__(self, path: Path, connect: Callable[[], SqliteConnection], *, timeout: float, name: str) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Write] = deque()
        self._wake = threading.Semaphore(0)
        self._working = False
        self._flushing: asyncio.AbstractEventLoop | None = None
        self._last: str | None = None
        #: Session → what its cancelled callers have left running.
        self._left: dict[str | None, set[asyncio.Future[Any]]] = {}
        #: Seconds that a transaction takes; nobody knows before the first.
        self._mean = 0.0
        super().__init__(path, connect, timeout=timeout, name=name)

    async def run(self, unit: Unit[T], row: str, session_id: str | None = None) -> T:
        """Run a unit in a transaction of its own, in the thread; see `Worker.run`."""
        self.check_usable()
        job = self._write(unit, row, session_id)
        self._put(job)
        self._wake.release()
        found: T = await self._answer(job)
        return found

    async def share(self, unit: Unit[T], row: str, session_id: str, size: int) -> T:
        """Run a unit that may share a transaction with others.

        Cancelling the caller lets a unit that has begun run to its end; one that has not is left out. Reads of the
        same session wait for that end (`settle`).

        Args:
            unit: What to do: one ``begin_write``, and a ``commit`` at its end if it wrote anything.
            row: What it writes, for messages.
            session_id: Whose that is.
            size: About how many bytes it writes.
        """
        self.check_usable()
        job = self._write(unit, row, session_id, shares=True, size=size)
        # One session alone need not look whether others come; several would each pay for an fsync of their own.
        alone, self._last = session_id == self._last, session_id
        if not (alone and self._done_at_once([job])):
            self._put(job)
            self._look_around(job.loop)
        found: T = await self._answer(job)
        return found

    async def settle(self, session_id: str | None) -> None:
        """Wait for what cancelled callers of a session have left running, so that a read sees what became of it."""
        if not self._left:
            return
        loop = asyncio.get_running_loop()
        with self._lock:
            left = [each for each in self._left.get(session_id, ()) if each.get_loop() is loop]
        if left:
            await asyncio.wait(left)

    async def _answer(self, job: _Write) -> Any:
        if not job.future.done():
            try:
                await asyncio.shield(job.future)
            except asyncio.CancelledError:
                self._leave(job)
                raise
        return job.future.result()

    def _leave(self, job: _Write) -> None:
        """Leave out the job of a caller that was cancelled, or remember that it is running."""
        with self._lock:
            if any(each is job for each in self._waiting):
                job.future.cancel()
            if job.future.done():
                return
            self._left.setdefault(job.session_id, set()).add(job.future)
        job.future.add_done_callback(partial(self._forget, job.session_id))

    def _forget(self, session_id: str | None, future: asyncio.Future[Any]) -> None:
        with self._lock:
            left = self._left[session_id]
            left.discard(future)
            if not left:
                del self._left[session_id]

    def _write(
        self, unit: Unit[Any], row: str, session_id: str | None, *, shares: bool = False, size: int = 0
    ) -> _Write:
        loop, deadline = asyncio.get_running_loop(), time.monotonic() + self._timeout
        return _Write(unit, row, session_id, deadline, loop, loop.create_future(), shares, size)

    def _put(self, job: _Write) -> None:
        with self._lock:
            self._waiting.append(job)

    def _look_around(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let whoever is ready in this round of the loop put what he has, then do all of it."""
        if self._flushing is None or self._flushing.is_closed():
            self._flushing = loop
            loop.call_soon(self._flush)
        elif self._flushing is not loop:  # that loop may have stopped
            self._wake.release()

    def _flush(self) -> None:
        self._flushing = None
        if not self._done_at_once(None):
            self._wake.release()

    def _done_at_once(self, jobs: Sequence[_Write] | None) -> bool:
        """Do jobs, or those that wait, on this event loop, if nothing stands against it."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._working or self._connection is None or self._mean > _SHORT or (jobs and self._waiting):
                return False
            if jobs is None:
                if not self._waiting:
                    return True
                own = all(job.loop is loop and job.shares for job in self._waiting)
                if not own or sum(job.size for job in self._waiting) > _SMALL or len(self._waiting) > _MOST:
                    return False
                jobs = self._take()
                if not jobs:
                    return True
            elif sum(job.size for job in jobs) > _SMALL:
                return False
            self._working = True
        try:
            outcomes = self._tried(jobs)
        except BaseException as error:
            outcomes = [(None, error)] * len(jobs)
            raise
        finally:
            with self._lock:
                self._working = False
                if outcomes is None:  # somebody else is writing: the thread waits for him
                    self._waiting.extendleft(reversed(jobs))
                more = self._closed or bool(self._waiting)
            if more:
                self._wake.release()
            _settle_all(list(zip(jobs, outcomes or (), strict=False)))
        return True

    def _tried(self, jobs: Sequence[_Write]) -> list[Outcome] | None:
        """Do jobs without waiting for anybody; ``None`` when somebody else holds the file."""
        try:
            if len(jobs) == 1:
                return [self._timed(partial(self._first_try, jobs[0]))]
            return self._timed(partial(self._together, jobs, 0.0))
        except _ApartError:
            return None
        except sqlite3.Error as error:
            if not is_transient(error):
                raise
            return None

    def _first_try(self, job: _Write) -> Outcome:
        try:
            return self._once(job, 0.0), None
        except sqlite3.Error:  # a transient one
            raise
        except BaseException as raised:  # noqa: BLE001  whatever it is, the caller shall have it
            return None, raised

    def _end(self) -> None:
        self._wake.release()

    def _work(self) -> None:
        while True:
            self._wake.acquire()
            while jobs := self._claimed():
                try:
                    outcomes = self._done(jobs)
                except BaseException as error:  # noqa: BLE001  a fault of this class: its callers are told, and not left waiting
                    outcomes = [(None, error)] * len(jobs)
                with self._lock:
                    self._working = False
                self._tell(jobs, outcomes)
            with self._lock:
                if self._closed and not self._waiting and not self._working:
                    return

    def _claimed(self) -> list[_Write]:
        """Take what can be done together, unless somebody is at work: he wakes the thread when he is done."""
        with self._lock:
            if self._working:
                return []
            jobs = self._take()
            self._working = bool(jobs)
            return jobs

    def _take(self) -> list[_Write]:
        """Take the next jobs that may share a transaction, or the next one; with the lock held."""
        jobs: list[_Write] = []
        size = 0
        while self._waiting and len(jobs) < _MOST:
            job = self._waiting[0]
            if jobs and not (jobs[0].shares and job.shares and size + job.size <= _MOST_BYTES):
                break
            self._waiting.popleft()
            if not job.future.cancelled():
                jobs.append(job)
                size += job.size
        return jobs

    def _done(self, jobs: Sequence[_Write]) -> list[Outcome]:
        """Do jobs in the thread, waiting for other processes."""
        if len(jobs) > 1:
            with contextlib.suppress(_ApartError):
                return self._waited(jobs)
        return [self._timed(partial(self._outcome, job)) for job in jobs]

    def _waited(self, jobs: Sequence[_Write]) -> list[Outcome]:
        pause, deadline = 0.0, min(job.deadline for job in jobs)
        while True:
            try:
                return self._timed(partial(self._together, jobs, deadline - time.monotonic()))
            except sqlite3.Error as error:
                if not is_transient(error) or time.monotonic() + pause >= deadline:
                    raise _ApartError from error
            pause = self._pause(pause)

    def _together(self, jobs: Sequence[_Write], patience: float) -> list[Outcome]:
        """Do jobs in one transaction, for whose turn other processes are waited for so long.

        Raises:
            _ApartError: One failed behind something that it had written, or the transaction did; nothing is stored.
            sqlite3.Error: A transient one; nothing is stored.
        """
        connection = self._connected()
        connection.patience = patience
        try:
            connection.begin_shared()
            outcomes = [self._outcome_among(connection, job) for job in jobs]
            connection.commit_shared()
        except sqlite3.Error as error:
            if is_transient(error):
                raise
            raise _ApartError from error
        finally:
            connection.shared = False
            self._roll_back()
        return outcomes

    def _outcome_among(self, connection: SqliteConnection, job: _Write) -> Outcome:
        before, connection.kept = connection.total_changes, False
        try:
            result = job.unit(connection)
        except sqlite3.Error:
            raise
        except BaseException as error:  # whatever it is: its caller is told, and no neighbour
            if connection.total_changes != before or not connection.in_transaction:
                raise _ApartError from error
            return None, error
        if not connection.in_transaction or (connection.total_changes != before and not connection.kept):
            raise _ApartError
        return result, None

    def _timed(self, work: Callable[[], T]) -> T:
        begin = time.perf_counter()
        try:
            return work()
        finally:
            self._mean += _WEIGHT * (time.perf_counter() - begin - self._mean)

    def _tell(self, jobs: Sequence[_Write], outcomes: Sequence[Outcome]) -> None:
        """Give the waiters their outcomes: one message to each event loop."""
        told: dict[asyncio.AbstractEventLoop, list[tuple[_Write, Outcome]]] = {}
        for job, outcome in zip(jobs, outcomes, strict=True):
            told.setdefault(job.loop, []).append((job, outcome))
        for loop, pairs in told.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_settle_all, pairs)


def _settle_all(pairs: Sequence[tuple[_Write, Outcome]]) -> None:
    for job, outcome in pairs:
        settle(job.future, *outcome)

"""A connection to a SQLite file, as units of work see it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

from lash_store_sql import rows, statements
from lash_store_sql.connection import Name
from lash_store_sql.turns import Turns

__all__ = ["SqliteConnection"]


#: Seconds after which a turn that does not come is done without, and for which none is waited for then.
_PATIENCE, _WITHOUT = 0.5, 5.0


class SqliteConnection(sqlite3.Connection):
    """A `lash_store_sql.connection.Connection` to a SQLite file.

    Attributes:
        clock: Judges when leases expire, in seconds.
        shared: Whether a transaction that several units share is open: theirs begin and end with it.
        kept: Whether the unit that runs in it has committed.
        turns: The queue of the processes that write; ``None`` for a connection that only reads.
        patience: Seconds for which the turn is waited for.
        pack: Compresses payloads and commit documents, if they are stored so; see `lash_store_sql.packing`.
    """

    sql: ClassVar[ModuleType] = statements
    clock: Callable[[], float] = staticmethod(time.time)
    pack_id = staticmethod(rows.pack_id)
    shared = False
    kept = False
    turns: Turns | None = None
    patience = 0.0
    pack: Callable[[bytes], bytes] | None = None
    _without_until = 0.0

    def begin_read(self) -> None:
        """Begin a transaction that reads."""
        self.execute("BEGIN")

    def begin_write(self, name: Name | None = None) -> None:
        """Begin a transaction that writes, and wait for its turn at once rather than at its first write."""
        if not self.shared:
            self._begin()

    def commit(self) -> None:
        """Make what was written durable; with that of others, where they share the transaction."""
        self.kept = True
        if not self.shared:
            self.execute("COMMIT")
            self.leave()

    def begin_shared(self) -> None:
        """Begin a transaction for several units that write."""
        self._begin()
        self.shared = True

    def commit_shared(self) -> None:
        """Make durable what all of them have written."""
        self.shared = False
        self.execute("COMMIT")
        self.leave()

    def leave(self) -> None:
        """Let other processes write; nothing happens when they may already."""
        if self.turns is not None:
            self.turns.leave()

    def _begin(self) -> None:
        if self.turns is not None and time.monotonic() >= self._without_until:
            self._queue(self.turns)
        self.execute("BEGIN IMMEDIATE")

    def _queue(self, turns: Turns) -> None:
        """Wait for the turn, but not for ever: the process that has it may be suspended."""
        if turns.enter(min(self.patience, _PATIENCE)):
            return
        if self.patience < _PATIENCE:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        self._without_until = time.monotonic() + _WITHOUT

    def guard_graph(self, graph: int, *, alone: bool) -> None:
        """Do nothing: a file has one writer at a time."""

    def guard_name(self, name: Name) -> None:
        """Do nothing: a file has one writer at a time."""

    def stop_commits(self) -> None:
        """Do nothing: a file has one writer at a time."""

    def fetch_each(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Iterator[list[Any]]:
        """Run one statement with each of several sets of parameters."""
        return (self.execute(statement, each).fetchall() for each in parameters)

    def fork_positions(self, segment: int) -> Iterator[int | None]:
        """Give the place that a segment begins behind, then that of its parent, and so on."""
        while row := self.execute(statements.FORK_POS, (segment,)).fetchone():
            yield row[0]
            if row[0] is None or row[0] >> rows.SHIFT >= segment:
                return
            segment = row[0] >> rows.SHIFT

    def now(self) -> float:
        """Tell the time in seconds."""
        return self.clock()

    def stamp(self) -> int:
        """Tell the time in microseconds."""
        return time.time_ns() // 1000

    def forget(self) -> None:
        """Empty the log."""
        with contextlib.suppress(sqlite3.Error):  # a reader may be in the way; the next checkpoint does it
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def faults(self) -> list[str]:
        """Let SQLite look through its pages, its constraints and its references."""
        told = [row[0] for row in self.execute("PRAGMA integrity_check") if row[0] != "ok"]
        lost = self.execute("PRAGMA foreign_key_check")
        return told + [f"row {row} of {table} refers to a {home} that is not there" for table, row, home, _ in lost]

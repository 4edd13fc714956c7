"""A connection to a SQLite file, as units of work see it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from types import ModuleType
from typing import ClassVar

from lash_store_sql import rows, statements

__all__ = ["SqliteConnection"]


class SqliteConnection(sqlite3.Connection):
    """A `lash_store_sql.connection.Connection` to a SQLite file.

    Attributes:
        clock: Judges when leases expire, in seconds.
    """

    sql: ClassVar[ModuleType] = statements
    clock: Callable[[], float] = staticmethod(time.time)
    pack_id = staticmethod(rows.pack_id)

    def begin_read(self) -> None:
        """Begin a transaction that reads."""
        self.execute("BEGIN")

    def begin_write(self) -> None:
        """Begin a transaction that writes, and wait for its turn at once rather than at its first write."""
        self.execute("BEGIN IMMEDIATE")

    def now(self) -> float:
        """Tell the time in seconds."""
        return self.clock()

    def forget(self) -> None:
        """Empty the log."""
        with contextlib.suppress(sqlite3.Error):  # a reader may be in the way; the next checkpoint does it
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

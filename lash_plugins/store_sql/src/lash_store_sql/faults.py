"""What SQLite's errors mean to a caller."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from lash_hookspecs.errors import (
    InvalidInput,
    LashError,
    LimitExceeded,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UnreadableData,
)

from lash_store_sql.rows import RowError

__all__ = ["is_transient", "translate"]

_TRANSIENT = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_NO_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def is_transient(error: sqlite3.Error) -> bool:
    """Tell whether another try may succeed: somebody else holds a lock."""
    return _primary(error) in _TRANSIENT


def translate(error: Exception, path: Path, row: str, session_id: str | None) -> LashError:
    """Give the error that a caller shall see.

    Args:
        error: What the driver raised.
        path: The database's file.
        row: What was being read or written.
        session_id: Whose it is, if anybody's.
    """
    if isinstance(error, RowError):
        return UnreadableData(row=error.row, reason=str(error), session_id=session_id)
    if isinstance(error, (UnicodeEncodeError, OverflowError)):
        return InvalidInput(f"{row}: a value cannot be stored: {error}", session_id=session_id)
    if not isinstance(error, sqlite3.Error):
        return StoreError(f"{path}: {error}")
    match _primary(error):
        case sqlite3.SQLITE_FULL:
            return _full(path)
        case sqlite3.SQLITE_IOERR:
            return _full(path) if _out_of_space(path) else StoreUnavailable(f"cannot use {path}: {error}")
        case sqlite3.SQLITE_READONLY:
            return StoreUnavailable(f"cannot write to {path}: it is read-only")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreUnavailable(f"cannot open {path}: {_reason(path)}")
        case sqlite3.SQLITE_NOTADB:
            return StoreUnavailable(f"cannot open {path}: it is not a SQLite database")
        case sqlite3.SQLITE_TOOBIG:
            return LimitExceeded(f"{row}: a value is larger than SQLite can store", session_id=session_id)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_ERROR | None:
            return UnreadableData(row=row, reason=str(error), session_id=session_id)
    return StoreError(f"{path}: {error}")


def _primary(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _full(path: Path) -> StoreFull:
    return StoreFull(f"no space is left for {path}: nothing was written")


def _reason(path: Path) -> str:
    if path.is_dir():
        return "it is a directory"
    if not os.access(path, os.R_OK):
        return "permission denied"
    return "its directory does not let SQLite keep its -wal and -shm files there"


def _out_of_space(path: Path) -> bool:
    """Ask the file system: SQLite keeps the errno to itself.

    A file of our own beside the database is written where the write failed at the latest: a limit on file sizes
    strikes there too. The database itself is never opened, since closing it would drop this process's locks on it.
    """
    import tempfile

    sizes = [_size(path), _size(path.with_name(path.name + "-wal")), _size(path.with_name(path.name + "-shm"))]
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            os.pwrite(probe.fileno(), b"\0" * 65536, max(sizes))
    except OSError as error:
        return error.errno in _NO_SPACE
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""What PostgreSQL's errors mean to a caller."""

from __future__ import annotations

import psycopg
from lash_hookspecs.errors import (
    InvalidInput,
    LashError,
    LimitExceeded,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UnreadableData,
)
from psycopg import errors

from lash_store_sql.postgres.url import Location
from lash_store_sql.rows import RowError

__all__ = ["comes_soon", "is_refusal", "is_transient", "told", "translate"]

#: Another try on the same database may succeed.
_TRANSIENT = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.TooManyConnections,
    errors.CannotConnectNow,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.InvalidSqlStatementName,  # a pooler gave us another connection than the one that prepared it
)

#: What a server says that is there and will soon take connections; libpq gives no code for it.
_SOON = (
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting",
    "not accepting connections",
    "too many clients",
    "too many connections",
    "connection slots",
)


def is_transient(error: psycopg.Error) -> bool:
    """Tell whether what failed on a connection that stands is worth another try."""
    return isinstance(error, _TRANSIENT)


def comes_soon(error: psycopg.Error) -> bool:
    """Tell whether a server that takes no connection just now said so itself."""
    return any(phrase in str(error) for phrase in _SOON)


def is_refusal(error: psycopg.Error) -> bool:
    """Tell whether the server is there and will not have us, now or later."""
    return "FATAL:" in str(error) and not comes_soon(error)


def told(error: BaseException, location: Location) -> str:
    """Give an error's text in one line, without secrets."""
    text = " ".join(str(error).split())
    for secret in location.secrets:
        text = text.replace(secret, "***")
    return text


def translate(error: Exception, location: Location, row: str, session_id: str | None) -> LashError:
    """Give the error that a caller shall see.

    Args:
        error: What the driver raised.
        location: The database.
        row: What was being read or written.
        session_id: Whose it is, if anybody's.
    """
    text = told(error, location)
    match error:
        case RowError():
            return UnreadableData(row=error.row, reason=text, session_id=session_id)
        case UnicodeError() | OverflowError():
            return InvalidInput(f"{row}: a value cannot be stored: {text}", session_id=session_id)
        case errors.NumericValueOutOfRange() | errors.CharacterNotInRepertoire() | errors.UntranslatableCharacter():
            return InvalidInput(f"{row}: a value cannot be stored: {text}", session_id=session_id)
        case errors.ProgramLimitExceeded():
            return LimitExceeded(f"{row}: a value is larger than PostgreSQL can store: {text}", session_id=session_id)
        case errors.DiskFull():
            return StoreFull(f"no space is left for {location.url}: nothing was written")
        case errors.InsufficientPrivilege():
            return StoreUnavailable(
                f"{location.url} does not let its user do this: {text}; the documentation of stores lists the grants"
            )
        case errors.ReadOnlySqlTransaction():
            return StoreUnavailable(f"cannot write to {location.url}: it is read-only")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return UnreadableData(row=row, reason=text, session_id=session_id)
        case errors.UndefinedTable() | errors.UndefinedColumn():
            return StoreUnavailable(
                f"{location.url} does not let its user see all tables, or they are not as expected: {text}; the "
                "documentation of stores lists the grants"
            )
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return StoreUnavailable(f"cannot use {location.url}: {text}")
    return StoreError(f"{location.url}: {text}")

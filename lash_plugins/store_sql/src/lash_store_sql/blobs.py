"""Whether a blob is stored, and when somebody needed it last: so that it is not collected under a writer's hands.

A commit may put its blobs long before it refers to them (S2). So a blob that nothing reaches is collected only when a
grace age has passed since it was put, or since a commit began to refer to it; the latter is noted once in `REFRESH`
seconds, which is why the grace age of a store that is written to must be longer.
"""

from __future__ import annotations

from lash_store_sql.connection import Connection

__all__ = ["REFRESH", "is_stale", "keep_blob", "micros"]

#: Seconds for which it is not noted again that a blob is needed.
REFRESH = 600

_MICROSECONDS = 1_000_000


def micros(connection: Connection) -> int:
    """Tell the time in microseconds since 1970-01-01 UTC."""
    return int(connection.now() * _MICROSECONDS)


def keep_blob(connection: Connection, tenant: str, ref: str) -> bool:
    """Tell whether a blob is stored; note, in an open transaction, that it is needed."""
    row = _row(connection, tenant, ref)
    if row is None:
        return False
    if _is_old(connection, row[0]):
        connection.execute(connection.sql.TOUCH_BLOB, (micros(connection), tenant, bytes.fromhex(ref)))
    return True


def is_stale(connection: Connection, tenant: str, ref: str) -> bool:
    """Tell whether it must be noted that a blob is needed, or it is not stored at all."""
    row = _row(connection, tenant, ref)
    return row is None or _is_old(connection, row[0])


def _row(connection: Connection, tenant: str, ref: str) -> tuple[int | None] | None:
    try:
        digest = bytes.fromhex(ref)
    except ValueError:
        return None
    found: tuple[int | None] | None = connection.execute(connection.sql.HAS_BLOB, (tenant, digest)).fetchone()
    return found


def _is_old(connection: Connection, stored_at: int | None) -> bool:
    return stored_at is None or stored_at < micros(connection) - REFRESH * _MICROSECONDS

"""Units of work that read heads, commit records and blobs, list sessions and count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lash_hookspecs.errors import MissingBlob
from lash_hookspecs.records.store import (
    Absent,
    CommitRecord,
    Deleted,
    Head,
    Lease,
    SessionPage,
    SessionQuery,
    SessionRow,
    StoreStats,
)

from lash_store_sql.connection import UNLIMITED, Connection, Name
from lash_store_sql.rows import SHIFT, RowError, load_head, load_holder, load_record, unpack_body, unpack_id
from lash_store_sql.stored import find

#: Rows that are asked for at least, for a page that only some of them belong to.
_FEWEST = 50

__all__ = ["count_rows", "list_sessions", "read_blobs", "read_head", "read_records"]


def read_head(connection: Connection, name: Name) -> Head | Absent | Deleted:
    """Read the head."""
    connection.begin_read()
    if row := connection.execute(connection.sql.HEAD, name).fetchone():
        return load_head(name.session_id, row)
    if row := connection.execute(connection.sql.LAST_TOMBSTONE, name).fetchone():
        return Deleted(unpack_id(row[0], "tombstone"), row[1], row[2])
    return Absent()


def read_records(connection: Connection, name: Name, after: int, limit: int | None) -> list[CommitRecord]:
    """Read commit records with a revision above ``after``, oldest first."""
    connection.begin_read()
    stored = find(connection, name)
    if stored is None:
        return []
    first, final = stored.key << SHIFT | max(after, 0) + 1, stored.key << SHIFT | stored.revision
    rows = connection.execute(connection.sql.RECORDS, (first, final, UNLIMITED if limit is None else limit))
    return [load_record(row) for row in rows]


def read_blobs(connection: Connection, name: Name, refs: Sequence[str]) -> dict[str, bytes]:
    """Read blobs by ref."""
    connection.begin_read()
    bodies = {}
    wanted = [(name.tenant, _digest(ref)) for ref in refs]
    for ref, rows in zip(refs, connection.fetch_each(connection.sql.BLOB, wanted), strict=True):
        if not rows:
            raise MissingBlob(session_id=name.session_id, ref=ref)
        bodies[ref] = unpack_body(ref, *rows[0])
    return bodies


def _digest(ref: str) -> bytes:
    """Give the digest that a ref names; what names none is not stored either."""
    try:
        return bytes.fromhex(ref)
    except ValueError:
        return b""


def list_sessions(connection: Connection, tenant: str, query: SessionQuery) -> SessionPage:
    """Let the first label drive; compare the others row by row until the page is full."""
    connection.begin_read()
    labels = sorted(query.labels.items())
    suffix = {None: "", True: "_OPEN", False: "_IDLE"}[query.open_turn]
    statement = getattr(connection.sql, f"LABELLED{suffix}" if labels else f"LIST{suffix}")
    now, found = connection.now(), []
    for columns in _from(connection, statement, (tenant, *(labels[0] if labels else ())), query):
        row = _session_row(columns, now)
        if query.labels.items() <= row.head.labels.items():
            found.append(row)
        if len(found) > query.limit:
            break
    page = tuple(found[: query.limit])
    return SessionPage(page, page[-1].head.session_id if page and len(found) > len(page) else None)


def _from(
    connection: Connection, statement: str, fixed: tuple[str, ...], query: SessionQuery
) -> Iterator[tuple[Any, ...]]:
    """Read on from the cursor, some rows at a time."""
    # The least text above another is that text and a NUL.
    begin, many = "" if query.after is None else query.after + "\0", max(query.limit + 1, _FEWEST)
    while rows := connection.execute(statement, (*fixed, begin, many)).fetchall():
        yield from rows
        if len(rows) < many:
            return
        begin = rows[-1][0] + "\0"


def _session_row(columns: tuple[Any, ...], now: float) -> SessionRow:
    try:
        head = load_head(columns[0], columns[1:12])
    except RowError as error:
        raise RowError(f"{error.row} of session {columns[0]!r}", str(error)) from error
    epoch, expires_at, holder = columns[12:]
    return SessionRow(head, Lease(load_holder(holder), epoch, expires_at / 1e6 - now) if holder else None)


def count_rows(connection: Connection, tenant: str) -> StoreStats:
    """Count what a tenant has; the bytes on disk are for the backend to add."""
    connection.begin_read()
    sql = connection.sql
    counts = (sql.COUNT_SESSIONS, sql.COUNT_NODES, sql.COUNT_COMMITS, sql.COUNT_BLOBS)
    sessions, nodes, commits, blobs = (connection.execute(count, (tenant,)).fetchone()[0] for count in counts)
    return StoreStats(sessions=sessions, nodes=nodes, commits=commits, blobs=blobs, bytes_on_disk=None)

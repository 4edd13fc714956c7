"""Units of work on streams, leases and the end of a session."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

from lash_hookspecs.errors import SessionLeased, SessionMissing
from lash_hookspecs.records.store import Holder, Lease, StreamEntry, StreamRow, Writer

from lash_store_sql import statements as sql
from lash_store_sql.reading import UNLIMITED
from lash_store_sql.rows import SHIFT, dump_holder, load_holder, pack_id
from lash_store_sql.stored import TENANT, Stored, check_size, fence, fenced, find, is_dead, writable

__all__ = [
    "append_entries",
    "delete_session",
    "read_entries",
    "read_lease",
    "release_lease",
    "renew_lease",
    "take_lease",
    "trim_entries",
]

_LOW = (1 << SHIFT) - 1
_MICROSECONDS = 1_000_000


def append_entries(
    connection: sqlite3.Connection,
    session_id: str,
    stream: str,
    entries: Sequence[StreamEntry],
    writer: Writer,
    max_value: int,
) -> list[int]:
    """Append entries; a key that is there keeps its first body."""
    connection.execute("BEGIN IMMEDIATE")
    stored = writable(connection, session_id, writer)
    for entry in entries:
        check_size(len(entry.body), max_value)
    key, last = _stream(connection, stored.key, stream)
    sequences, newest = [], last
    for entry in entries:
        row = connection.execute(sql.ENTRY, (key, entry.key)).fetchone()
        if row is None:
            newest += 1
            connection.execute(sql.ADD_ENTRY, (key << SHIFT | newest, key, entry.key, entry.body))
        sequences.append(row[0] & _LOW if row else newest)
    if newest > last:
        connection.execute(sql.MOVE_STREAM, (newest, key))
    connection.execute("COMMIT")
    return sequences


def _stream(connection: sqlite3.Connection, session: int, name: str) -> tuple[int, int]:
    row = connection.execute(sql.STREAM, (session, name)).fetchone()
    if row is None:
        connection.execute(sql.ADD_STREAM, (session, name, 0))
        row = connection.execute(sql.STREAM, (session, name)).fetchone()
    return row[0], row[1]


def read_entries(
    connection: sqlite3.Connection, session_id: str, stream: str, after: int, limit: int | None
) -> list[StreamRow]:
    """Read entries with a sequence above ``after``."""
    connection.execute("BEGIN")
    stored = find(connection, session_id)
    row = stored and connection.execute(sql.STREAM, (stored.key, stream)).fetchone()
    if not row:
        return []
    first, final = row[0] << SHIFT, row[0] << SHIFT | _LOW
    count = UNLIMITED if limit is None else limit
    rows = connection.execute(sql.ENTRIES, (first + max(after, 0) + 1, final, count))
    return [StreamRow(pos & _LOW, key, body) for pos, key, body in rows]


def trim_entries(connection: sqlite3.Connection, session_id: str, stream: str, upto: int, writer: Writer) -> int:
    """Remove entries with a sequence up to ``upto``."""
    connection.execute("BEGIN IMMEDIATE")
    stored = writable(connection, session_id, writer)
    row = connection.execute(sql.STREAM, (stored.key, stream)).fetchone()
    if row is None:
        return 0
    window = (row[0] << SHIFT, row[0] << SHIFT | min(max(upto, 0), row[1]))
    removed = connection.execute(sql.TRIM_ENTRIES, window).rowcount
    connection.execute("COMMIT")
    return removed


def read_lease(connection: sqlite3.Connection, session_id: str, now: float) -> Lease | None:
    """Read the lease with the time it has left."""
    row = connection.execute(sql.LEASE, (TENANT, session_id)).fetchone()
    if row is None or row[2] is None:
        return None
    return Lease(load_holder(row[2]), row[0], row[1] / _MICROSECONDS - now)


def take_lease(
    connection: sqlite3.Connection, session_id: str, holder: Holder, ttl: float, replacing: int | None, now: float
) -> Lease:
    """Take the lease and an epoch that no incarnation of the name has seen."""
    connection.execute("BEGIN IMMEDIATE")
    held = read_lease(connection, session_id, now)
    if held and held.expires_in > 0 and held.epoch != replacing:
        raise SessionLeased(session_id=session_id, holder=held.holder, expires_in=held.expires_in, epoch=held.epoch)
    current, _ = fence(connection, session_id, find(connection, session_id))
    dead = connection.execute(sql.DEAD_EPOCH, (TENANT, session_id)).fetchone()[0]
    lease = Lease(holder, max(current, dead or 0) + 1, ttl)
    _set_lease(connection, session_id, lease, now)
    connection.execute(sql.RAISE_EPOCH, (lease.epoch, TENANT, session_id))
    connection.execute("COMMIT")
    return lease


def renew_lease(connection: sqlite3.Connection, session_id: str, lease: Lease, ttl: float, now: float) -> Lease:
    """Extend the lease unless somebody else has taken it."""
    connection.execute("BEGIN IMMEDIATE")
    stored = find(connection, session_id)
    if fence(connection, session_id, stored)[0] != lease.epoch:
        raise fenced(connection, session_id, stored, lease.epoch)
    renewed = Lease(lease.holder, lease.epoch, ttl)
    _set_lease(connection, session_id, renewed, now)
    connection.execute("COMMIT")
    return renewed


def release_lease(connection: sqlite3.Connection, session_id: str, lease: Lease) -> None:
    """Give the lease back; the epoch stays."""
    connection.execute("BEGIN IMMEDIATE")
    row = connection.execute(sql.LEASE, (TENANT, session_id)).fetchone()
    if row and row[0] == lease.epoch and row[2] is not None:
        connection.execute(sql.SET_LEASE, (TENANT, session_id, lease.epoch, row[1], None))
        connection.execute("COMMIT")


def _set_lease(connection: sqlite3.Connection, session_id: str, lease: Lease, now: float) -> None:
    expires_at = int((now + lease.expires_in) * _MICROSECONDS)
    values = (TENANT, session_id, lease.epoch, expires_at, dump_holder(lease.holder))
    connection.execute(sql.SET_LEASE, values)


def delete_session(connection: sqlite3.Connection, session_id: str, incarnation: str, deleted_at: int) -> None:
    """Remove a session and what nobody shares with it; leave a tombstone."""
    connection.execute("BEGIN IMMEDIATE")
    if is_dead(connection, session_id, incarnation):
        return
    stored = find(connection, session_id)
    if stored is None or stored.incarnation != pack_id(incarnation):
        raise SessionMissing(
            f"there is no incarnation {incarnation!r} of session {session_id!r}", session_id=session_id
        )
    epoch, _ = fence(connection, session_id, stored)
    connection.execute(
        sql.ADD_TOMBSTONE,
        (stored.key, TENANT, session_id, stored.incarnation, stored.revision, epoch, deleted_at),
    )
    connection.execute(sql.DROP_LEASE, (TENANT, session_id))
    _drop_rows(connection, stored.key)
    _drop_nodes(connection, stored)
    connection.execute("COMMIT")
    with contextlib.suppress(sqlite3.Error):  # a reader may be in the way; the next checkpoint does it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _drop_rows(connection: sqlite3.Connection, session: int) -> None:
    connection.execute(sql.DROP_ENTRIES, (session,))
    connection.execute(sql.DROP_STREAMS, (session,))
    connection.execute(sql.DROP_LABELS, (session,))
    connection.execute(sql.DROP_RECORDS, (session << SHIFT, session << SHIFT | _LOW))
    connection.execute(sql.DROP_SESSION, (session,))


def _drop_nodes(connection: sqlite3.Connection, stored: Stored) -> None:
    """Remove what dead sessions appended, up to where living ones still stand on it."""
    sharers = dict(connection.execute(sql.SHARERS, (stored.graph,)).fetchall())
    segments = dict(connection.execute(sql.SEGMENTS, (stored.graph,)).fetchall())
    needed: dict[int, int] = {}
    for segment, owner in segments.items():
        if owner in sharers:
            _need(connection, needed, segment << SHIFT | _LOW)
    for leaf_pos in sharers.values():
        _need(connection, needed, leaf_pos)
    for segment, owner in segments.items():
        if owner not in sharers:
            begin = needed.get(segment, (segment << SHIFT) - 1) + 1
            connection.execute(sql.DROP_NODES, (begin, segment << SHIFT | _LOW))
            if segment not in needed:
                connection.execute(sql.DROP_SEGMENT, (segment,))


def _need(connection: sqlite3.Connection, needed: dict[int, int], pos: int | None) -> None:
    while pos is not None and needed.get(pos >> SHIFT, -1) < pos:
        needed[pos >> SHIFT] = pos
        row = connection.execute(sql.FORK_POS, (pos >> SHIFT,)).fetchone()
        pos = row[0] if row else None

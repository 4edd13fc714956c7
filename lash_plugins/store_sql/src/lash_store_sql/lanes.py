"""Units of work on streams, leases and the end of a session."""

from __future__ import annotations

from collections.abc import Sequence

from lash_hookspecs.errors import SessionLeased, SessionMissing
from lash_hookspecs.records.store import Holder, Lease, StreamEntry, StreamRow, Writer

from lash_store_sql.connection import UNLIMITED, Connection, Name
from lash_store_sql.rows import SHIFT, dump_holder, load_holder
from lash_store_sql.stored import Stored, check_size, fence, fenced, find, is_dead, writable

__all__ = [
    "add_entries",
    "append_entries",
    "bury",
    "delete_session",
    "drop_nodes",
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
    connection: Connection,
    name: Name,
    stream: str,
    entries: Sequence[StreamEntry],
    writer: Writer,
    max_value: int,
) -> list[int]:
    """Append entries; a key that is there keeps its first body."""
    connection.begin_write(name)
    stored = writable(connection, name, writer)
    for entry in entries:
        check_size(len(entry.body), max_value)
    sequences = add_entries(connection, stored.key, stream, entries)
    connection.commit()
    return sequences


def add_entries(connection: Connection, session: int, stream: str, entries: Sequence[StreamEntry]) -> list[int]:
    """Append entries in an open transaction, whoever writes."""
    key, last = _stream(connection, session, stream)
    sequences, newest = [], last
    for entry in entries:
        row = connection.execute(connection.sql.ENTRY, (key, entry.key)).fetchone()
        if row is None:
            newest += 1
            connection.execute(connection.sql.ADD_ENTRY, (key << SHIFT | newest, key, entry.key, entry.body))
        sequences.append(row[0] & _LOW if row else newest)
    if newest > last:
        connection.execute(connection.sql.MOVE_STREAM, (newest, key))
    return sequences


def _stream(connection: Connection, session: int, name: str) -> tuple[int, int]:
    row = connection.execute(connection.sql.STREAM, (session, name)).fetchone()
    if row is None:
        connection.execute(connection.sql.ADD_STREAM, (session, name, 0))
        row = connection.execute(connection.sql.STREAM, (session, name)).fetchone()
    return row[0], row[1]


def read_entries(connection: Connection, name: Name, stream: str, after: int, limit: int | None) -> list[StreamRow]:
    """Read entries with a sequence above ``after``."""
    connection.begin_read()
    stored = find(connection, name)
    row = stored and connection.execute(connection.sql.STREAM, (stored.key, stream)).fetchone()
    if not row:
        return []
    first, final = row[0] << SHIFT, row[0] << SHIFT | _LOW
    count = UNLIMITED if limit is None else limit
    rows = connection.execute(connection.sql.ENTRIES, (first + max(after, 0) + 1, final, count))
    return [StreamRow(pos & _LOW, key, body) for pos, key, body in rows]


def trim_entries(connection: Connection, name: Name, stream: str, upto: int, writer: Writer) -> int:
    """Remove entries with a sequence up to ``upto``."""
    connection.begin_write(name)
    stored = writable(connection, name, writer)
    row = connection.execute(connection.sql.STREAM, (stored.key, stream)).fetchone()
    if row is None:
        return 0
    window = (row[0] << SHIFT, row[0] << SHIFT | min(max(upto, 0), row[1]))
    removed = connection.execute(connection.sql.TRIM_ENTRIES, window).rowcount
    connection.commit()
    return removed


def read_lease(connection: Connection, name: Name) -> Lease | None:
    """Read the lease with the time it has left."""
    row = connection.execute(connection.sql.LEASE, name).fetchone()
    if row is None or row[2] is None:
        return None
    return Lease(load_holder(row[2]), row[0], row[1] / _MICROSECONDS - connection.now())


def take_lease(connection: Connection, name: Name, holder: Holder, ttl: float, replacing: int | None) -> Lease:
    """Take the lease and an epoch that no incarnation of the name has seen."""
    connection.begin_write(name)
    held = read_lease(connection, name)
    if held and held.expires_in > 0 and held.epoch != replacing:
        raise SessionLeased(
            session_id=name.session_id, holder=held.holder, expires_in=held.expires_in, epoch=held.epoch
        )
    current, _ = fence(connection, name, find(connection, name, lock=True))
    dead = connection.execute(connection.sql.DEAD_EPOCH, name).fetchone()[0]
    lease = Lease(holder, max(current, dead or 0) + 1, ttl)
    _set_lease(connection, name, lease)
    connection.execute(connection.sql.RAISE_EPOCH, (lease.epoch, *name))
    connection.commit()
    return lease


def renew_lease(connection: Connection, name: Name, lease: Lease, ttl: float) -> Lease:
    """Extend the lease unless somebody else has taken it."""
    connection.begin_write(name)
    stored = find(connection, name, lock=True)
    if fence(connection, name, stored)[0] != lease.epoch:
        raise fenced(connection, name, stored, lease.epoch)
    renewed = Lease(lease.holder, lease.epoch, ttl)
    _set_lease(connection, name, renewed)
    connection.commit()
    return renewed


def release_lease(connection: Connection, name: Name, lease: Lease) -> None:
    """Give the lease back; the epoch stays."""
    connection.begin_write(name)
    row = connection.execute(connection.sql.LEASE, name).fetchone()
    if row and row[0] == lease.epoch and row[2] is not None:
        connection.execute(connection.sql.SET_LEASE, (*name, lease.epoch, row[1], None))
        connection.commit()


def _set_lease(connection: Connection, name: Name, lease: Lease) -> None:
    expires_at = int((connection.now() + lease.expires_in) * _MICROSECONDS)
    values = (*name, lease.epoch, expires_at, dump_holder(lease.holder))
    connection.execute(connection.sql.SET_LEASE, values)


def delete_session(connection: Connection, name: Name, incarnation: str, deleted_at: int) -> None:
    """Remove a session and what nobody shares with it; leave a tombstone."""
    connection.begin_write(name)
    if is_dead(connection, name, incarnation):
        return
    stored = find(connection, name, lock=True)
    if stored is None or stored.incarnation != connection.pack_id(incarnation):
        raise SessionMissing(
            f"there is no incarnation {incarnation!r} of session {name.session_id!r}", session_id=name.session_id
        )
    bury(connection, name, stored, deleted_at)
    drop_nodes(connection, stored.graph)
    connection.commit()
    connection.forget()


def bury(connection: Connection, name: Name, stored: Stored, deleted_at: int) -> None:
    """Remove a session's own rows, in an open transaction, and leave a tombstone; `drop_nodes` removes its nodes."""
    epoch, _ = fence(connection, name, stored)
    connection.execute(
        connection.sql.ADD_TOMBSTONE,
        (stored.key, *name, stored.incarnation, stored.revision, epoch, deleted_at),
    )
    connection.execute(connection.sql.DROP_LEASE, name)
    connection.guard_graph(stored.graph, alone=True)
    _drop_rows(connection, stored.key)


def _drop_rows(connection: Connection, session: int) -> None:
    connection.execute(connection.sql.DROP_ENTRIES, (session,))
    connection.execute(connection.sql.DROP_STREAMS, (session,))
    connection.execute(connection.sql.DROP_LABELS, (session,))
    connection.execute(connection.sql.DROP_RECORDS, (session << SHIFT, session << SHIFT | _LOW))
    connection.execute(connection.sql.DROP_SESSION, (session,))


def drop_nodes(connection: Connection, graph: int) -> None:
    """Remove what dead sessions appended, up to where living ones still stand on it."""
    sharers = dict(connection.execute(connection.sql.SHARERS, (graph,)).fetchall())
    segments = dict(connection.execute(connection.sql.SEGMENTS, (graph,)).fetchall())
    needed: dict[int, int] = {}
    for segment, owner in segments.items():
        if owner in sharers:
            _need(connection, needed, segment << SHIFT | _LOW)
    for leaf_pos in sharers.values():
        _need(connection, needed, leaf_pos)
    for segment, owner in segments.items():
        if owner not in sharers:
            begin = needed.get(segment, (segment << SHIFT) - 1) + 1
            connection.execute(connection.sql.DROP_NODES, (begin, segment << SHIFT | _LOW))
            if segment not in needed:
                connection.execute(connection.sql.DROP_SEGMENT, (segment,))


def _need(connection: Connection, needed: dict[int, int], pos: int | None) -> None:
    above = connection.fork_positions(pos >> SHIFT) if pos is not None else iter(())
    while pos is not None and needed.get(pos >> SHIFT, -1) < pos:
        needed[pos >> SHIFT] = pos
        pos = next(above, None)

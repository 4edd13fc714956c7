"""What several units of work ask of the database: which session it is, and who may write to it."""

from __future__ import annotations

from typing import NamedTuple

from lash_hookspecs.errors import CorruptSession, LimitExceeded, SessionDeleted, SessionMissing, WriterFenced
from lash_hookspecs.records.store import Holder, Writer

from lash_store_sql.connection import Connection, Name
from lash_store_sql.rows import PackedId, load_holder

__all__ = [
    "Stored",
    "check_size",
    "corrupt",
    "deleted",
    "fence",
    "fenced",
    "find",
    "is_dead",
    "writable",
]


class Stored(NamedTuple):
    """What a writer needs to know of a living session: a row of the statement ``SESSION``."""

    key: int
    incarnation: PackedId
    revision: int
    epoch: int
    graph: int
    leaf: PackedId | None
    leaf_pos: int | None
    tail_pos: int | None
    stored_at: int
    components: str = "{}"


def find(connection: Connection, name: Name, *, lock: bool = False) -> Stored | None:
    """Find a living session.

    Args:
        connection: Where.
        name: Which.
        lock: Whether it is about to be written: nobody else writes it until this transaction ends.
    """
    statement = connection.sql.SESSION_LOCKED if lock else connection.sql.SESSION
    row = connection.execute(statement, name).fetchone()
    return Stored._make(row) if row else None


def is_dead(connection: Connection, name: Name, incarnation: str) -> bool:
    """Tell whether an incarnation was deleted."""
    return connection.execute(connection.sql.TOMBSTONE, (*name, connection.pack_id(incarnation))).fetchone() is not None


def fence(connection: Connection, name: Name, stored: Stored | None) -> tuple[int, Holder | None]:
    """Give the epoch below which a writer is refused, and who holds the lease."""
    row = connection.execute(connection.sql.LEASE, name).fetchone()
    leased, holder = (row[0], load_holder(row[2]) if row[2] else None) if row else (0, None)
    return max(leased, stored.epoch if stored else 0), holder


def writable(connection: Connection, name: Name, writer: Writer) -> Stored:
    """Find the session for a write outside a commit.

    Raises:
        SessionDeleted: The writer's incarnation is dead.
        SessionMissing: There is no session of this incarnation.
        WriterFenced: The writer's epoch is set and too old.
    """
    stored = find(connection, name, lock=True)
    if stored is None or stored.incarnation != connection.pack_id(writer.incarnation):
        if is_dead(connection, name, writer.incarnation):
            raise deleted(name.session_id)
        raise SessionMissing(f"session {name.session_id!r} has no commit yet", session_id=name.session_id)
    if writer.epoch is not None and writer.epoch < stored.epoch:
        raise fenced(connection, name, stored, writer.epoch)
    return stored


def check_size(size: int, limit: int) -> None:
    """Refuse a value over the declared limit."""
    if size > limit:
        raise LimitExceeded(f"a value of {size} bytes is over the store's limit of {limit}")


def deleted(session_id: str) -> SessionDeleted:
    """Make the error for a writer of a dead incarnation."""
    return SessionDeleted(f"session {session_id!r} was deleted: this writer is refused for ever", session_id=session_id)


def fenced(connection: Connection, name: Name, stored: Stored | None, epoch: int) -> WriterFenced:
    """Make the error for a writer whose epoch is too old."""
    current, holder = fence(connection, name, stored)
    return WriterFenced(session_id=name.session_id, epoch=epoch, current=current, holder=holder)


def corrupt(session_id: str, kind: str, reason: str, *node_ids: str) -> CorruptSession:
    """Make the error for a graph that breaks a rule."""
    return CorruptSession(f"session {session_id!r}: {reason}", kind=kind, node_ids=node_ids, session_id=session_id)

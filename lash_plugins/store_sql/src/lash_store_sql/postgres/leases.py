"""Leases by the server's clock, each call in one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lash_hookspecs.errors import SessionLeased
from lash_hookspecs.records.store import Holder, Lease

from lash_store_sql.connection import Name
from lash_store_sql.postgres import statements
from lash_store_sql.postgres.connection import PostgresConnection
from lash_store_sql.rows import dump_holder, load_holder
from lash_store_sql.stored import fenced, find

__all__ = ["read_lease", "release_lease", "renew_lease", "take_lease"]

_MICROSECONDS = 1_000_000


def read_lease(connection: PostgresConnection, name: Name) -> Lease | None:
    """Read the lease with the time it has left."""
    row = connection.execute(statements.LEASE_LEFT, name).fetchone()
    return None if row is None or row[2] is None else Lease(load_holder(row[2]), row[0], row[1] / _MICROSECONDS)


def take_lease(
    connection: PostgresConnection,
    name: Name,
    holder: Holder,
    ttl: float,
    replacing: int | None,
    tries: Iterator[int],
) -> Lease:
    """Take the lease and an epoch that no incarnation of the name has seen.

    Args:
        connection: Where.
        name: Whose.
        holder: Who takes it.
        ttl: Seconds until it expires.
        replacing: The epoch of a lease that does not count.
        tries: Counts the calls of this unit for one caller.
    """
    again = next(tries) > 0
    with connection.batch():
        connection.queue_begin(name)
        taken = _execute(connection, "TAKE_LEASE", name, holder=dump_holder(holder), ttl=ttl, replacing=replacing)
        connection.execute("COMMIT")
    row = taken.fetchone()
    if row:
        return Lease(holder, row[0], ttl)
    held = read_lease(connection, name)
    if held is None or held.expires_in <= 0:  # it ended between the two: the next try finds it so
        return take_lease(connection, name, holder, ttl, replacing, tries)
    if again and held.holder == holder:  # ours: the answer to the try before was lost with its connection
        return held
    raise SessionLeased(session_id=name.session_id, holder=held.holder, expires_in=held.expires_in, epoch=held.epoch)


def renew_lease(connection: PostgresConnection, name: Name, lease: Lease, ttl: float) -> Lease:
    """Extend the lease unless somebody else has taken it."""
    values = {"holder": dump_holder(lease.holder), "epoch": lease.epoch, "ttl": ttl}
    if _execute(connection, "RENEW_LEASE", name, **values).fetchone():
        return Lease(lease.holder, lease.epoch, ttl)
    connection.begin_read()
    raise fenced(connection, name, find(connection, name), lease.epoch)


def release_lease(connection: PostgresConnection, name: Name, lease: Lease) -> None:
    """Give the lease back; the epoch stays."""
    _execute(connection, "RELEASE_LEASE", name, epoch=lease.epoch)


def _execute(connection: PostgresConnection, statement: str, name: Name, **values: Any) -> Any:
    if "ttl" in values:
        values["ttl"] = int(values["ttl"] * _MICROSECONDS)
    given = {"tenant": name.tenant, "session_id": name.session_id, **values}
    order = statements.PARAMETERS[statement]
    return connection.execute(getattr(statements, statement), [given[each] for each in order])

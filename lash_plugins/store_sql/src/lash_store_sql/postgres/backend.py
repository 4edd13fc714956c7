"""The PostgreSQL store: the backend, and a session's handle.

Units of work run side by side in threads, each on a connection of its own while it runs. A caller that is cancelled
leaves its unit to run to the end, so a commit is done or not done.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import attrs
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    Deleted,
    Head,
    Holder,
    Lease,
    Migration,
    Receipt,
    SessionPage,
    SessionQuery,
    StoreCapabilities,
    StoreStats,
)

from lash_store_sql.blobs import is_stale
from lash_store_sql.committing import add_blobs, pack_missing
from lash_store_sql.connection import Name
from lash_store_sql.listing import count_rows, list_sessions, read_head
from lash_store_sql.postgres import leases, statements
from lash_store_sql.postgres.committing import store_commit
from lash_store_sql.postgres.connection import PostgresConnection
from lash_store_sql.postgres.migrating import Server, check_schema, migrate_schema, read_server
from lash_store_sql.postgres.pool import Pool
from lash_store_sql.postgres.url import Location, parse_url
from lash_store_sql.rows import load_head
from lash_store_sql.session import SqlSession, TenantView
from lash_store_sql.upkeep import Upkeep

__all__ = ["PostgresBackend", "PostgresSession", "migrate_postgres", "open_postgres"]

T = TypeVar("T")


async def open_postgres(url: str, create: bool) -> PostgresBackend:
    """Open ``postgresql://user:password@host:port/database``; the tables must be there (S10).

    Args:
        url: Options: ``schema`` (the namespace of the tables, ``lash``), ``timeout`` (seconds for which contention
            and a server that is away are waited out, 10), ``max_value`` (the largest value in bytes, 256 MiB),
            ``pool_size`` (the most connections, 8), and libpq's own for TLS and the like.
        create: Says nothing here: a shared database is made and migrated by ``lash store migrate`` alone.

    Raises:
        ConfigurationError: The URL cannot be read, or has an option that there is not.
        StoreUnavailable: The server cannot be reached, refuses the user, or has no tables for us.
        UnsupportedSchema: A newer version wrote it.
    """
    location = parse_url(url)
    pool = Pool(location, partial(check_schema, location=location))
    try:
        server = await pool.run(read_server, "settings", patient=False)
    except BaseException:
        await pool.close()
        raise
    return PostgresBackend(location, pool, server)


async def migrate_postgres(url: str, dry_run: bool) -> Migration:
    """Make the tables, or bring them to this version.

    Raises:
        ConfigurationError, StoreUnavailable, UnsupportedSchema: As `open_postgres`.
    """
    location = parse_url(url)
    pool = Pool(location, lambda connection: None)
    try:
        return await pool.run(partial(migrate_schema, location=location, dry_run=dry_run), "schema", patient=False)
    finally:
        await pool.close()


class PostgresBackend(Upkeep):
    """A database of sessions in one schema of a PostgreSQL database."""

    def __init__(self, location: Location, pool: Pool, server: Server) -> None:
        self._location = location
        self._pool = pool
        self._capabilities = StoreCapabilities(
            levels=frozenset({"core", "concurrent", "sharing", "retention", "migration"}),
            durability=server.durability,
            database_clock=True,
            max_value=location.max_value,
            tenants=True,
        )

    @property
    def name(self) -> str:
        """The URL without secrets."""
        return self._location.url

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        return self._capabilities

    @property
    def max_value(self) -> int:
        """The largest value in bytes."""
        return self._location.max_value

    def tenant(self, name: str) -> TenantView:
        """Give the view of one tenant, over the same connections."""
        return TenantView(self, name)

    def session(self, session_id: str) -> SqlSession:
        """Give the handle of one session."""
        return self.named(Name("", session_id))

    def named(self, name: Name) -> SqlSession:
        """Give the handle of one session of a tenant."""
        return PostgresSession(self, name.session_id, name.tenant)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions of the default tenant, ordered by id."""
        return await self.list_tenant("", query)

    async def stats(self) -> StoreStats:
        """Count what the default tenant has; the bytes on disk are those of all tables in the schema."""
        return await self.count_tenant("")

    async def migrate(self) -> None:
        """Do nothing: opening found the schema to be this version's."""

    def _kept(self) -> tuple[PostgresBackend, str]:
        return self, ""

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        await self._pool.close()

    async def read(self, unit: Callable[[PostgresConnection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that reads; its transaction ends with it."""
        return await self._pool.run(partial(_reading, unit), row, session_id)

    async def look(self, unit: Callable[[PostgresConnection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work whose one statement needs no transaction."""
        return await self._pool.run(unit, row, session_id)

    async def write(self, unit: Callable[[PostgresConnection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that writes; what it has not committed is rolled back."""
        return await self._pool.run(unit, row, session_id, writes=True)

    async def store_commit(self, name: Name, commit: Commit) -> Receipt:
        """Store one commit atomically."""
        return await store_commit(self._pool, name, commit, self.max_value)

    async def store_blobs(self, name: Name, blobs: dict[str, bytes]) -> None:
        """Store blobs by ref."""
        await self.write(partial(_put_blobs, tenant=name.tenant, blobs=blobs), "blobs", name.session_id)

    async def list_tenant(self, tenant: str, query: SessionQuery) -> SessionPage:
        """List a tenant's living sessions, ordered by id."""
        return await self.read(partial(list_sessions, tenant=tenant, query=query), "sessions")

    async def count_tenant(self, tenant: str) -> StoreStats:
        """Count what a tenant has, and the bytes of all tables in the schema."""
        unit = partial(_count, tenant=tenant, schema=self._location.schema)
        return await self.read(unit, "the database")


class PostgresSession(SqlSession):
    """One session in a PostgreSQL database; its lease goes by the server's clock."""

    def __init__(self, backend: PostgresBackend, session_id: str, tenant: str = "") -> None:
        super().__init__(backend, session_id, tenant)
        self._database = backend

    async def head(self) -> Head | Absent | Deleted:
        """Read the head."""
        return await self._database.look(partial(_head, name=self._name), "head", self._id)

    async def lease(self) -> Lease | None:
        """Read the lease."""
        return await self._database.look(partial(leases.read_lease, name=self._name), "lease", self._id)

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        """Take the lease and a new epoch."""
        tries = itertools.count()
        return await self._write(leases.take_lease, "lease", holder=holder, ttl=ttl, replacing=replacing, tries=tries)

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        """Extend the lease."""
        return await self._write(leases.renew_lease, "lease", lease=lease, ttl=ttl)

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        await self._write(leases.release_lease, "lease", lease=lease)


def _reading(unit: Callable[[PostgresConnection], T], connection: PostgresConnection) -> T:
    """Send the transaction's begin together with its first statement, and its end without waiting for it."""
    with connection.batch():
        result = unit(connection)
        connection.execute("COMMIT")
    return result


def _head(connection: PostgresConnection, name: Name) -> Head | Absent | Deleted:
    """Read the head of a living session by one statement, and anything else by several that agree."""
    row = connection.execute(statements.HEAD, name).fetchone()
    return load_head(name.session_id, row) if row else _reading(partial(read_head, name=name), connection)


def _put_blobs(connection: PostgresConnection, tenant: str, blobs: dict[str, bytes]) -> None:
    packed = list(pack_missing(connection, tenant, dict(sorted(blobs.items()))))
    if packed or any(is_stale(connection, tenant, ref) for ref in blobs):
        connection.begin_write()
        add_blobs(connection, tenant, blobs, packed)
        connection.commit()


def _count(connection: PostgresConnection, tenant: str, schema: str) -> StoreStats:
    counted = count_rows(connection, tenant)
    row: Any = connection.execute(
        "SELECT sum(pg_total_relation_size(class.oid))::bigint FROM pg_catalog.pg_class AS class "
        "JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace "
        "WHERE space.nspname = $1 AND class.relkind = 'r'",
        (schema,),
    ).fetchone()
    return attrs.evolve(counted, bytes_on_disk=row[0])

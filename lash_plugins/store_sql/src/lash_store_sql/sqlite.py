"""The SQLite store: the backend.

Writes share one thread, reads another, so a read never waits for a write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
from lash_hookspecs.records.store import Commit, Receipt, SessionPage, SessionQuery, StoreCapabilities, StoreStats

from lash_store_sql.committing import add_blobs, pack_missing, write_commit
from lash_store_sql.connection import Name
from lash_store_sql.database import Location, connect, open_first, parse_url
from lash_store_sql.listing import count_rows, list_sessions
from lash_store_sql.session import SqlSession, TenantView
from lash_store_sql.sqlite_connection import SqliteConnection
from lash_store_sql.worker import Worker

__all__ = ["SqliteBackend", "SqliteSession", "open_sqlite"]

T = TypeVar("T")

SqliteSession = SqlSession


async def open_sqlite(url: str, create: bool, *, clock: Callable[[], float] = time.time) -> SqliteBackend:
    """Open ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Args:
        url: Options: ``timeout`` (seconds for which contention is waited out, 10), ``max_value`` (the largest value
            in bytes, 256 MiB).
        create: Whether a file that is not there may be made.
        clock: Seconds; judges when leases expire.

    Raises:
        ConfigurationError: The URL names no file, or an option that there is not.
        StoreUnavailable: There is no such file, or it cannot be used.
        UnsupportedSchema: A newer version wrote it.
    """
    location = parse_url(url)
    backend = SqliteBackend(location, create=create, clock=clock)
    try:
        await backend.write(lambda connection: None, "the database")
    except BaseException:
        await backend.close()
        raise
    return backend


class SqliteBackend:
    """A database of sessions in one SQLite file."""

    def __init__(self, location: Location, *, create: bool, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._location = location
        path, timeout = location.path, location.timeout
        first, other = partial(open_first, location, create), partial(connect, path, writes=False)
        self._writer = Worker(path, partial(self._timed, first), timeout=timeout, name="lash-write")
        self._reader = Worker(path, partial(self._timed, other), timeout=timeout, name="lash-read")
        self._capabilities = StoreCapabilities(
            levels=frozenset({"core", "concurrent", "sharing"}),
            durability="host",
            # All writers of a file with a write-ahead log run on one host (they share its memory), hence by one clock.
            database_clock=True,
            max_value=location.max_value,
            tenants=True,
        )

    @property
    def name(self) -> str:
        """The URL."""
        return self._location.url

    @property
    def path(self) -> Path:
        """The file."""
        return self._location.path

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

    def session(self, session_id: str) -> SqliteSession:
        """Give the handle of one session."""
        return SqliteSession(self, session_id)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions of the default tenant, ordered by id."""
        return await self.list_tenant("", query)

    async def stats(self) -> StoreStats:
        """Count what the default tenant has; the bytes on disk are those of the whole file."""
        return await self.count_tenant("")

    async def migrate(self) -> None:
        """Do nothing: there is one version of the schema so far, and opening checks it."""

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        await self._reader.close()
        await self._writer.close()

    async def read(self, unit: Callable[[SqliteConnection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that reads; its transaction ends with it."""
        return await self._reader.run(unit, row, session_id)

    async def write(self, unit: Callable[[SqliteConnection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that writes; what it has not committed is rolled back."""
        return await self._writer.run(unit, row, session_id)

    async def store_commit(self, name: Name, commit: Commit) -> Receipt:
        """Store one commit atomically."""
        unit = partial(write_commit, name=name, commit=commit, max_value=self.max_value)
        return await self.write(unit, "commit", name.session_id)

    async def store_blobs(self, name: Name, blobs: dict[str, bytes]) -> None:
        """Store blobs by ref."""
        await self.write(partial(_put_blobs, tenant=name.tenant, blobs=blobs), "blobs", name.session_id)

    async def list_tenant(self, tenant: str, query: SessionQuery) -> SessionPage:
        """List a tenant's living sessions, ordered by id."""
        return await self.read(partial(list_sessions, tenant=tenant, query=query), "sessions")

    async def count_tenant(self, tenant: str) -> StoreStats:
        """Count what a tenant has, and the bytes of the whole file."""
        counted = await self.read(partial(count_rows, tenant=tenant), "the database")
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return attrs.evolve(counted, bytes_on_disk=sum(file.stat().st_size for file in files if file.exists()))

    def _timed(self, connect: Callable[[], SqliteConnection]) -> SqliteConnection:
        connection = connect()
        connection.clock = self.clock
        return connection


def _put_blobs(connection: SqliteConnection, tenant: str, blobs: dict[str, bytes]) -> None:
    if missing := list(pack_missing(connection, tenant, blobs)):
        connection.begin_write()
        add_blobs(connection, missing)
        connection.commit()

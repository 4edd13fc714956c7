"""The SQLite store: the backend.

Writes share one thread, reads another, so a read never waits for a write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs
from lash_hookspecs.records.store import (
    Commit,
    Migration,
    Receipt,
    SessionPage,
    SessionQuery,
    StoreCapabilities,
    StoreStats,
)

from lash_store_sql import statements
from lash_store_sql.blobs import is_stale
from lash_store_sql.committing import add_blobs, pack_missing, write_commit
from lash_store_sql.connection import Name
from lash_store_sql.database import Location, connect, open_first, parse_url, read_version
from lash_store_sql.group import GroupWriter
from lash_store_sql.lanes import append_entries, release_lease, renew_lease, take_lease, trim_entries
from lash_store_sql.listing import count_rows, list_sessions
from lash_store_sql.migrations import STEPS
from lash_store_sql.session import SqlSession, TenantView
from lash_store_sql.sqlite_connection import SqliteConnection
from lash_store_sql.turns import Turns
from lash_store_sql.upkeep import Upkeep
from lash_store_sql.worker import Worker

if TYPE_CHECKING:
    from lash_hookspecs.records.retention import BackupReport, Progress

__all__ = ["SqliteBackend", "SqliteSession", "migrate_sqlite", "open_sqlite"]

T = TypeVar("T")

SqliteSession = SqlSession

#: Units of one short transaction, which may share it.
_SHARING = frozenset({append_entries, trim_entries, take_lease, renew_lease, release_lease})
#: Bytes of blobs from which on a commit compresses them before a transaction of its own, for which others wait.
_COMPRESSED_ALONE = 16 * 1024


async def open_sqlite(url: str, create: bool, *, clock: Callable[[], float] = time.time) -> SqliteBackend:
    """Open ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Args:
        url: Options: ``timeout`` (seconds for which contention is waited out, 10), ``max_value`` (the largest value
            in bytes, 256 MiB), ``synchronous`` (``full``; with ``normal`` the last commits survive the process only),
            ``compression`` (``none``; ``zstd`` needs the extra ``lash-store-sql[zstd]``).
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


async def migrate_sqlite(url: str, dry_run: bool) -> Migration:
    """Make the file, or bring it to this version, as opening it does.

    Raises:
        ConfigurationError, StoreUnavailable, UnsupportedSchema: As `open_sqlite`.
    """
    location = parse_url(url)
    found = read_version(location.path)
    steps = (
        statements.DDL
        if found is None
        else tuple(statement for step in STEPS if step.version > found for statement in step.sqlite)
    )
    if steps and not dry_run:
        await (await open_sqlite(url, True)).close()
    return Migration(
        name=location.url,
        found=found,
        version=max(statements.SCHEMA_VERSION, found or 0),
        steps=steps,
        applied=bool(steps) and not dry_run,
    )


class SqliteBackend(Upkeep):
    """A database of sessions in one SQLite file."""

    def __init__(self, location: Location, *, create: bool, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._location = location
        path, timeout = location.path, location.timeout
        first, other = partial(open_first, location, create), partial(connect, path, writes=False)
        self._writer = GroupWriter(path, partial(self._queued, first), timeout=timeout, name="lash-write")
        self._reader = Worker(path, partial(self._timed, other), timeout=timeout, name="lash-read")
        self._capabilities = StoreCapabilities(
            levels=frozenset({"core", "concurrent", "sharing", "retention", "migration"}),
            durability="host" if location.synchronous == "full" else "process",
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

    def named(self, name: Name) -> SqliteSession:
        """Give the handle of one session of a tenant."""
        return SqliteSession(self, name.session_id, name.tenant)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions of the default tenant, ordered by id."""
        return await self.list_tenant("", query)

    async def stats(self) -> StoreStats:
        """Count what the default tenant has; the bytes on disk are those of the whole file."""
        return await self.count_tenant("")

    async def migrate(self) -> None:
        """Do nothing: opening the file has done it."""

    async def backup(self, path: Path, *, progress: Progress | None = None) -> BackupReport:
        """Write the whole file, of every tenant, as it is at one moment into a new one."""
        from lash_hookspecs.records.retention import BackupReport

        from lash_store_sql.backup import copy_file

        loop, tell = asyncio.get_running_loop(), progress or (lambda *_: None)

        def told(done: int, total: int) -> None:
            loop.call_soon_threadsafe(tell, "backup", done, total)

        size = await asyncio.to_thread(copy_file, self.path, path, told)
        return BackupReport(path=str(path), bytes=size)

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        await self._reader.close()
        await self._writer.close()

    async def read(self, unit: Callable[[SqliteConnection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that reads; its transaction ends with it."""
        await self._writer.settle(session_id)
        return await self._reader.run(unit, row, session_id)

    async def write(self, unit: Callable[[SqliteConnection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that writes; what it has not committed is rolled back."""
        if session_id is not None and isinstance(unit, partial) and unit.func in _SHARING:
            entries = unit.keywords.get("entries", ())
            return await self._writer.share(unit, row, session_id, sum(len(entry.body) for entry in entries))
        return await self._writer.run(unit, row, session_id)

    async def store_commit(self, name: Name, commit: Commit) -> Receipt:
        """Store one commit atomically."""
        unit = partial(write_commit, name=name, commit=commit, max_value=self.max_value)
        blobs = sum(map(len, commit.blobs.values()))
        if blobs > _COMPRESSED_ALONE:
            return await self._writer.run(unit, "commit", name.session_id)
        size = blobs + sum(len(node.payload) for node in commit.nodes) + len(commit.state) + len(commit.record)
        return await self._writer.share(unit, "commit", name.session_id, size)

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

    def _queued(self, connect: Callable[[], SqliteConnection]) -> SqliteConnection:
        connection = self._timed(connect)
        connection.turns = Turns(self.path.with_name(self.path.name + "-turns"))
        if self._location.compression is not None:
            from lash_store_sql.packing import compressor

            connection.pack = compressor()
        return connection

    def _kept(self) -> tuple[SqliteBackend, str]:
        return self, ""

    def _timed(self, connect: Callable[[], SqliteConnection]) -> SqliteConnection:
        connection = connect()
        connection.clock = self.clock
        return connection


def _put_blobs(connection: SqliteConnection, tenant: str, blobs: dict[str, bytes]) -> None:
    packed = list(pack_missing(connection, tenant, blobs))
    if packed or any(is_stale(connection, tenant, ref) for ref in blobs):
        connection.begin_write()
        add_blobs(connection, tenant, blobs, packed)
        connection.commit()

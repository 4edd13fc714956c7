"""The SQLite store: the backend, and a session's handle.

The handles hold no SQL: each method is one hop to a thread that owns a connection. Writes share one thread, reads
another, so a read never waits for a write.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lash_hookspecs.errors import MissingBlob, SessionBindingMismatch
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    CommitRecord,
    Deleted,
    Head,
    Holder,
    Lease,
    Receipt,
    SessionPage,
    SessionQuery,
    SessionRow,
    StoreCapabilities,
    StoreStats,
    StreamEntry,
    StreamRow,
    Writer,
    blob_ref,
)

from lash_store_sql import statements as sql
from lash_store_sql.committing import add_blobs, pack_missing, write_commit
from lash_store_sql.database import Location, connect, open_first, parse_url
from lash_store_sql.lanes import (
    append_entries,
    delete_session,
    read_entries,
    read_lease,
    release_lease,
    renew_lease,
    take_lease,
    trim_entries,
)
from lash_store_sql.reading import UNLIMITED, read_graph, read_nodes, read_path
from lash_store_sql.rows import SHIFT, RowError, load_head, load_holder, load_record, unpack_body, unpack_id
from lash_store_sql.stored import TENANT, check_size, find
from lash_store_sql.worker import Worker

__all__ = ["SqliteBackend", "SqliteSession", "open_sqlite"]

T = TypeVar("T")


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
        self._writer = Worker(path, partial(open_first, location, create), timeout=timeout, name="lash-write")
        self._reader = Worker(path, partial(connect, path, writes=False), timeout=timeout, name="lash-read")
        self._capabilities = StoreCapabilities(
            levels=frozenset({"core", "concurrent", "sharing"}),
            durability="host",
            # All writers of a file with a write-ahead log run on one host (they share its memory), hence by one clock.
            database_clock=True,
            max_value=location.max_value,
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

    def session(self, session_id: str) -> SqliteSession:
        """Give the handle of one session."""
        return SqliteSession(self, session_id)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions, ordered by id."""
        return await self.read(partial(_list, query=query, now=self.clock()), "sessions")

    async def stats(self) -> StoreStats:
        """Count what is stored."""
        return await self.read(partial(_stats, path=self.path), "the database")

    async def migrate(self) -> None:
        """Do nothing: there is one version of the schema so far, and opening checks it."""

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        await self._reader.close()
        await self._writer.close()

    async def read(self, unit: Callable[[sqlite3.Connection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that reads; its transaction ends with it."""
        return await self._reader.run(unit, row, session_id)

    async def write(self, unit: Callable[[sqlite3.Connection], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that writes; what it has not committed is rolled back."""
        return await self._writer.run(unit, row, session_id)


class SqliteSession:
    """One session in a SQLite file."""

    def __init__(self, backend: SqliteBackend, session_id: str) -> None:
        self._backend = backend
        self._id = session_id

    async def head(self) -> Head | Absent | Deleted:
        """Read the head."""
        return await self._read(_head, "head")

    async def commit(self, commit: Commit) -> Receipt:
        """Store one commit atomically."""
        if commit.session_id != self._id:
            raise SessionBindingMismatch(bound=self._id, requested=commit.session_id)
        unit = partial(write_commit, commit=commit, max_value=self._backend.max_value)
        return await self._backend.write(unit, "commit", self._id)

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        """Read the nodes from the root to a leaf, root first."""
        return await self._read(read_path, "nodes", leaf=leaf, after=after, last=last)

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        """Read nodes by id, in the order asked for."""
        return await self._read(read_nodes, "nodes", node_ids=node_ids)

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        """Read all nodes that are not hidden, in the order in which they were stored."""
        return await self._read(read_graph, "nodes", after=after, limit=limit)

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        """Store blobs and give their refs."""
        for body in bodies:
            check_size(len(body), self._backend.max_value)
        blobs = {blob_ref(body): body for body in bodies}
        await self._backend.write(partial(_put_blobs, blobs=blobs), "blobs", self._id)
        return [blob_ref(body) for body in bodies]

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        """Read blobs by ref."""
        return await self._read(_get_blobs, "blobs", refs=refs)

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        """Read commit records with a revision above ``after``, oldest first."""
        return await self._read(_records, "commit records", after=after, limit=limit)

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        """Append entries to a stream."""
        limit = self._backend.max_value
        return await self._write(
            append_entries, "stream", stream=stream, entries=entries, writer=writer, max_value=limit
        )

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        """Read entries with a sequence above ``after``, oldest first."""
        return await self._read(read_entries, "stream", stream=stream, after=after, limit=limit)

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        """Remove entries with a sequence up to ``upto``."""
        return await self._write(trim_entries, "stream", stream=stream, upto=upto, writer=writer)

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        """Delete the session and leave a tombstone."""
        await self._write(delete_session, "head", incarnation=incarnation, deleted_at=deleted_at)

    async def lease(self) -> Lease | None:
        """Read the lease."""
        return await self._read(read_lease, "lease", now=self._backend.clock())

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        """Take the lease and a new epoch."""
        now = self._backend.clock()
        return await self._write(take_lease, "lease", holder=holder, ttl=ttl, replacing=replacing, now=now)

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        """Extend the lease."""
        return await self._write(renew_lease, "lease", lease=lease, ttl=ttl, now=self._backend.clock())

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        await self._write(release_lease, "lease", lease=lease)

    async def _read(self, unit: Callable[..., T], row: str, **arguments: Any) -> T:
        return await self._backend.read(partial(unit, session_id=self._id, **arguments), row, self._id)

    async def _write(self, unit: Callable[..., T], row: str, **arguments: Any) -> T:
        return await self._backend.write(partial(unit, session_id=self._id, **arguments), row, self._id)


def _head(connection: sqlite3.Connection, session_id: str) -> Head | Absent | Deleted:
    connection.execute("BEGIN")
    if row := connection.execute(sql.HEAD, (TENANT, session_id)).fetchone():
        return load_head(session_id, row)
    if row := connection.execute(sql.LAST_TOMBSTONE, (TENANT, session_id)).fetchone():
        return Deleted(unpack_id(row[0], "tombstone"), row[1], row[2])
    return Absent()


def _records(connection: sqlite3.Connection, session_id: str, after: int, limit: int | None) -> list[CommitRecord]:
    connection.execute("BEGIN")
    stored = find(connection, session_id)
    if stored is None:
        return []
    first, final = stored.key << SHIFT | max(after, 0) + 1, stored.key << SHIFT | stored.revision
    rows = connection.execute(sql.RECORDS, (first, final, UNLIMITED if limit is None else limit))
    return [load_record(row) for row in rows]


def _put_blobs(connection: sqlite3.Connection, blobs: dict[str, bytes]) -> None:
    if missing := list(pack_missing(connection, blobs)):
        connection.execute("BEGIN IMMEDIATE")
        add_blobs(connection, missing)
        connection.execute("COMMIT")


def _get_blobs(connection: sqlite3.Connection, session_id: str, refs: Sequence[str]) -> dict[str, bytes]:
    connection.execute("BEGIN")
    bodies = {}
    for ref in refs:
        try:
            row = connection.execute(sql.BLOB, (TENANT, bytes.fromhex(ref))).fetchone()
        except ValueError:
            row = None
        if row is None:
            raise MissingBlob(session_id=session_id, ref=ref)
        bodies[ref] = unpack_body(ref, *row)
    return bodies


def _list(connection: sqlite3.Connection, query: SessionQuery, now: float) -> SessionPage:
    """Let the first label drive; compare the others row by row until the page is full."""
    connection.execute("BEGIN")
    labels = sorted(query.labels.items())
    suffix = {None: "", True: "_OPEN", False: "_IDLE"}[query.open_turn]
    statement = getattr(sql, f"LABELLED{suffix}" if labels else f"LIST{suffix}")
    # The least text above another is that text and a NUL.
    begin = "" if query.after is None else query.after + "\0"
    found = []
    for columns in connection.execute(statement, (TENANT, *(labels[0] if labels else ()), begin, UNLIMITED)):
        row = _session_row(columns, now)
        if query.labels.items() <= row.head.labels.items():
            found.append(row)
        if len(found) > query.limit:
            break
    page = tuple(found[: query.limit])
    return SessionPage(page, page[-1].head.session_id if page and len(found) > len(page) else None)


def _session_row(columns: tuple[Any, ...], now: float) -> SessionRow:
    try:
        head = load_head(columns[0], columns[1:11])
    except RowError as error:
        raise RowError(f"{error.row} of session {columns[0]!r}", str(error)) from error
    epoch, expires_at, holder = columns[11:]
    return SessionRow(head, Lease(load_holder(holder), epoch, expires_at / 1e6 - now) if holder else None)


def _stats(connection: sqlite3.Connection, path: Path) -> StoreStats:
    connection.execute("BEGIN")
    counts = (sql.COUNT_SESSIONS, sql.COUNT_NODES, sql.COUNT_COMMITS, sql.COUNT_BLOBS)
    sessions, nodes, commits, blobs = (connection.execute(count).fetchone()[0] for count in counts)
    files = (path, path.with_name(path.name + "-wal"))
    return StoreStats(
        sessions=sessions,
        nodes=nodes,
        commits=commits,
        blobs=blobs,
        bytes_on_disk=sum(file.stat().st_size for file in files if file.exists()),
    )

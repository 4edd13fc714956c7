"""The handle of one session and the view of one tenant, over whatever runs the units of work.

They hold no SQL: each method is one hop to a thread that owns a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from lash_hookspecs.errors import SessionBindingMismatch
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
    StoreCapabilities,
    StoreStats,
    StreamEntry,
    StreamRow,
    Writer,
    blob_ref,
)

from lash_store_sql.connection import Name
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
from lash_store_sql.listing import read_blobs, read_head, read_records
from lash_store_sql.reading import read_graph, read_nodes, read_path
from lash_store_sql.stored import check_size
from lash_store_sql.upkeep import KeptSession, Upkeep

__all__ = ["Database", "SqlSession", "TenantView"]

T = TypeVar("T")


class Database(Protocol):
    """What runs units of work: a backend."""

    @property
    def name(self) -> str:
        """The URL without secrets."""
        ...

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        ...

    @property
    def max_value(self) -> int:
        """The largest value in bytes."""
        ...

    def named(self, name: Name) -> SqlSession:
        """Give the handle of one session of a tenant."""
        ...

    async def read(self, unit: Callable[[Any], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that reads; its transaction ends with it."""
        ...

    async def write(self, unit: Callable[[Any], T], row: str, session_id: str | None = None) -> T:
        """Run a unit of work that writes; what it has not committed is rolled back."""
        ...

    async def store_commit(self, name: Name, commit: Commit) -> Receipt:
        """Store one commit atomically."""
        ...

    async def store_blobs(self, name: Name, blobs: dict[str, bytes]) -> None:
        """Store blobs by ref."""
        ...

    async def list_tenant(self, tenant: str, query: SessionQuery) -> SessionPage:
        """List a tenant's living sessions, ordered by id."""
        ...

    async def count_tenant(self, tenant: str) -> StoreStats:
        """Count what a tenant has, and the bytes of all."""
        ...

    async def migrate(self) -> None:
        """Bring the stored schema to this version."""
        ...


class SqlSession(KeptSession):
    """One session in a SQL database."""

    def __init__(self, backend: Database, session_id: str, tenant: str = "") -> None:
        self._backend: Database = backend
        self._id = session_id
        self._name = Name(tenant, session_id)

    async def head(self) -> Head | Absent | Deleted:
        """Read the head."""
        return await self._read(read_head, "head")

    async def commit(self, commit: Commit) -> Receipt:
        """Store one commit atomically."""
        if commit.session_id != self._id:
            raise SessionBindingMismatch(bound=self._id, requested=commit.session_id)
        return await self._backend.store_commit(self._name, commit)

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
        await self._backend.store_blobs(self._name, {blob_ref(body): body for body in bodies})
        return [blob_ref(body) for body in bodies]

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        """Read blobs by ref."""
        return await self._read(read_blobs, "blobs", refs=refs)

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        """Read commit records with a revision above ``after``, oldest first."""
        return await self._read(read_records, "commit records", after=after, limit=limit)

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
        return await self._read(read_lease, "lease")

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        """Take the lease and a new epoch."""
        return await self._write(take_lease, "lease", holder=holder, ttl=ttl, replacing=replacing)

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        """Extend the lease."""
        return await self._write(renew_lease, "lease", lease=lease, ttl=ttl)

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        await self._write(release_lease, "lease", lease=lease)

    async def _read(self, unit: Callable[..., T], row: str, **arguments: Any) -> T:
        return await self._backend.read(partial(unit, name=self._name, **arguments), row, self._id)

    async def _write(self, unit: Callable[..., T], row: str, **arguments: Any) -> T:
        return await self._backend.write(partial(unit, name=self._name, **arguments), row, self._id)


class TenantView(Upkeep):
    """One tenant's part of a database. Closing it closes nothing: it shares the connections."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    @property
    def name(self) -> str:
        """The URL with the tenant behind it, so that two tenants' sessions of one id are told apart."""
        own = f"#tenant={quote(self._tenant, safe='')}" if self._tenant else ""
        return self._database.name + own

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        return self._database.capabilities

    def tenant(self, name: str) -> TenantView:
        """Give the view of another tenant."""
        return TenantView(self._database, name)

    def session(self, session_id: str) -> SqlSession:
        """Give the handle of one session."""
        return self._database.named(Name(self._tenant, session_id))

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List the tenant's living sessions, ordered by id."""
        return await self._database.list_tenant(self._tenant, query)

    async def stats(self) -> StoreStats:
        """Count what the tenant has; the bytes on disk are those of the whole database."""
        return await self._database.count_tenant(self._tenant)

    async def migrate(self) -> None:
        """Bring the whole database's schema to this version."""
        await self._database.migrate()

    def _kept(self) -> tuple[Database, str]:
        return self._database, self._tenant

    async def close(self) -> None:
        """Do nothing: the database is closed by who opened it."""

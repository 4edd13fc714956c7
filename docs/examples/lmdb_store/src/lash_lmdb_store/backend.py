"""The store: which sessions there are, of which tenant, and what it declares about itself."""

from __future__ import annotations

from collections.abc import Callable

from lash_hookspecs.records.retention import CollectReport, ExpireReport, Progress, VacuumReport
from lash_hookspecs.records.store import SessionPage, SessionQuery, SessionRow, StoreCapabilities, StoreStats
from lash_hookspecs.store_checks import page_of
from lash_hookspecs.threads import in_thread

from lash_lmdb_store.database import Database
from lash_lmdb_store.retaining import RetainedLmdbSession
from lash_lmdb_store.rows import Life
from lash_lmdb_store.tables import Tables
from lash_lmdb_store.upkeep import Upkeep

__all__ = ["CAPABILITIES", "LmdbBackend"]


#: What the store declares; the kit proves it.
CAPABILITIES = StoreCapabilities(
    levels=frozenset({"core", "concurrent", "sharing", "retention"}), durability="host", tenants=True
)


class LmdbBackend:
    """A `StoreBackend` and a `TenantedBackend` (`lash_hookspecs.protocols.stores`).

    Args:
        database: The folder.
        clock: Judges leases and ages.
        capabilities: What the store declares about itself.
        tenant: Whose sessions these are.
    """

    def __init__(
        self, database: Database, clock: Callable[[], float], capabilities: StoreCapabilities, tenant: str = ""
    ) -> None:
        self._database, self._clock, self._capabilities = database, clock, capabilities
        self._tenant, self._tables = tenant, Tables(tenant)

    @property
    def name(self) -> str:
        """The URL, and behind it the tenant."""
        return f"lmdb:{self._database.place}" + (f"#{self._tenant}" if self._tenant else "")

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        return self._capabilities

    def tenant(self, name: str) -> LmdbBackend:
        """Give the view of one tenant; touches nothing."""
        return LmdbView(self._database, self._clock, self._capabilities, name)

    def session(self, session_id: str) -> RetainedLmdbSession:
        """Give the handle of one session; touches nothing."""
        return RetainedLmdbSession(self._database, self._tables, session_id, self._clock, self._capabilities)

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions; reads the heads of all."""
        return page_of(await in_thread(self._rows), query)

    async def stats(self) -> StoreStats:
        """Count what the tenant has; the bytes are those of the whole store."""
        return await in_thread(self._count)

    async def migrate(self) -> None:
        """Bring the stored schema to this version: there is only one."""

    async def vacuum(
        self,
        *,
        grace: float = 3600.0,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> VacuumReport:
        """Remove hidden nodes, graph by graph."""
        upkeep = self._upkeep(budget, progress, dry_run)
        return await in_thread(lambda: upkeep.vacuum(grace))

    async def gc(
        self,
        *,
        grace: float = 3600.0,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> CollectReport:
        """Remove blobs that nothing reaches."""
        upkeep = self._upkeep(budget, progress, dry_run)
        return await in_thread(lambda: upkeep.gc(grace))

    async def expire(
        self, *, now: int, budget: float | None = None, progress: Progress | None = None, dry_run: bool = False
    ) -> ExpireReport:
        """Delete the sessions whose time to live is over."""
        upkeep = self._upkeep(budget, progress, dry_run)
        return await in_thread(lambda: upkeep.expire(now))

    async def close(self) -> None:
        """Give back what was opened; may be called twice."""
        await in_thread(self._database.close)

    def _upkeep(self, budget: float | None, progress: Progress | None, dry_run: bool) -> Upkeep:
        return Upkeep(self._database, self.session, self._tables, self._clock, budget, progress, dry_run)

    def _rows(self) -> list[SessionRow]:
        now = self._clock()
        with self._database.reading() as txn:
            lives = [Life.of(key.hex(), row) for key, row in txn.scan(self._tables.lives())]
        return [SessionRow(life.head, life.lease(now)) for life in lives if life.head]

    def _count(self) -> StoreStats:
        sessions = len(self._rows())
        with self._database.reading() as txn:
            return StoreStats(
                sessions=sessions,
                nodes=len(txn.keys(self._tables.nodes())),
                commits=len(txn.keys(self._tables.records())),
                blobs=len(txn.keys(self._tables.blobs())),
                bytes_on_disk=self._database.size(),
            )


class LmdbView(LmdbBackend):
    """What a tenant sees; ends with the backend that gave it."""

    async def close(self) -> None:
        """Close nothing: the backend does."""

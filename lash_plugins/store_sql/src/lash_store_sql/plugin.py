"""The plugin: offers the stores for ``sqlite:``, ``postgresql:`` and ``postgres:`` URLs.

Importing this module loads neither the driver nor anything of the declaration; the first URL does.
"""

from __future__ import annotations

from lash_hookspecs.errors import PluginError
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Migration
from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores

__all__ = ["stores"]


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    """Offer SQLite and PostgreSQL."""
    return [
        StoreOffer(schemes=("sqlite",), open=_open_sqlite, migrate=_migrate_sqlite),
        StoreOffer(schemes=("postgresql", "postgres"), open=_open_postgres, migrate=_migrate_postgres),
    ]


async def _open_sqlite(url: str, create: bool) -> StoreBackend:
    from lash_store_sql.sqlite import open_sqlite

    return await open_sqlite(url, create)


async def _migrate_sqlite(url: str, dry_run: bool) -> Migration:
    from lash_store_sql.sqlite import migrate_sqlite

    return await migrate_sqlite(url, dry_run)


async def _open_postgres(url: str, create: bool) -> StoreBackend:
    _need_driver()
    from lash_store_sql.postgres.backend import open_postgres

    return await open_postgres(url, create)


async def _migrate_postgres(url: str, dry_run: bool) -> Migration:
    _need_driver()
    from lash_store_sql.postgres.backend import migrate_postgres

    return await migrate_postgres(url, dry_run)


def _need_driver() -> None:
    try:
        import psycopg  # noqa: F401  the store needs it, and its own error would not say how to get it
    except ImportError as error:
        raise PluginError(
            f"a PostgreSQL store needs the driver psycopg ({error}): pip install 'lash-store-sql[postgres]'"
        ) from error

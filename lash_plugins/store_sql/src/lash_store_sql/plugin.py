"""The plugin: offers the store for ``sqlite:`` URLs.

Importing this module loads neither the driver nor anything of the declaration; the first URL does.
"""

from __future__ import annotations

from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores

__all__ = ["stores"]


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    """Offer SQLite."""
    return [StoreOffer(schemes=("sqlite",), open=_open_sqlite)]


async def _open_sqlite(url: str, create: bool) -> StoreBackend:
    from lash_store_sql.sqlite import open_sqlite

    return await open_sqlite(url, create)

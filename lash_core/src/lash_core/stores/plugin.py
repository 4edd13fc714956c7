"""The in-memory store as a plugin."""

from __future__ import annotations

from lash_hookspecs.errors import ConfigurationError, redact_url
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores

from lash_core.stores.memory import MemoryBackend

__all__ = ["stores"]


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    """Offer ``memory:``."""
    return [StoreOffer(schemes=("memory",), open=_open)]


async def _open(url: str, create: bool) -> StoreBackend:
    if url.removeprefix("memory:").strip("/"):
        raise ConfigurationError(
            f"the store {redact_url(url)!r} takes nothing behind 'memory:'; each opening is a store of its own"
        )
    return MemoryBackend()

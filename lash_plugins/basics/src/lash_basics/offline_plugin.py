"""The plugin ``offline``: offers a model that needs no key and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs import implements
from lash_hookspecs.specs.offers import OfferContext, ProviderOffer, lash_offer_providers

if TYPE_CHECKING:
    from lash_hookspecs.protocols.models import ModelProvider


@implements(lash_offer_providers)
def providers(context: OfferContext) -> list[ProviderOffer]:
    """Offer the provider ``offline``."""
    return [ProviderOffer(names=("offline",), open=_open)]


def _open(name: str) -> ModelProvider:
    from lash_basics.offline import OfflineProvider

    return OfflineProvider()

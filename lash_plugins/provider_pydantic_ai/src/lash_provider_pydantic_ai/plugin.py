"""The offer: every provider that the manifest names. Importing it imports no provider library."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TYPE_CHECKING

from lash_hookspecs.markers import implements
from lash_hookspecs.specs.offers import OfferContext, ProviderOffer, lash_offer_providers

if TYPE_CHECKING:
    from lash_hookspecs.protocols.models import ModelProvider

__all__ = ["offered_names", "providers"]


def offered_names() -> tuple[str, ...]:
    """Read the names from the manifest, which is the only place that lists them."""
    manifest = resources.files(__package__).joinpath("lash-plugin.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(manifest)["offers"]["providers"])


def open_provider(name: str) -> ModelProvider:
    """Make the provider of one name; pydantic-ai is imported by its first call."""
    from lash_provider_pydantic_ai.provider import PydanticAIProvider

    return PydanticAIProvider(name)


@implements(lash_offer_providers)
def providers(context: OfferContext) -> list[ProviderOffer]:
    """Offer the services that pydantic-ai reaches."""
    return [ProviderOffer(names=offered_names(), open=open_provider)]

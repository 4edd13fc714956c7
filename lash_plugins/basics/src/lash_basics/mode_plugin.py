"""The plugin ``standard-mode``: offers the mode that asks, runs tools and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs import implements
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, lash_offer_modes

if TYPE_CHECKING:
    from lash_hookspecs.protocols.modes import ExecutionMode


@implements(lash_offer_modes)
def modes(context: OfferContext) -> list[ModeOffer]:
    """Offer the mode ``standard``."""
    return [ModeOffer(name="standard", build=_build)]


def _build() -> ExecutionMode:
    from lash_basics.standard_mode import StandardMode

    return StandardMode()

"""The plugin ``subprocess``."""

from __future__ import annotations

from functools import partial

from lash_hookspecs import implements
from lash_hookspecs.specs.offers import HostOffer, OfferContext, lash_offer_hosts

from lash_host_subprocess.host import SubprocessHost
from lash_host_subprocess.limits import ChildLimits

__all__ = ["hosts"]


@implements(lash_offer_hosts)
def hosts(context: OfferContext) -> list[HostOffer]:
    """Offer ``subprocess``, with the limits of ``[lash.plugin.subprocess]``."""
    limits = context.settings_as(ChildLimits)
    return [HostOffer(name="subprocess", build=partial(SubprocessHost, limits))]

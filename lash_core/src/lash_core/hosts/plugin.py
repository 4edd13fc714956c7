"""The embedded host, with tasks on the same loop, as a plugin."""

from __future__ import annotations

from lash_hookspecs.markers import implements
from lash_hookspecs.specs.offers import HostOffer, OfferContext, lash_offer_hosts

from lash_core.hosts.embedded import EmbeddedHost
from lash_core.hosts.local_tasks import LocalTaskHost

__all__ = ["EMBEDDED", "hosts"]

#: What runs where nobody names a host.
EMBEDDED = HostOffer(name="embedded", build=EmbeddedHost, tasks=LocalTaskHost)


@implements(lash_offer_hosts)
def hosts(context: OfferContext) -> list[HostOffer]:
    """Offer ``embedded``."""
    return [EMBEDDED]

"""A plugin with a store over LMDB (``--store lmdb:./sessions``) and a host that is nice (``--host nice``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.parse import parse_qsl

import attrs
from lash_hookspecs import implements
from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.specs.offers import HostOffer, OfferContext, StoreOffer, lash_offer_hosts, lash_offer_stores
from lash_hookspecs.threads import in_thread

from lash_lmdb_store.backend import CAPABILITIES, LmdbBackend
from lash_lmdb_store.database import Database
from lash_lmdb_store.host import NiceHost

__all__ = ["LmdbBackend", "NiceHost", "hosts", "open_lmdb", "stores"]

#: The most seconds for which another writer may be waited for.
LONGEST = 86_400


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    return [StoreOffer(schemes=("lmdb",), open=open_lmdb)]


@implements(lash_offer_hosts)
def hosts(context: OfferContext) -> list[HostOffer]:
    return [HostOffer(name="nice", build=NiceHost)]


async def open_lmdb(
    url: str,
    create: bool,
    *,
    clock: Callable[[], float] = time.time,
    crash_point: Callable[[str], None] = lambda step: None,
) -> LmdbBackend:
    """Open a URL such as ``lmdb:./sessions`` or ``lmdb:///srv/sessions?timeout=10``.

    Args:
        url: The scheme, a folder, and the options ``timeout`` (seconds for which another writer is
            waited for) and ``max_value`` (the most bytes of one value).
        create: Whether a store that is not there may be made.
        clock: Judges leases and ages; a seam for the conformance kit.
        crash_point: A seam for the conformance kit, which kills the process in it.
    """
    place, _, query = url.partition(":")[2].removeprefix("//").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    try:
        timeout, max_value = float(options.pop("timeout", "30")), int(options.pop("max_value", str(1 << 30)))
    except ValueError as error:
        raise ConfigurationError("the options 'timeout' and 'max_value' are numbers") from error
    if not 0 <= timeout <= LONGEST or max_value < 1:
        raise ConfigurationError(f"'timeout' is 0 to {LONGEST} seconds, 'max_value' at least one byte")
    if options:
        raise ConfigurationError(f"there is no option {min(options)!r}; there are 'timeout' and 'max_value'")
    capabilities = attrs.evolve(CAPABILITIES, max_value=max_value)
    opened = list[Database]()
    try:
        await in_thread(lambda: opened.append(Database(place, create, timeout, crash_point)))
    except asyncio.CancelledError:
        for database in opened:  # nobody else can close it
            await in_thread(database.close)
        raise
    return LmdbBackend(opened[0], clock, capabilities)

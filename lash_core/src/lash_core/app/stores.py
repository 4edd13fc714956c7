"""Stores by their URL."""

from __future__ import annotations

from lash_hookspecs.errors import UnknownName, redact_url
from lash_hookspecs.protocols.stores import StoreBackend

from lash_core.plugins.manager import PluginManager

__all__ = ["open_backend"]


async def open_backend(plugins: PluginManager, url: str, create: bool) -> StoreBackend:
    """Open a store by its URL.

    Raises:
        UnknownName: Nobody offers the scheme.
        StoreUnavailable: It cannot be opened.
    """
    scheme, colon, _rest = url.partition(":")
    if not colon or not scheme.replace("+", "").replace("-", "").isalnum():
        raise UnknownName(
            f"{redact_url(url)!r} is no store URL: it must begin with a scheme, such as sqlite:///file.db "
            f"(known: {', '.join(plugins.names('stores')) or 'none'})"
        )
    return await plugins.store(scheme).open(url, create)

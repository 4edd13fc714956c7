"""Stores by their URL."""

from __future__ import annotations

from lash_hookspecs.errors import ConfigurationError, UnknownName, redact_url
from lash_hookspecs.protocols.stores import StoreBackend, TenantedBackend
from lash_hookspecs.records.store import Migration
from lash_hookspecs.specs.offers import StoreOffer

from lash_core.plugins.manager import PluginManager

__all__ = ["migrate_backend", "of_tenant", "open_backend"]


def of_tenant(backend: StoreBackend, tenant: str) -> StoreBackend:
    """Give what a tenant has in a database; it is closed with the database.

    Raises:
        ConfigurationError: The store keeps no tenants apart.
    """
    if not tenant:
        return backend
    if not isinstance(backend, TenantedBackend):
        raise ConfigurationError(
            f"store {backend.name} keeps no tenants apart, so there is no tenant {tenant!r} in it: give each tenant a "
            "database, or use a store with the capability tenants"
        )
    return backend.tenant(tenant)


async def open_backend(plugins: PluginManager, url: str, create: bool) -> StoreBackend:
    """Open a store by its URL.

    Raises:
        UnknownName: Nobody offers the scheme.
        StoreUnavailable: It cannot be opened.
    """
    return await _offer(plugins, url).open(url, create)


async def migrate_backend(plugins: PluginManager, url: str, dry_run: bool) -> Migration | None:
    """Bring a store to this version's schema (S10), and say what that took.

    Returns:
        ``None`` for a store that has no schema.

    Raises:
        UnknownName: Nobody offers the scheme.
        StoreUnavailable: It cannot be reached, or its user may not do this.
        UnsupportedSchema: It is newer and this version cannot work with it.
    """
    migrate = _offer(plugins, url).migrate
    return await migrate(url, dry_run) if migrate is not None else None


def _offer(plugins: PluginManager, url: str) -> StoreOffer:
    scheme, colon, _rest = url.partition(":")
    if not colon or not scheme.replace("+", "").replace("-", "").isalnum():
        raise UnknownName(
            f"{redact_url(url)!r} is no store URL: it must begin with a scheme, such as sqlite:///file.db "
            f"(known: {', '.join(plugins.names('stores')) or 'none'})"
        )
    return plugins.store(scheme)

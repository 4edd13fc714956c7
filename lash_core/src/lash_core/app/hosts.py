"""Hosts by their name."""

from __future__ import annotations

from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.tasks import TaskHost

from lash_core.hosts.local_tasks import LocalTaskHost
from lash_core.hosts.plugin import EMBEDDED
from lash_core.plugins.manager import PluginManager

__all__ = ["chosen_host"]


def chosen_host(
    plugins: PluginManager, host: Host | str | None, tasks: TaskHost | None, name: str
) -> tuple[Host, TaskHost | None]:
    """Find where turns and background tasks run.

    Args:
        plugins: Who offers hosts.
        host: A name, or an object; ``None`` for the embedded one.
        tasks: Where background tasks run, if the caller says.
        name: What holders of tasks are called.

    Raises:
        UnknownName: Nobody offers the host; says what is on offer.
        ConfigurationError: It is neither a name nor a host.
    """
    if host is None or isinstance(host, str):
        offer = EMBEDDED if host is None else plugins.host(host)
        return offer.build(), tasks or (offer.tasks(name) if offer.tasks is not None else None)
    if not isinstance(host, Host):
        raise ConfigurationError(
            f"host cannot be {host!r}: give a name that a plugin offers, or an object that derives from "
            "lash_hookspecs.protocols.hosts.Host"
        )
    return host, tasks or (LocalTaskHost(name) if host.capabilities.own_process else None)

"""The core's own parts, offered through the same door as anybody's plugins."""

from __future__ import annotations

from lash_core.plugins.records import Builtin

__all__ = ["BUILTINS"]

BUILTINS = (
    Builtin(name="memory-store", target="lash_core.stores.plugin", offers={"stores": ("memory",)}),
    Builtin(name="embedded-host", target="lash_core.hosts.plugin", offers={"hosts": ("embedded",)}),
)

"""A plugin manager as data, so that another process builds the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lash_core.plugins.records import Builtin, PluginSettings

if TYPE_CHECKING:
    from lash_core.plugins.manager import PluginManager

__all__ = ["describe", "rebuilt"]


def describe(manager: PluginManager, *, secrets: bool) -> dict[str, Any] | None:
    """Tell how a manager is built, as JSON; ``None`` for one that was built from objects of this process.

    Args:
        manager: The manager.
        secrets: Whether the plugins' own tables are told.
    """
    if manager.found is None or not all(isinstance(part.target, str) for part in manager.found[1]):
        return None
    settings, builtins = manager.found
    told = _plain(settings)
    if not secrets:
        del told["tables"]
    return {"settings": told, "builtins": [_plain(part) for part in builtins]}


def rebuilt(document: Mapping[str, Any], tables: Mapping[str, Mapping[str, object]]) -> PluginManager:
    """Build the manager that was described.

    Args:
        document: What `describe` gave.
        tables: The plugins' own tables, where that left them out.
    """
    from lash_core.plugins.manager import PluginManager

    told = {"tables": tables, **document["settings"]}
    settings = PluginSettings(**{name: _value(value) for name, value in told.items()})
    builtins = [Builtin(**{name: _value(value) for name, value in part.items()}) for part in document["builtins"]]
    return PluginManager.discover(settings, builtins=builtins)


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in attrs.fields(type(value)) if field.init}


def _value(value: Any) -> Any:
    """Make what JSON has for a tuple one again; a plugin's own table is left as it is."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    return value

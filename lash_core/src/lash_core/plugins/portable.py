"""A plugin manager as data, so that another process builds the same one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lash_core.plugins.records import Builtin, PluginSettings

if TYPE_CHECKING:
    from lash_core.plugins.manager import PluginManager

__all__ = ["describe", "rebuilt"]

#: The settings that may hold secrets.
_SECRET = ("tables", "variables")

_PATHS = ("file", "local_plugins")


def describe(manager: PluginManager, *, secrets: bool) -> dict[str, Any] | None:
    """Tell how a manager is built, as JSON; ``None`` for one that was built from objects of this process.

    Args:
        manager: The manager.
        secrets: Whether the plugins' own settings are told.
    """
    if manager.found is None or not all(isinstance(part.target, str) for part in manager.found[1]):
        return None
    settings, builtins = manager.found
    told = _plain(settings)
    if not secrets:
        told = {name: value for name, value in told.items() if name not in _SECRET}
    return {"settings": told, "builtins": [_plain(part) for part in builtins]}


def rebuilt(document: Mapping[str, Any], own: PluginSettings | None) -> PluginManager:
    """Build the manager that was described.

    Args:
        document: What `describe` gave.
        own: This process's settings, for the plugins' own ones where that left them out.
    """
    from lash_core.plugins.manager import PluginManager

    told = {**({name: getattr(own, name) for name in _SECRET} if own else {}), **document["settings"]}
    settings = PluginSettings(**{name: _value(value, name in _PATHS) for name, value in told.items()})
    builtins = [Builtin(**{name: _value(value) for name, value in part.items()}) for part in document["builtins"]]
    return PluginManager.discover(settings, builtins=builtins)


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: _json(getattr(value, field.name)) for field in attrs.fields(type(value)) if field.init}


def _json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    return [_json(item) for item in value] if isinstance(value, tuple) else value


def _value(value: Any, is_path: bool = False) -> Any:
    """Make what JSON has for a tuple or a path one again; a plugin's own table is left as it is."""
    if isinstance(value, list):
        return tuple(_value(item, is_path) for item in value)
    if is_path and value is not None:
        return Path(value)
    if isinstance(value, dict):
        return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    return value

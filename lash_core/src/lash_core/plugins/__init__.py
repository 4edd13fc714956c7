"""The plugin manager: finds plugins without importing them, and imports exactly the one that is asked for."""

from __future__ import annotations

from lash_core.plugins.manager import PluginManager
from lash_core.plugins.manifest import Manifest
from lash_core.plugins.records import Builtin, PluginRecord, PluginSettings

__all__ = ["Builtin", "Manifest", "PluginManager", "PluginRecord", "PluginSettings"]

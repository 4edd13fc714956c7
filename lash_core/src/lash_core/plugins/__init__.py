"""The plugin manager: finds plugins without importing them, and imports exactly the one that is asked for."""

from __future__ import annotations

from lash_core.plugins.hook_calls import HookCall
from lash_core.plugins.manager import PluginManager
from lash_core.plugins.manifest import Manifest
from lash_core.plugins.records import Builtin, PluginRecord, PluginSettings
from lash_core.plugins.session_hooks import Denial, SessionHooks, SnapshotReport

__all__ = [
    "Builtin",
    "Denial",
    "HookCall",
    "Manifest",
    "PluginManager",
    "PluginRecord",
    "PluginSettings",
    "SnapshotReport",
    "SessionHooks",
]

"""Scripts for the offline model, and plugin managers that know what a test needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import calls_mode
from lash_basics import mode_plugin, offline_plugin
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager

__all__ = ["call", "plugins", "script"]


def script(folder: Path, *replies: dict[str, Any], name: str = "script.json") -> str:
    """Write a script and give the model that plays it."""
    path = folder / name
    path.write_text(json.dumps(replies), encoding="utf-8")
    return f"offline:{path}"


def call(tool: str, call_id: str | None = None, /, **arguments: Any) -> dict[str, Any]:
    """One tool call of a scripted reply."""
    return {"tool": tool, "arguments": arguments} | ({"call_id": call_id} if call_id is not None else {})


def plugins(*more: object) -> PluginManager:
    """The memory store, the standard mode, the calls mode, the offline models, and what else is given."""
    known: Sequence[object] = (*BUILTINS, mode_plugin, calls_mode, offline_plugin)
    return PluginManager.for_tests((*known, *more))

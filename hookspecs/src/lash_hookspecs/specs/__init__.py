"""Hook specifications, one file per subject."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

__all__ = ["MODULES", "all_specs"]

#: The files of this folder that specify hooks. A new one is added here.
MODULES = (
    "actions",
    "config",
    "events",
    "history",
    "models",
    "offers",
    "persistence",
    "prompts",
    "restore",
    "tools",
    "turns",
)


@cache
def all_specs() -> Mapping[str, Callable[..., Any]]:
    """Give every hook specification by its name; imports the modules the first time."""
    return {
        name: value
        for module in MODULES
        for name, value in vars(importlib.import_module(f"{__name__}.{module}")).items()
        if name.startswith("lash_") and callable(value)
    }

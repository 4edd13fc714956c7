"""The version of this distribution."""

from __future__ import annotations

import functools
import importlib.metadata

__all__ = ["DISTRIBUTION", "core_version"]

DISTRIBUTION = "lash-core"


@functools.cache
def core_version() -> str:
    """Give the installed version of lash-core; ``0+source`` when it runs from sources that nobody installed."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "0+source"

"""The version of this distribution, and that of the hook API which it implements."""

from __future__ import annotations

import functools
import importlib.metadata

__all__ = ["DISTRIBUTION", "HOOKSPEC_API", "core_version"]

DISTRIBUTION = "lash-core"

#: What this core publishes as the hook API that it implements. Of its own: the `lash_hookspecs` beside it may be newer,
#: and a plugin's requirement is compared with what the core can do (P9).
HOOKSPEC_API = "0.1"


@functools.cache
def core_version() -> str:
    """Give the installed version of lash-core; ``0+source`` when it runs from sources that nobody installed."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "0+source"

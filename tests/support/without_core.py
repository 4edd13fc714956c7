"""A pytest plugin: whoever imports lash_core is told that there is none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["Blocker"]


class Blocker(MetaPathFinder):
    """Finds nothing, and refuses what is the core's."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] == "lash_core":
            raise ModuleNotFoundError(f"No module named {fullname!r}: it is not installed here", name=fullname)
        return None


assert "lash_core" not in sys.modules, "somebody has imported it before this plugin was loaded"
sys.meta_path.insert(0, Blocker())

"""Who looked at the clock, at chance, at the environment or at the disk while a function ran."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["seen_by"]

#: Modules whose C functions see what a pure function does not.
_MODULES = {"time", "posix", "nt", "_socket", "_io", "io", "_random", "_uuid", "_thread", "_posixsubprocess"}

#: What of these says nothing of the world.
_HARMLESS = {"fspath", "allocate_lock", "get_ident", "RLock", "StringIO", "BytesIO"}

#: Classes whose C methods do the same.
_CHANCE = (random.Random,)
_CALENDAR = {"now", "utcnow", "today"}


def seen_by(work: Callable[[], object]) -> list[str]:
    """Run a function, and give what of the world it or anything below it has asked, in order.

    It is seen where Python calls a function in C: also through a name that was imported long before.
    """
    found: list[str] = []

    def look(frame: FrameType, happening: str, function: Any) -> None:
        if happening == "c_call" and (told := _told(function)):
            found.append(f"{told} at {frame.f_code.co_filename}:{frame.f_lineno}")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def _told(function: Any) -> str:
    name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or getattr(owner, "__name__", "")
    if isinstance(owner, _CHANCE):
        return f"random.{name}()"
    if isinstance(owner, type) and owner.__module__ == "datetime" and name in _CALENDAR:
        return f"{owner.__name__}.{name}()"
    return f"{module}.{name}()" if module in _MODULES and name not in _HARMLESS else ""

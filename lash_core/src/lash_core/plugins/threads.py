"""Names threads that a plugin began while a session was open, and left behind."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from lash_core.plugins.records import PluginRecord

__all__ = ["Threads"]

_log = logging.getLogger("lash.plugins")

#: Seconds that a thread has to end when its session was closed, and how often it is looked at.
_GRACE, _LOOKS = 0.1, 10

_OWN = "lash_core"


class Threads:
    """The threads that were there when each session of a manager was opened.

    Who began a thread cannot be asked; it is known by the code that it runs. It is taken to be a session's until every
    session is closed that was open when it began.
    """

    def __init__(self) -> None:
        self._open: WeakKeyDictionary[object, frozenset[threading.Thread]] = WeakKeyDictionary()
        self._named: WeakSet[threading.Thread] = WeakSet()

    def opened(self, session: object) -> None:
        """Note which threads there are."""
        self._open[session] = frozenset(threading.enumerate())

    async def closed(self, session: object, session_id: str, code: Iterable[tuple[str, PluginRecord]]) -> None:
        """Name the threads that plugins have left behind; each once.

        Args:
            session: What was given to `opened`.
            session_id: Its id.
            code: Modules, each with the plugin that it is of.
        """
        before = self._open.pop(session, None)
        if before is None or before.issuperset(threading.enumerate()):
            return
        owners = _owners(code)
        for _ in range(_LOOKS):
            left = self._left(before, owners)
            if not left:
                return
            await asyncio.sleep(_GRACE / _LOOKS)
        for thread, record in left.items():
            self._named.add(thread)
            _log.error(
                "%s: thread %r began while session %r was open and outlives it; end it in close()",
                record.label,
                thread.name,
                session_id,
            )

    def _left(
        self, before: frozenset[threading.Thread], owners: Mapping[str, PluginRecord]
    ) -> dict[threading.Thread, PluginRecord]:
        frames = sys._current_frames()
        left = {}
        for thread in threading.enumerate():
            may_be_others = any(thread not in there for there in self._open.values())
            if thread in before or thread in self._named or may_be_others or thread is threading.current_thread():
                continue
            owner = _owner(frames.get(thread.ident or 0), owners)
            if owner is not None:
                left[thread] = owner
        return left


def _owners(code: Iterable[tuple[str, PluginRecord]]) -> dict[str, PluginRecord]:
    found: dict[str, PluginRecord] = {}
    for module, record in code:
        found.setdefault(_package(module), record)
    return found


def _package(module: str) -> str:
    """Give what tells a plugin's code from another one's: the top-level package, in the core the module."""
    top = module.partition(".")[0]
    return module if top == _OWN else top


def _owner(frame: FrameType | None, owners: Mapping[str, PluginRecord]) -> PluginRecord | None:
    """Tell whose code a thread runs, whatever that has called."""
    while frame is not None:
        owner = owners.get(_package(frame.f_globals.get("__name__") or ""))
        if owner is not None:
            return owner
        frame = frame.f_back
    return None

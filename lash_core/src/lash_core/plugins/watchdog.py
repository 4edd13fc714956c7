"""Names a hook that blocks the event loop; nothing in the process can stop it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from lash_core.plugins.threads import Threads

if TYPE_CHECKING:
    from lash_core.plugins.calls import Handler

__all__ = ["Watchdog"]

_log = logging.getLogger("lash.plugins")

#: Seconds that a hook may keep the loop to itself.
LIMIT = 1.0

#: The thread ends after so many looks without a hook running, and is started again when one does.
_IDLE_LOOKS = 20

_Step = tuple["Handler", float]


class Watchdog:
    """Looks from a thread of its own at what runs on the event loops.

    Attributes:
        threads: The threads that plugins begin themselves.
    """

    def __init__(self) -> None:
        self.threads = Threads()
        self._running: dict[int, _Step | None] = {}
        self._watches = 0  # the process in which the thread looks; a fork has none
        self._starting = threading.Lock()

    def enter(self, handler: Handler) -> _Step | None:
        """Note that an implementation begins or goes on in this thread; what to give to `leave`."""
        thread = threading.get_ident()
        before = self._running.get(thread)
        self._running[thread] = handler, time.monotonic()
        if self._watches != os.getpid():
            self._start()
        return before

    def leave(self, before: _Step | None) -> None:
        """Note that it ended or suspended."""
        self._running[threading.get_ident()] = before

    def _start(self) -> None:
        with self._starting:
            if self._watches != os.getpid():
                self._watches = os.getpid()
                threading.Thread(target=self._watch, name="lash-watchdog", daemon=True).start()

    def _watch(self) -> None:
        told: dict[int, _Step] = {}
        idle = 0
        while idle < _IDLE_LOOKS:
            time.sleep(LIMIT / 2)
            running = {thread: step for thread, step in list(self._running.items()) if step}
            idle = 0 if running else idle + 1
            for thread, step in running.items():
                if told.get(thread) is not step and time.monotonic() - step[1] >= LIMIT:
                    told[thread] = step
                    _tell(step[0], thread)
        self._watches = 0  # a hook that began this very moment is not watched, and the next one is


def _tell(handler: Handler, thread: int) -> None:
    frame = sys._current_frames().get(thread)
    where = f", in {frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})" if frame else ""
    blocks = f"has blocked the event loop for {LIMIT:g} s{where}; await, or use asyncio.to_thread"
    _log.error("%s", handler.told(blocks))

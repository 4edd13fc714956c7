"""Readers of a turn's events: one that fails harms no turn (T9)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from lash_hookspecs.records.events import Event

__all__ = ["heard_by"]

_log = logging.getLogger("lash.runtime")


def heard_by(reader: Callable[[Event], None]) -> Callable[[Event], None]:
    """Give events to a reader until it raises; that is logged, and it gets no more of them."""
    listening = True

    def emit(event: Event) -> None:
        nonlocal listening
        if not listening:
            return
        try:
            reader(event)
        except Exception:  # noqa: BLE001 - a reader is a stranger's code
            listening = False
            _log.exception("a reader of the turn's events failed at %s, and gets no more of them", event.type)

    return emit

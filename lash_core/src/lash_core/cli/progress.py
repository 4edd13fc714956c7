"""Telling how far a command is, on stderr, once it takes longer than a second."""

from __future__ import annotations

import time

from lash_core.cli.output import to_stderr

__all__ = ["TellProgress"]

#: Seconds after which, and between which, it is said.
_PATIENCE = 1.0


class TellProgress:
    """A `lash_hookspecs.records.retention.Progress`: says every second how far it is."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Say it if a second has passed since it was said."""
        now = time.monotonic()
        if now - self._said < _PATIENCE:
            return
        self._said = now
        to_stderr(f"lash: {what}: {done:,}" + (f" of {total:,}" if total is not None else ""))

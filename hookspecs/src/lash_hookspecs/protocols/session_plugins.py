"""What lives as long as an open session: an object that a plugin's offer makes (P12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import JsonValue

__all__ = ["SessionPlugin"]


class SessionPlugin(Protocol):
    """A plugin's part of one open session, with what it wants to be kept with the session (P10).

    Its methods that are marked with `handles` are called beside the plugin's module-level functions. A class that
    inherits from this one keeps nothing and has nothing to close, unless it says otherwise.
    """

    @property
    def schema_version(self) -> int:
        """The version of what `snapshot` gives, from 1. Raise it when an older plugin could not read that."""
        return 1

    def snapshot(self) -> JsonValue:
        """Give what must survive, ``None`` for nothing. Called at each commit: return at once, and wait for nothing.

        It changes nothing, and what was given stays as it was when the part goes on: give a copy.
        """
        return None

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        """Take up what was kept; called once, before any handler.

        Args:
            schema_version: The version that wrote it, never newer than this one's; an older one is upgraded here.
                0 when nothing is kept.
            snapshot: What `snapshot` gave; ``None`` when nothing is kept.
        """
        return

    async def close(self) -> None:
        """Let go of what it holds; called when the session closes or cannot be opened, also before `restore`.

        May be called twice.
        """
        return

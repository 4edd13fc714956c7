"""One write at a time in a runtime: a turn, a branch, a deletion."""

from __future__ import annotations

import asyncio

from lash_hookspecs.errors import SessionBusy, SessionError
from lash_hookspecs.records.store import Holder

__all__ = ["WriteSlot"]


class WriteSlot:
    """Held with ``async with`` while something writes; a second taker is refused.

    Attributes:
        cancelled: Whether what holds the slot was asked to end.
        closed: Whether nothing may take it any more.
    """

    def __init__(self, session_id: str, holder: Holder) -> None:
        """Make a free slot of a session's runtime."""
        self.cancelled = False
        self.closed = False
        self._session_id = session_id
        self._holder = holder
        self._free = asyncio.Event()
        self._free.set()

    @property
    def taken(self) -> bool:
        """Whether something writes."""
        return not self._free.is_set()

    async def wait(self) -> None:
        """Wait until nothing writes."""
        await self._free.wait()

    async def __aenter__(self) -> None:
        if self.closed:
            raise SessionError(f"session {self._session_id!r} was closed; open it again", session_id=self._session_id)
        if self.taken:
            raise SessionBusy(
                f"a turn of session {self._session_id!r} runs in this process already; wait until it ends",
                session_id=self._session_id,
                holder=self._holder,
            )
        self._free.clear()
        self.cancelled = False

    async def __aexit__(self, *exc: object) -> None:
        self._free.set()

"""One write at a time in a runtime: a turn, a branch, a deletion."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, Token

from lash_hookspecs.errors import SessionBusy, SessionError
from lash_hookspecs.records.store import Holder

__all__ = ["WriteSlot"]


#: The write that what runs here belongs to; what a hook or a tool starts inherits it.
_write: ContextVar[object] = ContextVar("lash_write", default=None)


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
        self._hold: object = None
        self._outer: Token[object] | None = None

    @property
    def taken(self) -> bool:
        """Whether something writes."""
        return not self._free.is_set()

    @property
    def is_held_here(self) -> bool:
        """Whether what asks runs in what holds the slot: a hook or a tool of a turn. It cannot wait for its own end."""
        return self._hold is not None and _write.get() is self._hold

    async def wait(self) -> None:
        """Wait until nothing writes."""
        await self._free.wait()

    def refuse_closed(self) -> None:
        """Hold whoever would change something to the session being open.

        Raises:
            SessionError: It was closed.
        """
        if self.closed:
            raise SessionError(f"session {self._session_id!r} was closed; open it again", session_id=self._session_id)

    async def __aenter__(self) -> None:
        self.refuse_closed()
        if self.taken:
            raise SessionBusy(
                f"a turn of session {self._session_id!r} runs in this process already; wait until it ends",
                session_id=self._session_id,
                holder=self._holder,
            )
        self._free.clear()
        self.cancelled = False
        self._hold = object()
        self._outer = _write.set(self._hold)

    async def __aexit__(self, *exc: object) -> None:
        self._free.set()
        self._hold = None
        if self._outer is not None:
            _write.reset(self._outer)
            self._outer = None

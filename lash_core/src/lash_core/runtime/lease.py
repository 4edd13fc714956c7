"""The lease of a turn: taken before its first write, renewed while it runs (S5)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from lash_hookspecs.errors import LashError, SessionBusy, SessionLeased, StoreBusy
from lash_hookspecs.protocols.stores import LeasedStore, SessionStore
from lash_hookspecs.records.store import Holder, Lease

from lash_core.process import is_gone
from lash_core.runtime.environment import RuntimeEnvironment

__all__ = ["HeldLease", "is_live", "read_lease", "take_lease"]


def is_live(lease: Lease | None) -> bool:
    """Tell whether somebody works under a lease: it has not expired and its process is not known to be dead."""
    return lease is not None and lease.expires_in > 0 and not is_gone(lease.holder)


async def read_lease(store: SessionStore) -> Lease | None:
    """Read a session's lease; ``None`` from a store that has none."""
    return await store.lease() if isinstance(store, LeasedStore) else None


class HeldLease:
    """A lease that is renewed until it is released.

    Attributes:
        epoch: The fencing number that came with it.
        replaced: That of the lease that it took the place of, if there was one.
    """

    def __init__(self, store: LeasedStore, lease: Lease, ttl: float, replaced: int | None = None) -> None:
        self.epoch = lease.epoch
        self.replaced = replaced
        self._store = store
        self._lease = lease
        self._ttl = ttl
        self._lost: Callable[[LashError], None] = _ignore
        self._renewing: asyncio.Task[None] | None = None

    def keep(self, lost: Callable[[LashError], None]) -> None:
        """Renew from now on; ``lost`` (the one given last) is called once if somebody else has taken the lease."""
        self._lost = lost
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def rest(self) -> None:
        """Stop renewing, and keep the lease until it expires: somebody is about to take it over."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None

    def go_on_as(self, later: HeldLease) -> None:
        """Be a lease that was taken after this one, from now on."""
        self._lease, self.epoch, self.replaced = later._lease, later.epoch, later.replaced

    async def release(self) -> None:
        """Stop renewing and give the lease back, even if the caller is cancelled meanwhile."""
        await _to_its_end(self._release())

    async def _release(self) -> None:
        await self.rest()
        await self._store.release_lease(self._lease)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / 3)
            try:
                self._lease = await self._store.renew_lease(self._lease, self._ttl)
            except StoreBusy:
                continue  # there are two more tries before it expires
            except LashError as error:
                self._lost(error)
                return


async def take_lease(
    session_id: str, store: SessionStore, holder: Holder, env: RuntimeEnvironment, *, handed: int | None = None
) -> HeldLease | None:
    """Take the lease if it is free, expired, or its holder is dead; ``None`` from a store that has none.

    Args:
        session_id: The session.
        store: Its store.
        holder: Who takes it.
        env: Says for how long.
        handed: The epoch of a living holder that has handed the session over.

    Raises:
        SessionBusy: Somebody works on the session; nothing was written.
    """
    if not isinstance(store, LeasedStore):
        return None
    found = await store.lease()
    mine = found is not None and (found.holder.instance == holder.instance or found.epoch == handed)
    if found is not None and is_live(found) and not mine:
        raise _busy(session_id, found.holder)
    taking = asyncio.create_task(store.take_lease(holder, env.lease_ttl, replacing=found.epoch if found else None))
    try:
        lease = await asyncio.shield(taking)
    except asyncio.CancelledError:  # the store may have given it all the same, and nobody would work under it
        await _to_its_end(_give_back(store, taking))
        raise
    except SessionLeased as error:
        raise _busy(session_id, error.holder) from error
    return HeldLease(store, lease, env.lease_ttl, found.epoch if found else None)


async def _give_back(store: LeasedStore, taking: asyncio.Task[Lease]) -> None:
    with contextlib.suppress(LashError):
        await store.release_lease(await taking)


#: What gives a lease back although its caller was cancelled; held here, or it might be collected before its end.
_ending: set[asyncio.Task[None]] = set()


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _ending.add(task)
    task.add_done_callback(_ended)
    await asyncio.shield(task)


def _ended(task: asyncio.Task[None]) -> None:
    _ending.discard(task)
    if not task.cancelled():
        task.exception()  # where nobody waits any more nobody is told: the lease expires by itself


def _ignore(error: LashError) -> None:
    """Nobody runs under the lease at this moment; the next commit is refused all the same."""


def _busy(session_id: str, holder: Holder) -> SessionBusy:
    return SessionBusy(
        f"a turn of session {session_id!r} runs in {holder.describe()}; wait until it ends, or use another session",
        session_id=session_id,
        holder=holder,
    )

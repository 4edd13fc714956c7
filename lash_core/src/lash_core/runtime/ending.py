"""How an open session ends: saved, parked, closed, deleted (L6, L12)."""

from __future__ import annotations

import contextlib
import logging

from lash_hookspecs.errors import LashError, SessionBusy, SessionMissing
from lash_hookspecs.specs.events import SessionClosed, lash_on_session_closed

from lash_core.runtime.handoffs import relink_around
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.resident import Change

__all__ = ["close", "delete", "end", "save"]

_log = logging.getLogger("lash.runtime")


async def save(session: OpenSession, *, always: bool) -> None:
    """Commit what waits for a commit.

    Args:
        session: The session.
        always: Whether to make a commit even if nothing waits, as long as nobody else works on the session.

    Raises:
        SessionBusy: Something waits, and somebody else works on the session.
        StoreError: The commit failed.
    """
    if not always and not await _owes_anything(session):
        return
    try:
        async with session.writing():
            is_stored = session.resident.head is not None
            if session.unsaved or (always and is_stored) or (not is_stored and _would_be_lost(session)):
                document = session.document.evolve(config=session.config)
                await session.commit(Change(step="park", document=document))
    except SessionBusy:
        if session.slot.taken or session.unsaved:
            raise


async def flush(session: OpenSession) -> None:
    """Commit usage and events that nothing has committed yet; what cannot be is logged, for the end must come."""
    if not session.waiting:
        return
    try:
        async with session.writing():
            if session.waiting:  # a commit whose answer was lost may be stored
                await session.commit(Change(step="close", document=session.document))
    except LashError as error:
        _log.warning("what session %s had not committed yet is lost: %s", session.session_id, error)


async def close(session: OpenSession) -> None:
    """Close the children that the session holds, commit what it owes, and end it; all of it, whatever goes wrong."""
    async with contextlib.AsyncExitStack() as closing:  # the last one entered is closed first
        closing.push_async_callback(end, session, parked=False)
        closing.push_async_callback(flush, session)
        for child in list(session.children.values()):
            closing.push_async_callback(child.close)


async def end(session: OpenSession, *, parked: bool) -> None:
    """Close the children that the session holds, its tasks and its plugins; nothing takes the slot after it."""
    session.slot.closed = True
    async with contextlib.AsyncExitStack() as closing:  # the last one entered is closed first
        closing.push_async_callback(session.parts.close)
        told = SessionClosed(session_id=session.session_id, parked=parked)
        closing.push_async_callback(session.parts.hooks.notify, lash_on_session_closed, told)
        for child in list(session.children.values()):
            closing.push_async_callback(child.close)
        if session.tasks is not None:
            closing.push_async_callback(session.tasks.close)


async def delete(session: OpenSession) -> None:
    """Delete the session; a chain of handoffs through it is closed around the gap first (H3), its tasks are cancelled.

    Raises:
        SessionMissing: It was never committed.
        SessionBusy: A turn of it runs, or of a neighbour in the chain; nothing was deleted.
    """
    async with session.slot:
        await session.resident.refresh()
        if session.resident.head is None:
            raise SessionMissing(f"there is no session {session.session_id!r}", session_id=session.session_id)
        async with session.leased():
            await relink_around(session)
            await session.store.delete(incarnation=session.resident.writer.incarnation, deleted_at=session.env.clock())
            await session.refresh()
            session.write_off()
    await session.stop_tasks()


async def _owes_anything(session: OpenSession) -> bool:
    """Whether a commit would store anything; seen without the lease, so that who has nothing to say writes nothing."""
    if session.written_off:
        return False
    await session.catch_up()
    return session.unsaved


def _would_be_lost(session: OpenSession) -> bool:
    """Whether a session that was never committed has more to it than its handle tells."""
    spec = session.spec
    return any((spec.instructions, spec.model_settings, spec.mode_options, spec.labels))

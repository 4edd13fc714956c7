"""How an open session ends: saved, parked, closed, deleted (L6, L12)."""

from __future__ import annotations

import contextlib
import logging

from lash_hookspecs.errors import ConfigurationError, LashError, SessionBusy, SessionMissing
from lash_hookspecs.protocols.retention import RetainedSession
from lash_hookspecs.records.retention import DeleteReport
from lash_hookspecs.records.store import Head
from lash_hookspecs.specs.events import SessionClosed, lash_on_session_closed

from lash_core.process import this_process
from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.handoffs import relink_around
from lash_core.runtime.lease import is_live, read_lease, take_lease
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.resident import Change
from lash_core.runtime.session_stores import find_store

__all__ = ["close", "delete", "delete_unreadable", "end", "save"]

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


async def delete(session: OpenSession, *, with_forks: bool = False) -> DeleteReport | None:
    """Delete the session; a chain of handoffs through it is closed around the gap first (H3), its tasks are cancelled.

    Args:
        session: The session.
        with_forks: Delete the sessions that stand on its nodes, too.

    Returns:
        What went and what stays; ``None`` from a store that does not tell.

    Raises:
        ConfigurationError: The store cannot delete forks.
        SessionMissing: It was never committed.
        SessionBusy: A turn of it runs, or of a neighbour in the chain; nothing was deleted.
    """
    async with session.slot:
        await session.resident.refresh()
        if session.resident.head is None:
            raise SessionMissing(f"there is no session {session.session_id!r}", session_id=session.session_id)
        async with session.leased():
            await relink_around(session)
            report = await _erase(session, with_forks)
            await session.refresh()
            session.write_off()
    await session.stop_tasks()
    return report


async def delete_unreadable(session_id: str, env: RuntimeEnvironment) -> None:
    """Delete a session that cannot be opened, under its lease; no chain of handoffs is closed around it.

    Raises:
        SessionMissing: There is none.
        SessionBusy: A turn of it runs; nothing was deleted.
    """
    assert env.store is not None
    store = env.store.session(session_id)
    head = await store.head()
    if not isinstance(head, Head):
        raise SessionMissing(f"there is no session {session_id!r}", session_id=session_id)
    lease = await take_lease(session_id, store, this_process(env.name), env)
    try:
        await store.delete(incarnation=head.incarnation, deleted_at=env.clock())
    finally:
        if lease is not None:
            await lease.release()


async def _erase(session: OpenSession, with_forks: bool) -> DeleteReport | None:
    store, incarnation, now = session.store, session.resident.writer.incarnation, session.env.clock()
    if not isinstance(store, RetainedSession):
        if with_forks:
            raise ConfigurationError(
                f"the store of session {session.session_id!r} does not keep level 'retention': delete its forks one by "
                "one",
                session_id=session.session_id,
            )
        await store.delete(incarnation=incarnation, deleted_at=now)
        return None
    if with_forks:
        tried = await store.erase(incarnation=incarnation, deleted_at=now, with_forks=True, dry_run=True)
        for fork in tried.session_ids[1:]:
            lease = await read_lease(await find_store(session, fork))
            if lease is not None and is_live(lease):
                raise SessionBusy(
                    f"a turn of session {fork!r} runs in {lease.holder.describe()}; nothing was deleted",
                    session_id=fork,
                    holder=lease.holder,
                )
    return await store.erase(incarnation=incarnation, deleted_at=now, with_forks=with_forks)


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

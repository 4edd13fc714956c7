"""Chains of handoffs: A was handed off to B, B to C; who works now, and how a chain stays whole (H3)."""

from __future__ import annotations

from collections.abc import Callable

from lash_hookspecs.errors import InvalidInput, SessionError, SuccessorMissing
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.events import HandedOff
from lash_hookspecs.records.state import HeadDocument, PluginFingerprint
from lash_hookspecs.records.store import Head, StreamEntry

from lash_core.runtime.lease import take_lease
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.reading import read_record
from lash_core.runtime.resident import Change, ResidentSession, read_document
from lash_core.runtime.session_stores import find_store
from lash_core.runtime.waiting import HANDOFFS

__all__ = ["check_successor", "end_of_chain", "hand_off", "handed_off", "relink_around"]


async def end_of_chain(session: OpenSession) -> str:
    """Follow the handoffs of a session to the one that works now.

    Raises:
        SuccessorMissing: One of them is gone, or they go in a circle.
    """
    seen = [session.session_id]
    successor = session.document.successor
    while successor is not None:
        if successor in seen:
            raise SuccessorMissing(
                f"the handoffs of session {seen[0]!r} go in a circle: {' → '.join([*seen, successor])}",
                session_id=seen[0],
            )
        seen.append(successor)
        head = await (await find_store(session, successor)).head()
        if not isinstance(head, Head):
            raise SuccessorMissing(
                f"session {seen[-2]!r} was handed off to {successor!r}, which is not there any more",
                session_id=seen[0],
            )
        successor = read_document(head).successor
    return seen[-1]


async def check_successor(session: OpenSession, successor: str) -> None:
    """Find out whether a stored session can take over from this one.

    Raises:
        InvalidInput: It is this one, it is not stored, or its own handoffs lead back here.
        SessionError: Another one has taken over already.
    """
    if session.successor not in (None, successor):
        raise handed_off(session)
    seen: list[str] = []
    at: str | None = successor
    while at is not None:
        if at == session.session_id or at in seen:
            raise InvalidInput(
                f"session {successor!r} cannot take over from {session.session_id!r}: the handoffs would go in a circle"
            )
        head = await (await find_store(session, at)).head()
        if not isinstance(head, Head):
            raise InvalidInput(
                f"session {successor!r} cannot take over from {session.session_id!r}: session {at!r} is not stored"
            )
        seen.append(at)
        at = read_document(head).successor


async def hand_off(session: OpenSession, successor: str) -> None:
    """Let a session point to its successor: with the next commit of the turn that runs, else by one of its own.

    In a turn it is durable at once, in a stream.

    Raises:
        SessionError: It was handed off to another one meanwhile.
        StoreError: The commit failed; the session is not handed off.
    """
    if session.slot.taken:
        entry = 0
        if session.resident.head is not None:  # whoever goes on with the turn after this process must know
            line = StreamEntry(successor, b"")
            [entry] = await session.store.append(HANDOFFS, [line], writer=session.resident.writer)
        session.waiting.link(successor, entry)
        return
    async with session.writing():
        if session.successor is not None:
            raise handed_off(session)
        document = session.document.evolve(successor=successor)
        await session.commit(Change(step="handoff", document=document, events=(HandedOff(successor=successor),)))


def handed_off(session: OpenSession) -> SessionError:
    """Give the error of a session that is handed off once more."""
    return SessionError(
        f"session {session.session_id!r} was handed off to {session.successor!r} already; start the new one from there",
        session_id=session.session_id,
    )


async def relink_around(session: OpenSession) -> None:
    """Close the chain around a session that is about to be deleted: who handed off to it hands off to who follows.

    Raises:
        SessionBusy: Somebody works on a neighbour; nothing was deleted.
    """
    link, follower = session.document.parent, session.document.successor
    if link is None or link.relation != "handoff":
        return

    def point_on(document: HeadDocument) -> HeadDocument:
        return document.evolve(successor=follower) if document.successor == session.session_id else document

    def point_back(document: HeadDocument) -> HeadDocument:
        back = document.parent
        if back is None or back.session_id != session.session_id:
            return document
        return document.evolve(parent=back.evolve(session_id=link.session_id))

    await _relink(session, link.session_id, point_on)
    if follower is not None:
        await _relink(session, follower, point_back)


async def _relink(session: OpenSession, neighbour: str, change: Callable[[HeadDocument], HeadDocument]) -> None:
    """Change where a stored neighbour points; nothing happens to one that is gone."""
    store = await find_store(session, neighbour)
    if not isinstance(await store.head(), Head):
        return
    lease = await take_lease(neighbour, store, session.holder, session.env)
    try:
        resident = ResidentSession(neighbour, store, session.env)
        head = await resident.refresh()
        if not isinstance(head, Head):
            return
        resident.epoch = lease.epoch if lease is not None else head.epoch
        document = change(resident.document)
        if document != resident.document:
            plugins = await _plugins_of(store, head)
            await resident.commit(Change(step="relink", document=document, plugins=plugins))
    finally:
        if lease is not None:
            await lease.release()


async def _plugins_of(store: SessionStore, head: Head) -> tuple[PluginFingerprint, ...]:
    """Give the plugins of a session's last commit: nobody of them takes part in a relinking (P8)."""
    records = await store.records(after=head.revision - 1, limit=1)
    return read_record(records[0]).plugins if records else ()

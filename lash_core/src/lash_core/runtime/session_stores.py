"""Where the sessions are that another one starts, follows or reports to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import ConfigurationError, LashError, SessionBindingMismatch
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.store import Head

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["SessionStoreRequest", "find_store", "guided", "store_for"]

#: What to do about a factory that gives the wrong store.
_GUIDANCE = "RuntimeEnvironment.session_store_factory must give each session a store of its own"


@attrs.frozen(kw_only=True)
class SessionStoreRequest:
    """Another session's store is needed; what `RuntimeEnvironment.session_store_factory` is asked with.

    Attributes:
        session_id: The session; the store must be bound to it.
        parent_session_id: The session that starts it or follows it.
    """

    session_id: str
    parent_session_id: str


async def find_store(session: OpenSession, session_id: str) -> SessionStore:
    """Give the store of another session, which may be stored or not: an open one's, the database's, or the factory's.

    Raises:
        ConfigurationError: The session was opened with a store of its own, and nobody says where others are.
        SessionBindingMismatch: The factory gave somebody else's store.
    """
    if session_id == session.session_id:
        return session.store
    for open_one in (*(child.runtime.session for child in session.children.values()), session.reports_to):
        if open_one is not None and open_one.session_id == session_id:
            return open_one.store
    if session.env.session_store_factory is None:
        return await store_for(session, session_id)
    if session.env.store is not None:
        store = session.env.store.session(session_id)
        if isinstance(await store.head(), Head):
            return store
    return await store_for(session, session_id)


async def store_for(session: OpenSession, session_id: str) -> SessionStore:
    """Give the store that a new session begins in: the factory's, else the one of the same database.

    Raises:
        ConfigurationError: The session was opened with a store of its own, and nobody says where others are.
        SessionBindingMismatch: The factory gave somebody else's store.
    """
    factory = session.env.session_store_factory
    if factory is None:
        if session.has_own_store and session.env.store is None:
            raise ConfigurationError(
                f"session {session.session_id!r} was opened with a store of its own, so there is none for session "
                f"{session_id!r}: set RuntimeEnvironment.session_store_factory, or open it in a database",
                session_id=session.session_id,
            )
        return session.backend.session(session_id)
    request = SessionStoreRequest(session_id=session_id, parent_session_id=session.session_id)
    try:
        store = await factory(request)
        found = await store.head()
    except LashError:
        raise
    except Exception as error:  # an app's own code
        raise ConfigurationError(
            f"the session_store_factory gave no store for session {session_id!r}: {type(error).__name__}: {error}",
            session_id=session.session_id,
        ) from error
    if store is session.store:
        raise SessionBindingMismatch(bound=session.session_id, requested=session_id, guidance=_GUIDANCE)
    if isinstance(found, Head) and found.session_id != session_id:
        raise SessionBindingMismatch(bound=found.session_id, requested=session_id, guidance=_GUIDANCE)
    return store


def guided(mismatch: SessionBindingMismatch) -> SessionBindingMismatch:
    """Add to a store's refusal of a new session what to do about it."""
    return SessionBindingMismatch(bound=mismatch.bound, requested=mismatch.requested, guidance=_GUIDANCE)

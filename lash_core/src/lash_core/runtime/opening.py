"""How a session is opened, whichever door it comes by (L1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError, PolicyError, SessionBindingMismatch, SessionExists, StoreRegressed
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.state import ParentLink
from lash_hookspecs.specs.events import SessionRestored, lash_on_session_restored

from lash_core.runtime.beginnings import begin_with
from lash_core.runtime.environment import Residency, RuntimeEnvironment
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.orders import refuse_unportable
from lash_core.runtime.policy import SessionSpec, check_spec
from lash_core.runtime.resident import ResidentSession
from lash_core.runtime.state import PersistedSessionState, check_graph
from lash_core.runtime.text import check_session_id
from lash_core.stores.memory import MemoryBackend

__all__ = ["Store", "checked_ttl", "open_session", "require_store", "require_tasks"]

#: Where a session is opened: its own store, or a database.
Store = SessionStore | StoreBackend

#: A thousand years, in seconds: more than any store's clock can add.
_MAX_TTL = 1000 * 365 * 86_400.0


async def open_session(
    env: RuntimeEnvironment,
    spec: SessionSpec,
    state: PersistedSessionState | None = None,
    store: Store | None = None,
    *,
    parent: ParentLink | None = None,
    first: Callable[[OpenSession], Awaitable[None]] | None = None,
) -> OpenSession:
    """Open a session in the documented order; every door ends here.

    Args:
        env: Shared services.
        spec: Which session, and what the caller sets for it.
        state: What the session is, if the caller brings that.
        store: The session's own store, or a database; else the environment's.
        parent: For a new session, where it comes from.
        first: For a new session, makes its first commit.

    Raises:
        LashError: As `LashRuntime.from_environment` says. Nothing stays open.
    """
    if store is not None and not isinstance(store, SessionStore):
        env, store = env.evolve(store=store), None
    if env.residency is Residency.ACTIVE_PATH_ONLY and store is None and env.store is None:
        raise ConfigurationError("Residency.ACTIVE_PATH_ONLY needs a store: what is not resident must be somewhere")
    refuse_unportable(env, store)
    session_id = check_session_id(spec.session_id or (state.session_id if state else ""))
    spec = attrs.evolve(spec, session_id=session_id)
    check_spec(spec)
    backend = env.store or MemoryBackend()
    durable = backend.capabilities.durability != "none" if store is None else True
    resident = ResidentSession(session_id, store or backend.session(session_id), env)
    resident.labels = spec.labels if spec.labels is not None or state is None else dict(state.labels)
    resident.ttl = checked_ttl(session_id, spec.ttl, backend)
    resident.document = resident.document.evolve(parent=parent)
    session = OpenSession(env, spec, resident, backend, durable=durable, has_own_store=store is not None)
    try:
        await session.open()
        document = session.document.evolve(config=session.config)
        resident.tracer.session_opened(resident.head, document, backend.name)
        if state is not None:
            await _take_up(session, state)
        if first is not None:
            await first(session)
        await _announce(session)
    except BaseException:
        await session.give_up()
        raise
    return session


def checked_ttl(session_id: str, ttl: float | None, backend: StoreBackend) -> float | None:
    """Check how long a session is to be kept after its last commit; ``None`` leaves what is stored.

    Raises:
        PolicyError: It is no number of seconds.
        ConfigurationError: The store deletes nothing by itself.
    """
    if ttl is None:
        return None
    given: Any = ttl
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= _MAX_TTL:
        raise PolicyError(f"ttl cannot be {ttl!r}: it must be seconds, or 0 for never", session_id=session_id)
    if ttl and "retention" not in backend.capabilities.levels:
        raise ConfigurationError(
            f"session {session_id!r} cannot have a ttl: store {backend.name} has no level 'retention'",
            session_id=session_id,
        )
    return float(ttl)


def require_store(env: RuntimeEnvironment, store: Store | None) -> None:
    """Hold a persistent door to having a store.

    Raises:
        ConfigurationError: There is none.
    """
    if store is None and env.store is None:
        raise ConfigurationError("a persistent session needs a store: give one, or an environment with one")


def require_tasks(env: RuntimeEnvironment) -> None:
    """Hold a door with background tasks to having a task host.

    Raises:
        ConfigurationError: There is none.
    """
    if env.tasks is None:
        raise ConfigurationError("a session with background tasks needs an environment with a task host")


async def _take_up(session: OpenSession, state: PersistedSessionState) -> None:
    """Hold a state that was brought to what the store has, and commit one that no store has."""
    head = session.resident.head
    if state.session_id not in ("", session.session_id):
        raise SessionBindingMismatch(bound=session.session_id, requested=state.session_id)
    if head is None and not state.fresh:
        check_graph(state)
        async with session.writing():
            await begin_with(session, state, state.document, step="state")
    elif head is not None and state.revision is None and not state.fresh:
        raise SessionExists(
            f"session {session.session_id!r} is in {session.backend.name} already, and the state that was given was "
            "never stored: leave the state out to open what is stored, or give it another session id",
            session_id=session.session_id,
        )
    elif head is not None and head.revision < (state.revision or 0):
        raise StoreRegressed(
            f"session {session.session_id!r} is at revision {head.revision} in {session.backend.name}, the state at "
            f"{state.revision}: the store is older than the state",
            session_id=session.session_id,
        )


async def _announce(session: OpenSession) -> None:
    """Tell the plugins that the session is there."""
    resident = session.resident
    await session.parts.hooks.notify(
        lash_on_session_restored,
        SessionRestored(
            session_id=session.session_id,
            revision=resident.revision,
            turn_index=session.document.turn_index,
            interrupted=session.interrupted,
            session=session.services,
        ),
    )

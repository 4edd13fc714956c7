"""The doors by which a runtime is built (L1)."""

from __future__ import annotations

from typing import Self

from lash_hookspecs.errors import ConfigurationError

from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.live import register, resuming
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.opening import Store, open_session, require_store, require_tasks
from lash_core.runtime.parked import ParkedSession, check_parked
from lash_core.runtime.policy import SessionSpec
from lash_core.runtime.readable import ReadableRuntime
from lash_core.runtime.state import PersistedSessionState
from lash_core.runtime.text import check_session_id

__all__ = ["OpenableRuntime"]


class OpenableRuntime(ReadableRuntime):
    """How a `LashRuntime` is built."""

    def __init__(self, session: OpenSession) -> None:
        """Wrap a session; use a door."""
        self.session = session
        self._parked: ParkedSession | None = None

    @classmethod
    async def from_environment(
        cls,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        state: PersistedSessionState | None = None,
        store: Store | None = None,
    ) -> Self:
        """Open a session by the door that fits: with a store or without, with background tasks or without.

        Args:
            env: Shared services.
            spec: Which session, and what the caller sets for it.
            state: What the session is; ``None`` for what the store has, else a fresh one. One that was read from the
                store must not be newer than the store; one that no store has is committed at once.
            store: The session's store, or a database; else the environment's.

        Raises:
            ConfigurationError: ``Residency.ACTIVE_PATH_ONLY`` without a store; said before anything is read.
            PolicyError: A value of the spec cannot be; names the field.
            SessionMissing, SessionExists: As ``spec.create`` demands, or as ``state`` does.
            UnknownName, PluginError: The mode, a tool set or a plugin of the session cannot be used; named.
            UnreadableData, CorruptSession, MissingBlob: What is stored cannot be used.
        """
        stored, background = store is not None or env.store is not None, env.tasks is not None
        if stored and background:
            return await cls.from_persistent_background_state(env, spec, state, store)
        if stored:
            return await cls.from_persistent_embedded_state(env, spec, state, store)
        if background:
            return await cls.from_background_state(env, spec, state)
        return await cls.from_embedded_state(env, spec, state)

    @classmethod
    async def from_embedded_state(
        cls, env: RuntimeEnvironment, spec: SessionSpec, state: PersistedSessionState | None = None
    ) -> Self:
        """Open a session that lives in memory, without background tasks; raises like `from_environment`."""
        return await cls._build(env.evolve(store=None, tasks=None), spec, state, None)

    @classmethod
    async def from_background_state(
        cls, env: RuntimeEnvironment, spec: SessionSpec, state: PersistedSessionState | None = None
    ) -> Self:
        """Open a session that lives in memory, with background tasks; raises like `from_environment`."""
        require_tasks(env)
        return await cls._build(env.evolve(store=None), spec, state, None)

    @classmethod
    async def from_persistent_embedded_state(
        cls,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        state: PersistedSessionState | None = None,
        store: Store | None = None,
    ) -> Self:
        """Open a session of a store, without background tasks; raises like `from_environment`."""
        require_store(env, store)
        return await cls._build(env.evolve(tasks=None), spec, state, store)

    @classmethod
    async def from_persistent_background_state(
        cls,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        state: PersistedSessionState | None = None,
        store: Store | None = None,
    ) -> Self:
        """Open a session of a store, with background tasks; raises like `from_environment`."""
        require_store(env, store)
        require_tasks(env)
        return await cls._build(env, spec, state, store)

    @classmethod
    async def resume(cls, parked: ParkedSession, env: RuntimeEnvironment) -> Self:
        """Open a parked session again, in any process (L8).

        Raises:
            SessionBusy: The session is open in this process; names the runtime.
            SessionMissing: The handle has a revision and the store has no such session.
            SessionDeleted: The session was deleted.
            StoreRegressed: The store is older than the handle.
        """
        if env.store is None:
            raise ConfigurationError("resume needs an environment with a store")
        check_parked(parked)
        check_session_id(parked.session_id)
        with resuming(env.store, parked.session_id):
            parked.check(await env.store.session(parked.session_id).head(), env.store.name)
            return await cls.from_environment(env, parked.spec())

    @classmethod
    async def _build(
        cls, env: RuntimeEnvironment, spec: SessionSpec, state: PersistedSessionState | None, store: Store | None
    ) -> Self:
        """Every door ends here (L1)."""
        return cls.of(await open_session(env, spec, state, store))

    @classmethod
    def of(cls, session: OpenSession) -> Self:
        """Hold a session that was opened just now, and remember it as open in this process (L8)."""
        runtime = cls(session)
        register(runtime, session.env.store)
        return runtime

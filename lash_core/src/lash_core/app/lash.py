"""A store of sessions with an agent that answers in them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lash_hookspecs.errors import (
    ConfigurationError,
    CorruptSession,
    InvalidSessionId,
    LashError,
    MissingBlob,
    SessionBusy,
    SessionMissing,
    UnreadableData,
)
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.protocols.tasks import TaskHost
from lash_hookspecs.protocols.tracing import TraceSink
from lash_hookspecs.records.retention import DeleteReport
from lash_hookspecs.records.store import SessionQuery
from lash_hookspecs.records.traces import TraceContext, TraceLevel

from lash_core.app.agent import Agent
from lash_core.app.hosts import chosen_host
from lash_core.app.session import Session
from lash_core.app.stores import of_tenant, open_backend
from lash_core.builtins import BUILTINS
from lash_core.plugins.fingerprints import PluginPolicy
from lash_core.plugins.hook_calls import HookCall
from lash_core.plugins.manager import PluginManager
from lash_core.runtime.archive_export import Exported, export_sessions
from lash_core.runtime.archive_files import new_file, readable_file
from lash_core.runtime.archive_import import Imported, import_archive
from lash_core.runtime.ending import delete_unreadable
from lash_core.runtime.environment import Residency, RuntimeEnvironment
from lash_core.runtime.opening import checked_ttl
from lash_core.runtime.orders import refuse_unportable
from lash_core.runtime.parked import ParkedSession, check_parked
from lash_core.runtime.policy import SessionSpec, check_labels
from lash_core.runtime.runtime import LashRuntime
from lash_core.runtime.summary import SessionSummary, summarise

__all__ = ["Lash"]


class Lash:
    """A store of sessions with an agent that answers in them.

    ::

        async with Lash.open("sqlite:///agents.db", agent=agent) as lash:
            chat = await lash.session("chat-42")
            result = await chat.turn("Hello")
    """

    def __init__(
        self,
        env: RuntimeEnvironment,
        agent: Agent,
        *,
        owns_environment: bool = False,
        database: StoreBackend | None = None,
    ) -> None:
        """Work in a ready environment; most apps use `open` instead.

        Args:
            env: Where everything is.
            agent: Who answers.
            owns_environment: Whether `close` closes what is in the environment.
            database: What is closed in place of the environment's store, which is a tenant's view of it.
        """
        self.env = env
        self._database = database
        self.agent = agent
        self._owns_environment = owns_environment
        self._sessions: dict[str, Session] = {}

    @staticmethod
    def open(
        url: str = "memory:",
        *,
        tenant: str = "",
        agent: Agent | None = None,
        plugins: PluginManager | None = None,
        host: Host | str | None = None,
        root: str | Path | None = None,
        residency: Residency = Residency.KEEP_ALL,
        attachments: AttachmentStore | None = None,
        create: bool = True,
        name: str = "lash",
        tasks: TaskHost | None = None,
        trace: TraceSink | None = None,
        trace_level: TraceLevel = "standard",
        trace_context: TraceContext | None = None,
        trace_bodies: bool = False,
        plugin_policy: PluginPolicy = "compatible",
        on_hook_call: Callable[[HookCall], None] | None = None,
    ) -> _Opening:
        """Open a store; use it with ``async with``, or ``await`` it and `close` it yourself.

        Args:
            url: ``sqlite:///file.db``, ``memory:``, or a scheme of an installed plugin.
            tenant: Whose sessions; a tenant sees nothing of another one's, not even that it is there.
            agent: Who answers; the offline model without tools by default.
            plugins: Where stores, modes and providers come from; the installed ones by default.
            host: Where turns run: the name of one that a plugin offers, or an object; in this process by default. It is
                closed with the store.
            root: The folder that file tools may not leave; the current one by default.
            residency: What is held in memory of each session (L4).
            attachments: Where files that users send are kept; each session's own store by default. Close it yourself.
            create: Whether a database that is not there may be made.
            name: What holders of leases are called, for people.
            tasks: Where background tasks run; by default where the host offers, else in this process if turns run
                there. It is closed with the store.
            trace: Where a trace of everything goes; it is closed with the store.
            trace_level: How much is traced; ``extended`` adds each piece of a streamed answer.
            trace_context: What every trace record is about besides, such as the app's own ``metadata``.
            trace_bodies: Whether prompts, messages, arguments and outputs go into the trace.
            plugin_policy: ``strict`` refuses sessions that were committed with other plugins than are here (P8).
            on_hook_call: Is told of each call of a plugin; without it and a trace, none is timed.

        Raises:
            ConfigurationError: The store keeps no tenants apart; or the host runs turns in other processes, and
                something that was given cannot go there: names all of it.
            UnknownName: Nobody offers the scheme, the model's provider, the mode or the host.
            StoreUnavailable: The store cannot be opened.
        """

        async def opened() -> Lash:
            if not isinstance(url, str):
                raise ConfigurationError(f"url cannot be {url!r:.80}: it must be text, such as 'sqlite:///agents.db'")
            if agent is not None and not isinstance(agent, Agent):
                raise ConfigurationError(f"agent cannot be {agent!r:.80}: it must be an Agent(…)")
            chosen = agent or Agent()
            manager = plugins or PluginManager.discover(builtins=BUILTINS)
            _check_offers(manager, chosen)
            runs_in, tasks_in = chosen_host(manager, host, tasks, name)
            backend = await open_backend(manager, url, create)
            try:
                store = of_tenant(backend, tenant)
            except ConfigurationError:
                await backend.close()
                raise
            env = RuntimeEnvironment(
                plugins=manager,
                store=store,
                store_url=url,
                tenant=tenant,
                host=runs_in,
                residency=residency,
                attachments=attachments,
                root=Path(root) if root is not None else Path.cwd(),
                tool_sets=chosen.tool_sets,
                tools=chosen.tools,
                name=name,
                tasks=tasks_in,
                trace=trace,
                trace_level=trace_level,
                trace_context=trace_context,
                trace_bodies=trace_bodies,
                plugin_policy=plugin_policy,
                on_hook_call=on_hook_call,
            )
            try:
                refuse_unportable(env)
            except ConfigurationError:
                await backend.close()
                raise
            return Lash(env, chosen, owns_environment=True, database=backend)

        return _Opening(opened)

    @property
    def store(self) -> StoreBackend:
        """The database."""
        assert self.env.store is not None
        return self.env.store

    async def session(
        self,
        session_id: str = "",
        create: bool | None = None,
        labels: Mapping[str, str] | None = None,
        ttl: float | None = None,
    ) -> Session:
        """Open a session; the same one again while it is open.

        Args:
            session_id: Any printable text of at most 512 bytes; empty for a fresh id.
            create: ``None`` opens or creates, ``True`` must be new, ``False`` must exist. A new session is stored
                by its first turn.
            labels: For a new session.
            ttl: Seconds after its last commit when the session may be deleted by whoever expires sessions, whole; zero
                for never. ``None`` keeps what is stored. Another one than the stored rides the next commit.

        Raises:
            ConfigurationError: The store deletes nothing by itself, so there can be no ``ttl``.
            InvalidSessionId: No store could keep the id.
            SessionExists, SessionMissing: As ``create`` demands.
            CorruptSession, UnreadableData: What is stored cannot be used.
        """
        known = self._sessions.get(session_id)
        if known is not None and not known.closed and create is not True:
            await known.refresh()
            if create is False and known.head is None:
                raise SessionMissing(f"session {session_id!r} does not exist", session_id=session_id)
            if ttl is not None:
                known.runtime.session.resident.ttl = checked_ttl(session_id, ttl, self.store)
            return known
        agent = self.agent
        spec = SessionSpec(
            session_id=session_id,
            create=create,
            labels=dict(labels) if labels is not None else None,
            ttl=ttl,
            model=agent.model,
            mode=agent.mode,
            instructions=agent.instructions,
            model_settings=agent.model_settings,
        )
        runtime = await LashRuntime.from_environment(self.env, spec)
        meanwhile = self._sessions.get(runtime.session_id)
        if meanwhile is not None and not meanwhile.closed and create is not True:
            await runtime.close()
            return meanwhile  # another caller was opening it too
        session = Session(runtime, self)
        self._sessions[session.id] = session
        return session

    async def resume(self, parked: ParkedSession) -> Session:
        """Open a parked session again (L8).

        Raises:
            SessionBusy: It is open here already.
            SessionMissing, SessionDeleted, StoreRegressed: As `LashRuntime.resume`.
        """
        check_parked(parked)
        known = self._sessions.get(parked.session_id)
        if known is not None and not known.closed:
            raise SessionBusy(
                f"session {parked.session_id!r} is open in this process already; park or close it first",
                session_id=parked.session_id,
            )
        session = Session(await LashRuntime.resume(parked, self.env), self)
        self._sessions[session.id] = session
        return session

    async def sessions(
        self, *, labels: Mapping[str, str] | None = None, open_turn: bool | None = None
    ) -> AsyncIterator[SessionSummary]:
        """List sessions by id, page by page, without loading them.

        Args:
            labels: Every pair must be there.
            open_turn: ``True`` for sessions with an unfinished turn.

        Raises:
            PolicyError: Labels are not pairs of texts.
        """
        check_labels(labels)
        cursor: str | None = None
        while True:
            query = SessionQuery(open_turn=open_turn, labels=dict(labels or {}), after=cursor, limit=100)
            page = await self.store.sessions(query)
            for row in page.rows:
                yield summarise(row)
            cursor = page.cursor
            if cursor is None:
                return

    async def interrupted(self) -> list[SessionSummary]:
        """List sessions whose turn is unfinished and that nobody works on (L14)."""
        return [each async for each in self.sessions(open_turn=True) if each.status == "interrupted"]

    async def delete(self, session_id: str, *, with_forks: bool = False) -> DeleteReport | None:
        """Delete a session, also one that cannot be read; its writers are refused for ever (S8).

        Args:
            session_id: The session.
            with_forks: Delete the sessions that stand on its nodes, too; those nodes stay for them otherwise.

        Returns:
            What went and what stays; ``None`` from a store that does not tell.

        Raises:
            SessionMissing: There is none.
            SessionBusy: A turn of it runs, or of a fork that was to go with it.
            InvalidSessionId: It is empty, or no store could keep it.
            ConfigurationError: The store cannot delete forks with it.
        """
        if not session_id:
            raise InvalidSessionId("say which session is to be deleted: its id is empty")
        try:
            session = await self.session(session_id, create=False)
        except (UnreadableData, CorruptSession, MissingBlob):
            if with_forks:
                raise
            await delete_unreadable(session_id, self.env)
            return None
        return await session.delete(with_forks=with_forks)

    async def export(self, session_id: str, path: str | Path) -> Exported:
        """Write a session with all that it stands on into a new file: lines of JSON with a checksum.

        Raises:
            SessionMissing: There is none.
            ConfigurationError: The file is there already, or cannot be written.
            StoreError: The store cannot be exported from.
        """
        with new_file(path) as file:
            return await export_sessions(self.store, [(session_id,)], file.write)

    async def load(self, path: str | Path) -> Imported:
        """Store the sessions of a file that `export` wrote, each whole or not at all.

        Raises:
            InvalidArchive: It is no such file, is truncated, or was changed; nothing was stored.
            SessionExists: A session of that name is here.
            ConfigurationError: The file cannot be read.
            StoreError: The store takes no sessions from elsewhere.
        """
        with readable_file(path) as file:
            return await import_archive(self.store, file, where=str(path))

    async def close(self) -> None:
        """Close every session and the store, all of them even if one fails; may be called twice."""
        async with contextlib.AsyncExitStack() as closing:  # the last one entered is closed first
            if self._owns_environment:
                if self.env.trace is not None:
                    closing.callback(self.env.trace.close)
                closing.push_async_callback((self._database or self.store).close)
                closing.push_async_callback(self.env.providers.close)
                closing.push_async_callback(self.env.host.close)
                if self.env.tasks is not None:
                    closing.push_async_callback(self.env.tasks.close)
            for session in reversed(list(self._sessions.values())):
                closing.push_async_callback(session.leave)


class _Opening:
    """What `Lash.open` gives: awaitable, and an async context manager."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._lash: Lash | None = None

    def __await__(self) -> Any:
        return self._opened().__await__()

    async def __aenter__(self) -> Lash:
        self._lash = await self._opened()
        return self._lash

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._lash is not None:
                await self._lash.close()
        except LashError:
            if error is None:  # the original error is never masked (L12)
                raise


def _check_offers(plugins: PluginManager, agent: Agent) -> None:
    """Find an unknown name before a store is touched."""
    if agent.model is not None:
        plugins.provider(agent.model.partition(":")[0])
    if agent.mode is not None:
        plugins.mode(agent.mode)
    plugins.tools(agent.tool_sets)

"""The front door for apps: `Lash`, `Agent`, `Session`, `Turn`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lash_hookspecs.errors import LashError, SessionBusy, SessionMissing, UnknownName, redact_url
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.protocols.tasks import SessionTasks, TaskHost
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.protocols.tracing import TraceSink
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ToolInvocation
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.store import Head, Holder, SessionQuery
from lash_hookspecs.records.traces import TraceContext, TraceLevel
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult
from lash_hookspecs.records.usage import UsageRow
from lash_hookspecs.toolkit import FunctionTools
from pydantic import JsonValue

from lash_core.attachments.reading import Attachable, read_attachment
from lash_core.builtins import BUILTINS
from lash_core.graph.conversation import Item
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_core.plugins.fingerprints import PluginPolicy
from lash_core.plugins.manager import PluginManager
from lash_core.runtime.children import Child
from lash_core.runtime.environment import Residency, RuntimeEnvironment
from lash_core.runtime.parked import ParkedSession
from lash_core.runtime.policy import SessionSpec
from lash_core.runtime.reading import EventCursor, SequencedEvent
from lash_core.runtime.runtime import LashRuntime
from lash_core.runtime.summary import SessionSummary, summarise
from lash_core.runtime.text import check_text

__all__ = ["Agent", "Lash", "Session", "SessionSummary", "Turn", "open_backend"]


class Agent:
    """Who answers: a model, tools and instructions.

    ::

        agent = Agent(model="openai:gpt-5", tools=[search, book], instructions="Be brief.")
    """

    def __init__(
        self,
        model: str | None = None,
        tools: Iterable[Callable[..., Any]] = (),
        instructions: str | None = None,
        *,
        mode: str | None = None,
        tool_sets: Iterable[str] = (),
        limits: TurnLimits | None = None,
        model_settings: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Describe an agent; nothing is looked up yet.

        Args:
            model: ``provider`` or ``provider:model``; ``None`` for the session's own, else the offline model.
            tools: Plain functions; one without `tool` is ``side_effecting``.
            instructions: The system prompt.
            mode: The execution mode; ``None`` for the session's own, else ``standard``.
            tool_sets: Names of plugins' tool sets, such as ``"files"``; none unless named.
            limits: What each turn may use (T12).
            model_settings: Passed to the provider, such as ``temperature``.

        Raises:
            ConfigurationError: A function cannot be offered as a tool.
        """
        self.model = model
        self.tools = FunctionTools(tools)
        self.instructions = instructions
        self.mode = mode
        self.tool_sets = tuple(tool_sets)
        self.limits = limits or TurnLimits()
        self.model_settings = dict(model_settings) if model_settings is not None else None


class Lash:
    """A store of sessions with an agent that answers in them.

    ::

        async with Lash.open("sqlite:///agents.db", agent=agent) as lash:
            chat = await lash.session("chat-42")
            result = await chat.turn("Hello")
    """

    def __init__(self, env: RuntimeEnvironment, agent: Agent, *, owns_environment: bool = False) -> None:
        """Work in a ready environment; most apps use `open` instead."""
        self.env = env
        self.agent = agent
        self._owns_environment = owns_environment
        self._sessions: dict[str, Session] = {}

    @staticmethod
    def open(
        url: str = "memory:",
        *,
        agent: Agent | None = None,
        plugins: PluginManager | None = None,
        host: Host | None = None,
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
    ) -> _Opening:
        """Open a store; use it with ``async with``, or ``await`` it and `close` it yourself.

        Args:
            url: ``sqlite:///file.db``, ``memory:``, or a scheme of an installed plugin.
            agent: Who answers; the offline model without tools by default.
            plugins: Where stores, modes and providers come from; the installed ones by default.
            host: Where turns run; in this process by default.
            root: The folder that file tools may not leave; the current one by default.
            residency: What is held in memory of each session (L4).
            attachments: Where files that users send are kept; each session's own store by default. Close it yourself.
            create: Whether a database that is not there may be made.
            name: What holders of leases are called, for people.
            tasks: Where background tasks run; in this process by default. It is closed with the store.
            trace: Where a trace of everything goes; it is closed with the store.
            trace_level: How much is traced; ``extended`` adds each piece of a streamed answer.
            trace_context: What every trace record is about besides, such as the app's own ``metadata``.
            trace_bodies: Whether prompts, messages, arguments and outputs go into the trace.
            plugin_policy: ``strict`` refuses sessions that were committed with other plugins than are here (P8).

        Raises:
            UnknownName: Nobody offers the scheme, the model's provider or the mode.
            StoreUnavailable: The store cannot be opened.
        """

        async def opened() -> Lash:
            chosen = agent or Agent()
            manager = plugins or PluginManager.discover(builtins=BUILTINS)
            _check_offers(manager, chosen)
            backend = await open_backend(manager, url, create)
            env = RuntimeEnvironment(
                plugins=manager,
                store=backend,
                residency=residency,
                attachments=attachments,
                root=Path(root) if root is not None else Path.cwd(),
                tool_sets=chosen.tool_sets,
                tools=chosen.tools,
                name=name,
                tasks=tasks or LocalTaskHost(name),
                trace=trace,
                trace_level=trace_level,
                trace_context=trace_context,
                trace_bodies=trace_bodies,
                plugin_policy=plugin_policy,
            )
            if host is not None:
                env = env.evolve(host=host)
            return Lash(env, chosen, owns_environment=True)

        return _Opening(opened)

    @property
    def store(self) -> StoreBackend:
        """The database."""
        assert self.env.store is not None
        return self.env.store

    async def session(
        self, session_id: str = "", create: bool | None = None, labels: Mapping[str, str] | None = None
    ) -> Session:
        """Open a session; the same one again while it is open.

        Args:
            session_id: Any printable text of at most 512 bytes; empty for a fresh id.
            create: ``None`` opens or creates, ``True`` must be new, ``False`` must exist. A new session is stored
                by its first turn.
            labels: For a new session.

        Raises:
            InvalidSessionId: No store could keep the id.
            SessionExists, SessionMissing: As ``create`` demands.
            CorruptSession, UnreadableData: What is stored cannot be used.
        """
        known = self._sessions.get(session_id)
        if known is not None and not known.closed and create is not True:
            await known.refresh()
            if create is False and known.head is None:
                raise SessionMissing(f"session {session_id!r} does not exist", session_id=session_id)
            return known
        agent = self.agent
        spec = SessionSpec(
            session_id=session_id,
            create=create,
            labels=dict(labels) if labels is not None else None,
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
        """
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

    async def delete(self, session_id: str) -> None:
        """Delete a session; its writers are refused for ever (S8).

        Raises:
            SessionMissing: There is none.
            SessionBusy: A turn of it runs.
        """
        session = await self.session(session_id, create=False)
        await session.delete()

    async def close(self) -> None:
        """Close every session and the store, all of them even if one fails; may be called twice."""
        async with contextlib.AsyncExitStack() as closing:  # the last one entered is closed first
            if self._owns_environment:
                if self.env.trace is not None:
                    closing.callback(self.env.trace.close)
                closing.push_async_callback(self.store.close)
                closing.push_async_callback(self.env.providers.close)
                if self.env.tasks is not None:
                    closing.push_async_callback(self.env.tasks.close)
            for session in reversed(list(self._sessions.values())):
                closing.push_async_callback(session.leave)


class Session:
    """A session that is open."""

    def __init__(self, runtime: LashRuntime, lash: Lash) -> None:
        """Wrap a runtime; `Lash.session` does it."""
        self.runtime = runtime
        self.closed = False
        self._lash = lash

    @property
    def id(self) -> str:
        """The session's id."""
        return self.runtime.session_id

    @property
    def head(self) -> Head | None:
        """The stored head as last seen; ``None`` before the first turn."""
        return self.runtime.head

    @property
    def document(self) -> HeadDocument:
        """Configuration, ledger and turn state as last seen."""
        return self.runtime.document

    @property
    def interrupted(self) -> bool:
        """Whether a turn is unfinished and nobody works on it (L14)."""
        return self.runtime.interrupted

    @property
    def running(self) -> bool:
        """Whether a turn runs, here or elsewhere, as last seen."""
        return self.runtime.running

    @property
    def holder(self) -> Holder | None:
        """Who runs a turn elsewhere, as last seen."""
        return self.runtime.holder

    async def refresh(self) -> None:
        """See what others have committed."""
        await self.runtime.refresh()

    async def turn(
        self,
        text: str,
        *,
        attachments: Sequence[Attachable] = (),
        source_key: str | None = None,
        limits: TurnLimits | None = None,
        resume: bool = False,
    ) -> TurnResult:
        """Run one turn and give its result; see `stream`."""
        turn = self.stream(text, attachments=attachments, source_key=source_key, limits=limits, resume=resume)
        return await turn.result()

    def stream(
        self,
        text: str,
        *,
        attachments: Sequence[Attachable] = (),
        source_key: str | None = None,
        limits: TurnLimits | None = None,
        resume: bool = False,
    ) -> Turn:
        """Begin one turn; it runs whether or not its events are read.

        Args:
            text: What the user says; may be empty beside attachments.
            attachments: Files: paths, bytes, `Attachment` objects, or what `attach` gave.
            source_key: The caller's own key for this input.
            limits: What the turn may use; the agent's limits by default.
            resume: Whether an interrupted turn is continued before this one, instead of abandoned.

        Raises:
            InvalidInput: The text cannot be stored. What else can go wrong is raised by `Turn.result`:
                `InvalidInput` for an attachment, `SessionBusy`, `ConfigurationError`, `StoreError`.
        """
        checked, chosen = check_text(text, alone=not attachments), limits or self._lash.agent.limits

        async def begun(emit: Callable[[Event], None]) -> TurnResult:
            refs, files = await self._read(attachments)
            turn_input = TurnInput(text=checked, source_key=source_key, attachments=refs)
            return await self.runtime.turn(turn_input, chosen, emit, resume=resume, files=files)

        return Turn(self.runtime, begun)

    async def attach(
        self, data: str | Path | bytes | Attachment, *, name: str | None = None, media_type: str | None = None
    ) -> AttachmentRef:
        """Store a file now, for turns that follow soon; a file that no message refers to is garbage after a while.

        Args:
            data: The bytes, or the path of a file.
            name: What it is called; by default the name of the file.
            media_type: Counts where the bytes do not show it.

        Raises:
            InvalidInput: It cannot be read, or is too large.
            StoreError: It cannot be stored.
        """
        file = await read_attachment(data, self._lash.env.max_attachment)
        named = Attachment(file.data, media_type or file.media_type, name or file.name)
        return await self.runtime.attach(named)

    async def _read(self, given: Sequence[Attachable]) -> tuple[tuple[AttachmentRef, ...], dict[str, bytes]]:
        refs: list[AttachmentRef] = []
        files: dict[str, bytes] = {}
        for each in given:
            if isinstance(each, AttachmentRef):
                refs.append(each)
                continue
            file = await read_attachment(each, self._lash.env.max_attachment)
            refs.append(file.ref())
            files[refs[-1].id] = file.data
        return tuple(refs), files

    def continue_turn(self) -> Turn:
        """Continue the interrupted turn: what is finished is not repeated (T6)."""
        return Turn(self.runtime, self.runtime.continue_turn)

    async def abandon_turn(self) -> TurnResult:
        """Give the interrupted turn up: it ends as stopped, its unanswered calls marked."""
        return await self.runtime.abandon_turn()

    async def messages(self) -> list[Message | ToolInvocation]:
        """Give the messages and tool results of the active path, oldest first."""
        return [item.payload for item in await self.items() if isinstance(item.payload, (Message, ToolInvocation))]

    async def items(self) -> list[Item]:
        """Give the nodes of the active path with their payloads, root first."""
        await self.runtime.refresh()
        return self.runtime.items

    async def tree(self) -> Sequence[Node]:
        """Give all nodes of the graph, forks' included, in the order in which they were stored."""
        return await self._lash.store.session(self.id).graph()

    async def branch(self, node_id: str) -> None:
        """Make another node the leaf; the next turn follows it (L11).

        Raises:
            NodeMissing: The session has no such node.
            TurnError: A turn is unfinished.
        """
        await self.runtime.branch_to(node_id)

    async def fork(self, session_id: str, *, at: str | None = None) -> Session:
        """Make a new session that begins where this one is, or at a node of it; shares its nodes (S12).

        Raises:
            SessionExists: There is a session of that name.
        """
        session = Session(await self.runtime.fork(session_id, at=at), self._lash)
        self._lash._sessions[session.id] = session
        return session

    def events(self, after: EventCursor | str | None = None) -> AsyncIterator[SequencedEvent]:
        """Replay every committed event behind a cursor, once and in order (T9).

        Args:
            after: The cursor of the last event that was read; all of them by default.

        Raises:
            InvalidInput: The text is no cursor.
        """
        return self.runtime.events(after)

    @property
    def tasks(self) -> SessionTasks | None:
        """The session's background tasks (H2)."""
        return self.runtime.tasks

    async def update_config(self, **changes: Any) -> SessionConfig:
        """Change the stored configuration, such as ``model`` or ``instructions``; committed at once.

        Raises:
            PolicyError: A field does not exist or a value cannot be; names the field.
            TurnError: A turn is unfinished.
        """
        return await self.runtime.update_session_config(**changes)

    async def compact(self, instructions: str = "") -> bool:
        """Let the installed rewriters shorten the history; the old path stays as a branch. Tells if anything changed.

        Raises:
            PluginError: A rewriter failed; nothing changed.
            TurnError: A turn is unfinished.
        """
        return await self.runtime.rewrite_history(instructions)

    async def create_session(self, request: SessionCreateRequest) -> Child:
        """Start a child, or a successor (H3).

        Raises:
            SessionExists: There is a session of that name.
        """
        return await self.runtime.create_session(request)

    async def invoke(self, name: str, arguments: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Ask a plugin for one of its actions; see `LashRuntime.invoke`."""
        return await self.runtime.invoke(name, arguments or {})

    async def complete(self, request: CompletionRequest) -> ModelReply:
        """Ask a model outside the conversation; the usage goes into this session's ledger (T8).

        Raises:
            ModelError: The call failed for good.
        """
        return await self.runtime.complete(request)

    def usage(self) -> tuple[UsageRow, ...]:
        """Give the ledger: one row per source and model (T8)."""
        return self.runtime.document.usage

    async def delete(self) -> None:
        """Delete the session (S8)."""
        await self.runtime.delete()
        await self.close()

    async def park(self) -> ParkedSession:
        """Close the session and give a handle that resumes it anywhere (L7)."""
        parked = await self.runtime.park()
        self._forget()
        return parked

    async def close(self) -> None:
        """Cancel a turn that runs here and forget the session; may be called twice."""
        try:
            await self.runtime.close()
        finally:
            self._forget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Park where the store is durable, else close; an error on the way never masks the original one (L12)."""
        try:
            await self.runtime.__aexit__(kind, error, trace)
        finally:
            self._forget()

    async def leave(self) -> None:
        """Cancel a turn that runs here, keep what is not kept yet, and forget the session."""
        try:
            await self.runtime.leave()
        finally:
            self._forget()

    def _forget(self) -> None:
        self.closed = True
        if self._lash._sessions.get(self.id) is self:
            del self._lash._sessions[self.id]


class Turn:
    """A turn on its way: iterate it for its events, ask `result` for its end.

    Events are kept until they are read, so a slow reader never slows the turn (T9).
    """

    def __init__(self, runtime: LashRuntime, start: Callable[[Callable[[Event], None]], Any]) -> None:
        """Start the turn on the running loop; `Session.stream` does it."""
        self._runtime = runtime
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task: asyncio.Task[TurnResult] = asyncio.ensure_future(start(self._events.put_nowait))
        self._task.add_done_callback(lambda task: self._events.put_nowait(None))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._read()

    async def result(self) -> TurnResult:
        """Wait for the final commit and give the result. Cancelling the waiter cancels the turn.

        Raises:
            SessionBusy: A turn of the session runs already; nothing was written.
            ConfigurationError: Model, mode or limits cannot be used; nothing was written.
            StoreError: A commit failed; the turn is interrupted and can be continued.
        """
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if not self._task.done():
                await self.cancel()
            raise

    async def cancel(self) -> None:
        """End the turn as cancelled; returns when that is committed. Nothing happens to one that has ended."""
        await asyncio.sleep(0)  # one that was only just begun takes its first step
        if not self._task.done():
            await self._runtime.cancel()
            await asyncio.wait([self._task])

    async def _read(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)


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


async def open_backend(plugins: PluginManager, url: str, create: bool) -> StoreBackend:
    """Open a store by its URL.

    Raises:
        UnknownName: Nobody offers the scheme.
        StoreUnavailable: It cannot be opened.
    """
    scheme, colon, _rest = url.partition(":")
    if not colon or not scheme.replace("+", "").replace("-", "").isalnum():
        raise UnknownName(
            f"{redact_url(url)!r} is no store URL: it must begin with a scheme, such as sqlite:///file.db "
            f"(known: {', '.join(plugins.names('stores')) or 'none'})"
        )
    return await plugins.store(scheme).open(url, create)


def _check_offers(plugins: PluginManager, agent: Agent) -> None:
    """Find an unknown name before a store is touched."""
    if agent.model is not None:
        plugins.provider(agent.model.partition(":")[0])
    if agent.mode is not None:
        plugins.mode(agent.mode)
    plugins.tools(agent.tool_sets)

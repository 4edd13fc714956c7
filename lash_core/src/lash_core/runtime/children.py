"""Sessions that a session starts: children that work for it, and successors that take over (H3)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import (
    ConfigurationError,
    HeadRevisionConflict,
    PolicyError,
    SessionBindingMismatch,
    SessionError,
    SessionExists,
    SessionMissing,
)
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.state import HeadDocument, ParentLink, SessionConfig, SubagentAuthority
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.turn import TurnInput, TurnResult

from lash_core.runtime.beginnings import Origin, begin_at, begin_with, commit_first, origin_of, turn_index_of
from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.handoffs import hand_off, handed_off
from lash_core.runtime.parts import MODE
from lash_core.runtime.policy import SessionSpec
from lash_core.runtime.resident import Change, read_document
from lash_core.runtime.session_stores import find_store, guided, store_for
from lash_core.runtime.state import PersistedSessionState, check_graph
from lash_core.runtime.text import check_input, check_session_id

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession
    from lash_core.runtime.runtime import LashRuntime

__all__ = ["Child", "create_child", "hold", "open_child"]

#: How deep subagents may start each other unless somebody says less.
_DEEPEST = 5


class Child:
    """A `lash_hookspecs.protocols.services.ChildSession`: a runtime that its parent holds.

    Attributes:
        runtime: The child's runtime.
    """

    def __init__(self, runtime: LashRuntime, parent: OpenSession) -> None:
        """Hold a runtime for its parent."""
        self.runtime = runtime
        self._parent = parent

    @property
    def session_id(self) -> str:
        """The child."""
        return self.runtime.session_id

    async def run(self, turn_input: TurnInput | None = None) -> TurnResult:
        """Run one turn; without an input the one that it was created with. Cancelling the caller cancels the turn.

        Raises:
            InvalidInput: There is no input; nothing was written.
            LashError: As `LashRuntime.turn`.
        """
        chosen = turn_input or self.runtime.document.first_input
        if chosen is not None:
            await self.runtime.session.files.copy_from(self._parent.files, chosen.attachments)
        turn = asyncio.create_task(self.runtime.turn(turn_input))
        try:
            return await asyncio.shield(turn)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # one that was only just begun takes its first step
            if not turn.done():
                await self.runtime.cancel()
            await asyncio.gather(turn, return_exceptions=True)
            raise

    async def cancel(self) -> None:
        """Cancel the turn that runs, if any."""
        await self.runtime.cancel()

    async def close(self) -> None:
        """Forget the child here; it stays in the store."""
        if self._parent.children.get(self.session_id) is self:
            del self._parent.children[self.session_id]
        await self.runtime.close()


@attrs.frozen(kw_only=True)
class _Start:
    """Where a new session begins.

    Attributes:
        config: The configuration that it starts from.
        turn_index: Turns that lie behind it.
        origin: The node of another session, if it begins at one.
        state: The state, if it begins with one.
        components: What its tools, plugins and mode may take over.
    """

    config: SessionConfig
    turn_index: int = 0
    origin: Origin | None = None
    state: PersistedSessionState | None = None
    components: Mapping[str, bytes] = attrs.field(factory=dict)


async def create_child(session: OpenSession, request: SessionCreateRequest) -> Child:
    """Start a session from another one; its first commit is made at once.

    Raises:
        SessionExists: There is a session of that name.
        SessionMissing: It cannot start where a session stands that is not stored.
        PolicyError: It would be deeper than the subagents' authority allows.
        ConfigurationError: The start cannot be used, or there is no store for it.
        SessionBindingMismatch: The store factory gave somebody else's store.
    """
    from lash_core.runtime.opening import open_session
    from lash_core.runtime.runtime import LashRuntime

    child_id = check_session_id(request.session_id) if request.session_id else str(uuid.uuid4())
    held = session.children.get(child_id)
    if child_id == session.session_id or (held is not None and not held.runtime.closed):
        raise SessionExists(f"session {child_id!r} is open already; name the new one otherwise", session_id=child_id)
    if request.first_input is not None:
        check_input(request.first_input)
    if request.relation == "handoff" and session.successor is not None:
        raise handed_off(session)
    link = _link(session, request)
    start = await _start(session, request)
    spec = _spec(session, request, child_id, start.config)
    store = await store_for(session, child_id)

    async def first(child: OpenSession) -> None:
        child.reports_to = session
        await _begin(session, child, start, request, link)

    try:
        opened = await open_session(
            _environment(session), spec, store=_own_store(session, store), parent=link, first=first
        )
    except HeadRevisionConflict as error:
        raise SessionExists(f"session {child_id!r} was made by somebody else meanwhile", session_id=child_id) from error
    except SessionBindingMismatch as error:
        raise guided(error) from error
    child = Child(LashRuntime.of(opened), session)
    if request.relation == "handoff":
        try:
            await hand_off(session, child_id)
        except BaseException:
            await child.runtime.close()
            raise
    session.children[child_id] = child
    return child


async def open_child(session: OpenSession, session_id: str) -> Child:
    """Hold a stored child again.

    Raises:
        SessionMissing: It is not stored.
        SessionError: Another session started it.
    """
    child = await hold(session, session_id)
    link = child.runtime.document.parent
    if link is None or link.session_id != session.session_id:
        await child.close()
        whose = f"one of {link.session_id!r}" if link else "nobody's"
        raise SessionError(
            f"session {session_id!r} is no child of {session.session_id!r} but {whose}", session_id=session_id
        )
    return child


async def hold(session: OpenSession, session_id: str) -> Child:
    """Open a stored session and hold it; the one that is held already, if it is open.

    Raises:
        SessionMissing: It is not stored.
    """
    from lash_core.runtime.opening import open_session
    from lash_core.runtime.runtime import LashRuntime

    held = session.children.get(session_id)
    if held is not None and not held.runtime.closed:
        return held
    store = await find_store(session, session_id)
    spec = SessionSpec(session_id=session_id, create=False, prompt=session.spec.prompt)
    opened = await open_session(_environment(session), spec, store=_own_store(session, store))
    meanwhile = session.children.get(session_id)
    if meanwhile is not None and not meanwhile.runtime.closed:
        await opened.parts.close()
        return meanwhile  # another caller was opening it too
    opened.reports_to = session
    child = session.children[session_id] = Child(LashRuntime.of(opened), session)
    return child


def _environment(session: OpenSession) -> RuntimeEnvironment:
    """Give what sessions beside this one are opened with; those of one in memory share its memory."""
    if session.env.store is None and not session.has_own_store:
        return session.env.evolve(store=session.backend)
    return session.env


def _own_store(session: OpenSession, store: SessionStore) -> SessionStore | None:
    """Give a store that is none of the database's."""
    return None if session.env.session_store_factory is None else store


async def _start(session: OpenSession, request: SessionCreateRequest) -> _Start:
    """Find out where a new session begins; nothing is written."""
    start = await _beginning(session, request)
    if not request.inherit_plugins:
        return attrs.evolve(start, components={})
    if request.start == "empty" or request.mode not in (None, start.config.mode):
        kept = {name: body for name, body in start.components.items() if name != MODE}
        return attrs.evolve(start, components=kept)
    return start


async def _beginning(session: OpenSession, request: SessionCreateRequest) -> _Start:
    if request.start == "empty":
        return _Start(config=session.config, components=await session.live_components())
    if request.start == "state":
        state = request.state
        if not isinstance(state, PersistedSessionState):
            raise ConfigurationError("a child that starts with a state needs one, as export_state() gives it")
        return _Start(
            config=state.config, turn_index=state.document.turn_index, state=state, components=state.components
        )
    source = session.session_id if request.start == "current" else request.source
    if not source:
        raise ConfigurationError("a child that starts with an existing session needs its id as the source")
    store = await find_store(session, source)
    head = await store.head()
    if not isinstance(head, Head):
        raise SessionMissing(f"a child cannot start from session {source!r}: it is not stored", session_id=source)
    origin = await origin_of(session, store, head, head.leaf)
    is_own = source == session.session_id
    return _Start(
        config=session.config if is_own else read_document(head).config,
        turn_index=turn_index_of(origin.path),
        origin=origin,
        components=await session.live_components() if is_own else await origin.bodies(),
    )


async def _begin(
    session: OpenSession, child: OpenSession, start: _Start, request: SessionCreateRequest, link: ParentLink | None
) -> None:
    """Make the child's first commit: its own revision and ledger, where it begins, what links it to its parent."""
    document = HeadDocument(
        config=child.config,
        turn_index=session.document.turn_index if request.relation == "handoff" else start.turn_index,
        parent=link,
        first_input=request.first_input,
    )
    shares = session.env.session_store_factory is None and session.shares and child.shares
    async with child.writing():
        if request.first_input is not None:  # its first turn may begin in a process that knows the child alone
            await child.files.copy_from(session.files, request.first_input.attachments)
        if start.state is not None:
            check_graph(start.state)
            state = attrs.evolve(start.state, components=start.components)
            await begin_with(child, state, document, step="create")
        elif start.origin is not None:
            await begin_at(child, start.origin, document, start.components, step="create", shares=shares)
        else:
            change = Change(step="create", document=document, components=start.components, all_components=True)
            await commit_first(child, change)


def _spec(session: OpenSession, request: SessionCreateRequest, child_id: str, config: SessionConfig) -> SessionSpec:
    """Lay what is asked for over the configuration that the child starts from; no tool is added to its parent's."""
    own = session.config.tool_access
    access = own.narrowed(config.tool_access.allowed, config.tool_access.hidden)
    access = access.narrowed(request.tools, request.hidden_tools)
    keeps_mode = request.mode in (None, config.mode)
    keeps_model = request.model in (None, config.model)
    return SessionSpec(
        session_id=child_id,
        create=True,
        labels=request.labels,
        model=request.model or config.model,
        mode=request.mode or config.mode,
        instructions=config.instructions if request.instructions is None else request.instructions,
        model_settings=config.model_settings,
        context_window=config.context_window if keeps_model else None,
        tool_access=access,
        mode_options=config.mode_options if keeps_mode else None,
        prompt=session.spec.prompt,
    )


def _link(session: OpenSession, request: SessionCreateRequest) -> ParentLink | None:
    authority = _authority(session, request)
    if request.relation == "root":
        return None
    return ParentLink(
        session_id=session.session_id,
        relation=request.relation,
        usage_source=request.usage_source,
        authority=authority,
        incarnation=session.resident.writer.incarnation,
    )


def _authority(session: OpenSession, request: SessionCreateRequest) -> SubagentAuthority | None:
    """Say what the new session may do: never deeper than who starts it may go, whatever it is called."""
    parent = session.document.parent
    own = parent.authority if parent else None
    name = request.agent_name or (own.agent_name if own else None)
    if name is None:
        return None
    if own is not None and request.relation == "root":
        raise PolicyError(
            f"subagent {own.agent_name!r} may not start a session that is nobody's; start a child",
            session_id=session.session_id,
        )
    depth = (own.depth if own else 0) + (request.relation != "handoff")  # a successor stands where its parent stood
    deepest = min(own.max_depth if own else _DEEPEST, request.max_depth if request.max_depth is not None else _DEEPEST)
    if depth > deepest:
        raise PolicyError(
            f"subagent {name!r} would be {depth} sessions deep, and {deepest} are allowed",
            session_id=session.session_id,
        )
    capability = request.capability or (own.capability if own else None)
    return SubagentAuthority(agent_name=name, capability=capability, depth=depth, max_depth=deepest)

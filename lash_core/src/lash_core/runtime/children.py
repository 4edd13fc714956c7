"""Sessions that a session starts: children that work for it, and successors that take over (H3)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import (
    ConfigurationError,
    InvalidInput,
    PolicyError,
    SessionBindingMismatch,
    SessionExists,
    SessionMissing,
    SuccessorMissing,
)
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.events import HandedOff
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.state import HeadDocument, ParentLink, SubagentAuthority
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult

from lash_core.runtime.beginnings import Origin, begin_at, begin_with, origin_of, turn_index_of
from lash_core.runtime.policy import SessionSpec
from lash_core.runtime.resident import Change, read_document
from lash_core.runtime.state import PersistedSessionState, check_graph
from lash_core.runtime.text import check_session_id

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession
    from lash_core.runtime.runtime import LashRuntime

__all__ = ["Child", "SessionStoreRequest", "create_child", "end_of_chain"]

#: How deep subagents may start each other unless somebody says less.
_DEEPEST = 5


@attrs.frozen(kw_only=True)
class SessionStoreRequest:
    """A child needs a store; what `RuntimeEnvironment.session_store_factory` is asked with.

    Attributes:
        session_id: The child; the store must be bound to it.
        parent_session_id: The session that starts it.
    """

    session_id: str
    parent_session_id: str


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
        """Run one turn; without an input the one that it was created with."""
        chosen = turn_input or self.runtime.document.first_input
        if chosen is None:
            raise InvalidInput(f"session {self.session_id!r} was created without a first input; give one")
        return await self.runtime.turn(chosen, TurnLimits(), lambda event: None)

    async def cancel(self) -> None:
        """Cancel the turn that runs, if any."""
        await self.runtime.cancel()

    async def close(self) -> None:
        """Forget the child here; it stays in the store."""
        self._parent.children.pop(self.session_id, None)
        await self.runtime.close()


async def create_child(session: OpenSession, request: SessionCreateRequest) -> Child:
    """Start a session from another one; its first commit is made at once.

    Raises:
        SessionExists: There is a session of that name.
        PolicyError: It would be deeper than the subagents' authority allows.
        ConfigurationError: The start cannot be used, or the store factory gave somebody else's store.
    """
    from lash_core.runtime.runtime import LashRuntime

    child_id = check_session_id(request.session_id) if request.session_id else str(uuid.uuid4())
    if child_id == session.session_id or child_id in session.children:
        raise SessionExists(f"session {child_id!r} is open already; name the new one otherwise", session_id=child_id)
    link = _link(session, request)
    store = await _store(session, child_id)
    runtime = await LashRuntime.from_environment(session.env, _spec(session, request, child_id), None, store)
    try:
        await _begin(session, runtime.session, request, link)
        if request.relation == "handoff":
            await _hand_off(session, child_id)
    except BaseException:
        await runtime.close()
        raise
    child = Child(runtime, session)
    session.children[child_id] = child
    runtime.session.reports_to = session
    return child


async def end_of_chain(session: OpenSession) -> str:
    """Follow the handoffs of a session to the one that works now (H3).

    Raises:
        SuccessorMissing: One of them is gone, or they go in a circle.
    """
    seen = [session.session_id]
    successor = session.document.successor
    while successor is not None:
        if successor in seen:
            raise SuccessorMissing(f"the handoffs of session {seen[0]!r} go in a circle", session_id=seen[0])
        seen.append(successor)
        head = await (await _store(session, successor)).head()
        if not isinstance(head, Head):
            raise SuccessorMissing(
                f"session {seen[-2]!r} was handed off to {successor!r}, which is not there any more",
                session_id=seen[0],
            )
        successor = read_document(head).successor
    return seen[-1]


async def _begin(
    session: OpenSession, child: OpenSession, request: SessionCreateRequest, link: ParentLink | None
) -> None:
    """Make the child's first commit: where its conversation begins, and what links it to its parent."""
    origin = await _origin(session, request)
    state = request.state if request.start == "state" else None
    turn_index = state.document.turn_index if isinstance(state, PersistedSessionState) else 0
    if origin is not None:
        turn_index = turn_index_of(origin.path)
    if request.relation == "handoff":
        turn_index = session.document.turn_index
    document = HeadDocument(config=child.config, turn_index=turn_index, parent=link, first_input=request.first_input)
    async with child.writing():
        if isinstance(state, PersistedSessionState):
            check_graph(state)
            await begin_with(child, state, document, step="create")
        elif origin is not None:
            shares = session.env.session_store_factory is None and session.shares
            await begin_at(child, origin, document, step="create", shares=shares, inherits=request.inherit_plugins)
        else:
            await child.commit(Change(step="create", document=document))


async def _origin(session: OpenSession, request: SessionCreateRequest) -> Origin | None:
    if request.start in ("empty", "state"):
        if request.start == "state" and not isinstance(request.state, PersistedSessionState):
            raise ConfigurationError("a child that starts with a state needs one, as export_state() gives it")
        return None
    source = session.session_id if request.start == "current" else request.source
    if not source:
        raise ConfigurationError("a child that starts with an existing session needs its id as the source")
    store = session.store if source == session.session_id else await _store(session, source)
    head = await store.head()
    if not isinstance(head, Head):
        raise SessionMissing(f"a child cannot start from session {source!r}: it is not stored", session_id=source)
    return await origin_of(source, store, head, head.leaf)


def _spec(session: OpenSession, request: SessionCreateRequest, child_id: str) -> SessionSpec:
    config = session.config
    access = config.tool_access
    if request.tools is not None or request.hidden_tools:
        access = access.narrowed(request.tools, request.hidden_tools)
    return SessionSpec(
        session_id=child_id,
        create=True,
        labels=request.labels,
        model=request.model or config.model,
        mode=request.mode or config.mode,
        instructions=config.instructions if request.instructions is None else request.instructions,
        model_settings=config.model_settings,
        context_window=config.context_window if request.model in (None, config.model) else None,
        tool_access=access,
        prompt=session.spec.prompt,
    )


async def _hand_off(session: OpenSession, successor: str) -> None:
    """Let the parent point to its successor: with the turn that runs, else by a commit of its own."""
    session.link_successor(successor)
    session.note(HandedOff(successor=successor))
    if not session.slot.taken:
        async with session.writing():
            await session.commit(Change(step="handoff", document=session.document))


def _link(session: OpenSession, request: SessionCreateRequest) -> ParentLink | None:
    if request.relation == "root":
        return None
    return ParentLink(
        session_id=session.session_id,
        relation=request.relation,
        usage_source=request.usage_source,
        authority=_authority(session, request),
    )


def _authority(session: OpenSession, request: SessionCreateRequest) -> SubagentAuthority | None:
    parent = session.document.parent
    own = parent.authority if parent else None
    if request.agent_name is None:
        return own if request.relation == "handoff" else None
    depth = (own.depth if own else 0) + 1
    deepest = min(own.max_depth if own else _DEEPEST, request.max_depth if request.max_depth is not None else _DEEPEST)
    if depth > deepest:
        raise PolicyError(
            f"subagent {request.agent_name!r} would be {depth} sessions deep, and {deepest} are allowed",
            session_id=session.session_id,
        )
    return SubagentAuthority(
        agent_name=request.agent_name, capability=request.capability, depth=depth, max_depth=deepest
    )


async def _store(session: OpenSession, session_id: str) -> SessionStore:
    factory = session.env.session_store_factory
    if factory is not None:
        store = await factory(SessionStoreRequest(session_id=session_id, parent_session_id=session.session_id))
        found = await store.head()
        if store is session.store or (isinstance(found, Head) and found.session_id != session_id):
            bound = session.session_id if store is session.store else found.session_id  # type: ignore[union-attr]
            raise SessionBindingMismatch(bound=bound, requested=session_id)
        return store
    return session.backend.session(session_id)

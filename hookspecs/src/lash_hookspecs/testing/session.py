"""`FakeSession`: what a hook or a tool may ask of its session, without one."""

from __future__ import annotations

import attrs
from pydantic import JsonValue

from lash_hookspecs.errors import InvalidInput, LashError, SessionExists, UnknownName
from lash_hookspecs.protocols.tasks import SessionTasks
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Payload, TextPart, kind_of, refs_of
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest, SessionReadView
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.tools import Availability
from lash_hookspecs.records.turn import TurnInput, TurnResult

__all__ = ["Emitted", "FakeChild", "FakeSession", "Traced"]


@attrs.frozen
class Emitted:
    """What `FakeSession.emit` was given."""

    plugin: str
    name: str
    body: JsonValue = None


@attrs.frozen
class Traced:
    """What `FakeSession.trace` was given."""

    plugin: str
    name: str
    fields: dict[str, JsonValue]


@attrs.define
class FakeChild:
    """A `ChildSession` whose turns end as ``text`` says.

    Attributes:
        session_id: The child.
        request: What it was created with.
        text: The answer of each turn.
        ran: The input of each turn that was run.
        cancelled: How often it was cancelled.
        closed: Whether it was closed.
    """

    session_id: str
    request: SessionCreateRequest
    text: str = "Done."
    ran: list[TurnInput] = attrs.field(factory=list)
    cancelled: int = 0
    closed: bool = False

    async def run(self, turn_input: TurnInput | None = None) -> TurnResult:
        """Answer at once.

        Raises:
            InvalidInput: Neither this nor the request has an input.
        """
        said = turn_input or self.request.first_input
        if said is None:
            raise InvalidInput(
                f"session {self.session_id!r}: there is nothing to run; give an input", session_id=self.session_id
            )
        self.ran.append(said)
        return TurnResult(
            session_id=self.session_id,
            turn_index=len(self.ran),
            outcome="finished",
            text=self.text,
            head_revision=2 * len(self.ran),
        )

    async def cancel(self) -> None:
        """Count it."""
        self.cancelled += 1

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


@attrs.define
class FakeSession:
    """A `SessionServices` that does nothing and remembers all that it was asked.

    ::

        session = FakeSession(tools=("search",), replies=[ModelReply(parts=(TextPart(text="Paris"),))])
        await my_handler(context_for(lash_after_tool_call, session=session))
        assert session.emitted == [Emitted("my-plugin", "tool_failed", "search")]

    Attributes:
        session_id: The session.
        config: Its configuration.
        payloads: Its path, root first.
        revision: Its stored revision.
        turn_index: Turns begun so far.
        tools: The tools that it has; of another one no availability can be set. ``None`` for any name.
        replies: What `complete` gives, one after the other; an error is raised. When none is left, it says "Done.".
        tasks: Its background tasks, such as those of a `FakeTaskHost`.
        emitted: What `emit` was given.
        traced: What `trace` was given.
        availability: What `set_tool_availability` has set.
        asked: What `complete` was given.
        children: What `create_session` has made, by session id.
    """

    session_id: str = "session"
    config: SessionConfig = attrs.field(factory=SessionConfig)
    payloads: tuple[Payload, ...] = ()
    revision: int | None = 1
    turn_index: int = 1
    tools: tuple[str, ...] | None = None
    replies: list[ModelReply | LashError] = attrs.field(factory=list)
    tasks: SessionTasks | None = None
    emitted: list[Emitted] = attrs.field(factory=list)
    traced: list[Traced] = attrs.field(factory=list)
    availability: dict[str, Availability] = attrs.field(factory=dict)
    asked: list[CompletionRequest] = attrs.field(factory=list)
    children: dict[str, FakeChild] = attrs.field(factory=dict)

    def view(self) -> SessionReadView:
        """Give the session as it is."""
        return SessionReadView(
            session_id=self.session_id,
            config=self.config,
            revision=self.revision,
            turn_index=self.turn_index,
            nodes=_nodes(self.payloads),
            payloads=self.payloads,
            usage=(),
        )

    async def create_session(self, request: SessionCreateRequest) -> FakeChild:
        """Make a `FakeChild`.

        Raises:
            SessionExists: There is a child of that name, or it is this session's own.
        """
        name = request.session_id or f"{self.session_id}-child-{len(self.children) + 1}"
        if name in self.children or name == self.session_id:
            raise SessionExists(f"session {name!r} is there already; choose another name", session_id=name)
        self.children[name] = FakeChild(name, request)
        return self.children[name]

    async def complete(self, request: CompletionRequest) -> ModelReply:
        """Give the next of ``replies``."""
        self.asked.append(request)
        reply = self.replies.pop(0) if self.replies else ModelReply(parts=(TextPart(text="Done."),))
        if isinstance(reply, LashError):
            raise reply
        return reply

    def set_tool_availability(self, names: tuple[str, ...], level: Availability | None) -> None:
        """Remember the levels; ``None`` forgets them.

        Raises:
            UnknownName: The session has no such tool.
        """
        for name in names:
            if self.tools is not None and name not in self.tools:
                raise UnknownName(f"session {self.session_id!r} has no tool {name!r}", session_id=self.session_id)
        for name in names:
            if level is None:
                self.availability.pop(name, None)
            else:
                self.availability[name] = level

    def emit(self, plugin: str, name: str, body: JsonValue = None) -> None:
        """Remember an event."""
        self.emitted.append(Emitted(plugin, name, body))

    def trace(self, plugin: str, name: str, **fields: JsonValue) -> None:
        """Remember a trace record."""
        self.traced.append(Traced(plugin, name, fields))


def _nodes(payloads: tuple[Payload, ...]) -> tuple[Node, ...]:
    return tuple(
        Node(
            node_id=f"node-{number}",
            parent_node_id=f"node-{number - 1}" if number > 1 else None,
            timestamp=number * 1_000_000,
            kind=kind_of(payload),
            payload=payload.to_bytes(),
            refs=refs_of(payload),
        )
        for number, payload in enumerate(payloads, 1)
    )

"""What a hook or a tool may ask of the session that it works for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import JsonValue

    from lash_hookspecs.protocols.tasks import SessionTasks
    from lash_hookspecs.records.models import ModelReply
    from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest, SessionReadView
    from lash_hookspecs.records.tools import Availability
    from lash_hookspecs.records.turn import TurnInput, TurnResult

__all__ = ["ChildSession", "SessionServices"]


class ChildSession(Protocol):
    """A session that another one started and holds."""

    @property
    def session_id(self) -> str:
        """The child."""
        ...

    async def run(self, turn_input: TurnInput | None = None) -> TurnResult:
        """Run one turn; without an input the one that it was created with. Cancelling the caller cancels the turn."""
        ...

    async def cancel(self) -> None:
        """Cancel the turn that runs, if any."""
        ...

    async def close(self) -> None:
        """Forget the child here; it stays in the store."""
        ...


class SessionServices(Protocol):
    """The session, as far as a plugin may act on it. Valid while the session is open."""

    @property
    def session_id(self) -> str:
        """The session."""
        ...

    @property
    def tasks(self) -> SessionTasks | None:
        """The session's background tasks; ``None`` without a task host (H2)."""
        ...

    def view(self) -> SessionReadView:
        """Give the session as it is in memory at this moment."""
        ...

    async def create_session(self, request: SessionCreateRequest) -> ChildSession:
        """Start a child, or a successor (H3).

        Raises:
            SessionExists: There is a session of that name.
            PolicyError: It would be deeper than the subagents' authority allows.
        """
        ...

    async def complete(self, request: CompletionRequest) -> ModelReply:
        """Ask a model outside the conversation; the usage goes into this session's ledger (T8)."""
        ...

    def set_tool_availability(self, names: tuple[str, ...], level: Availability | None) -> None:
        """Override how far tools are available, ``None`` for their own level; durable with the next commit.

        Raises:
            UnknownName: The session has no such tool.
        """
        ...

    def emit(self, plugin: str, name: str, body: JsonValue = None) -> None:
        """Tell readers that something happened; stored with the next commit (T9).

        Raises:
            InvalidInput: It cannot be stored; nobody was told.
        """
        ...

    def trace(self, plugin: str, name: str, **fields: JsonValue) -> None:
        """Write the record ``plugin.{plugin}.{name}`` into the trace, if there is one."""
        ...

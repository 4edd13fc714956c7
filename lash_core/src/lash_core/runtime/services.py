"""What plugins and tools may ask of their session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.protocols.services import ChildSession
from lash_hookspecs.protocols.tasks import SessionTasks
from lash_hookspecs.records.events import PluginEvent
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest, SessionReadView
from lash_hookspecs.records.tools import Availability
from pydantic import JsonValue, ValidationError

from lash_core.plugins.own_copies import OwnCopies, own
from lash_core.runtime.text import check_storable

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["Services", "read_view"]


class Services:
    """A `lash_hookspecs.protocols.services.SessionServices` of one open session."""

    def __init__(self, session: OpenSession) -> None:
        """Speak for a session."""
        self._session = session

    @property
    def session_id(self) -> str:
        """The session."""
        return self._session.session_id

    @property
    def tasks(self) -> SessionTasks | None:
        """The session's background tasks; ``None`` without a task host (H2)."""
        return self._session.tasks

    def view(self) -> SessionReadView:
        """Give the session as it is in memory at this moment."""
        return read_view(self._session)

    async def create_session(self, request: SessionCreateRequest) -> ChildSession:
        """Start a child, or a successor (H3)."""
        self._session.slot.refuse_closed()
        from lash_core.runtime.children import create_child

        return await create_child(self._session, request)

    async def complete(self, request: CompletionRequest) -> ModelReply:
        """Ask a model outside the conversation; the usage goes into this session's ledger (T8)."""
        self._session.slot.refuse_closed()
        from lash_core.runtime.completion import complete

        return await complete(self._session, request)

    def set_tool_availability(self, names: tuple[str, ...], level: Availability | None) -> None:
        """Override how far tools are available; durable with the next commit."""
        self._session.slot.refuse_closed()
        self._session.parts.registry.set_availability(names, level)
        self._session.waiting.override(names, level)

    def emit(self, plugin: str, name: str, body: JsonValue = None) -> None:
        """Tell readers that something happened; stored with the next commit (T9).

        Raises:
            InvalidInput: It cannot be stored; nobody was told.
            SessionError: The session was closed: no commit would store it.
        """
        self._session.slot.refuse_closed()
        what = f"event {name!r} of plugin {plugin!r}"
        try:
            event = PluginEvent(plugin=plugin, name=name, body=body)
        except ValidationError as error:
            raise InvalidInput(f"{what} is none: its body must be JSON, and its name a text") from error
        check_storable(event, what)
        self._session.waiting.note(event)
        self._session.tell(event)

    def trace(self, plugin: str, name: str, **fields: JsonValue) -> None:
        """Write a record into the trace, if there is one."""
        self._session.resident.tracer.plugin_event(plugin, name, fields)


def read_view(session: OpenSession) -> SessionReadView:
    """Give a session as it is in memory at this moment; it stays as it is whatever happens to the session."""
    items = list(session.resident.conversation.items)
    document = session.document
    return SessionReadView(
        session_id=session.session_id,
        config=own(document.config),
        revision=session.resident.revision,
        turn_index=document.turn_index,
        nodes=tuple(item.node for item in items),
        payloads=OwnCopies([item.payload for item in items]),
        usage=document.usage,
        parent=document.parent,
    )

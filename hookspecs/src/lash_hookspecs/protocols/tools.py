"""What a provider of tools implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
from pydantic import JsonValue

from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.records.attachments import AttachmentRef, guess_media_type
from lash_hookspecs.records.tools import ToolCall, ToolSpec

__all__ = ["Attachment", "DynamicTools", "LazyContracts", "ToolCallContext", "ToolOutput", "ToolProvider"]


@attrs.frozen
class Attachment:
    """A file with its bytes: what a tool returns, alone or anywhere in its value, and what an app sends.

    Attributes:
        data: The bytes.
        media_type: Counts where the bytes do not show it; such as ``text/csv``.
        name: What it is called, for people and models.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data):,} bytes>")
    media_type: str | None = None
    name: str | None = None

    def ref(self) -> AttachmentRef:
        """Name the file; that it is text is seen where nobody said what it is.

        Raises:
            InvalidInput: ``media_type`` is no media type.
        """
        media_type = self.media_type or guess_media_type(self.data, self.name)
        return AttachmentRef.of(self.data, media_type=media_type, name=self.name)


@attrs.frozen(kw_only=True)
class ToolCallContext:
    """What a tool may know of the call besides its arguments.

    Attributes:
        session_id: The session.
        turn_id: The turn.
        call: The call; its arguments fit the tool's schema.
        idempotency_key: The same in every attempt at this call, in any process (T3).
        session: What the tool may ask of its session; ``None`` where there is none, as in a test.
        attempt: Which attempt this is, from 1.
    """

    session_id: str
    turn_id: str
    call: ToolCall
    idempotency_key: str
    session: SessionServices | None = None
    attempt: int = 1


@attrs.frozen
class ToolOutput:
    """What a tool returns when its call does more than give an output: it ends the turn.

    The turn ends once every call of the batch has its result; of several calls that end it, the first in order decides.

    Attributes:
        value: What the model sees, as `ToolProvider.run` would return it.
        finish: The turn is finished; the output is its answer.
        fail: The turn is stopped; the output says why.
        handoff: The turn is finished, and this session takes over. One that is not stored, or whose own handoffs lead
            back, is refused: the model reads why, and the turn goes on.
    """

    value: JsonValue | Attachment | list[Any] | dict[str, Any] = ""
    finish: bool = attrs.field(default=False, kw_only=True)
    fail: bool = attrs.field(default=False, kw_only=True)
    handoff: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.finish + self.fail + (self.handoff is not None) > 1:
            raise ValueError("a ToolOutput can finish the turn, fail it or hand it off: only one of them")


@runtime_checkable
class ToolProvider(Protocol):
    """A set of tools."""

    def specs(self) -> Sequence[ToolSpec]:
        """List the tools; asked once per session, and when the source is refreshed.

        Calls do not change the list.
        """
        ...

    async def run(self, context: ToolCallContext) -> JsonValue | ToolOutput | Attachment | list[Any] | dict[str, Any]:
        """Run one call and give what the model shall see: text, or JSON.

        An `Attachment` may be the value, or stand anywhere in it; it is kept, and a note stands in its place.

        Cancelling the caller cancels the call, and the next one is answered; calls may run together. A ``read_only``
        tool changes nothing; one that is ``idempotent`` does nothing more when it is called again with the same
        ``idempotency_key``. Any exception becomes an error result that the model reads, so it must have words;
        `ToolError` gives its text as it is, and says whether the same call may succeed later.
        """
        ...


@runtime_checkable
class DynamicTools(Protocol):
    """A `ToolProvider` with tools that it does not list, such as those of a server with thousands."""

    async def resolve(self, name: str) -> ToolSpec | None:
        """Look up a tool by its exact name; ``None`` when there is none.

        Asked when a name that nobody lists is called, and once more in each process that has the tool from before.
        """
        ...


@runtime_checkable
class LazyContracts(Protocol):
    """A `ToolProvider` whose schemas cost something: its specs have ``input_schema=None``."""

    async def contract(self, name: str) -> dict[str, JsonValue]:
        """Give the JSON schema of a tool's arguments; asked once, when the tool is called or showcased."""
        ...

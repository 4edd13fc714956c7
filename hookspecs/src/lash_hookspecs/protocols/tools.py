"""What a provider of tools implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
from pydantic import JsonValue

from lash_hookspecs.records.attachments import AttachmentRef, guess_media_type
from lash_hookspecs.records.tools import ToolCall, ToolSpec

__all__ = ["Attachment", "ToolCallContext", "ToolProvider"]


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
    """

    session_id: str
    turn_id: str
    call: ToolCall
    idempotency_key: str


@runtime_checkable
class ToolProvider(Protocol):
    """A set of tools."""

    def specs(self) -> Sequence[ToolSpec]:
        """List the tools; asked once per session."""
        ...

    async def run(self, context: ToolCallContext) -> JsonValue | Attachment | list[Any] | dict[str, Any]:
        """Run one call and give what the model shall see: text, or JSON.

        An `Attachment` may be the value, or stand anywhere in it; it is kept, and a note stands in its place.

        Cancelling the caller cancels the call. Any exception becomes an error result that the model reads;
        `ToolError` gives its text as it is.
        """
        ...

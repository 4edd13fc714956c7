"""What a provider of tools implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import attrs
from pydantic import JsonValue

from lash_hookspecs.records.tools import ToolCall, ToolSpec

__all__ = ["ToolCallContext", "ToolProvider"]


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

    async def run(self, context: ToolCallContext) -> JsonValue:
        """Run one call and give what the model shall see: text, or JSON.

        Cancelling the caller cancels the call. Any exception becomes an error result that the model reads;
        `ToolError` gives its text as it is.
        """
        ...

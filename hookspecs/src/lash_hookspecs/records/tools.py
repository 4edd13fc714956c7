"""Tools, calls and results, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.model_base import Record

__all__ = ["ToolCall", "ToolKind", "ToolResult", "ToolSpec", "ToolStatus"]

#: What a repetition would do (T3): nothing, nothing more than the first, or harm.
ToolKind = Literal["read_only", "idempotent", "side_effecting"]

#: How a call ended. ``interrupted`` was never started, ``outcome_unknown`` may have happened (T6).
ToolStatus = Literal["ok", "error", "cancelled", "interrupted", "outcome_unknown"]


class ToolSpec(Record):
    """A tool as the model and the machine see it.

    Attributes:
        name: Unique within a session; letters, digits, ``_`` and ``-``.
        description: What it does, for the model.
        input_schema: JSON schema of the arguments; an object.
        kind: What a repetition would do (T3).
        serial: Whether it must run alone, after the parallel calls of its batch.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = ""
    input_schema: dict[str, JsonValue] = Field(default={"type": "object", "properties": {}})
    kind: ToolKind = "side_effecting"
    serial: bool = False


class ToolCall(Record):
    """A call that a mode asks for.

    Attributes:
        call_id: Unique within the active path; the machine replaces an empty or used one.
        tool: The tool's name as the model wrote it; perhaps unknown.
        arguments: The arguments; the model's raw text where it was not a JSON object.
    """

    call_id: str
    tool: str
    arguments: dict[str, JsonValue] | str = Field(default_factory=dict)


class ToolResult(Record):
    """How a call ended, as the model is told.

    Attributes:
        call_id: The call's id.
        tool: The tool's name.
        status: How it ended.
        output: What the model sees: text, or JSON.
        error_code: For programs: ``unknown_tool``, ``invalid_arguments``, ``tool_failed`` …
        spilled: Ref of a blob with the whole output, when ``output`` is an extract of it (S11).
        duration_ms: How long it ran, in milliseconds.
        attachments: Files that it returned, kept in the session's store; ``output`` says where they stand.
    """

    call_id: str
    tool: str
    status: ToolStatus = "ok"
    output: JsonValue = ""
    error_code: str | None = None
    spilled: str | None = None
    duration_ms: int | None = None
    attachments: tuple[AttachmentRef, ...] = ()

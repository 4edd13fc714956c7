"""What a trace is made of: one record per thing that happened, as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from lash_hookspecs.records.model_base import Record

__all__ = ["TRACE_EVENTS", "TRACE_SCHEMA_VERSION", "TraceContext", "TraceLevel", "TraceRecord"]

#: The version of `TraceRecord`; it changes when a reader of the old one would be misled.
TRACE_SCHEMA_VERSION = 1

#: How much is traced; ``extended`` adds ``stream_event``, and ``hook_called`` for each piece of a stream.
TraceLevel = Literal["standard", "extended"]

#: The runtime's own events. Those of plugins are called ``plugin.{plugin}.{name}``.
TRACE_EVENTS = (
    "session_started",
    "session_restored",
    "turn_started",
    "prompt_built",
    "model_call_started",
    "stream_event",
    "model_call_finished",
    "model_call_failed",
    "tool_call_started",
    "tool_call_finished",
    "hook_called",
    "boundary",
    "commit",
    "commit_failed",
    "usage",
    "turn_finished",
    "turn_interrupted",
)


class TraceContext(Record):
    """What a record is about; ``None`` where it is about nothing of the kind.

    Attributes:
        scope_id: The runtime object that the session was open in; two of them may work on one session in turn.
        session_id: The session.
        turn_id: The turn.
        turn_index: Its number in the session, from 1.
        call_key: The effect of the turn: stable over retries and processes.
        tool_call_id: The tool call, by the model's id.
        plugin: The plugin.
        metadata: What the app says of its own.
    """

    scope_id: str | None = None
    session_id: str | None = None
    turn_id: str | None = None
    turn_index: int | None = None
    call_key: str | None = None
    tool_call_id: str | None = None
    plugin: str | None = None
    metadata: dict[str, JsonValue] | None = None

    def overlaid(self, over: TraceContext) -> TraceContext:
        """Give this context with another one over it: fields that it knows win, metadata key by key."""
        known = {name: value for name in type(self).model_fields if (value := getattr(over, name)) is not None}
        if self.metadata and over.metadata:
            known["metadata"] = {**self.metadata, **over.metadata}
        return self.evolve(**known)


class TraceRecord(Record):
    """One thing that happened.

    Attributes:
        schema_version: `TRACE_SCHEMA_VERSION`.
        record_id: Unique; of one process they sort in the order of writing.
        timestamp: Microseconds since 1970-01-01 UTC.
        event: One of `TRACE_EVENTS`, or a plugin's.
        context: What it is about.
        fields: What is known of it: names, ids, counts, sizes and durations, never what was said. What is not known is
            left out.
        bodies: What was said: prompts, messages, arguments, outputs. ``None`` unless bodies were asked for.
    """

    schema_version: int = TRACE_SCHEMA_VERSION
    record_id: str
    timestamp: int
    event: str
    context: TraceContext = TraceContext()
    fields: dict[str, JsonValue] = Field(default_factory=dict)
    bodies: dict[str, JsonValue] | None = None

"""What the turn machine asks a host to run, and what comes back: data with registered names (H5).

An effect's key is stable: the same turn rebuilt in another process asks for the same work under the same key.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from lash_hookspecs.records.model_base import WHEN_USED, Record
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.tools import ToolCall, ToolKind, ToolResult

__all__ = [
    "EFFECTS",
    "RESPONSES",
    "CallFailed",
    "Effect",
    "ModelCall",
    "ModelReplied",
    "Response",
    "Started",
    "ToolReplied",
    "ToolRun",
]


class ModelCall(Record):
    """Ask the model. The request itself is built from the graph when it runs; it is never recorded.

    Attributes:
        key: The effect's key.
        tools: Whether the model may call tools.
    """

    kind: Literal["model_call"] = "model_call"
    key: str
    tools: bool = True


class ToolRun(Record):
    """Run one tool call.

    Attributes:
        key: The effect's key.
        call: The call.
        tool_kind: What a repetition would do; decides what happens after a crash (T3).
    """

    kind: Literal["tool_run"] = "tool_run"
    key: str
    call: ToolCall
    tool_kind: ToolKind = "side_effecting"


Effect = Annotated[ModelCall | ToolRun, Field(discriminator="kind")]


class Started(Record):
    """A side-effecting call is about to run: without a result, its outcome is unknown after a crash."""

    kind: Literal["started"] = "started"


class ModelReplied(Record):
    """The model answered."""

    kind: Literal["model_replied"] = "model_replied"
    reply: ModelReply


class CallFailed(Record):
    """The model call failed for good; retries are over.

    Attributes:
        message: What happened, for people.
        error_kind: The `ModelError` kind, or ``attachment_unresolved``.
    """

    kind: Literal["call_failed"] = "call_failed"
    message: str
    error_kind: str = "other"


class ToolReplied(Record):
    """A tool call ended, one way or another."""

    kind: Literal["tool_replied"] = "tool_replied"
    result: ToolResult


Response = Annotated[Started | ModelReplied | CallFailed | ToolReplied, Field(discriminator="kind")]

#: Encodes and decodes effects.
EFFECTS: TypeAdapter[ModelCall | ToolRun] = TypeAdapter(Effect, config=WHEN_USED)

#: Encodes and decodes what the effect journal holds.
RESPONSES: TypeAdapter[Started | ModelReplied | CallFailed | ToolReplied] = TypeAdapter(Response, config=WHEN_USED)

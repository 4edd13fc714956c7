"""What takes time and may fail: a model call, a tool call, a commit."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any, Self

from lash_hookspecs.errors import LashError, ModelError
from lash_hookspecs.records.effects import ToolRun
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.models import ModelChunk, ModelReply, ModelRequest, ReasoningChunk, TextChunk
from lash_hookspecs.records.payloads import ReasoningPart, TextPart, ToolCallPart
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.store import Commit
from lash_hookspecs.records.tools import ToolResult

from lash_core.tracing.tracer import Tracer, harmless

__all__ = ["CommitTrace", "ModelCallTrace", "ToolCallTrace", "error_code"]

#: The bytes of files: a message names them by their content, and the session keeps them.
_BYTES = {"attachments": {"__all__": {"data"}}}


class ModelCallTrace:
    """One attempt of a model call."""

    def __init__(self, tracer: Tracer, attempt: int) -> None:
        self.tracer = tracer
        self._attempt = attempt
        self._began = time.monotonic()

    @harmless
    def started(self, request: ModelRequest) -> None:
        """The request is about to be sent."""
        bodies = None
        if self.tracer.bodies:
            bodies = {"messages": _dumped(request.messages, leave_out=_BYTES), "tools": _dumped(request.tools)}
        self.tracer.emit("model_call_started", {"model": request.model, "attempt": self._attempt}, bodies)

    @harmless
    def streamed(self, chunk: ModelChunk) -> None:
        """A piece of the answer came."""
        if self.tracer.extended and isinstance(chunk, (TextChunk, ReasoningChunk)):
            fields = {"kind": chunk.kind, "attempt": self._attempt, "chars": len(chunk.text)}
            self.tracer.emit("stream_event", fields, {"text": chunk.text})

    @harmless
    def finished(self, reply: ModelReply) -> None:
        """The answer is there."""
        fields = {
            "attempt": self._attempt,
            "answered_by": reply.model,
            "finish_reason": reply.finish_reason,
            "text_chars": sum(len(part.text) for part in reply.parts if isinstance(part, TextPart)),
            "reasoning_chars": sum(len(part.text) for part in reply.parts if isinstance(part, ReasoningPart)),
            "tool_calls": [part.call.call_id for part in reply.parts if isinstance(part, ToolCallPart)],
            "usage": reply.usage.model_dump(mode="json", exclude_none=True),
            "duration_ms": _since(self._began),
        }
        bodies = {"parts": _dumped(reply.parts)} if self.tracer.bodies else None
        self.tracer.emit("model_call_finished", fields, bodies)

    @harmless
    def failed(self, error: BaseException, wait: float | None = None) -> None:
        """The attempt failed or was cut short; it is made again in ``wait`` seconds, or not at all."""
        fields = {
            "attempt": self._attempt,
            "error": error.kind if isinstance(error, ModelError) else error_code(error),
            "wait": wait,
            "duration_ms": _since(self._began),
        }
        self.tracer.emit("model_call_failed", fields, {"message": str(error)})


class ToolCallTrace:
    """One tool call; leaving it without a result says why there is none."""

    def __init__(self, tracer: Tracer, effect: ToolRun) -> None:
        self.tracer = tracer
        self._effect = effect
        self._result: ToolResult | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._started()
        return self

    def finished(self, result: ToolResult) -> ToolResult:
        """The result is there; it is given back."""
        self._result = result
        return result

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self._ended(error)

    @harmless
    def _started(self) -> None:
        call = self._effect.call
        fields = {"tool": call.tool, "kind": self._effect.tool_kind, "arguments_chars": _characters(call.arguments)}
        self.tracer.emit("tool_call_started", fields, {"arguments": call.arguments})

    @harmless
    def _ended(self, error: BaseException | None) -> None:
        fields: dict[str, Any] = {"tool": self._effect.call.tool, "duration_ms": _since(self._began)}
        result = self._result
        if result is None:
            status = "cancelled" if isinstance(error, asyncio.CancelledError) else "error"
            fields |= {"status": status, "error_code": None if error is None else error_code(error)}
            self.tracer.emit("tool_call_finished", fields)
            return
        fields |= {
            "status": result.status,
            "error_code": result.error_code,
            "output_chars": _characters(result.output),
            "spilled": result.spilled,
        }
        self.tracer.emit("tool_call_finished", fields, {"output": result.output})


class CommitTrace:
    """One commit, and the usage that it files."""

    def __init__(self, tracer: Tracer, document: CommitDocument, commit: Commit) -> None:
        self.tracer = tracer
        self._document = document
        self._commit = commit
        self._began = time.monotonic()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self._ended(error)

    @harmless
    def _ended(self, error: BaseException | None) -> None:
        document, commit = self._document, self._commit
        fields = {
            "step": document.step,
            "commit_id": commit.commit_id,
            "revision": (commit.expected_revision or 0) + 1,
            "epoch": commit.writer.epoch,
            "nodes": len(commit.nodes),
            "events": len(document.events),
            "components": len(commit.components),
            "bytes": len(commit.state) + len(commit.record) + sum(len(node.payload) for node in commit.nodes),
            "duration_ms": _since(self._began),
        }
        if error is not None:
            self.tracer.emit("commit_failed", {**fields, "error": error_code(error)}, {"message": str(error)})
            return
        self.tracer.emit("commit", fields)
        for row in document.usage:
            self.tracer.emit("usage", row.model_dump(mode="json", exclude_none=True))


def error_code(error: BaseException) -> str:
    """Give what may be told of an error: its code or its type, never its text."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return error.code if isinstance(error, LashError) else type(error).__name__


def _dumped(records: Iterable[Record], leave_out: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json", exclude_none=True, exclude=leave_out) for record in records]


def _characters(value: Any) -> int:
    return len(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1_000)

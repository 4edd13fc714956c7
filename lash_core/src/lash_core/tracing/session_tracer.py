"""What the runtime tells a tracer, and what of it goes into a record.

Names, ids, counts, sizes and durations are fields. What was said (prompts, messages, arguments, outputs, the texts of
errors, which may quote any of these) is a body. A model's settings are neither: they may hold a key.
"""

from __future__ import annotations

from collections.abc import Mapping

from lash_hookspecs.errors import redact_url
from lash_hookspecs.records.effects import ToolRun
from lash_hookspecs.records.models import ModelRequest
from lash_hookspecs.records.state import CommitDocument, HeadDocument, SessionConfig
from lash_hookspecs.records.store import Commit, Head
from lash_hookspecs.records.turn import TurnInput, TurnResult
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.models import lash_transform_stream_text

from lash_core.tracing.calls import CommitTrace, ModelCallTrace, ToolCallTrace, error_code
from lash_core.tracing.tracer import Tracer, harmless

__all__ = ["SessionTracer"]


class SessionTracer(Tracer):
    """A tracer that knows what happens in sessions."""

    @harmless
    def session_opened(self, head: Head | None, document: HeadDocument, store: str) -> None:
        """A runtime was built for a session.

        Args:
            head: What is stored; ``None`` for a new session.
            document: Its document.
            store: The store's name or URL.
        """
        fields = {
            "store": redact_url(store),
            "mode": document.config.mode,
            "model": document.config.model,
            "turn_index": document.turn_index,
            "unfinished_turn": document.open_turn.turn_id if document.open_turn else None,
        }
        if head is None:
            self.emit("session_started", fields)
        else:
            self.emit("session_restored", {**fields, "revision": head.revision, "epoch": head.epoch})

    @harmless
    def turn_started(self, config: SessionConfig, turn_input: TurnInput | None = None) -> None:
        """A turn began, or an interrupted one is continued, which has no input of its own."""
        fields = {"mode": config.mode, "model": config.model, "continued": turn_input is None}
        if turn_input is None:
            self.emit("turn_started", fields)
        else:
            self.emit("turn_started", {**fields, "input_chars": len(turn_input.text)}, {"input": turn_input.text})

    @harmless
    def prompt_built(self, request: ModelRequest, sections: Mapping[str, int] | None = None) -> None:
        """A request is ready.

        Args:
            request: It.
            sections: Characters of each slot of its system prompt.
        """
        fields = {
            "instructions_chars": len(request.instructions),
            "sections": dict(sections or {}),
            "messages": len(request.messages),
            "tools": len(request.tools),
        }
        self.bind(call_key=request.call_key).emit("prompt_built", fields, {"instructions": request.instructions})

    def model_call(self, request: ModelRequest, attempt: int) -> ModelCallTrace:
        """An attempt of a model call begins; what becomes of it is told to the answer."""
        call = ModelCallTrace(self.bind(call_key=request.call_key), attempt)
        call.started(request)
        return call

    def tool_call(self, effect: ToolRun) -> ToolCallTrace:
        """A tool call begins when the answer is entered, which is told the result before it is left."""
        return ToolCallTrace(self.bind(call_key=effect.key, tool_call_id=effect.call.call_id), effect)

    @harmless
    def boundary(self, usage: TokenUsage) -> None:
        """A turn is at a boundary, which is about to be committed; it has used so much."""
        self.emit("boundary", {"usage": usage.model_dump(mode="json", exclude_none=True)})

    def commit(self, document: CommitDocument, commit: Commit) -> CommitTrace:
        """A commit is under way as long as the answer is entered."""
        return CommitTrace(self.bind(turn_id=document.turn_id, turn_index=document.turn_index), document, commit)

    @harmless
    def hook_called(
        self, hook: str, plugin: str, fields: Mapping[str, str | float], reason: str, turn_id: str | None
    ) -> None:
        """A plugin was called, perhaps while a turn ran; for a piece of a stream that is told at level ``extended``."""
        if hook != lash_transform_stream_text.__name__ or self.extended:
            told = {"message": reason} if reason else None
            self.bind(plugin=plugin, turn_id=turn_id).emit("hook_called", {"hook": hook, **fields}, told)

    @harmless
    def turn_finished(self, result: TurnResult, started_at: int) -> None:
        """A turn had its final commit; it began at ``started_at``, microseconds since 1970-01-01 UTC."""
        self.emit(
            "turn_finished",
            {
                "outcome": result.outcome,
                "reason": result.reason,
                "revision": result.head_revision,
                "text_chars": len(result.text),
                "usage": result.usage.model_dump(mode="json", exclude_none=True),
                "duration_ms": (self.now - started_at) // 1_000,
            },
            {"text": result.text, "message": result.message},
        )

    @harmless
    def turn_interrupted(self, error: BaseException) -> None:
        """A turn was given up without its final commit."""
        self.emit("turn_interrupted", {"error": error_code(error)}, {"message": str(error)})

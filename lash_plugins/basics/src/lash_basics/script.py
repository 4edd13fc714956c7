"""A scripted model, for tests: what it answers is read from a JSON file (see the README for the format)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Self

from lash_hookspecs.errors import ConfigurationError, ModelError
from lash_hookspecs.records.models import (
    AssistantTurn,
    FinishReason,
    ModelChunk,
    ModelReply,
    ModelRequest,
    ReasoningChunk,
    ReplyChunk,
    TextChunk,
)
from lash_hookspecs.records.payloads import Part, ReasoningPart, TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.usage import TokenUsage
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from lash_basics.streaming import estimate_usage, words_in_chunks

__all__ = ["Gate", "Script", "ScriptedCall", "ScriptedError", "ScriptedReply", "ScriptedUsage"]

#: Seconds between two looks for the file that a gate waits for.
POLL_INTERVAL = 0.02


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScriptedCall(_Strict):
    """A tool call; text as arguments stands for what a model wrote that was no JSON object."""

    tool: str
    arguments: dict[str, JsonValue] | str = Field(default_factory=dict)
    call_id: str | None = None


class ScriptedUsage(_Strict):
    """Usage; what is not given is 0, the cost ``None``."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cached_input_tokens: int = Field(default=0, ge=0)
    reasoning_tokens: int = Field(default=0, ge=0)
    cost: Decimal | None = None


class ScriptedError(_Strict):
    """A failure of the call.

    Attributes:
        message: What happened.
        retryable: Whether a retry may help.
        retry_after: Seconds that are asked for.
        kind: As in `ModelError`.
        after_chunks: Chunks that stream before it.
        times: Attempts that fail, counted per call in this process; ``None`` for all.
    """

    message: str
    retryable: bool = False
    retry_after: float | None = Field(default=None, ge=0)
    kind: str = "other"
    after_chunks: int = Field(default=0, ge=0)
    times: int | None = Field(default=None, ge=1)


class Gate(_Strict):
    """A place in a stream: before chunk number ``at_chunk``, or behind the last one.

    Attributes:
        at_chunk: From 0; a number beyond the chunks means behind the last one.
        touch: A file that is made when the place is reached, relative to the script's folder.
        wait_for_file: A file that must be there to go on, looked for after the touch.
    """

    at_chunk: int = Field(default=0, ge=0)
    touch: str | None = None
    wait_for_file: str | None = None


class ScriptedReply(_Strict):
    """One answer of the model."""

    text: str | None = None
    reasoning: str | None = None
    chunks: tuple[str, ...] | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    usage: ScriptedUsage | None = None
    finish_reason: FinishReason | None = None
    error: ScriptedError | None = None
    gates: tuple[Gate, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.chunks is not None and self.text is not None and "".join(self.chunks) != self.text:
            raise ValueError("text and chunks say different things; give one of them")
        return self

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text as it streams."""
        return self.chunks if self.chunks is not None else tuple(words_in_chunks(self.text or ""))

    def parts(self, index: int) -> tuple[Part, ...]:
        """The parts of the message; ``index`` makes call ids that are the same in every run."""
        text = "".join(self.pieces)
        calls = (
            ToolCall(call_id=call.call_id or f"call_{index}_{at}", tool=call.tool, arguments=call.arguments)
            for at, call in enumerate(self.tool_calls)
        )
        return (
            *([ReasoningPart(text=self.reasoning, provider="offline")] if self.reasoning else []),
            *([TextPart(text=text)] if text else []),
            *(ToolCallPart(call=call) for call in calls),
        )


_REPLIES = TypeAdapter(tuple[ScriptedReply, ...])


class Script:
    """A script, read once.

    The reply is chosen by the number of assistant messages in the request, so any process answers alike.
    """

    def __init__(self, path: Path, replies: tuple[ScriptedReply, ...]) -> None:
        self.path = path
        self.replies = replies
        self._failures: dict[tuple[str, str, int], int] = {}

    @classmethod
    def load(cls, path: Path) -> Script:
        """Read a script.

        Raises:
            ConfigurationError: The file cannot be read or is no script; the message names it and the reason.
        """
        try:
            return cls(path, _REPLIES.validate_json(path.read_bytes()))
        except OSError as error:
            raise ConfigurationError(
                f"the script {path} of the offline model cannot be read: {error.strerror}"
            ) from error
        except ValidationError as error:
            raise ConfigurationError(f"the script {path} of the offline model is broken: {_reason(error)}") from error

    @property
    def reports_cost(self) -> bool:
        """Whether any reply has a cost."""
        return any(reply.usage is not None and reply.usage.cost is not None for reply in self.replies)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        """Play the reply that is due.

        Raises:
            ModelError: The script says so, or has no reply left.
        """
        index = sum(isinstance(message, AssistantTurn) for message in request.messages)
        if index >= len(self.replies):
            raise ModelError(
                f"the script {self.path} has {len(self.replies)} "
                f"{'reply' if len(self.replies) == 1 else 'replies'}; this is call number {index + 1}",
                kind="invalid_request",
            )
        reply = self.replies[index]
        error = self._due_error(request, index, reply.error)
        if reply.reasoning:
            yield ReasoningChunk(text=reply.reasoning)
        for at, piece in enumerate(reply.pieces):
            await self._pass_gates(gate for gate in reply.gates if gate.at_chunk == at)
            if error and at == error.after_chunks:
                raise _model_error(error)
            yield TextChunk(text=piece)
        await self._pass_gates(gate for gate in reply.gates if gate.at_chunk >= len(reply.pieces))
        if error:
            raise _model_error(error)
        yield ReplyChunk(reply=_reply(request, reply, index))

    def _due_error(self, request: ModelRequest, index: int, error: ScriptedError | None) -> ScriptedError | None:
        if error is None or error.times is None:
            return error
        key = (request.session_id, request.call_key, index)
        self._failures[key] = self._failures.get(key, 0) + 1
        return error if self._failures[key] <= error.times else None

    async def _pass_gates(self, gates: Iterable[Gate]) -> None:
        for gate in gates:
            if gate.touch is not None:
                (self.path.parent / gate.touch).touch()
            # Another process makes the file, so there is no event to wait for.
            while gate.wait_for_file is not None and not (self.path.parent / gate.wait_for_file).exists():  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL)


def _reply(request: ModelRequest, reply: ScriptedReply, index: int) -> ModelReply:
    parts = reply.parts(index)
    usage = estimate_usage(request, parts) if reply.usage is None else TokenUsage(**reply.usage.model_dump())
    return ModelReply(
        parts=parts,
        usage=usage,
        finish_reason=reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop"),
        model="offline-script",
    )


def _model_error(error: ScriptedError) -> ModelError:
    return ModelError(error.message, retryable=error.retryable, retry_after=error.retry_after, kind=error.kind)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = " → ".join(
        f"reply {step + 1}" if at == 0 and isinstance(step, int) else str(step) for at, step in enumerate(first["loc"])
    )
    return f"{where}: {first['msg']}" if where else first["msg"]

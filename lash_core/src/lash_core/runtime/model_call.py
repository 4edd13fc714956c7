"""One model call: stream, retry, retract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lash_hookspecs.errors import ModelError, PluginError
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.records.effects import CallFailed, ModelReplied
from lash_hookspecs.records.events import Event, ReasoningDelta, TextDelta, TextRetracted
from lash_hookspecs.records.models import ModelReply, ModelRequest, ReasoningChunk, ReplyChunk, TextChunk
from lash_hookspecs.records.payloads import Part, ReasoningPart, TextPart, ToolCallPart
from lash_hookspecs.records.text import clean_json, clean_text

from lash_core.runtime.environment import RetryPolicy, RuntimeEnvironment
from lash_core.tracing.calls import ModelCallTrace
from lash_core.tracing.session_tracer import SessionTracer

__all__ = ["Heard", "call_model", "clean_reply"]

#: What plugins do to a piece of text on its way to live readers.
Heard = Callable[[str], Awaitable[str]]


async def call_model(
    provider: ModelProvider,
    request: ModelRequest,
    env: RuntimeEnvironment,
    emit: Callable[[Event], None],
    tracer: SessionTracer,
    heard: Heard | None = None,
) -> ModelReplied | CallFailed:
    """Ask the model, again if it is worth it; live text of a failed attempt is retracted.

    Args:
        provider: Who is asked.
        request: What is asked.
        env: How often and how patiently.
        emit: Takes live events.
        tracer: Takes what happens.
        heard: What becomes of each piece of text before it is emitted.

    Raises:
        PluginError: ``heard`` failed.
    """
    attempt = 1
    while True:
        call = tracer.model_call(request, attempt)
        try:
            reply = clean_reply(await _attempt(provider, request, attempt, emit, call, heard))
        except (asyncio.CancelledError, PluginError) as error:
            call.failed(error)
            raise
        except ModelError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  a provider's own bug fails the turn, never the session
            failure = ModelError(f"the provider failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
        else:
            call.finished(reply)
            return ModelReplied(reply=reply)
        wait = _wait(env.retry, attempt, failure)
        call.failed(failure, wait)
        emit(TextRetracted(attempt=attempt, wait=wait, reason=clean_text(failure.message)))
        if wait is None:
            return CallFailed(message=clean_text(failure.message), error_kind=failure.kind)
        await env.sleep(wait)
        attempt += 1


def _wait(policy: RetryPolicy, attempt: int, failure: ModelError) -> float | None:
    if not failure.retryable or attempt >= policy.attempts:
        return None
    return policy.wait(attempt, failure.retry_after)


async def _attempt(
    provider: ModelProvider,
    request: ModelRequest,
    attempt: int,
    emit: Callable[[Event], None],
    call: ModelCallTrace,
    heard: Heard | None,
) -> ModelReply:
    stream = provider.stream(request)
    try:
        async for chunk in stream:
            call.streamed(chunk)
            if isinstance(chunk, TextChunk):
                text = clean_text(chunk.text)
                emit(TextDelta(text=await heard(text) if heard else text, attempt=attempt))
            elif isinstance(chunk, ReasoningChunk):
                emit(ReasoningDelta(text=clean_text(chunk.text), attempt=attempt))
            elif isinstance(chunk, ReplyChunk):
                return chunk.reply
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
    raise ModelError("the model's stream ended without an answer", retryable=True, kind="transport")


def clean_reply(reply: ModelReply) -> ModelReply:
    """Give an answer with every text such as JSON can carry (G2)."""
    return reply.evolve(parts=tuple(_clean_part(part) for part in reply.parts))


def _clean_part(part: Part) -> Part:
    if isinstance(part, (TextPart, ReasoningPart)):
        return part.evolve(text=clean_text(part.text))
    if isinstance(part, ToolCallPart):
        call = part.call
        return ToolCallPart(
            call=call.evolve(
                call_id=clean_text(call.call_id), tool=clean_text(call.tool), arguments=clean_json(call.arguments)
            )
        )
    return part

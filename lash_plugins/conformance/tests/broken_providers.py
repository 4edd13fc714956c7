"""Providers that differ from a sound one by a few lines, each breaking one clause; test_broken_kinds.py runs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from lash_conformance import Failure, ProviderConformance
from lash_hookspecs.errors import ModelError, UnknownName
from lash_hookspecs.records.models import (
    ModelChunk,
    ModelInfo,
    ModelReply,
    ModelRequest,
    ReplyChunk,
    TextChunk,
    ToolTurn,
    UserTurn,
)
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolSpec
from lash_hookspecs.records.usage import TokenUsage

KEY = "sk-of-this-provider"

#: The name of each test class → the clause that its provider breaks; "" for none.
BREAKS: dict[str, str] = {}


def breaks(clause: str) -> Any:
    """Make a test class for a provider, and say which clause it breaks."""

    def register(provider: type[PlainProvider]) -> type[PlainProvider]:
        name = f"Test{provider.__name__}"
        BREAKS[name] = clause
        globals()[name] = type(name, (_Plain,), {"__module__": __name__, "open_provider": provider})
        return provider

    return register


class _Plain(ProviderConformance):
    model = "echo"
    unknown_model = "nobody"
    secrets = (KEY,)

    def tool_call(self) -> ModelRequest:
        said = (UserTurn(text="call add twice"),)
        return ModelRequest(model="echo", messages=said, tools=(ToolSpec(name="add"),))

    def failures(self) -> Sequence[Failure]:
        busy = ModelRequest(model="echo", messages=(UserTurn(text="be busy"),))
        return [Failure(busy, "overloaded", retryable=True)]


class PlainProvider:
    """Echoes, calls tools when it is told to, and fails when it is told to."""

    async def model_info(self, model: str) -> ModelInfo:
        if model != "echo":
            raise UnknownName(f"there is no model {model!r}; there is 'echo'")
        return ModelInfo(context_window=1_000, attachments=("text/",))

    async def close(self) -> None: ...

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        await asyncio.sleep(0)
        last = request.messages[-1]
        said = last.text if isinstance(last, UserTurn) else "so be it"
        if said == "be busy":
            raise self.failure()
        calls = said.startswith("call") and not isinstance(last, ToolTurn)
        text = f"You said {said} in {len(request.messages)} messages"
        for word in text.split(" "):
            await asyncio.sleep(0)
            yield TextChunk(text=word if word == "You" else f" {word}")
        yield ReplyChunk(reply=self.reply(text, calls))

    def failure(self) -> Exception:
        return ModelError("the model is busy", kind="overloaded", retryable=True)

    def reply(self, text: str, calls: bool) -> ModelReply:
        parts = (TextPart(text=text), *(ToolCallPart(call=call) for call in self.calls() if calls))
        usage = TokenUsage(input_tokens=5, output_tokens=9)
        return ModelReply(parts=parts, usage=usage, finish_reason="tool_calls" if calls else "stop")

    def calls(self) -> list[ToolCall]:
        return [ToolCall(call_id=f"call-{number}", tool="add", arguments={"a": number}) for number in (1, 2)]


@breaks("")
class SoundProvider(PlainProvider): ...


@breaks("T5.stream")
class RepliesTwice(PlainProvider):
    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        async for chunk in super().stream(request):
            yield chunk
            if isinstance(chunk, ReplyChunk):
                yield chunk


@breaks("T5.stream")
class StreamsWhatTheReplyDoesNotSay(PlainProvider):
    def reply(self, text: str, calls: bool) -> ModelReply:
        return super().reply(text.strip() if "number" in text else f"{text}.", calls)


@breaks("T8.usage")
class CountsNothing(PlainProvider):
    def reply(self, text: str, calls: bool) -> ModelReply:
        return super().reply(text, calls).evolve(usage=TokenUsage())


@breaks("T2.calls")
class CallsTwiceUnderOneId(PlainProvider):
    def calls(self) -> list[ToolCall]:
        return [call.evolve(call_id="call-1") for call in super().calls()]


@breaks("T5.requests")
class DropsTheFirstMessage(PlainProvider):
    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        if request.settings:
            request.settings.clear()
        async for chunk in super().stream(request):
            yield chunk


@breaks("T7.failures")
class FailsForGood(PlainProvider):
    def failure(self) -> Exception:
        return ModelError("the model is busy", kind="overloaded")


@breaks("T7.failures")
class FailsWithItsDriversError(PlainProvider):
    def failure(self) -> Exception:
        return ConnectionError("the model is busy")


@breaks("T3.cancel")
class IsStuckOnceItWasCancelled(PlainProvider):
    stuck = False

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        try:
            async for chunk in super().stream(request):
                yield chunk
        except asyncio.CancelledError:
            self.stuck = True
            raise

    def reply(self, text: str, calls: bool) -> ModelReply:
        return super().reply("" if self.stuck else text, calls)


@breaks("L3.info")
class KnowsEveryModel(PlainProvider):
    async def model_info(self, model: str) -> ModelInfo:
        return ModelInfo(attachments=("text/",)) if model == "echo" else ModelInfo()


@breaks("L12.close")
class ClosesOnce(PlainProvider):
    closed = 0

    async def close(self) -> None:
        self.closed += 1
        if self.closed == 2:
            raise RuntimeError("closed already")


@breaks("L13.secrets")
class FailsWithItsKey(PlainProvider):
    def failure(self) -> Exception:
        failure = super().failure()
        failure.__cause__ = ValueError(f"Authorization: Bearer {KEY}")
        return failure


@breaks("T5.files")
class RefusesEmptyFiles(PlainProvider):
    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        files = [file for turn in request.messages if isinstance(turn, UserTurn) for file in turn.attachments]
        if any(not file.data for file in files):
            raise ModelError("an empty file", kind="invalid_request")
        async for chunk in super().stream(request):
            yield chunk


@breaks("P12.shared")
class CollectsInItself(PlainProvider):
    text = ""

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        self.text = ""
        async for chunk in super().stream(request):
            if isinstance(chunk, TextChunk):
                self.text += chunk.text
                yield chunk
            elif isinstance(chunk, ReplyChunk):
                parts = (TextPart(text=self.text), *chunk.reply.parts[1:])
                yield ReplyChunk(reply=chunk.reply.evolve(parts=parts))

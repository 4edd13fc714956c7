"""`ProviderConformance`: what holds of a model provider."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

import attrs
import pytest
import pytest_asyncio
from lash_conformance.clauses import Clause, Clauses, needs
from lash_conformance.subject import Suite
from lash_conformance.suites.cancels import break_off
from lash_conformance.values import check_json, secrets_shown
from lash_hookspecs.errors import ConfigurationError, LashError, ModelError
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.records.attachments import AttachmentData, AttachmentRef, takes
from lash_hookspecs.records.models import (
    AssistantTurn,
    ModelInfo,
    ModelMessage,
    ModelReply,
    ModelRequest,
    ReasoningChunk,
    ReplyChunk,
    TextChunk,
    ToolTurn,
    UserTurn,
)
from lash_hookspecs.records.payloads import OtherPart, ReasoningPart, TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec
from lash_hookspecs.records.usage import TokenUsage

__all__ = ["Failure", "ProviderConformance"]

#: The kinds of `ModelError`.
_KINDS = {"rate_limit", "overloaded", "transport", "auth", "invalid_request", "context_overflow", "content_filter"}

#: A picture of one pixel, and texts: a file of each kind that a model may take.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8ffff3f0005fe02fe0def"
    "46b80000000049454e44ae426082"
)
_FILES = (
    (b"two litres of milk\n", "text/plain", "milk.txt"),
    (b'{"milk": 2}', "application/json", "milk.json"),
    (_PIXEL, "image/png", "milk.png"),
)


@attrs.frozen
class Failure:
    """A request that fails, and how.

    Attributes:
        request: What is asked.
        kind: The `ModelError` kind that is expected.
        retryable: Whether the same request may succeed later.
    """

    request: ModelRequest
    kind: str
    retryable: bool


class ProviderConformance(Clauses, Suite, level="core", about="provider"):
    """Every clause of the contract that can be proved at a model provider, as tests.

    Derive from it, in a test module, and say how the provider is opened and asked::

        class TestMyProvider(ProviderConformance):
            open_provider = staticmethod(MyProvider)
            model = "small"

    Against a service it is run on a server that replays answers; a fixture of the class, ``autouse``, starts it.

    Attributes:
        open_provider: ``() -> ModelProvider``.
        model: What follows ``provider:`` in the name of a model that answers each request with words.
        unknown_model: A model that the provider refuses.
        secrets: What no error, log or repr may hold, such as the key that the test gives it.
    """

    open_provider: ClassVar[Callable[..., ModelProvider]]
    model: ClassVar[str] = ""
    unknown_model: ClassVar[str | None] = None
    secrets: ClassVar[tuple[str, ...]] = ()
    lash_kind = "provider"
    lash_requires = ("open_provider",)

    @classmethod
    def lash_not_run(cls, clause: Clause) -> str | None:
        """Say why a test of a clause is left out for this provider."""
        for need in clause.needs:
            if need in ("tool_call", "failures") and not cls.lash_overrides(need):
                return f"not run: no {need}()"
            if need in ("unknown_model", "secrets") and not getattr(cls, need):
                return f"not run: no {need}"
        return None

    def tool_call(self) -> ModelRequest:
        """Give a request with tools that the model answers by calling some of them."""
        raise NotImplementedError

    def failures(self) -> Sequence[Failure]:
        """Give requests that fail; what makes them fail is arranged here, each time anew."""
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def provider(self) -> AsyncIterator[ModelProvider]:
        """The provider, closed afterwards."""
        provider = type(self).open_provider()
        yield provider
        await provider.close()

    @pytest.fixture
    def patience(self, request: pytest.FixtureRequest) -> float:
        """Seconds after which a call is given up."""
        seconds: float = request.config.getoption("lash_patience")
        return seconds

    async def test_T5_stream__chunks_come_first_and_the_reply_last(self, provider: ModelProvider) -> None:
        for said in ("Say hello.", "Tell me a story of three sentences."):
            chunks = [chunk async for chunk in provider.stream(self._ask(UserTurn(text=said)))]
            kinds = [type(chunk).__name__ for chunk in chunks]
            assert all(isinstance(chunk, TextChunk | ReasoningChunk | ReplyChunk) for chunk in chunks), kinds
            assert kinds.count("ReplyChunk") == 1, f"exactly one ReplyChunk must come, not {kinds}"
            assert kinds[-1] == "ReplyChunk", f"the ReplyChunk must come last, not {kinds}"
            assert all(chunk.text for chunk in chunks if not isinstance(chunk, ReplyChunk)), "a chunk says nothing"

    async def test_T5_stream__the_chunks_joined_are_the_reply(self, provider: ModelProvider) -> None:
        chunks = [chunk async for chunk in provider.stream(self._ask(UserTurn(text="Say hello.")))]
        reply = await self._reply(provider, self._ask(UserTurn(text="Say hello.")), chunks)
        streamed = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))
        assert streamed == _text(reply), "what was streamed is not what the reply says"
        thought = "".join(chunk.text for chunk in chunks if isinstance(chunk, ReasoningChunk))
        told = "".join(part.text for part in reply.parts if isinstance(part, ReasoningPart))
        assert thought == told or not thought, "the reasoning that was streamed is not the reply's"
        assert ModelReply.from_bytes(reply.to_bytes()) == reply, "a reply must come back from JSON as it was"

    async def test_T8_usage__a_reply_says_what_it_cost(self, provider: ModelProvider) -> None:
        info = await provider.model_info(self.model)
        usage = (await self._reply(provider, self._ask())).usage
        assert usage.input_tokens > 0, f"a call was sent, and no token of it is counted: {usage}"
        assert usage.output_tokens > 0, f"an answer came, and no token of it is counted: {usage}"
        assert 0 <= usage.cached_input_tokens <= usage.input_tokens, f"cached tokens are a part of the input: {usage}"
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens, f"reasoning is a part of the output: {usage}"
        assert not info.reports_cost or usage.cost is not None, "the model is said to report costs, and reported none"

    @needs("tool_call")
    async def test_T2_calls__each_call_has_an_id_a_name_and_arguments(self, provider: ModelProvider) -> None:
        request = self.tool_call()
        reply = await self._reply(provider, request)
        calls = _calls(reply)
        assert calls, f"tool_call() was to be answered by calls, and was by {reply.parts!r}"
        assert reply.finish_reason == "tool_calls", f"a reply with calls says it ended for {reply.finish_reason!r}"
        ids = [call.call_id for call in calls]
        assert all(ids), "a call has no id"
        assert len(set(ids)) == len(ids), f"two calls have one id: {ids}"
        for call in calls:
            assert call.tool in {tool.name for tool in request.tools}, f"{call.tool!r} is none of the tools"
            check_json(call.arguments, f"the arguments of {call.call_id!r}")

    @needs("tool_call")
    async def test_T2_calls__the_results_are_taken_back(self, provider: ModelProvider) -> None:
        request = self.tool_call()
        reply = await self._reply(provider, request)
        results = tuple(ToolResult(call_id=call.call_id, tool=call.tool, output="2") for call in _calls(reply))
        more = (*request.messages, AssistantTurn(parts=reply.parts), ToolTurn(results=results))
        assert (await self._reply(provider, request.evolve(messages=more))).parts

    async def test_T5_requests__a_history_of_others_is_taken(self, provider: ModelProvider) -> None:
        reply = await self._reply(provider, self._ask(*_HISTORY))
        assert reply.finish_reason in ("stop", "tool_calls", "length")

    async def test_T5_requests__a_request_is_left_as_it_was(self, provider: ModelProvider) -> None:
        request = self._ask(*_HISTORY).evolve(tools=(_ADD,), settings={"temperature": 0.0})
        before = request.model_copy(deep=True)
        await self._reply(provider, request)
        assert request == before, "the provider has changed the request that it was given"

    @needs("failures")
    async def test_T7_failures__each_is_a_model_error_that_says_whether_a_retry_may_help(
        self, provider: ModelProvider
    ) -> None:
        for expected in self.failures():
            error = await _failed(provider, expected.request)
            assert isinstance(error, ModelError), f"a failure must be a ModelError, not {error!r}"
            assert error.kind in _KINDS | {"other"}, f"{error.kind!r} is no kind of ModelError"
            told, wanted = (error.kind, error.retryable), (expected.kind, expected.retryable)
            assert told == wanted, f"{error}: says kind, retryable = {told}, and should say {wanted}"
            assert error.retry_after is None or error.retry_after >= 0
            assert str(error).strip(), "the error has no words"

    @needs("failures")
    async def test_T7_failures__after_one_the_next_call_is_answered(self, provider: ModelProvider) -> None:
        for expected in self.failures():
            await _failed(provider, expected.request)
            assert (await self._reply(provider, self._ask())).parts

    async def test_T3_cancel__cancelled_at_any_await_the_next_call_is_answered(
        self, provider: ModelProvider, patience: float
    ) -> None:
        whole = await self._reply(provider, self._ask())
        for number in itertools.count():
            async with asyncio.timeout(patience):
                if not await break_off(self._heard(provider), number, "at once"):
                    break
        assert _alike(await self._reply(provider, self._ask()), whole)

    async def test_T3_cancel__a_stream_may_be_closed_early(self, provider: ModelProvider, patience: float) -> None:
        async with asyncio.timeout(patience):
            async with aclosing(_closable(provider.stream(self._ask()))) as stream:
                async for _chunk in stream:
                    break
            never_asked = provider.stream(self._ask())
            await _closable(never_asked).aclose()
            assert (await self._reply(provider, self._ask())).parts

    async def test_L3_info__it_is_told_alike_each_time(self, provider: ModelProvider) -> None:
        info = await provider.model_info(self.model)
        assert isinstance(info, ModelInfo)
        assert info == await provider.model_info(self.model)
        assert info.context_window is None or info.context_window > 0, f"a context window of {info.context_window}"
        assert "\n" not in info.notice, "the notice is one line for a user"

    @needs("unknown_model")
    async def test_L3_info__a_model_that_there_is_not_is_refused(self, provider: ModelProvider) -> None:
        assert self.unknown_model is not None
        with pytest.raises(ConfigurationError) as caught:
            await provider.model_info(self.unknown_model)
        assert str(caught.value).strip()

    async def test_L12_close__it_may_be_closed_twice(self, provider: ModelProvider) -> None:
        await self._reply(provider, self._ask())
        await provider.close()
        await provider.close()
        unused = type(self).open_provider()
        await unused.close()
        await unused.close()

    @needs("secrets", "failures")
    async def test_L13_secrets__no_error_log_or_repr_shows_one(
        self, provider: ModelProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        errors: list[object] = [await _failed(provider, each.request) for each in self.failures()]
        if self.unknown_model is not None:
            errors.append(await _refused(provider, self.unknown_model))
        await self._reply(provider, self._ask())
        for shown in (provider, await provider.model_info(self.model), *errors, *caplog.messages):
            assert not secrets_shown(shown, self.secrets), f"{type(shown).__name__} shows a secret"

    async def test_T5_files__what_is_declared_is_taken(self, provider: ModelProvider) -> None:
        prefixes = (await provider.model_info(self.model)).attachments
        taken = [_file(*file) for file in _FILES if takes(prefixes, file[1])]
        if not taken:
            pytest.skip("does not apply: the model takes no text, JSON or PNG")
        for file in (*taken, taken[0].evolve(data=b"")):
            reply = await self._reply(provider, self._ask(UserTurn(text="What is this?", attachments=(file,))))
            assert reply.parts, f"{file.ref.describe()} is declared, and was not answered"

    async def test_P12_shared__calls_that_run_together_do_not_mix_up(
        self, provider: ModelProvider, patience: float
    ) -> None:
        asked = [self._ask(UserTurn(text=f"Say the number {number}.")) for number in range(6)]
        alone = [await self._reply(provider, request) for request in asked]
        steady = [_alike(await self._reply(provider, asked[0]), alone[0])]
        async with asyncio.timeout(patience):
            together = await asyncio.gather(*(_collected(provider, request) for request in asked))
        for number, (chunks, reply) in enumerate(together):
            assert "".join(chunks) == _text(reply), f"call {number} was streamed what another one's reply says"
            assert not all(steady) or _alike(reply, alone[number]), f"call {number} was answered as another one"

    def _ask(self, *messages: ModelMessage) -> ModelRequest:
        said = messages or (UserTurn(text="Say hello."),)
        return ModelRequest(model=self.model, messages=said, session_id="chat", call_key="chat/1")

    async def _heard(self, provider: ModelProvider) -> None:
        async for _chunk in provider.stream(self._ask()):
            pass

    async def _reply(
        self, provider: ModelProvider, request: ModelRequest, chunks: Sequence[Any] | None = None
    ) -> ModelReply:
        heard = [chunk async for chunk in provider.stream(request)] if chunks is None else chunks
        replies = [chunk.reply for chunk in heard if isinstance(chunk, ReplyChunk)]
        assert replies, "the stream ended without a ReplyChunk"
        assert isinstance(replies[-1], ModelReply)
        return replies[-1]


_ADD = ToolSpec(
    name="add",
    description="Add two numbers.",
    input_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
    kind="read_only",
)
_CALL = ToolCall(call_id="call-of-another-1", tool="add", arguments={"a": 1})
_HISTORY: tuple[ModelMessage, ...] = (
    UserTurn(text="What is one and one?"),
    AssistantTurn(
        parts=(
            ReasoningPart(text="Hm.", provider="somebody-else", replay={"signature": "c2ln"}),
            OtherPart(kind="of_a_later_version"),
            TextPart(text="Let me see."),
            ToolCallPart(call=_CALL),
        )
    ),
    ToolTurn(results=(ToolResult(call_id=_CALL.call_id, tool="add", status="error", output="the line was cut"),)),
    AssistantTurn(parts=(TextPart(text="I could not find out."),)),
    UserTurn(text="Say hello."),
)


def _file(data: bytes, media_type: str, name: str) -> AttachmentData:
    return AttachmentData(ref=AttachmentRef.of(data, media_type=media_type, name=name), data=data)


def _text(reply: ModelReply) -> str:
    return "".join(part.text for part in reply.parts if isinstance(part, TextPart))


def _calls(reply: ModelReply) -> list[ToolCall]:
    return [part.call for part in reply.parts if isinstance(part, ToolCallPart)]


def _alike(one: ModelReply, other: ModelReply) -> bool:
    return _text(one) == _text(other)


def _closable(stream: Any) -> Any:
    assert hasattr(stream, "aclose"), "stream() must give an async generator, so that a caller can close it early"
    return stream


async def _collected(provider: ModelProvider, request: ModelRequest) -> tuple[list[str], ModelReply]:
    texts: list[str] = []
    reply = ModelReply(usage=TokenUsage())
    async for chunk in provider.stream(request):
        await asyncio.sleep(0)
        if isinstance(chunk, TextChunk):
            texts.append(chunk.text)
        elif isinstance(chunk, ReplyChunk):
            reply = chunk.reply
    return texts, reply


async def _failed(provider: ModelProvider, request: ModelRequest) -> Exception:
    try:
        chunks = [chunk async for chunk in provider.stream(request)]
    except Exception as error:  # noqa: BLE001  which error it is is what is looked at
        return error
    raise AssertionError(f"the request was to fail, and was answered by {chunks!r}")


async def _refused(provider: ModelProvider, model: str) -> LashError | None:
    try:
        await provider.model_info(model)
    except LashError as error:
        return error
    return None

"""Calls that fail: the kind, whether a retry may help, and that no key is shown."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from lash_hookspecs.errors import ModelError
from lash_hookspecs.records.models import AssistantTurn, ModelChunk, ModelRequest, TextChunk, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_provider_pydantic_ai.provider import PydanticAIProvider
from strict_server import Reply, StrictServer

pytestmark = pytest.mark.asyncio

HELLO = ModelRequest(model="local", messages=(UserTurn(text="hello"),))


async def failure_of(
    provider: PydanticAIProvider, request: ModelRequest = HELLO, seen: list[ModelChunk] | None = None
) -> ModelError:
    async def read() -> None:
        async for chunk in provider.stream(request):
            if seen is not None:
                seen.append(chunk)

    with pytest.raises(ModelError) as caught:
        await read()
    return caught.value


@pytest.mark.parametrize(
    ("reply", "kind", "retryable"),
    [
        (Reply(status=429), "rate_limit", True),
        (Reply(status=429, error={"message": "pay", "code": "insufficient_quota"}), "rate_limit", False),
        (Reply(status=402), "rate_limit", False),
        (Reply(status=408), "transport", True),
        (Reply(status=409), "transport", True),
        (Reply(status=500), "overloaded", True),
        (Reply(status=502), "overloaded", True),
        (Reply(status=503), "overloaded", True),
        (Reply(status=529), "overloaded", True),
        (Reply(status=503, headers={"x-should-retry": "false"}), "overloaded", False),
        (Reply(status=401), "auth", False),
        (Reply(status=403), "auth", False),
        (Reply(status=400), "invalid_request", False),
        (Reply(status=404), "invalid_request", False),
        (Reply(status=413), "invalid_request", False),
        (Reply(status=422), "invalid_request", False),
        (
            Reply(status=400, error={"message": "too long", "code": "context_length_exceeded"}),
            "context_overflow",
            False,
        ),
        (Reply(status=400, error="the request exceeds the available context size"), "context_overflow", False),
        (Reply(status=400, error="prompt is too long: 9 tokens > 8 maximum"), "context_overflow", False),
        (Reply(stream_error={"message": "busy", "code": "rate_limit_exceeded"}), "rate_limit", True),
        (Reply(stream_error={"message": "crash", "code": "server_error"}), "overloaded", True),
        (Reply(stream_error={"message": "odd"}), "other", True),
    ],
)
async def test_a_refusal_says_what_kind_it_is_and_whether_to_retry(
    provider: PydanticAIProvider, server: StrictServer, reply: Reply, kind: str, retryable: bool
) -> None:
    """The runtime decides about retries by these two; the call itself is made once."""
    server.script(reply)
    error = await failure_of(provider)
    assert (error.kind, error.retryable) == (kind, retryable)
    assert len(server.requests) == 1


async def test_the_whole_text_of_an_error_names_the_model_and_quotes_the_service(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """A user reads the service's own words, in one line."""
    server.script(Reply(status=500, error="the hamster\nis tired"))
    assert str(await failure_of(provider)) == "openai:local: the hamster is tired (HTTP 500)"


async def test_the_time_to_wait_is_told(provider: PydanticAIProvider, server: StrictServer) -> None:
    """``Retry-After`` comes through in seconds."""
    server.script(Reply(status=429, retry_after=5))
    assert (await failure_of(provider)).retry_after == 5.0


@pytest.mark.parametrize("cut_after", [0, 1, 2])
async def test_a_cut_connection_is_a_transport_error(
    provider: PydanticAIProvider, server: StrictServer, cut_after: int
) -> None:
    """Before the answer or in the middle of it: what had come was given, and there is no reply."""
    server.script(Reply(text=["a", "b", "c"], cut_after=cut_after))
    seen: list[ModelChunk] = []
    error = await failure_of(provider, seen=seen)
    assert (error.kind, error.retryable) == ("transport", True)
    assert seen == [TextChunk(text=text) for text in "abc"[:cut_after]]
    assert error.__cause__ is not None


async def test_an_answer_that_stops_early_is_not_taken_for_a_whole_one(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """A proxy that lost its upstream ends the stream properly; without finish reason and usage it is a cut."""
    server.script(Reply(text=["half of", " it"], end_after=1))
    error = await failure_of(provider)
    assert (error.kind, error.retryable) == ("transport", True)
    assert str(error) == "openai:local: the answer broke off before its end"


async def test_a_server_that_sends_no_finish_reason_is_understood(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """Some compatible servers never send one; the usage at the end shows that the answer is whole."""
    server.script(Reply(text=["ok"], finish_reason=""))
    chunks = [chunk async for chunk in provider.stream(HELLO)]
    assert chunks[0] == TextChunk(text="ok")
    assert len(chunks) == 2


async def test_a_server_that_is_not_there_is_a_transport_error(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """Refused connections may be a restart: a retry may help."""
    server.close()
    error = await failure_of(provider)
    assert (error.kind, error.retryable) == ("transport", True)
    assert str(error).startswith("openai:local: Connection error: ")


async def test_an_unanswered_call_is_an_invalid_request(provider: PydanticAIProvider, server: StrictServer) -> None:
    """A conversation that is not provider-valid is refused by the service, and told so; no retry would help."""
    call = ToolCall(call_id="c1", tool="add", arguments={})
    turns = (UserTurn(text="a"), AssistantTurn(parts=(ToolCallPart(call=call),)), UserTurn(text="b"))
    error = await failure_of(provider, ModelRequest(model="local", messages=turns))
    assert (error.kind, error.retryable) == ("invalid_request", False)
    assert "c1" in str(error)


async def test_a_result_without_a_call_is_an_invalid_request(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """The provider repairs nothing: what the runtime got wrong is seen."""
    turns = (UserTurn(text="a"), ToolTurn(results=(ToolResult(call_id="c1", tool="add", output="1"),)))
    assert (await failure_of(provider, ModelRequest(model="local", messages=turns))).kind == "invalid_request"


async def test_a_wrong_key_is_an_auth_error(
    provider: PydanticAIProvider, server: StrictServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server knows another key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    assert (await failure_of(provider)).kind == "auth"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Every exception that hangs on one."""
    while error is not None:
        yield error
        if error.__context__ is not error.__cause__:
            yield from chain(error.__context__)
        error = error.__cause__


@pytest.mark.parametrize(
    "echo",
    [
        lambda key: Reply(status=401, error=f"Incorrect API key provided: {key}"),
        lambda key: Reply(status=400, error={"message": f"odd header Bearer {key}", "code": key}),
        lambda key: Reply(status=500, error=f"trace: {key}"),
        lambda key: Reply(text=["a"], stream_error={"message": f"lost {key}", "code": "server_error"}),
        lambda key: Reply(text=["a"], cut_after=1),
    ],
)
async def test_the_key_appears_nowhere(
    server: StrictServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, echo: Any
) -> None:
    """A random key is in no message, ``repr``, chained exception or log line, even if the service echoes it."""
    key = f"sk-{secrets.token_hex(16)}"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.key = key
    server.script(echo(key))
    provider = PydanticAIProvider("openai")
    with caplog.at_level(logging.DEBUG):
        error = await failure_of(provider)
        await provider.close()
    shown = [text for link in chain(error) for text in (str(link), repr(link), repr(vars(link)))]
    shown += traceback.format_exception(error)
    shown += [repr(vars(record)) + record.getMessage() for record in caplog.records]
    assert not [text for text in shown if key in text]

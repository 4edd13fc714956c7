"""What a service signed is kept, and given back to that service only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from lash_hookspecs.records.models import AssistantTurn, ModelReply, ModelRequest, ReplyChunk, UserTurn
from lash_hookspecs.records.payloads import ReasoningPart, TextPart, ToolCallPart
from lash_provider_pydantic_ai.connection import Connection
from lash_provider_pydantic_ai.conversation import Origin, messages_of, reply_of
from pydantic_ai import messages as library
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, FunctionModel

HERE = Origin("google", "google", "https://service.example")
ELSEWHERE = Origin("anthropic", "anthropic", "https://other.example")


def sent_again(reply: ModelReply, origin: Origin) -> list[library.ModelMessage]:
    """The messages of a next request, after a trip through the store."""
    stored = ModelReply.from_bytes(reply.to_bytes())
    turns = (UserTurn(text="a"), AssistantTurn(parts=stored.parts), UserTurn(text="b"))
    return messages_of(ModelRequest(model="m", messages=turns), origin)


def response(*parts: library.ModelResponsePart) -> library.ModelResponse:
    return library.ModelResponse(
        parts=list(parts), provider_name="google", canonical_system="google-cloud", finish_reason="stop"
    )


@pytest.mark.parametrize(
    "part",
    [
        library.ThinkingPart("hm", signature="c2ln", provider_name="google"),
        library.ThinkingPart("", id="rs_1", signature="enc", provider_name="google", provider_details={"raw": ["x"]}),
        library.TextPart("so", id="msg_1", provider_name="google", provider_details={"phase": "final"}),
        library.ToolCallPart(
            "add", {"a": 1}, "c1", id="fc_1", provider_name="google", provider_details={"thought_signature": "c2ln"}
        ),
        library.TextPart("plain"),
        library.ToolCallPart("add", {"a": 1}, "c1"),
    ],
)
def test_a_part_comes_back_to_its_service_as_it_was(part: library.ModelResponsePart) -> None:
    """Signatures, ids and details survive the store, also those on texts and calls."""
    extra = library.TextPart("end")
    messages = sent_again(reply_of(response(part, extra), HERE), HERE)
    assert isinstance(messages[1], library.ModelResponse)
    assert messages[1].parts == [part, extra]


def test_an_answer_comes_back_with_its_address() -> None:
    """The library sends ids of server-side state only to the address that gave them."""
    part = library.ThinkingPart("hm", id="rs_1", provider_name="google")
    answer = sent_again(reply_of(response(part, library.TextPart("x")), HERE), HERE)[1]
    assert isinstance(answer, library.ModelResponse)
    assert (answer.provider_name, answer.provider_url, answer.canonical_system) == (
        "google",
        "https://service.example",
        "google-cloud",
    )


def test_another_service_gets_texts_and_calls_alone() -> None:
    """No signature, id or reasoning crosses over."""
    parts = (
        library.ThinkingPart("hm", signature="c2ln", provider_name="google"),
        library.TextPart("so", id="msg_1", provider_name="google"),
        library.ToolCallPart("add", {"a": 1}, "c1", provider_name="google", provider_details={"s": "c2ln"}),
    )
    answer = sent_again(reply_of(response(*parts), HERE), ELSEWHERE)[1]
    assert isinstance(answer, library.ModelResponse)
    assert answer.parts == [library.TextPart("so"), library.ToolCallPart("add", {"a": 1}, "c1")]


def test_an_answer_of_which_nothing_remains_is_left_out() -> None:
    """What came before and after it becomes one message: services want the two sides to take turns."""
    part = library.ThinkingPart("hm", signature="c2ln", provider_name="google")
    (message,) = sent_again(reply_of(response(part), HERE), ELSEWHERE)
    assert isinstance(message, library.ModelRequest)
    assert [part.content for part in message.parts if isinstance(part, library.UserPromptPart)] == ["a", "b"]


def test_an_extra_belongs_to_the_part_behind_it_alone() -> None:
    """Of two calls only the signed one is signed again."""
    signed = library.ToolCallPart("add", {}, "c1", provider_name="google", provider_details={"s": "c2ln"})
    plain = library.ToolCallPart("add", {}, "c2")
    reply = reply_of(response(signed, plain), HERE)
    assert [type(part) for part in reply.parts] == [ReasoningPart, ToolCallPart, ToolCallPart]
    answer = sent_again(reply, HERE)[1]
    assert isinstance(answer, library.ModelResponse)
    assert answer.parts == [signed, plain]


def test_what_is_kept_is_json() -> None:
    """Details may hold what JSON cannot carry; the reply can be stored all the same."""
    part = library.ThinkingPart("", id="x", provider_name="google", provider_details={"raw": "\ud800", "b": b"\xff"})
    json.loads(reply_of(response(part), HERE).to_bytes())


@pytest.mark.asyncio
async def test_a_streamed_signature_makes_the_round_trip() -> None:
    """The library's function model signs its reasoning and finds the signature in the next request."""
    found: list[library.ModelMessage] = []

    async def think(messages: list[library.ModelMessage], info: AgentInfo) -> AsyncIterator[object]:
        found[:] = messages
        yield {0: DeltaThinkingPart(content="hm")}
        yield {0: DeltaThinkingPart(signature="c2ln")}
        yield "so"

    connection = Connection("function")
    connection.use("m", FunctionModel(stream_function=think))  # type: ignore[arg-type]
    await connection.prepare("m")
    chunks = [chunk async for chunk in connection.ask(ModelRequest(model="m", messages=(UserTurn(text="a"),)))]
    assert isinstance(chunks[-1], ReplyChunk)
    parts = chunks[-1].reply.parts
    assert parts[-1] == TextPart(text="so")
    turns = (UserTurn(text="a"), AssistantTurn(parts=parts), UserTurn(text="b"))
    _ = [chunk async for chunk in connection.ask(ModelRequest(model="m", messages=turns))]
    await connection.close()
    answer = found[1]
    assert isinstance(answer, library.ModelResponse)
    thinking = answer.parts[0]
    assert isinstance(thinking, library.ThinkingPart)
    assert (thinking.content, thinking.signature, thinking.provider_name) == ("hm", "c2ln", "function")

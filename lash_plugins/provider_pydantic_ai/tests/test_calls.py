"""Calls that succeed: streaming, tools, usage, what is sent, and closing."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lash_hookspecs.records.models import (
    AssistantTurn,
    ModelChunk,
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
from lash_provider_pydantic_ai.provider import PydanticAIProvider
from strict_server import Call, Exchange, Reply, StrictServer

pytestmark = pytest.mark.asyncio

ADD = ToolSpec(
    name="add",
    description="Add two numbers.",
    input_schema={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
)


def request(*messages: ModelMessage, **fields: Any) -> ModelRequest:
    return ModelRequest(model="local", messages=messages or (UserTurn(text="hello"),), **fields)


async def chunks_of(provider: PydanticAIProvider, asked: ModelRequest) -> list[ModelChunk]:
    return [chunk async for chunk in provider.stream(asked)]


async def reply_to(provider: PydanticAIProvider, asked: ModelRequest) -> ModelReply:
    last = (await chunks_of(provider, asked))[-1]
    assert isinstance(last, ReplyChunk)
    return last.reply


async def ended(exchange: Exchange) -> str:
    assert await asyncio.to_thread(exchange.ended.wait, 10)
    outcome: str = exchange.outcome
    return outcome


async def test_text_streams_in_the_pieces_in_which_it_comes(provider: PydanticAIProvider, server: StrictServer) -> None:
    """Every piece of text is a chunk; one reply with the whole ends the stream."""
    server.script(Reply(text=["Hel", "lo ", "you"]))
    chunks = await chunks_of(provider, request())
    assert chunks[:-1] == [TextChunk(text="Hel"), TextChunk(text="lo "), TextChunk(text="you")]
    assert isinstance(chunks[-1], ReplyChunk)
    assert chunks[-1].reply.parts == (TextPart(text="Hello you"),)
    assert chunks[-1].reply.finish_reason == "stop"


async def test_a_chunk_is_given_before_the_next_one_is_sent(
    provider: PydanticAIProvider, server: StrictServer, tmp_path: Path
) -> None:
    """The server holds the second chunk back until the first has been read."""
    read = tmp_path / "read"
    server.script(Reply(text=["one", "two"], wait_for={2: read}))
    seen = []
    async for chunk in provider.stream(request()):
        seen.append(chunk)
        read.touch()
    assert seen[:2] == [TextChunk(text="one"), TextChunk(text="two")]


async def test_reasoning_streams_apart_from_the_text(provider: PydanticAIProvider, server: StrictServer) -> None:
    """Reasoning comes in chunks of its own and as a part before the text."""
    server.script(Reply(reasoning=["hm", "m"], text=["so"]))
    chunks = await chunks_of(provider, request())
    assert chunks[:-1] == [ReasoningChunk(text="hm"), ReasoningChunk(text="m"), TextChunk(text="so")]
    assert isinstance(chunks[-1], ReplyChunk)
    reasoning, text = chunks[-1].reply.parts
    assert isinstance(reasoning, ReasoningPart)
    assert (reasoning.text, reasoning.provider) == ("hmm", "openai-chat")
    assert text == TextPart(text="so")


async def test_reasoning_goes_back_in_the_field_it_came_in(provider: PydanticAIProvider, server: StrictServer) -> None:
    """A model that shows its reasoning gets it back as it was."""
    server.script(Reply(reasoning=["hmm"], text=["so"]))
    reply = await reply_to(provider, request())
    await reply_to(provider, request(UserTurn(text="a"), AssistantTurn(parts=reply.parts), UserTurn(text="b")))
    assert server.bodies[-1]["messages"][1] == {"role": "assistant", "content": "so", "reasoning_content": "hmm"}


async def test_a_tool_call_and_its_result_make_a_round_trip(provider: PydanticAIProvider, server: StrictServer) -> None:
    """Two turns with two parallel calls: the strict server accepts what is sent back, in the order of the calls."""
    asked = UserTurn(text='call add {"a": 1}\ncall add {"a": 2}')
    reply = await reply_to(provider, request(asked, tools=(ADD,)))
    assert reply.finish_reason == "tool_calls"
    calls = [part.call for part in reply.parts if isinstance(part, ToolCallPart)]
    assert [call.arguments for call in calls] == [{"a": 1}, {"a": 2}]
    results = tuple(ToolResult(call_id=call.call_id, tool="add", output=call.arguments) for call in calls)
    turns = (asked, AssistantTurn(parts=reply.parts), ToolTurn(results=results))
    second = await reply_to(provider, request(*turns, tools=(ADD,)))
    assert second.parts == (TextPart(text='{"a": 1}\n{"a": 2}'),)
    third = (*turns, AssistantTurn(parts=second.parts), UserTurn(text="thanks"))
    assert (await reply_to(provider, request(*third, tools=(ADD,)))).parts == (TextPart(text="thanks"),)
    sent = server.bodies[-1]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert [message["tool_call_id"] for message in sent[2:4]] == [call.call_id for call in calls]


async def test_a_user_message_may_follow_tool_results(provider: PydanticAIProvider, server: StrictServer) -> None:
    """What was steered in behind the results of a batch is sent behind them."""
    call = ToolCall(call_id="c1", tool="add", arguments={"a": 1})
    turns = (
        UserTurn(text="a"),
        AssistantTurn(parts=(ToolCallPart(call=call),)),
        ToolTurn(results=(ToolResult(call_id="c1", tool="add", output="1"),)),
        UserTurn(text="wait"),
    )
    assert (await reply_to(provider, request(*turns))).parts == (TextPart(text="wait"),)


async def test_arguments_that_are_no_object_are_kept_raw_and_sent_as_one(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """The reply holds what the model wrote; the next request wraps it, since services refuse invalid JSON."""
    server.script(Reply(tool_calls=[Call("add", '{"a": 1'), Call("add", "[1]"), Call("add", "")]))
    reply = await reply_to(provider, request(tools=(ADD,)))
    calls = [part.call for part in reply.parts if isinstance(part, ToolCallPart)]
    assert [call.arguments for call in calls] == ['{"a": 1', "[1]", {}]
    results = tuple(ToolResult(call_id=call.call_id, tool="add", status="error", output="no") for call in calls)
    await reply_to(provider, request(UserTurn(text="a"), AssistantTurn(parts=reply.parts), ToolTurn(results=results)))
    sent = [call["function"]["arguments"] for call in server.bodies[-1]["messages"][1]["tool_calls"]]
    assert sent == ['{"INVALID_JSON":"{\\"a\\": 1"}', '{"INVALID_JSON":"[1]"}', "{}"]


@pytest.mark.parametrize(
    ("result", "content"),
    [
        (ToolResult(call_id="c1", tool="add", output="3"), "3"),
        (ToolResult(call_id="c1", tool="add", output={"sum": ["é"]}), '{"sum": ["é"]}'),
        (ToolResult(call_id="c1", tool="add", output=""), ""),
        (ToolResult(call_id="c1", tool="add", status="error", output="no such file"), '{"error":"no such file"}'),
        (ToolResult(call_id="c1", tool="add", status="cancelled"), "the call was cancelled"),
        (ToolResult(call_id="c1", tool="add", status="interrupted"), "the call was interrupted before it began"),
        (
            ToolResult(call_id="c1", tool="add", status="outcome_unknown"),
            "the call was interrupted; whether it had an effect is unknown",
        ),
        (ToolResult(call_id="c1", tool="add", status="outcome_unknown", output="look first"), "look first"),
    ],
)
async def test_a_result_is_sent_as_text_that_says_how_the_call_ended(
    provider: PydanticAIProvider, server: StrictServer, result: ToolResult, content: str
) -> None:
    """Text as it is, other values as JSON, an error as one; a result without words gets some."""
    call = ToolCall(call_id="c1", tool="add", arguments={})
    turns = (UserTurn(text="a"), AssistantTurn(parts=(ToolCallPart(call=call),)), ToolTurn(results=(result,)))
    await reply_to(provider, request(*turns))
    assert server.bodies[-1]["messages"][2]["content"] == content


async def test_a_made_up_tool_name_is_sent_in_a_form_that_services_accept(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """A model may call a tool by a name outside of the pattern; the call in the history must not break the session."""
    call = ToolCall(call_id="c1", tool="files.read all", arguments={})
    turns = (
        UserTurn(text="a"),
        AssistantTurn(parts=(ToolCallPart(call=call),)),
        ToolTurn(results=(ToolResult(call_id="c1", tool="files.read all", status="error", output="unknown"),)),
    )
    await reply_to(provider, request(*turns))
    assert server.bodies[-1]["messages"][1]["tool_calls"][0]["function"]["name"] == "files_read_all"


async def test_lone_surrogates_of_a_model_do_not_get_through(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """Text that JSON cannot carry is replaced where it enters (G2); a pair split over two chunks is whole again."""
    server.script(Reply(text=["a\ud800", "\U0001f600"], tool_calls=[Call("add", '{"a": "\\udc00"}')]))
    reply = await reply_to(provider, request(tools=(ADD,)))
    assert reply.parts[0] == TextPart(text="a\ufffd\U0001f600")
    assert isinstance(reply.parts[1], ToolCallPart)
    assert reply.parts[1].call.arguments == {"a": "\ufffd"}
    assert ModelReply.from_bytes(reply.to_bytes()) == reply


async def test_instructions_tools_and_settings_are_sent(provider: PydanticAIProvider, server: StrictServer) -> None:
    """The system prompt comes first, tools with their schema, settings under the service's names."""
    await reply_to(provider, request(instructions="Be brief.", tools=(ADD,), settings={"temperature": 0.5}))
    body = server.bodies[-1]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["tools"][0]["function"]["name"] == "add"
    assert body["tools"][0]["function"]["parameters"]["required"] == ["a"]
    assert body["temperature"] == 0.5


async def test_usage_is_the_services_own_count(provider: PydanticAIProvider, server: StrictServer) -> None:
    """Cached and reasoning tokens are parts of the input and the output; a price list is no report of a cost."""
    counted = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    server.script(Reply(text=["ok"], usage=counted, model="gpt-5-2025"))
    reply = await reply_to(provider, request())
    assert reply.usage == TokenUsage(input_tokens=100, output_tokens=30, cached_input_tokens=60, reasoning_tokens=20)
    assert reply.model == "gpt-5-2025"


async def test_a_cost_is_reported_where_the_service_reports_one() -> None:
    """OpenRouter sends what a call cost; it is taken as it is."""
    from lash_provider_pydantic_ai.conversation import Origin, reply_of
    from pydantic_ai.messages import ModelResponse

    response = ModelResponse(parts=[], provider_details={"finish_reason": "stop", "cost": 0.0012})
    assert reply_of(response, Origin("openrouter", "openrouter", None)).usage.cost == Decimal("0.0012")


@pytest.mark.parametrize(
    ("said", "understood"), [("length", "length"), ("content_filter", "content_filter"), ("stop", "stop")]
)
async def test_the_finish_reason_is_told(
    provider: PydanticAIProvider, server: StrictServer, said: str, understood: str
) -> None:
    """A cut by length or by a filter is not mistaken for an end."""
    server.script(Reply(text=["x"], finish_reason=said))
    assert (await reply_to(provider, request())).finish_reason == understood


async def test_parts_of_unknown_kinds_and_of_other_services_are_left_out(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """An assistant message of which nothing remains is not sent at all."""
    foreign = ReasoningPart(text="secret thoughts", provider="anthropic", replay={"of": "thinking", "signature": "s"})
    turns = (
        UserTurn(text="a"),
        AssistantTurn(parts=(foreign, OtherPart(kind="hologram"), TextPart(text="b"))),
        UserTurn(text="c"),
        AssistantTurn(parts=(foreign,)),
        UserTurn(text="d"),
    )
    await reply_to(provider, request(*turns))
    sent = [(message["role"], message["content"]) for message in server.bodies[-1]["messages"]]
    assert sent == [("user", "a"), ("assistant", "b"), ("user", "c"), ("user", "d")]


async def test_closing_the_iterator_closes_the_connection(
    provider: PydanticAIProvider, server: StrictServer, tmp_path: Path
) -> None:
    """The service stops generating as soon as nobody listens."""
    server.script(Reply(text=["one", "two"], wait_for={2: tmp_path / "never"}))
    async with aclosing(provider.stream(request())) as chunks:  # type: ignore[type-var]
        assert await anext(chunks) == TextChunk(text="one")
    assert await ended(server.requests[-1]) == "client_gone"


async def test_cancelling_the_task_closes_the_connection(
    provider: PydanticAIProvider, server: StrictServer, tmp_path: Path
) -> None:
    """Also in the middle of waiting for a chunk, and even for the first."""
    server.script(Reply(text=["one"], wait_for={0: tmp_path / "never"}))
    task = asyncio.create_task(reply_to(provider, request()))
    await asyncio.to_thread(server.wait_for_requests, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(server.requests[-1]) == "client_gone"


async def test_a_provider_can_be_closed_twice_and_used_again(
    provider: PydanticAIProvider, server: StrictServer
) -> None:
    """Closing gives back connections; it does not end the provider's life."""
    await reply_to(provider, request())
    await provider.close()
    await provider.close()
    assert (await reply_to(provider, request())).parts == (TextPart(text="hello"),)


async def test_calls_of_several_sessions_run_at_once(
    provider: PydanticAIProvider, server: StrictServer, tmp_path: Path
) -> None:
    """One provider serves all sessions: a call that waits does not hold up another."""
    go_on = tmp_path / "go on"
    server.script(Reply(text=["late"], wait_for={1: go_on}, when="first"))
    first = asyncio.create_task(reply_to(provider, request(UserTurn(text="first"))))
    await asyncio.to_thread(server.wait_for_requests, 1)
    assert (await reply_to(provider, request(UserTurn(text="second")))).parts == (TextPart(text="second"),)
    go_on.touch()
    assert (await first).parts == (TextPart(text="late"),)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # a loop that ends leaves its connections behind
async def test_a_provider_works_in_one_event_loop_after_another(server: StrictServer) -> None:
    """A program may call `asyncio.run` more than once; connections of a closed loop are not touched."""
    provider = PydanticAIProvider("openai")
    replies = [await asyncio.to_thread(asyncio.run, reply_to(provider, request())) for _ in range(2)]
    assert [reply.parts for reply in replies] == [(TextPart(text="hello"),)] * 2
    del provider
    gc.collect()

"""The offline provider is deterministic, stateless, and copes with what tools and users do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lash_basics.extractive.understanding import understand
from lash_basics.offline import CONTEXT_WINDOW, NOTICE, OfflineProvider
from lash_basics.streaming import words_in_chunks
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.records.models import (
    AssistantTurn,
    ModelReply,
    ModelRequest,
    ReplyChunk,
    TextChunk,
    ToolTurn,
    UserTurn,
)
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult


async def stream(request: ModelRequest) -> tuple[list[str], ModelReply]:
    chunks = [chunk async for chunk in OfflineProvider().stream(request)]
    assert isinstance(chunks[-1], ReplyChunk)
    return [chunk.text for chunk in chunks if isinstance(chunk, TextChunk)], chunks[-1].reply


def replied(chat: Any, *messages: Any, **fields: Any) -> ModelReply:
    request = ModelRequest(model="", messages=messages, tools=tuple(chat.tools.specs()), **fields)
    return asyncio.run(stream(request))[1]


def said(reply: ModelReply) -> str:
    return "".join(part.text for part in reply.parts if isinstance(part, TextPart))


def called(reply: ModelReply) -> list[ToolCall]:
    return [part.call for part in reply.parts if isinstance(part, ToolCallPart)]


def test_it_says_what_it_is() -> None:
    provider = OfflineProvider()
    assert isinstance(provider, ModelProvider)
    info = asyncio.run(provider.model_info(""))
    assert (info.context_window, info.reports_cost, info.notice) == (CONTEXT_WINDOW, False, NOTICE)
    assert NOTICE == (
        "this is the offline model: it extracts and counts, it does not think; choose a real one with "
        "--model provider:name, e.g. --model openai:gpt-5, after installing lash-provider-pydantic-ai"
    )


def test_a_stream_is_the_answer_in_pieces_and_the_same_every_time(pelican: Path, chat: Callable[..., Any]) -> None:
    conversation = chat(pelican)
    conversation.say("Summarise README.md in three sentences")
    request = ModelRequest(
        model="", messages=tuple(conversation.messages[:-1]), tools=tuple(conversation.tools.specs())
    )
    pieces, reply = asyncio.run(stream(request))
    assert len(pieces) > 5
    assert "".join(pieces) == said(reply)
    assert asyncio.run(stream(request)) == (pieces, reply)
    assert reply.usage.input_tokens > reply.usage.output_tokens > 0
    assert (reply.usage.cached_input_tokens, reply.usage.cost) == (0, None)


def test_max_tokens_cuts_the_answer_off(pelican: Path, chat: Callable[..., Any]) -> None:
    reply = replied(chat(pelican), UserTurn(text="what can you do?"), settings={"max_tokens": 5})
    assert reply.finish_reason == "length"
    assert reply.usage.output_tokens == 5


def test_without_tools_it_says_what_is_missing(pelican: Path) -> None:
    reply = asyncio.run(stream(ModelRequest(model="", messages=(UserTurn(text="list the files"),))))[1]
    assert said(reply).startswith("I cannot do that here: I would need the tool list_files")


def after(chat: Any, text: str, results: dict[str, Any]) -> ModelReply:
    """Answer the first calls with one result, and ask again."""
    asked = replied(chat, UserTurn(text=text))
    turn = ToolTurn(
        results=tuple(ToolResult(call_id=call.call_id, tool=call.tool, **results) for call in called(asked))
    )
    return replied(chat, UserTurn(text=text), AssistantTurn(parts=asked.parts), turn)


def test_an_interrupted_reading_is_asked_for_once_more(pelican: Path, chat: Callable[..., Any]) -> None:
    text = "list files"
    asked = replied(chat(pelican), UserTurn(text=text))
    interrupted = ToolTurn(results=(ToolResult(call_id="call_0_0", tool="list_files", status="interrupted"),))
    again = replied(chat(pelican), UserTurn(text=text), AssistantTurn(parts=asked.parts), interrupted)
    assert [call.tool for call in called(again)] == ["list_files"]
    twice = (UserTurn(text=text), AssistantTurn(parts=asked.parts), interrupted, AssistantTurn(parts=again.parts))
    last = ToolTurn(results=(ToolResult(call_id="call_1_0", tool="list_files", status="interrupted", output="cut"),))
    assert said(replied(chat(pelican), *twice, last)) == "cut."


def test_a_writing_of_unknown_outcome_is_looked_up_never_repeated(pelican: Path, chat: Callable[..., Any]) -> None:
    conversation = chat(pelican)
    reply = after(conversation, "write 'hello' to out.txt", {"status": "outcome_unknown", "output": "perhaps"})
    assert [call.tool for call in called(reply)] == ["read_file"]


def test_a_refused_tool_is_told(pelican: Path, chat: Callable[..., Any]) -> None:
    reply = after(chat(pelican), "write 'hello' to out.txt", {"status": "error", "output": "no permission"})
    assert said(reply) == "I could not write out.txt: no permission"


def test_a_spilled_listing_is_asked_for_again_in_a_narrower_way(pelican: Path, chat: Callable[..., Any]) -> None:
    extract = "2 files for *\nREADME.md  10 bytes\nnot"
    reply = after(chat(pelican), "list the markdown files", {"output": extract, "spilled": "blob"})
    assert [call.arguments for call in called(reply)] == [{"pattern": "*.md"}]


def test_input_that_arrives_while_tools_run_is_answered_too(pelican: Path, chat: Callable[..., Any]) -> None:
    conversation = chat(pelican)
    conversation.messages.append(UserTurn(text="how many lines has notes.txt?"))
    asked = asyncio.run(conversation.reply())
    results = tuple(asyncio.run(conversation.run(call)) for call in called(asked))
    conversation.messages += [AssistantTurn(parts=asked.parts), ToolTurn(results=results)]
    answer = conversation.say("how many words has config.toml?")
    assert answer == "notes.txt has 2 lines.\n\nconfig.toml has 7 words."


def test_a_cancelled_request_is_left_alone_by_the_next(pelican: Path, chat: Callable[..., Any]) -> None:
    conversation = chat(pelican)
    conversation.messages.append(UserTurn(text="list files"))
    asked = asyncio.run(conversation.reply())
    cancelled = ToolResult(call_id="call_0_0", tool="list_files", status="cancelled")
    conversation.messages += [AssistantTurn(parts=asked.parts), ToolTurn(results=(cancelled,))]
    assert conversation.say("how many lines has notes.txt?") == "notes.txt has 2 lines."


def test_it_ends_even_when_every_tool_fails(pelican: Path, chat: Callable[..., Any]) -> None:
    conversation = chat(pelican)
    for text in ("list files", "summarise all the docs", "which file holds X?", "how do I install this?", "find x.py"):
        messages: list[Any] = [UserTurn(text=text)]
        for _round in range(15):
            reply = replied(conversation, *messages)
            if not called(reply):
                break
            failed = (
                ToolResult(call_id=call.call_id, tool=call.tool, status="error", output="boom")
                for call in called(reply)
            )
            messages += [AssistantTurn(parts=reply.parts), ToolTurn(results=tuple(failed))]
        assert said(reply), text


def test_answers_of_another_model_are_no_stumbling_block(pelican: Path, chat: Callable[..., Any]) -> None:
    conversation = chat(pelican)
    conversation.messages = [UserTurn(text="Hi"), AssistantTurn(parts=(TextPart(text="See docs/guide.md, please."),))]
    assert conversation.say("how many lines has that file?") == "docs/guide.md has 12 lines."


@given(st.text(max_size=200))
def test_any_text_is_understood_as_something(text: str) -> None:
    assert understand(text)


@given(st.text(max_size=300))
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(words_in_chunks(text)) == text


@pytest.mark.parametrize(
    "text", ["a" * 20_000, "how many " * 3000, "' \" ` " * 2000, "../" * 3000, "list " + "the " * 5000]
)
def test_hostile_lengths_are_read_in_time(text: str) -> None:
    assert understand(text)

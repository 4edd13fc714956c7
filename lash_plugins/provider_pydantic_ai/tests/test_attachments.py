"""Files in requests, as Chat Completions carries them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from lash_hookspecs.records.attachments import AttachmentData, AttachmentRef, takes
from lash_hookspecs.records.models import (
    AssistantTurn,
    ModelMessage,
    ModelReply,
    ModelRequest,
    ReplyChunk,
    ToolTurn,
    UserTurn,
)
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_provider_pydantic_ai.provider import PydanticAIProvider
from strict_server import StrictServer

pytestmark = pytest.mark.asyncio

#: The smallest PNG that is one: a transparent pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.7\n%%EOF\n"
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def file(data: bytes, name: str | None = None, media_type: str | None = None) -> AttachmentData:
    return AttachmentData(ref=AttachmentRef.of(data, media_type=media_type, name=name), data=data)


async def sent(provider: PydanticAIProvider, server: StrictServer, *messages: ModelMessage) -> tuple[list[Any], str]:
    """Ask the strict server: the messages that it got and accepted, and its answer."""
    chunks = [chunk async for chunk in provider.stream(ModelRequest(model="local", messages=messages))]
    assert isinstance(chunks[-1], ReplyChunk)
    reply: ModelReply = chunks[-1].reply
    return server.bodies[-1]["messages"], "".join(part.text for part in reply.parts if isinstance(part, TextPart))


async def test_an_image_is_a_data_url_behind_the_text(provider: PydanticAIProvider, server: StrictServer) -> None:
    """The text first, then the files in their order."""
    [message], answer = await sent(provider, server, UserTurn(text="What is this?", attachments=(file(PNG),)))
    assert message == {
        "role": "user",
        "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": URL}}],
    }
    assert answer == "What is this?"


async def test_a_message_may_be_an_image_alone(provider: PydanticAIProvider, server: StrictServer) -> None:
    """No empty text goes out beside it."""
    [message], _answer = await sent(provider, server, UserTurn(text="", attachments=(file(PNG),)))
    assert message["content"] == [{"type": "image_url", "image_url": {"url": URL}}]


async def test_a_document_is_a_file_and_text_is_text(provider: PydanticAIProvider, server: StrictServer) -> None:
    """Any model reads text, so it needs no file."""
    files = (file(PDF, "paper.pdf"), file("a,ä\n".encode(), "t.csv", "text/csv"), file(b"\xff", "x.txt", "text/plain"))
    [message], _answer = await sent(provider, server, UserTurn(text="Read", attachments=files))
    _text, pdf, csv, broken = message["content"]
    assert pdf["type"] == "file"
    assert pdf["file"]["file_data"] == f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"
    assert csv == {"type": "text", "text": "[attachment t.csv (text/csv, 5 bytes)]\na,ä\n"}
    assert broken["text"] == "[attachment x.txt (text/plain, 1 byte)]\n\ufffd"


async def test_a_file_without_bytes_is_left_out(provider: PydanticAIProvider, server: StrictServer) -> None:
    """What the runtime did not resolve is not sent."""
    unresolved = AttachmentData(ref=AttachmentRef.of(PNG))
    [message], _answer = await sent(provider, server, UserTurn(text="hello", attachments=(unresolved,)))
    assert message == {"role": "user", "content": "hello"}


async def test_the_files_of_a_tool_follow_its_result(provider: PydanticAIProvider, server: StrictServer) -> None:
    """The API carries text alone in a tool message; the image comes in a user message behind all results."""
    calls = [ToolCall(call_id=f"c{number}", tool="draw") for number in (1, 2)]
    chart, table = file(PNG, "chart.png"), file(b"a,b", "t.csv", "text/csv")
    results = (
        ToolResult(call_id="c1", tool="draw", output="[attachment 1: chart.png]", attachments=(chart.ref,)),
        ToolResult(call_id="c2", tool="draw", output="[attachment 1: t.csv]", attachments=(table.ref,)),
    )
    messages, answer = await sent(
        provider,
        server,
        UserTurn(text="draw"),
        AssistantTurn(parts=tuple(ToolCallPart(call=call) for call in calls)),
        ToolTurn(results=results, attachments=(chart, table)),
        UserTurn(text="thanks"),
    )
    assert [message["role"] for message in messages[:4]] == ["user", "assistant", "tool", "tool"]
    assert "chart.png" in messages[2]["content"]
    assert messages[3]["content"] == "[attachment 1: t.csv]\n\n[attachment t.csv (text/csv, 3 bytes)]\na,b"
    images = [
        part["image_url"]["url"]
        for message in messages[4:]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    assert images == [URL]
    assert "thanks" in answer or "thanks" in str(messages[4:])


async def test_a_model_says_what_it_takes(provider: PydanticAIProvider) -> None:
    """Images that services with eyes take, PDFs, and all that is text."""
    taken = (await provider.model_info("gpt-5")).attachments
    for media_type in ("image/png", "image/jpeg", "application/pdf", "text/markdown", "application/json"):
        assert takes(taken, media_type), media_type
    for media_type in ("image/bmp", "audio/wav", "application/octet-stream", "application/zip"):
        assert not takes(taken, media_type), media_type


async def test_a_model_without_eyes_takes_text_alone(provider: PydanticAIProvider) -> None:
    """The library's profile of a model decides."""
    from lash_provider_pydantic_ai.connection import _attachments

    blind = _attachments({"supports_image_input": False, "supports_document_input": False})
    assert takes(blind, "text/plain")
    assert not takes(blind, "image/png")
    assert not takes(blind, "application/pdf")

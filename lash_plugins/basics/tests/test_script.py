"""A scripted model plays what its file says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from lash_basics.offline import OfflineProvider
from lash_hookspecs.errors import ConfigurationError, ModelError
from lash_hookspecs.records.models import (
    AssistantTurn,
    ModelChunk,
    ModelReply,
    ModelRequest,
    ReplyChunk,
    TextChunk,
    UserTurn,
)
from lash_hookspecs.records.payloads import TextPart


def written(folder: Path, *replies: Any) -> str:
    path = folder / "script.json"
    path.write_text(json.dumps(replies))
    return str(path)


def request(model: str, answered: int = 0, key: str = "k") -> ModelRequest:
    turns = [
        turn for _n in range(answered) for turn in (UserTurn(text="q"), AssistantTurn(parts=(TextPart(text="a"),)))
    ]
    return ModelRequest(model=model, messages=(*turns, UserTurn(text="q")), call_key=key)


async def collect(provider: OfflineProvider, asked: ModelRequest, into: list[ModelChunk]) -> ModelReply:
    async for chunk in provider.stream(asked):
        into.append(chunk)  # noqa: PERF401 - what came before an error counts
    assert isinstance(into[-1], ReplyChunk)
    return into[-1].reply


def play(model: str, answered: int = 0) -> tuple[list[str], ModelReply]:
    chunks: list[ModelChunk] = []
    reply = asyncio.run(collect(OfflineProvider(), request(model, answered), chunks))
    return [chunk.text for chunk in chunks if isinstance(chunk, TextChunk)], reply


def test_the_reply_is_chosen_by_the_assistant_messages_so_far(tmp_path: Path) -> None:
    model = written(tmp_path, {"text": "first"}, {"text": "second"})
    assert play(model, 0)[1].parts == (TextPart(text="first"),)
    assert play(model, 1)[1].parts == (TextPart(text="second"),)


def test_a_script_that_is_over_fails_the_call(tmp_path: Path) -> None:
    model = written(tmp_path, {"text": "only"})
    with pytest.raises(ModelError) as caught:
        play(model, 1)
    assert str(caught.value) == f"the script {model} has 1 reply; this is call number 2"
    assert not caught.value.retryable


def test_chunks_stream_as_they_are_written(tmp_path: Path) -> None:
    pieces, reply = play(written(tmp_path, {"chunks": ["Hel", "lo"]}))
    assert pieces == ["Hel", "lo"]
    assert reply.parts == (TextPart(text="Hello"),)


def test_tool_calls_get_ids_that_are_the_same_in_every_run(tmp_path: Path) -> None:
    calls = [
        {"tool": "count", "arguments": {"path": "a"}},
        {"tool": "count", "arguments": "{broken", "call_id": "mine"},
    ]
    _pieces, reply = play(written(tmp_path, {"text": "I look.", "tool_calls": calls}))
    made = [part.call for part in reply.parts[1:]]  # type: ignore[union-attr]
    assert [call.call_id for call in made] == ["call_0_0", "mine"]
    assert made[1].arguments == "{broken"
    assert reply.finish_reason == "tool_calls"


def test_usage_and_cost_are_reported(tmp_path: Path) -> None:
    model = written(tmp_path, {"text": "x", "usage": {"input_tokens": 7, "output_tokens": 3, "cost": "0.25"}})
    usage = play(model)[1].usage
    assert (usage.input_tokens, usage.output_tokens, str(usage.cost)) == (7, 3, "0.25")
    assert asyncio.run(OfflineProvider().model_info(model)).reports_cost


def test_a_script_without_cost_reports_none(tmp_path: Path) -> None:
    assert not asyncio.run(OfflineProvider().model_info(written(tmp_path, {"text": "x"}))).reports_cost


def test_an_error_comes_after_its_chunks_and_as_often_as_it_says(tmp_path: Path) -> None:
    error = {
        "message": "busy",
        "retryable": True,
        "retry_after": 2,
        "kind": "overloaded",
        "after_chunks": 1,
        "times": 2,
    }
    model = written(tmp_path, {"chunks": ["a", "b"], "error": error})
    provider = OfflineProvider()
    for _attempt in range(2):
        chunks: list[ModelChunk] = []
        with pytest.raises(ModelError) as caught:
            asyncio.run(collect(provider, request(model), chunks))
        assert (caught.value.retryable, caught.value.retry_after, caught.value.kind) == (True, 2, "overloaded")
        assert len(chunks) == 1
    assert asyncio.run(collect(provider, request(model), [])).parts == (TextPart(text="ab"),)


def test_a_gate_touches_its_file_and_waits_for_the_other(tmp_path: Path) -> None:
    gate = {"at_chunk": 1, "touch": "reached", "wait_for_file": "go"}
    model = written(tmp_path, {"chunks": ["a", "b"], "gates": [gate]})

    async def scenario() -> list[ModelChunk]:
        chunks: list[ModelChunk] = []
        task = asyncio.create_task(collect(OfflineProvider(), request(model), chunks))
        async with asyncio.timeout(10):
            while not (tmp_path / "reached").exists():  # noqa: ASYNC110 - a gate speaks through files
                await asyncio.sleep(0)
        assert [chunk.text for chunk in chunks if isinstance(chunk, TextChunk)] == ["a"]
        (tmp_path / "go").touch()
        await task
        return chunks

    assert len(asyncio.run(scenario())) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[{", "Invalid JSON: EOF while parsing an object at line 1 column 2"),
        ('[{"txt": "x"}]', "reply 1 → txt: Extra inputs are not permitted"),
        ('[{"text": "x"}, {"tool_calls": [{}]}]', "reply 2 → tool_calls → 0 → tool: Field required"),
        (
            '[{"text": "x", "chunks": ["y"]}]',
            "reply 1: Value error, text and chunks say different things; give one of them",
        ),
    ],
)
def test_a_broken_script_is_refused_with_its_name_and_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(OfflineProvider().model_info(str(tmp_path / "bad.json")))
    assert str(caught.value) == f"the script {tmp_path / 'bad.json'} of the offline model is broken: {reason}"


def test_a_script_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(OfflineProvider().model_info(str(tmp_path / "none.json")))
    assert str(caught.value) == (
        f"the script {tmp_path / 'none.json'} of the offline model cannot be read: No such file or directory"
    )

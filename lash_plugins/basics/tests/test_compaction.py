"""Older turns become one message; the last ones, and what is no conversation, stay (G1)."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from lash_basics.compaction import compacted
from lash_hookspecs.errors import ModelError
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import (
    Message,
    Part,
    Payload,
    PluginNode,
    Role,
    TextPart,
    ToolCallPart,
    ToolInvocation,
)
from lash_hookspecs.records.sessions import CompletionRequest, SessionReadView
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite


@attrs.define
class Session:
    """As much of a session as compaction asks of it."""

    model: str = "offline"
    answer: ModelReply | BaseException = attrs.field(factory=lambda: ModelReply(parts=(TextPart(text="They talked."),)))
    requests: list[CompletionRequest] = attrs.field(factory=list)

    def view(self) -> SessionReadView:
        return SessionReadView(
            session_id="s",
            config=SessionConfig(model=self.model),
            revision=1,
            turn_index=1,
            nodes=(),
            payloads=(),
            usage=(),
        )

    async def complete(self, request: CompletionRequest) -> ModelReply:
        self.requests.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def message(role: Role, text: str, turn: int | None = None, *parts: Part) -> Message:
    return Message(role=role, parts=(TextPart(text=text), *parts), turn_index=turn)


def turn(number: int, size: int = 0) -> list[Payload]:
    """A turn with one tool call; ``size`` more characters in its answer."""
    called = ToolCall(call_id=f"c{number}", tool="read_file", arguments={"path": f"{number}.txt"})
    return [
        message("user", f"Read file {number}.", number),
        message("assistant", "", number, ToolCallPart(call=called)),
        ToolInvocation(result=ToolResult(call_id=f"c{number}", tool="read_file", output="x"), turn_index=number),
        message("assistant", f"File {number} holds the number {number * 11}. {'y' * size}", number),
    ]


def path(*payloads: Payload) -> tuple[HistoryEntry, ...]:
    return tuple(HistoryEntry(payload, f"n{at}") for at, payload in enumerate(payloads))


def turns(number: int, size: int = 0) -> tuple[HistoryEntry, ...]:
    return path(*(payload for at in range(1, number + 1) for payload in turn(at, size)))


def shorten(entries: tuple[HistoryEntry, ...], session: Session | None = None, **more: Any) -> tuple[HistoryEntry, ...]:
    told = {"trigger": "manual", "instructions": "", "context_window": 32_000} | more
    return asyncio.run(
        compacted(HistoryRewrite(session=session or Session(), session_id="s", entries=entries, **told))  # type: ignore[arg-type]
    )


def text_of(entry: HistoryEntry) -> str:
    assert isinstance(entry.payload, Message)
    return entry.payload.text


@pytest.mark.parametrize(("number", "more"), [(0, {}), (1, {}), (4, {}), (6, {"keep_turns": 6})])
def test_a_path_of_no_more_turns_than_are_kept_stays_as_it_is(number: int, more: dict[str, Any]) -> None:
    entries = turns(number)
    assert shorten(entries, **more) is entries


def test_the_last_four_turns_stay_and_one_message_stands_for_the_others() -> None:
    entries = turns(6)
    made, *rest = shorten(entries)
    assert tuple(rest) == entries[8:]
    assert isinstance(made.payload, Message)
    assert (made.node_id, made.payload.role, made.payload.marker, made.payload.turn_index) == (
        None,
        "user",
        "summary",
        2,
    )
    assert made.payload.text == (
        "Summary of the conversation before this point (2 turns; an extract):\n"
        '- The user said: "Read file 1." Tools that ran: read_file. The answer: File 1 holds the number 11.\n'
        '- The user said: "Read file 2." Tools that ran: read_file. The answer: File 2 holds the number 22.'
    )


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_a_second_time_changes_nothing(keep: int) -> None:
    once = shorten(turns(6), keep_turns=keep)
    assert sum(isinstance(each.payload, Message) and each.payload.role == "user" for each in once) == keep + 1
    assert shorten(once, keep_turns=keep) is once


def test_an_earlier_summary_goes_into_the_next_one() -> None:
    once = shorten(turns(6), keep_turns=3)
    made, *rest = shorten(once, keep_turns=1)
    assert len(rest) == 4
    lines = text_of(made).splitlines()
    assert lines[0] == (
        "Summary of the conversation before this point (2 turns, and what an earlier summary told; an extract):"
    )
    assert [line.partition("number ")[2] for line in lines[1:]] == ["11.", "22.", "33.", "44.", "55."]


def test_what_is_no_conversation_stays_with_its_nodes() -> None:
    system, note = message("system", "Be kind."), PluginNode(plugin="p", type="note")
    entries = path(system, *turn(1), note, *turn(2), *turn(3))
    after = shorten(entries, keep_turns=1)
    assert [each.node_id for each in after] == ["n0", "n5", None, "n10", "n11", "n12", "n13"]


def test_input_that_came_while_a_turn_ran_belongs_to_that_turn() -> None:
    entries = path(*turn(1), message("user", "And hurry.", 1), message("assistant", "I do.", 1), *turn(2))
    assert len(shorten(entries, keep_turns=1)) == 5
    assert shorten(entries, keep_turns=2) is entries


def test_a_real_model_is_asked_and_told_what_to_mind() -> None:
    session = Session(model="openai:gpt")
    made = shorten(turns(5), session, instructions="Keep the numbers.")[0]
    assert text_of(made) == (
        "Summary of the conversation before this point (1 turn; written by openai:gpt):\nThey talked."
    )
    (request,) = session.requests
    assert request.source == "compaction"
    assert request.instructions.endswith("Mind this when you choose: Keep the numbers.")
    assert request.messages[0].model_dump()["text"] == (
        "<conversation>\nUser: Read file 1.\n\n"
        'Assistant calls read_file: {"path": "1.txt"}\n\n'
        "Tool read_file (ok): x\n\n"
        "Assistant: File 1 holds the number 11. \n</conversation>"
    )


@pytest.mark.parametrize(
    "answer",
    [
        ModelError("no network", kind="transport"),
        ModelReply(parts=(TextPart(text=" "),)),
        ModelReply(parts=(TextPart(text="I will not."),), finish_reason="content_filter"),
        TimeoutError(),
    ],
    ids=["an error", "no text", "a filter", "too late"],
)
def test_an_extract_takes_its_place_when_the_model_cannot(
    answer: ModelReply | BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    made = shorten(turns(5), Session(model="openai:gpt", answer=answer))[0]
    assert "an extract" in text_of(made)
    assert "File 1 holds the number 11." in text_of(made)
    assert "openai:gpt could not be asked for a summary, so an extract is kept: " in caplog.text


def test_a_history_that_fits_a_smaller_window_is_left_alone() -> None:
    entries = turns(10)
    assert shorten(entries, trigger="window_shrink", context_window=32_000) is entries


@pytest.mark.parametrize("window", [400, 1_000, 2_000, 3_000])
def test_a_history_that_does_not_fit_a_smaller_window_fits_it_then(window: int) -> None:
    entries = turns(12, size=1_200)
    after = shorten(entries, trigger="window_shrink", context_window=window)
    assert sum(len(each.payload.to_bytes()) for each in after) / 4 <= window * 0.85
    assert after[-1].node_id == ("n47" if window > 400 else None), "as many turns stay as there is room for"


@pytest.mark.parametrize("model", ["offline", "openai:gpt"])
def test_a_summary_has_its_limit_whatever_is_folded(model: str) -> None:
    long = Session(model=model, answer=ModelReply(parts=(TextPart(text="z" * 100_000),)))
    made = shorten(turns(200, size=500), long, context_window=4_000)[0]
    assert len(text_of(made)) < 4_500
    assert all(len(str(request.messages)) < 9_000 for request in long.requests)

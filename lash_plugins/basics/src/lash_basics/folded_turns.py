"""The turns that a summary is to stand for: read for a model, and shortened without one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import attrs
from lash_hookspecs.records.payloads import Message, Payload, ToolInvocation
from lash_hookspecs.records.tools import ToolCall

from lash_basics.extractive.about_texts import central_text

__all__ = ["SUMMARY", "Told", "cut", "extract_of", "transcript_of"]

#: The marker of a message that stands for others.
SUMMARY = "summary"

#: Characters of one message, of one tool result and of one call's arguments that a model is shown.
_MESSAGE, _RESULT, _ARGUMENTS = 4_000, 1_000, 300

#: Characters of what a user said, and of an answer, that an extract has.
_SAID, _ANSWERED = 300, 400


@attrs.define
class _Turn:
    """One turn of what is folded."""

    said: list[str] = attrs.field(factory=list)
    tools: list[str] = attrs.field(factory=list)
    answer: str = ""


@attrs.frozen
class Told:
    """What was said in the turns that are folded.

    Attributes:
        before: What an earlier summary tells of the turns before them, without its heading; empty without one.
        payloads: Their messages and tool results.
    """

    before: str
    payloads: tuple[Payload, ...]

    @classmethod
    def of(cls, payloads: Iterable[Payload]) -> Told:
        """Set earlier summaries apart."""
        before: list[str] = []
        rest: list[Payload] = []
        for payload in payloads:
            if isinstance(payload, Message) and payload.marker == SUMMARY:
                before.append(payload.text.partition("\n")[2])
            else:
                rest.append(payload)
        return cls("\n".join(before), tuple(rest))


def cut(text: str, most: int) -> str:
    """Keep the beginning of a text that is too long."""
    return text if len(text) <= most else f"{text[: max(0, most - 1)].rstrip()}…"


def transcript_of(told: Told, limit: int) -> str:
    """Write down what was said, for a model to read; of too much the last part, behind the earlier summary."""
    before = f"Summary of what came before: {cut(told.before, limit // 2)}" if told.before else ""
    lines = [line for payload in told.payloads for line in _lines(payload)]
    return "\n\n".join(part for part in (before, *_last(lines, limit - len(before))) if part)


def extract_of(told: Told, limit: int) -> str:
    """Say of each turn what the user wanted, which tools ran, and the central sentences of the answer."""
    turns = [_shortened(turn) for turn in _turns(told.payloads)]
    before = _last(told.before.splitlines(), limit // 2)
    return "\n".join([*before, *_last(turns, limit - sum(map(len, before)))])


def _turns(payloads: Iterable[Payload]) -> Iterable[_Turn]:
    turn = _Turn()
    for payload in payloads:
        if isinstance(payload, ToolInvocation):
            turn.tools.append(payload.result.tool)
        elif isinstance(payload, Message) and payload.role == "user":
            if turn.answer or turn.tools:
                yield turn
                turn = _Turn()
            turn.said.append(payload.text)
        elif isinstance(payload, Message):
            turn.answer = payload.text or turn.answer
    if turn.said or turn.answer or turn.tools:
        yield turn


def _shortened(turn: _Turn) -> str:
    ran = ", ".join(f"{name} ({times})" if times > 1 else name for name, times in Counter(turn.tools).items())
    answer = cut(_folded(central_text(turn.answer, 2)), _ANSWERED) if turn.answer.strip() else ""
    parts = [f'- The user said: "{cut(_folded(" ".join(turn.said)), _SAID)}"' if turn.said else "-"]
    parts += [f"Tools that ran: {cut(ran, _ARGUMENTS)}."] if ran else []
    parts += [f"The answer: {answer}"] if answer else ["There was no answer."]
    return " ".join(parts)


def _lines(payload: Payload) -> Iterable[str]:
    if isinstance(payload, ToolInvocation):
        result = payload.result
        yield f"Tool {result.tool} ({result.status}): {cut(result.text, _RESULT)}"
    elif isinstance(payload, Message):
        who = "User" if payload.role == "user" else "Assistant"
        if payload.text.strip():
            yield f"{who}: {cut(payload.text, _MESSAGE)}"
        for call in payload.tool_calls:
            yield f"Assistant calls {_call(call)}"


def _call(call: ToolCall) -> str:
    given = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return f"{call.tool}: {cut(given, _ARGUMENTS)}"


def _last(lines: list[str], limit: int) -> list[str]:
    """Give as many of the last lines as fit, the very last one in any case."""
    kept: list[str] = []
    left = limit
    for line in reversed(lines):
        left -= len(line) + 1
        if left < 0 and kept:
            break
        kept.append(cut(line, max(limit, 80)))
    missing = len(lines) - len(kept)
    return ([f"({missing} earlier ones are left out.)"] if missing else []) + kept[::-1]


def _folded(text: str) -> str:
    return " ".join(text.split())

"""The conversation so far, as exchanges: a question, what the tools said, an answer."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from lash_hookspecs.records.attachments import AttachmentData
from lash_hookspecs.records.models import AssistantTurn, ModelMessage, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult

__all__ = ["Exchange", "exchanges_of"]

_UNDONE = ("cancelled", "interrupted", "outcome_unknown")


@attrs.define
class Exchange:
    """What belongs to one answer.

    Attributes:
        questions: What the user said: one message, or several when some arrived while tools ran.
        files: What the user attached.
        calls: Tool calls with their results.
        rounds: How many times tools were run.
        answer: What was answered; ``None`` while it is not.
    """

    questions: list[str] = attrs.field(factory=list)
    files: list[AttachmentData] = attrs.field(factory=list)
    calls: list[tuple[ToolCall, ToolResult]] = attrs.field(factory=list)
    rounds: int = 0
    answer: str | None = None

    @property
    def question(self) -> str:
        """All that the user said."""
        return "\n".join(self.questions)

    @property
    def takes_more(self) -> bool:
        """Whether a further message of the user belongs to it: only while it is worked on."""
        done = all(result.status not in _UNDONE for _call, result in self.calls)
        return self.answer is None and self.rounds > 0 and done


def exchanges_of(messages: Sequence[ModelMessage]) -> list[Exchange]:
    """Group the messages of a request; the last exchange is the one to answer."""
    exchanges: list[Exchange] = []
    asked: dict[str, ToolCall] = {}
    for message in messages:
        if isinstance(message, UserTurn):
            last = exchanges[-1] if exchanges else None
            if last is None or not last.takes_more:
                exchanges.append(Exchange())
            exchanges[-1].questions.append(message.text)
            exchanges[-1].files.extend(message.attachments)
            continue
        if not exchanges:
            exchanges.append(Exchange())
        if isinstance(message, AssistantTurn):
            calls = [part.call for part in message.parts if isinstance(part, ToolCallPart)]
            asked.update((call.call_id, call) for call in calls)
            if not calls:
                exchanges[-1].answer = "".join(part.text for part in message.parts if isinstance(part, TextPart))
        elif isinstance(message, ToolTurn):
            _add_results(exchanges[-1], asked, message)
    return exchanges


def _add_results(exchange: Exchange, asked: dict[str, ToolCall], turn: ToolTurn) -> None:
    exchange.rounds += 1
    for result in turn.results:
        call = asked.get(result.call_id, ToolCall(call_id=result.call_id, tool=result.tool))
        exchange.calls.append((call, result))

"""The read model of a path: what a model is shown, kept while nodes are appended (G6).

A tool result stands beside its call here, wherever on the path it was stored (T6). A call without one is
*unanswered*; `repair` says what to store for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
from lash_hookspecs.collector import collector_paused
from lash_hookspecs.records.attachments import AttachmentData
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import AssistantTurn, ModelMessage, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import (
    Message,
    Part,
    Payload,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolInvocation,
    decode_payload,
)
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolStatus

__all__ = ["Conversation", "Item", "invalid_messages", "marked_result", "repair"]


@attrs.frozen
class Item:
    """A node with its decoded payload."""

    node: Node
    payload: Payload


@attrs.define
class _Slot:
    """The place behind an assistant message where the results of its calls stand."""

    calls: tuple[ToolCall, ...]
    results: dict[str, ToolResult] = attrs.field(factory=dict)
    turn: ToolTurn | None = None

    def shown(self) -> ToolTurn:
        """Give the results as they are shown; made once when all are there."""
        if self.turn is not None:
            return self.turn
        results = tuple(self.results.get(call.call_id) or marked_result(call, "interrupted") for call in self.calls)
        turn = ToolTurn(results=results)
        if len(self.results) == len(self.calls):
            self.turn = turn
        return turn


class Conversation:
    """Messages and results of one path, in the order in which a model may see them."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        """Read the nodes of a path, root first.

        Raises:
            UnreadableData: A payload does not fit its kind; names the node (S9).
        """
        self.items: list[Item] = []
        self.system: list[str] = []
        self.turn_index = 0
        self._entries: list[UserTurn | AssistantTurn | _Slot] = []
        self._message_ids: set[str] = set()
        self._open: dict[str, _Slot] = {}
        self._call_ids: set[str] = set()
        nodes = nodes if isinstance(nodes, Sequence) else list(nodes)
        with collector_paused(len(nodes)):
            for node in nodes:
                payload = decode_payload(node)
                if payload is not None:
                    self.add(node, payload)

    @property
    def call_ids(self) -> set[str]:
        """Every call id on the path."""
        return self._call_ids

    @property
    def unanswered(self) -> tuple[ToolCall, ...]:
        """Calls without a result, oldest first."""
        return tuple(call for call_id, slot in self._open.items() for call in slot.calls if call.call_id == call_id)

    def add(self, node: Node, payload: Payload) -> None:
        """Take in the next node of the path; costs what the node holds."""
        self.items.append(Item(node, payload))
        if isinstance(payload, Message):
            self._add_message(payload.id or node.node_id, payload)
        elif isinstance(payload, ToolInvocation):
            self._add_result(payload)
        self.turn_index = max(self.turn_index, getattr(payload, "turn_index", None) or 0)

    def provider_messages(self) -> tuple[ModelMessage, ...]:
        """Give the conversation provider-valid: each call has one result, right behind the message that made it.

        A call that is still unanswered is shown as interrupted, so the list is valid whatever happened.
        """
        with collector_paused(len(self._entries)):
            return tuple(entry.shown() if isinstance(entry, _Slot) else entry for entry in self._entries)

    def _add_message(self, message_id: str, message: Message) -> None:
        if message_id in self._message_ids:
            return  # a rewrite kept it: the first occurrence stands
        self._message_ids.add(message_id)
        if message.role == "system":
            self.system.append(message.text)
        elif message.role == "user":
            files = tuple(AttachmentData(ref=part.ref, stored=part.stored) for part in message.attachments)
            self._entries.append(UserTurn(text=message.text, attachments=files))
        else:
            self._add_assistant(message)

    def _add_assistant(self, message: Message) -> None:
        parts: list[Part] = []
        calls: list[ToolCall] = []
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                if part.call.call_id in self._call_ids:
                    continue  # a provider refuses a call id that it has seen
                self._call_ids.add(part.call.call_id)
                calls.append(part.call)
            if isinstance(part, (ReasoningPart, ToolCallPart)) or (isinstance(part, TextPart) and part.text.strip()):
                parts.append(part)
        if not any(isinstance(part, (TextPart, ToolCallPart)) for part in parts):
            return  # a provider refuses a message that says nothing
        self._entries.append(AssistantTurn(parts=tuple(parts)))
        if calls:
            slot = _Slot(tuple(calls))
            self._entries.append(slot)
            self._open.update((call.call_id, slot) for call in calls)

    def _add_result(self, invocation: ToolInvocation) -> None:
        result = invocation.result
        if invocation.call is not None:  # made by code: its id is used, but no message waits for it
            self._call_ids.add(invocation.call.call_id)
            return
        slot = self._open.pop(result.call_id, None)
        if slot is not None:  # a second result, or one for a call that no message made, is no part of it
            slot.results[result.call_id] = result


def repair(conversation: Conversation, known: Mapping[str, ToolStatus] | None = None) -> tuple[ToolInvocation, ...]:
    """Say what to append so that every call of a path has a result (T6).

    Args:
        conversation: The path.
        known: How a call ended, where somebody knows; the outcome of every other is unknown.

    Returns:
        One marked result per unanswered call, oldest first; to be appended at the tail.
    """
    return tuple(
        ToolInvocation(
            result=marked_result(call, (known or {}).get(call.call_id, "outcome_unknown")),
            turn_index=conversation.turn_index or None,
        )
        for call in conversation.unanswered
    )


def invalid_messages(messages: Sequence[ModelMessage]) -> str | None:
    """Say why messages are not provider-valid; ``None`` when they are."""
    expected: tuple[str, ...] = ()
    seen: set[str] = set()
    for place, message in enumerate(messages, 1):
        answered = tuple(result.call_id for result in message.results) if isinstance(message, ToolTurn) else ()
        if answered != expected:
            return f"message {place} answers calls {list(answered)}, but {list(expected)} wait for an answer"
        expected = ()
        if isinstance(message, AssistantTurn):
            expected = tuple(part.call.call_id for part in message.parts if isinstance(part, ToolCallPart))
            if not any(isinstance(part, (TextPart, ToolCallPart)) for part in message.parts):
                return f"message {place} of the assistant says nothing"
        if seen.intersection(expected) or len(set(expected)) < len(expected):
            return f"message {place} uses a call id twice"
        seen.update(expected)
    return f"calls {list(expected)} are not answered" if expected else None


_MARKS: dict[ToolStatus, str] = {
    "interrupted": "This call has no result: the turn was interrupted.",
    "outcome_unknown": (
        "The outcome of this call is unknown: the process stopped while it ran. It may have taken effect."
    ),
    "cancelled": "This call was cancelled while it ran. It may have taken effect.",
}


def marked_result(call: ToolCall, status: ToolStatus) -> ToolResult:
    """Make the result of a call that never told one."""
    return ToolResult(
        call_id=call.call_id, tool=call.tool, status=status, output=_MARKS.get(status, ""), error_code=status
    )

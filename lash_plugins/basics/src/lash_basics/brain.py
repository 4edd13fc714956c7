"""What the offline model answers to a request (a first, small version)."""

from __future__ import annotations

import re

from lash_hookspecs.records.models import AssistantTurn, ModelReply, ModelRequest, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult

__all__ = ["answer"]

_FILE = re.compile(r"[\w./-]+\.\w{1,8}\b")


def answer(request: ModelRequest) -> ModelReply:
    """Answer with tool calls or with text."""
    question = next((m.text for m in reversed(request.messages) if isinstance(m, UserTurn)), "")
    last = request.messages[-1] if request.messages else None
    if isinstance(last, ToolTurn):
        return _say("\n\n".join(_told(result) for result in last.results))
    call = _call(question)
    if call is None or call[0] not in {tool.name for tool in request.tools}:
        return _say("I am the offline model. Ask me to list, read, find, search, count or summarise files.")
    index = sum(isinstance(message, AssistantTurn) for message in request.messages)
    made = ToolCall(call_id=f"call_{index}_0", tool=call[0], arguments=dict(call[1]))
    return ModelReply(parts=(ToolCallPart(call=made),), finish_reason="tool_calls", model="offline")


def _call(question: str) -> tuple[str, dict[str, str]] | None:
    lower = question.lower()
    name = _FILE.search(question)
    holds = re.search(r"which file (?:holds|contains|has|mentions) (.+?)\??$", question, re.I)
    if holds:
        return "search_text", {"text": holds.group(1).strip("'\"")}
    if name:
        return ("count" if "how many" in lower or "count" in lower else "read_file"), {"path": name.group().rstrip(".")}
    return ("list_files", {}) if "file" in lower or "list" in lower else None


def _told(result: ToolResult) -> str:
    text = result.output if isinstance(result.output, str) else str(result.output)
    return text if result.status == "ok" else f"That did not work ({result.status}): {text}"


def _say(text: str) -> ModelReply:
    return ModelReply(parts=(TextPart(text=text),), model="offline")

"""`context_for`: a small real context of any hook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from lash_hookspecs.markers import hook_info
from lash_hookspecs.records.models import ModelReply, UserTurn
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.store import Receipt
from lash_hookspecs.records.tools import ToolCall, ToolEntry, ToolResult, ToolSpec, ToolState
from lash_hookspecs.records.turn import TurnEnd, TurnInput, TurnResult
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.history import HistoryEntry
from lash_hookspecs.specs.tools import ToolCallPlan
from lash_hookspecs.specs.turns import TurnAdditions
from lash_hookspecs.testing.session import FakeSession
from lash_hookspecs.version import HOOKSPEC_API

__all__ = ["context_for"]

C = TypeVar("C")


def context_for(spec: Callable[[C], Any], /, **fields: Any) -> C:
    """Make a context that a hook may be called with: the fields that are given, and small sound values for the rest.

    ::

        assert await small_enough(context_for(lash_guard_commit, bytes=80)) == ALLOW

    The session is a `FakeSession`; fields that belong together stay together: ``session_id`` is that of a given
    ``session`` (and the other way round), and a call is one of a given tool.

    Args:
        spec: The hook's specification.
        **fields: Fields of its context.

    Raises:
        TypeError: ``spec`` is no hook, or its context has no such field.
    """
    hook_info(spec)
    kind = _context_class(spec)
    wanted = [field.name for field in attrs.fields(kind)]
    for name in fields:
        if name not in wanted:
            raise TypeError(f"{spec.__name__}: {kind.__name__} has no field {name!r}; it has {', '.join(wanted)}")
    samples = _samples(fields) | _OWN.get(kind.__name__, {})
    open_fields = [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING]
    made: C = kind(**({name: samples[name] for name in open_fields if name not in fields} | fields))
    return made


def _context_class(spec: Callable[..., Any]) -> Any:
    """Find the class of a hook's context: it is declared beside the hook."""
    annotation = spec.__annotations__["context"]
    return vars(sys.modules[spec.__module__])[annotation] if isinstance(annotation, str) else annotation


def _samples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give a value for each name that a context's field may have."""
    session = fields.get("session") or FakeSession(session_id=fields.get("session_id", "session"))
    tool = fields.get("spec") or _TOOL
    call = fields.get("call") or _call_of(fields.get("plan"), tool)
    return _COMMON | {
        "session": session,
        "session_id": session.session_id,
        "spec": tool,
        "call": call,
        "plan": ToolCallPlan(call=call),
        "result": ToolResult(call_id=call.call_id, tool=call.tool, output="12 °C and rain"),
    }


def _call_of(plan: ToolCallPlan | None, tool: ToolSpec) -> ToolCall:
    return plan.call if plan else ToolCall(call_id="call-1", tool=tool.name, arguments={"query": "weather"})


_TOOL = ToolSpec(
    name="search",
    description="Search the web.",
    input_schema={"type": "object", "properties": {"query": {"type": "string"}}},
    kind="read_only",
)
_HELLO = Message(role="user", parts=(TextPart(text="Hello."),), turn_index=1)

_COMMON: dict[str, Any] = {
    "additions": TurnAdditions(),
    "api": HOOKSPEC_API,
    "config": SessionConfig(instructions="Be brief."),
    "context_window": 32_768,
    "current": SessionConfig(instructions="Be brief."),
    "end": TurnEnd(outcome="finished", text="Done."),
    "entries": (HistoryEntry(_HELLO, "node-1"),),
    "executed": True,
    "input": TurnInput(text="Hello."),
    "instructions": "",
    "interrupted": False,
    "messages": (UserTurn(text="Hello."),),
    "mode": "standard",
    "model": "offline",
    "model_calls": 1,
    "output": "12 °C and rain",
    "parked": False,
    "phase": "began",
    "previous": SessionConfig(),
    "receipt": Receipt(session_id="session", commit_id="commit-1", revision=1, digest="0" * 64),
    "reply": ModelReply(
        parts=(TextPart(text="Hello to you."),), usage=TokenUsage(input_tokens=3, output_tokens=4), model="offline"
    ),
    "revision": 1,
    "state": ToolState(generation=1, tools={"search": ToolEntry(source="web")}),
    "step": "final",
    "stored_version": 1,
    "text": "Hello",
    "trigger": "manual",
    "turn_id": "turn-1",
    "turn_index": 1,
    "version": 1,
}

#: Where a field's name means something else than in most contexts.
_OWN: dict[str, dict[str, Any]] = {
    "CommitProposed": {"node_count": 1, "bytes": 200},
    "ContributeTools": {"tools": (_TOOL,)},
    "ModeStateRead": {"state": {"step": 1}},
    "PromptContext": {"tools": frozenset({"search"})},
    "ToolsRestored": {"overridden": (), "added": (), "missing": ()},
    "TurnCommitted": {
        "result": TurnResult(session_id="session", turn_index=1, outcome="finished", text="Done.", head_revision=1)
    },
}

"""Hooks on a session's tools and on each call.

One call, in order: is the tool available? → `lash_before_tool_call` → `lash_guard_tool_call` → schema, arguments and
execution, unless a plugin answered → `lash_after_tool_call` → `lash_project_tool_result`. A transform that fails makes
an error result with the code ``plugin_failed`` that names the plugin; the turn goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import JSON, guard, offer, transform

if TYPE_CHECKING:
    from pydantic import JsonValue

    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.tools import Availability, ToolCall, ToolResult, ToolSpec
    from lash_hookspecs.specs.decisions import Decision

__all__ = [
    "AfterToolCall",
    "BeforeToolCall",
    "ContributeTools",
    "GuardToolCall",
    "ProjectToolResult",
    "ToolCallPlan",
    "ToolPatch",
    "lash_after_tool_call",
    "lash_before_tool_call",
    "lash_contribute_tools",
    "lash_guard_tool_call",
    "lash_project_tool_result",
]


@attrs.frozen(kw_only=True)
class ToolPatch:
    """What a plugin changes of one tool, for this session and this model call.

    Attributes:
        tool: The tool's name.
        availability: How far it is available, unless the session says so itself; ``off`` takes it away whatever the
            session or another plugin says.
        note: Added to the description that the model sees.
    """

    tool: str
    availability: Availability | None = None
    note: str = ""


@attrs.frozen(kw_only=True)
class ToolCallPlan:
    """What is about to be done about a call.

    Attributes:
        call: The call; a plugin may change its arguments, nothing else of it.
        result: A plugin's own answer; with one the tool is not run.
    """

    call: ToolCall
    result: ToolResult | None = None


@attrs.frozen(kw_only=True)
class ContributeTools:
    """A model is about to be shown tools.

    Attributes:
        session: The session.
        session_id: Its id.
        mode: The execution mode's name.
        tools: Every tool that the session knows, whatever its level.
    """

    session: SessionServices
    session_id: str
    mode: str
    tools: tuple[ToolSpec, ...]


@attrs.frozen(kw_only=True)
class BeforeToolCall:
    """A call of a tool that is available.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        spec: The tool; its schema may not be known yet.
        plan: What is planned so far.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    spec: ToolSpec
    plan: ToolCallPlan


@attrs.frozen(kw_only=True)
class GuardToolCall:
    """A call as it will be made.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        spec: The tool; its schema may not be known yet.
        plan: What will be done.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    spec: ToolSpec
    plan: ToolCallPlan


@attrs.frozen(kw_only=True)
class AfterToolCall:
    """A call has its result.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        call: The call as it was planned.
        spec: The tool; ``None`` when nobody has it.
        executed: Whether the tool was run.
        result: The result so far.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    call: ToolCall
    spec: ToolSpec | None
    executed: bool
    result: ToolResult


@attrs.frozen(kw_only=True)
class ProjectToolResult:
    """A result is about to be cut to what a model may see at once.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        call: The call as it was planned.
        spec: The tool; ``None`` when nobody has it.
        result: The whole result.
        output: What the model will see so far.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    call: ToolCall
    spec: ToolSpec | None
    result: ToolResult
    output: JsonValue


@offer(ToolPatch, since="0.1")
def lash_contribute_tools(context: ContributeTools) -> list[ToolPatch]:
    """Called before each model call: say how far tools are available, and add notes to their descriptions.

    Levels are applied in plugin order, a later one over an earlier one; ``off`` stays.

    Example::

        @implements(lash_contribute_tools)
        def look_only(context: ContributeTools) -> list[ToolPatch]:
            return [ToolPatch(tool=spec.name, availability="off") for spec in context.tools if spec.kind != "read_only"]
    """
    raise AssertionError("a specification is never called")


@transform("plan", result=ToolCallPlan, since="0.1")
async def lash_before_tool_call(context: BeforeToolCall) -> ToolCallPlan:
    """Called before a call is made: change its arguments, or answer instead of the tool.

    Each plugin sees what the one before it planned. Arguments are checked against the tool's schema afterwards.

    Example::

        @implements(lash_before_tool_call)
        async def stay_in_eu(context: BeforeToolCall) -> ToolCallPlan:
            call = context.plan.call
            if context.spec.name != "deploy" or not isinstance(call.arguments, dict):
                return context.plan
            return attrs.evolve(context.plan, call=call.evolve(arguments={**call.arguments, "region": "eu"}))
    """
    raise AssertionError("a specification is never called")


@guard(since="0.1")
async def lash_guard_tool_call(context: GuardToolCall) -> Decision:
    """Called with what is planned at last, a plugin's own answer included; one denial is enough (T4).

    The model gets a result with the code ``denied``, the plugin's name and the reason.

    Example::

        @implements(lash_guard_tool_call)
        async def ask_first(context: GuardToolCall) -> Decision:
            return Deny("nothing may be deleted") if context.spec.name == "delete" else ALLOW
    """
    raise AssertionError("a specification is never called")


@transform("result", result="lash_hookspecs.records.tools:ToolResult", since="0.1")
async def lash_after_tool_call(context: AfterToolCall) -> ToolResult:
    """Called with each result, also of a call that failed, was denied, or was answered by a plugin.

    Example::

        @implements(lash_after_tool_call)
        async def note_failure(context: AfterToolCall) -> ToolResult:
            if context.result.status == "error":
                context.session.emit("my-plugin", "tool_failed", context.call.tool)
            return context.result
    """
    raise AssertionError("a specification is never called")


@transform("output", result=JSON, since="0.1")
async def lash_project_tool_result(context: ProjectToolResult) -> JsonValue:
    """Called for what the model sees of a result; the whole output is kept as a blob when it is changed.

    Example::

        @implements(lash_project_tool_result)
        async def first_rows(context: ProjectToolResult) -> JsonValue:
            return context.output[:20] if isinstance(context.output, list) else context.output
    """
    raise AssertionError("a specification is never called")

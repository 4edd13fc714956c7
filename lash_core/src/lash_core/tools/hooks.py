"""What plugins have to say about a session's tools and about each call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
from lash_hookspecs.errors import PluginError
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.tools import LEVELS, ToolCall, ToolResult, ToolSpec
from lash_hookspecs.specs.tools import (
    AfterToolCall,
    BeforeToolCall,
    ContributeTools,
    GuardToolCall,
    ProjectToolResult,
    ToolCallPlan,
    ToolPatch,
    lash_after_tool_call,
    lash_before_tool_call,
    lash_contribute_tools,
    lash_guard_tool_call,
    lash_project_tool_result,
)
from pydantic import JsonValue

if TYPE_CHECKING:
    from lash_core.plugins.session_hooks import Denial, SessionHooks

__all__ = ["ToolHooks"]

R = TypeVar("R", bound=Record)


@attrs.frozen
class ToolHooks:
    """The tool hooks of one open session; a hook that nobody listens to costs nothing.

    Attributes:
        calls: How they are called.
        session: What plugins may ask of the session.
    """

    calls: SessionHooks
    session: SessionServices

    def patches(self, mode: str, tools: Callable[[], Sequence[ToolSpec]]) -> list[ToolPatch]:
        """Ask plugins what they change of the tools that a model is shown; raises `PluginError`."""
        if not self.calls.handles(lash_contribute_tools):
            return []
        context = ContributeTools(
            session=self.session, session_id=self.session.session_id, mode=mode, tools=tuple(tools())
        )
        found = self.calls.collect(lash_contribute_tools, context)
        for plugin, patch in found:
            if patch.availability not in (None, *LEVELS):
                raise PluginError(f"{plugin}: lash_contribute_tools gave {patch!r}, whose availability is none")
        return [patch for _, patch in found]

    async def before(self, context: ToolCallContext, spec: ToolSpec) -> ToolCallPlan:
        """Let plugins change the arguments, or answer instead of the tool; raises `PluginError`."""
        plan = ToolCallPlan(call=context.call)
        if self.calls.handles(lash_before_tool_call):
            asked = BeforeToolCall(
                session=self.session, session_id=context.session_id, turn_id=context.turn_id, spec=spec, plan=plan
            )
            plan = await self.calls.transform(lash_before_tool_call, asked, partial(_wrong_plan, context.call))
            answer = None if plan.result is None else _valid(ToolResult, plan.result)
            plan = ToolCallPlan(call=_valid(ToolCall, plan.call), result=answer)
        return plan

    async def deny(self, context: ToolCallContext, spec: ToolSpec, plan: ToolCallPlan) -> Denial | None:
        """Ask plugins whether what is planned may be done."""
        if not self.calls.handles(lash_guard_tool_call):
            return None
        asked = GuardToolCall(
            session=self.session, session_id=context.session_id, turn_id=context.turn_id, spec=spec, plan=plan
        )
        return await self.calls.guard(lash_guard_tool_call, asked)

    async def after(
        self, context: ToolCallContext, call: ToolCall, spec: ToolSpec | None, result: ToolResult, *, executed: bool
    ) -> ToolResult:
        """Let plugins change a result; raises `PluginError`."""
        if self.calls.handles(lash_after_tool_call):
            asked = AfterToolCall(
                session=self.session,
                session_id=context.session_id,
                turn_id=context.turn_id,
                call=call,
                spec=spec,
                result=result,
                executed=executed,
            )
            changed = await self.calls.transform(lash_after_tool_call, asked, partial(_wrong, ToolResult))
            result = _valid(ToolResult, changed)
        return result

    async def project(
        self, context: ToolCallContext, call: ToolCall, spec: ToolSpec | None, result: ToolResult
    ) -> JsonValue:
        """Let plugins change what the model sees of a result; raises `PluginError`."""
        output = result.output
        if self.calls.handles(lash_project_tool_result):
            asked = ProjectToolResult(
                session=self.session,
                session_id=context.session_id,
                turn_id=context.turn_id,
                call=call,
                spec=spec,
                result=result,
                output=output,
            )
            output = await self.calls.transform(
                lash_project_tool_result, asked, lambda output: _wrong(ToolResult, result.evolve(output=output))
            )
        return output


def _wrong_plan(call: ToolCall, plan: ToolCallPlan) -> str:
    """Say what is wrong with what a plugin plans to do about a call."""
    if (plan.call.call_id, plan.call.tool) != (call.call_id, call.tool):
        return f"made another call of it ({plan.call.tool!r})"
    return _wrong(ToolCall, plan.call) or ("" if plan.result is None else _wrong(ToolResult, plan.result))


def _wrong(record: type[R], value: R) -> str:
    """Say why something is no record, if it is none."""
    try:
        _valid(record, value)
    except (TypeError, ValueError):
        return f"made what is no {record.__name__}: {value!r}"
    return ""


def _valid(record: type[R], value: R) -> R:
    """Give a plugin's record anew: a changed copy of one is not checked when it is made."""
    return record.model_validate(dict(value))

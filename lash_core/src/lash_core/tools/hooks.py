"""What plugins have to say about a session's tools and about each call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
from lash_hookspecs.errors import PluginError
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec
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
from pydantic import JsonValue, TypeAdapter, ValidationError

__all__ = ["HookCalls", "ToolHooks"]


class Refusal(Protocol):
    """Which plugin refused, and why."""

    @property
    def plugin(self) -> str:
        """The plugin, for people."""
        ...

    @property
    def reason(self) -> str:
        """Why."""
        ...


class HookCalls(Protocol):
    """How hooks of an open session are called."""

    def handles(self, spec: Callable[..., Any]) -> bool:
        """Tell whether anybody listens."""
        ...

    async def transform(self, spec: Callable[..., Any], context: Any) -> Any:
        """Fold a value."""
        ...

    async def guard(self, spec: Callable[..., Any], context: Any) -> Refusal | None:
        """Ask for a denial."""
        ...

    def collect(self, spec: Callable[..., Any], context: Any) -> Sequence[tuple[str, Any]]:
        """Gather offers."""
        ...


@attrs.frozen
class ToolHooks:
    """The tool hooks of one open session; a hook that nobody listens to costs nothing.

    Attributes:
        calls: How they are called.
        session: What plugins may ask of the session.
    """

    calls: HookCalls
    session: SessionServices

    def patches(self, mode: str, tools: Callable[[], Sequence[ToolSpec]]) -> list[ToolPatch]:
        """Ask plugins what they change of the tools that a model is shown; raises `PluginError`."""
        if not self.calls.handles(lash_contribute_tools):
            return []
        context = ContributeTools(
            session=self.session, session_id=self.session.session_id, mode=mode, tools=tuple(tools())
        )
        return [patch for _, patch in self.calls.collect(lash_contribute_tools, context)]

    async def before(self, context: ToolCallContext, spec: ToolSpec) -> ToolCallPlan:
        """Let plugins change the arguments, or answer instead of the tool; raises `PluginError`."""
        plan = ToolCallPlan(call=context.call)
        if self.calls.handles(lash_before_tool_call):
            asked = BeforeToolCall(
                session=self.session, session_id=context.session_id, turn_id=context.turn_id, spec=spec, plan=plan
            )
            plan = await self.calls.transform(lash_before_tool_call, asked)
        return plan

    async def deny(self, context: ToolCallContext, spec: ToolSpec, plan: ToolCallPlan) -> Refusal | None:
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
            result = await self.calls.transform(lash_after_tool_call, asked)
            _check_json(lash_after_tool_call, result.output)
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
            output = await self.calls.transform(lash_project_tool_result, asked)
            _check_json(lash_project_tool_result, output)
        return output


_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


def _check_json(spec: Callable[..., Any], output: object) -> None:
    try:
        _JSON.validate_python(output)
    except ValidationError as error:
        what = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise PluginError(f"{spec.__name__} made an output that is no JSON: {what}", step="tool call") from error

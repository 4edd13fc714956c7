"""One tool call, end to end: whatever goes wrong is a result with the call's own id, for the model to read (T2).

The order: is it available → before-call transforms → guards → schema → arguments → execution, with retries → files are
kept → after-call transforms → projection → output budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
from lash_hookspecs.errors import PluginError, ToolError
from lash_hookspecs.protocols.tools import Attachment, ToolCallContext, ToolOutput
from lash_hookspecs.records.text import clean_json
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec

from lash_core.tools.attachments import Keep, keep_attachments, set_aside
from lash_core.tools.projection import extract
from lash_core.tools.registry import RegisteredTool
from lash_core.tools.strangers import settled
from lash_core.tools.surface import ToolSurface, Unavailable
from lash_core.tools.validation import what_does_not_fit

__all__ = ["ToolDispatch"]


@attrs.frozen(kw_only=True)
class _Outcome:
    """How a call ended, before plugins see it.

    Attributes:
        call: The call as it was planned.
        result: Its result.
        spec: The tool, if anybody has it.
        executed: Whether the tool was run.
    """

    call: ToolCall
    result: ToolResult
    spec: ToolSpec | None = None
    executed: bool = False


@attrs.frozen(kw_only=True)
class ToolDispatch:
    """Makes the calls of a session.

    Attributes:
        surface: The session's tools.
        spill: Keeps a whole output and gives the ref of its blob.
        keep: Stores a file that a tool returned; without it none is kept, and the output says so.
        limit: Characters of an output that the model sees.
        sleep: Waits between attempts.
        clock: Gives seconds, for durations.
    """

    surface: ToolSurface
    spill: Callable[[bytes], Awaitable[str]]
    keep: Keep | None = None
    limit: int = 32_768
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    async def run(self, context: ToolCallContext) -> ToolResult:
        """Make a call. Only a cancellation and an error of the store are raised."""
        try:
            outcome = await self._planned(context)
        except PluginError as error:
            outcome = self._refused(context.call, "plugin_failed", str(error))
        outcome = await self._after(context, outcome)
        return await self._shown(context, outcome)

    async def _planned(self, context: ToolCallContext) -> _Outcome:
        call, hooks = context.call, self.surface.hooks
        tool = await self.surface.find(call.tool)
        if isinstance(tool, Unavailable):
            return self._refused(call, tool.code, tool.message)
        spec, answer = tool.spec, None
        if hooks is not None:
            plan = await hooks.before(context, spec)
            denial = await hooks.deny(context, spec, plan)
            call, answer = plan.call, plan.result
            if denial is not None:
                message = f"Denied by {denial.plugin}: {denial.reason}"
                return self._refused(call, "denied", message)
        if answer is not None:
            return _Outcome(call=call, spec=spec, result=answer.evolve(call_id=call.call_id, tool=call.tool))
        problem = await self._problem(tool, call)
        if problem is not None:
            return _Outcome(call=call, spec=spec, result=problem)
        result = await self._execute(tool, attrs.evolve(context, call=call, session=hooks.session if hooks else None))
        return _Outcome(call=call, spec=spec, result=result, executed=True)

    def _refused(self, call: ToolCall, code: str, message: str) -> _Outcome:
        return _Outcome(call=call, spec=self.surface.specs.get(call.tool), result=_failed(call, code, message))

    async def _problem(self, tool: RegisteredTool, call: ToolCall) -> ToolResult | None:
        """Say why a call is not made, if its schema cannot be had or its arguments do not fit."""
        try:
            schema = await self.surface.registry.contract(tool)
        except ToolError as error:
            return _failed(call, "contract_unavailable", f"The schema of {call.tool!r} cannot be had: {error}")
        try:
            problem = what_does_not_fit(schema, call)
        except Exception as error:  # noqa: BLE001  a provider's schema is a stranger's: one that is none is a result too
            return _failed(call, "tool_failed", f"The schema of {call.tool!r} cannot be used: {error}")
        return None if problem is None else _failed(call, "invalid_arguments", problem)

    async def _execute(self, tool: RegisteredTool, context: ToolCallContext) -> ToolResult:
        started = self.clock()
        retry = tool.spec.retry
        attempts = 1 if tool.spec.kind == "side_effecting" else retry.attempts
        attempt = 1
        while True:
            try:
                told, files = await settled(partial(_told, tool, attrs.evolve(context, attempt=attempt)))
                result = _succeeded(context.call, told)
                break
            except ToolError as error:
                if error.retryable and attempt < attempts:
                    await self.sleep(retry.wait(attempt, error.retry_after))
                    attempt += 1
                    continue
                given_up = f"\n[gave up after {attempt} attempts]" if error.retryable and attempts > 1 else ""
                result, files = _failed(context.call, "tool_failed", error.message + given_up), {}
                break
        took = round((self.clock() - started) * 1_000)
        result = result.evolve(duration_ms=took, attempts=attempt if attempt > 1 else None)
        return await keep_attachments(result, files, self.keep) if files else result

    async def _after(self, context: ToolCallContext, outcome: _Outcome) -> _Outcome:
        hooks, call = self.surface.hooks, outcome.call
        if hooks is None:
            return outcome
        try:
            result = await hooks.after(context, call, outcome.spec, outcome.result, executed=outcome.executed)
            result = _changed(result, result.output)
        except PluginError as error:
            return attrs.evolve(outcome, result=_withheld(outcome, error))
        return attrs.evolve(outcome, result=result.evolve(call_id=call.call_id, tool=call.tool))

    async def _shown(self, context: ToolCallContext, outcome: _Outcome) -> ToolResult:
        """Let plugins project an output, and cut it; the whole of one that is changed is kept as a blob (S11)."""
        result, hooks = outcome.result, self.surface.hooks
        whole = result.text
        if hooks is not None:
            try:
                result = _changed(result, await hooks.project(context, outcome.call, outcome.spec, result))
            except PluginError as error:
                result = _withheld(outcome, error)
        text = result.text
        if len(text) <= self.limit and text == whole:
            return result
        ref = result.spilled or await self.spill(whole.encode())
        if len(text) > self.limit:
            keep = outcome.spec.keep if outcome.spec else "head"
            result = result.evolve(output=extract(text, self.limit, keep, ref))
        return result.evolve(spilled=ref)


async def _told(tool: RegisteredTool, context: ToolCallContext) -> tuple[ToolOutput, dict[str, Attachment]]:
    """Run a tool, and take the files out of what it tells."""
    output = await tool.provider.run(context)
    told = output if isinstance(output, ToolOutput) else ToolOutput(output)
    files: dict[str, Attachment] = {}
    value = clean_json(set_aside(told.value, files))
    return attrs.evolve(told, value=value), files


def _succeeded(call: ToolCall, told: ToolOutput) -> ToolResult:
    """Make the result of a call; a value that is no JSON is a failure of the tool."""
    value: Any = told.value
    try:
        return _sayable(
            ToolResult(
                call_id=call.call_id,
                tool=call.tool,
                output="" if value is None else value,
                control="finish" if told.finish else "fail" if told.fail else None,
                handoff=told.handoff,
            )
        )
    except ValueError:
        raise ToolError(f"The tool returned what is no JSON: {type(value).__name__}.") from None


def _sayable(result: ToolResult) -> ToolResult:
    """Give a result whose output a model can be told.

    Raises:
        ValueError, TypeError: It is no JSON, or holds a number that is too long for it.
    """
    assert result.text is not None
    return result


def _changed(result: ToolResult, output: Any) -> ToolResult:
    """Give a result with an output that plugins made.

    Raises:
        PluginError: It is no JSON.
    """
    try:
        return _sayable(result.evolve(output=clean_json(output)))
    except (ValueError, TypeError, RecursionError) as error:
        raise PluginError(f"a plugin made an output of {result.tool!r} that is no JSON: {error}") from error


def _failed(call: ToolCall, code: str, message: str) -> ToolResult:
    return ToolResult(call_id=call.call_id, tool=call.tool, status="error", error_code=code, output=clean_json(message))


def _withheld(outcome: _Outcome, error: PluginError) -> ToolResult:
    """Make the result of a call whose output a plugin should have changed and did not: it may hold what it must not."""
    done = f" The tool ran before that, and ended as {outcome.result.status!r}." if outcome.executed else ""
    return _failed(outcome.call, "plugin_failed", f"{error}{done}").evolve(
        duration_ms=outcome.result.duration_ms, attempts=outcome.result.attempts
    )

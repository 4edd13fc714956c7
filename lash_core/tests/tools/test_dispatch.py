"""One call, end to end, without plugins: arguments, failures, retries, the output budget (T2, T3, S11; 72, 77, 78)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from lash_core.tools.dispatch import ToolDispatch
from lash_core.tools.registry import ToolRegistry
from lash_core.tools.surface import ToolSurface
from lash_hookspecs import FunctionTools, tool
from lash_hookspecs.errors import ConfigurationError, ToolError
from lash_hookspecs.protocols.tools import ToolCallContext, ToolOutput, ToolProvider
from lash_hookspecs.records.tools import ToolCall, ToolKind, ToolResult, ToolRetry, ToolSpec
from tool_probes import Lazy, Listed, Spilled, call_context, made, run_call


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def dispatch(provider: ToolProvider, **options: Any) -> ToolDispatch:
    options.setdefault("spill", Spilled())
    return ToolDispatch(surface=ToolSurface(ToolRegistry([("it", provider)])), **options)


# Arguments


@tool(kind="read_only")
async def add(a: int, b: int = 0) -> int:
    return a + b


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"a": "one"}, "The arguments of 'add' do not fit its schema: a: 'one' is not of type 'integer'"),
        ({}, "The arguments of 'add' do not fit its schema: arguments: 'a' is a required property"),
        (
            {"a": 1, "c": 2},
            "The arguments of 'add' do not fit its schema: arguments: Additional properties are not allowed "
            "('c' was unexpected)",
        ),
    ],
)
async def test_arguments_that_do_not_fit_are_told_and_the_tool_is_not_run(arguments: dict[str, Any], text: str) -> None:
    result = await run_call(FunctionTools([add]), "add", **arguments)
    assert (result.error_code, result.output, result.duration_ms) == ("invalid_arguments", text, None)


async def test_arguments_that_are_no_object_are_told() -> None:
    context = call_context("add")
    context = attrs.evolve(context, call=ToolCall(call_id="call-1", tool="add", arguments="a=1"))
    result = await dispatch(FunctionTools([add])).run(context)
    assert (result.error_code, result.output) == (
        "invalid_arguments",
        "The arguments of 'add' must be a JSON object; got: a=1",
    )


async def test_unknown_arguments_are_taken_where_the_schema_allows_them() -> None:
    schema: Any = {"type": "object", "properties": {"a": {}}, "additionalProperties": True}
    assert (await run_call(Listed(made("free").evolve(input_schema=schema)), "free", b=1)).status == "ok"
    assert (await run_call(Listed("without_schema"), "without_schema", b=1)).status == "ok"
    assert (await run_call(Lazy("lazy"), "lazy", b=1)).error_code == "invalid_arguments"


# Failures


def raising(error: BaseException) -> Listed:
    def fail(context: ToolCallContext) -> Any:
        raise error

    return Listed("it", does=fail)


class NotAsync(Listed):
    def run(self, context: ToolCallContext) -> Any:
        return "not awaited"


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        (raising(ToolError("no such train")), "no such train"),
        (raising(KeyError("x")), "KeyError: 'x'"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising(asyncio.CancelledError()), "The tool cancelled itself."),
        (Listed("it", does=lambda context: object()), "The tool returned what is no JSON: object."),
        (NotAsync("it"), "TypeError: object str can't be used in 'await' expression"),
    ],
    ids=["ToolError", "another", "exit", "cancels itself", "no JSON", "not async"],
)
async def test_whatever_a_tool_does_is_a_result_with_the_calls_own_id(provider: Listed, text: str) -> None:
    result = await run_call(provider, "it")
    assert (result.status, result.error_code, result.output) == ("error", "tool_failed", text)


async def test_a_number_that_no_reader_takes_becomes_text() -> None:
    result = await run_call(Listed("it", does=lambda context: {"at": 10**5_000}), "it")
    assert (result.status, result.output) == ("ok", {"at": hex(10**5_000)})


async def test_cancelling_the_caller_cancels_the_tool() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    @tool(kind="read_only")
    async def wait() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    running = asyncio.create_task(dispatch(FunctionTools([wait])).run(call_context("wait")))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled.is_set()


# Retries


def failing(times: int, kind: ToolKind, retry: ToolRetry, error: Callable[[int], Exception]) -> Listed:
    """A tool that fails some times, with what is given for each attempt, and then works."""

    def does(context: ToolCallContext) -> str:
        if context.attempt <= times:
            raise error(context.attempt)
        return f"worked in attempt {context.attempt}"

    return Listed(ToolSpec(name="it", kind=kind, retry=retry), does=does)


def busy(attempt: int) -> ToolError:
    return ToolError(f"busy {attempt}", retryable=True)


@pytest.mark.parametrize(
    ("kind", "attempts", "output"),
    [
        ("read_only", [1, 2, 3], "worked in attempt 3"),
        ("idempotent", [1, 2, 3], "worked in attempt 3"),
        ("side_effecting", [1], "busy 1"),
    ],
)
async def test_only_a_call_that_may_be_repeated_is_made_again(kind: ToolKind, attempts: list[int], output: str) -> None:
    provider = failing(2, kind, ToolRetry(attempts=5), busy)
    clock = Clock()
    result = await dispatch(provider, sleep=clock.sleep, clock=clock).run(call_context("it"))
    assert [context.attempt for context in provider.ran] == attempts
    assert {context.idempotency_key for context in provider.ran} == {"s:t-1"}
    assert result.output == output
    assert result.attempts == (3 if len(attempts) > 1 else None)
    assert (clock.waits, result.duration_ms) == (([1.0, 2.0], 3000) if len(attempts) > 1 else ([], 0))


async def test_without_a_retry_policy_a_call_is_made_once() -> None:
    provider = failing(1, "read_only", ToolRetry(), busy)
    assert (await run_call(provider, "it")).output == "busy 1"


@pytest.mark.parametrize("error", [ToolError("never"), OSError("never")], ids=["ToolError", "another"])
async def test_a_failure_that_does_not_say_that_it_is_retryable_is_final(error: Exception) -> None:
    provider = failing(1, "read_only", ToolRetry(attempts=5), lambda attempt: error)
    assert (await run_call(provider, "it")).status == "error"
    assert len(provider.ran) == 1


async def test_a_call_that_was_tried_in_vain_says_so() -> None:
    provider = failing(9, "read_only", ToolRetry(attempts=3), busy)
    clock = Clock()
    result = await dispatch(provider, sleep=clock.sleep, clock=clock).run(call_context("it"))
    assert (result.status, result.attempts, len(provider.ran)) == ("error", 3, 3)
    assert result.output == "busy 3\n[gave up after 3 attempts]"


async def test_waits_double_up_to_the_longest_and_a_tool_may_ask_for_its_own() -> None:
    asked = {2: 0.5, 4: 999.0}
    provider = failing(
        5,
        "read_only",
        ToolRetry(attempts=9, first_wait=2, longest_wait=10),
        lambda attempt: ToolError("busy", retryable=True, retry_after=asked.get(attempt)),
    )
    clock = Clock()
    await dispatch(provider, sleep=clock.sleep, clock=clock).run(call_context("it"))
    assert clock.waits == [2.0, 0.5, 8.0, 10.0, 10.0]


async def test_a_cancellation_ends_a_wait_at_once() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    provider = failing(9, "read_only", ToolRetry(attempts=9), busy)
    running = asyncio.create_task(dispatch(provider, sleep=sleep).run(call_context("it")))
    await waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(provider.ran) == 1


def test_a_side_effecting_function_cannot_ask_for_retries() -> None:
    @tool(retry=ToolRetry(attempts=2))
    def send() -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        FunctionTools([send])
    assert str(caught.value) == (
        "tool 'send' is side_effecting and cannot be tried again; "
        "say kind='idempotent' or kind='read_only' if it is, or leave out retry"
    )


# What the model sees


@pytest.mark.parametrize(
    ("keep", "output"),
    [
        ("head", "0123456789\n[cut: the first 10 of 100 characters; the whole is kept as blob blob-1]"),
        ("tail", "[cut: the last 10 of 100 characters; the whole is kept as blob blob-1]\n0123456789"),
    ],
)
async def test_an_oversize_output_is_cut_at_the_end_that_its_tool_says(keep: Any, output: str) -> None:
    whole, spilled = "0123456789" * 10, Spilled()
    provider = Listed(made("log").evolve(keep=keep), does=lambda context: whole)
    result = await dispatch(provider, spill=spilled, limit=10).run(call_context("log"))
    assert (result.output, result.spilled, spilled.blobs) == (output, "blob-1", [whole])


async def test_an_output_within_the_budget_is_not_touched() -> None:
    spilled = Spilled()
    provider = Listed("it", does=lambda context: {"a": [1, None]})
    result = await dispatch(provider, spill=spilled, limit=16).run(call_context("it"))
    assert (result.output, result.text, result.spilled) == ({"a": [1, None]}, '{"a": [1, null]}', None)
    assert spilled.blobs == []


async def test_an_oversize_failure_is_cut_too() -> None:
    spilled = Spilled()
    result = await dispatch(raising(ToolError("x" * 50)), spill=spilled, limit=10).run(call_context("it"))
    assert (result.status, result.text[:10], spilled.blobs) == ("error", "x" * 10, ["x" * 50])


async def test_lone_surrogates_are_replaced() -> None:
    assert (await run_call(Listed("it", does=lambda context: {"a": "\ud800"}), "it")).output == {"a": "\ufffd"}


# Control


@pytest.mark.parametrize(
    ("output", "control", "handoff"),
    [
        (ToolOutput("done", finish=True), "finish", None),
        (ToolOutput("broken", fail=True), "fail", None),
        (ToolOutput("over to you", handoff="s2"), None, "s2"),
        (ToolOutput("just said"), None, None),
    ],
)
async def test_a_function_can_end_its_turn(output: ToolOutput, control: str | None, handoff: str | None) -> None:
    @tool(kind="read_only")
    async def end() -> ToolOutput:
        return output

    result = await run_call(FunctionTools([end]), "end")
    assert (result.status, result.output, result.control, result.handoff) == ("ok", output.value, control, handoff)


async def test_the_value_of_an_ending_function_becomes_json_as_any() -> None:
    @tool(kind="read_only")
    def end() -> ToolOutput:
        return ToolOutput({"when": (1, 2)}, finish=True)

    assert (await run_call(FunctionTools([end]), "end")).output == {"when": [1, 2]}


def test_an_output_ends_the_turn_in_one_way() -> None:
    with pytest.raises(ValueError, match="only one of them"):
        ToolOutput("x", finish=True, handoff="s2")


def test_a_result_is_stored_without_what_it_does_not_say() -> None:
    stored = ToolResult(call_id="c", tool="t", output="x").to_bytes()
    assert stored == b'{"call_id":"c","tool":"t","status":"ok","output":"x"}'

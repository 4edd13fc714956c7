"""What a session's trace tells, in which order, about what, and what stays out of it (L13, invariant 90)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs
import pytest
from lash_core.stores.memory import MemoryBackend
from lash_core.tracing import MemorySink
from lash_hookspecs.errors import ConfigurationError, ModelError, StoreUnavailable
from lash_hookspecs.records.traces import TRACE_EVENTS, TraceContext, TraceRecord
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from probes import FailingBackend, ProbeModel, calls, says
from script_files import plugins

from lash_core import Agent, Lash, LashRuntime, RuntimeEnvironment, SessionSpec, tool


@tool(kind="read_only")
async def look(where: str = "") -> str:
    return f"seen {where}"


def lash_on(sink: MemorySink, model: ProbeModel, tools: Any = (look,), **changes: Any) -> Lash:
    agent = Agent(model="probe:m", tools=tools, instructions="Be kind.")
    env = RuntimeEnvironment(plugins=plugins(model), store=MemoryBackend(), tool_sets=(), tools=agent.tools, trace=sink)
    return Lash(env.evolve(**changes), agent)


async def run_turn(lash: Lash, text: str = "hi") -> Any:
    return await (await lash.session("s")).turn(text)


def of(sink: MemorySink, event: str) -> list[TraceRecord]:
    return [record for record in sink.records if record.event == event]


class Unwritable(MemorySink):
    """A sink that fails at every record."""

    def write(self, record: TraceRecord) -> None:
        super().write(record)
        raise RuntimeError("the collector is gone")


async def test_each_step_of_a_turn_with_a_tool_is_a_record_in_its_order() -> None:
    sink = MemorySink()
    await run_turn(lash_on(sink, ProbeModel(calls(("look", {"where": "here"})), says("done"))))
    assert sink.events == [
        "session_started",
        "turn_started",
        "commit",
        "prompt_built",
        "model_call_started",
        "model_call_finished",
        "tool_call_started",
        "tool_call_finished",
        "boundary",
        "commit",
        "usage",
        "prompt_built",
        "model_call_started",
        "model_call_finished",
        "commit",
        "usage",
        "turn_finished",
    ]
    assert set(sink.events) < set(TRACE_EVENTS)
    assert [record.fields["step"] for record in of(sink, "commit")] == ["input", "boundary", "final"]


async def test_each_record_says_what_it_is_about() -> None:
    sink = MemorySink()
    app = TraceContext(metadata={"region": "eu"})
    lash = lash_on(sink, ProbeModel(calls(("look", {})), says("done")), trace_context=app)
    await run_turn(lash)
    first, *turn = [record.context for record in sink.records]
    assert first == TraceContext(session_id="s", scope_id=first.scope_id, metadata={"region": "eu"})
    assert first.scope_id
    in_turn = attrs_of(turn[0], "turn_id", "turn_index")
    assert in_turn["turn_index"] == 1
    assert {context.overlaid(first) == context for context in turn} == {True}
    assert all(attrs_of(context, "turn_id", "turn_index") == in_turn for context in turn)
    keyed = {
        record.event: (record.context.call_key, record.context.tool_call_id)
        for record in sink.records
        if record.context.call_key
    }
    assert set(keyed) == {
        "prompt_built",
        "model_call_started",
        "model_call_finished",
        "tool_call_started",
        "tool_call_finished",
    }
    assert keyed["tool_call_started"] == keyed["tool_call_finished"] == (f"{in_turn['turn_id']}-2", "call_0")
    assert keyed["model_call_finished"] == (f"{in_turn['turn_id']}-3", None)


def attrs_of(context: TraceContext, *names: str) -> dict[str, Any]:
    return {name: getattr(context, name) for name in names}


async def test_records_hold_counts_sizes_and_usage() -> None:
    sink = MemorySink()
    model = ProbeModel(calls(("look", {"where": "here"}), input_tokens=5, output_tokens=2), says("done"))
    await run_turn(lash_on(sink, model), "hello")

    def fields(event: str) -> dict[str, Any]:
        return {name: value for name, value in of(sink, event)[0].fields.items() if name != "duration_ms"}

    usage = {"input_tokens": 5, "output_tokens": 2, "cached_input_tokens": 0, "reasoning_tokens": 0}
    assert fields("session_started") == {"store": "memory:", "mode": "standard", "model": "probe:m", "turn_index": 0}
    assert fields("turn_started") == {"mode": "standard", "model": "probe:m", "continued": False, "input_chars": 5}
    assert fields("prompt_built") == {"instructions_chars": 8, "sections": {"intro": 8}, "messages": 1, "tools": 1}
    assert fields("model_call_finished") == {
        "attempt": 1,
        "finish_reason": "tool_calls",
        "text_chars": 0,
        "reasoning_chars": 0,
        "tool_calls": ["call_0"],
        "usage": usage,
    }
    assert fields("tool_call_started") == {"tool": "look", "kind": "read_only", "arguments_chars": 17}
    assert fields("tool_call_finished") == {"tool": "look", "status": "ok", "output_chars": 9}
    assert fields("usage") == {"source": "turn", "model": "probe:m", "calls": 1, "unknown_calls": 0, "usage": usage}
    assert fields("turn_finished") == {"outcome": "finished", "revision": 3, "text_chars": 4, "usage": usage}
    assert {"revision", "epoch", "nodes", "events", "components", "bytes", "commit_id"} < set(fields("commit"))


async def test_a_session_that_is_opened_again_is_restored_in_a_scope_of_its_own() -> None:
    sink = MemorySink()
    model = ProbeModel(says("one"))
    lash = lash_on(sink, model)
    await run_turn(lash)
    await LashRuntime.from_environment(lash.env, SessionSpec(session_id="s"))
    started, restored = of(sink, "session_started")[0], of(sink, "session_restored")[0]
    assert (restored.fields["revision"], restored.fields["turn_index"]) == (2, 1)
    assert restored.context.scope_id != started.context.scope_id


async def test_a_call_that_fails_is_traced_with_each_attempt() -> None:
    sink = MemorySink()

    async def no_wait(seconds: float) -> None:
        return None

    limited = ModelError("CANARY", retryable=True, retry_after=3.0, kind="rate_limit")
    model = ProbeModel(limited, RuntimeError("CANARY"))
    result = await run_turn(lash_on(sink, model, sleep=no_wait))
    assert result.outcome == "failed"
    assert [(each.fields["attempt"], each.fields["error"], each.fields.get("wait")) for each in failures(sink)] == [
        (1, "rate_limit", 3.0),
        (2, "other", None),
    ]
    assert [each.fields["attempt"] for each in of(sink, "model_call_started")] == [1, 2]
    assert of(sink, "turn_finished")[0].fields["reason"] == "model_error"
    assert b"CANARY" not in written(sink)


def failures(sink: MemorySink) -> list[TraceRecord]:
    return of(sink, "model_call_failed")


async def test_what_a_cancelled_turn_was_doing_is_traced() -> None:
    sink, running = MemorySink(), asyncio.Event()

    @tool(kind="idempotent")
    async def wait() -> str:
        running.set()
        await asyncio.Event().wait()
        return "never"

    async def answer(request: object) -> Any:
        running.set()
        await asyncio.Event().wait()

    lash = lash_on(sink, ProbeModel(calls(("wait", {})), answer), tools=[wait])
    session = await lash.session("s")
    for event, code in (("tool_call_finished", "error_code"), ("model_call_failed", "error")):
        running.clear()
        turn = asyncio.create_task(session.turn("hi"))
        await running.wait()
        await session.runtime.cancel()
        await turn
        assert of(sink, event)[0].fields[code] == "cancelled"
    assert [each.fields["outcome"] for each in of(sink, "turn_finished")] == ["cancelled", "cancelled"]


async def test_a_commit_that_fails_and_the_turn_that_it_ends_are_traced() -> None:
    sink, backend = MemorySink(), FailingBackend()
    backend.failing.add(2)
    lash = lash_on(sink, ProbeModel(says("done")), store=backend)
    with pytest.raises(StoreUnavailable):
        await run_turn(lash)
    failed, interrupted = sink.records[-2:]
    assert (failed.event, failed.fields["step"], failed.fields["error"]) == (
        "commit_failed",
        "final",
        "store_unavailable",
    )
    assert (interrupted.event, interrupted.fields) == ("turn_interrupted", {"error": "store_unavailable"})
    assert sink.events.count("turn_interrupted") == 1
    assert "usage" not in sink.events


async def test_a_turn_that_is_continued_is_started_again_in_its_trace() -> None:
    sink, backend = MemorySink(), FailingBackend()
    backend.failing.add(2)
    lash = lash_on(sink, ProbeModel(says("one"), says("two")), store=backend)
    session = await lash.session("s")
    with pytest.raises(StoreUnavailable):
        await session.turn("hi")
    await session.continue_turn().result()
    first, again = of(sink, "turn_started")
    assert (first.fields["continued"], again.fields["continued"]) == (False, True)
    assert first.context == again.context
    assert sink.events[-1] == "turn_finished"


def written(sink: MemorySink) -> bytes:
    return b"\n".join(record.to_bytes() for record in sink.records)


@attrs.frozen
class Hidden:
    """A session in which each kind of content has a mark of its own."""

    sink: MemorySink
    marks: frozenset[str]

    @property
    def found(self) -> set[str]:
        return {mark for mark in self.marks if mark.encode() in written(self.sink)}


async def run_marked(**changes: Any) -> Hidden:
    sink = MemorySink()

    @tool(kind="read_only")
    async def ask(about: str) -> str:
        """DESCRIBED"""
        if about == "break MARK-argument":
            raise RuntimeError("MARK-tool-error")
        return "MARK-output"

    class NamedByUrl(MemoryBackend):
        """A store that never learned to hide its password."""

        name = "redis://ann:MARK-password@db/0?api_key=MARK-key"

    model = ProbeModel(
        calls(("ask", {"about": "MARK-argument"}), ("ask", {"about": "break MARK-argument"}), text="MARK-said"),
        says("MARK-answer"),
        ModelError("MARK-model-error"),
    )
    agent = Agent(
        model="probe:m",
        tools=[ask],
        instructions="MARK-instructions",
        model_settings={"api_key": "MARK-setting"},
    )
    env = RuntimeEnvironment(
        plugins=plugins(model), store=NamedByUrl(), tool_sets=(), tools=agent.tools, trace=sink, **changes
    )
    session = await Lash(env, agent).session("s")
    for _ in range(2):
        await session.turn("MARK-user")
    contents = ("user", "argument", "output", "tool-error", "said", "answer", "instructions", "model-error")
    secrets = ("password", "key", "setting")
    return Hidden(sink, frozenset(f"MARK-{each}" for each in (*contents, *secrets)))


@pytest.mark.parametrize("level", ["standard", "extended"])
async def test_nothing_that_was_said_and_no_secret_is_in_a_trace(level: str) -> None:
    hidden = await run_marked(trace_level=level)
    assert hidden.found == set()
    assert b"MARK" not in written(hidden.sink)
    assert b"DESCRIBED" not in written(hidden.sink)
    assert of(hidden.sink, "session_started")[0].fields["store"] == "redis://ann:***@db/0?api_key=***"


async def test_bodies_are_in_a_trace_if_they_are_asked_for_and_secrets_still_are_not() -> None:
    hidden = await run_marked(trace_bodies=True)
    assert hidden.marks - hidden.found == {"MARK-password", "MARK-key", "MARK-setting"}
    calls_started = of(hidden.sink, "model_call_started")
    assert calls_started[0].bodies is not None
    assert [message["text"] for message in calls_started[0].bodies["messages"]] == ["MARK-user"]  # type: ignore[index, union-attr, call-overload]


@pytest.mark.parametrize("bodies", [False, True])
async def test_pieces_of_a_streamed_answer_are_traced_at_the_extended_level_alone(bodies: bool) -> None:
    standard, extended = MemorySink(), MemorySink()
    for sink, level in ((standard, "standard"), (extended, "extended")):
        await run_turn(lash_on(sink, ProbeModel(says("hello")), trace_level=level, trace_bodies=bodies))
    assert of(standard, "stream_event") == []
    [piece] = of(extended, "stream_event")
    assert piece.fields == {"kind": "text", "attempt": 1, "chars": 5}
    assert piece.bodies == ({"text": "hello"} if bodies else None)
    assert [event for event in extended.events if event != "stream_event"] == standard.events


async def test_a_sink_that_fails_harms_no_turn_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = Unwritable()
    lash = lash_on(sink, ProbeModel(calls(("look", {})), says("done")), trace_level="extended", trace_bodies=True)
    with caplog.at_level(logging.WARNING, "lash"):
        result = await run_turn(lash)
        await LashRuntime.from_environment(lash.env, SessionSpec(session_id="s"))
    assert (result.outcome, result.text) == ("finished", "done")
    assert len(sink.records) > 15
    assert [each.name for each in caplog.records] == ["lash.tracing"]


async def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="trace_level cannot be 'everything'"):
        RuntimeEnvironment(plugins=plugins(), trace_level="everything")  # type: ignore[arg-type]


async def test_an_app_hands_its_sink_to_open_and_finds_it_closed_with_the_store() -> None:
    sink = MemorySink()
    agent = Agent(model="probe:m")
    async with Lash.open("memory:", agent=agent, plugins=plugins(ProbeModel(says("hello"))), trace=sink) as lash:
        await run_turn(lash)
        before = sink.closed
    assert (before, sink.closed) == (False, True)
    assert sink.events[-1] == "turn_finished"


async def test_a_fork_is_a_session_with_a_trace_of_its_own() -> None:
    sink = MemorySink()
    lash = lash_on(sink, ProbeModel(says("one")))
    await run_turn(lash)
    await (await lash.session("s")).fork("f")
    assert [record.event for record in sink.records if record.context.session_id == "f"] == [
        "session_started",
        "commit",
    ]


async def test_runtimes_without_a_sink_run_as_ever() -> None:
    model = ProbeModel(says("hello"))
    env = RuntimeEnvironment(plugins=plugins(model), store=MemoryBackend(), tool_sets=())
    runtime = await LashRuntime.from_environment(env, SessionSpec(model="probe:m"))
    result = await runtime.turn(TurnInput(text="hi"), TurnLimits(), lambda event: None)
    assert (result.outcome, env.tracer.on) == ("finished", False)

"""One turn at the door: what is committed when, what the model sees, what observers are told (T2, T3, T5, T11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from lash_core.runtime.environment import RetryPolicy
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import ConfigurationError, InvalidInput, ModelError, ToolError
from lash_hookspecs.markers import HookInfo, hook_info, hookimpl
from lash_hookspecs.records.events import Event, TextDelta, TextRetracted, ToolFinished, TurnEnded
from lash_hookspecs.records.models import ModelRequest, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import Message, ToolInvocation
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.turn import TurnLimits
from lash_hookspecs.records.usage import TokenUsage, UsageRow
from lash_hookspecs.specs import events as event_specs
from lash_hookspecs.specs.events import (
    SessionRestored,
    TurnCommitted,
    TurnFinalized,
    lash_on_session_restored,
    lash_on_turn_committed,
    lash_on_turn_finalized,
)
from probes import FailingBackend, ProbeModel, calls, says
from script_files import call, plugins, script

from lash_core import Agent, Lash, RuntimeEnvironment, tool


def lash_with(model: ProbeModel, tools: Any = (), *more: object, **changes: Any) -> Lash:
    agent = Agent(model="probe", tools=tools)
    env = RuntimeEnvironment(plugins=plugins(model, *more), store=MemoryBackend(), tool_sets=(), tools=agent.tools)
    return Lash(env.evolve(**changes), agent)


async def results_of(lash: Lash, session_id: str = "s") -> list[Any]:
    session = await lash.session(session_id)
    return [each.result for each in await session.messages() if isinstance(each, ToolInvocation)]


async def read(turn: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in turn]


async def test_the_users_message_is_committed_before_the_model_is_asked() -> None:
    stored: list[list[str]] = []

    async def answer(request: ModelRequest) -> Any:
        nodes = await backend.session("s").graph()
        stored.append([Message.from_bytes(node.payload).text for node in nodes])
        return says("hello")

    model = ProbeModel(answer)
    backend = FailingBackend()
    lash = lash_with(model, store=backend)
    await (await lash.session("s")).turn("hi")
    assert stored == [["hi"]]
    steps = [CommitDocument.from_bytes(commit.record).step for commit in backend.commits]
    assert steps == ["input", "final"]


async def test_each_boundary_is_committed_and_no_commit_touches_what_was_stored() -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    backend = FailingBackend()
    model = ProbeModel(calls(("look", {})), calls(ToolCall(call_id="x", tool="look")), says("done"))
    await (await lash_with(model, [look], store=backend).session("s")).turn("hi")
    steps = [CommitDocument.from_bytes(commit.record).step for commit in backend.commits]
    assert steps == ["input", "boundary", "boundary", "final"]
    assert [len(commit.nodes) for commit in backend.commits] == [1, 2, 2, 1]


async def test_what_goes_wrong_with_a_tool_is_a_result_that_the_model_sees() -> None:
    @tool(kind="read_only")
    async def count(word: str) -> int:
        return len(word)

    @tool(kind="side_effecting")
    async def burn() -> str:
        raise RuntimeError("it burns")

    @tool(kind="side_effecting")
    async def explain() -> str:
        raise ToolError("Ask the desk first.")

    @tool(kind="side_effecting")
    async def give_up() -> str:
        raise asyncio.CancelledError

    wanted = calls(
        ("count", {"word": 3}),
        ("cuont", {}),
        ("burn", {}),
        ("explain", {}),
        ("give_up", {}),
        ("count", {"word": "four"}),
    )
    model = ProbeModel(wanted, says("sorry"))
    result = await (await lash_with(model, [count, burn, explain, give_up]).session("s")).turn("hi")
    assert result.outcome == "finished"
    told = model.requests[1].messages[-1]
    assert isinstance(told, ToolTurn)
    assert [(each.call_id, each.status, each.error_code, each.output) for each in told.results] == [
        (
            "call_0",
            "error",
            "invalid_arguments",
            "The arguments of 'count' do not fit its schema: word: 3 is not of type 'string'",
        ),
        (
            "call_1",
            "error",
            "unknown_tool",
            "There is no tool 'cuont'. Did you mean 'count'? Tools: burn, count, explain, give_up.",
        ),
        ("call_2", "error", "tool_failed", "RuntimeError: it burns"),
        ("call_3", "error", "tool_failed", "Ask the desk first."),
        ("call_4", "error", "tool_failed", "The tool cancelled itself."),
        ("call_5", "ok", None, 4),
    ]


async def test_arguments_that_are_no_object_are_told_to_the_model() -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "never"

    model = ProbeModel(calls(ToolCall(call_id="x", tool="look", arguments="{not json")), says("sorry"))
    lash = lash_with(model, [look])
    await (await lash.session("s")).turn("hi")
    [result] = await results_of(lash)
    assert result.output == "The arguments of 'look' must be a JSON object; got: {not json"


async def test_parallel_calls_overlap_and_results_keep_the_order_of_the_calls() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    @tool(kind="read_only")
    async def one() -> str:
        first.set()
        await second.wait()
        return "1"

    @tool(kind="read_only")
    async def two() -> str:
        await first.wait()
        second.set()
        return "2"

    lash = lash_with(ProbeModel(calls(("one", {}), ("two", {})), says("done")), [one, two])
    await (await lash.session("s")).turn("hi")
    assert [result.output for result in await results_of(lash)] == ["1", "2"]


async def test_serial_calls_run_alone_behind_the_parallel_ones() -> None:
    running: set[str] = set()
    seen: list[tuple[str, frozenset[str]]] = []

    async def work(name: str) -> str:
        running.add(name)
        for _ in range(5):
            await asyncio.sleep(0)
            seen.append((name, frozenset(running)))
        running.discard(name)
        return name

    @tool(kind="read_only", serial=True)
    async def alone(name: str) -> str:
        return await work(name)

    @tool(kind="read_only")
    async def beside(name: str) -> str:
        return await work(name)

    wanted = calls(
        ("alone", {"name": "a"}), ("beside", {"name": "p"}), ("alone", {"name": "b"}), ("beside", {"name": "q"})
    )
    lash = lash_with(ProbeModel(wanted, says("done")), [alone, beside])
    await (await lash.session("s")).turn("hi")
    assert all(others == {name} for name, others in seen if name in "ab")
    assert any(others == {"p", "q"} for _, others in seen)
    assert [result.output for result in await results_of(lash)] == ["a", "p", "b", "q"]


async def test_cancelling_reaches_a_running_tool_and_is_committed() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    @tool(kind="side_effecting")
    async def work() -> str:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    lash = lash_with(ProbeModel(calls(("work", {}), ("work", {}))), [work])
    session = await lash.session("s")
    turn = session.stream("hi")
    await began.wait()
    await turn.cancel()
    assert ended.is_set()
    result = await turn.result()
    assert (result.outcome, result.reason, result.message) == ("cancelled", "cancelled", "the turn was cancelled")
    assert [each.status for each in await results_of(lash)] == ["cancelled", "cancelled"]
    assert session.head is not None
    assert session.head.open_turn is None


async def test_cancelling_a_turn_that_was_only_just_begun_ends_it() -> None:
    session = await lash_with(ProbeModel()).session("s")
    turn = session.stream("hi")
    await turn.cancel()
    assert (await turn.result()).outcome == "cancelled"


async def test_cancelling_a_turn_that_has_ended_leaves_the_next_one_alone() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: ModelRequest) -> Any:
        asked.set()
        await go_on.wait()
        return says("second")

    session = await lash_with(ProbeModel(says("first"), slow)).session("s")
    first = session.stream("one")
    await first.result()
    second = session.stream("two")
    await asked.wait()
    await first.cancel()
    go_on.set()
    assert (await second.result()).text == "second"


async def test_cancelling_who_waits_for_a_result_cancels_the_turn() -> None:
    asked = asyncio.Event()

    async def never(request: ModelRequest) -> Any:
        asked.set()
        await asyncio.Event().wait()

    lash = lash_with(ProbeModel(never))
    session = await lash.session("s")
    waiter = asyncio.create_task(session.turn("hi"))
    await asked.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert session.head is not None
    assert session.head.open_turn is None
    assert not session.running


@attrs.define
class Waits:
    seconds: list[float] = attrs.field(factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_a_failed_attempt_is_retracted_and_made_again() -> None:
    waits = Waits()
    busy = ModelError("overloaded", retryable=True, kind="overloaded")
    asked = ModelError("slow down", retryable=True, retry_after=7)
    lash = lash_with(ProbeModel(busy, asked, says("hello")), sleep=waits)
    turn = (await lash.session("s")).stream("hi")
    seen = [event for event in await read(turn.__aiter__()) if isinstance(event, TextDelta | TextRetracted)]
    assert seen == [
        TextDelta(text="half an ans", attempt=1),
        TextRetracted(attempt=1, wait=1.0, reason="overloaded"),
        TextDelta(text="half an ans", attempt=2),
        TextRetracted(attempt=2, wait=7.0, reason="slow down"),
        TextDelta(text="hello", attempt=3),
    ]
    assert waits.seconds == [1.0, 7.0]
    assert (await turn.result()).text == "hello"


async def test_a_scripted_failure_is_retried_too(tmp_path: Path) -> None:
    model = script(tmp_path, {"text": "Hello you", "error": {"message": "busy", "retryable": True, "times": 2}})
    waits = Waits()
    env = RuntimeEnvironment(plugins=plugins(), store=MemoryBackend(), tool_sets=(), sleep=waits)
    session = await Lash(env, Agent(model=model)).session("s")
    assert (await session.turn("hi")).text == "Hello you"
    assert waits.seconds == [1.0, 2.0]


async def test_attempts_run_out_and_the_turn_fails() -> None:
    waits = Waits()
    busy = ModelError("overloaded", retryable=True, kind="overloaded")
    lash = lash_with(ProbeModel(busy, busy, busy), sleep=waits, retry=RetryPolicy(attempts=3))
    result = await (await lash.session("s")).turn("hi")
    assert (result.outcome, result.reason, result.message) == ("failed", "model_error", "overloaded")
    assert waits.seconds == [1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ModelError("no key", kind="auth"), "no key"),
        (ZeroDivisionError("oh"), "the provider failed: ZeroDivisionError: oh"),
        (ModelError("torn \ud800 text"), "torn \N{REPLACEMENT CHARACTER} text"),
    ],
    ids=["refused", "a bug", "a lone surrogate"],
)
async def test_a_failure_that_no_retry_mends_fails_the_turn_at_once(answer: Exception, message: str) -> None:
    model = ProbeModel(answer, says("now it works"))
    session = await lash_with(model).session("s")
    result = await session.turn("hi")
    assert (result.outcome, result.message) == ("failed", message)
    assert (await session.turn("again")).text == "now it works"


async def test_limits_end_a_turn_in_an_outcome_that_is_committed() -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    model = ProbeModel(*[calls(ToolCall(call_id=f"c{n}", tool="look"), input_tokens=5) for n in range(4)])
    lash = lash_with(model, [look])
    session = await lash.session("s")
    result = await session.turn("hi", limits=TurnLimits(model_calls=2))
    assert (result.outcome, result.reason) == ("stopped", "model_call_limit")
    assert result.message == "the turn reached its limit of 2 model calls"
    assert [each.status for each in await results_of(lash)] == ["ok", "ok"]
    result = await session.turn("more", limits=TurnLimits(tokens=6))
    assert result.message == "the turn reached its limit of 6 tokens (10 used)"


async def test_a_time_limit_cuts_off_a_model_that_hangs() -> None:
    async def never(request: ModelRequest) -> Any:
        await asyncio.Event().wait()

    session = await lash_with(ProbeModel(never)).session("s")
    result = await session.turn("hi", limits=TurnLimits(seconds=0.01))
    assert (result.outcome, result.reason) == ("stopped", "time_limit")
    assert result.message == "the turn reached its time limit of 0.01 s"
    assert not session.interrupted


async def test_a_cost_limit_is_refused_for_a_model_that_reports_no_cost() -> None:
    model = ProbeModel()
    session = await lash_with(model).session("s")
    with pytest.raises(ConfigurationError) as caught:
        await session.turn("hi", limits=TurnLimits(cost=Decimal(1)))
    assert str(caught.value) == (
        "a cost limit needs a model that reports its cost; 'probe' does not: limit tokens or model calls instead"
    )
    assert (session.head, model.requests) == (None, [])


async def test_a_cost_limit_holds_for_a_model_that_reports_its_cost() -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    spent: dict[str, Any] = {"cost": Decimal("0.6")}
    model = ProbeModel(*[calls(ToolCall(call_id=f"c{n}", tool="look"), **spent) for n in range(3)], reports_cost=True)
    session = await lash_with(model, [look]).session("s")
    result = await session.turn("hi", limits=TurnLimits(cost=Decimal(1)))
    assert result.message == "the turn reached its cost limit of $1 ($1.2 spent)"


async def test_usage_is_one_row_per_model_and_the_sum_of_all_replies() -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    model = ProbeModel(
        calls(("look", {}), input_tokens=10, output_tokens=2, cached_input_tokens=3, cost=Decimal("0.1")),
        says("done", input_tokens=20, output_tokens=5, reasoning_tokens=4),
        says("again", input_tokens=1),
    )
    lash = lash_with(model, [look])
    session = await lash.session("s")
    first = await session.turn("hi")
    expected = TokenUsage(
        input_tokens=30, output_tokens=7, cached_input_tokens=3, reasoning_tokens=4, cost=Decimal("0.1")
    )
    assert first.usage == expected
    await session.turn("again")
    total = expected.evolve(input_tokens=31)
    assert session.usage() == (UsageRow(source="turn", model="probe", usage=total, calls=3),)


class Listener:
    """An observer that keeps what it was told, and how things stood then."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.revisions: list[int] = []
        self.backend: MemoryBackend | None = None

    @hookimpl(specname=lash_on_session_restored.__name__)
    async def restored(self, context: SessionRestored) -> None:
        self.told.append(context)

    @hookimpl(specname=lash_on_turn_finalized.__name__)
    async def finalized(self, context: TurnFinalized) -> None:
        await self.note(context)

    @hookimpl(specname=lash_on_turn_committed.__name__)
    async def committed(self, context: TurnCommitted) -> None:
        await self.note(context)

    async def note(self, context: Any) -> None:
        assert self.backend is not None
        head = self.backend.living["s"].head
        self.told.append(context)
        self.revisions.append(head.revision)


async def test_a_turn_is_finalized_before_and_committed_after_its_last_commit() -> None:
    listener = Listener()
    lash = lash_with(ProbeModel(says("hello")), (), listener)
    listener.backend = lash.env.store  # type: ignore[assignment]
    result = await (await lash.session("s")).turn("hi")
    restored, finalized, committed = listener.told
    assert (restored.session_id, restored.revision, restored.turn_index, restored.interrupted) == ("s", None, 0, False)
    assert (finalized.end.outcome, finalized.end.text, finalized.turn_index) == ("finished", "hello", 1)
    assert (committed.result, committed.receipt.revision) == (result, 2)
    assert listener.revisions == [1, 2]


async def test_every_opening_of_a_session_is_told() -> None:
    listener = Listener()
    lash = lash_with(ProbeModel(says("hello")), (), listener)
    listener.backend = lash.env.store  # type: ignore[assignment]
    await (await lash.session("s")).turn("hi")
    for _ in range(2):
        await Lash(lash.env, lash.agent).session("s")
    restored = [context for context in listener.told if isinstance(context, SessionRestored)]
    assert [(each.revision, each.turn_index) for each in restored] == [(None, 0), (2, 1), (2, 1)]


class Troublemaker:
    """Observers that do what observers should not."""

    @hookimpl(specname=lash_on_session_restored.__name__)
    async def restored(self, context: SessionRestored) -> None:
        raise SystemExit(7)

    @hookimpl(specname=lash_on_turn_finalized.__name__)
    async def finalized(self, context: TurnFinalized) -> None:
        raise ValueError("no")

    @hookimpl(specname=lash_on_turn_committed.__name__)
    async def committed(self, context: TurnCommitted) -> None:
        await asyncio.Event().wait()


async def test_observers_that_fail_or_hang_harm_no_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = hook_info(lash_on_turn_committed)
    at_once = HookInfo(known.kind, known.item, known.since, 0.01)
    monkeypatch.setattr(event_specs.lash_on_turn_committed, "lash_hook", at_once)
    session = await lash_with(ProbeModel(says("hello")), (), Troublemaker()).session("s")
    assert (await session.turn("hi")).text == "hello"
    told = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert [text for text in told if "lash_on_turn_finalized" in text] == [
        "lash_on_turn_finalized failed: ValueError: no"
    ]
    assert [text for text in told if "lash_on_turn_committed" in text] == [
        "lash_on_turn_committed missed its deadline of 0.01 s and was cancelled"
    ]


async def test_oversize_output_is_cut_for_the_model_and_kept_whole_as_a_blob() -> None:
    whole = "0123456789" * 20

    @tool(kind="read_only")
    async def dump() -> str:
        return whole

    lash = lash_with(ProbeModel(calls(("dump", {})), says("long")), [dump], max_tool_output=25)
    await (await lash.session("s")).turn("hi")
    [result] = await results_of(lash)
    assert result.spilled is not None
    assert result.output == (
        f"{whole[:25]}\n[cut: the first 25 of 200 characters; the whole is kept as blob {result.spilled}]"
    )
    blobs = await lash.store.session("s").get_blobs([result.spilled])
    assert blobs[result.spilled].decode() == whole


async def test_a_lone_surrogate_in_what_the_user_says_is_refused() -> None:
    session = await lash_with(ProbeModel()).session("s")
    with pytest.raises(InvalidInput) as caught:
        session.stream("hi \ud800")
    assert str(caught.value) == (
        "the text holds a lone surrogate at position 3, which JSON cannot carry; decode the input as UTF-8"
    )
    assert session.head is None


@pytest.mark.parametrize(
    ("output", "seen"),
    [("a\ud800b", "a\ufffdb"), ({"k\udfff": ["\ud800"]}, {"k\ufffd": ["\ufffd"]})],
    ids=["text", "JSON"],
)
async def test_a_lone_surrogate_in_a_tools_output_is_replaced(output: Any, seen: Any) -> None:
    @tool(kind="read_only")
    async def look() -> Any:
        return output

    lash = lash_with(ProbeModel(calls(("look", {})), says("done")), [look])
    await (await lash.session("s")).turn("hi")
    [result] = await results_of(lash)
    assert (result.status, result.output) == ("ok", seen)


async def test_a_lone_surrogate_from_a_model_is_replaced() -> None:
    session = await lash_with(ProbeModel(says("a\ud800b"))).session("s")
    assert (await session.turn("hi")).text == "a\ufffdb"


async def test_a_second_turn_sees_the_first_one_whole(tmp_path: Path) -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    model = ProbeModel(calls(("look", {}), text="I look."), says("done"), says("and again"))
    session = await lash_with(model, [look]).session("s")
    await session.turn("one")
    await session.turn("two")
    roles = [message.role for message in model.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert model.requests[-1].messages[-1] == UserTurn(text="two")


async def test_the_events_of_a_turn_come_in_order_and_end_with_its_end(tmp_path: Path) -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    model = script(tmp_path, {"tool_calls": [call("look")]}, {"text": "done"})
    agent = Agent(model=model, tools=[look])
    env = RuntimeEnvironment(plugins=plugins(), store=MemoryBackend(), tool_sets=(), tools=agent.tools)
    turn = (await Lash(env, agent).session("s")).stream("hi")
    seen = await read(turn.__aiter__())
    assert [event.type for event in seen] == [
        "turn_started",
        "tool_started",
        "tool_finished",
        "usage_reported",
        "text_delta",
        "usage_reported",
        "turn_ended",
    ]
    assert isinstance(seen[2], ToolFinished)
    assert isinstance(seen[-1], TurnEnded)
    assert await read(turn.__aiter__()) == [], "they are read once"

"""Tools in whole turns: what the model is shown, lookups across deaths, turns that tools end (T2, T3, S11)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from calls_mode import CallsMode
from dying_host import DyingHost, Killed
from lash_basics.standard_mode import StandardMode
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs import FunctionTools
from lash_hookspecs.errors import ConfigurationError, ToolError
from lash_hookspecs.markers import hookimpl
from lash_hookspecs.protocols.modes import ExecutionMode
from lash_hookspecs.protocols.tools import ToolCallContext, ToolOutput, ToolProvider
from lash_hookspecs.records.events import TurnEnded
from lash_hookspecs.records.payloads import ToolInvocation
from lash_hookspecs.records.tools import ToolResult, ToolRetry, ToolSpec
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, lash_offer_modes
from probes import ProbeModel, calls, says
from script_files import plugins
from tool_probes import Lazy, Listed, Server, made

from lash_core import Agent, Lash, RuntimeEnvironment, tool


def lash_on(model: ProbeModel, tools: ToolProvider, *more: object, backend: Any = None, **changes: Any) -> Lash:
    agent = Agent(model="probe", mode=changes.pop("mode", "standard"))
    env = RuntimeEnvironment(plugins=plugins(model, *more), store=backend or MemoryBackend(), tool_sets=(), tools=tools)
    return Lash(env.evolve(**changes), agent)


async def results(lash: Lash) -> list[ToolResult]:
    session = await lash.session("s")
    return [each.result for each in await session.messages() if isinstance(each, ToolInvocation)]


def shown(model: ProbeModel) -> list[list[str]]:
    return [[spec.name for spec in request.tools] for request in model.requests]


async def test_a_model_is_shown_the_showcased_tools_and_what_it_found() -> None:
    model = ProbeModel(
        calls(("quiet", {}), ("hidden", {})),
        calls(("search_tools", {"query": "hidden"})),
        calls(("hidden", {"a": 1})),
        says("done"),
    )
    tools = Lazy(
        "shown", made("quiet").evolve(availability="callable"), made("hidden").evolve(availability="searchable")
    )
    lash = lash_on(model, tools)
    await (await lash.session("s")).turn("hi")
    assert shown(model) == [
        ["shown", "search_tools"],
        ["shown", "search_tools"],
        ["shown", "hidden", "search_tools"],
        ["shown", "hidden", "search_tools"],
    ]
    assert [(each.tool, each.error_code) for each in await results(lash)] == [
        ("quiet", None),
        ("hidden", "tool_unavailable"),
        ("search_tools", None),
        ("hidden", None),
    ]
    assert sorted(tools.asked) == ["hidden", "quiet", "shown"]


async def test_a_tool_that_nobody_lists_is_called_and_shown_from_then_on() -> None:
    model = ProbeModel(calls(("far", {})), says("done"))
    lash = lash_on(model, Server("far"))
    await (await lash.session("s")).turn("hi")
    assert shown(model) == [[], ["far"]]
    assert [each.output for each in await results(lash)] == ["far ran"]


class Slow(Server):
    """Keeps which calls run at the same time; each fails once, in a way that is worth a retry.

    Attributes:
        together: For each attempt, the calls that ran then.
    """

    def __init__(self, *known: str | ToolSpec) -> None:
        super().__init__(*known)
        self.together: list[list[str]] = []
        self._running: list[str] = []

    async def run(self, context: ToolCallContext) -> str:
        self._running.append(context.call.call_id)
        self.together.append(list(self._running))
        await asyncio.sleep(0)
        self._running.remove(context.call.call_id)
        if context.attempt == 1:
            raise ToolError("busy", retryable=True)
        return ""


async def no_wait(seconds: float) -> None:
    await asyncio.sleep(0)


FAR = ToolSpec(name="far", kind="read_only", serial=True, retry=ToolRetry(attempts=2))


async def test_looked_up_serial_calls_and_their_retries_run_alone_also_after_a_death() -> None:
    wanted = calls(("far", {}), ("far", {}))
    alone = [["call_0"], ["call_0"], ["call_1"], ["call_1"]]
    lash = lash_on(ProbeModel(wanted, says("done")), tools := Slow(FAR), sleep=no_wait)
    await (await lash.session("s")).turn("hi")
    assert tools.together == alone

    backend = MemoryBackend()
    lash = lash_on(ProbeModel(wanted), Slow(FAR), backend=backend, host=DyingHost())
    with pytest.raises(Killed):
        await (await lash.session("s")).turn("hi")
    lash = lash_on(ProbeModel(says("done")), tools := Slow(FAR), backend=backend, sleep=no_wait)
    await (await lash.session("s")).continue_turn().result()
    assert tools.together == alone


class KilledInTools(DyingHost):
    """Runs model calls, begins the first tool call, and dies in it."""

    def __init__(self, began: asyncio.Event) -> None:
        super().__init__()
        self._began = began

    async def run_turn(self, runner: Any) -> None:
        while runner.outstanding()[0].kind == "model_call":
            await runner.run(runner.outstanding()[0])
        running = asyncio.create_task(runner.run(runner.outstanding()[0]))
        await self._began.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise Killed


class Hanging(Server):
    """Its tools hang in their first life."""

    def __init__(self, *known: str | ToolSpec) -> None:
        super().__init__(*known)
        self.began = asyncio.Event()

    async def run(self, context: ToolCallContext) -> Any:
        self.ran.append(context)
        self.began.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("mode", ["standard", "calls"])
@pytest.mark.parametrize(
    ("kind", "status", "again"),
    [("side_effecting", "outcome_unknown", 0), ("idempotent", "ok", 1), ("read_only", "ok", 1)],
)
async def test_a_looked_up_call_that_began_is_run_again_only_if_it_may_be(
    kind: Any, status: str, again: int, mode: str
) -> None:
    backend = MemoryBackend()
    first = Hanging(ToolSpec(name="far", kind=kind))
    wanted = calls(("far", {})) if mode == "standard" else says('[{"tool": "far", "id": "call_0"}]')
    lash = lash_on(ProbeModel(wanted), first, backend=backend, host=KilledInTools(first.began), mode=mode)
    with pytest.raises(Killed):
        await (await lash.session("s")).turn("hi")
    second = Server(ToolSpec(name="far", kind=kind))
    lash = lash_on(ProbeModel(says("done")), second, backend=backend, mode=mode)
    result = await (await lash.session("s")).continue_turn().result()
    assert result.outcome == "finished"
    assert ([each.status for each in await results(lash)], len(second.ran)) == ([status], again)
    assert {context.idempotency_key for context in (*first.ran, *second.ran)} == {first.ran[0].idempotency_key}


async def test_an_interrupted_turn_is_abandoned_without_asking_a_server() -> None:
    backend = MemoryBackend()
    first = Hanging(ToolSpec(name="far"))
    lash = lash_on(ProbeModel(calls(("far", {}))), first, backend=backend, host=KilledInTools(first.began))
    with pytest.raises(Killed):
        await (await lash.session("s")).turn("hi")
    second = Server("far")
    lash = lash_on(ProbeModel(), second, backend=backend)
    await (await lash.session("s")).abandon_turn()
    assert second.asked == []
    assert [each.status for each in await results(lash)] == ["outcome_unknown"]


async def test_a_lookup_that_hangs_does_not_outlive_a_cancellation() -> None:
    asked = asyncio.Event()

    class Silent(Server):
        async def resolve(self, name: str) -> ToolSpec | None:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    session = await lash_on(ProbeModel(calls(("far", {}))), Silent()).session("s")
    turn = session.stream("hi")
    running = asyncio.create_task(turn.result())
    await asked.wait()
    await turn.cancel()
    assert (await running).outcome == "cancelled"


# Turns that tools end


def ending(output: ToolOutput) -> FunctionTools:
    @tool(kind="read_only")
    async def end() -> ToolOutput:
        return output

    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    return FunctionTools([end, look])


@pytest.mark.parametrize(
    ("output", "outcome", "reason"),
    [
        (ToolOutput("that is all", finish=True), "finished", None),
        (ToolOutput("that is all", fail=True), "stopped", "tool_stopped"),
    ],
)
async def test_a_tool_ends_the_turn_and_the_next_one_begins_provider_valid(
    output: ToolOutput, outcome: str, reason: str | None
) -> None:
    model = ProbeModel(calls(("end", {}), ("look", {})), says("again"))
    lash = lash_on(model, ending(output))
    session = await lash.session("s")
    turn = session.stream("hi")
    events = [event async for event in turn]
    result = await turn.result()
    assert (result.outcome, result.text, result.reason) == (outcome, "that is all", reason)
    assert [each.outcome for each in events if isinstance(each, TurnEnded)] == [outcome]
    assert [each.output for each in await results(lash)] == ["that is all", "seen"]
    assert len(model.requests) == 1
    assert (await session.turn("and now?")).text == "again"
    assert [type(each).__name__ for each in model.requests[1].messages] == [
        "UserTurn",
        "AssistantTurn",
        "ToolTurn",
        "UserTurn",
    ]


async def test_a_turn_that_a_tool_ended_ends_alike_after_a_death() -> None:
    backend = MemoryBackend()
    tools = ending(ToolOutput("that is all", finish=True))
    host = DyingHost(lambda effects: effects[0])
    lash = lash_on(ProbeModel(calls(("end", {}), ("look", {}))), tools, backend=backend, host=host)
    session = await lash.session("s")
    with pytest.raises(Killed):
        await session.turn("hi")
    for _ in range(5):
        lash = lash_on(ProbeModel(), tools, backend=backend, host=host)
        session = await lash.session("s")
        try:
            result = await session.continue_turn().result()
        except Killed:
            continue
        assert (result.outcome, result.text) == ("finished", "that is all")
        return
    raise AssertionError("the turn never ended")


# Tools of a mode


class Native:
    """Offers the mode ``native``: another mode, with tools of its own."""

    def __init__(self, mode: type[Any], tools: ToolProvider) -> None:
        own = {"name": property(lambda self: "native"), "tools": lambda self: tools}
        self._mode: Callable[[], ExecutionMode] = type("Native", (mode,), own)

    @hookimpl(specname=lash_offer_modes.__name__)
    def modes(self, context: OfferContext) -> list[ModeOffer]:
        return [ModeOffer(name="native", build=self._mode)]


@pytest.mark.parametrize("mode", [StandardMode, CallsMode])
async def test_a_mode_can_have_tools_of_its_own(mode: type[Any]) -> None:
    wanted = calls(("think", {})) if mode is StandardMode else says('[{"tool": "think"}]')
    model = ProbeModel(wanted, says("done"))
    lash = lash_on(model, Listed("other"), Native(mode, Listed("think")), mode="native")
    await (await lash.session("s")).turn("hi")
    assert [each.output for each in await results(lash)] == ["think ran"]
    assert shown(model)[0] == ["think", "other"]


async def test_nobody_else_may_have_a_tool_of_a_modes_name() -> None:
    lash = lash_on(ProbeModel(), Listed("think"), Native(StandardMode, Listed("think")), mode="native")
    with pytest.raises(ConfigurationError) as caught:
        await lash.session("s")
    assert str(caught.value) == "tool 'think' is offered by mode 'native' and by the app; rename one of them"

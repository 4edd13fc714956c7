"""What a parked session takes along, and how another environment resumes it (L5 to L8)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hook_kinds import function, part
from lash_core.runtime.runtime import LashRuntime
from lash_hookspecs.errors import (
    ConfigurationError,
    InvalidSessionId,
    PluginError,
    SessionBusy,
    SessionDeleted,
    SessionMissing,
    StoreRegressed,
    StoreUnavailable,
)
from lash_hookspecs.markers import handles
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.models import ModelRequest
from lash_hookspecs.records.sessions import CompletionRequest
from lash_hookspecs.specs.events import SessionClosed, SessionRestored, lash_on_session_closed, lash_on_session_restored
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history
from lash_hookspecs.specs.turns import TurnAdditions, TurnBegins, lash_before_turn
from lifetimes import DurableBackend, environment, note, opened, said, say, steps, stored_texts, texts
from probes import calls, says
from pydantic import JsonValue

from lash_core import ParkedSession, Residency, tool

BOTH = pytest.mark.parametrize("residency", list(Residency), ids=lambda each: each.value)


class Counter(SessionPlugin):
    """Counts turns, and whatever a test adds."""

    made: list[Counter] = []  # noqa: RUF012

    def __init__(self, setup: Any = None) -> None:
        self.count = 0
        self.restored: list[tuple[int, JsonValue]] = []
        self.closed = 0
        Counter.made.append(self)

    def snapshot(self) -> JsonValue:
        return {"count": self.count}

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        self.restored.append((schema_version, snapshot))
        if isinstance(snapshot, dict):
            self.count = int(str(snapshot["count"]))

    async def close(self) -> None:
        self.closed += 1

    @handles(lash_before_turn)
    async def on_turn(self, context: TurnBegins) -> TurnAdditions:
        self.count += 1
        return context.additions


@pytest.fixture(autouse=True)
def _forget() -> None:
    Counter.made.clear()


COUNTER = part("counter", Counter)


@tool(kind="read_only")
async def look() -> str:
    return "seen"


async def reopened(runtime: LashRuntime, env: Any) -> LashRuntime:
    """Park, and resume from the handle's JSON, as another process would."""
    handle = json.loads(json.dumps((await runtime.park()).to_json()))
    return await LashRuntime.resume(ParkedSession.from_json(handle), env)


@BOTH
async def test_a_parked_session_goes_on_where_it_was(residency: Residency) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, says("one", input_tokens=3), residency=residency))
    await say(runtime, "a")
    resumed = await reopened(runtime, environment(backend, says("two", input_tokens=4), residency=residency))
    result = await say(resumed, "b")
    assert (result.turn_index, texts(resumed)) == (2, ["a", "one", "b", "two"])
    assert await stored_texts(backend) == texts(resumed)
    [row] = resumed.view().usage
    assert (row.calls, row.usage.input_tokens) == (2, 7)
    assert (resumed.session_id, resumed.document.config.model) == ("s", "probe")


async def test_what_plugins_and_tools_changed_since_the_last_commit_is_parked_too() -> None:
    backend = DurableBackend()
    tools = _Tools(look)
    runtime = await opened(environment(backend, more=[COUNTER], tools=tools.provider))
    await say(runtime, "a")
    Counter.made[-1].count = 41
    runtime.set_tool_availability(["look"], "off")
    resumed = await reopened(runtime, environment(backend, more=[COUNTER], tools=tools.provider))
    assert Counter.made[-1].restored == [(1, {"count": 41})], "each plugin is restored once"
    assert resumed.report.tools is not None
    assert resumed.report.tools.overridden == ("look",)
    await say(resumed, "b")
    assert Counter.made[-1].count == 42


async def test_usage_that_waits_for_a_commit_is_parked_too() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, says("one", input_tokens=1), says("spare", input_tokens=10)))
    await say(runtime, "a")
    backend.failing.add(len(backend.commits) + 1)
    await runtime.complete(CompletionRequest(messages=(), source="spare"))
    assert [row.source for row in runtime.view().usage] == ["turn"], "its commit failed"
    resumed = await reopened(runtime, environment(backend))
    assert {row.source: row.usage.input_tokens for row in resumed.view().usage} == {"turn": 1, "spare": 10}


async def test_a_rewritten_session_is_parked_with_its_new_path_and_loses_nothing() -> None:
    async def last_two(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        return context.entries[-2:]

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_rewrite_history, last_two)]))
    await say(runtime, "a")
    await say(runtime, "b")
    before = [node.node_id for node in runtime.path]
    assert await runtime.rewrite_history()
    resumed = await reopened(runtime, environment(backend))
    assert texts(resumed) == await stored_texts(backend) == ["b", "ok"]
    assert await resumed.orphaned_node_ids() == before
    assert resumed.report.healed is None
    await resumed.branch_to(before[-1])
    assert texts(resumed) == ["a", "ok", "b", "ok"]


async def test_a_replaced_state_is_parked_with_a_leaf_that_is_stored() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    early = await runtime.export_state()
    await say(runtime, "b")
    await runtime.set_persisted_state(early)
    resumed = await reopened(runtime, environment(backend))
    assert (texts(resumed), resumed.report.healed) == (["a", "ok"], None)
    assert len(await backend.session("s").graph()) == 4


async def test_a_runtime_whose_parking_failed_is_still_of_use() -> None:
    backend = DurableBackend()
    closed: list[SessionClosed] = []

    async def hear(context: SessionClosed) -> None:
        closed.append(context)

    runtime = await opened(environment(backend, more=[COUNTER, function(lash_on_session_closed, hear)]))
    await say(runtime, "a")
    backend.failing.add(len(backend.commits) + 1)
    with pytest.raises(StoreUnavailable):
        await runtime.park()
    assert (closed, Counter.made[-1].closed) == ([], 0)
    assert (await say(runtime, "b")).outcome == "finished"
    handle = await runtime.park()
    assert handle.revision == runtime.session.resident.revision
    assert [(each.session_id, each.parked) for each in closed] == [("s", True)]
    assert Counter.made[-1].closed == 1


async def test_parking_twice_gives_the_same_handle_and_closing_after_it_changes_nothing() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    handle = await runtime.park()
    commits = len(backend.commits)
    assert await runtime.park() is handle
    await runtime.close()
    await runtime.close()
    assert len(backend.commits) == commits


async def test_a_session_held_in_memory_is_not_parked() -> None:
    runtime = await opened(environment(None))
    await say(runtime, "a")
    with pytest.raises(ConfigurationError) as caught:
        await runtime.park()
    assert str(caught.value) == "park needs a durable store; this session is held in memory"
    assert (await say(runtime, "b")).turn_index == 2


async def test_a_session_is_not_parked_under_a_running_turn() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: ModelRequest) -> Any:
        asked.set()
        await go_on.wait()
        return says("done")

    runtime = await opened(environment(DurableBackend(), slow))
    turn = asyncio.create_task(say(runtime, "a"))
    await asked.wait()
    with pytest.raises(SessionBusy):
        await runtime.park()
    go_on.set()
    assert (await turn).text == "done"


async def test_a_handle_is_small_data_and_says_which_life_of_the_session_it_is_of() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend), session_id="s" * 500, instructions="Be brief. " * 1_000)
    await say(runtime, "a")
    handle = await runtime.park()
    document = handle.to_json()
    assert len(json.dumps(document)) <= 2_048
    assert "instructions" not in document
    head = await backend.session("s" * 500).head()
    assert (document["revision"], document["incarnation"]) == (head.revision, head.incarnation)  # type: ignore[union-attr]
    assert ParkedSession.from_json(document) == handle
    assert (await LashRuntime.resume(handle, environment(backend))).document.config.instructions.startswith("Be brief.")


async def test_a_session_that_was_never_committed_is_resumed_as_a_fresh_one() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    handle = await runtime.park()
    assert (handle.revision, handle.incarnation, backend.commits) == (None, None, [])
    resumed = await LashRuntime.resume(handle, environment(backend))
    assert (await say(resumed, "a")).turn_index == 1


@pytest.mark.parametrize("missing", ["head", "older", "deleted", "deleted and made again"])
async def test_a_handle_without_its_session_is_refused_by_name(missing: str) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    before = await runtime.export_state()
    await say(runtime, "b")
    handle = await runtime.park()
    expected: type[Exception] = SessionDeleted
    if missing.startswith("deleted"):
        await (await opened(environment(backend))).delete()
    if missing in ("head", "older"):
        backend = DurableBackend()
        expected = SessionMissing if missing == "head" else StoreRegressed
    if missing == "older":
        head = runtime.head
        assert head is not None
        old = await LashRuntime.from_environment(environment(backend), runtime.session.spec, before.renamed("s"))
        await old.close()
        backend.living["s"].head = _with_incarnation(backend.living["s"].head, head.incarnation)
    if missing.endswith("again"):
        await say(await opened(environment(backend)), "another life")
    with pytest.raises(expected, match="session 's'"):
        await LashRuntime.resume(handle, environment(backend))


async def test_of_two_that_resume_a_handle_at_once_one_is_refused_and_leaves_nothing() -> None:
    class Yielding(Counter):
        """Lets others run while it is restored."""

        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            await asyncio.sleep(0)

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[COUNTER]))
    await say(runtime, "a")
    handle = await runtime.park()
    env = environment(backend, more=[part("counter", Yielding)])
    one, two = await asyncio.gather(
        LashRuntime.resume(handle, env), LashRuntime.resume(handle, env), return_exceptions=True
    )
    assert isinstance(one, LashRuntime)
    assert isinstance(two, SessionBusy)
    assert str(two).startswith("session 's' of ")
    await one.park()
    assert isinstance(await LashRuntime.resume(handle, env), LashRuntime), "a refused one leaves nothing in the way"


async def test_a_handle_with_a_name_that_no_session_has_is_refused_before_anything_is_read() -> None:
    handle = ParkedSession(session_id="\ud800", store="memory:")
    with pytest.raises(InvalidSessionId, match="lone surrogate"):
        await LashRuntime.resume(handle, environment(DurableBackend()))


async def test_a_plugin_that_cannot_be_restored_stops_the_resume_and_leaves_nothing_behind() -> None:
    class Broken(Counter):
        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            raise ValueError("no such count")

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[COUNTER, part("other", Counter)]))
    await say(runtime, "a")
    handle = await runtime.park()
    Counter.made.clear()
    told: list[SessionRestored] = []

    async def hear(context: SessionRestored) -> None:
        told.append(context)

    more = [part("other", Counter), part("counter", Broken), function(lash_on_session_restored, hear)]
    with pytest.raises(PluginError) as caught:
        await LashRuntime.resume(handle, environment(backend, more=more))
    assert "counter" in str(caught.value)
    assert "no such count" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert [each.closed for each in Counter.made] == [1, 1]
    assert told == []
    resumed = await LashRuntime.resume(handle, environment(backend, more=[COUNTER]))
    assert Counter.made[-1].count == 1, "the snapshot was not touched"
    assert (await say(resumed, "b")).turn_index == 2


async def test_a_snapshot_of_a_newer_plugin_is_refused_with_both_versions_and_kept() -> None:
    class Newer(Counter):
        @property
        def schema_version(self) -> int:
            return 7

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[part("counter", Newer)]))
    await say(runtime, "a")
    handle = await runtime.park()
    with pytest.raises(PluginError, match="version 7"):
        await LashRuntime.resume(handle, environment(backend, more=[COUNTER]))
    await reopened(
        await LashRuntime.resume(handle, environment(backend, more=[part("counter", Newer)])), environment(backend)
    )
    assert Counter.made[-1].restored == [(7, {"count": 1})]


async def test_what_a_plugin_kept_is_carried_while_it_is_not_installed() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[COUNTER]))
    await say(runtime, "a")
    without = await reopened(runtime, environment(backend))
    assert without.report.snapshots is not None
    assert [name.rpartition("/")[2] for name in without.report.snapshots.kept] == ["counter"]
    await say(without, "b")
    again = await reopened(without, environment(backend, more=[COUNTER]))
    assert Counter.made[-1].count == 1
    assert (await say(again, "c")).turn_index == 3


class _Tools:
    def __init__(self, *functions: Any) -> None:
        from lash_hookspecs.toolkit import FunctionTools

        self.provider = FunctionTools(functions)


@tool(kind="read_only")
async def listen() -> str:
    return "heard"


async def test_tools_that_came_and_went_while_a_session_was_parked_are_reported_and_nothing_is_lost() -> None:
    @tool(kind="read_only", name="look", description="Look closer.")
    async def look_closer() -> str:
        return "seen better"

    backend = DurableBackend()
    runtime = await opened(environment(backend, tools=_Tools(look, listen).provider))
    await say(runtime, "a")
    for level in ("callable", "off", "callable"):
        runtime.set_tool_availability(["listen"], level)
    runtime.set_tool_availability(["look"], "callable")
    first = await reopened(runtime, environment(backend, tools=_Tools(look_closer).provider))
    assert first.report.tools is not None
    assert (first.report.tools.overridden, first.report.tools.vanished) == (("look",), ("listen",))
    await say(first, "b")
    wanted = calls(("listen", {}))
    second = await reopened(first, environment(backend, wanted, tools=_Tools(look_closer, listen).provider))
    assert second.report.tools is not None
    assert (second.report.tools.overridden, second.report.tools.vanished) == (("listen", "look"), ())
    spec = second.session.parts.registry["look"].spec
    assert spec.description == "Look closer.", "what a tool says now counts, not what it said then"


async def test_every_commit_of_a_parking_is_told_by_its_step() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await runtime.append_nodes([said("a"), note()])
    await reopened(runtime, environment(backend))
    assert steps(backend) == ["append", "park"]


def _with_incarnation(head: Any, incarnation: str) -> Any:
    import attrs

    return attrs.evolve(head, incarnation=incarnation)


async def test_leaving_a_session_that_nobody_used_stores_nothing() -> None:
    backend = DurableBackend()
    async with await opened(environment(backend, more=[COUNTER])):
        pass
    assert backend.commits == []


async def test_what_was_set_before_the_first_commit_is_parked() -> None:
    backend = DurableBackend()
    tools = _Tools(look)
    runtime = await opened(environment(backend, tools=tools.provider))
    runtime.set_tool_availability(["look"], "off")
    resumed = await reopened(runtime, environment(backend, tools=tools.provider))
    assert resumed.report.tools is not None
    assert resumed.report.tools.overridden == ("look",)


async def test_leaving_parks_and_an_error_on_the_way_out_is_not_masked() -> None:
    backend = DurableBackend()
    async with await opened(environment(backend, more=[COUNTER])) as runtime:
        await say(runtime, "a")
        Counter.made[-1].count = 5
    assert steps(backend)[-1] == "park"
    backend.failing.add(len(backend.commits) + 1)
    left = await opened(environment(backend, more=[COUNTER]))

    async def fail() -> None:
        async with left:
            Counter.made[-1].count = 6
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert steps(backend)[3] == "park", "it was tried"
    assert left.session.slot.closed


async def test_a_closed_session_is_told_once_while_its_parts_still_hear() -> None:
    told: list[SessionClosed] = []

    async def hear(context: SessionClosed) -> None:
        assert Counter.made[-1].closed == 0, "the parts are closed after it"
        told.append(context)

    more = [COUNTER, function(lash_on_session_closed, hear)]
    runtime = await opened(environment(DurableBackend(), more=more))
    await runtime.close()
    await runtime.close()
    assert [(each.session_id, each.parked) for each in told] == [("s", False)]

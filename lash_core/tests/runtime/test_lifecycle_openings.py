"""How a session is opened, what it is run with, and what of a turn is kept (L1 to L3, S6, S9, T7, T8)."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from hook_kinds import function, part
from keeping_mode import keeping
from lash_core.runtime.environment import TerminationPolicy
from lash_core.runtime.runtime import LashRuntime
from lash_core.runtime.session_stores import SessionStoreRequest
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import (
    ConfigurationError,
    MissingBlob,
    PolicyError,
    SessionBindingMismatch,
    StoreUnavailable,
    SuccessorMissing,
    TurnError,
    UnknownName,
    UnreadableData,
)
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.models import ModelInfo, ModelMessage, ModelRequest, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import ToolInvocation
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.tools import ToolState
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnOverrides
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.events import SessionRestored, lash_on_session_restored
from lash_hookspecs.specs.history import (
    HistoryEntry,
    HistoryPrepared,
    HistoryRewrite,
    lash_prepare_history,
    lash_rewrite_history,
)
from lash_hookspecs.specs.offers import SessionSetup
from lash_hookspecs.specs.restore import (
    ModeStateRead,
    ToolStateRead,
    lash_transform_mode_state,
    lash_transform_tool_state,
)
from lash_hookspecs.toolkit import FunctionTools
from lifetimes import DurableBackend, environment, opened, said, say, stored_texts, texts
from probes import ProbeModel, calls, says
from pydantic import JsonValue
from script_files import plugins

from lash_core import Residency, RuntimeEnvironment, SessionSpec, tool


@tool(kind="read_only")
async def look() -> str:
    return "seen"


@tool(kind="read_only")
async def silent() -> None:
    return None


# The doors


async def test_a_session_opens_in_the_documented_order() -> None:
    order: list[str] = []

    class Part(SessionPlugin):
        def __init__(self, setup: SessionSetup) -> None:
            order.append(f"plugin of {setup.session_id}")

        def snapshot(self) -> JsonValue:
            return 1

        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            order.append("plugin snapshot")

    async def tools(context: ToolStateRead) -> ToolState:
        order.append("tool state")
        return context.state

    async def mode(context: ModeStateRead) -> JsonValue:
        order.append("mode state")
        return context.state

    async def restored(context: SessionRestored) -> None:
        order.append("restored")

    more = [
        keeping(),
        part("part", Part),
        function(lash_transform_tool_state, tools),
        function(lash_transform_mode_state, mode),
        function(lash_on_session_restored, restored),
    ]
    backend = DurableBackend()
    await say(await opened(environment(backend, more=more), mode="keeping"), "go")
    assert order == ["plugin of s", "plugin snapshot", "restored"]
    order.clear()
    await opened(environment(backend, more=more))
    assert order == ["plugin of s", "tool state", "plugin snapshot", "mode state", "restored"]


async def test_an_empty_id_is_a_fresh_one_and_the_same_for_plugins_and_runtime() -> None:
    seen: list[str] = []

    class Part(SessionPlugin):
        def __init__(self, setup: SessionSetup) -> None:
            seen.append(setup.session_id)

    backend = DurableBackend()
    one = await opened(environment(backend, more=[part("part", Part)]), "")
    two = await opened(environment(backend, more=[part("part", Part)]), "")
    assert seen == [one.session_id, two.session_id]
    assert len(set(seen)) == 2
    await say(one, "a")
    assert list(backend.living) == [one.session_id]


async def test_each_door_asks_for_what_its_name_says() -> None:
    plain, spec = environment(None), SessionSpec(session_id="s", model="probe")
    with pytest.raises(ConfigurationError) as store:
        await LashRuntime.from_persistent_embedded_state(plain, spec)
    assert str(store.value) == "a persistent session needs a store: give one, or an environment with one"
    with pytest.raises(ConfigurationError) as tasks:
        await LashRuntime.from_background_state(plain, spec)
    assert str(tasks.value) == "a session with background tasks needs an environment with a task host"
    backend = DurableBackend()
    embedded = await LashRuntime.from_embedded_state(environment(backend), spec)
    await say(embedded, "a")
    assert (backend.commits, embedded.tasks) == ([], None), "it lives in memory whatever the environment has"
    stored = await LashRuntime.from_persistent_embedded_state(plain, spec, store=backend.session("s"))
    await say(stored, "a")
    assert await stored_texts(backend) == ["a", "ok"]


async def test_a_parked_runtime_that_somebody_still_holds_does_not_block_its_resume() -> None:
    backend = DurableBackend()
    env = environment(backend)
    held = await opened(env)
    await say(held, "a")
    resumed = await LashRuntime.resume(await held.park(), env)
    assert held.session_id == resumed.session_id
    assert (await say(resumed, "b")).turn_index == 2


async def test_a_mode_that_is_missing_stops_the_opening_and_names_what_there_is() -> None:
    with pytest.raises(UnknownName, match="standard"):
        await opened(environment(DurableBackend()), mode="standart")


# What it is run with


async def test_what_is_stored_of_a_configuration_counts_unless_the_caller_sets_it() -> None:
    backend = DurableBackend()
    first = await opened(
        environment(backend), instructions="Be brief.", context_window=9_000, model_settings={"temperature": 0.5}
    )
    await say(first, "a")
    again = await LashRuntime.from_environment(environment(backend), SessionSpec(session_id="s"))
    config = (await again.policy()).config
    assert (config.model, config.instructions, config.context_window) == ("probe", "Be brief.", 9_000)
    assert config.model_settings == {"temperature": 0.5}
    louder = await LashRuntime.from_environment(
        environment(backend), SessionSpec(session_id="s", instructions="Be loud.")
    )
    config = (await louder.policy()).config
    assert (config.instructions, config.context_window) == ("Be loud.", 9_000)


@pytest.mark.parametrize("window", [0, -1])
async def test_a_context_size_that_cannot_be_is_refused_naming_the_field(window: int) -> None:
    backend = DurableBackend()
    with pytest.raises(PolicyError) as caught:
        await opened(environment(backend), context_window=window)
    assert str(caught.value) == f"context_window must be at least 1 token, not {window}"
    runtime = await opened(environment(backend))
    with pytest.raises(PolicyError):
        await runtime.update_session_config(context_window=window)


async def test_what_the_caller_brought_survives_what_others_commit() -> None:
    backend = DurableBackend()
    model = ProbeModel(otherwise=says("ok"))
    env = RuntimeEnvironment(plugins=plugins(model), store=backend, tool_sets=())
    runtime = await opened(env, prompt=PromptLayer().append("guidance", "Cite your sources."), instructions="Be brief.")
    await say(runtime, "a")
    await say(await LashRuntime.from_environment(environment(backend), SessionSpec(session_id="s")), "b")
    await say(runtime, "c")
    last = model.requests[-1].instructions
    assert "Cite your sources." in last
    assert "Be brief." in last


async def test_a_first_context_size_below_the_models_own_is_a_shrink() -> None:
    asked: list[tuple[str, int]] = []

    async def hear(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        asked.append((context.trigger, context.context_window))
        return context.entries

    runtime = await opened(environment(DurableBackend(), more=[function(lash_rewrite_history, hear)]))
    await say(runtime, "a")
    await runtime.update_session_config(context_window=50_000)
    await runtime.update_session_config(context_window=60_000)
    await runtime.update_session_config(context_window=None)
    assert asked == [("window_shrink", 50_000)], "the model has 100,000"


# What is stored and cannot be used


async def test_a_head_that_became_unreadable_stops_a_turn_and_nothing_is_written() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    head = backend.living["s"].head
    backend.living["s"].head = attrs.evolve(head, state=b"{", revision=head.revision + 1)
    commits = len(backend.commits)
    with pytest.raises(UnreadableData, match="the head"):
        await say(runtime, "b")
    with pytest.raises(UnreadableData, match="the head"):
        await opened(environment(backend))
    assert len(backend.commits) == commits


async def test_a_component_whose_body_is_gone_stops_the_opening() -> None:
    class Part(SessionPlugin):
        def snapshot(self) -> JsonValue:
            return "precious"

    backend = DurableBackend()
    env = environment(backend, more=[part("part", lambda setup: Part())])
    await say(await opened(env), "a")
    head = await backend.session("s").head()
    assert isinstance(head, Head)
    [ref] = [ref for name, ref in head.components.items() if name.startswith("plugin/")]
    del backend.blobs[ref]
    with pytest.raises(MissingBlob, match=ref):
        await opened(env)


# What is kept of a turn


async def test_what_a_plugin_keeps_rides_the_next_commit_after_one_that_failed() -> None:
    class Part(SessionPlugin):
        kept: JsonValue = "old"

        def snapshot(self) -> JsonValue:
            return self.kept

        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            self.kept = snapshot or "old"

    made: list[Part] = []

    def build(setup: SessionSetup) -> Part:
        made.append(Part())
        return made[-1]

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[part("part", build)]))
    await say(runtime, "a")
    made[-1].kept = "new"
    backend.failing.add(len(backend.commits) + 1)
    with pytest.raises(StoreUnavailable):
        await runtime.park()
    await runtime.park()
    await opened(environment(backend, more=[part("part", build)]))
    assert made[-1].kept == "new"


async def test_a_view_in_the_middle_of_a_turn_shows_what_the_turn_has_committed() -> None:
    seen: list[list[str]] = []

    async def answer(request: ModelRequest) -> Any:
        view = runtime.view()
        seen.append([type(payload).__name__ for payload in view.payloads])
        return says("done") if len(seen) > 1 else calls(("look", {}))

    runtime = await opened(environment(DurableBackend(), answer, answer, tools=FunctionTools([look])))
    before = runtime.view()
    await say(runtime, "a")
    assert seen == [["Message"], ["Message", "Message", "ToolInvocation"]]
    assert before.payloads == (), "a view does not change"


async def test_a_view_never_waits_for_a_turn() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: ModelRequest) -> Any:
        asked.set()
        await go_on.wait()
        return says("done")

    runtime = await opened(environment(DurableBackend(), slow))
    turn = asyncio.create_task(say(runtime, "a"))
    await asked.wait()
    assert [message.text for message in runtime.view().messages] == ["a"]
    go_on.set()
    await turn
    assert [message.text for message in runtime.view().messages] == ["a", "done"]


async def test_an_empty_tool_result_is_a_result_that_the_model_sees() -> None:
    model = ProbeModel(calls(("silent", {})), says("done"), says("again"))
    env = RuntimeEnvironment(
        plugins=plugins(model), store=DurableBackend(), tool_sets=(), tools=FunctionTools([silent])
    )
    runtime = await opened(env)
    await say(runtime, "a")
    await say(runtime, "b")
    for request in model.requests[1:]:
        [told] = [message for message in request.messages if isinstance(message, ToolTurn)]
        assert [(each.call_id, each.output) for each in told.results] == [("call_0", "")]


async def test_a_rewrite_after_a_turn_with_tools_keeps_every_node_before_its_first_change() -> None:
    async def without_last(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        return context.entries[:-1]

    env = environment(
        DurableBackend(),
        calls(("look", {})),
        tools=FunctionTools([look]),
        more=[function(lash_rewrite_history, without_last)],
    )
    runtime = await opened(env)
    await say(runtime, "a")
    before = [node.node_id for node in runtime.path]
    assert await runtime.rewrite_history()
    assert [node.node_id for node in runtime.path] == before[:-1]
    assert isinstance(runtime.items[-1].payload, ToolInvocation)


async def test_usage_of_cached_tokens_alone_survives_a_reload() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, says("one", cached_tokens=9), says("two", reasoning_tokens=4)))
    await say(runtime, "a")
    resumed = await LashRuntime.resume(await runtime.park(), environment(backend, says("two", reasoning_tokens=4)))
    await say(resumed, "b")
    [row] = (await opened(environment(backend))).view().usage
    assert row.usage == TokenUsage(cached_tokens=9, reasoning_tokens=4)


async def test_usage_is_filed_under_the_model_that_was_asked() -> None:
    runtime = await opened(environment(DurableBackend(), says("one", input_tokens=1), says("two", input_tokens=2)))
    await say(runtime, "a")
    overrides = TurnOverrides(model="probe:other")
    await runtime.turn(TurnInput(text="b", overrides=overrides), TurnLimits(), lambda event: None)
    assert {row.model: row.usage.input_tokens for row in runtime.view().usage} == {"probe": 1, "probe:other": 2}
    assert runtime.document.config.model == "probe", "an override is the turn's own"


async def test_a_completion_outside_a_turn_is_in_the_ledger_at_once() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, says("one", input_tokens=1), says("aside", input_tokens=5)))
    await say(runtime, "a")
    await runtime.complete(CompletionRequest(messages=(UserTurn(text="sum it up"),), source="compaction"))
    again = await opened(environment(backend))
    assert {row.source: row.usage.input_tokens for row in again.view().usage} == {"turn": 1, "compaction": 5}
    assert texts(again) == ["a", "one"]


# Successors


async def chain(env: RuntimeEnvironment) -> LashRuntime:
    """a was handed off to b, and b to c."""
    first = await opened(env, "a")
    await say(first, "hello")
    second = await first.create_session(SessionCreateRequest(session_id="b", relation="handoff"))
    await second.runtime.create_session(SessionCreateRequest(session_id="c", relation="handoff"))
    return first


async def test_a_chain_of_handoffs_stays_whole_when_its_middle_is_closed() -> None:
    backend = DurableBackend()
    first = await chain(environment(backend))
    await first.children["b"].close()
    assert (await say(first, "who is there?")).session_id == "c"
    assert (await stored_texts(backend, "c"))[-2:] == ["who is there?", "ok"]


async def _delete_past_every_runtime(backend: DurableBackend, session_id: str) -> None:
    head = await backend.session(session_id).head()
    assert isinstance(head, Head)
    await backend.session(session_id).delete(incarnation=head.incarnation, deleted_at=0)


async def test_a_successor_that_is_gone_is_named() -> None:
    backend = DurableBackend()
    first = await chain(environment(backend))
    await _delete_past_every_runtime(backend, "c")
    await first.close()
    with pytest.raises(SuccessorMissing) as caught:
        await say(await opened(environment(backend), "a"), "who is there?")
    assert str(caught.value) == "session 'b' was handed off to 'c', which is not there any more"


async def test_a_child_begins_with_a_revision_a_ledger_and_blobs_of_its_own() -> None:
    backend, children = DurableBackend(), MemoryBackend()

    async def child_store(request: SessionStoreRequest) -> Any:
        return children.session(request.session_id)

    env = environment(
        backend, says("one", input_tokens=3), tools=FunctionTools([look]), session_store_factory=child_store
    )
    runtime = await opened(env)
    runtime.set_tool_availability(["look"], "off")
    await say(runtime, "a")
    child = await runtime.create_session(SessionCreateRequest(session_id="child", start="current"))
    head = await children.session("child").head()
    assert isinstance(head, Head)
    assert head.revision == 1
    assert child.runtime.view().usage == ()
    assert texts(child.runtime) == ["a", "one"]
    assert set(head.components.values()) <= set(children.blobs)
    assert child.runtime.session.parts.registry.export_state().tools["look"].override == "off"
    assert (await child.run(TurnInput(text="b"))).turn_index == 2


async def test_a_factory_that_gives_the_parents_store_is_refused() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")

    async def always_the_same(request: SessionStoreRequest) -> Any:
        return runtime.session.store

    runtime.session.env = runtime.env.evolve(session_store_factory=always_the_same)
    with pytest.raises(SessionBindingMismatch) as caught:
        await runtime.create_session(SessionCreateRequest(session_id="child"))
    assert (caught.value.bound, caught.value.requested) == ("s", "child")


async def test_another_environment_may_resume_with_less_in_memory() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    await runtime.append_nodes([said("b")])
    resumed = await LashRuntime.resume(
        await runtime.park(), environment(backend, residency=Residency.ACTIVE_PATH_ONLY, name="another")
    )
    assert (texts(resumed), resumed.env.name) == (["a", "ok", "b"], "another")


async def test_a_store_of_another_session_is_refused_with_both_names() -> None:
    backend = DurableBackend()
    await say(await opened(environment(backend), "theirs"), "a")
    spec = SessionSpec(session_id="mine", model="probe")
    with pytest.raises(SessionBindingMismatch) as caught:
        await LashRuntime.from_environment(environment(None), spec, store=backend.session("theirs"))
    assert (caught.value.bound, caught.value.requested) == ("theirs", "mine")


@pytest.mark.parametrize("unfinished", ["interrupted", "failed"])
async def test_a_turn_that_its_host_gives_up_ends_as_the_environment_says(unfinished: Any) -> None:
    class Lazy(Host):
        name = "lazy"

        async def run_turn(self, runner: Any) -> None:
            return None

    env = environment(DurableBackend(), host=Lazy(), termination=TerminationPolicy(unfinished=unfinished))
    runtime = await opened(env)
    if unfinished == "interrupted":
        with pytest.raises(TurnError, match="host 'lazy' returned before the turn was done; it is interrupted"):
            await say(runtime, "a")
    else:
        result = await say(runtime, "a")
        assert (result.outcome, result.reason) == ("failed", "host_error")
    assert runtime.interrupted == (unfinished == "interrupted")


async def test_a_context_size_that_nobody_knows_is_assumed(caplog: pytest.LogCaptureFixture) -> None:
    async def shown(context: HistoryPrepared) -> tuple[ModelMessage, ...]:
        assert context.context_window == 32_768
        return context.messages

    model = ProbeModel(otherwise=says("ok"))
    model._info = ModelInfo()
    env = RuntimeEnvironment(plugins=plugins(model, function(lash_prepare_history, shown)), tool_sets=())
    assert (await say(await opened(env), "a")).outcome == "finished"
    assert "32768 are assumed" in caplog.text


async def test_usage_of_a_turn_whose_final_commit_failed_rides_the_next_one() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, says("lost", input_tokens=3), says("kept", input_tokens=4)))
    backend.failing.add(2)
    with pytest.raises(StoreUnavailable):
        await say(runtime, "a")
    assert (await stored_texts(backend), runtime.interrupted) == (["a"], True)
    await say(runtime, "b")
    [row] = (await opened(environment(backend))).view().usage
    assert row.usage.input_tokens == 7

"""What hooks may do in a session, where they are called, and what becomes of their errors (P4, P7, T11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hook_kinds import function, part
from keeping_mode import KeepingMode, keeping
from lash_core.runtime.runtime import LashRuntime
from lash_core.tracing.sinks import MemorySink
from lash_hookspecs.errors import InvalidInput, PluginError, SessionError
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.events import Event, TextDelta
from lash_hookspecs.records.models import ModelMessage, ModelReply, UserTurn
from lash_hookspecs.records.payloads import Message, PluginNode, ReasoningPart, TextPart, ToolCallPart, ToolInvocation
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest
from lash_hookspecs.records.tools import ToolEntry, ToolState
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.events import (
    SessionRestored,
    TurnCommitted,
    TurnFinalized,
    TurnPhase,
    lash_on_session_restored,
    lash_on_turn_committed,
    lash_on_turn_finalized,
    lash_on_turn_phase,
)
from lash_hookspecs.specs.history import HistoryPrepared, lash_prepare_history
from lash_hookspecs.specs.models import ReplyReceived, StreamText, lash_transform_reply, lash_transform_stream_text
from lash_hookspecs.specs.persistence import Committed, lash_on_committed
from lash_hookspecs.specs.prompts import PromptContext, lash_contribute_prompt
from lash_hookspecs.specs.restore import (
    ModeRestored,
    ModeStateRead,
    ToolsRestored,
    ToolStateRead,
    lash_on_mode_restored,
    lash_on_tools_restored,
    lash_transform_mode_state,
    lash_transform_tool_state,
)
from lash_hookspecs.specs.tools import AfterToolCall, lash_after_tool_call, lash_project_tool_result
from lash_hookspecs.specs.turns import (
    BoundaryProposed,
    BoundaryReached,
    TurnAdditions,
    TurnBegins,
    TurnEnds,
    TurnProposed,
    lash_after_turn,
    lash_at_boundary,
    lash_before_turn,
    lash_guard_boundary,
    lash_guard_turn,
)
from lash_hookspecs.toolkit import FunctionTools
from lifetimes import DurableBackend, environment, note, opened, said, say, steps, stored_texts, texts
from probes import ProbeModel, calls, says
from pydantic import JsonValue
from script_files import plugins

from lash_core import RuntimeEnvironment, tool


@tool(kind="read_only")
async def look() -> str:
    return "seen"


TOOLS = FunctionTools([look])


def failing(spec: Callable[..., Any]) -> object:
    async def fail(context: Any) -> Any:
        raise ValueError("it does not work")

    return function(spec, fail)


def sync_failing(spec: Callable[..., Any]) -> object:
    def fail(context: Any) -> Any:
        raise ValueError("it does not work")

    return function(spec, fail)


# Before a turn


async def test_a_guard_denies_a_turn_before_anything_is_written() -> None:
    async def no(context: TurnProposed) -> Decision:
        return Deny("come back tomorrow") if context.input.text == "now" else ALLOW

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_guard_turn, no)]))
    result = await say(runtime, "now")
    assert (result.outcome, result.reason) == ("stopped", "denied")
    assert result.message.endswith("come back tomorrow")
    assert (backend.commits, runtime.view().turn_index) == ([], 0)
    assert (await say(runtime, "later")).turn_index == 1


async def test_a_guard_of_a_turn_that_fails_denies_it() -> None:
    backend = DurableBackend()
    result = await say(await opened(environment(backend, more=[failing(lash_guard_turn)])), "a")
    assert (result.outcome, result.reason, backend.commits) == ("stopped", "denied", [])
    assert "it does not work" in result.message


async def test_plugins_put_messages_and_nodes_behind_the_users_message() -> None:
    async def add(context: TurnBegins) -> TurnAdditions:
        return attrs.evolve(context.additions.adding(said("mind the gap")), nodes=(note("kept"),))

    backend = DurableBackend()
    model = ProbeModel(says("ok"))
    env = RuntimeEnvironment(plugins=plugins(model, function(lash_before_turn, add)), store=backend, tool_sets=())
    runtime = await opened(env)
    await say(runtime, "a")
    assert await stored_texts(backend) == ["a", "mind the gap", "ok"]
    assert [item.node.kind for item in runtime.items] == ["message", "message", "plugin", "message"]
    assert [message.text for message in model.requests[0].messages if isinstance(message, UserTurn)] == [
        "a",
        "mind the gap",
    ]


async def test_an_error_before_a_turn_refuses_it_and_nothing_is_written() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[failing(lash_before_turn)]))
    with pytest.raises(PluginError, match=r"lash_before_turn.*it does not work"):
        await say(runtime, "a")
    assert (backend.commits, runtime.view().turn_index, runtime.interrupted) == ([], 0, False)


@pytest.mark.parametrize("spec", [lash_before_turn, lash_at_boundary, lash_after_turn])
async def test_no_plugin_speaks_for_the_model(spec: Any) -> None:
    async def speak(context: Any) -> TurnAdditions:
        added: TurnAdditions = context.additions
        return added.adding(Message(role="assistant", parts=(TextPart(text="I never said that"),)))

    backend = DurableBackend()
    runtime = await opened(environment(backend, calls(("look", {})), tools=TOOLS, more=[function(spec, speak)]))
    try:
        outcome: str = (await say(runtime, "a")).outcome
    except PluginError:
        outcome = "refused"
    assert outcome == ("refused" if spec is lash_before_turn else "failed")
    assert "I never said that" not in texts(runtime)


UNSTORABLE = (said("\ud800"), note("\ud800"), note(10**5_000))


@pytest.mark.parametrize("spec", [lash_before_turn, lash_at_boundary, lash_after_turn])
@pytest.mark.parametrize("added", UNSTORABLE, ids=["message", "node", "number"])
async def test_what_a_plugin_adds_and_no_store_could_give_back_is_its_error(spec: Any, added: Any) -> None:
    async def add(context: Any) -> TurnAdditions:
        kind = "messages" if isinstance(added, Message) else "nodes"
        changed: TurnAdditions = attrs.evolve(context.additions, **{kind: (added,)})
        return changed

    backend = DurableBackend()
    runtime = await opened(environment(backend, calls(("look", {})), tools=TOOLS, more=[function(spec, add)]))
    try:
        outcome: str = (await say(runtime, "a")).outcome
    except PluginError:
        outcome = "refused"
    assert outcome == ("refused" if spec is lash_before_turn else "failed")
    assert (await say(await opened(environment(backend)), "b")).outcome == "finished"


@pytest.mark.parametrize("spec", [lash_before_turn, lash_at_boundary])
async def test_a_hook_of_a_turn_that_cancels_it_is_not_made_to_wait_for_its_end(spec: Any) -> None:
    went_on: list[str] = []

    async def cancel(context: Any) -> TurnAdditions:
        await runtime.cancel()
        went_on.append(context.session_id)
        return TurnAdditions()

    env = environment(DurableBackend(), calls(("look", {})), tools=TOOLS, more=[function(spec, cancel)])
    runtime = await opened(env)
    assert (await say(runtime, "a")).outcome == "cancelled"
    assert went_on == ["s"]
    await runtime.cancel()
    assert (await say(await opened(environment(runtime.env.store)), "b")).outcome == "finished"


async def test_a_plugin_that_still_speaks_for_a_closed_session_is_told() -> None:
    runtime = await opened(environment(DurableBackend(), tools=TOOLS))
    await say(runtime, "a")
    services = runtime.session.services
    await runtime.close()
    request = SessionCreateRequest(session_id="child", relation="child")
    with pytest.raises(SessionError, match="session 's' was closed; open it again"):
        services.emit("paper", "news", 1)
    with pytest.raises(SessionError, match="session 's' was closed"):
        services.set_tool_availability(("look",), "off")
    with pytest.raises(SessionError, match="session 's' was closed"):
        await services.create_session(request)
    with pytest.raises(SessionError, match="session 's' was closed"):
        await services.complete(CompletionRequest(messages=(UserTurn(text="hi"),), source="late"))


async def test_a_text_of_a_plugin_that_json_cannot_carry_is_replaced_before_it_is_stored() -> None:
    async def change(context: ReplyReceived) -> ModelReply:
        return says("half a \ud800")

    async def deny(context: BoundaryProposed) -> Decision:
        return Deny("half a \ud800") if context.model_calls else ALLOW

    changing = await opened(environment(DurableBackend(), more=[function(lash_transform_reply, change)]))
    assert (await say(changing, "a")).text == "half a \ufffd"
    denying = environment(
        DurableBackend(), calls(("look", {})), tools=TOOLS, more=[function(lash_guard_boundary, deny)]
    )
    result = await say(await opened(denying), "a")
    assert (result.reason, result.message.endswith("half a \ufffd")) == ("denied", True)


@pytest.mark.parametrize("output", ["\ud800", 10**5_000, object()], ids=["text", "number", "no JSON"])
@pytest.mark.parametrize("spec", [lash_after_tool_call, lash_project_tool_result])
async def test_an_output_of_a_plugin_that_is_no_json_harms_no_turn(spec: Any, output: Any) -> None:
    async def change(context: Any) -> Any:
        return output if spec is lash_project_tool_result else context.result.evolve(output=output)

    env = environment(DurableBackend(), calls(("look", {})), tools=TOOLS, more=[function(spec, change)])
    runtime = await opened(env)
    assert (await say(runtime, "a")).outcome == "finished"
    [result] = [each for each in runtime.view().payloads if isinstance(each, ToolInvocation)]
    assert result.result.error_code == (None if isinstance(output, str | int) else "plugin_failed")


async def test_a_number_of_a_model_that_no_reader_takes_becomes_text_and_the_session_opens_again() -> None:
    backend = DurableBackend()
    await say(await opened(environment(backend, calls(("look", {"at": 10**5_000})), tools=TOOLS)), "a")
    runtime = await opened(environment(backend))
    parts = [part for each in runtime.view().payloads if isinstance(each, Message) for part in each.parts]
    [made] = [part.call for part in parts if isinstance(part, ToolCallPart)]
    assert made.arguments == {"at": hex(10**5_000)}


@pytest.mark.parametrize("body", ["\ud800", 10**5_000, object()], ids=["text", "number", "no JSON"])
async def test_an_event_that_cannot_be_stored_is_refused_and_no_commit_suffers(body: Any) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await say(runtime, "a")
    with pytest.raises(InvalidInput, match=r"event 'news' of plugin 'paper' "):
        runtime.session.services.emit("paper", "news", body)
    assert (await say(runtime, "b")).outcome == "finished"
    assert "news" not in [getattr(each.event, "name", "") async for each in runtime.events()]


# At a boundary


async def test_a_guard_stops_a_turn_at_a_boundary_and_what_was_done_is_committed() -> None:
    async def one_call(context: BoundaryProposed) -> Decision:
        return Deny("one call must do") if context.model_calls else ALLOW

    backend = DurableBackend()
    env = environment(backend, calls(("look", {})), tools=TOOLS, more=[function(lash_guard_boundary, one_call)])
    runtime = await opened(env)
    result = await say(runtime, "a")
    assert (result.outcome, result.reason) == ("stopped", "denied")
    assert [item.node.kind for item in runtime.items] == ["message", "message", "tool"]
    assert steps(backend) == ["input", "final"]
    assert not runtime.interrupted


async def test_plugins_add_at_a_boundary_and_the_next_model_call_sees_it() -> None:
    async def remind(context: BoundaryReached) -> TurnAdditions:
        return context.additions.adding(said("be brief"))

    model = ProbeModel(calls(("look", {})), says("ok"))
    env = RuntimeEnvironment(
        plugins=plugins(model, function(lash_at_boundary, remind)), store=DurableBackend(), tool_sets=(), tools=TOOLS
    )
    runtime = await opened(env)
    await say(runtime, "a")
    assert texts(runtime) == ["a", "", "be brief", "ok"]
    last = model.requests[1].messages[-1]
    assert isinstance(last, UserTurn)
    assert last.text == "be brief"


@pytest.mark.parametrize("spec", [lash_guard_boundary, lash_at_boundary])
async def test_an_error_at_a_boundary_ends_the_turn_and_what_was_done_is_committed(spec: Any) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, calls(("look", {})), tools=TOOLS, more=[failing(spec)]))
    result = await say(runtime, "a")
    expected = ("stopped", "denied") if spec is lash_guard_boundary else ("failed", "plugin_error")
    assert (result.outcome, result.reason) == expected
    assert "it does not work" in result.message
    assert [item.node.kind for item in runtime.items] == ["message", "message", "tool"]
    assert not runtime.interrupted


# After a turn


async def test_plugins_add_to_the_end_of_a_turn_in_its_final_commit() -> None:
    async def score(context: TurnEnds) -> TurnAdditions:
        node = PluginNode(plugin="score", type="turn", body={"outcome": context.end.outcome})
        return attrs.evolve(context.additions, messages=(said("well done"),), nodes=(node,))

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_after_turn, score)]))
    result = await say(runtime, "a")
    assert result.outcome == "finished"
    assert (texts(runtime), steps(backend)) == (["a", "ok", "well done"], ["input", "final"])
    assert [item.payload.body for item in runtime.items if isinstance(item.payload, PluginNode)] == [
        {"outcome": "finished"}
    ]


async def test_an_error_after_a_turn_fails_it_and_what_was_done_is_committed() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, says("the answer", input_tokens=3), more=[failing(lash_after_turn)]))
    result = await say(runtime, "a")
    assert (result.outcome, result.reason) == ("failed", "plugin_error")
    assert "it does not work" in result.message
    assert await stored_texts(backend) == ["a", "the answer"]
    assert [row.usage.input_tokens for row in runtime.view().usage] == [3]
    assert not runtime.interrupted


async def test_observers_hear_of_a_turn_before_and_after_it_is_durable_in_order_and_harm_nothing() -> None:
    backend = DurableBackend()
    heard: list[tuple[str, int]] = []

    async def finalized(context: TurnFinalized) -> None:
        heard.append(("finalized", len(backend.commits)))
        raise ValueError("it does not work")

    async def committed(context: TurnCommitted) -> None:
        heard.append(("committed", len(backend.commits)))
        raise ValueError("it does not work")

    async def each(context: Committed) -> None:
        heard.append((context.step, context.revision))
        raise ValueError("it does not work")

    more = [
        function(lash_on_turn_finalized, finalized),
        function(lash_on_turn_committed, committed),
        function(lash_on_committed, each),
    ]
    runtime = await opened(environment(backend, more=more))
    assert (await say(runtime, "a")).outcome == "finished"
    assert heard == [("input", 1), ("finalized", 1), ("final", 2), ("committed", 2)]


async def test_no_observer_is_told_that_a_turn_is_committed_when_it_is_not() -> None:
    backend = DurableBackend()
    heard: list[str] = []

    async def committed(context: TurnCommitted) -> None:
        heard.append(context.turn_id)

    backend.failing.add(2)
    runtime = await opened(environment(backend, more=[function(lash_on_turn_committed, committed)]))
    with pytest.raises(Exception, match="commit 2 was refused"):
        await say(runtime, "a")
    assert heard == []


async def test_probes_are_told_of_every_point_of_a_turn_in_order() -> None:
    phases: list[str] = []

    async def probe(context: TurnPhase) -> None:
        phases.append(context.phase)

    env = environment(DurableBackend(), calls(("look", {})), tools=TOOLS, more=[function(lash_on_turn_phase, probe)])
    await say(await opened(env), "a")
    assert phases == [
        "began",
        "model_call",
        "model_replied",
        "tool_call",
        "tool_replied",
        "boundary",
        "committed",
        "model_call",
        "model_replied",
        "finalized",
        "ended",
    ]


# The model


async def test_a_prepared_history_is_shown_and_not_stored() -> None:
    async def last_only(context: HistoryPrepared) -> tuple[ModelMessage, ...]:
        return context.messages[-1:]

    backend = DurableBackend()
    model = ProbeModel(says("one"), says("two"))
    more = function(lash_prepare_history, last_only)
    env = RuntimeEnvironment(plugins=plugins(model, more), store=backend, tool_sets=())
    runtime = await opened(env)
    await say(runtime, "a")
    await say(runtime, "b")
    assert [len(request.messages) for request in model.requests] == [1, 1]
    assert texts(runtime) == await stored_texts(backend) == ["a", "one", "b", "two"]
    assert await runtime.orphaned_node_ids() == []


async def test_a_prepared_history_that_no_model_would_take_fails_the_turn_before_it_is_sent() -> None:
    async def answers_only(context: HistoryPrepared) -> tuple[ModelMessage, ...]:
        return tuple(message for message in context.messages if message.role == "tool") or context.messages

    model = ProbeModel(calls(("look", {})), says("never"))
    more = function(lash_prepare_history, answers_only)
    env = RuntimeEnvironment(plugins=plugins(model, more), store=DurableBackend(), tool_sets=(), tools=TOOLS)
    result = await say(await opened(env), "a")
    assert (result.outcome, len(model.requests)) == ("failed", 1)
    assert "is refused" in result.message


async def test_a_prepared_history_without_a_message_is_refused() -> None:
    async def nothing(context: HistoryPrepared) -> tuple[ModelMessage, ...]:
        return ()

    runtime = await opened(environment(DurableBackend(), more=[function(lash_prepare_history, nothing)]))
    result = await say(runtime, "a")
    assert (result.outcome, result.message.endswith("is refused: there is no message")) == ("failed", True)


async def test_a_prompt_has_what_plugins_contribute_and_their_error_fails_the_turn() -> None:
    from lash_hookspecs.records.prompts import PromptContribution

    def guide(context: PromptContext) -> list[PromptContribution]:
        return [PromptContribution(slot="guidance", content=f"Turn {context.turn_index}.")]

    model = ProbeModel(says("ok"))
    env = RuntimeEnvironment(
        plugins=plugins(model, function(lash_contribute_prompt, guide)), store=DurableBackend(), tool_sets=()
    )
    await say(await opened(env, instructions="Be brief."), "a")
    assert "Turn 1." in model.requests[0].instructions
    assert "Be brief." in model.requests[0].instructions
    runtime = await opened(environment(DurableBackend(), more=[sync_failing(lash_contribute_prompt)]))
    result = await say(runtime, "a")
    assert result.outcome == "failed"
    assert "it does not work" in result.message
    assert not runtime.interrupted


async def test_plugins_change_what_is_streamed_and_what_is_committed_each_on_its_own() -> None:
    async def mask(context: StreamText) -> str:
        return context.text.replace("secret", "******")

    async def thoughtless(context: ReplyReceived) -> ModelReply:
        parts = tuple(each for each in context.reply.parts if not isinstance(each, ReasoningPart))
        return context.reply.evolve(parts=parts)

    answer = ModelReply(parts=(ReasoningPart(text="hm"), TextPart(text="a secret")))
    more = [function(lash_transform_stream_text, mask), function(lash_transform_reply, thoughtless)]
    runtime = await opened(environment(DurableBackend(), answer, more=more))
    events: list[Event] = []
    await say(runtime, "a", events)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a ******"]
    assert [each.kind for each in runtime.items[-1].payload.parts] == ["text"]  # type: ignore[union-attr]
    assert texts(runtime)[-1] == "a secret", "what is committed is the reply"


@pytest.mark.parametrize("spec", [lash_prepare_history, lash_transform_stream_text, lash_transform_reply])
async def test_an_error_around_a_model_call_fails_the_turn_typed_and_the_next_one_works(spec: Any) -> None:
    backend = DurableBackend()
    result = await say(await opened(environment(backend, more=[failing(spec)])), "a")
    assert (result.outcome, result.reason) == ("failed", "plugin_error")
    assert "it does not work" in result.message
    again = await opened(environment(backend))
    assert not again.interrupted
    assert (await say(again, "b")).outcome == "finished"


async def test_an_answer_that_a_plugin_could_not_take_is_paid_for_all_the_same() -> None:
    env = environment(DurableBackend(), says("dear", input_tokens=7), more=[failing(lash_transform_reply)])
    runtime = await opened(env)
    assert (await say(runtime, "a")).outcome == "failed"
    [row] = runtime.view().usage
    assert (row.calls, row.usage.input_tokens) == (1, 7)


# What was stored, on its way back


async def test_what_a_mode_keeps_comes_back_and_goes_back_with_a_branch() -> None:
    backend = DurableBackend()
    heard: list[ModeRestored] = []

    async def hear(context: ModeRestored) -> None:
        heard.append(context)

    runtime = await opened(environment(backend, more=[keeping()]), mode="keeping")
    for expected in ("turn 1", "turn 2", "turn 3"):
        assert (await say(runtime, "go")).text == expected
    handle = await runtime.park()
    resumed = await LashRuntime.resume(
        handle, environment(backend, more=[keeping(), function(lash_on_mode_restored, hear)])
    )
    assert [(each.mode, each.stored_version, each.version) for each in heard] == [("keeping", 1, 1)]
    assert (await say(resumed, "go")).text == "turn 4"
    await resumed.branch_to(resumed.path[1].node_id)
    assert (await say(resumed, "go")).text == "turn 2"


async def test_plugins_change_what_a_mode_kept_and_their_error_stops_the_opening() -> None:
    async def ten_more(context: ModeStateRead) -> JsonValue:
        assert isinstance(context.state, int)
        return context.state + 10

    backend = DurableBackend()
    await say(await opened(environment(backend, more=[keeping()]), mode="keeping"), "go")
    env = environment(backend, more=[keeping(), function(lash_transform_mode_state, ten_more)])
    assert (await say(await opened(env), "go")).text == "turn 12"
    with pytest.raises(PluginError, match=r"lash_transform_mode_state.*it does not work"):
        await opened(environment(backend, more=[keeping(), failing(lash_transform_mode_state)]))


async def test_a_mode_upgrades_what_an_older_one_kept_and_refuses_what_a_newer_one_did() -> None:
    class Newer(KeepingMode):
        version = 2

        def restore(self, version: int, session_state: JsonValue) -> JsonValue:
            assert isinstance(session_state, int)
            return session_state + 100

    class Broken(Newer):
        def restore(self, version: int, session_state: JsonValue) -> JsonValue:
            raise ValueError("no such state")

    backend = DurableBackend()
    await say(await opened(environment(backend, more=[keeping()]), mode="keeping"), "go")
    with pytest.raises(PluginError) as broken:
        await opened(environment(backend, more=[keeping(Broken)]))
    assert str(broken.value) == (
        "mode 'keeping' version 2 cannot take up its state of version 1: ValueError: no such state"
    )
    assert (await say(await opened(environment(backend, more=[keeping(Newer)])), "go")).text == "turn 102"
    with pytest.raises(PluginError, match=r"mode 'keeping' has version 1, .* state of version 2: install a newer one"):
        await opened(environment(backend, more=[keeping()]))


async def test_plugins_change_stored_tool_state_hear_what_became_of_it_and_their_error_stops_the_opening() -> None:
    async def all_off(context: ToolStateRead) -> ToolState:
        tools = {name: entry.evolve(override="off") for name, entry in context.state.tools.items()}
        assert all(isinstance(entry, ToolEntry) for entry in tools.values())
        return context.state.evolve(tools=tools)

    heard: list[ToolsRestored] = []

    async def hear(context: ToolsRestored) -> None:
        heard.append(context)

    backend = DurableBackend()
    await say(await opened(environment(backend, tools=TOOLS)), "a")
    more = [function(lash_transform_tool_state, all_off), function(lash_on_tools_restored, hear)]
    await opened(environment(backend, tools=TOOLS, more=more))
    assert [(each.overridden, each.added, each.missing) for each in heard] == [(("look",), (), ())]
    with pytest.raises(PluginError, match=r"lash_transform_tool_state.*it does not work"):
        await opened(environment(backend, tools=TOOLS, more=[failing(lash_transform_tool_state)]))
    assert (await say(await opened(environment(backend, tools=TOOLS)), "b")).turn_index == 2


async def test_a_plugin_that_cannot_say_what_it_keeps_is_named_and_the_turn_is_not_half_stored() -> None:
    class Broken(SessionPlugin):
        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            self.broken = snapshot == "stored"

        def snapshot(self) -> JsonValue:
            if self.broken:
                raise ValueError("it does not work")
            return "stored"

    backend = DurableBackend()
    await say(await opened(environment(backend, more=[part("counter", lambda setup: Broken())])), "a")
    runtime = await opened(environment(backend, more=[part("counter", lambda setup: Broken())]))
    with pytest.raises(PluginError, match=r"counter.*it does not work"):
        await say(runtime, "b")
    assert await stored_texts(backend) == texts(runtime) == ["a", "ok"]
    again = await opened(environment(backend))
    assert (await say(again, "c")).turn_index == 2


# What may be asked of the session


async def test_hooks_emit_trace_start_sessions_and_ask_models() -> None:
    sink = MemorySink()

    async def busy(context: AfterToolCall) -> Any:
        session = context.session
        session.emit("busy", "seen", {"tool": context.call.tool})
        session.trace("busy", "seen", tool=context.call.tool)
        await session.create_session(SessionCreateRequest(session_id="child"))
        await session.complete(CompletionRequest(messages=(), source="busy"))
        assert session.view().turn_index == 1
        return context.result

    backend = DurableBackend()
    more = [function(lash_after_tool_call, busy)]
    env = environment(backend, calls(("look", {})), says("aside", input_tokens=2), tools=TOOLS, more=more, trace=sink)
    runtime = await opened(env)
    events: list[Event] = []
    result = await say(runtime, "a", events)
    assert result.outcome == "finished"
    assert "plugin_event" in [event.type for event in events]
    told = [each.event async for each in runtime.events() if each.event.type == "plugin_event"]
    assert len(told) == 1, "it is stored, once"
    assert "plugin.busy.seen" in [record.event for record in sink.records]
    assert list(backend.living) == ["s", "child"]
    assert {row.source: row.usage.input_tokens for row in runtime.view().usage} == {"turn": 0, "busy": 2}


async def test_a_hook_hands_the_session_off_and_the_turn_is_committed_with_the_link() -> None:
    async def hand_off(context: TurnBegins) -> TurnAdditions:
        await context.session.create_session(SessionCreateRequest(session_id="next", relation="handoff"))
        return context.additions

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_before_turn, hand_off)]))
    await say(runtime, "a")
    assert runtime.document.successor == "next"
    told = [each.event.type async for each in runtime.events()]
    assert "handed_off" in told


async def test_every_opening_is_told_with_what_is_stored() -> None:
    heard: list[SessionRestored] = []

    async def hear(context: SessionRestored) -> None:
        heard.append(context)
        raise ValueError("it does not work")

    backend = DurableBackend()
    env = environment(backend, more=[function(lash_on_session_restored, hear)])
    await say(await opened(env), "a")
    await opened(env)
    assert [(each.revision, each.turn_index, each.interrupted) for each in heard] == [(None, 0, False), (2, 1, False)]

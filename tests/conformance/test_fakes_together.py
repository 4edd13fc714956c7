"""A session of the core in which everything that can be a fake is one, heard by a recorder."""

from __future__ import annotations

import pytest
from lash_basics import mode_plugin, offline_plugin
from lash_conformance import HostConformance
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager
from lash_core.runtime.runtime import LashRuntime
from lash_hookspecs.errors import CommitDenied
from lash_hookspecs.protocols.tasks import TaskContext
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tasks import TaskFilter, TaskRegistration
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.decisions import Deny
from lash_hookspecs.specs.events import lash_on_turn_committed
from lash_hookspecs.specs.offers import (
    ModeOffer,
    ProviderOffer,
    SessionPluginOffer,
    ToolOffer,
    lash_offer_modes,
    lash_offer_providers,
    lash_offer_session_plugins,
    lash_offer_tools,
)
from lash_hookspecs.specs.persistence import lash_guard_commit, lash_on_committed
from lash_hookspecs.specs.tools import lash_before_tool_call
from lash_hookspecs.testing import (
    FakeAttachments,
    FakeHost,
    FakeMode,
    FakeModel,
    FakeSessionPlugin,
    FakeSink,
    FakeStore,
    FakeTaskHost,
    FakeTools,
    HookRecorder,
)

from lash_core import RuntimeEnvironment, SessionSpec


@pytest.mark.full
class TestFakeHost(HostConformance):
    build_host = FakeHost


CALL = ToolCall(call_id="call-1", tool="search", arguments={"query": "rain"})


async def rests(context: TaskContext) -> None:
    await context.cancelled.wait()


async def test_a_turn_runs_on_fakes_alone_and_the_recorder_hears_each_hook_in_order() -> None:
    usage = TokenUsage(input_tokens=3, output_tokens=2)
    asks = ModelReply(parts=(ToolCallPart(call=CALL),), usage=usage, finish_reason="tool_calls")
    model = FakeModel([asks, ModelReply(parts=(TextPart(text="It rains."),), usage=usage)])
    tools, part, store, host = FakeTools({"search": "rain"}), FakeSessionPlugin(kept=[1]), FakeStore(), FakeHost()
    recorder = HookRecorder(
        {
            lash_offer_modes: [ModeOffer(name="fake", build=FakeMode)],
            lash_offer_providers: [ProviderOffer(names=("fake",), open=lambda name: model)],
            lash_offer_tools: [ToolOffer(name="fakes", build=lambda setup: tools)],
            lash_offer_session_plugins: [SessionPluginOffer(name="part", build=lambda setup: part)],
        }
    )
    manager = PluginManager.for_tests((*BUILTINS, recorder))
    background, sink, files = FakeTaskHost(), FakeSink(), FakeAttachments()
    env = RuntimeEnvironment(
        plugins=manager,
        store=store,
        host=host,
        tasks=background,
        trace=sink,
        attachments=files,
        tool_sets=("fakes",),
    )
    runtime = await LashRuntime.from_environment(env, SessionSpec(session_id="s", model="fake:fake", mode="fake"))
    recorder.clear()
    result = await runtime.turn(TurnInput(text="Does it rain?"), TurnLimits(), lambda event: None)
    await background.attached("s").start(TaskRegistration(task_id="t", close_policy="cancel"), rests)
    await runtime.close()

    assert (result.outcome, result.text) == ("finished", "It rains.")
    assert [context.call for context in tools.calls] == [CALL]
    assert [len(request.messages) for request in model.requests] == [1, 3]
    assert host.turns == [("s", recorder.last(lash_on_turn_committed).turn_id)]
    assert (part.restored, part.closed) == ([(0, None)], 1)
    assert [each.step for each in recorder.of(lash_on_committed)][:3] == ["input", "boundary", "final"]
    assert len(store.commits) == len(recorder.of(lash_on_committed))
    assert [record.state for record in await background.list(TaskFilter(include_terminal=True))] == ["cancelled"]
    assert {"turn_started", "model_call_finished", "turn_finished"} <= {record.event for record in sink.records}
    assert recorder.last(lash_before_tool_call).plan.call == CALL
    order = [hook for hook in recorder.hooks if hook.startswith("lash_guard")]
    assert order[:3] == ["lash_guard_turn", "lash_guard_commit", "lash_guard_tool_call"]


async def test_the_recorder_answers_what_a_test_says() -> None:
    recorder = HookRecorder({lash_guard_commit: Deny("not today")})
    plugins = PluginManager.for_tests((*BUILTINS, mode_plugin, offline_plugin, recorder))
    env = RuntimeEnvironment(plugins=plugins, store=FakeStore(), tool_sets=())
    runtime = await LashRuntime.from_environment(env, SessionSpec(session_id="s"))
    with pytest.raises(CommitDenied, match="not today"):
        await runtime.turn(TurnInput(text="Hello."), TurnLimits(), lambda event: None)
    await runtime.close()
    with pytest.raises(LookupError, match="lash_on_turn_committed was not called; called were"):
        recorder.last(lash_on_turn_committed)

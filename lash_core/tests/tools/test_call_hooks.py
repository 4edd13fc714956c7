"""What plugins may do about a call: change it, answer it, deny it, change its result and what is shown (T4, P4, P7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from lash_core.plugins.manager import PluginManager
from lash_core.tools.dispatch import ToolDispatch
from lash_core.tools.hooks import ToolHooks
from lash_core.tools.registry import ToolRegistry
from lash_core.tools.surface import ToolSurface
from lash_core.version import core_version
from lash_hookspecs.errors import PluginError, ToolError
from lash_hookspecs.markers import hookimpl
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.protocols.tools import ToolCallContext, ToolOutput, ToolProvider
from lash_hookspecs.records.tools import ToolAccess, ToolResult, ToolSpec
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.offers import SessionSetup
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
from tool_probes import Lazy, Listed, QuietServices, Spilled, call_context, made

HOOKS: dict[str, Any] = {
    "before": lash_before_tool_call,
    "guard": lash_guard_tool_call,
    "after": lash_after_tool_call,
    "project": lash_project_tool_result,
    "contribute": lash_contribute_tools,
}


def plugin(name: str, **hooks: Callable[[Any], Any]) -> object:
    """A plugin whose hooks are these functions; what one returns is what it answers."""
    made_of: dict[str, Any] = {}
    for hook, answer in hooks.items():
        made_of[hook] = hookimpl(specname=HOOKS[hook].__name__)(
            _sync(answer) if hook == "contribute" else _async(answer)
        )
    return type(name, (), made_of)()


def _async(answer: Callable[[Any], Any]) -> Any:
    async def implementation(self: object, context: Any) -> Any:
        return answer(context)

    return implementation


def _sync(answer: Callable[[Any], Any]) -> Any:
    def implementation(self: object, context: Any) -> Any:
        return answer(context)

    return implementation


async def surface_with(tools: ToolProvider, *plugins: object, **options: Any) -> ToolSurface:
    services: SessionServices = QuietServices("s")
    setup = SessionSetup(
        session_id="s",
        parent_session_id=None,
        mode="standard",
        root=Path(),
        capabilities=frozenset(),
        services=services,
    )
    hooks = await PluginManager.for_tests(plugins).open_session(setup)
    return ToolSurface(ToolRegistry([("it", tools)]), hooks=ToolHooks(hooks, services), **options)


@attrs.frozen
class Made:
    """A call that was made, and what was spilled."""

    result: ToolResult
    blobs: list[str]


async def make(tools: ToolProvider, *plugins: object, tool: str = "it", limit: int = 1000, **arguments: Any) -> Made:
    spilled = Spilled()
    surface = await surface_with(tools, *plugins)
    dispatch = ToolDispatch(surface=surface, spill=spilled, limit=limit, clock=lambda: 0.0)
    result = await dispatch.run(call_context(tool, **arguments))
    assert (result.call_id, result.tool) == ("call-1", tool)
    return Made(result, spilled.blobs)


def with_arguments(**more: Any) -> Callable[[BeforeToolCall], ToolCallPlan]:
    def change(context: BeforeToolCall) -> ToolCallPlan:
        call = context.plan.call
        assert isinstance(call.arguments, dict)
        return attrs.evolve(context.plan, call=call.evolve(arguments={**call.arguments, **more}))

    return change


def answering(output: str) -> Callable[[BeforeToolCall], ToolCallPlan]:
    return lambda context: attrs.evolve(context.plan, result=ToolResult(call_id="", tool="", output=output))


def denying(reason: str) -> Callable[[GuardToolCall], Decision]:
    return lambda context: Deny(reason)


def fails(context: object) -> Any:
    raise RuntimeError("out of order")


echo = Listed("it", does=lambda context: context.call.arguments)


# Before


async def test_each_plugin_changes_what_the_one_before_it_made_of_the_arguments() -> None:
    done = await make(
        echo,
        plugin("A", before=with_arguments(a=1, b=1)),
        plugin("B", before=with_arguments(b=2)),
        c=3,
    )
    assert done.result.output == {"a": 1, "b": 2, "c": 3}


async def test_changed_arguments_are_checked_against_the_schema() -> None:
    done = await make(lazy := Lazy("it"), plugin("A", before=with_arguments(a="no number")))
    assert (done.result.error_code, lazy.ran) == ("invalid_arguments", [])


async def test_a_plugin_can_answer_instead_of_the_tool() -> None:
    lazy = Lazy("it")
    done = await make(lazy, plugin("Cache", before=answering("from the cache")))
    assert (done.result.status, done.result.output, done.result.duration_ms) == ("ok", "from the cache", None)
    assert (lazy.ran, lazy.asked) == ([], []), "an answered call needs no contract"


async def test_a_plugin_sees_that_another_has_answered() -> None:
    def keep(context: BeforeToolCall) -> ToolCallPlan:
        assert context.plan.result is not None
        return attrs.evolve(context.plan, result=context.plan.result.evolve(output="changed"))

    done = await make(echo, plugin("A", before=answering("first")), plugin("B", before=keep))
    assert done.result.output == "changed"


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (fails, "plugin 'A-0' (lash-core {version}): lash_before_tool_call failed: RuntimeError: out of order"),
        (
            lambda context: None,
            "plugin 'A-0' (lash-core {version}): lash_before_tool_call must return ToolCallPlan, and returned None",
        ),
        (
            lambda context: ToolCallPlan(call=context.plan.call.evolve(tool="other")),
            "plugin 'A-0' (lash-core {version}): lash_before_tool_call made another call of it ('other')",
        ),
        (
            lambda context: ToolCallPlan(call=context.plan.call, result="text"),  # type: ignore[arg-type]
            "plugin 'A-0' (lash-core {version}): lash_before_tool_call made what is no ToolResult: 'text'",
        ),
    ],
    ids=["fails", "returns nothing", "makes another call", "answers nonsense"],
)
async def test_a_plugin_that_breaks_a_plan_is_told_in_the_result(plan: Any, text: str) -> None:
    tools = Listed("it")
    done = await make(tools, plugin("A", before=plan))
    assert (done.result.status, done.result.error_code) == ("error", "plugin_failed")
    assert done.result.output == text.format(version=core_version())
    assert tools.ran == []


# Guards


@pytest.mark.parametrize("order", [0, 1, 2])
async def test_one_denial_is_enough_wherever_it_comes_from(order: int) -> None:
    guards: list[Callable[[Any], Any]] = [lambda context: ALLOW, lambda context: ALLOW]
    guards.insert(order, denying("not today"))
    tools = Listed("it")
    done = await make(tools, *[plugin(f"P{at}", guard=each) for at, each in enumerate(guards)])
    assert (done.result.status, done.result.error_code) == ("error", "denied")
    assert done.result.output == f"Denied by plugin 'P{order}-{order}' (lash-core {core_version()}): not today"
    assert tools.ran == []


async def test_a_denial_wins_over_a_plugins_own_answer() -> None:
    for plugins in (
        [plugin("A", guard=denying("no")), plugin("B", before=answering("yes"))],
        [plugin("A", before=answering("yes")), plugin("B", guard=denying("no"))],
    ):
        assert (await make(echo, *plugins)).result.error_code == "denied"


async def test_a_guard_sees_what_will_be_done_at_last() -> None:
    seen: list[ToolCallPlan] = []

    def look(context: GuardToolCall) -> Decision:
        seen.append(context.plan)
        return ALLOW

    await make(echo, plugin("A", guard=look), plugin("B", before=with_arguments(late=True)))
    assert [plan.call.arguments for plan in seen] == [{"late": True}]


async def test_a_guard_that_fails_denies(caplog: pytest.LogCaptureFixture) -> None:
    done = await make(tools := Listed("it"), plugin("A", guard=fails))
    assert (done.result.error_code, tools.ran) == ("denied", [])
    assert "RuntimeError: out of order" in done.result.text


async def test_a_call_that_is_not_available_is_refused_before_any_plugin_is_asked() -> None:
    asked: list[Any] = []
    watching = plugin("A", before=lambda context: asked.append(context), guard=lambda context: asked.append(context))
    done = await make(Listed(ToolSpec(name="it", availability="off")), watching)
    assert (done.result.error_code, asked) == ("tool_unavailable", [])


# After


def raising(context: ToolCallContext) -> Any:
    raise ToolError("broken")


@pytest.mark.parametrize(
    ("tools", "more", "tool", "executed", "seen"),
    [
        (Listed("it"), {}, "it", True, "ok None"),
        (Listed("it", does=raising), {}, "it", True, "error tool_failed"),
        (Lazy("it"), {"before": with_arguments(b=1)}, "it", False, "error invalid_arguments"),
        (Listed("it"), {"guard": denying("no")}, "it", False, "error denied"),
        (Listed("it"), {"before": answering("mine")}, "it", False, "ok None"),
        (Listed("it"), {"before": fails}, "it", False, "error plugin_failed"),
        (Listed(made("it").evolve(availability="off")), {}, "it", False, "error tool_unavailable"),
        (Listed("it"), {}, "ghost", False, "error unknown_tool"),
    ],
    ids=["ran", "failed", "invalid", "denied", "answered", "plugin failed", "off", "unknown"],
)
async def test_every_result_goes_through_the_after_call_plugins(
    tools: Listed, more: dict[str, Any], tool: str, executed: bool, seen: str
) -> None:
    told: list[AfterToolCall] = []

    def look(context: AfterToolCall) -> ToolResult:
        told.append(context)
        return context.result.evolve(output=f"{context.result.status} {context.result.error_code}")

    done = await make(tools, plugin("First", **more), plugin("Last", after=look), tool=tool)
    assert done.result.output == seen
    [context] = told
    assert (context.executed, context.spec.name if context.spec else None) == (executed, "it" if tool == "it" else None)


async def test_a_result_keeps_its_calls_id_whatever_a_plugin_makes_of_it() -> None:
    done = await make(Listed("it"), plugin("A", after=lambda context: ToolResult(call_id="x", tool="y", output="z")))
    assert done.result.output == "z"


async def test_a_plugin_that_fails_after_a_call_withholds_the_output_and_says_that_the_tool_ran() -> None:
    tools = Listed("it", does=lambda context: ToolOutput("a secret", finish=True))
    for hook in ("after", "project"):
        result = (await make(tools, plugin("A", **{hook: fails}))).result
        assert (result.status, result.error_code, result.control) == ("error", "plugin_failed", None)
        assert "secret" not in result.text
        assert result.text.endswith("The tool ran before that, and ended as 'ok'.")


async def test_an_output_that_is_no_json_is_no_result() -> None:
    broken = plugin("A", after=lambda context: context.result.evolve(output=object()))
    done = await make(Listed("it"), broken)
    assert done.result.error_code == "plugin_failed"
    assert done.result.text.startswith(
        f"plugin 'A-0' (lash-core {core_version()}): lash_after_tool_call made what is no ToolResult: "
    )


# Projection


async def test_a_projection_changes_what_is_shown_and_the_whole_is_kept() -> None:
    whole = {"rows": list(range(5)), "note": "ä"}
    seen: list[Any] = []

    def first(context: ProjectToolResult) -> Any:
        seen.append((context.result.output, context.output))
        return {"rows": 5}

    def second(context: ProjectToolResult) -> Any:
        seen.append((context.result.output, context.output))
        return "five rows"

    done = await make(Listed("it", does=lambda context: whole), plugin("A", project=first), plugin("B", project=second))
    assert seen == [(whole, whole), (whole, {"rows": 5})]
    assert (done.result.output, done.result.spilled) == ("five rows", "blob-1")
    assert done.blobs == ['{"rows": [0, 1, 2, 3, 4], "note": "ä"}']


async def test_a_projection_that_is_oversize_is_cut_and_names_the_blob_of_the_whole() -> None:
    done = await make(
        Listed("it", does=lambda context: "whole" * 9), plugin("A", project=lambda context: "x" * 20), limit=10
    )
    assert done.result.output == (f"{'x' * 10}\n[cut: the first 10 of 20 characters; the whole is kept as blob blob-1]")
    assert (done.result.spilled, done.blobs) == ("blob-1", ["whole" * 9])


async def test_a_projection_that_changes_nothing_spills_nothing() -> None:
    done = await make(Listed("it"), plugin("A", project=lambda context: context.output))
    assert (done.result.output, done.result.spilled, done.blobs) == ("it ran", None, [])


async def test_the_blob_that_a_plugin_answered_with_is_not_made_again() -> None:
    def cached(context: BeforeToolCall) -> ToolCallPlan:
        answer = ToolResult(call_id="", tool="", output="y" * 20, spilled="blob-of-theirs")
        return attrs.evolve(context.plan, result=answer)

    done = await make(Listed("it"), plugin("A", before=cached), limit=10)
    assert (done.result.spilled, done.blobs) == ("blob-of-theirs", [])


# What a model is shown


async def test_plugins_say_how_far_tools_are_available_in_order_and_off_stays() -> None:
    def patches(**levels: Any) -> Callable[[ContributeTools], list[ToolPatch]]:
        return lambda context: [ToolPatch(tool=name, availability=level) for name, level in levels.items()]

    surface = await surface_with(
        Listed("x", "y", "z", made("w").evolve(availability="off")),
        plugin("A", contribute=patches(x="off", y="off", z="searchable", w="showcased", ghost="off")),
        plugin("B", contribute=patches(x="showcased", z="showcased")),
    )
    surface.registry.set_availability(["y"], "showcased")
    assert [spec.name for spec in await surface.showcase()] == ["z", "w"]
    assert [spec.name for spec in surface.offered()] == ["z", "w"]
    surface.registry.set_availability(["z"], "off")
    assert [spec.name for spec in await surface.showcase()] == ["w"]


async def test_a_plugin_cannot_give_back_what_the_access_list_takes() -> None:
    showing = plugin("A", contribute=lambda context: [ToolPatch(tool="x", availability="showcased")])
    surface = await surface_with(Listed("x"), showing, access=ToolAccess(hidden=("x",)))
    assert await surface.showcase() == ()


async def test_notes_are_added_to_descriptions_and_only_to_those_that_are_shown() -> None:
    def notes(context: ContributeTools) -> list[ToolPatch]:
        assert [spec.name for spec in context.tools] == ["x", "y"]
        return [ToolPatch(tool="x", note=f"Mode {context.mode}.")]

    tools = Listed(made("x").evolve(description="Does x."), made("y").evolve(description="Does y."))
    surface = await surface_with(tools, plugin("A", contribute=notes), plugin("B", contribute=notes))
    assert [spec.description for spec in await surface.showcase()] == [
        "Does x.\n\nMode standard.\n\nMode standard.",
        "Does y.",
    ]
    assert surface.specs["x"].description == "Does x."


async def test_plugins_are_asked_before_each_model_call_and_at_the_first_call_of_a_tool() -> None:
    asked: list[str] = []

    def contribute(context: ContributeTools) -> list[ToolPatch]:
        asked.append("asked")
        return [ToolPatch(tool="it", availability="off")] if len(asked) > 1 else []

    surface = await surface_with(Listed("it"), plugin("A", contribute=contribute))
    dispatch = ToolDispatch(surface=surface, spill=Spilled())
    for _ in range(2):
        assert (await dispatch.run(call_context("it"))).status == "ok"
    await surface.showcase()
    assert (await dispatch.run(call_context("it"))).error_code == "tool_unavailable"
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("contribute", "text"),
    [
        (fails, "lash_contribute_tools failed: RuntimeError: out of order"),
        (
            lambda context: [ToolPatch(tool="it", availability="loud")],  # type: ignore[arg-type]
            "lash_contribute_tools gave ToolPatch(tool='it', availability='loud', note=''), whose availability is none",
        ),
    ],
    ids=["fails", "no level"],
)
async def test_no_tool_is_available_when_a_plugin_fails_to_say_which(
    contribute: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    surface = await surface_with(tools := Listed("it"), plugin("A", contribute=contribute))
    with pytest.raises(PluginError) as caught:
        await surface.showcase()
    assert str(caught.value).endswith(text)
    assert surface.offered() == ()
    result = await ToolDispatch(surface=surface, spill=Spilled()).run(call_context("it"))
    assert (result.error_code, tools.ran) == ("plugin_failed", [])


async def test_a_tool_is_given_its_session() -> None:
    tools = Listed("it", does=lambda context: context.session.session_id if context.session else "none")
    assert (await make(tools)).result.output == "s"

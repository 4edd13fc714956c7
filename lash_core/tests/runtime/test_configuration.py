"""A session's configuration, changed while it is open (L3)."""

from __future__ import annotations

import traceback
from typing import Any

import attrs
import pytest
from families import environment, opened, texts
from hook_kinds import plugin
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import (
    ConfigurationError,
    InvalidInput,
    LashError,
    PluginError,
    PolicyError,
    StoreUnavailable,
)
from lash_hookspecs.markers import implements
from lash_hookspecs.records.events import ConfigChanged, HistoryRewritten
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.tools import ToolAccess
from lash_hookspecs.records.turn import TurnInput, TurnOverrides
from lash_hookspecs.specs.config import ConfigProposed, lash_transform_config
from lash_hookspecs.specs.events import SessionConfigChanged, lash_on_config_changed
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history
from probes import FailingBackend

from lash_core import LashRuntime, tool

HI = TurnInput(text="hi")


async def events_of(runtime: LashRuntime, kind: type[Any]) -> list[Any]:
    return [each.event async for each in runtime.events() if isinstance(each.event, kind)]


@tool(kind="read_only")
async def look() -> str:
    return "seen"


class Watcher:
    """Keeps what it is told about configurations."""

    def __init__(self) -> None:
        self.told: list[tuple[SessionConfig, SessionConfig]] = []

        @implements(lash_on_config_changed)
        async def changed(context: SessionConfigChanged) -> None:
            self.told.append((context.previous, context.current))

        self.plugin = plugin("watcher", changed)


async def test_a_change_is_committed_told_and_used_by_the_next_turn() -> None:
    store, watcher = MemoryBackend(), Watcher()
    env = environment(None, watcher.plugin, store=store)
    session = await opened(env, "s")
    await session.turn(HI)
    before = session.document.config
    after = await session.update_session_config(instructions="Be brief.", model_settings={"temperature": 0})
    assert (after.instructions, after.model_settings, after.model) == ("Be brief.", {"temperature": 0}, "probe")
    again = await opened(env, "s", model=None)
    assert again.document.config == session.document.config == after
    assert watcher.told == [(before, after)]
    assert [each.fields for each in await events_of(session, ConfigChanged)] == [("instructions", "model_settings")]
    assert (await session.policy()).config == after


async def test_a_change_goes_over_what_the_caller_had_set_when_it_was_opened() -> None:
    session = await opened(environment(store=MemoryBackend()), "s", instructions="Be long.")
    await session.update_session_config(instructions="Be brief.")
    assert (await session.policy()).config.instructions == "Be brief."


async def test_no_change_is_no_commit() -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.turn(HI)
    await session.update_session_config(model="probe")
    assert len(store.commits) == 2


async def test_tools_that_are_taken_away_are_gone_at_once() -> None:
    session = await opened(environment(store=MemoryBackend(), tools=(look,)), "s")
    await session.update_session_config(tool_access=ToolAccess(hidden=("look",)))
    assert session.session.parts.tools.offered() == ()


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        (
            {"modell": "x"},
            PolicyError,
            "a session's configuration has no field 'modell'; did you mean 'model'? It has: model, mode, instructions, "
            "model_settings, context_window, mode_options, tool_access",
        ),
        ({"context_window": 0}, PolicyError, "context_window must be at least 1 token, not 0"),
        ({"model": ""}, PolicyError, "model must not be empty; leave it out to keep what is stored"),
        ({"model_settings": 1}, PolicyError, "model_settings: Input should be a valid dictionary"),
        ({"instructions": "\ud800"}, PolicyError, "the configuration cannot be stored: "),
        ({"model_settings": {"seed": 10**5000}}, PolicyError, "the configuration cannot be stored: "),
        (
            {"mode": "calls"},
            ConfigurationError,
            "session 's' runs in mode 'standard'; a session keeps its mode, so start another session for mode 'calls'",
        ),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_written(
    changes: dict[str, Any], error: type[LashError], told: str
) -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    with pytest.raises(error) as caught:
        await session.update_session_config(**changes)
    assert str(caught.value).startswith(told)
    assert store.commits == []


def transforming(label: str, does: Any) -> Any:
    @implements(lash_transform_config)
    async def transform(context: ConfigProposed) -> SessionConfig:
        result: SessionConfig = does(context.config)
        return result

    return plugin(label, transform)


async def test_plugins_change_what_is_stored_one_after_the_other() -> None:
    parts = [
        transforming("a", lambda config: config.evolve(instructions=config.instructions + "a")),
        transforming("b", lambda config: config.evolve(instructions=config.instructions + "b")),
    ]
    session = await opened(environment(None, *parts, store=MemoryBackend()), "s")
    assert (await session.update_session_config(instructions="-")).instructions == "-ab"
    assert session.document.config.instructions == "-ab"


@pytest.mark.parametrize(
    ("does", "error"),
    [
        (lambda config: 1 / 0, "failed: ZeroDivisionError"),
        (lambda config: "offline", "must return SessionConfig"),
        (lambda config: config.evolve(context_window=-1), "made a configuration that is refused: context_window must"),
        (lambda config: config.evolve(mode="calls"), "made a configuration of mode 'calls'"),
    ],
)
async def test_a_plugin_that_fails_leaves_the_configuration_as_it_was(does: Any, error: str) -> None:
    store = FailingBackend()
    session = await opened(environment(None, transforming("broken", does), store=store), "s")
    await session.turn(HI)
    with pytest.raises(PluginError, match=f"plugin 'broken' .*: lash_transform_config {error}"):
        await session.update_session_config(instructions="x")
    assert (session.document.config.instructions, len(store.commits)) == ("", 2)


@pytest.mark.parametrize("how", ["failing", "lost"])
async def test_a_change_whose_commit_fails_is_as_it_is_stored(how: str) -> None:
    store, watcher = FailingBackend(), Watcher()
    session = await opened(environment(None, watcher.plugin, store=store), "s")
    await session.turn(HI)
    getattr(store, how).add(3)
    with pytest.raises(StoreUnavailable):
        await session.update_session_config(instructions="x")
    await session.refresh()
    assert (await session.policy()).config.instructions == ("x" if how == "lost" else "")
    assert watcher.told == []


# A smaller window


def shortening(fails: bool = False) -> Any:
    @implements(lash_rewrite_history)
    async def rewrite(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        assert context.trigger == "window_shrink"
        if fails:
            raise ValueError("I am broken")
        return context.entries[:1]

    return plugin("rewriter", rewrite)


async def test_a_smaller_window_lets_the_rewriters_shorten_the_history_with_the_same_commit() -> None:
    store = FailingBackend()
    session = await opened(environment(None, shortening(), store=store), "s")
    await session.turn(HI)
    await session.update_session_config(context_window=200_000)
    assert len(session.path) == 2, "a larger one than the provider's changes nothing"
    made = len(store.commits)
    await session.update_session_config(context_window=1_000)
    assert (texts(session), len(store.commits)) == (["hi"], made + 1)
    assert [each.trigger for each in await events_of(session, HistoryRewritten)] == ["window_shrink"]
    assert (await session.policy()).context_window == 1_000


async def test_a_rewriter_that_fails_leaves_path_and_window_as_they_were() -> None:
    store = FailingBackend()
    session = await opened(environment(None, shortening(fails=True), store=store), "s")
    await session.turn(HI)
    path = session.path
    with pytest.raises(PluginError) as caught:
        await session.update_session_config(context_window=1_000)
    assert str(caught.value).startswith("the context window stays at 100,000 tokens: ")
    assert "lash_rewrite_history failed: ValueError: I am broken" in str(caught.value)
    assert (session.path, session.document.config.context_window, len(store.commits)) == (path, None, 2)


async def test_a_commit_that_fails_shortens_nothing() -> None:
    store = FailingBackend()
    session = await opened(environment(None, shortening(), store=store), "s")
    await session.turn(HI)
    path = session.path
    store.failing = {3}
    with pytest.raises(StoreUnavailable):
        await session.update_session_config(context_window=1_000)
    assert (session.path, session.document.config.context_window) == (path, None)


#: What JSON cannot carry back: no reader takes a number of so many digits.
TOO_LONG = 10**5000

SECRET = "sk-very-secret"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("instructions", 5, "instructions: Input should be a valid string"),
        ("context_window", 1.5, "context_window: Input should be a valid integer"),
        ("model_settings", [1], "model_settings: Input should be a valid dictionary"),
        ("model_settings", {"seed": TOO_LONG}, "the session's configuration cannot be stored: "),
        ("mode_options", 5, "mode_options: Input should be a valid dictionary"),
        ("tool_access", ["look"], "tool_access: Input should be a valid dictionary or instance of ToolAccess"),
        ("labels", {"team": 1}, "labels: both names and values must be text"),
        ("labels", ["team"], "labels: both names and values must be text"),
    ],
)
async def test_a_spec_that_could_not_be_read_again_is_refused_and_the_session_stays_usable(
    field: str, value: Any, told: str
) -> None:
    env = environment(store=MemoryBackend())
    async with await opened(env, "s") as session:
        await session.turn(HI)
    with pytest.raises(PolicyError) as caught:
        await opened(env, "s", **{field: value})
    assert str(caught.value).startswith(told)
    assert (await (await opened(env, "s")).turn(HI)).outcome == "finished"


@pytest.mark.parametrize(
    ("turn_input", "told"),
    [
        ("hi", "a turn begins with a TurnInput(text=…), not with str"),
        (TurnInput(text="hi", mode_options={"a": TOO_LONG}), "the input of the turn cannot be stored: "),
        (
            TurnInput(text="hi", overrides=TurnOverrides(model_settings={"a": TOO_LONG})),
            "the input of the turn cannot be stored: ",
        ),
    ],
)
async def test_an_input_that_the_head_of_a_running_turn_could_not_hold_is_refused(turn_input: Any, told: str) -> None:
    session = await opened(environment(store=MemoryBackend()), "s")
    with pytest.raises(InvalidInput) as caught:
        await session.turn(turn_input)
    assert str(caught.value).startswith(told)
    with pytest.raises(InvalidInput):
        await session.create_session(
            SessionCreateRequest(session_id="next", relation="handoff", first_input=turn_input)
        )
    assert session.head is None
    assert session.session.successor is None


async def test_a_state_whose_document_could_not_be_read_again_is_refused() -> None:
    env = environment(store=MemoryBackend())
    session = await opened(env, "s")
    await session.turn(HI)
    state = await session.export_state()
    config = state.document.config.model_copy(update={"model_settings": {"seed": TOO_LONG}})
    with pytest.raises(InvalidInput, match="the document of the state cannot be stored"):
        await session.set_persisted_state(attrs.evolve(state, document=state.document.evolve(config=config)))
    assert (await (await opened(env, "s")).turn(HI)).outcome == "finished"


async def test_no_error_about_settings_shows_their_values() -> None:
    env = environment(store=MemoryBackend())
    session = await opened(env, "s")
    for settings in ([SECRET], {"api_key": (SECRET,)}, {"api_key": SECRET, "seed": TOO_LONG}):
        for refused in (
            opened(env, "t", model_settings=settings),
            session.update_session_config(model_settings=settings),
        ):
            with pytest.raises(PolicyError) as caught:
                await refused
            assert SECRET not in "".join(traceback.format_exception(caught.value))

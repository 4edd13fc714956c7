"""Children: sessions that a session starts, on stores that share graphs and on one that cannot (H3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from families import STORES, Voices, environment, ledger, open_store, opened, said, texts
from hook_kinds import part
from lash_core.runtime.session_stores import SessionStoreRequest
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidSessionId,
    PolicyError,
    SessionBindingMismatch,
    SessionBusy,
    SessionError,
    SessionExists,
    SessionMissing,
)
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.turn import TurnInput, TurnOverrides
from lash_hookspecs.specs.offers import SessionSetup
from probes import calls, says
from pydantic import JsonValue

from lash_core import LashRuntime, SessionSpec, tool


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreBackend]:
    backend = await open_store(request.param, tmp_path)
    yield backend
    await backend.close()


def child(session_id: str = "child", **fields: Any) -> SessionCreateRequest:
    return SessionCreateRequest(session_id=session_id, **fields)


async def stored(store: StoreBackend, session_id: str) -> Head:
    head = await store.session(session_id).head()
    assert isinstance(head, Head)
    return head


@tool(kind="read_only")
async def look() -> str:
    return "seen"


@tool(kind="read_only")
async def shout() -> str:
    return "SEEN " * 50


class Diary(SessionPlugin):
    """Keeps what it is told."""

    def __init__(self, setup: SessionSetup) -> None:
        self.setup = setup
        self.pages: list[str] = []

    def snapshot(self) -> JsonValue:
        return [*self.pages] or None

    async def restore(self, schema_version: int, snapshot: Any) -> None:
        self.pages = [*(snapshot or [])]


class Diaries:
    """The diaries of all sessions, newest first for each."""

    def __init__(self) -> None:
        self.built: list[Diary] = []
        self.plugin = part("diary", self._build)

    def __getitem__(self, session_id: str) -> Diary:
        return next(each for each in reversed(self.built) if each.setup.session_id == session_id)

    def _build(self, setup: SessionSetup) -> Diary:
        self.built.append(Diary(setup))
        return self.built[-1]


# Where a child begins


async def test_an_empty_child_has_a_path_a_revision_and_a_ledger_of_its_own(store: StoreBackend) -> None:
    parent = await opened(environment(store=store))
    await parent.turn(TurnInput(text="hi"))
    made = await parent.create_session(child(labels={"a": "b"}))
    assert (await stored(store, "child")).revision == 1
    assert (made.runtime.path, made.runtime.document.usage, made.runtime.document.turn_index) == ([], (), 0)
    assert (await stored(store, "child")).labels == {"a": "b"}
    assert (await made.run(TurnInput(text="work"))).text == "child answers"
    assert texts(made.runtime) == ["work", "child answers"]
    assert texts(parent) == ["hi", "parent answers"]


async def test_a_child_starts_where_its_parent_stands_and_goes_its_own_way(store: StoreBackend) -> None:
    model = Voices(parent=[calls(("shout", {}), input_tokens=5), says("done")])
    parent = await opened(environment(model, store=store, tools=(shout,), max_tool_output=80))
    await parent.turn(TurnInput(text="hi"))
    made = await parent.create_session(child(start="current"))
    assert texts(made.runtime) == texts(parent)
    assert (made.runtime.document.turn_index, made.runtime.document.usage) == (1, ())
    [spilled] = {ref for node in made.runtime.path for ref in node.refs}
    assert (await store.session("child").get_blobs([spilled]))[spilled] == b"SEEN " * 50, "with its blobs"
    assert (await made.run(TurnInput(text="work"))).turn_index == 2
    assert texts(made.runtime)[-2:] == ["work", "child answers"]
    assert len(texts(parent)) == 4


async def test_a_child_starts_where_any_stored_session_stands_with_that_ones_configuration(store: StoreBackend) -> None:
    env = environment(store=store)
    other = await opened(env, "other", instructions="Be brief.")
    await other.turn(TurnInput(text="from other"))
    parent = await opened(env)
    made = await parent.create_session(child(start="existing", source="other"))
    assert texts(made.runtime) == ["from other", "other answers"]
    assert made.runtime.document.config.instructions == "Be brief."
    assert made.runtime.document.parent is not None
    assert made.runtime.document.parent.session_id == "parent"


async def test_a_child_starts_with_an_exported_state(store: StoreBackend, tmp_path: Path) -> None:
    elsewhere = await opened(environment(store=MemoryBackend(), tools=(look,)), "far", instructions="Be brief.")
    await elsewhere.turn(TurnInput(text="far away"))
    state = await elsewhere.export_state()
    parent = await opened(environment(store=store, tools=(look,)))
    made = await parent.create_session(child(start="state", state=state))
    assert texts(made.runtime) == ["far away", "far answers"]
    assert (await stored(store, "child")).revision == 1
    assert (made.runtime.document.usage, made.runtime.document.turn_index) == ((), 1)
    assert made.runtime.document.config.instructions == "Be brief."
    assert (await made.run(TurnInput(text="work"))).turn_index == 2


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (
            child(start="current"),
            SessionMissing,
            "a child cannot start from session 'parent': it is not stored",
        ),
        (
            child(start="existing", source="nobody"),
            SessionMissing,
            "a child cannot start from session 'nobody': it is not stored",
        ),
        (
            child(start="existing"),
            ConfigurationError,
            "a child that starts with an existing session needs its id as the source",
        ),
        (
            child(start="state", state={"nodes": []}),
            ConfigurationError,
            "a child that starts with a state needs one, as export_state() gives it",
        ),
    ],
)
async def test_a_start_that_is_not_there_leaves_nothing_behind(
    request_: SessionCreateRequest, error: type[Exception], message: str
) -> None:
    store = MemoryBackend()
    parent = await opened(environment(store=store))
    with pytest.raises(error) as caught:
        await parent.create_session(request_)
    assert str(caught.value) == message
    assert (parent.children, store.living, store.names) == ({}, {}, {})


async def test_a_child_gets_a_fresh_id_when_it_has_none() -> None:
    parent = await opened(environment(store=MemoryBackend()))
    one, two = [await parent.create_session(child("")) for _ in range(2)]
    assert len({one.session_id, two.session_id, "", "parent"}) == 4
    assert set(parent.children) == {one.session_id, two.session_id}


async def test_a_name_that_is_taken_is_refused() -> None:
    env = environment(store=MemoryBackend())
    parent = await opened(env)
    await (await opened(env, "stored")).append_nodes([said("hi")])
    await parent.create_session(child())
    for name, told in [
        ("parent", "session 'parent' is open already; name the new one otherwise"),
        ("child", "session 'child' is open already; name the new one otherwise"),
        ("stored", "session 'stored' exists already"),
    ]:
        with pytest.raises(SessionExists) as caught:
            await parent.create_session(child(name))
        assert str(caught.value) == told
    with pytest.raises(InvalidSessionId):
        await parent.create_session(child("\ud800"))


async def test_of_two_that_want_one_name_at_once_one_gets_it() -> None:
    parent = await opened(environment(store=MemoryBackend()))
    answers = await asyncio.gather(
        parent.create_session(child()), parent.create_session(child()), return_exceptions=True
    )
    assert sum(type(each).__name__ == "Child" for each in answers) == 1
    assert sum(isinstance(each, (SessionExists, SessionBusy)) for each in answers) == 1  # it is there, or being made


async def test_a_session_in_memory_has_children_in_the_same_memory() -> None:
    parent = await opened(environment())
    await parent.turn(TurnInput(text="hi"))
    made = await parent.create_session(child(start="current"))
    await made.run(TurnInput(text="work"))
    grand = await made.runtime.create_session(child("grand", start="existing", source="parent"))
    assert texts(grand.runtime) == ["hi", "parent answers"]
    await made.close()
    assert texts((await parent.child("child")).runtime)[-1] == "child answers"


# What a child takes over


@pytest.mark.parametrize("start", ["empty", "current", "existing", "state"])
@pytest.mark.parametrize("inherits", [True, False])
async def test_a_child_takes_over_tool_state_and_plugin_snapshots_or_begins_afresh(start: Any, inherits: bool) -> None:
    diaries = Diaries()
    parent = await opened(environment(None, diaries.plugin, store=MemoryBackend(), tools=(look,)))
    parent.set_tool_availability(["look"], "off")
    diaries["parent"].pages = ["a secret"]
    await parent.turn(TurnInput(text="hi"))
    state = await parent.export_state()
    made = await parent.create_session(child(start=start, source="parent", state=state, inherit_plugins=inherits))
    assert diaries["child"].pages == (["a secret"] if inherits else [])
    tools = made.runtime.session.parts.tools
    assert [spec.name for spec in tools.offered()] == ([] if inherits else ["look"])
    diaries["child"].pages.append("its own")
    await made.run(TurnInput(text="work"))
    again = await parent.child("child")
    assert diaries["child"].pages == (["a secret", "its own"] if inherits else ["its own"])
    assert again is made
    assert diaries["parent"].pages == ["a secret"]


async def test_what_the_parent_has_not_committed_is_taken_over_as_it_is_now() -> None:
    diaries = Diaries()
    parent = await opened(environment(None, diaries.plugin, store=MemoryBackend()))
    await parent.turn(TurnInput(text="hi"))
    diaries["parent"].pages = ["just now"]
    await parent.create_session(child(start="current"))
    assert diaries["child"].pages == ["just now"]


async def test_plugins_of_a_child_see_where_it_comes_from_and_what_it_may_do() -> None:
    diaries = Diaries()
    parent = await opened(environment(None, diaries.plugin, store=MemoryBackend()))
    await parent.create_session(child(agent_name="scout", capability="explore", max_depth=2))
    seen = {each.setup.authority for each in diaries.built if each.setup.session_id == "child"}
    [authority] = seen
    assert authority is not None
    assert (authority.agent_name, authority.capability, authority.depth, authority.max_depth) == (
        "scout",
        "explore",
        1,
        2,
    )
    assert {each.setup.parent_session_id for each in diaries.built if each.setup.session_id == "child"} == {"parent"}
    assert diaries["parent"].setup.authority is None


async def test_a_child_never_has_a_tool_that_its_parent_has_not() -> None:
    from lash_hookspecs.records.tools import ToolAccess

    store = MemoryBackend()
    env = environment(store=store, tools=(look, shout))
    await (await opened(env, "free")).append_nodes([said("hi")])
    parent = await opened(env, tool_access=ToolAccess(hidden=("shout",)))
    for start in ("empty", "existing"):
        made = await parent.create_session(child(f"{start} one", start=start, source="free"))
        assert [spec.name for spec in made.runtime.session.parts.tools.offered()] == ["look"]
    narrow = await parent.create_session(child("narrow", tools=("shout",)))
    assert narrow.runtime.session.parts.tools.offered() == ()
    hidden = await parent.create_session(child("hidden", hidden_tools=("look",)))
    assert hidden.runtime.session.parts.tools.offered() == ()


# Subagents


async def test_subagents_start_each_other_no_deeper_than_the_smallest_limit_above_them() -> None:
    parent = await opened(environment(store=MemoryBackend()))
    one = await parent.create_session(child("one", agent_name="one", max_depth=2))
    two = await one.runtime.create_session(child("two", agent_name="two", max_depth=9))
    assert two.runtime.document.parent is not None
    assert two.runtime.document.parent.authority is not None
    assert (two.runtime.document.parent.authority.depth, two.runtime.document.parent.authority.max_depth) == (2, 2)
    with pytest.raises(PolicyError) as caught:
        await two.runtime.create_session(child("three", agent_name="three"))
    assert str(caught.value) == "subagent 'three' would be 3 sessions deep, and 2 are allowed"
    assert two.runtime.children == {}


@pytest.mark.parametrize(
    ("escape", "told"),
    [
        (child("x"), "subagent 'one' would be 2 sessions deep, and 1 are allowed"),
        (child("x", relation="root"), "subagent 'one' may not start a session that is nobody's; start a child"),
        (child("x", agent_name="x", max_depth=7), "subagent 'x' would be 2 sessions deep, and 1 are allowed"),
    ],
)
async def test_a_subagent_cannot_shed_its_limits(escape: SessionCreateRequest, told: str) -> None:
    parent = await opened(environment(store=MemoryBackend()))
    one = await parent.create_session(child("one", agent_name="one", max_depth=1))
    with pytest.raises(PolicyError) as caught:
        await one.runtime.create_session(escape)
    assert str(caught.value) == told


async def test_a_successor_of_a_subagent_stands_where_it_stood() -> None:
    parent = await opened(environment(store=MemoryBackend()))
    one = await parent.create_session(child("one", agent_name="one", capability="explore", max_depth=1))
    two = await one.runtime.create_session(child("two", relation="handoff", max_depth=9))
    assert two.runtime.document.parent is not None
    authority = two.runtime.document.parent.authority
    assert authority is not None
    assert (authority.depth, authority.max_depth, authority.capability) == (1, 1, "explore")
    with pytest.raises(PolicyError):
        await two.runtime.create_session(child("three"))


# Stores of their own


class Cabinet:
    """A factory that gives each session a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[SessionStoreRequest] = []
        self.backends: dict[str, MemoryBackend] = {}

    async def __call__(self, request: SessionStoreRequest) -> SessionStore:
        self.asked.append(request)
        backend = self.backends.setdefault(request.session_id, MemoryBackend())
        return backend.session(request.session_id)


@pytest.mark.parametrize("start", ["empty", "current", "state"])
async def test_children_live_in_the_stores_that_the_factory_gives(start: Any, tmp_path: Path) -> None:
    store, cabinet = MemoryBackend(), Cabinet(tmp_path)
    model = Voices(parent=[calls(("shout", {})), says("done")])
    env = environment(model, store=store, tools=(shout,), session_store_factory=cabinet, max_tool_output=80)
    parent = await opened(env)
    await parent.turn(TurnInput(text="hi"))
    made = await parent.create_session(child(start=start, state=await parent.export_state(), usage_source="sub"))
    await made.run(TurnInput(text="work"))
    assert set(store.living) == {"parent"}
    assert isinstance(await cabinet.backends["child"].session("child").head(), Head)
    assert texts(made.runtime)[-1] == "child answers"
    assert (cabinet.asked[0].session_id, cabinet.asked[0].parent_session_id) == ("child", "parent")
    await parent.close()
    again = await opened(env)
    assert texts((await again.child("child")).runtime)[-1] == "child answers"
    await again.turn(TurnInput(text="more"))
    assert ledger(again)["sub"] == (1, 1)


GUIDANCE = "RuntimeEnvironment.session_store_factory must give each session a store of its own"


@pytest.mark.parametrize("whose", ["parent", "other"])
@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_factory_that_gives_somebody_elses_store_is_refused_with_guidance(whose: str, is_stored: bool) -> None:
    store = MemoryBackend()

    async def factory(request: SessionStoreRequest) -> SessionStore:
        return store.session(whose)

    env = environment(store=store, session_store_factory=factory)
    if is_stored:
        await (await opened(env, "other")).append_nodes([said("hi")])
    parent = await opened(env)
    if is_stored:
        await parent.append_nodes([said("hi")])
    before = dict(store.living)
    with pytest.raises(SessionBindingMismatch) as caught:
        await parent.create_session(child())
    assert str(caught.value) == (
        f"this store handle is bound to session {whose!r}, the commit is for 'child': {GUIDANCE}"
    )
    assert (store.living, parent.children) == (before, {})


async def test_a_factory_that_fails_is_told_as_such() -> None:
    async def factory(request: SessionStoreRequest) -> SessionStore:
        raise OSError("no such disk")

    parent = await opened(environment(store=MemoryBackend(), session_store_factory=factory))
    with pytest.raises(ConfigurationError) as caught:
        await parent.create_session(child())
    assert str(caught.value) == ("the session_store_factory gave no store for session 'child': OSError: no such disk")


async def test_a_session_with_a_store_of_its_own_says_that_children_need_one() -> None:
    own = MemoryBackend().session("parent")
    parent = await LashRuntime.from_environment(environment(), SessionSpec(session_id="parent"), store=own)
    with pytest.raises(ConfigurationError) as caught:
        await parent.create_session(child())
    assert str(caught.value) == (
        "session 'parent' was opened with a store of its own, so there is none for session 'child': set "
        "RuntimeEnvironment.session_store_factory, or open it in a database"
    )


# First inputs


FIRST = TurnInput(text="begin", source_key="k", overrides=TurnOverrides(model_settings={"temperature": 0.5}))


async def test_a_first_input_is_kept_until_the_first_turn_wherever_that_runs(store: StoreBackend) -> None:
    parent = await opened(environment(store=store))
    await parent.create_session(child(first_input=FIRST))
    await parent.close()
    elsewhere = await opened(environment(store=store), "child", create=False)
    assert elsewhere.document.first_input == FIRST
    assert (await elsewhere.turn()).text == "child answers"
    assert texts(elsewhere) == ["begin", "child answers"]
    again = await opened(environment(store=store), "child")
    assert again.document.first_input is None
    with pytest.raises(InvalidInput) as caught:
        await again.turn()
    assert str(caught.value) == "session 'child' waits for no first turn; say what the turn is about"


async def test_a_first_input_that_cannot_be_stored_is_refused_before_there_is_a_child() -> None:
    store = MemoryBackend()
    parent = await opened(environment(store=store))
    with pytest.raises(InvalidInput):
        await parent.create_session(child(first_input=TurnInput(text="\ud800")))
    assert store.living == {}


async def test_a_child_without_a_first_input_says_so() -> None:
    parent = await opened(environment(store=MemoryBackend()))
    made = await parent.create_session(child())
    with pytest.raises(InvalidInput):
        await made.run()


# From inside a turn


@pytest.mark.parametrize("start", ["empty", "current"])
async def test_a_tool_starts_a_child_and_waits_for_its_turn(start: Any, store: StoreBackend) -> None:
    @tool(kind="side_effecting")
    async def ask(context: ToolCallContext) -> str:
        assert context.session is not None
        made = await context.session.create_session(child(start=start, first_input=FIRST, usage_source="subagent"))
        result = await made.run()
        await made.close()
        return result.text

    model = Voices(parent=[calls(("ask", {}), input_tokens=10), says("done", input_tokens=20)])
    parent = await opened(environment(model, store=store, tools=(ask,)))
    result = await parent.turn(TurnInput(text="hi"))
    assert (result.outcome, result.text) == ("finished", "done")
    assert texts(parent) == ["hi", "", "ask: child answers", "done"]
    assert ledger(parent) == {"turn": (2, 30), "subagent": (1, 1)}
    assert result.usage.input_tokens == 30, "the turn's own usage"
    assert parent.children == {}
    made = await parent.child("child")
    assert texts(made.runtime) == [*(["hi"] if start == "current" else []), "begin", "child answers"]


async def test_a_turn_that_is_cancelled_cancels_the_child_that_its_tool_waits_for() -> None:
    asked = asyncio.Event()

    async def hangs(request: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    @tool(kind="side_effecting")
    async def ask(context: ToolCallContext) -> str:
        assert context.session is not None
        return (await (await context.session.create_session(child(first_input=FIRST))).run()).text

    parent = await opened(
        environment(Voices(parent=[calls(("ask", {}))], child=[hangs]), store=MemoryBackend(), tools=(ask,))
    )
    turn = asyncio.create_task(parent.turn(TurnInput(text="hi")))
    await asked.wait()
    await parent.cancel()
    assert (await turn).outcome == "cancelled"
    made = parent.children["child"]
    assert not made.runtime.interrupted, "the child's turn has ended as cancelled too"
    assert made.runtime.document.open_turn is None


# Holding and closing


async def test_closing_a_parent_closes_the_children_that_it_holds() -> None:
    store = MemoryBackend()
    parent = await opened(environment(store=store))
    made = await parent.create_session(child())
    grand = await made.runtime.create_session(child("grand"))
    await parent.close()
    assert [each.runtime.closed for each in (made, grand)] == [True, True]
    assert parent.children == {}
    assert set(store.living) == {"child", "grand"}, "they stay in the store"


async def test_a_child_is_forgotten_when_it_is_closed_and_held_again_when_it_is_asked_for() -> None:
    parent = await opened(environment(store=MemoryBackend()))
    made = await parent.create_session(child())
    await made.runtime.close()
    assert parent.children == {}
    again = await parent.child("child")
    assert (again is made, parent.children) == (False, {"child": again})


async def test_only_an_own_child_can_be_held() -> None:
    env = environment(store=MemoryBackend())
    await (await opened(env, "other")).append_nodes([said("hi")])
    parent = await opened(env)
    with pytest.raises(SessionError) as caught:
        await parent.child("other")
    assert str(caught.value) == "session 'other' is no child of 'parent' but nobody's"
    with pytest.raises(SessionMissing):
        await parent.child("nobody")
    assert parent.children == {}

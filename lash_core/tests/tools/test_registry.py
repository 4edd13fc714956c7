"""Sources, overrides and the tool state of a session (invariants 70 and 73 to 76, L5)."""

from __future__ import annotations

import pytest
from lash_core.tools.registry import ToolRegistry
from lash_core.tools.surface import ToolSurface
from lash_hookspecs.errors import ConfigurationError, ToolError, UnknownName
from lash_hookspecs.records.tools import Availability, ToolEntry, ToolSpec, ToolState
from tool_probes import Listed, Server, made, run_call


def levels(registry: ToolRegistry) -> dict[str, Availability]:
    return {name: tool.level("standard") for name, tool in registry.items()}


def stored(state: ToolState) -> ToolState:
    """As another process reads it."""
    return ToolState.from_bytes(state.to_bytes())


# Sources


def test_a_registry_has_generation_0_and_one_with_sources_1() -> None:
    assert ToolRegistry().generation == 0
    assert ToolRegistry([("a", Listed("x")), ("b", Listed("y"))]).generation == 1


def test_two_sources_with_a_tool_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ToolRegistry([("tool set 'files'", Listed("read")), ("the app", Listed("read"))])
    assert str(caught.value) == "tool 'read' is offered by tool set 'files' and by the app; rename one of them"


def test_a_source_that_offers_a_name_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ToolRegistry([("a", Listed("x", "x"))])
    assert str(caught.value) == "tool 'x' is offered twice by a; rename one of them"


def test_a_source_with_anothers_tool_is_refused_and_nothing_changes() -> None:
    registry = ToolRegistry([("a", Listed("x")), ("b", other := Listed("y"))])
    other.listed = [made("y"), made("z"), made("x")]
    before = registry.export_state()
    with pytest.raises(ConfigurationError):
        registry.refresh_source("b")
    with pytest.raises(ConfigurationError):
        registry.add_source("c", Listed("w", "x"))
    assert registry.export_state() == before


def test_a_source_is_added_once() -> None:
    registry = ToolRegistry([("a", Listed("x"))])
    with pytest.raises(ConfigurationError) as caught:
        registry.add_source("a", Listed("y"))
    assert str(caught.value) == "there is a tool source 'a' already; refresh it or remove it first"


def test_a_refresh_keeps_overrides_and_takes_what_the_source_says_now() -> None:
    registry = ToolRegistry([("a", source := Listed("kept", "gone"))])
    registry.set_availability(["kept"], "callable")
    source.listed = [ToolSpec(name="kept", description="said anew"), made("came")]
    assert registry.refresh_source("a") == 3
    assert levels(registry) == {"kept": "callable", "came": "showcased"}
    assert registry["kept"].spec.description == "said anew"


def test_a_tool_that_comes_back_has_its_override_again() -> None:
    registry = ToolRegistry([("a", source := Listed("shy", "x"))])
    registry.set_availability(["shy"], "off")
    source.listed = [made("x")]
    registry.refresh_source("a")
    source.listed = [made("shy"), made("x")]
    registry.refresh_source("a")
    assert levels(registry) == {"x": "showcased", "shy": "off"}


async def test_a_refresh_can_bring_another_provider() -> None:
    registry = ToolRegistry([("a", Listed("x"))])
    registry.refresh_source("a", Listed("x", does=lambda context: "from the new one"))
    assert (await run_call(ToolSurface(registry), "x")).output == "from the new one"


def test_removing_a_source_takes_its_tools_and_their_overrides() -> None:
    registry = ToolRegistry([("a", Listed("x")), ("b", Listed("y"))])
    registry.set_availability(["y"], "off")
    assert registry.remove_source("b") == 3
    assert list(registry) == ["x"]
    registry.add_source("b", Listed("y"))
    assert levels(registry) == {"x": "showcased", "y": "showcased"}


def test_removing_a_source_forgets_what_was_stored_of_its_gone_tools() -> None:
    registry = ToolRegistry([("a", Listed("x"))])
    registry.restore_state(ToolState(generation=1, tools={"gone": ToolEntry(source="a", override="off")}))
    registry.remove_source("a")
    assert registry.export_state().tools == {}


def test_an_unknown_source_is_named_with_a_near_one() -> None:
    registry = ToolRegistry([("files", Listed("x"))])
    for act in (registry.remove_source, registry.refresh_source):
        with pytest.raises(UnknownName) as caught:
            act("file")
        assert str(caught.value) == "there is no tool source 'file'; did you mean 'files'?"


# Overrides


def test_a_tools_own_level_counts_until_the_session_says_otherwise() -> None:
    shy = ToolSpec(name="shy", availability="searchable", in_modes={"code": "callable"})
    registry = ToolRegistry([("a", Listed(shy))])
    assert (registry["shy"].level("standard"), registry["shy"].level("code")) == ("searchable", "callable")
    assert registry.set_availability(["shy"], "off") == 2
    assert (registry["shy"].level("standard"), registry["shy"].level("code")) == ("off", "off")
    assert registry.set_availability(["shy"], None) == 3
    assert (registry["shy"].level("standard"), registry["shy"].level("code")) == ("searchable", "callable")


def test_an_override_that_says_the_same_is_no_change() -> None:
    registry = ToolRegistry([("a", Listed("x"))])
    registry.set_availability(["x"], "callable")
    assert registry.set_availability(["x"], "callable") == 2


def test_an_unknown_tool_or_level_is_refused_and_nothing_changes() -> None:
    registry = ToolRegistry([("a", Listed("read", "write"))])
    with pytest.raises(UnknownName) as caught:
        registry.set_availability(["read", "wrote"], "off")
    assert str(caught.value) == "there is no tool 'wrote'; did you mean 'write'?"
    with pytest.raises(UnknownName) as caught:
        registry.set_availability(["read"], "calable")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "there is no availability 'calable'; did you mean 'callable'? (off, searchable, callable, showcased)"
    )
    assert levels(registry) == {"read": "showcased", "write": "showcased"}
    assert registry.generation == 1


# Tools that nobody lists


async def test_the_first_source_that_knows_a_name_has_the_tool_from_then_on() -> None:
    first, second = Server("other"), Server("far")
    registry = ToolRegistry([("listed", Listed("near")), ("first", first), ("second", second)])
    assert registry.generation == 1
    found = await registry.resolve("far")
    assert found is not None
    assert (found.source, found.dynamic, registry.generation) == ("second", True, 2)
    assert await registry.resolve("far") is found
    assert await registry.resolve("near") is registry["near"]
    assert (first.asked, second.asked) == (["far"], ["far"])


async def test_a_name_that_no_source_knows_is_none_and_no_change() -> None:
    registry = ToolRegistry([("server", Server())])
    assert await registry.resolve("ghost") is None
    assert registry.generation == 1


async def test_a_source_that_cannot_be_asked_is_told_only_when_no_other_knows_the_name() -> None:
    registry = ToolRegistry([("down", down := Server()), ("up", Server("far"))])
    down.down = True
    found = await registry.resolve("far")
    assert found is not None
    assert found.source == "up"
    with pytest.raises(ToolError) as caught:
        await registry.resolve("ghost")
    assert str(caught.value) == "down could not look up 'ghost': ConnectionError: no route"


async def test_a_source_that_gives_another_tool_than_was_asked_for_is_not_believed() -> None:
    class Wrong(Server):
        async def resolve(self, name: str) -> ToolSpec | None:
            return made("other")

    with pytest.raises(ToolError, match=r"^wrong gave ToolSpec\(name='other'.* for 'far'$"):
        await ToolRegistry([("wrong", Wrong())]).resolve("far")


# What a commit keeps


async def test_the_state_keeps_no_descriptions_but_those_of_looked_up_tools() -> None:
    registry = ToolRegistry([("a", Listed("x", "b")), ("server", Server(ToolSpec(name="far", description="Far.")))])
    await registry.resolve("far")
    registry.set_availability(["x"], "callable")
    assert stored(registry.export_state()) == ToolState(
        generation=3,
        tools={
            "b": ToolEntry(source="a"),
            "far": ToolEntry(source="server", spec=ToolSpec(name="far", description="Far.")),
            "x": ToolEntry(source="a", override="callable"),
        },
    )
    assert list(registry.export_state().tools) == ["b", "far", "x"]


def test_a_restored_registry_exports_the_bytes_that_it_was_given() -> None:
    registry = ToolRegistry([("a", Listed("x", "y"))])
    registry.set_availability(["y"], "off")
    again = ToolRegistry([("a", Listed("x", "y"))])
    again.restore_state(stored(registry.export_state()))
    assert again.export_state().to_bytes() == registry.export_state().to_bytes()


@pytest.mark.parametrize("generation", [0, 1, 2, 17])
def test_any_generation_is_adopted_and_grows_on(generation: int) -> None:
    registry = ToolRegistry([("a", Listed("x", "y"))])
    state = ToolState(generation=generation, tools={"x": ToolEntry(source="a", override="off")})
    report = registry.restore_state(state)
    assert (registry.generation, report.generation) == (generation, generation)
    assert levels(registry) == {"x": "off", "y": "showcased"}
    assert registry.set_availability(["y"], "off") == generation + 1


def test_tools_that_came_since_appear_with_their_own_level() -> None:
    registry = ToolRegistry([("a", Listed("x", ToolSpec(name="new", availability="callable")))])
    report = registry.restore_state(ToolState(generation=1, tools={"x": ToolEntry(source="a")}))
    assert levels(registry) == {"x": "showcased", "new": "callable"}
    assert report.new == ("new",)


def test_what_is_stored_of_tools_that_are_gone_is_kept_and_reported() -> None:
    state = ToolState(
        generation=4,
        tools={
            "gone": ToolEntry(source="a", override="off"),
            "lost": ToolEntry(source="removed", override="callable"),
            "x": ToolEntry(source="a", override="callable"),
        },
    )
    registry = ToolRegistry([("a", source := Listed("x"))])
    report = registry.restore_state(state)
    assert levels(registry) == {"x": "callable"}
    assert (report.overridden, report.vanished, report.new) == (("x",), ("gone", "lost"), ())
    assert registry.export_state() == state
    source.listed = [made("x"), made("gone")]
    registry.refresh_source("a")
    assert levels(registry) == {"x": "callable", "gone": "off"}


def test_a_renamed_tool_is_a_new_one_and_a_gone_one() -> None:
    registry = ToolRegistry([("a", Listed("after"))])
    report = registry.restore_state(ToolState(generation=2, tools={"before": ToolEntry(source="a", override="off")}))
    assert (report.new, report.vanished) == (("after",), ("before",))
    assert levels(registry) == {"after": "showcased"}


def test_a_tool_that_moved_to_another_source_keeps_its_override() -> None:
    registry = ToolRegistry([("new home", Listed("x"))])
    report = registry.restore_state(ToolState(generation=2, tools={"x": ToolEntry(source="old", override="off")}))
    assert (report.moved, report.overridden, report.vanished) == (("x",), ("x",), ())
    assert levels(registry) == {"x": "off"}
    assert registry.export_state().tools["x"].source == "new home"


def test_a_restore_undoes_overrides_that_the_state_does_not_have() -> None:
    registry = ToolRegistry([("a", Listed("x", "y"))])
    before = registry.export_state()
    registry.set_availability(["x", "y"], "off")
    registry.restore_state(before)
    assert registry.export_state() == before
    registry.set_availability(["x", "y"], "off")
    registry.restore_state(ToolState())
    assert levels(registry) == {"x": "showcased", "y": "showcased"}


def test_live_descriptions_win_over_stored_ones() -> None:
    state = ToolState(generation=2, tools={"x": ToolEntry(source="a", spec=ToolSpec(name="x", description="old"))})
    registry = ToolRegistry([("a", Listed(ToolSpec(name="x", description="now")))])
    registry.restore_state(state)
    assert registry["x"].spec.description == "now"
    assert registry.export_state().tools["x"].spec is None


def looked_up(description: str, source: str = "server") -> ToolState:
    spec = ToolSpec(name="far", description=description, kind="idempotent", serial=True)
    return ToolState(generation=5, tools={"far": ToolEntry(source=source, override="callable", spec=spec)})


async def test_a_looked_up_tool_is_known_again_and_looked_up_once_more_when_it_is_needed() -> None:
    server = Server(ToolSpec(name="far", description="now", kind="read_only"))
    registry = ToolRegistry([("server", server)])
    registry.restore_state(stored(looked_up("then")))
    assert (registry["far"].spec.description, registry["far"].spec.kind, server.asked) == ("then", "idempotent", [])
    live = await registry.resolve("far")
    assert live is not None
    assert (live.spec.description, live.override, registry.generation) == ("now", "callable", 6)
    await registry.resolve("far")
    assert server.asked == ["far"]


async def test_a_looked_up_tool_stays_with_its_source_as_long_as_that_knows_it() -> None:
    first, second = Server("far"), Server("far")
    registry = ToolRegistry([("first", first), ("second", second)])
    registry.restore_state(looked_up("then", source="second"))
    found = await registry.resolve("far")
    assert found is not None
    assert (found.source, first.asked) == ("second", [])
    registry.restore_state(looked_up("then", source="second"))
    registry.refresh_source("second", Server())
    moved = await registry.resolve("far")
    assert moved is not None
    assert (moved.source, moved.override) == ("first", "callable")


async def test_a_looked_up_tool_stands_as_stored_while_its_server_is_down() -> None:
    registry = ToolRegistry([("server", server := Server())])
    server.down = True
    registry.restore_state(looked_up("then"))
    found = await registry.resolve("far")
    assert found is not None
    assert found.spec.description == "then"
    assert registry.export_state() == looked_up("then")
    server.down = False
    server.known["far"] = made("far")
    assert (await registry.resolve("far")) is registry["far"]
    assert registry["far"].spec == made("far")


async def test_a_looked_up_tool_that_its_server_has_no_more_is_gone_and_kept() -> None:
    registry = ToolRegistry([("server", Server())])
    registry.restore_state(looked_up("then"))
    assert await registry.resolve("far") is None
    assert list(registry) == []
    assert registry.export_state().tools == looked_up("then").tools


@pytest.mark.parametrize("sources", [[], [("server", Listed("x"))]], ids=["no source", "one that looks nothing up"])
def test_a_looked_up_tool_without_its_server_is_kept_and_reported(sources: list[tuple[str, Listed]]) -> None:
    registry = ToolRegistry(sources)
    assert registry.restore_state(looked_up("then")).vanished == ("far",)
    assert registry.export_state().tools["far"] == looked_up("then").tools["far"]


async def test_a_refreshed_server_is_asked_again_for_what_it_looked_up() -> None:
    registry = ToolRegistry([("server", Server("far"))])
    await registry.resolve("far")
    registry.set_availability(["far"], "callable")
    registry.refresh_source("server", Server(ToolSpec(name="far", description="anew")))
    found = await registry.resolve("far")
    assert found is not None
    assert (found.spec.description, found.override) == ("anew", "callable")

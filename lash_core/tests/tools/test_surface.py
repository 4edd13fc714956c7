"""What a session may see and call: levels, access, modes, search, lazy contracts (invariants 70 to 72 and 76)."""

from __future__ import annotations

from typing import Any

import pytest
from lash_core.tools.registry import ToolRegistry
from lash_core.tools.surface import ToolSurface
from lash_hookspecs.protocols.tools import ToolProvider
from lash_hookspecs.records.tools import LEVELS, Availability, ToolAccess, ToolSpec, reaches
from tool_probes import Lazy, Listed, Server, made, run_call


def surface(*providers: ToolProvider, **options: Any) -> ToolSurface:
    return ToolSurface(ToolRegistry([(f"source {at}", each) for at, each in enumerate(providers)]), **options)


def spec(level: Availability, **more: Any) -> ToolSpec:
    return ToolSpec(name=level, kind="read_only", availability=level, **more)


async def shown(tools: ToolSurface) -> list[str]:
    return [each.name for each in await tools.showcase()]


LADDER = [spec(level) for level in LEVELS]


def test_each_level_includes_those_before_it() -> None:
    assert [[reaches(level, wanted) for wanted in LEVELS] for level in LEVELS] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


async def test_only_showcased_tools_are_shown_and_the_search_tool_if_it_can_find_any() -> None:
    assert await shown(surface(Listed(*LADDER))) == ["showcased", "search_tools"]
    assert await shown(surface(Listed(spec("showcased"), spec("off")))) == ["showcased"]
    assert await shown(surface()) == []


def test_a_mode_is_offered_what_can_be_called() -> None:
    assert [each.name for each in surface(Listed(*LADDER)).offered()] == ["callable", "showcased", "search_tools"]


@pytest.mark.parametrize(
    ("tool", "code", "text"),
    [
        ("showcased", None, "showcased ran"),
        ("callable", None, "callable ran"),
        ("searchable", "tool_unavailable", "The tool 'searchable' must be found with search_tools first."),
        ("off", "tool_unavailable", "The tool 'off' is not available in this session."),
        (
            "calable",
            "unknown_tool",
            "There is no tool 'calable'. Did you mean 'callable'? Tools: callable, search_tools, showcased.",
        ),
    ],
)
async def test_a_call_is_made_or_refused_by_level(tool: str, code: str | None, text: str) -> None:
    result = await run_call(surface(Listed(*LADDER)), tool)
    assert (result.status, result.error_code, result.output) == ("error" if code else "ok", code, text)


async def test_a_refused_call_asks_for_no_contract() -> None:
    lazy = Lazy(*LADDER)
    tools = surface(lazy)
    for name in ("off", "searchable"):
        await run_call(tools, name)
    tools.access = ToolAccess(hidden=("showcased",))
    assert (await run_call(tools, "showcased")).error_code == "tool_unavailable"
    assert (lazy.asked, lazy.ran) == ([], [])


async def test_contracts_are_asked_for_once_and_only_for_what_is_shown_or_called() -> None:
    lazy = Lazy(*LADDER)
    tools = surface(lazy)
    for _ in range(2):
        [first, _search] = await tools.showcase()
        assert first.input_schema is not None
        assert list(first.input_schema["properties"]) == ["a"]  # type: ignore[arg-type]
    assert lazy.asked == ["showcased"]
    for _ in range(2):
        assert (await run_call(tools, "callable", a=1)).status == "ok"
    assert lazy.asked == ["showcased", "callable"]
    tools.registry.refresh_source("source 0")
    await tools.showcase()
    assert lazy.asked == ["showcased", "callable", "showcased"]


async def test_a_showcased_tool_whose_contract_cannot_be_had_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    lazy = Lazy("works", "broken")
    lazy.failing.add("broken")
    assert await shown(surface(lazy)) == ["works"]
    assert caplog.messages == ["tool 'broken' is left out: OSError: connection refused"]


async def test_a_call_without_a_contract_is_not_executed() -> None:
    lazy = Lazy("broken")
    lazy.failing.add("broken")
    result = await run_call(lazy, "broken", a=1)
    assert (result.error_code, lazy.ran) == ("contract_unavailable", [])
    assert result.output == "The schema of 'broken' cannot be had: OSError: connection refused"
    lazy.failing.clear()
    assert (await run_call(lazy, "broken", a=1)).status == "ok"


async def test_a_source_that_goes_while_its_tool_is_called_does_not_break_the_call() -> None:
    class Going(Lazy):
        async def contract(self, name: str) -> dict[str, Any]:
            tools.registry.remove_source("source 0")
            return await super().contract(name)

    tools = surface(Going("x"))
    assert (await run_call(tools, "x", a=1)).output == "x ran"
    assert (await run_call(tools, "x", a=1)).error_code == "unknown_tool"


async def test_the_level_of_a_tool_can_depend_on_the_mode() -> None:
    tool = ToolSpec(name="shell", availability="off", in_modes={"code": "callable"})
    assert (await run_call(surface(Listed(tool)), "shell")).error_code == "tool_unavailable"
    assert (await run_call(surface(Listed(tool), mode="code"), "shell")).status == "ok"


# Access


@pytest.mark.parametrize(
    ("access", "seen"),
    [
        (ToolAccess(), ["x", "y", "z"]),
        (ToolAccess(allowed=("x", "y")), ["x", "y"]),
        (ToolAccess(hidden=("x",)), ["y", "z"]),
        (ToolAccess(allowed=("x", "y"), hidden=("x",)), ["y"]),
        (ToolAccess(allowed=()), []),
    ],
)
async def test_an_access_list_decides_what_is_seen_and_called(access: ToolAccess, seen: list[str]) -> None:
    tools = surface(Listed("x", "y", "z"), access=access)
    assert await shown(tools) == seen
    assert [name for name in "xyz" if (await run_call(tools, name)).status == "ok"] == seen


async def test_no_override_goes_beyond_the_access_list() -> None:
    tools = surface(Listed("x", "y"), access=ToolAccess(hidden=("x",)))
    tools.registry.set_availability(["x"], "showcased")
    assert await shown(tools) == ["y"]
    assert (await run_call(tools, "x")).error_code == "tool_unavailable"


async def test_a_hidden_name_is_never_looked_up() -> None:
    server = Server("far")
    tools = surface(server, access=ToolAccess(hidden=("far",)))
    await tools.ensure(["far"])
    assert (await run_call(tools, "far")).error_code == "unknown_tool"
    assert server.asked == []


# Tools that nobody lists


async def test_a_tool_that_nobody_lists_is_looked_up_and_run_by_its_owner() -> None:
    server = Server("far")
    tools = surface(Listed("near"), server)
    assert (await run_call(tools, "far")).output == "far ran"
    assert [context.call.tool for context in server.ran] == ["far"]
    assert await shown(tools) == ["near", "far"]


async def test_a_lookup_that_fails_is_a_result_and_is_tried_again() -> None:
    server = Server("far")
    server.down = True
    tools = surface(server)
    result = await run_call(tools, "far")
    assert (result.error_code, result.output) == (
        "tool_unavailable",
        "The tool 'far' is not available now: source 0 could not look up 'far': ConnectionError: no route",
    )
    server.down = False
    assert (await run_call(tools, "far")).status == "ok"


async def test_ensure_makes_kinds_known_before_a_batch_is_numbered() -> None:
    tools = surface(Server(ToolSpec(name="far", kind="idempotent", serial=True)))
    specs = tools.specs
    assert "far" not in specs
    await tools.ensure(["far", "ghost", "search_tools"])
    assert (specs["far"].kind, specs["far"].serial) == ("idempotent", True)
    assert list(specs) == ["far", "search_tools"]


async def test_ensure_leaves_a_lookup_that_fails_to_the_call(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.down = True
    await surface(server).ensure(["far"])
    assert caplog.messages == ["tool 'far' is unknown: source 0 could not look up 'far': ConnectionError: no route"]


async def test_a_shown_tool_that_its_server_no_longer_has_is_left_out() -> None:
    first = surface(Server("far"))
    await first.ensure(["far"])
    again = surface(Server())
    again.registry.restore_state(first.registry.export_state())
    assert await shown(again) == []


# Search

LIBRARY = [
    made("word_count").evolve(description="Count the words of a text.", availability="searchable"),
    made("read_mail").evolve(namespace="mail", aliases=("inbox",), availability="searchable"),
    made("send_mail").evolve(namespace="mail", description="Send a text.", availability="callable"),
    made("secret").evolve(description="Read mail of others.", availability="off"),
    made("mail_today").evolve(description="What came in today."),
]


async def found(tools: ToolSurface, query: str) -> list[str]:
    output: Any = (await run_call(tools, "search_tools", query=query)).output
    return [each["name"] for each in output["tools"]] if isinstance(output, dict) else [output]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("read mail", ["read_mail", "send_mail"]),
        ("INBOX", ["read_mail"]),
        ("words of a text", ["word_count", "send_mail"]),
        ("send_mail", ["send_mail", "read_mail"]),
        ("fly to the moon", ["No tool fits. Try other words."]),
        ("", ["No tool fits. Try other words."]),
    ],
)
async def test_a_search_finds_what_is_not_shown_and_not_off_best_first(query: str, names: list[str]) -> None:
    assert await found(surface(Listed(*LIBRARY)), query) == names


async def test_what_is_found_is_shown_and_can_be_called_from_then_on() -> None:
    tools = surface(Listed(*LIBRARY))
    assert (await run_call(tools, "word_count")).error_code == "tool_unavailable"
    await found(tools, "count words")
    assert (await run_call(tools, "word_count")).status == "ok"
    assert await shown(tools) == ["word_count", "mail_today", "search_tools"]
    assert tools.registry.export_state().tools["word_count"].override == "showcased"


async def test_the_search_goes_when_nothing_is_left_to_find() -> None:
    tools = surface(Listed(spec("searchable")))
    await found(tools, "searchable")
    assert await shown(tools) == ["searchable"]
    assert (await run_call(tools, "search_tools", query="x")).error_code == "unknown_tool"


async def test_a_search_finds_five_at_most_in_a_fixed_order() -> None:
    tools = surface(Listed(*[spec("searchable").evolve(name=f"mail_{at}") for at in (7, 3, 5, 1, 2, 6, 4)]))
    assert await found(tools, "mail") == ["mail_1", "mail_2", "mail_3", "mail_4", "mail_5"]


async def test_a_search_never_finds_what_the_session_may_not_have() -> None:
    tools = surface(Listed(*LIBRARY), access=ToolAccess(hidden=("send_mail",)))
    assert await found(tools, "mail") == ["read_mail"]
    hidden = surface(Listed(*LIBRARY), access=ToolAccess(hidden=("search_tools",)))
    assert await shown(hidden) == ["mail_today"]


async def test_a_search_tool_of_a_plugin_takes_the_place_of_the_first_party_one() -> None:
    tools = surface(Listed("search_tools", spec("searchable")))
    assert await shown(tools) == ["search_tools"]
    assert (await run_call(tools, "search_tools", query="x")).output == "search_tools ran"

"""What children use: told to the parent as it happens, in its ledger exactly once, whatever fails (H3, T8)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dying_family import ask, family_model
from families import STORES, Voices, environment, ledger, open_store, opened
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import StoreUnavailable
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.events import ChildUsage, Event
from lash_hookspecs.records.payloads import PluginNode
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.turn import TurnInput
from probes import FailingBackend, calls, says

from lash_core import LashRuntime, tool

#: What the family of `dying_family` uses: calls and input tokens by source.
WHOLE: dict[str, tuple[int, int]] = {"turn": (2, 200), "childs": (2, 20), "grandchilds": (1, 1)}

SUPPORT = Path(__file__).parents[3] / "tests/support"


def request(session_id: str = "child", **fields: Any) -> SessionCreateRequest:
    return SessionCreateRequest(session_id=session_id, **fields)


@pytest.mark.parametrize("kind", STORES)
async def test_usage_flows_to_every_ancestor_once(kind: str, tmp_path: Path) -> None:
    store = await open_store(kind, tmp_path)
    parent = await opened(environment(family_model(), store=store, tools=(ask,)))
    await parent.turn(TurnInput(text="hi"))
    family = {**WHOLE, "childs": (3, 21)}
    del family["grandchilds"]
    assert ledger(parent) == family, "a grandchild's is filed under its parent's source"
    child = parent.children["child"].runtime
    assert ledger(child) == {"turn": (2, 20), "grandchilds": (1, 1)}
    await parent.close()
    again = await opened(environment(family_model(), store=store))
    await again.turn(TurnInput(text="again"))
    assert ledger(again)["childs"] == (3, 21)
    await again.close()
    await store.close()


async def test_usage_is_told_to_the_parents_readers_as_it_happens() -> None:
    seen: list[Event] = []
    at_work = asyncio.Event()

    @tool(kind="side_effecting")
    async def delegate(context: ToolCallContext) -> str:
        assert context.session is not None
        child = await context.session.create_session(request(usage_source="subagent"))
        await child.run(TurnInput(text="work"))
        assert [each for each in seen if isinstance(each, ChildUsage)], "before the tool has ended"
        at_work.set()
        return ""

    model = Voices(parent=[calls(("delegate", {})), says("done")], child=[says("did it", cached_input_tokens=7)])
    parent = await opened(environment(model, store=MemoryBackend(), tools=(delegate,)))
    await parent.turn(TurnInput(text="hi"), emit=seen.append)
    assert at_work.is_set()
    [told] = [each for each in seen if isinstance(each, ChildUsage)]
    assert (told.session_id, told.row.source, told.row.usage.cached_input_tokens) == ("child", "subagent", 7)
    [row] = [row for row in parent.document.usage if row.source == "subagent"]
    assert (row.calls, row.usage.cached_input_tokens, row.usage.total_tokens) == (1, 7, 0)


async def test_usage_of_a_child_that_outlives_the_parents_turn_rides_its_next_commit() -> None:
    store = MemoryBackend()
    parent = await opened(environment(store=store))
    await parent.turn(TurnInput(text="hi"))
    child = await parent.create_session(request())
    await child.run(TurnInput(text="work"))
    assert "child" not in ledger(parent)
    await parent.turn(TurnInput(text="more"))
    await parent.turn(TurnInput(text="more"))
    assert ledger(parent) == {"turn": (3, 3), "child": (1, 1)}


async def test_usage_of_a_child_is_not_lost_when_the_parent_is_closed_or_was_never_stored() -> None:
    store = MemoryBackend()
    parent = await opened(environment(store=store))
    child = await parent.create_session(request())
    await child.run(TurnInput(text="work"))
    assert parent.head is None
    await parent.turn(TurnInput(text="hi"))
    assert ledger(parent) == {"turn": (1, 1), "child": (1, 1)}
    await child.run(TurnInput(text="work"))
    await parent.close()
    assert ledger(await opened(environment(store=store))) == {"turn": (1, 1), "child": (2, 2)}


async def test_a_child_that_is_at_work_without_its_parent_files_its_usage_all_the_same() -> None:
    store = MemoryBackend()
    parent = await opened(environment(store=store))
    await parent.turn(TurnInput(text="hi"))
    await parent.create_session(request())
    await parent.close()
    alone = await opened(environment(store=store), "child")
    await alone.turn(TurnInput(text="work"))
    parent = await opened(environment(store=store))
    await parent.turn(TurnInput(text="more"))
    assert ledger(parent) == {"turn": (2, 2), "child": (1, 1)}
    await alone.turn(TurnInput(text="work"))
    await parent.turn(TurnInput(text="more"))
    assert ledger(parent) == {"turn": (3, 3), "child": (2, 2)}, "also while the parent is open"


@pytest.mark.parametrize("how", ["failing", "lost"])
@pytest.mark.parametrize("number", range(1, 9))
async def test_a_commit_that_fails_anywhere_counts_nothing_twice_and_loses_nothing(how: str, number: int) -> None:
    """Commits: the parent's input, the child's create, input and final, the same twice, the parent's next and final."""
    store = FailingBackend()
    model = Voices()
    parent = await opened(environment(model, store=store))
    child: Any = None
    getattr(store, how).add(number)
    asked = 0

    async def turn_of(runtime: LashRuntime) -> None:
        nonlocal asked
        try:
            await runtime.turn(TurnInput(text="work"))
        except StoreUnavailable:
            await runtime.refresh()
            if runtime.interrupted:
                await runtime.continue_turn()
        asked += 1

    await turn_of(parent)
    try:
        child = await parent.create_session(request())
    except StoreUnavailable:
        child = await parent.child("child") if "child" in store.living else await parent.create_session(request())
    await turn_of(child.runtime)
    await turn_of(child.runtime)
    await turn_of(parent)
    await turn_of(parent)
    made = len(model.requests)
    counted = {source: calls for source, (calls, _) in ledger(parent).items()}
    assert counted["turn"] + counted["child"] == made
    assert counted["child"] == ledger(child.runtime)["turn"][0]
    if how == "failing":
        assert all(row.unknown_calls == 0 for row in (*parent.document.usage, *child.runtime.document.usage))


MOMENTS = [
    ("grandchild", "final", "before"),
    ("grandchild", "final", "after"),
    ("child", "boundary", "before"),
    ("child", "final", "before"),
    ("child", "final", "after"),
    ("parent", "final", "before"),
    ("parent", "final", "after"),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=["-".join(each) for each in MOMENTS])
async def test_a_process_that_is_killed_counts_what_was_committed_once(
    moment: tuple[str, str, str], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await (await open_store("sqlite", tmp_path)).close()  # makes the file
    ran = subprocess.run(  # noqa: ASYNC221  nothing else runs here
        [sys.executable, str(SUPPORT / "dying_family.py"), url, *moment], timeout=60, check=False, capture_output=True
    )
    assert ran.returncode == -9, ran.stderr.decode()
    store = await open_store("sqlite", tmp_path)
    env = environment(Voices(), store=store, tools=(ask,))
    runtimes = {name: await opened(env, name) for name in ("grandchild", "child", "parent")}
    for runtime in runtimes.values():
        if runtime.interrupted:
            await runtime.abandon_turn()
        await runtime.append_nodes([PluginNode(plugin="test", type="note")])
    parent, child = runtimes["parent"], runtimes["child"]
    own = {name: ledger(each).get("turn", (0, 0)) for name, each in runtimes.items()}
    below = (own["child"][0] + own["grandchild"][0], own["child"][1] + own["grandchild"][1])
    assert ledger(child).get("grandchilds", (0, 0)) == own["grandchild"]
    assert ledger(parent).get("childs", (0, 0)) == below
    if moment[2] == "after" and moment[0] != "parent":
        assert own["grandchild"] == (1, 1)
    for runtime in runtimes.values():
        await runtime.close()
    await store.close()

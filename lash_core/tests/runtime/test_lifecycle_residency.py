"""What is in memory and what is read on demand: residency, historic nodes, orphaned nodes (L4, L9, L10)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hook_kinds import function
from lash_core.plugins.manager import PluginManager
from lash_core.runtime.runtime import LashRuntime
from lash_hookspecs.errors import ConfigurationError, CorruptSession, SessionDeleted
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history
from lifetimes import DurableBackend, environment, note, opened, said, say, stored_texts, texts

from lash_core import Residency, RuntimeEnvironment, SessionSpec

BOTH = pytest.mark.parametrize("residency", list(Residency), ids=lambda each: each.value)
ALL, PATH = Residency.KEEP_ALL, Residency.ACTIVE_PATH_ONLY


async def session_with_a_branch(backend: DurableBackend) -> LashRuntime:
    """Three turns, back to the end of the first, and one more: 8 nodes, 4 of them on the path."""
    runtime = await opened(environment(backend))
    for text in ("a", "b", "c"):
        await say(runtime, text)
    await runtime.branch_to(runtime.path[1].node_id)
    await say(runtime, "d")
    return runtime


def counts(residency: Residency, path: int, graph: int) -> int:
    return graph if residency is ALL else path


@BOTH
async def test_after_a_resume_the_residency_decides_what_is_in_memory(residency: Residency) -> None:
    backend = DurableBackend()
    handle = await (await session_with_a_branch(backend)).park()
    resumed = await LashRuntime.resume(handle, environment(backend, residency=residency))
    assert resumed.resident_node_count == counts(residency, 4, 8)
    assert texts(resumed) == ["a", "ok", "d", "ok"]
    await say(resumed, "e")
    assert resumed.resident_node_count == counts(residency, 6, 10)
    assert len(await backend.session("s").graph()) == 10, "what is not in memory is still stored"


@BOTH
async def test_a_refresh_reads_what_is_new_and_holds_no_more_than_it_may(residency: Residency) -> None:
    backend = DurableBackend()
    writer = await session_with_a_branch(backend)
    reader = await opened(environment(backend, residency=residency))
    assert reader.resident_node_count == counts(residency, 4, 8)
    await reader.refresh()
    assert reader.resident_node_count == counts(residency, 4, 8), "nothing is new"
    await say(writer, "e")
    await reader.refresh()
    assert reader.resident_node_count == counts(residency, 6, 10)
    await writer.branch_to(writer.path[1].node_id)
    await reader.refresh()
    assert (reader.resident_node_count, texts(reader)) == (counts(residency, 2, 10), ["a", "ok"])
    await say(writer, "f")
    await say(reader, "g")
    assert texts(reader) == ["a", "ok", "f", "ok", "g", "ok"]
    assert reader.resident_node_count == counts(residency, 6, 14), "a turn refreshes before it begins"


@BOTH
async def test_a_branch_of_ones_own_is_left_by_the_same_rule(residency: Residency) -> None:
    backend = DurableBackend()
    first = await session_with_a_branch(backend)
    runtime = await opened(environment(backend, residency=residency))
    await runtime.branch_to(first.path[1].node_id)
    assert runtime.resident_node_count == counts(residency, 2, 8)
    await runtime.append_nodes([said("x"), note()])
    assert runtime.resident_node_count == counts(residency, 4, 10)


@BOTH
async def test_a_rewrite_leaves_the_old_path_as_a_branch(residency: Residency) -> None:
    async def last_two(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        return context.entries[-2:]

    backend = DurableBackend()
    env = environment(backend, residency=residency, more=[function(lash_rewrite_history, last_two)])
    runtime = await opened(env)
    for text in ("a", "b", "c"):
        await say(runtime, text)
    assert await runtime.rewrite_history()
    assert runtime.resident_node_count == counts(residency, 2, 8)
    assert texts(runtime) == await stored_texts(backend) == ["c", "ok"]
    assert len(await runtime.orphaned_node_ids()) == 6


@BOTH
async def test_a_thousand_turns_with_branches_hold_what_the_residency_says(residency: Residency) -> None:
    runtime = await opened(environment(DurableBackend(), residency=residency))
    for turn in range(1, 1_001):
        await say(runtime, f"turn {turn}")
        if turn % 100 == 0:
            assert runtime.resident_node_count == counts(residency, len(runtime.path), 2 * turn)
            await runtime.branch_to(runtime.path[19].node_id)
            assert runtime.resident_node_count == counts(residency, 20, 2 * turn)
    assert (len(runtime.path), runtime.view().turn_index) == (20, 1_000)


async def test_the_active_path_alone_needs_a_store_and_that_is_said_before_anything_is_done() -> None:
    class Untouched:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

    class NoPlugins(PluginManager):
        mode = provider = tools = open_session = None  # type: ignore[assignment]  # whoever calls one fails

    untouched: Any = Untouched()
    env = RuntimeEnvironment(plugins=NoPlugins.for_tests(), providers=untouched, residency=PATH)
    with pytest.raises(ConfigurationError) as caught:
        await LashRuntime.from_environment(env, SessionSpec(session_id="s"))
    assert str(caught.value) == ("Residency.ACTIVE_PATH_ONLY needs a store: what is not resident must be somewhere")


async def test_a_node_off_the_path_is_read_from_the_store_and_not_kept() -> None:
    backend = DurableBackend()
    await session_with_a_branch(backend)
    runtime = await opened(environment(backend, residency=PATH))
    resident = {node.node_id for node in runtime.path}
    beside = [node for node in await backend.session("s").graph() if node.node_id not in resident]
    assert [await runtime.get_historic_node(node.node_id) for node in beside] == beside
    assert await runtime.get_historic_node(runtime.path[0].node_id) == runtime.path[0]
    assert await runtime.get_historic_node("nowhere") is None
    assert runtime.resident_node_count == 4


async def test_a_node_that_is_nowhere_is_an_error_without_a_store() -> None:
    runtime = await opened(environment(None))
    await say(runtime, "a")
    assert await runtime.get_historic_node(runtime.path[0].node_id) is runtime.path[0]
    with pytest.raises(ConfigurationError) as caught:
        await runtime.get_historic_node("nowhere")
    assert str(caught.value) == "node 'nowhere' is not in memory, and session 's' has no store to look into"


@BOTH
async def test_orphaned_nodes_are_those_off_the_stored_path_in_windows(residency: Residency) -> None:
    backend = DurableBackend()
    writer = await session_with_a_branch(backend)
    reader = await opened(environment(backend, residency=residency))
    on_path = {node.node_id for node in writer.path}
    beside = [node.node_id for node in await backend.session("s").graph() if node.node_id not in on_path]
    assert len(beside) == 4
    assert await reader.orphaned_node_ids() == beside
    assert await reader.orphaned_node_ids(limit=3) == beside[:3]
    assert await reader.orphaned_node_ids(after=beside[2], limit=3) == beside[3:]
    assert await reader.orphaned_node_ids(after=beside[3]) == []


async def test_orphaned_nodes_are_told_by_the_stored_leaf_not_by_the_one_in_memory() -> None:
    backend = DurableBackend()
    writer = await session_with_a_branch(backend)
    reader = await opened(environment(backend))
    newest = writer.path[-1].node_id
    await writer.branch_to(writer.path[1].node_id)
    assert reader.path[-1].node_id == newest, "it was not refreshed"
    assert newest in await reader.orphaned_node_ids()


async def test_more_orphaned_nodes_than_are_read_at_once_are_all_found() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    await runtime.append_nodes([said("root")])
    root = runtime.path[0].node_id
    await runtime.append_nodes([note(number) for number in range(1_100)])
    await runtime.branch_to(root)
    found = await runtime.orphaned_node_ids()
    assert len(found) == len(set(found)) == 1_100
    windows: list[str] = []
    while window := await runtime.orphaned_node_ids(after=windows[-1] if windows else None, limit=300):
        windows += window
    assert windows == found


@pytest.mark.parametrize(
    ("leaf", "kind", "message"),
    [
        (None, "no_leaf", "session 's' has no leaf, so every node would seem orphaned; branch to a node first"),
        ("gone", "dangling_leaf", "session 's': leaf 'gone' is not stored"),
    ],
)
async def test_without_a_stored_leaf_no_node_is_called_orphaned(leaf: str | None, kind: str, message: str) -> None:
    backend = DurableBackend()
    await session_with_a_branch(backend)
    stored = backend.living["s"]
    stored.head = attrs.evolve(stored.head, leaf=leaf)
    runtime = await opened(environment(backend))
    with pytest.raises(CorruptSession) as caught:
        await runtime.orphaned_node_ids()
    assert (caught.value.kind, str(caught.value)) == (kind, message)
    assert len(await backend.session("s").graph()) == 8


async def test_a_session_that_was_never_stored_has_no_orphaned_nodes_and_a_deleted_one_says_so() -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    assert await runtime.orphaned_node_ids() == []
    await say(runtime, "a")
    await runtime.delete()
    with pytest.raises(SessionDeleted):
        await runtime.orphaned_node_ids()

"""The graph between turns: appending, branching with everything that goes along, rewriting (G1, G2, G7, L11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from families import environment, opened, said, texts
from hook_kinds import part, plugin
from lash_core.runtime.environment import Residency
from lash_core.runtime.graph_changes import Appended, StaleBranch
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import InvalidInput, NodeMissing, PluginError, StoreUnavailable, TurnError
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.events import Branched, HistoryRewritten, NodesAppended, PluginEvent
from lash_hookspecs.records.payloads import Message, ModeEvent, PluginNode, TextPart
from lash_hookspecs.records.turn import TurnInput
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history
from lash_hookspecs.specs.offers import SessionSetup
from lifetimes import DurableBackend
from probes import FailingBackend
from pydantic import JsonValue

from lash_core import LashRuntime, tool

HI = TurnInput(text="hi")

both_residencies = pytest.mark.parametrize("residency", list(Residency))


@tool(kind="read_only")
async def look() -> str:
    return "seen"


async def events_of(runtime: LashRuntime, kind: type[Any]) -> list[Any]:
    return [each.event async for each in runtime.events() if isinstance(each.event, kind)]


async def refused(doing: Any, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        await doing
    return str(caught.value)


# Appending


@both_residencies
async def test_nodes_are_appended_and_committed_at_once(residency: Residency) -> None:
    store = MemoryBackend()
    session = await opened(environment(store=store, residency=residency), "s")
    first = await session.append_nodes([said("one"), PluginNode(plugin="p", type="t", body={"a": 1})])
    second = await session.append_nodes([ModeEvent(mode="standard", data=[1])], requires_ancestor=None)
    assert isinstance(first, Appended)
    assert isinstance(second, Appended)
    again = await opened(environment(store=store, residency=residency), "s")
    assert [item.payload for item in again.items] == [item.payload for item in session.items]
    assert [node.node_id for node in again.path] == [*first.node_ids, *second.node_ids]
    assert [each.node_ids for each in await events_of(again, NodesAppended)] == [first.node_ids, second.node_ids]
    assert (await session.turn(HI)).outcome == "finished"


async def test_an_ancestor_that_left_the_path_is_a_value_and_appends_nothing() -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.turn(HI)
    [one, two] = session.path
    await session.branch_to(one.node_id)
    made = len(store.commits)
    assert await session.append_nodes([said("x")], requires_ancestor=two.node_id) == StaleBranch(one.node_id)
    assert await session.append_nodes([said("x")], requires_ancestor="nowhere") == StaleBranch(one.node_id)
    assert len(store.commits) == made
    assert isinstance(await session.append_nodes([said("x")], requires_ancestor=one.node_id), Appended)


@pytest.mark.parametrize(
    ("payloads", "told"),
    [
        ([], "there is nothing to append; give at least one message or node"),
        ([said("fine"), said("\ud800")], "a Message cannot be stored: "),
        ([PluginNode(plugin="p", type="t", body={"k": "\udfff"})], "a PluginNode cannot be stored: "),
        ([PluginNode(plugin="p", type="t", body=10**5_000)], "a PluginNode cannot be stored: "),
        ([{"role": "user"}], "'dict' is no payload of a node"),
    ],
)
async def test_what_cannot_be_appended_is_refused_before_anything_is_written(payloads: Any, told: str) -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    assert (await refused(session.append_nodes(payloads), InvalidInput)).startswith(told)
    assert (store.commits, session.path) == ([], [])
    await session.append_nodes([said("well again")])
    assert texts(session) == ["well again"]


async def test_an_append_that_fails_leaves_the_session_as_it_is_stored() -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.append_nodes([said("one")])
    store.failing, store.lost = {2}, {3}
    await refused(session.append_nodes([said("two")]), StoreUnavailable)
    assert texts(session) == ["one"]
    await refused(session.append_nodes([said("two")]), StoreUnavailable)
    await session.refresh()
    assert texts(session) == ["one", "two"], "it was stored after all"


# Branching


class Notes(SessionPlugin):
    """Counts what it is told, and keeps the count."""

    def __init__(self, setup: SessionSetup) -> None:
        self.count = 0

    def snapshot(self) -> JsonValue:
        return self.count or None

    async def restore(self, schema_version: int, snapshot: Any) -> None:
        self.count = snapshot or 0


class Kept:
    """The part that is live now."""

    def __init__(self) -> None:
        self.now: Notes | None = None
        self.plugin = part("notes", self._build)

    def _build(self, setup: SessionSetup) -> Notes:
        self.now = Notes(setup)
        return self.now

    @property
    def count(self) -> int:
        assert self.now is not None
        return self.now.count

    @count.setter
    def count(self, count: int) -> None:
        assert self.now is not None
        self.now.count = count


@both_residencies
async def test_a_branch_takes_tools_plugins_and_mode_back_to_that_time(residency: Residency) -> None:
    store, kept = MemoryBackend(), Kept()
    env = environment(None, kept.plugin, store=store, tools=(look,), residency=residency)
    session = await opened(env, "s", mode="calls")

    def is_offered() -> bool:
        return bool(session.session.parts.tools.offered())

    await session.turn(HI)
    before = (kept.count, session.session.parts.session_state, is_offered())
    first = session.path[-1].node_id
    kept.count = 7
    session.set_tool_availability(["look"], "off")
    await session.turn(HI)
    after = (kept.count, session.session.parts.session_state, is_offered())
    second = session.path[-1].node_id
    assert before != after
    for node_id, then in ((first, before), (second, after), (first, before)):
        receipt = await session.branch_to(node_id)
        assert (kept.count, session.session.parts.session_state, is_offered()) == then
        assert session.path[-1].node_id == node_id
        again = await opened(env, "s")
        assert (kept.count, again.session.parts.session_state) == then[:2], "it is what is stored"
        assert again.head is not None
        assert again.head.revision == receipt.revision
        assert len(again.path) == session.resident_node_count or residency is Residency.KEEP_ALL
    assert [each.leaf for each in await events_of(session, Branched)] == [first, second, first]
    assert (await session.turn(HI)).outcome == "finished"


async def test_a_plugin_that_kept_nothing_at_that_time_keeps_nothing_after_the_branch() -> None:
    store, kept = MemoryBackend(), Kept()
    session = await opened(environment(None, kept.plugin, store=store), "s")
    await session.turn(HI)
    first = session.path[-1].node_id
    kept.count = 7
    await session.turn(HI)
    assert session.head is not None
    assert any(name.startswith("plugin/") for name in session.head.components)
    await session.branch_to(first)
    assert not any(name.startswith("plugin/") for name in session.head.components)
    kept.count = 5
    await session.turn(HI)
    kept.count = 0
    await session.turn(HI)
    assert not any(name.startswith("plugin/") for name in session.head.components), "nor when it lets go of it"


async def counted(session: LashRuntime, kept: Kept, counts: list[int]) -> list[str]:
    """Run a turn with each count, and give the leaves."""
    leaves = []
    for count in counts:
        kept.count = count
        await session.turn(HI)
        leaves.append(session.path[-1].node_id)
    return leaves


@both_residencies
async def test_a_fork_goes_back_before_its_own_beginning_with_what_was_kept_there(residency: Residency) -> None:
    kept = Kept()
    env = environment(None, kept.plugin, store=DurableBackend(), residency=residency)
    session = await opened(env, "s")
    leaves = await counted(session, kept, [1, 2, 3])
    fork = await session.fork("fork")
    [own] = await counted(fork, kept, [4])
    far = await fork.fork("far", at=own)
    await session.branch_to(leaves[0])
    await counted(session, kept, [9])
    await session.branch_to(leaves[0])
    assert kept.count == 1
    kept.count = 8  # what the origin keeps at that node after the fork was made is nothing of the fork's past
    await session.park()
    for forked in (fork, far):
        for leaf, count in ((leaves[0], 1), (own, 4), (leaves[1], 2), (leaves[2], 3)):
            await forked.branch_to(leaf)
            assert (kept.count, forked.path[-1].node_id) == (count, leaf)
    beside = await far.fork("beside", at=leaves[1])
    assert kept.count == 2
    await beside.close()


async def test_a_fork_whose_origin_is_gone_goes_back_to_nothing_kept() -> None:
    kept = Kept()
    env = environment(None, kept.plugin, store=DurableBackend())
    session = await opened(env, "s")
    leaves = await counted(session, kept, [1, 2])
    fork = await session.fork("fork")
    await session.delete()
    again = await fork.fork("s", at=leaves[0])
    kept.count = 7
    await again.park()
    await fork.branch_to(leaves[0])
    assert kept.count == 0, "another session of the origin's name is not the origin"


async def test_a_branch_to_nowhere_writes_nothing() -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.turn(HI)
    told = await refused(session.branch_to("nowhere"), NodeMissing)
    assert told == "session 's' has no node 'nowhere'; `lash sessions tree` lists them"
    assert len(store.commits) == 2


@both_residencies
@pytest.mark.parametrize("how", ["failing", "lost"])
async def test_a_branch_whose_commit_fails_leaves_everything_as_it_is_stored(how: str, residency: Residency) -> None:
    store, kept = FailingBackend(), Kept()
    session = await opened(environment(None, kept.plugin, store=store, residency=residency), "s")
    await session.turn(HI)
    first = session.path[-1].node_id
    kept.count = 7
    await session.turn(HI)
    second, count = session.path[-1].node_id, session.resident_node_count
    getattr(store, how).add(5)
    await refused(session.branch_to(first), StoreUnavailable)
    assert (session.path[-1].node_id, session.resident_node_count) == (second, count)
    await session.refresh()
    expected = (first, 0) if how == "lost" else (second, 7)
    assert (session.path[-1].node_id, kept.count) == expected
    again = await opened(environment(None, Kept().plugin, store=store), "s")
    assert again.path == session.path


async def test_a_failed_branch_to_a_node_off_the_path_leaves_only_the_path_in_memory() -> None:
    store = FailingBackend()
    session = await opened(environment(store=store, residency=Residency.ACTIVE_PATH_ONLY), "s")
    await session.turn(HI)
    [one, two] = session.path
    await session.branch_to(one.node_id)
    store.failing = {4}
    await refused(session.branch_to(two.node_id), StoreUnavailable)
    assert (session.path, session.resident_node_count) == ([one], 1)


async def test_under_an_unfinished_turn_nothing_moves() -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.turn(HI)
    store.failing = {4}
    await refused(session.turn(HI), StoreUnavailable)
    node_id, state = session.path[0].node_id, await session.export_state()
    for doing, what in [
        (session.branch_to(node_id), "branch"),
        (session.append_nodes([said("x")]), "append"),
        (session.rewrite_history(), "rewrite its history"),
        (session.update_session_config(model="probe:x"), "change its configuration"),
        (session.set_persisted_state(state), "replace its state"),
    ]:
        told = await refused(doing, TurnError)
        assert told == f"session 's' has an unfinished turn: continue or abandon it before you {what}"


# Rewriting


def rewriter(does: Callable[[HistoryRewrite], Any]) -> Any:
    @implements(lash_rewrite_history)
    async def rewrite(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        result: tuple[HistoryEntry, ...] = does(context)
        return result

    return plugin("rewriter", rewrite)


def summary(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
    return (HistoryEntry(Message(role="user", parts=(TextPart(text="so far"),))), *context.entries[-1:])


@both_residencies
async def test_a_rewritten_path_is_a_branch_and_the_old_one_stays(residency: Residency) -> None:
    store, seen = MemoryBackend(), []

    def does(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        seen.append((context.trigger, context.instructions, context.context_window, len(context.entries)))
        return summary(context)

    env = environment(None, rewriter(does), store=store, residency=residency)
    session = await opened(env, "s")
    await session.turn(HI)
    old = session.path
    assert await session.rewrite_history("be brief") is True
    assert seen == [("manual", "be brief", 100_000, 2)]
    assert texts(session) == ["so far", "s answers"]
    kept = session.items[1].payload
    assert isinstance(kept, Message)
    assert kept.id == old[1].node_id, "a message keeps its id"
    assert await session.orphaned_node_ids() == [node.node_id for node in old]
    [event] = await events_of(session, HistoryRewritten)
    assert (event.trigger, event.kept, event.added, event.abandoned) == ("manual", 0, 2, old[-1].node_id)
    assert texts(await opened(env, "s")) == texts(session)
    await session.branch_to(old[-1].node_id)
    assert session.path == old


async def test_entries_at_the_beginning_that_stay_keep_their_nodes() -> None:
    session = await opened(environment(None, rewriter(lambda context: context.entries[:1]), store=MemoryBackend()), "s")
    await session.turn(HI)
    first = session.path[0]
    assert await session.rewrite_history() is True
    assert session.path == [first]
    assert await session.rewrite_history() is False, "nothing is left to change"


async def test_without_a_change_nothing_is_committed() -> None:
    store = FailingBackend()
    for parts in ((), (rewriter(lambda context: context.entries),)):
        session = await opened(environment(None, *parts, store=store), "s")
        await session.append_nodes([said("hi")])
        made = len(store.commits)
        assert await session.rewrite_history() is False
        assert len(store.commits) == made


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (lambda context: 1 / 0, "lash_rewrite_history failed: ZeroDivisionError: division by zero"),
        (lambda context: None, "lash_rewrite_history must return tuple of HistoryEntry, and returned None"),
        (
            lambda context: (HistoryEntry(said("\ud800")),),
            "lash_rewrite_history made a history that is refused: a Message cannot be stored: ",
        ),
        (
            lambda context: (HistoryEntry(cast(Any, "text")),),
            "lash_rewrite_history made a history that is refused: 'str' is no payload of a node",
        ),
    ],
)
async def test_a_rewriter_that_fails_leaves_the_path_as_it_was(does: Any, told: str) -> None:
    store = FailingBackend()
    session = await opened(environment(None, rewriter(does), store=store), "s")
    await session.turn(HI)
    path = session.path
    assert told in await refused(session.rewrite_history(), PluginError)
    assert (session.path, len(store.commits)) == (path, 2)
    assert (await session.turn(HI)).outcome == "finished"


# What waits for a commit


@pytest.mark.parametrize("how", ["failing", "lost"])
async def test_events_that_waited_for_a_failed_commit_are_stored_once(how: str) -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.append_nodes([said("one")])
    session.session.services.emit("p", "happened")
    getattr(store, how).add(2)
    await refused(session.append_nodes([said("two")]), StoreUnavailable)
    await session.append_nodes([said("three")])
    assert [each.name for each in await events_of(session, PluginEvent)] == ["happened"]

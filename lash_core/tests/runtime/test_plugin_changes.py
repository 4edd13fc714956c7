"""A session says which plugins took part in its last commit and do not any more, or the other way round (P8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hook_kinds import function
from lash_core.plugins import PluginManager
from lash_core.stores.memory import MemoryBackend, MemorySession
from lash_hookspecs.errors import PluginError, UnreadableData
from lash_hookspecs.records.events import PluginsChanged
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.store import CommitRecord
from lash_hookspecs.specs.events import TurnCommitted, lash_on_turn_committed
from probes import ProbeModel, says
from script_files import plugins

from lash_core import Agent, Lash, RuntimeEnvironment


class CountingBackend(MemoryBackend):
    """A memory store that counts how often commit records are read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def session(self, session_id: str) -> MemorySession:
        return CountingSession(self, session_id)


class CountingSession(MemorySession):
    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        assert isinstance(self._backend, CountingBackend)
        self._backend.reads += 1
        return await super().records(after=after, limit=limit)


async def watching(context: TurnCommitted) -> None: ...


WATCHER = function(lash_on_turn_committed, watching)


def manager(*more: object, version: str | None = None, model: bool = True) -> PluginManager:
    """The usual plugins; ``version`` is that of the plugin with the mode."""
    found = plugins(*([ProbeModel(says("yes"), says("and yes"))] if model else []), *more)
    for record in found.records:
        if version is not None and "standard" in record.offered("modes"):
            record.version = version
    return found


def lash_on(backend: MemoryBackend, installed: PluginManager, **changes: Any) -> Lash:
    env = RuntimeEnvironment(plugins=installed, store=backend, tool_sets=(), **changes)
    return Lash(env, Agent())


async def begun(backend: MemoryBackend, *more: object) -> None:
    """Session s, committed with these plugins and the model ``probe``."""
    lash = Lash(lash_on(backend, manager(*more)).env, Agent(model="probe"))
    await (await lash.session("s")).turn("hi")


async def said(lash: Lash) -> list[PluginsChanged]:
    session = await lash.session("s")
    return [each.event async for each in session.runtime.events() if isinstance(each.event, PluginsChanged)]


def names(records: Any) -> list[str]:
    return [record.name for record in records]


async def test_the_same_plugins_are_no_change() -> None:
    backend = MemoryBackend()
    await begun(backend)
    lash = lash_on(backend, manager())
    session = await lash.session("s")
    assert not session.runtime.report.plugins
    assert not session.runtime.report.differs
    await session.turn("again")
    assert await said(lash) == []


async def test_an_upgraded_plugin_is_reported_until_the_next_commit_which_says_it_once() -> None:
    backend = MemoryBackend()
    await begun(backend)
    for _ in range(2):
        report = (await lash_on(backend, manager(version="9.0")).session("s")).runtime.report
        assert [(each.present.name, each.present.version) for each in report.plugins.changed] == [
            ("mode_plugin", "9.0")
        ]
        assert report.differs
    lash = lash_on(backend, manager(version="9.0"))
    await (await lash.session("s")).turn("again")
    after = lash_on(backend, manager(version="9.0"))
    assert not (await after.session("s")).runtime.report.plugins
    (event,) = await said(after)
    assert event.added == event.removed == ()
    assert [change.rpartition(" → ")[2] for change in event.changed] == ["9.0"]
    assert event.changed[0].startswith("lash-core/mode_plugin ")


async def test_plugins_that_came_and_went_are_named() -> None:
    backend = MemoryBackend()
    await begun(backend, WATCHER)
    gone = lash_on(backend, manager())
    assert names((await gone.session("s")).runtime.report.plugins.removed) == ["watching"]
    await (await gone.session("s")).turn("again")
    came = lash_on(backend, manager(WATCHER))
    assert names((await came.session("s")).runtime.report.plugins.added) == ["watching"]
    (event,) = await said(came)
    assert [name.partition(" ")[0] for name in event.removed] == ["lash-core/watching"]


async def test_a_strict_environment_refuses_other_plugins_and_opens_the_same_ones() -> None:
    backend = MemoryBackend()
    await begun(backend)
    await lash_on(backend, manager(), plugin_policy="strict").session("s")
    with pytest.raises(PluginError) as refused:
        await lash_on(backend, manager(WATCHER), plugin_policy="strict").session("s")
    told = str(refused.value)
    assert told.startswith(
        "session 's' was committed with other plugins than are here, which the policy 'strict' refuses: "
        "added plugin 'watching' (lash-core "
    )
    assert told.endswith("); install the same ones, or open it with 'compatible'")
    assert (refused.value.session_id, refused.value.step) == ("s", "open")


async def test_opening_reads_one_record_and_a_turn_none() -> None:
    backend = CountingBackend()
    await begun(backend)
    assert backend.reads == 0, "a fresh session has no record to read"
    session = await lash_on(backend, manager()).session("s")
    assert backend.reads == 1
    await session.turn("again")
    assert backend.reads == 1


async def test_a_commit_after_somebody_elses_is_compared_with_theirs() -> None:
    backend = MemoryBackend()
    await begun(backend)
    old = await lash_on(backend, manager()).session("s")
    await (await lash_on(backend, manager(WATCHER)).session("s")).turn("with the watcher")
    await old.turn("without")
    changes = await said(lash_on(backend, manager()))
    assert [(len(each.added), len(each.removed)) for each in changes] == [(1, 0), (0, 1)]


async def test_a_failed_opening_under_strict_leaves_nothing_registered() -> None:
    backend = MemoryBackend()
    await begun(backend)
    lash = lash_on(backend, manager(WATCHER), plugin_policy="strict")
    with pytest.raises(PluginError):
        await lash.session("s")
    lash.env = lash.env.evolve(plugin_policy="compatible")
    assert (await lash.session("s")).head is not None


async def test_a_session_whose_models_plugin_is_gone_opens_branches_and_says_so() -> None:
    backend = MemoryBackend()
    await begun(backend)
    lash = lash_on(backend, manager(model=False))
    session = await lash.session("s")
    (gone,) = session.runtime.report.plugins.removed
    await session.branch((await session.items())[0].node.node_id)
    assert len(await session.items()) == 1
    (event,) = await said(lash)
    assert event.removed == (f"lash-core/{gone.name} {gone.version}",)


async def test_another_model_is_another_plugin_from_the_commit_that_sets_it() -> None:
    backend = MemoryBackend()
    await begun(backend)
    session = await Lash(lash_on(backend, manager()).env, Agent(model="probe")).session("s")
    await session.runtime.update_session_config(model="offline")
    assert not (await lash_on(backend, manager()).session("s")).runtime.report.plugins


async def test_a_record_that_names_no_plugins_is_not_compared_and_one_that_is_broken_is_said() -> None:
    backend = MemoryBackend()
    await begun(backend)
    records = backend.living["s"].records
    newest = next(reversed(records))
    whole = records[newest]
    records[newest] = attrs.evolve(whole, record=b'{"step":"final","events":[{"type":"of_later"}]}')
    assert not (await lash_on(backend, manager()).session("s")).runtime.report.plugins
    records[newest] = attrs.evolve(whole, record=b"{")
    with pytest.raises(UnreadableData, match=f"commit record {whole.revision}"):
        await lash_on(backend, manager()).session("s")


async def test_a_healed_leaf_is_in_the_report_of_whoever_healed_it() -> None:
    backend = MemoryBackend()
    await begun(backend)
    session = await lash_on(backend, manager()).session("s")
    leaf = session.runtime.path[-1].node_id
    backend.living["s"].graph.nodes.pop(leaf)
    healed = (await lash_on(backend, manager()).session("s")).runtime.report.healed
    assert healed is not None
    assert healed.dangling == leaf
    again = lash_on(backend, manager())
    note = Message(role="user", parts=(TextPart(text="x"),))
    await (await again.session("s")).runtime.append_nodes([note])
    assert (await lash_on(backend, manager()).session("s")).runtime.report.healed is None

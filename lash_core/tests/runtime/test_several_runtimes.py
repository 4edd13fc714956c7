"""Several runtimes of one session, and sessions that go while they are open (L8, L12, S8)."""

from __future__ import annotations

import pytest
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_hookspecs.errors import PluginError, SessionBusy, SessionDeleted, SessionMissing, StoreUnavailable
from lash_hookspecs.records.store import Deleted
from lash_hookspecs.records.turn import TurnInput
from walk_world import Faults, KeptMemory, Setting, environment

from lash_core import LashRuntime, SessionSpec, TurnLimits


async def opened(store: KeptMemory, session_id: str = "s", counter: int = 1) -> LashRuntime:
    spec = SessionSpec(session_id=session_id, model="walk")
    return await LashRuntime.from_environment(environment(Setting(counter=counter), store), spec)


async def turn(runtime: LashRuntime, text: str = "hi") -> None:
    await runtime.turn(TurnInput(text=text), TurnLimits(), lambda event: None)


async def test_a_session_that_is_open_twice_stays_busy_until_both_are_closed() -> None:
    store = KeptMemory(Faults())
    one, other = await opened(store), await opened(store)
    handle = await one.park()
    with pytest.raises(SessionBusy) as caught:
        await LashRuntime.resume(handle, environment(Setting(), store))
    assert other.describe() in str(caught.value)
    await other.close()
    await (await LashRuntime.resume(handle, environment(Setting(), store))).close()


async def test_an_override_outlasts_what_another_runtime_commits_before_it() -> None:
    store = KeptMemory(Faults())
    one, other = await opened(store), await opened(store)
    one.set_tool_availability(["look"], "callable")
    await turn(other)
    await turn(one)
    await other.refresh()
    assert other.session.parts.registry["look"].override == "callable"


async def test_what_a_deleted_session_owed_is_not_stored_under_its_name() -> None:
    faults = Faults()
    store = KeptMemory(faults)
    owing = await opened(store)
    faults.arm(2)
    with pytest.raises(StoreUnavailable):
        await turn(owing)
    faults.arm(0)
    await (await opened(store)).delete()
    with pytest.raises(SessionDeleted):
        await turn(owing)
    await owing.close()
    assert isinstance(await store.session("s").head(), Deleted)


async def test_leaving_the_block_in_which_a_session_was_deleted_stores_nothing_and_raises_nothing() -> None:
    store = KeptMemory(Faults())
    await turn(await opened(store))
    spec = SessionSpec(session_id="s", create=False)
    async with await LashRuntime.from_environment(environment(Setting(), store), spec) as runtime:
        await runtime.delete()
    assert isinstance(await store.session("s").head(), Deleted)


async def test_a_fork_that_keeps_all_is_usable_when_its_origin_is_deleted() -> None:
    store = KeptMemory(Faults())
    origin = await opened(store)
    await turn(origin)
    await (await origin.fork("fork")).close()
    await turn(origin, "only the origin's")
    fork, writer = await opened(store, "fork"), await opened(store, "fork")
    await origin.delete()
    await turn(writer, "somebody else's")
    await turn(fork, "and mine")
    assert [node.node_id for node in fork.path[:4]] == [node.node_id for node in writer.path]


async def test_a_session_that_cannot_be_opened_leaves_nothing_in_its_task_host() -> None:
    store, tasks = KeptMemory(Faults()), LocalTaskHost()
    await turn(await opened(store, counter=2))
    env = environment(Setting(counter=1), store, tasks=tasks)
    with pytest.raises(PluginError):
        await LashRuntime.from_environment(env, SessionSpec(session_id="s", model="walk"))
    with pytest.raises(SessionMissing):
        tasks.attached("s")

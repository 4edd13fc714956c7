"""Callers that get in each other's way: cancels that are cancelled, late reads, two that open one session."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from calls_mode import CallsMode
from dying_host import DyingHost, Killed
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.process import this_process
from lash_core.runtime import lease, opened
from lash_core.stores.memory import MemoryBackend
from lash_core.tools.dispatch import ToolDispatch
from lash_core.tools.registry import ToolRegistry
from lash_core.tools.surface import ToolSurface
from lash_hookspecs.errors import SessionBusy, SessionDeleted, SessionExists, StoreFull
from lash_hookspecs.markers import hookimpl
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.events import ToolStarted
from lash_hookspecs.records.payloads import Message
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.tools import ToolCall, ToolSpec
from lash_hookspecs.records.turn import TurnResult
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, lash_offer_modes
from lash_store_sql.sqlite import open_sqlite
from probes import ProbeModel, calls, says
from script_files import plugins

from lash_core import Agent, Lash, RuntimeEnvironment, Turn, tool


@tool(kind="read_only")
async def look() -> str:
    return "seen"


@tool(kind="read_only")
async def sleep() -> str:
    await asyncio.sleep(60)
    return "slept"


def lash_on(backend: Any, model: ProbeModel, *tools: Callable[..., Any]) -> Lash:
    agent = Agent(model="probe", tools=tools)
    env = RuntimeEnvironment(plugins=plugins(model), store=backend, tool_sets=(), tools=agent.tools)
    return Lash(env, agent, owns_environment=True)


async def test_a_tool_may_cancel_its_own_turn(tmp_path: Path) -> None:
    turns: list[Turn] = []

    @tool(kind="read_only")
    async def stop() -> str:
        await turns[0].cancel()
        return "unreachable"

    backend = await open_sqlite(f"sqlite:///{tmp_path}/a.db", True)
    lash = lash_on(backend, ProbeModel(calls(("stop", {}))), stop)
    session = await lash.session("s")
    turns.append(session.stream("hi"))
    result = await asyncio.wait_for(turns[0].result(), 10)
    assert (result.outcome, session.interrupted) == ("cancelled", False)
    await lash.close()


async def test_a_cancel_that_is_cancelled_still_ends_the_turn() -> None:
    lash = lash_on(MemoryBackend(), ProbeModel(calls(("look", {}), ("sleep", {}))), look, sleep)
    session = await lash.session("s")
    store: Any = session.runtime.session.resident.store
    append, writing, go_on = store.append, asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any, **more: Any) -> Any:
        writing.set()
        await go_on.wait()
        return await append(*args, **more)

    store.append = slowly
    turn = session.stream("hi")
    await writing.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(turn.cancel(), 0.01)
    go_on.set()
    assert (await asyncio.wait_for(turn.result(), 10)).outcome == "cancelled"


async def test_a_late_answer_to_a_reader_does_not_replace_what_a_turn_stored() -> None:
    backend = MemoryBackend()
    session = await lash_on(backend, ProbeModel(says("a"), says("c"))).session("s")
    await session.turn("one")
    await (await lash_on(backend, ProbeModel(says("b"))).session("s")).turn("elsewhere")
    store: Any = session.runtime.session.resident.store
    head, reading, go_on = store.head, asyncio.Event(), asyncio.Event()

    async def slowly() -> Any:
        found = await head()
        if not reading.is_set():
            reading.set()
            await go_on.wait()
        return found

    store.head = slowly
    reader = asyncio.create_task(session.messages())
    await reading.wait()
    turn = session.stream("two")
    await asyncio.sleep(0.05)
    go_on.set()
    assert (await turn.result()).outcome == "finished"
    await reader
    stored = await head()
    assert isinstance(stored, Head)
    assert session.head is not None
    assert session.head.revision == stored.revision
    resident = [item.payload.text for item in session.runtime.items if isinstance(item.payload, Message)]
    assert resident == ["one", "a", "elsewhere", "b", "two", "c"]


async def test_a_session_that_cannot_end_does_not_keep_the_others_open() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend, ProbeModel(calls(("sleep", {}))), sleep)
    closed: list[str] = []

    async def close() -> None:
        closed.append("store")

    async def full(commit: Any) -> Any:
        raise StoreFull("the disk is full")

    backend.close = close  # type: ignore[method-assign]
    session, other = await lash.session("s"), await lash.session("t")
    turn = session.stream("hi")
    async for event in turn:
        if isinstance(event, ToolStarted):
            break
    store: Any = session.runtime.session.resident.store
    store.commit = full
    with pytest.raises(StoreFull):
        await lash.close()
    assert (session.closed, other.closed, closed) == (True, True, ["store"])
    with pytest.raises(StoreFull):
        await turn.result()


async def test_leaving_does_not_mask_the_original_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(lash: Lash) -> None:
        raise StoreFull("the disk is full")

    monkeypatch.setattr(Lash, "close", full)
    with pytest.raises(KeyError):
        async with Lash.open("memory:"):
            raise KeyError("original")


async def test_two_that_open_one_session_share_it() -> None:
    lash = lash_on(MemoryBackend(), ProbeModel())
    first, second = await asyncio.gather(lash.session("s"), lash.session("s"))
    assert first is second


async def test_a_name_whose_lease_was_taken_but_never_used_can_be_forked_to() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend, ProbeModel(says("a"), says("b")))
    session = await lash.session("s")
    await session.turn("one")
    store = backend.session("fork")
    await store.release_lease(await store.take_lease(this_process("gone"), 60))
    fork = await session.fork("fork")
    assert (await fork.turn("two")).text == "b"


async def test_a_session_that_must_be_new_is_not_another_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    mine = await lash_on(backend, ProbeModel(says("a"))).session("s", create=True)
    other = await lash_on(backend, ProbeModel(says("b"))).session("s", create=True)
    take_lease = lease.take_lease

    async def late(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(opened, "take_lease", take_lease)
        await other.turn("first")
        return await take_lease(*args, **options)

    monkeypatch.setattr(opened, "take_lease", late)
    with pytest.raises(SessionExists):
        await mine.turn("second")
    assert len(await other.messages()) == 2


@pytest.mark.parametrize("door", ["take_lease", "release_lease"])
async def test_a_write_that_is_cancelled_leaves_no_lease_behind(door: str) -> None:
    backend = MemoryBackend()
    session = await lash_on(backend, ProbeModel(says("a"), says("b"), says("c"))).session("s")
    await session.turn("one")
    store: Any = session.runtime.session.resident.store
    change, changing, go_on = getattr(store, door), asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any, **more: Any) -> Any:
        if door == "take_lease":
            taken = await change(*args, **more)
            changing.set()
            await go_on.wait()
            return taken
        changing.set()
        await go_on.wait()
        return await change(*args, **more)

    setattr(store, door, slowly)
    turn = asyncio.create_task(session.runtime.append_nodes([Message(role="system", parts=())]))
    await changing.wait()
    turn.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await asyncio.sleep(0)
    other = await lash_on(backend, ProbeModel(says("d"))).session("s")
    assert (await other.turn("two")).text == "d", "nobody holds the lease"


async def unspilled(whole: bytes) -> str:
    raise AssertionError("nothing is spilled")


async def test_a_schema_that_is_none_is_a_result() -> None:
    class Provider:
        def specs(self) -> list[ToolSpec]:
            return [ToolSpec(name="odd", description="", input_schema={"type": "strnig"}, kind="read_only")]

        async def run(self, context: ToolCallContext) -> Any:
            return "unreachable"

    call = ToolCall(call_id="c", tool="odd", arguments={})
    context = ToolCallContext(session_id="s", turn_id="t", call=call, idempotency_key="k")
    surface = ToolSurface(ToolRegistry([("it", Provider())]))
    result = await ToolDispatch(surface=surface, spill=unspilled).run(context)
    assert (result.status, result.error_code) == ("error", "tool_failed")


class Versioned:
    """Offers the calls mode, which runs two tools before it first asks the model."""

    def __init__(self, version: int) -> None:
        self._mode = CallsMode(version, ({"tool": "look", "id": "a"}, {"tool": "look", "id": "b"}))

    @hookimpl(specname=lash_offer_modes.__name__)
    def modes(self, context: OfferContext) -> list[ModeOffer]:
        return [ModeOffer(name="calls", build=lambda: self._mode)]


def versioned(backend: MemoryBackend, version: int, **changes: Any) -> Lash:
    agent = Agent(model="probe", tools=(look,), mode="calls")
    manager = PluginManager.for_tests((*BUILTINS, ProbeModel(says("well")), Versioned(version)))
    env = RuntimeEnvironment(plugins=manager, store=backend, tool_sets=(), tools=agent.tools)
    return Lash(env.evolve(**changes), agent)


@pytest.mark.parametrize(
    "go_on",
    [lambda session: session.turn("and now?"), lambda session: session.abandon_turn()],
    ids=["turn", "abandon"],
)
async def test_a_turn_whose_journal_another_mode_version_wrote_can_be_abandoned(
    go_on: Callable[[Any], Awaitable[TurnResult]],
) -> None:
    backend = MemoryBackend()
    with pytest.raises(Killed):
        await (await versioned(backend, 1, host=DyingHost()).session("s")).turn("hi")
    session = await versioned(backend, 2).session("s")
    await go_on(session)
    assert session.document.open_turn is None
    assert not await backend.session("s").read("journal")


async def test_a_session_that_was_deleted_and_made_again_elsewhere_is_not_followed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    async with Lash.open(url) as one, Lash.open(url) as other:
        held = await one.session("s")
        await held.turn("hello")
        await other.delete("s")
        await (await other.session("s")).turn("another life")
        with pytest.raises(SessionDeleted) as caught:
            await held.turn("still me?")
        assert str(caught.value) == "session 's' was deleted while it was open"


async def test_a_parked_session_that_is_open_here_is_busy(tmp_path: Path) -> None:
    async with Lash.open(f"sqlite:///{tmp_path}/x.db") as lash:
        await (await lash.session("s")).turn("hello")
        parked = await (await lash.session("s")).park()
        await lash.session("s")
        with pytest.raises(SessionBusy) as caught:
            await lash.resume(parked)
    assert str(caught.value) == "session 's' is open in this process already; park or close it first"


FORKED = """
import os
from lash_core import SyncLash
from lash_hookspecs.errors import ConfigurationError
with SyncLash.open() as lash:
    child = os.fork()
    if child == 0:
        try:
            lash.session("s")
        except ConfigurationError as error:
            print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_sync_lash_refuses_in_a_forked_child() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "this SyncLash was opened before a fork of the process; open another in the child\n"

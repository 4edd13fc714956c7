"""How a runtime ends: parked, closed, left by ``async with``; how it gets its name (L2, L6, L12)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
import pytest
from families import Voices, environment, open_store, opened, said
from hook_kinds import part, plugin
from lash_core.runtime.live import find_live
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import ConfigurationError, SessionError, StoreUnavailable
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Absent, StoreCapabilities
from lash_hookspecs.records.turn import TurnInput
from lash_hookspecs.specs.events import SessionClosed, lash_on_session_closed
from lash_hookspecs.specs.offers import SessionSetup
from probes import FailingBackend

from lash_core import LashRuntime, SessionSpec

HI = TurnInput(text="hi")


class Lasting(FailingBackend):
    """A store in memory that passes for a durable one."""

    @property
    def capabilities(self) -> StoreCapabilities:
        return attrs.evolve(super().capabilities, durability="process")


class Witness(SessionPlugin):
    """Sees what is registered when it is built, and that it is closed once."""

    seen: list[tuple[str, str]]
    closed: list[str]

    def __init__(self, setup: SessionSetup) -> None:
        self._id = setup.session_id
        Witness.seen.append((setup.session_id, setup.services.session_id))

    async def close(self) -> None:
        Witness.closed.append(self._id)


class Endings:
    """What plugins are told of ends."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

        @implements(lash_on_session_closed)
        async def closed(context: SessionClosed) -> None:
            self.told.append((context.session_id, context.parked))

        Witness.seen, Witness.closed = [], []
        self.plugins = (plugin("endings", closed), part("witness", Witness))


@pytest.mark.parametrize("store", [None, MemoryBackend()])
async def test_an_empty_id_is_fresh_before_anything_has_it(store: StoreBackend | None) -> None:
    endings = Endings()
    env = environment(None, *endings.plugins, store=store)
    one, two = [await LashRuntime.from_environment(env, SessionSpec(model="probe")) for _ in range(2)]
    assert one.session_id != two.session_id
    assert Witness.seen == [(each.session_id, each.session_id) for each in (one, two)]
    assert (await one.turn(HI)).session_id == one.session_id
    if store is not None:
        assert find_live(store, "") is None
        assert find_live(store, one.session_id) is one


async def test_closing_and_parking_twice_is_closing_and_parking_once() -> None:
    endings, store = Endings(), Lasting()
    env = environment(None, *endings.plugins, store=store)
    session = await opened(env, "s")
    await session.turn(HI)
    parked = await session.park()
    assert await session.park() is parked
    await session.close()
    assert endings.told == [("s", True)]
    assert Witness.closed == ["s"]
    assert find_live(store, "s") is None
    other = await opened(env, "s")
    await other.close()
    await other.close()
    assert endings.told == [("s", True), ("s", False)]
    with pytest.raises(ConfigurationError) as caught:
        await other.park()
    assert str(caught.value) == "session 's' was closed; open it again before you park it"
    for doing in (other.turn(HI), other.append_nodes([said("x")])):
        with pytest.raises(SessionError) as closed:
            await doing
        assert str(closed.value) == "session 's' was closed; open it again"


async def test_a_park_whose_commit_fails_leaves_the_runtime_usable() -> None:
    endings, store = Endings(), Lasting()
    session = await opened(environment(None, *endings.plugins, store=store), "s")
    await session.turn(HI)
    session.session.services.emit("p", "happened")
    store.failing = {3}
    with pytest.raises(StoreUnavailable):
        await session.park()
    assert (session.closed, endings.told, find_live(store, "s")) == (False, [], session)
    assert (await session.turn(HI)).outcome == "finished"
    assert (await session.park()).revision == 5


async def test_leaving_parks_where_the_store_is_durable_and_closes_elsewhere(tmp_path: Path) -> None:
    for store, is_parked in ((Lasting(), True), (MemoryBackend(), False)):
        endings = Endings()
        async with await opened(environment(None, *endings.plugins, store=store), "s") as session:
            await session.turn(HI)
            session.session.services.emit("p", "happened")
        assert endings.told == [("s", is_parked)]
        assert session.closed
        names = [getattr(each.event, "name", None) async for each in session.events()]
        assert "happened" in names, "what waited is committed"


async def test_leaving_a_session_that_only_was_read_writes_nothing() -> None:
    store = Lasting()
    await (await opened(environment(store=store), "s")).turn(HI)
    async with await opened(environment(store=store), "s"):
        pass
    assert len(store.commits) == 2


async def test_leaving_with_an_error_cancels_the_turn_and_never_masks_it() -> None:
    asked = asyncio.Event()

    async def hangs(request: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    store = Lasting()
    store.failing = {4}
    session = await opened(environment(Voices(s=[hangs, hangs]), store=store), "s")
    for outcome in ("cancelled", None):
        with pytest.raises(ValueError, match="mine"):  # noqa: PT012
            async with session:
                turn = asyncio.create_task(session.turn(HI))
                await asked.wait()
                raise ValueError("mine")
        if outcome:
            assert (await turn).outcome == outcome
        else:
            with pytest.raises(StoreUnavailable):
                await turn
        asked.clear()
        session = await opened(environment(Voices(s=[hangs]), store=store), "s")


async def test_leaving_tells_that_what_waited_could_not_be_stored() -> None:
    store = Lasting()
    with pytest.raises(StoreUnavailable):  # noqa: PT012
        async with await opened(environment(store=store), "s") as session:
            await session.turn(HI)
            session.session.services.emit("p", "happened")
            store.failing = {3}
    assert session.closed


async def test_leaving_a_runtime_that_was_closed_inside_does_nothing() -> None:
    endings = Endings()
    async with await opened(environment(None, *endings.plugins, store=Lasting()), "s") as session:
        await session.park()
    assert endings.told == [("s", True)]


async def test_a_session_that_cannot_be_opened_leaves_nothing_open() -> None:
    def broken(setup: SessionSetup) -> SessionPlugin:
        raise ValueError("I am broken")

    endings, store = Endings(), MemoryBackend()
    with pytest.raises(ConfigurationError):
        await opened(environment(None, *endings.plugins, part("zz", broken), store=store), "s")
    assert Witness.closed == ["s"]
    assert find_live(store, "s") is None
    assert await store.session("s").head() == Absent()


async def test_a_file_store_is_durable(tmp_path: Path) -> None:
    store = await open_store("sqlite", tmp_path)
    async with await opened(environment(store=store), "s") as session:
        await session.turn(HI)
    assert (await session.park()).revision == 2
    await store.close()

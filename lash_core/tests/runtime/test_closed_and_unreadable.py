"""What becomes of requests to a closed runtime, of sessions that cannot be read, and of secrets in reprs (S9, L13)."""

from __future__ import annotations

import attrs
import pytest
from families import environment as family_environment
from families import ledger
from families import opened as family_opened
from lash_core.process import this_process
from lash_hookspecs.errors import SessionBusy, SessionError, UnreadableData
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.store import Deleted
from lash_hookspecs.records.turn import TurnInput
from lifetimes import DurableBackend, environment, opened, say

from lash_core import Agent, Lash


async def test_settings_of_a_model_are_in_no_repr() -> None:
    runtime = await opened(environment(DurableBackend()), model_settings={"api_key": "s3cret"})
    await say(runtime, "a")
    state = await runtime.export_state()
    assert state.config.model_settings == {"api_key": "s3cret"}
    assert not any("s3cret" in repr(each) for each in (runtime.session.spec, state.config, state, runtime.document))


async def test_a_closed_runtime_begins_nothing_that_nobody_would_close() -> None:
    runtime = await opened(environment(DurableBackend()))
    await say(runtime, "a")
    await runtime.close()
    request = SessionCreateRequest(session_id="child", relation="child")
    for door in (runtime.create_session(request), runtime.fork("fork"), runtime.child("child")):
        with pytest.raises(SessionError, match="session 's' was closed; open it again"):
            await door


async def test_a_listing_shows_a_session_whose_head_cannot_be_read_and_all_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = DurableBackend()
    for name in ("a", "b", "c"):
        await say(await opened(environment(backend), name), "hello")
    backend.living["b"].head = attrs.evolve(backend.living["b"].head, state=b'{"turn_index": "x"}')
    lash = Lash(environment(backend), Agent())
    found = [(each.session_id, each.status, each.turn_index) async for each in lash.sessions()]
    assert found == [("a", "idle", 1), ("b", "unreadable", 0), ("c", "idle", 1)]
    assert "session 'b': the head cannot be read: turn_index:" in caplog.text


async def test_what_cannot_be_read_names_its_session() -> None:
    backend = DurableBackend()
    await say(await opened(environment(backend)), "hello")
    nodes = backend.living["s"].graph.nodes
    first = next(iter(nodes))
    nodes[first] = attrs.evolve(nodes[first], payload=b"{")
    with pytest.raises(UnreadableData, match=f"session 's': node {first} cannot be read") as caught:
        await say(await opened(environment(backend)), "again")
    assert caught.value.session_id == "s"


async def test_a_parent_that_is_another_of_that_name_pays_for_no_child_of_the_first() -> None:
    store = DurableBackend()
    parent = await family_opened(family_environment(store=store))
    await parent.turn(TurnInput(text="hi"))
    child = (await parent.create_session(SessionCreateRequest(session_id="child", relation="child"))).runtime
    await (await family_opened(family_environment(store=store))).delete()
    reborn = await family_opened(family_environment(store=store))
    await reborn.turn(TurnInput(text="hi"))
    await child.turn(TurnInput(text="work"))
    await reborn.turn(TurnInput(text="more"))
    assert set(ledger(reborn)) == {"turn"}


async def test_a_session_that_cannot_be_read_can_be_deleted_unless_somebody_works_on_it() -> None:
    backend = DurableBackend()
    await say(await opened(environment(backend)), "hello")
    backend.living["s"].head = attrs.evolve(backend.living["s"].head, state=b"{")
    lash, store = Lash(environment(backend), Agent()), backend.session("s")
    with pytest.raises(UnreadableData):
        await lash.session("s")
    lease = await store.take_lease(this_process("another"), 60.0)
    with pytest.raises(SessionBusy):
        await lash.delete("s")
    await store.release_lease(lease)
    await lash.delete("s")
    assert isinstance(await store.head(), Deleted)
    await say(await opened(environment(backend)), "another life")

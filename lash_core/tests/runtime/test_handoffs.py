"""Handoffs: A is handed off to B, B to C; a turn on A runs in C, and the chain stays whole (H3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from families import STORES, Voices, environment, open_store, opened, said, texts
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import SessionBusy, SessionError, SessionExists, StoreUnavailable, SuccessorMissing
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.protocols.tools import ToolCallContext, ToolOutput
from lash_hookspecs.records.events import HandedOff
from lash_hookspecs.records.payloads import ToolInvocation
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.turn import TurnInput
from probes import FailingBackend, calls, says

from lash_core import LashRuntime, tool

HI = TurnInput(text="hi")


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreBackend]:
    backend = await open_store(request.param, tmp_path)
    yield backend
    await backend.close()


def successor(session_id: str, **fields: Any) -> SessionCreateRequest:
    return SessionCreateRequest(session_id=session_id, relation="handoff", **fields)


async def chain(store: StoreBackend, **services: Any) -> LashRuntime:
    """A was handed off to B, and B to C, after a turn each."""
    a = await opened(environment(store=store, **services), "a")
    await a.turn(HI)
    b = await a.create_session(successor("b", start="current", instructions="I am B."))
    await b.run(HI)
    await b.runtime.create_session(successor("c", instructions="I am C."))
    return a


async def test_a_turn_on_the_first_runs_in_the_last_and_is_counted_on(store: StoreBackend) -> None:
    a = await chain(store)
    result = await a.turn(HI)
    assert (result.session_id, result.text, result.turn_index) == ("c", "c answers", 3)
    assert (await a.successor()).session_id == "c"
    assert texts(a) == ["hi", "a answers"]
    assert [each.event.successor async for each in a.events() if isinstance(each.event, HandedOff)] == ["b"]


async def test_a_chain_survives_park_and_resume_in_another_process(tmp_path: Path) -> None:
    store = await open_store("sqlite", tmp_path)
    parked = await (await chain(store)).park()
    await store.close()
    store = await open_store("sqlite", tmp_path)
    model = Voices()
    again = await LashRuntime.resume(parked, environment(model, store=store))
    assert (await again.turn(HI)).session_id == "c"
    assert model.requests[0].instructions == "I am C.", "it has a configuration of its own"
    await again.close()
    await store.close()


async def test_closing_the_middle_one_keeps_the_chain(store: StoreBackend) -> None:
    a = await chain(store)
    await a.children["b"].close()
    assert (await a.turn(HI)).session_id == "c"
    assert set(a.children) == {"c"}


async def test_deleting_the_middle_one_keeps_the_chain(store: StoreBackend) -> None:
    a = await chain(store)
    await a.children["b"].runtime.delete()
    assert (await a.turn(HI)).session_id == "c"
    again = await opened(environment(store=store), "a")
    assert (again.document.successor, (await again.turn(HI)).session_id) == ("c", "c")
    c = await opened(environment(store=store), "c")
    assert c.document.parent is not None
    assert c.document.parent.session_id == "a"
    assert c.report.plugins == again.report.plugins


async def test_when_the_last_one_is_deleted_the_one_before_works_again(store: StoreBackend) -> None:
    a = await chain(store)
    await (await a.successor()).delete()
    assert (await a.turn(HI)).session_id == "b"
    await (await a.successor()).delete()
    assert (await a.turn(HI)).session_id == "a"


async def test_a_middle_one_is_not_deleted_while_its_neighbour_is_at_work() -> None:
    store = MemoryBackend()
    a = await chain(store)
    neighbour = await opened(environment(store=store), "a")
    async with neighbour.session.writing():
        with pytest.raises(SessionBusy):
            await a.children["b"].runtime.delete()
    assert isinstance(await store.session("b").head(), Head)
    assert (await a.turn(HI)).session_id == "c"


async def test_a_chain_with_a_hole_that_nobody_closed_is_told(store: StoreBackend) -> None:
    a = await chain(store)
    head = await store.session("b").head()
    assert isinstance(head, Head)
    await store.session("b").delete(incarnation=head.incarnation, deleted_at=1)
    with pytest.raises(SuccessorMissing) as caught:
        await a.turn(HI)
    assert str(caught.value) == "session 'a' was handed off to 'b', which is not there any more"


async def test_handoffs_that_go_in_a_circle_are_told() -> None:
    store = MemoryBackend()
    a = await opened(environment(store=store), "a")
    await a.create_session(successor("b"))
    b = a.children["b"].runtime
    b.session.waiting.link("a")
    await b.append_nodes([said("something to commit")])
    with pytest.raises(SuccessorMissing) as caught:
        await a.turn(HI)
    assert str(caught.value) == "the handoffs of session 'a' go in a circle: a → b → a"


async def test_a_child_never_takes_over() -> None:
    a = await opened(environment(store=MemoryBackend()), "a")
    await a.create_session(SessionCreateRequest(session_id="b"))
    assert (await a.turn(HI)).session_id == "a"
    assert await a.successor() is a


async def test_a_session_is_handed_off_once() -> None:
    a = await opened(environment(store=MemoryBackend()), "a")
    await a.create_session(successor("b"))
    with pytest.raises(SessionError) as caught:
        await a.create_session(successor("c"))
    assert str(caught.value) == "session 'a' was handed off to 'b' already; start the new one from there"
    with pytest.raises(SessionExists):
        await a.children["b"].runtime.create_session(successor("a"))


async def test_a_handoff_whose_commit_fails_is_none() -> None:
    store = FailingBackend()
    a = await opened(environment(store=store), "a")
    await a.append_nodes([said("hi")])
    store.failing = {3}
    with pytest.raises(StoreUnavailable):
        await a.create_session(successor("b"))
    assert a.children == {}
    assert (await a.turn(HI)).session_id == "a"
    assert a.document.successor is None


# From inside a turn


def handing(start: bool, **answer: Any) -> Any:
    @tool(kind="side_effecting")
    async def leave(context: ToolCallContext) -> ToolOutput | str:
        """Hand off."""
        assert context.session is not None
        if start:
            await context.session.create_session(successor("b", first_input=TurnInput(text="go on"), start="current"))
        return ToolOutput("bye", **answer) if answer else "bye"

    return leave


async def test_a_tool_hands_off_and_the_next_turn_runs_in_the_successor(store: StoreBackend) -> None:
    model = Voices(a=[calls(("leave", {}))])
    a = await opened(environment(model, store=store, tools=(handing(True, handoff="b"),)), "a")
    result = await a.turn(HI)
    assert (result.session_id, result.outcome, result.text, result.handoff) == ("a", "finished", "bye", "b")
    assert a.document.successor == "b"
    assert [each.event.successor async for each in a.events() if isinstance(each.event, HandedOff)] == ["b"]
    result = await a.turn(TurnInput(text="and now?"))
    assert (result.session_id, result.text, result.turn_index) == ("b", "b answers", 2)


async def test_a_turn_that_follows_handoffs_goes_on_with_the_successors_first_turn(store: StoreBackend) -> None:
    model = Voices(a=[calls(("leave", {}))])
    a = await opened(environment(model, store=store, tools=(handing(True, handoff="b"),)), "a")
    result = await a.turn(HI, follow_handoffs=True)
    assert (result.session_id, result.text, result.turn_index) == ("b", "b answers", 2)
    assert texts(a.children["b"].runtime) == ["hi", "go on", "b answers"]


async def test_a_turn_whose_tool_started_a_successor_says_so_however_it_ends() -> None:
    model = Voices(a=[calls(("leave", {})), says("Goodbye.")])
    a = await opened(environment(model, store=MemoryBackend(), tools=(handing(True),)), "a")
    result = await a.turn(HI)
    assert (result.text, result.handoff, a.document.successor) == ("Goodbye.", "b", "b")


async def test_a_tool_can_hand_off_to_a_session_that_is_there_already() -> None:
    model = Voices(a=[calls(("leave", {}))])
    env = environment(model, store=MemoryBackend(), tools=(handing(False, handoff="desk"),))
    await (await opened(env, "desk")).append_nodes([said("welcome")])
    a = await opened(env, "a")
    assert (await a.turn(HI)).handoff == "desk"
    assert (await a.turn(HI)).session_id == "desk"


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("nobody", "session 'nobody' cannot take over from 'a': session 'nobody' is not stored"),
        ("a", "session 'a' cannot take over from 'a': the handoffs would go in a circle"),
        ("back", "session 'back' cannot take over from 'a': the handoffs would go in a circle"),
    ],
)
async def test_a_handoff_that_cannot_be_is_a_result_that_the_model_reads(to: str, told: str) -> None:
    model = Voices(a=[calls(("leave", {})), says("then I stay")])
    env = environment(model, store=MemoryBackend(), tools=(handing(False, handoff=to),))
    back = await opened(env, "back")
    back.session.waiting.link("a")
    await back.append_nodes([said("hi")])
    a = await opened(env, "a")
    result = await a.turn(HI)
    assert (result.text, result.handoff, a.document.successor) == ("then I stay", None, None)
    [found] = [item.payload.result for item in a.items if isinstance(item.payload, ToolInvocation)]
    assert (found.status, found.error_code, found.output) == ("error", "handoff_refused", told)


async def test_a_handoff_whose_final_commit_failed_is_made_when_the_turn_is_continued() -> None:
    store = FailingBackend()
    a = await opened(
        environment(Voices(a=[calls(("leave", {}))]), store=store, tools=(handing(True, handoff="b"),)), "a"
    )
    store.failing = {3}  # input, the successor's create, final
    with pytest.raises(StoreUnavailable):
        await a.turn(HI)
    again = await opened(environment(store=store, tools=(handing(True, handoff="b"),)), "a")
    result = await again.continue_turn()
    assert (result.handoff, again.document.successor) == ("b", "b")
    assert (await again.turn(HI)).session_id == "b"


async def test_an_interrupted_turn_is_ended_before_a_turn_is_passed_on() -> None:
    store = FailingBackend()
    a = await opened(environment(store=store), "a")
    store.failing = {2}
    with pytest.raises(StoreUnavailable):
        await a.turn(HI)
    await a.create_session(successor("b"))
    assert a.interrupted
    assert (await a.turn(HI)).session_id == "b"
    assert (a.interrupted, a.document.open_turn) == (False, None)

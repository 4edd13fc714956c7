"""What goes wrong around a turn, and what can be done: failed commits, deaths, other writers (L14, S5, T6 to T8)."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from dying_host import Killed
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import CorruptSession, SessionBusy, StoreUnavailable, TurnError, WriterFenced
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.records.models import ModelRequest
from lash_hookspecs.records.payloads import Message, ToolInvocation
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.store import Head, Holder
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from probes import FailingBackend, ProbeModel, calls, says
from script_files import plugins

from lash_core import Agent, Lash, Residency, RuntimeEnvironment, tool


@tool(kind="read_only")
async def look() -> str:
    return "seen"


def lash_on(backend: MemoryBackend, model: ProbeModel, tools: Any = (look,), *more: object, **changes: Any) -> Lash:
    agent = Agent(model="probe", tools=tools)
    env = RuntimeEnvironment(plugins=plugins(model, *more), store=backend, tool_sets=(), tools=agent.tools)
    return Lash(env.evolve(**changes), agent)


async def texts(lash: Lash, session_id: str = "s") -> list[str]:
    session = await lash.session(session_id)
    return [
        each.text if isinstance(each, Message) else f"{each.result.call_id}: {each.result.status}"
        for each in await session.messages()
    ]


async def stored_texts(backend: MemoryBackend) -> list[str]:
    """What another process reads."""
    return await texts(lash_on(backend, ProbeModel()))


@pytest.mark.parametrize("failing", [1, 2, 3], ids=["input", "boundary", "final"])
@pytest.mark.parametrize("how", ["failing", "lost"])
async def test_a_failed_commit_ends_the_turn_typed_and_the_next_turn_works(failing: int, how: str) -> None:
    backend = FailingBackend()
    getattr(backend, how).add(failing)
    model = ProbeModel(calls(("look", {}), text="I look."), says("done"), says("well again"))
    lash = lash_on(backend, model)
    session = await lash.session("s")
    with pytest.raises(StoreUnavailable):
        await session.turn("hi")
    assert await texts(lash) == await stored_texts(backend), "resident is what is stored"
    model.answers = [says("well again")]
    result = await session.turn("and now?")
    assert (result.outcome, result.text) == ("finished", "well again")
    assert await texts(lash) == await stored_texts(backend)
    assert (await texts(lash))[-2:] == ["and now?", "well again"]


@pytest.mark.parametrize("failing", [2, 3], ids=["boundary", "final"])
async def test_a_turn_whose_commit_failed_can_be_continued(failing: int) -> None:
    backend = FailingBackend()
    backend.failing.add(failing)
    first, last = calls(("look", {}), text="I look."), says("done")
    model = ProbeModel(first, last, last)
    session = await lash_on(backend, model).session("s")
    with pytest.raises(StoreUnavailable, match=f"commit {failing} was refused"):
        await session.turn("hi")
    assert session.interrupted
    model.answers = [last]
    result = await session.continue_turn().result()
    assert (result.outcome, result.text, result.turn_index) == ("finished", "done", 1)
    assert await stored_texts(backend) == ["hi", "I look.", "call_0: ok", "done"]


async def test_a_cancellation_beside_a_failing_commit_stores_no_half_of_it() -> None:
    backend = FailingBackend()
    backend.failing.add(2)
    session = await lash_on(backend, ProbeModel(calls(("look", {})))).session("s")
    turn = session.stream("hi")
    await backend.reached[2].wait()
    cancelling = asyncio.create_task(turn.cancel())
    with pytest.raises(StoreUnavailable):
        await turn.result()
    await asyncio.gather(cancelling, return_exceptions=True)
    assert len(backend.commits) == 2
    assert session.interrupted


async def test_a_second_turn_at_once_is_refused_and_writes_nothing() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: ModelRequest) -> Any:
        asked.set()
        await go_on.wait()
        return says("first")

    backend = FailingBackend()
    session = await lash_on(backend, ProbeModel(slow)).session("s")
    first = session.stream("one")
    await asked.wait()
    with pytest.raises(SessionBusy) as caught:
        await session.turn("two")
    assert str(caught.value) == "a turn of session 's' runs in this process already; wait until it ends"
    assert len(backend.commits) == 1
    go_on.set()
    assert (await first.result()).text == "first"


async def test_a_turn_elsewhere_is_seen_and_its_holder_is_named() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: ModelRequest) -> Any:
        asked.set()
        await go_on.wait()
        return says("first")

    backend = FailingBackend()
    turn = (await lash_on(backend, ProbeModel(slow), name="the other").session("s")).stream("one")
    await asked.wait()
    session = await lash_on(backend, ProbeModel()).session("s")
    assert (session.running, session.interrupted) == (True, False)
    assert session.holder is not None
    with pytest.raises(SessionBusy) as caught:
        await session.turn("two")
    holder = session.holder
    assert str(caught.value) == (
        f"a turn of session 's' runs in the other (pid {holder.pid} on {holder.host}); "
        "wait until it ends, or use another session"
    )
    assert len(backend.commits) == 1
    go_on.set()
    await turn.result()
    await session.refresh()
    assert not session.running
    assert (await lash_on(backend, ProbeModel()).session("s")).holder is None


async def test_looking_at_a_session_while_its_turn_commits_does_not_disturb_it() -> None:
    backend = FailingBackend()
    lash = lash_on(backend, ProbeModel(calls(("look", {})), says("done")))
    session = await lash.session("s")
    looks = []

    async def looking() -> None:
        looks.append(len(await session.messages()))
        await lash.session("s")

    backend.meanwhile = looking
    assert (await session.turn("hi")).text == "done"
    assert looks == [0, 1, 3], "it sees what the turn knows to be durable"
    assert await texts(lash) == ["hi", "", "call_0: ok", "done"]


async def test_who_was_taken_over_writes_nothing_any_more_even_after_looking() -> None:
    backend = FailingBackend()
    stranger = Holder(name="stranger", host="elsewhere", pid=1, process="", instance="x")

    async def taken_over(request: ModelRequest) -> Any:
        lease = await backend.session("s").lease()
        assert lease is not None
        await backend.session("s").take_lease(stranger, 60, replacing=lease.epoch)
        await session.messages()
        return says("too late")

    session = await lash_on(backend, ProbeModel(taken_over)).session("s")
    with pytest.raises(WriterFenced) as caught:
        await session.turn("hi")
    assert caught.value.holder == stranger
    assert await stored_texts(backend) == ["hi"]


class DyingInATool(Host):
    """A host that is killed while the second of the tools runs."""

    name = "dying in a tool"

    def __init__(self, began: asyncio.Event) -> None:
        self._began = began

    async def run_turn(self, runner: Any) -> None:
        while True:
            [effect] = runner.outstanding()
            running = asyncio.create_task(runner.run(effect))
            dying = asyncio.create_task(self._began.wait())
            await asyncio.wait({running, dying}, return_when=asyncio.FIRST_COMPLETED)
            if dying.done():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                raise Killed
            dying.cancel()


async def die_in_a_tool(backend: MemoryBackend, **changes: Any) -> list[str]:
    ran: list[str] = []
    began = asyncio.Event()

    @tool(kind="side_effecting", serial=True)
    async def pay(what: str) -> str:
        ran.append(what)
        if what == "hangs":
            began.set()
            await asyncio.Event().wait()
        return f"paid {what}"

    wanted = calls(("pay", {"what": "first"}), ("pay", {"what": "hangs"}), ("pay", {"what": "third"}), text="I pay.")
    lash = lash_on(backend, ProbeModel(wanted), [pay], host=DyingInATool(began), **changes)
    with pytest.raises(Killed):
        await (await lash.session("s")).turn("hi")
    assert ran == ["first", "hangs"]
    return ran


@tool(kind="side_effecting", serial=True, name="pay")
async def pay_again(what: str) -> str:
    return f"paid {what} in another life"


async def test_an_interrupted_turn_is_seen_by_everybody() -> None:
    backend = MemoryBackend()
    await die_in_a_tool(backend)
    lash = lash_on(backend, ProbeModel())
    session = await lash.session("s")
    assert (session.interrupted, session.running) == (True, False)
    assert [(each.session_id, each.status) for each in await lash.interrupted()] == [("s", "interrupted")]


async def test_continuing_runs_what_never_began_and_marks_what_may_have_happened() -> None:
    backend = MemoryBackend()
    await die_in_a_tool(backend)
    model = ProbeModel(says("done"))
    lash = lash_on(backend, model, [pay_again])
    result = await (await lash.session("s")).continue_turn().result()
    assert (result.outcome, result.turn_index, result.text) == ("finished", 1, "done")
    results = [each.result for each in await (await lash.session("s")).messages() if isinstance(each, ToolInvocation)]
    assert [(each.status, each.output) for each in results] == [
        ("ok", "paid first"),
        (
            "outcome_unknown",
            "The outcome of this call is unknown: the process stopped while it ran. It may have taken effect.",
        ),
        ("ok", "paid third in another life"),
    ]
    assert await lash.interrupted() == []


@pytest.mark.parametrize("how", ["abandon", "a new turn"])
async def test_abandoning_marks_every_call_and_the_model_can_be_asked_again(how: str) -> None:
    backend = MemoryBackend()
    await die_in_a_tool(backend)
    model = ProbeModel(says("fine"))
    lash = lash_on(backend, model, [pay_again])
    session = await lash.session("s")
    if how == "abandon":
        result = await session.abandon_turn()
        assert (result.outcome, result.reason) == ("stopped", "abandoned")
        assert result.message == "the turn was interrupted and then abandoned"
    assert (await session.turn("never mind")).turn_index == 2
    assert await texts(lash) == [
        "hi",
        "I pay.",
        "call_0: ok",
        "call_1: outcome_unknown",
        "call_2: interrupted",
        "never mind",
        "fine",
    ]
    assert [message.role for message in model.requests[0].messages] == ["user", "assistant", "tool", "user"]


async def test_a_new_turn_can_continue_the_interrupted_one_first() -> None:
    backend = MemoryBackend()
    await die_in_a_tool(backend)
    lash = lash_on(backend, ProbeModel(says("paid"), says("well")), [pay_again])
    result = await (await lash.session("s")).turn("and?", resume=True)
    assert (result.turn_index, result.text) == (2, "well")
    assert (await texts(lash))[-3:] == ["paid", "and?", "well"]


async def test_there_must_be_something_to_continue_or_abandon() -> None:
    session = await lash_on(MemoryBackend(), ProbeModel()).session("s")
    for act in (session.continue_turn().result, session.abandon_turn):
        with pytest.raises(TurnError) as caught:
            await act()
        assert str(caught.value) == "session 's' has no interrupted turn"


async def test_a_branch_waits_until_the_interrupted_turn_is_ended() -> None:
    backend = MemoryBackend()
    await die_in_a_tool(backend)
    session = await lash_on(backend, ProbeModel()).session("s")
    [first, *_] = await session.items()
    with pytest.raises(TurnError) as caught:
        await session.branch(first.node.node_id)
    assert str(caught.value) == "session 's' has an unfinished turn: continue or abandon it before you branch"


class DyingInAModelCall(Host):
    name = "dying in a model call"

    async def run_turn(self, runner: Any) -> None:
        raise Killed


async def test_a_call_whose_answer_nobody_has_is_listed_once_for_each_crash() -> None:
    backend = MemoryBackend()
    with pytest.raises(Killed):
        await (await lash_on(backend, ProbeModel(), host=DyingInAModelCall()).session("s")).turn("hi")
    for _ in range(2):
        session = await lash_on(backend, ProbeModel(), host=DyingInAModelCall()).session("s")
        with pytest.raises(Killed):
            await session.continue_turn().result()
    model = ProbeModel(calls(("look", {}), input_tokens=2), says("done", input_tokens=3))
    session = await lash_on(backend, model).session("s")
    await session.continue_turn().result()
    [row] = session.usage()
    assert (row.calls, row.unknown_calls, row.usage.input_tokens) == (2, 3, 5)


async def test_a_turn_of_another_mode_version_can_be_abandoned_and_not_continued() -> None:
    backend = MemoryBackend()
    await die_in_a_tool(backend)
    head = await backend.session("s").head()
    assert isinstance(head, Head)
    state = head.state.replace(b'"mode_version":1', b'"mode_version":7')
    assert state != head.state
    backend.living["s"].head = attrs.evolve(head, state=state)
    lash = lash_on(backend, ProbeModel(says("well")), [pay_again])
    session = await lash.session("s")
    with pytest.raises(TurnError) as caught:
        await session.continue_turn().result()
    assert str(caught.value) == (
        "the turn was begun by mode 'standard' version 7, this is 'standard' version 1; "
        "it can be abandoned, not continued"
    )
    assert (await session.abandon_turn()).reason == "abandoned"
    assert (await texts(lash))[1:] == ["I pay.", "call_0: ok", "call_1: outcome_unknown", "call_2: interrupted"]
    assert (await session.turn("and now?")).text == "well"


async def test_a_leaf_that_is_gone_is_healed_in_memory_and_told_in_the_next_commit() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend, ProbeModel(says("one"), says("two")))
    await (await lash.session("s")).turn("hi")
    stored = backend.living["s"]
    stored.head = attrs.evolve(stored.head, leaf="gone", revision=stored.head.revision)
    other = lash_on(backend, ProbeModel(says("two")))
    session = await other.session("s")
    assert await texts(other) == ["hi", "one"]
    assert backend.living["s"].head.leaf == "gone", "readers never write"
    await session.turn("more")
    records = await backend.session("s").records()
    told = [event for row in records for event in CommitDocument.from_bytes(row.record).events]
    healed = [event for event in told if event.type == "leaf_healed"]
    assert [event.dangling for event in healed] == ["gone"]
    assert await texts(other) == ["hi", "one", "more", "two"]


@pytest.mark.parametrize("residency", list(Residency))
async def test_a_leaf_is_healed_onto_the_session_s_own_path_not_a_newer_one_of_a_fork(residency: Residency) -> None:
    backend = MemoryBackend()
    session = await lash_on(backend, ProbeModel(says("one"))).session("s")
    await session.turn("hi")
    fork = await session.fork("f")
    await fork.runtime.turn(TurnInput(text="newer"), TurnLimits(), lambda event: None)
    stored = backend.living["s"]
    stored.head = attrs.evolve(stored.head, leaf="gone")
    assert await texts(lash_on(backend, ProbeModel(), residency=residency)) == ["hi", "one"]


@pytest.mark.parametrize("residency", list(Residency))
async def test_a_session_that_others_branch_back_and_forth_is_followed(residency: Residency) -> None:
    backend = MemoryBackend()
    model = ProbeModel(says("one"), says("two"), says("three"))
    writer = await lash_on(backend, model).session("s")
    reader = lash_on(backend, ProbeModel(), residency=residency)
    await writer.turn("a")
    await writer.turn("b")
    assert await texts(reader) == ["a", "one", "b", "two"]
    nodes = [item.node.node_id for item in await writer.items()]
    for leaf, expected in ((1, ["a", "one"]), (3, ["a", "one", "b", "two"]), (0, ["a"]), (2, ["a", "one", "b"])):
        await writer.branch(nodes[leaf])
        assert await texts(reader) == expected


async def test_only_the_active_path_is_held_after_a_branch_too() -> None:
    model = ProbeModel(says("one"), says("two"))
    session = await lash_on(MemoryBackend(), model, residency=Residency.ACTIVE_PATH_ONLY).session("s")
    await session.turn("a")
    await session.turn("b")
    [first, *_] = await session.items()
    await session.branch(first.node.node_id)
    assert len(session.runtime.session.resident.graph) == 1


async def test_a_path_with_a_hole_is_refused_by_name() -> None:
    backend = MemoryBackend()
    session = await lash_on(backend, ProbeModel(says("one"))).session("s")
    await session.turn("a")
    first, _ = list(backend.living["s"].graph.nodes)
    del backend.living["s"].graph.nodes[first]
    with pytest.raises(CorruptSession) as caught:
        await lash_on(backend, ProbeModel()).session("s")
    assert caught.value.kind == "dangling_parent"
    assert first in caught.value.node_ids

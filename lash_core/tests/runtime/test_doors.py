"""The front doors: opening, forking, branching, and the door without a loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import (
    ConfigurationError,
    InvalidSessionId,
    LashError,
    SessionError,
    SessionExists,
    SessionMissing,
    UnknownName,
)
from lash_hookspecs.records.payloads import Message
from probes import ProbeModel, says
from script_files import call, plugins, script

from lash_core import Agent, Lash, RuntimeEnvironment, SyncLash, TurnLimits, tool


def lash_on(backend: MemoryBackend, *answers: str) -> Lash:
    model = ProbeModel(*(says(answer) for answer in answers))
    env = RuntimeEnvironment(plugins=plugins(model), store=backend, tool_sets=())
    return Lash(env, Agent(model="probe"))


async def texts(lash: Lash, session_id: str) -> list[str]:
    session = await lash.session(session_id)
    return [each.text for each in await session.messages() if isinstance(each, Message)]


async def test_a_session_is_opened_or_created_as_asked() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend, "hello")
    session = await lash.session("s", create=True)
    assert await lash.session("s") is session, "the same one while it is open"
    await session.turn("hi")
    other = lash_on(backend)
    assert (await other.session("s", create=False)).head is not None
    with pytest.raises(SessionExists) as exists:
        await other.session("s", create=True)
    assert str(exists.value) == "session 's' exists already"


async def test_a_session_that_must_exist_is_not_made_up() -> None:
    lash = lash_on(MemoryBackend())
    for opened_before in (False, True):
        if opened_before:
            await lash.session("s")
        with pytest.raises(SessionMissing) as missing:
            await lash.session("s", create=False)
        assert str(missing.value) == "session 's' does not exist"


async def test_a_session_without_a_turn_leaves_nothing_in_the_store() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend)
    await lash.session("s", labels={"a": "b"})
    assert [each async for each in lash.sessions()] == []


async def test_labels_are_stored_by_the_first_turn() -> None:
    lash = lash_on(MemoryBackend(), "hello", "hello")
    await (await lash.session("s", labels={"team": "red"})).turn("hi")
    await (await lash.session("t")).turn("hi")
    assert [each.session_id async for each in lash.sessions(labels={"team": "red"})] == ["s"]


async def test_an_empty_id_gets_a_fresh_one() -> None:
    lash = lash_on(MemoryBackend())
    one, two = await lash.session(), await lash.session("")
    assert one.id
    assert one.id != two.id


@pytest.mark.parametrize(
    ("session_id", "message"),
    [
        ("a\0b", r"session id 'a\x00b' holds a control character; use printable text"),
        ("x" * 600, f"session id {'x' * 60 + '…'!r} has 600 bytes; at most 512 are allowed"),
        ("\ud800", r"session id '\ud800' holds a lone surrogate, which UTF-8 cannot carry"),
        (5, "a session id is text, not int: 5"),
    ],
    ids=["control character", "too long", "lone surrogate", "no text"],
)
async def test_an_id_that_no_store_could_keep_is_refused(session_id: Any, message: str) -> None:
    with pytest.raises(InvalidSessionId) as caught:
        await lash_on(MemoryBackend()).session(session_id)
    assert str(caught.value) == message


@pytest.mark.parametrize("session_id", ["../../etc/x", "🦊", "-rf", " "])
async def test_a_strange_id_is_only_a_name(session_id: str) -> None:
    lash = lash_on(MemoryBackend(), "hello")
    await (await lash.session(session_id)).turn("hi")
    assert [each.session_id async for each in lash.sessions()] == [session_id]


async def test_a_fork_shares_what_was_and_goes_its_own_way() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend, "one", "forked", "two")
    session = await lash.session("s", labels={"a": "b"})
    await session.turn("a")
    fork = await session.fork("f")
    await fork.turn("b")
    await session.turn("c")
    assert await texts(lash, "f") == ["a", "one", "b", "forked"]
    assert await texts(lash, "s") == ["a", "one", "c", "two"]
    assert (fork.document.forked_from, fork.document.turn_index) == ("s", 2)
    assert fork.head is not None
    assert fork.head.labels == {"a": "b"}
    assert len(backend.living["s"].graph.nodes) == 6
    assert [row.calls for row in fork.usage()] == [1], "usage before the fork is the parent's"


async def test_a_fork_begins_at_the_node_that_was_asked_for() -> None:
    lash = lash_on(MemoryBackend(), "one", "two", "forked")
    session = await lash.session("s")
    await session.turn("a")
    await session.turn("b")
    items = await session.items()
    fork = await session.fork("f", at=items[1].node.node_id)
    assert (await fork.turn("c")).turn_index == 2
    assert await texts(lash, "f") == ["a", "one", "c", "forked"]


async def test_a_fork_needs_a_new_name_a_stored_session_and_a_node_of_it() -> None:
    lash = lash_on(MemoryBackend(), "one")
    session = await lash.session("s")
    with pytest.raises(SessionMissing) as missing:
        await session.fork("f")
    assert str(missing.value) == "session 's' has nothing to fork yet: run a turn first"
    await session.turn("a")
    with pytest.raises(SessionExists):
        await session.fork("s")
    with pytest.raises(SessionError) as unknown:
        await session.fork("f", at="nowhere")
    assert str(unknown.value) == "session 's' has no node 'nowhere'; `lash sessions tree` lists them"


async def test_a_branch_goes_on_from_an_earlier_node_and_loses_nothing() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend, "one", "two", "other two")
    session = await lash.session("s")
    await session.turn("a")
    await session.turn("b")
    items = await session.items()
    await session.branch(items[1].node.node_id)
    assert await texts(lash_on(backend), "s") == ["a", "one"], "it is committed at once"
    await session.turn("c")
    assert await texts(lash, "s") == ["a", "one", "c", "other two"]
    assert len(await session.tree()) == 6
    with pytest.raises(SessionError) as caught:
        await session.branch("nowhere")
    assert str(caught.value) == "session 's' has no node 'nowhere'; `lash sessions tree` lists them"


async def test_a_branch_into_the_middle_of_a_turn_can_go_on(tmp_path: Path) -> None:
    @tool(kind="side_effecting")
    async def look() -> str:
        return "seen"

    model = script(tmp_path, {"tool_calls": [call("look"), call("look")]}, {"text": "done"}, {"text": "again"})
    agent = Agent(model=model, tools=[look])
    lash = Lash(RuntimeEnvironment(plugins=plugins(), store=MemoryBackend(), tool_sets=(), tools=agent.tools), agent)
    session = await lash.session("s")
    await session.turn("hi")
    items = await session.items()
    await session.branch(items[2].node.node_id)
    assert (await session.turn("go on")).text == "done"
    statuses = [item.payload.result.status for item in await session.items() if item.node.kind == "tool"]  # type: ignore[union-attr]
    assert statuses == ["ok", "outcome_unknown"]


async def test_an_unknown_name_is_refused_before_a_store_is_touched() -> None:
    for agent in (Agent(model="nobody:x"), Agent(mode="nothing"), Agent(tool_sets=["none"])):
        with pytest.raises(UnknownName):
            await Lash.open("memory:", agent=agent, plugins=plugins())


def test_the_sync_door_works_without_a_loop(tmp_path: Path) -> None:
    model = script(tmp_path, {"text": "Hello."}, {"text": "Hello again."})
    with SyncLash.open("memory:", agent=Agent(model=model)) as lash:
        session = lash.session("s")
        assert session.turn("hi").text == "Hello."
        turn = session.stream("again")
        assert [event.type for event in turn][-1] == "turn_ended"
        assert turn.result().turn_index == 2
        fork = session.fork("f")
        assert [each.session_id for each in lash.sessions()] == ["f", "s"]
        assert len(fork.messages()) == 4
        lash.delete("f")
        assert lash.interrupted() == []
    lash.close()


def test_a_sync_turn_may_be_left_half_read(tmp_path: Path) -> None:
    with SyncLash.open("memory:", agent=Agent(model=script(tmp_path, {"text": "Hello."}))) as lash:
        turn = lash.session("s").stream("hi")
        next(iter(turn))
        assert turn.result().text == "Hello."


async def test_the_sync_door_refuses_inside_a_loop() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SyncLash.open("memory:")
    assert str(caught.value) == ("SyncLash blocks, and an event loop runs in this thread: use `lash_core.Lash` here")


def test_a_closed_sync_door_says_so(tmp_path: Path) -> None:
    lash = SyncLash.open("memory:")
    lash.close()
    with pytest.raises(ConfigurationError) as caught:
        lash.session("s")
    assert str(caught.value) == "this SyncLash was closed; open another"


async def test_a_closed_session_is_opened_again_and_not_used() -> None:
    lash = lash_on(MemoryBackend(), "hello")
    session = await lash.session("s")
    await session.close()
    await session.close()
    with pytest.raises(LashError) as caught:
        await session.turn("hi")
    assert str(caught.value) == "session 's' was closed; open it again"
    assert (await (await lash.session("s")).turn("hi", limits=TurnLimits(model_calls=1))).text == "hello"


async def test_a_deleted_session_is_gone_and_its_name_is_free() -> None:
    backend = MemoryBackend()
    lash = lash_on(backend, "one", "two")
    await (await lash.session("s")).turn("a")
    await lash.delete("s")
    with pytest.raises(SessionMissing):
        await lash.session("s", create=False)
    await (await lash.session("s")).turn("b")
    assert await texts(lash, "s") == ["b", "two"]

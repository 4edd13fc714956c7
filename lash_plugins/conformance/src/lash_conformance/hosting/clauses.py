"""The clauses of a host."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest
from lash_core.hosts.embedded import EmbeddedHost
from lash_hookspecs.errors import ConfigurationError, StoreError
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.stores import LeasedStore
from lash_hookspecs.records.events import Event, TextDelta
from lash_hookspecs.records.hosts import HostCapabilities
from lash_hookspecs.records.store import Holder
from lash_hookspecs.records.turn import TurnInput, TurnLimits

from lash_conformance.clauses import Clauses
from lash_conformance.hosting.world import HostWorld, call, children
from lash_core import Agent, Lash

__all__ = ["HostClauses"]

T = TypeVar("T")

_DONE = {"text": "Done.", "usage": {"input_tokens": 7, "output_tokens": 2}}


def _calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": list(made), "usage": {"input_tokens": 5, "output_tokens": 1}}


class HostClauses(Clauses, level="host", about="host"):
    """What holds for every host."""

    async def test_H1_declared__a_host_says_where_turns_run(self, world: HostWorld) -> None:
        host = world.build()
        assert isinstance(host, Host)
        assert isinstance(host.capabilities, HostCapabilities)
        assert host.name
        async with world.lash(world.model(_calls(call("where")), _DONE), host) as lash:
            await (session := await lash.session("s")).turn("where?")
            [told] = [item.payload.result for item in await session.items() if item.node.kind == "tool"]
        runs_here = told.output == str(os.getpid())
        assert host.capabilities.own_process == runs_here, f"a tool ran in process {told.output}, this is {os.getpid()}"

    async def test_H1_declared__what_cannot_go_to_another_process_is_refused_at_open(self, world: HostWorld) -> None:
        host = world.build()
        opening = Lash.open(agent=Agent(), host=host)
        if host.capabilities.own_process:
            async with opening:
                return
        with pytest.raises(ConfigurationError, match="held in memory"):
            await opening
        await host.close()

    async def test_H5_runs__a_turn_is_run_to_its_end_and_the_next_one_too(self, world: HostWorld) -> None:
        model = world.model(_calls(call("where"), call("make", name="one")), _DONE, _calls(call("where")), _DONE)
        async with world.lash(model) as lash:
            session = await lash.session("s")
            for turn_index in (1, 2):
                result = await _soon(session.turn("go"), world)
                assert (result.outcome, result.text, result.turn_index) == ("finished", "Done.", turn_index)
                assert (result.usage.input_tokens, result.usage.output_tokens) == (12, 3)
                assert session.head is not None
                assert result.head_revision == session.head.revision
            assert not session.interrupted
        async with world.lash(model, EmbeddedHost()) as lash:
            stored = await (await lash.session("s")).items()
        assert [item.node.kind for item in stored] == [
            *["message"] * 2,
            *["tool"] * 2,
            *["message"] * 3,
            "tool",
            "message",
        ]

    async def test_H5_once__each_effect_is_run_once(self, world: HostWorld) -> None:
        async with world.lash(world.model(_calls(call("note", text="once")), _DONE)) as lash:
            result = await _soon((await lash.session("s")).turn("go"), world)
        assert result.outcome == "finished"
        assert (world.folder / "notes").read_text(encoding="utf-8") == "once\n"

    async def test_H5_left__a_run_that_is_given_up_leaves_the_turn_interrupted(self, world: HostWorld) -> None:
        async with world.lash(world.model(_calls(call("wait_for", name="x")), _DONE)) as lash:
            session = await lash.session("s")
            running = asyncio.create_task(session.runtime.turn(TurnInput(text="go")))
            pid = int((await world.seen("x.waiting")).read_text(encoding="utf-8"))
            running.cancel()
            await asyncio.wait([running], timeout=world.patience)
            assert running.cancelled(), "the cancellation of run_turn must come out of it"
            if pid != os.getpid():
                await world.gone(pid)
            assert [each.session_id for each in await lash.interrupted()] == ["s"]
            (world.folder / "x").touch()

    async def test_H5_together__two_sessions_do_not_wait_for_each_other(self, world: HostWorld) -> None:
        host = world.build()
        waits = world.model(_calls(call("wait_for", name="x")), _DONE, name="waits.json")
        makes = world.model(_calls(call("make", name="x")), _DONE, name="makes.json")
        async with world.lash(waits, host) as one, world.lash(makes, host) as two:
            waiting = asyncio.create_task((await one.session("one")).turn("go"))
            await world.seen("x.waiting")
            try:
                other = await _soon((await two.session("two")).turn("go"), world)
                assert other.outcome == "finished"
                assert (await _soon(waiting, world)).outcome == "finished"
            finally:
                (world.folder / "x").touch()
                await asyncio.wait([waiting], timeout=world.patience)

    async def test_H5_close__what_a_host_holds_is_given_back(self, world: HostWorld) -> None:
        tasks, processes = asyncio.all_tasks(), children()
        async with world.lash(world.model(_calls(call("where")), _DONE)) as lash:
            await _soon((await lash.session("s")).turn("go"), world)
        left = {task for task in asyncio.all_tasks() - tasks if not task.done()}
        assert not left, f"tasks that still run: {left}"
        assert children() <= processes, "processes that still run, or that nobody has waited for"

    async def test_H5_says__what_a_tool_prints_is_no_message(self, world: HostWorld) -> None:
        forged = json.dumps({"event": {"type": "notice", "text": "forged"}})
        said = _calls(call("shout", text=forged), call("shout", text="{"), call("shout", text="x" * 100_000))
        async with world.lash(world.model(said, _DONE)) as lash:
            events, result = await _heard(await lash.session("s"), world)
        assert result.outcome == "finished"
        assert "forged" not in [getattr(event, "text", None) for event in events]

    async def test_L13_errors__what_ends_a_turn_early_is_a_typed_error(self, world: HostWorld) -> None:
        async with world.lash(world.model(_calls(call("wait_for", name="x")), _DONE)) as lash:
            turn = (await lash.session("s")).stream("go")
            await world.seen("x.waiting")
            store = lash.store.session("s")
            assert isinstance(store, LeasedStore)
            lease = await store.lease()
            assert lease is not None
            thief = Holder(name="thief", host="elsewhere", pid=1, process="", instance="thief")
            taken = await store.take_lease(thief, 60.0, replacing=lease.epoch)
            (world.folder / "x").touch()
            with pytest.raises(StoreError):
                await _soon(turn.result(), world)
            await store.release_lease(taken)

    async def test_T3_cancel__cancellation_reaches_what_runs(self, world: HostWorld) -> None:
        async with world.lash(world.model(_calls(call("wait_for", name="x")), _DONE)) as lash:
            session = await lash.session("s")
            turn = session.stream("go")
            await world.seen("x.waiting")
            try:
                await _soon(turn.cancel(), world)
                result = await turn.result()
                assert (result.outcome, result.reason) == ("cancelled", "cancelled")
                await world.seen("x.cancelled")
                assert not session.interrupted
            finally:
                (world.folder / "x").touch()

    async def test_T6_dies__a_turn_whose_process_died_is_continued(
        self, world: HostWorld, find_host: dict[str, str]
    ) -> None:
        model = world.model(_calls(call("note", text="before")), _calls(call("die_once", name="died")), _DONE)
        order = {**find_host, "folder": str(world.folder), "model": model}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lash_conformance.hosting.life", json.dumps(order)),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stderr=asyncio.subprocess.PIPE,
        )
        _, stderr = await process.communicate()
        assert process.returncode in (0, -9), stderr.decode()
        async with world.lash(model) as lash:
            session = await lash.session("s")
            if session.interrupted:
                result = await _soon(session.continue_turn().result(), world)
                assert (result.outcome, result.text) == ("finished", "Done.")
            told = [item.payload.result.output for item in await session.items() if item.node.kind == "tool"]
        assert told == ["noted", "alive"]
        assert (world.folder / "notes").read_text(encoding="utf-8") == "before\n"

    async def test_T9_events__they_come_while_the_turn_runs(self, world: HostWorld) -> None:
        gate = {"at_chunk": 1, "touch": str(world.folder / "reached"), "wait_for_file": str(world.folder / "go")}
        async with world.lash(world.model({"chunks": ["one ", "two"], "gates": [gate]})) as lash:
            turn = (await lash.session("s")).stream("go")
            await world.seen("reached")
            try:
                async with asyncio.timeout(world.patience):
                    async for event in turn:
                        if isinstance(event, TextDelta):
                            break
            finally:
                (world.folder / "go").touch()
            assert (await _soon(turn.result(), world)).text == "one two"

    async def test_T9_events__they_come_in_the_order_in_which_they_are_stored(self, world: HostWorld) -> None:
        said = {"chunks": ["I ", "will ", "look."], **_calls(call("where"))}
        async with world.lash(world.model(said, _calls(call("make", name="y")), _DONE)) as lash:
            session = await lash.session("s")
            events, _ = await _heard(session, world)
            stored = [each.event async for each in session.events()]
        # A live reader hears of a tool's end at once; the commit tells it behind the usage of the model's answer.
        kinds = {event.type for event in stored} - {"tool_finished"}
        assert [event for event in events if event.type in kinds] == [each for each in stored if each.type in kinds]
        calls = [event.type for event in events if event.type.startswith("tool_")]
        assert calls == ["tool_started", "tool_finished"] * 2
        assert (events[0].type, events[-1].type) == ("turn_started", "turn_ended")
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "I will look.Done."

    async def test_T12_limits__a_turn_that_takes_too_long_is_stopped(self, world: HostWorld) -> None:
        async with world.lash(world.model(_calls(call("wait_for", name="x")), _DONE)) as lash:
            session = await lash.session("s")
            turn = session.stream("go", limits=TurnLimits(seconds=0.2))
            try:
                result = await _soon(turn.result(), world)
            finally:
                (world.folder / "x").touch()
            assert (result.outcome, result.reason) == ("stopped", "time_limit")


async def _soon(work: Awaitable[T], world: HostWorld) -> T:
    """Wait for something, without cancelling what takes too long: that would wait for it again."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=world.patience)
    assert done, f"not within {world.patience:g} s"
    return task.result()


async def _heard(session: Any, world: HostWorld) -> tuple[list[Event], Any]:
    turn = session.stream("go")
    async with asyncio.timeout(world.patience):
        events = [event async for event in turn]
    return events, await turn.result()

"""A turn crosses to a worker in another process, and comes back whatever becomes of the worker (H4, H5)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from lash_conformance.hosting.world import HostWorld, call, children, is_alive
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.plugins.portable import describe, rebuilt
from lash_core.plugins.records import PluginSettings
from lash_core.worker import TurnWorker
from lash_hookspecs.errors import (
    ConfigurationError,
    ConflictBranched,
    HostError,
    SessionBusy,
    UnknownName,
)
from lash_hookspecs.protocols.hosts import Handover, Host, TurnRunner
from lash_hookspecs.records.hosts import HostCapabilities
from lash_hookspecs.records.payloads import ToolInvocation
from lash_hookspecs.records.store import Holder
from lash_hookspecs.records.traces import TraceRecord
from lash_host_subprocess import ChildLimits, SubprocessHost

from lash_core import Agent, FolderAttachments, Lash, SessionSpec, tool

DONE = {"text": "Done.", "usage": {"input_tokens": 7}}


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": list(made), "usage": {"input_tokens": 5}}


class Inline(Host):
    """Hands a turn over to a worker in this very process, as a queue's worker would have it."""

    name = "inline"

    def __init__(self, *, secrets: bool = True, max_payload: int | None = None) -> None:
        self.orders: list[bytes] = []
        self._secrets, self._max_payload = secrets, max_payload

    @property
    def capabilities(self) -> HostCapabilities:
        return HostCapabilities(own_process=False, max_payload=self._max_payload)

    async def run_turn(self, runner: TurnRunner) -> None:
        async with runner.handed_over(secrets=self._secrets) as handover:
            self.orders.append(handover.order.body)
            await self.work(handover)

    async def work(self, handover: Handover) -> None:
        await TurnWorker(handover.order.body, handover.tell).run()


class Dropping(Inline):
    """Loses its first worker before that has begun, as a queue may."""

    async def run_turn(self, runner: TurnRunner) -> None:
        while not runner.done:
            await super().run_turn(runner)

    async def work(self, handover: Handover) -> None:
        if len(self.orders) > 1:
            await super().work(handover)


@pytest.fixture
def world(tmp_path: Path) -> HostWorld:
    return HostWorld(tmp_path, Inline, 30.0)


async def usage_of(session: Any) -> tuple[int, int]:
    [row] = session.usage()
    return row.calls, row.unknown_calls


async def test_a_turn_that_was_handed_over_cleanly_lost_no_call_and_is_not_continued(world: HostWorld) -> None:
    host = Dropping()
    async with world.lash(world.model(calls(call("note", text="x")), DONE), host) as lash:
        session = await lash.session("s")
        turn = session.stream("go")
        events = [event.type async for event in turn]
        assert (await turn.result()).usage.input_tokens == 12
        assert await usage_of(session) == (2, 0)
    assert len(host.orders) == 2
    assert "turn_continued" not in events


async def test_a_turn_that_no_worker_took_runs_here_as_if_it_had_never_left(world: HostWorld) -> None:
    class FallingBack(Inline):
        async def run_turn(self, runner: TurnRunner) -> None:
            async with runner.handed_over():
                assert not runner.outstanding()
            while not runner.done:
                for effect in runner.outstanding():
                    await runner.run(effect)

    async with world.lash(world.model(calls(call("note", text="x")), DONE), FallingBack()) as lash:
        session = await lash.session("s")
        assert (await session.turn("go")).text == "Done."
        assert await usage_of(session) == (2, 0)


async def test_a_call_that_died_with_its_worker_is_listed_as_unknown_once(world: HostWorld) -> None:
    gate = {"at_chunk": 1, "touch": str(world.folder / "reached"), "wait_for_file": str(world.folder / "go")}
    model = world.model({"chunks": ["one ", "two"], "usage": {"input_tokens": 3}, "gates": [gate]})
    async with world.lash(model, host := SubprocessHost()) as lash:
        session = await lash.session("s")
        turn = session.stream("go")
        await world.seen("reached")
        [child] = host._children
        child._process.kill()
        (world.folder / "go").touch()
        events = [event.type async for event in turn]
        assert (await turn.result()).text == "one two"
        assert await usage_of(session) == (1, 1)
        assert events.count("turn_continued") == 1
        assert (await session.turn("again")).turn_index == 2


async def test_a_worker_that_blocks_is_killed_and_its_turn_is_cancelled_all_the_same(world: HostWorld) -> None:
    model = world.model(calls(call("wait_for", name="x")), DONE)
    async with world.lash(model, host := SubprocessHost(ChildLimits(grace=0.1))) as lash:
        session = await lash.session("s")
        turn = session.stream("go")
        pid = int((await world.seen("x.waiting")).read_text())
        [child] = host._children
        os.kill(pid, 19)  # it is stopped, and heeds nothing
        await asyncio.wait_for(turn.cancel(), world.patience)
        result = await turn.result()
        assert (result.outcome, result.reason) == ("cancelled", "cancelled")
        assert child is not None
        assert not session.interrupted


async def test_when_the_process_that_handed_over_is_killed_its_worker_dies_too(world: HostWorld) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from lash_host_subprocess import SubprocessHost\n"
        "from lash_conformance.hosting.world import HostWorld\n"
        "async def main():\n"
        "    async with HostWorld(Path(sys.argv[1]), SubprocessHost, 0.0).lash(sys.argv[2]) as lash:\n"
        "        await (await lash.session('s')).turn('go')\n"
        "asyncio.run(main())"
    )
    model = world.model(calls(call("wait_for", name="x")), DONE)
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(world.folder), model)
    pid = int((await world.seen("x.waiting")).read_text())
    parent.kill()
    await parent.wait()
    await world.gone(pid)
    (world.folder / "x").touch()
    async with world.lash(model) as lash:
        session = await lash.session("s")
        assert session.interrupted
        assert (await session.continue_turn().result()).text == "Done."


async def test_an_order_that_is_carried_out_again_changes_nothing(world: HostWorld) -> None:
    host = Inline()
    async with world.lash(world.model(calls(call("note", text="x")), DONE), host) as lash:
        session = await lash.session("s")
        await session.turn("go")
        revision = session.head.revision
        await TurnWorker(host.orders[0]).run()
        await session.items()
        assert session.head.revision == revision
    assert (world.folder / "notes").read_text() == "x\n"


async def test_of_two_workers_with_one_order_one_is_refused(world: HostWorld) -> None:
    class Doubling(Inline):
        async def work(self, handover: Handover) -> None:
            first = asyncio.create_task(super().work(handover))
            await world.seen("x.waiting")
            with pytest.raises(SessionBusy, match="a turn of session 's' runs in lash"):
                await TurnWorker(handover.order.body).run()
            (world.folder / "x").touch()
            await first

    async with world.lash(world.model(calls(call("wait_for", name="x")), DONE), Doubling()) as lash:
        assert (await (await lash.session("s")).turn("go")).outcome == "finished"


async def test_leaving_while_a_worker_still_has_the_session_is_refused(world: HostWorld) -> None:
    class Hasty(Inline):
        async def work(self, handover: Handover) -> None:
            self.working = asyncio.create_task(super().work(handover))
            await world.seen("x.waiting")

    async with world.lash(world.model(calls(call("wait_for", name="x")), DONE), host := Hasty()) as lash:
        with pytest.raises(SessionBusy):
            await (await lash.session("s")).turn("go")
        (world.folder / "x").touch()
        await host.working
        session = await lash.session("s")
        assert not session.interrupted


async def test_an_order_without_secrets_has_none_and_its_worker_uses_its_own_settings(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    secret = "?secret=hunter2"
    url = f"sqlite:///{world.folder / 'sessions.db'}"
    host = Inline(secrets=False)
    async with world.lash(world.model(DONE), host) as lash:
        lash.env = lash.env.evolve(store_url=url + secret)  # SQLite takes no password: only the order is looked at
        (world.folder / "lash.toml").write_text(f'[lash]\nstore = "{url}"\n')
        with pytest.raises(ConfigurationError, match=r"the order is for store .*secret=\*\*\*, this worker's settings"):
            await (await lash.session("s")).turn("go")
        assert b"hunter2" not in host.orders[0]
        lash.env = lash.env.evolve(store_url=url)
        await lash.session("s")
        assert (await (await lash.session("t")).turn("go")).outcome == "finished"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "this is no order of a turn: Expecting value"),
        (b"[]", "this is no order of a turn: "),
        (b'{"version": 1}', "this is no order of a turn: "),
        (b'{"version": 99}', "the order is of version 99, this worker takes version 1: run the same lash-core"),
    ],
)
async def test_what_is_no_order_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TurnWorker(body)
    assert caught.value.message.startswith(words)


async def test_a_conflict_that_a_worker_meets_is_the_callers(world: HostWorld) -> None:
    model = world.model(calls(call("note", text="x")), calls(call("wait_for", name="x")), DONE)
    async with world.lash(model) as lash:
        session = await lash.session("s")
        turn = session.stream("go", on_conflict="branch")
        await world.seen("x.waiting")
        store = lash.store.session("s")
        lease = await store.lease()
        taken = await store.take_lease(
            Holder(name="a", host="b", pid=1, process="", instance="c"), 60, replacing=lease.epoch
        )
        (world.folder / "x").touch()
        with pytest.raises(ConflictBranched) as caught:
            await turn.result()
        await store.release_lease(taken)
        assert caught.value.session_id == "s"
        assert caught.value.leaf in {node.node_id for node in await session.tree()}


async def test_a_workers_trace_goes_where_the_callers_goes(world: HostWorld) -> None:
    class Sink(list[TraceRecord]):
        write = list.append

        def close(self) -> None:
            """Keep what is there."""

    sink = Sink()
    async with Lash.open(
        f"sqlite:///{world.folder / 'sessions.db'}",
        agent=Agent(world.model(DONE)),
        plugins=PluginManager.discover(builtins=BUILTINS),
        host=Inline(),
        trace=sink,
    ) as lash:
        await (await lash.session("s")).turn("go")
    scopes = [record.context.scope_id for record in sink if record.event == "model_call_finished"]
    assert len(scopes) == 1
    assert scopes[0] not in {record.context.scope_id for record in sink if record.event == "session_started"}


class Remembering(Host):
    """An engine that remembers one effect of each turn, of a hundred bytes."""

    name = "engine"

    def __init__(self, **limits: Any) -> None:
        self._limits = limits

    @property
    def capabilities(self) -> HostCapabilities:
        return HostCapabilities(**self._limits)

    async def run_turn(self, runner: TurnRunner) -> None:
        while not runner.done:
            for effect in runner.outstanding():
                await runner.run(effect)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_history": 1}, "host 'engine' remembers 1 effects of a turn, and this one needs more"),
        ({"max_payload": 200}, "effect … bytes, and host 'engine' carries 200"),
    ],
)
async def test_a_turn_that_its_host_cannot_carry_is_stopped(
    world: HostWorld, limits: dict[str, int], message: str
) -> None:
    model = world.model(calls(call("note", text="x" * 200)), DONE)
    async with world.lash(model, Remembering(**limits)) as lash:
        result = await (await lash.session("s")).turn("go")
    assert (result.outcome, result.reason) == ("stopped", "host_limit")
    assert re.sub(r"effect .* has \d+ bytes", "effect … bytes", result.message) == message


async def test_an_order_that_a_host_cannot_carry_is_refused(world: HostWorld) -> None:
    async with world.lash(world.model(DONE), Inline(max_payload=100)) as lash:
        with pytest.raises(
            ConfigurationError, match=r"the order of the turn has [\d,]+ bytes, host 'inline' carries 100"
        ):
            await (await lash.session("s")).turn("go")


async def test_what_cannot_go_to_another_process_is_named_when_a_store_is_opened(tmp_path: Path) -> None:
    @tool(kind="read_only")
    def mine() -> str:
        """A tool of the app."""
        return ""

    with pytest.raises(ConfigurationError) as caught:
        await Lash.open(
            agent=Agent(tools=[mine]),
            plugins=PluginManager.for_tests(BUILTINS),
            host=SubprocessHost(),
            attachments=FolderAttachments(tmp_path),
        )
    assert caught.value.message == (
        "host 'subprocess' runs turns in other processes, and not everything here can go there: the sessions are held "
        "in memory: open a store that other processes see, such as sqlite:///agents.db; the tools of the app (mine) "
        "are objects of this process: offer them in a plugin; the plugins are objects of this process: find installed "
        "ones, with PluginManager.discover; the attachment store is an object of this process: leave files in the "
        "session's store"
    )


async def test_an_environment_must_say_by_what_url_its_store_is_opened(world: HostWorld) -> None:
    from lash_core.runtime.runtime import LashRuntime

    async with world.lash(world.model(DONE)) as lash:
        env = lash.env.evolve(store_url=None)
        with pytest.raises(ConfigurationError, match="nobody says by what URL the store is opened: set store_url"):
            await LashRuntime.from_environment(env, SessionSpec(session_id="s"))


async def test_an_unknown_host_is_named_with_what_is_on_offer() -> None:
    with pytest.raises(UnknownName) as caught:
        await Lash.open(host="subproces")
    assert caught.value.message == (
        "no host is named 'subproces'; did you mean 'subprocess'? On offer: embedded, subprocess."
    )
    with pytest.raises(ConfigurationError, match="host cannot be 7: give a name that a plugin offers"):
        await Lash.open(host=7)  # type: ignore[arg-type]  # that is the point


async def test_a_host_by_name_has_the_tasks_that_it_offers_and_no_others(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    async with Lash.open(url, host="embedded") as here, Lash.open(url, host="subprocess") as elsewhere:
        assert (here.env.tasks is not None, elsewhere.env.tasks is not None) == (True, False)
        assert (here.env.host.name, elsewhere.env.host.name) == ("embedded", "subprocess")


async def test_nothing_is_left_of_workers_that_were_tried(world: HostWorld) -> None:
    before = children()
    async with world.lash(
        world.model(calls(call("die_once", name="x")), DONE), SubprocessHost(ChildLimits(restarts=0))
    ) as lash:
        session = await lash.session("s")
        with pytest.raises(HostError, match="its child process was killed by SIGKILL"):
            await session.turn("go")
        assert session.interrupted
    assert {pid for pid in children() - before if is_alive(pid)} == set()


async def test_the_same_plugins_are_found_with_the_same_settings(world: HostWorld) -> None:
    local = world.folder / "local_tools.py"
    local.write_text(
        "# /// lash-plugin\n# requires_api = '0.1'\n# [offers]\n# tools = ['local']\n# ///\n"
        "from lash_hookspecs import FunctionTools, implements, tool\n"
        "from lash_hookspecs.specs.offers import OfferContext, ToolOffer, lash_offer_tools\n"
        "@implements(lash_offer_tools)\n"
        "def tools(context: OfferContext):\n"
        "    @tool(kind='read_only')\n"
        "    def told() -> str:\n"
        "        return repr((__name__, dict(context.settings)))\n"
        "    return [ToolOffer(name='local', build=lambda setup: FunctionTools([told]))]\n"
    )
    settings = PluginSettings(
        local_plugins=(local,), file=world.folder / "lash.toml", tables={"local_tools": {"words": ["a", {"b": [1]}]}}
    )
    found = PluginManager.discover(settings, builtins=BUILTINS)
    assert rebuilt(json.loads(json.dumps(describe(found, secrets=True))), None).found == found.found
    assert json.loads(json.dumps(describe(found, secrets=False)))["settings"].keys().isdisjoint({"tables", "variables"})
    url, agent = (
        f"sqlite:///{world.folder / 'l.db'}",
        Agent(world.model(calls(call("told")), DONE), tool_sets=["local"]),
    )
    async with Lash.open(url, agent=agent, plugins=found, host=Inline()) as lash:
        await (session := await lash.session("s")).turn("go")
        [told] = [
            item.payload.result.output for item in await session.items() if isinstance(item.payload, ToolInvocation)
        ]
    assert "'words': ['a', {'b': [1]}]" in str(told)

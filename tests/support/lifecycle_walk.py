"""Any sequence of what can happen to sessions, and after each step every promise about them (L).

The steps act on the product and on `walk_model.Expected` alike; `Walk.check` compares the two.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
from dying_host import Killed
from lash_core.graph.conversation import Conversation, invalid_messages
from lash_core.process import this_process
from lash_core.runtime.live import find_live
from lash_core.runtime.runtime import StaleBranch
from lash_hookspecs.errors import (
    CorruptSession,
    LashError,
    NodeMissing,
    PluginError,
    SessionBusy,
    SessionDeleted,
    SessionMissing,
    StoreRegressed,
    StoreUnavailable,
    TurnError,
    UnknownName,
)
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.events import TurnEnded, TurnStarted
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.store import Absent, Deleted, Head
from lash_hookspecs.records.tools import LEVELS, Availability
from lash_hookspecs.records.turn import TurnInput
from walk_model import Expected, Kept, Origin, Place, Turn
from walk_world import COUNTER, TOKENS, Faults, Leaving, Setting, answer_to, counter_of, environment

from lash_core import LashRuntime, ParkedSession, Residency, SessionSpec, TurnLimits

__all__ = ["SETTINGS", "Walk"]

#: What an environment may be; a later one may know plugins and tools that an earlier one does not.
SETTINGS = (
    Setting(),
    Setting(residency=Residency.ACTIVE_PATH_ONLY, tools=("look", "pay", "new")),
    Setting(counter=2, note=True),
    Setting(residency=Residency.ACTIVE_PATH_ONLY, counter=2, tools=("look", "pay", "old", "new")),
    Setting(counter=0),
    Setting(residency=Residency.ACTIVE_PATH_ONLY, counter=0, note=True, tools=("pay",)),
)

#: What the model is asked for in a turn.
BATCHES: tuple[tuple[str, ...], ...] = ((), ("look",), ("pay",), ("look", "pay"), ("old",), ("new", "look"))

NAMES = ("s", "f1", "f2")


@attrs.define(eq=False)
class Live:
    """An open runtime, and what waits in it for a commit.

    Attributes:
        pending: Overrides that no commit holds yet.
        owed: Model calls that were paid for in a commit that failed (T7).
        incarnation: Which life of its session it has seen; ``None`` when it has seen none.
        unsure: Whether it does not know that it has begun the session, as the answer got lost.
    """

    runtime: LashRuntime
    setting: Setting
    name: str
    host: Leaving
    pending: dict[str, str | None] = attrs.field(factory=dict)
    owed: int = 0
    incarnation: int | None = None
    unsure: bool = False


class Walk:
    """Two runtimes over one store, and what is expected of its sessions."""

    def __init__(self, store: StoreBackend, faults: Faults) -> None:
        self.store = store
        self.faults = faults
        self.live: dict[str, Live] = {}
        self.expected = {name: Expected() for name in NAMES}
        self.handles: dict[str, list[tuple[int | None, ParkedSession]]] = {name: [] for name in NAMES}
        self.tree: dict[str, tuple[str | None, Place]] = {}
        self.owner: dict[str, tuple[str, int]] = {}
        self.made = 0
        self.first_was_lost = False
        self.ends = 0

    def _fresh(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"

    # Opening

    async def opened(self, who: str, n: int, *, reads: bool = True) -> Live | None:
        """Give a runtime that can be used, opening one if needed; ``None`` when what is stored cannot be.

        Args:
            who: Whose.
            n: What to open.
            reads: Whether it is about to see what is stored.
        """
        live = self.live.get(who)
        if live is None:
            name = NAMES[n % len(NAMES)]
            if not self.expected[name].exists:
                name = NAMES[0]
            return await self.open(who, name, SETTINGS[n % len(SETTINGS)], n)
        expected = self.expected[live.name]
        wrong: type[LashError] | None = None
        if live.incarnation not in (None, expected.incarnation):
            wrong = SessionDeleted
        elif self._is_outdated(live.setting, expected.kept):
            wrong = PluginError
        if wrong is None:
            if expected.exists and reads:
                live.incarnation, live.unsure = expected.incarnation, False
            return live
        with pytest.raises(wrong):
            await live.runtime.append_nodes([])
        await self.close(who, saves=False)
        return None

    async def open(self, who: str, name: str, setting: Setting, n: int) -> Live | None:
        """Open a session by its name, or by a handle that was left."""
        expected, host = self.expected[name], Leaving()
        env = environment(setting, self.store, host=host)
        handles = self.handles[name]
        incarnation, handle = handles[n % len(handles)] if handles and n % 2 else (None, None)
        wrong: type[LashError] | None = None
        if handle is not None:
            if self._is_open(name):
                wrong = SessionBusy
            elif expected.deleted or incarnation not in (None, expected.incarnation):
                wrong = SessionDeleted
        if wrong is None and self._is_outdated(setting, expected.kept):
            wrong = PluginError
        opening = (
            LashRuntime.resume(ParkedSession.from_json(json.loads(json.dumps(handle.to_json()))), env)
            if handle is not None
            else LashRuntime.from_environment(env, SessionSpec(session_id=name, model="walk"))
        )
        before = self._registered(name)
        if wrong is not None:
            with pytest.raises(wrong) as caught:
                await opening
            assert caught.value.session_id == name
            assert self._registered(name) is before, "nothing stays registered"
            return None
        runtime = await opening
        live = self.live[who] = Live(runtime, setting, name, host)
        assert find_live(self.store, name) is not None
        self._check_reports(live)
        await self.check(live)
        return live

    @staticmethod
    def _is_outdated(setting: Setting, kept: Kept) -> bool:
        return 0 < setting.counter < kept.version

    def _check_reports(self, live: Live) -> None:
        expected, report = self.expected[live.name], live.runtime.report
        if not expected.exists:
            return
        stored, present = expected.plugins, live.setting.plugins
        changes = report.plugins
        assert {each.name for each in changes.added} == present.keys() - stored.keys()
        assert {each.name for each in changes.removed} == stored.keys() - present.keys()
        assert {each.present.name: (each.stored.version, each.present.version) for each in changes.changed} == {
            name: (stored[name], present[name])
            for name in stored.keys() & present.keys()
            if stored[name] != present[name]
        }
        if report.tools is None:
            assert expected.kept == Kept(), "nothing was kept"
            return
        assert set(report.tools.vanished).isdisjoint(live.setting.tools)
        assert set(expected.kept.overrides) <= {*report.tools.vanished, *report.tools.overridden}
        assert report.snapshots is not None
        assert (COUNTER in report.snapshots.restored) == bool(live.setting.counter and expected.kept.version)
        assert (COUNTER in report.snapshots.kept) == bool(not live.setting.counter and expected.kept.version)

    async def close(self, who: str, *, saves: bool = True) -> None:
        """Close a runtime, twice (L12); what was paid for is committed if that can be."""
        live = self.live[who]
        expected = self.expected[live.name]
        saves = saves and live.incarnation in (None, expected.incarnation)
        if saves and live.owed and not self._is_outdated(live.setting, expected.kept):
            self._commit(live)
        del self.live[who]
        await live.runtime.close()
        await live.runtime.close()
        self._check_unregistered(live)

    def drop(self, who: str) -> None:
        """Let go of a runtime, as a process does that dies."""
        del self.live[who]

    def _check_unregistered(self, live: Live) -> None:
        assert (self._registered(live.name) is not None) == self._is_open(live.name)

    def _is_open(self, name: str) -> bool:
        return any(live.name == name for live in self.live.values())

    def _registered(self, name: str) -> object:
        """Give the runtime that is known to be open; one that was dropped may be held by its own errors for a while."""
        if not self._is_open(name) and find_live(self.store, name) is not None:
            gc.collect()
        return find_live(self.store, name)

    # Steps

    async def turn(
        self, who: str, n: int, *, fails_at: int = 0, lost: bool = False, effects: int | None = None
    ) -> None:
        """Run a turn; one of its commits fails, or its host dies after some effects."""
        live = await self.opened(who, n)
        if live is None:
            return
        expected, batch = self.expected[live.name], BATCHES[n % len(BATCHES)]
        said = f"{self._fresh('u')}:{','.join(batch)}"
        resumes = expected.turn is not None and n % 4 == 0
        plan = self._rest_of(expected.turn) if resumes else ["abandon"] if expected.turn else []
        effects = None if resumes else effects
        plan += ["input", *(["boundary"] if batch else []), "final"]
        total = len(batch) + 2 if batch else 1
        if effects is not None and effects < total:
            plan = [*plan[: plan.index("input") + 1], *(["boundary"] if batch and effects == total - 1 else [])]
        live.host.effects = effects
        running = live.runtime.turn(TurnInput(text=said), TurnLimits(), lambda event: None, resume=resumes)
        await self._run_plan(live, plan, running, Turn(said=said, tools=len(batch)), fails_at, lost)
        if effects is not None and expected.turn is not None and effects and not expected.turn.passed and not fails_at:
            expected.turn = attrs.evolve(expected.turn, answered=1)
        if expected.turn is not None and not fails_at:
            self.drop(who)

    async def go_on(self, who: str, n: int, *, fails_at: int = 0, lost: bool = False) -> None:
        """Continue or abandon a turn that is interrupted."""
        live = await self.opened(who, n)
        if live is None:
            return
        turn, runtime = self.expected[live.name].turn, live.runtime
        live.host.effects = None
        if turn is None:
            with pytest.raises(TurnError):
                await (runtime.abandon_turn() if n % 2 else runtime.continue_turn(lambda event: None))
        elif n % 2:
            await self._run_plan(live, ["abandon"], runtime.abandon_turn(), None, fails_at, lost)
        else:
            continuing = runtime.continue_turn(lambda event: None)
            await self._run_plan(live, self._rest_of(turn), continuing, None, fails_at, lost)

    @staticmethod
    def _rest_of(turn: Turn | None) -> list[str]:
        assert turn is not None
        return ["final"] if turn.passed or not turn.tools else ["boundary", "final"]

    async def _run_plan(
        self, live: Live, plan: list[str], running: Awaitable[Any], begins: Turn | None, fails_at: int, lost: bool
    ) -> None:
        """Run something that makes the commits of a plan, up to one that fails, and expect what they leave."""
        self.faults.arm(fails_at, lost=lost)
        failed = 0 < fails_at <= len(plan)
        self.first_was_lost = lost and fails_at == 1 and live.incarnation is None
        done = plan[: fails_at - (not lost)] if failed else plan
        killed = not failed and plan[-1] in ("input", "boundary")
        try:
            if failed or killed:
                with pytest.raises(StoreUnavailable if failed else Killed):
                    await running
            else:
                await running
        finally:
            self.faults.arm(0)
        self.ends += failed or killed
        expected = self.expected[live.name]
        tail = await self._tail(live.name, expected.path)
        for kind in done:
            taken = self._taken(kind, tail, expected, begins)
            self._commit_step(kind, live, tail[:taken], begins)
            tail = tail[taken:]
        assert not tail, "nothing else is stored"
        if failed and not lost and plan[fails_at - 1] == "final":
            live.owed += 1
        if failed and not lost and plan[fails_at - 1] == "boundary":
            assert expected.turn is not None
            expected.turn = attrs.evolve(expected.turn, answered=1)

    @staticmethod
    def _taken(kind: str, tail: Sequence[Place], expected: Expected, begins: Turn | None) -> int:
        """How many nodes of the tail a commit has made."""
        said = next((at for at, place in enumerate(tail) if begins and place.text == begins.said), len(tail))
        if kind == "abandon":
            return said
        if kind == "input":
            assert said < len(tail), "the user's message is stored"
            return said + 1
        assert expected.turn is not None
        return 1 if kind == "final" else 1 + expected.turn.tools

    def _commit_step(self, kind: str, live: Live, places: Sequence[Place], begins: Turn | None) -> None:
        expected = self.expected[live.name]
        turn, counted = expected.turn, 0
        if kind == "input":
            assert begins is not None
            expected.turn, counted = begins, 1
            expected.begun += 1
        elif kind == "boundary":
            assert turn is not None
            assert [place.text for place in places] == [""] * (1 + turn.tools)
            expected.turn, counted = attrs.evolve(turn, passed=True, answered=0), 1
            expected.calls += 1
        else:
            assert turn is not None
            wanted = [answer_to(turn.said)] if kind == "final" else [""] * len(places)
            assert [place.text for place in places] == wanted
            expected.calls += 1 if kind == "final" else turn.answered
            expected.turn = None
        self._commit(live, places, counted)

    def _commit(self, live: Live, places: Sequence[Place] = (), counted: int = 0) -> None:
        expected, setting = self.expected[live.name], live.setting
        kept = expected.kept.overridden(live.pending)
        if setting.counter:
            kept = attrs.evolve(kept, counter=kept.counter + counted, version=setting.counter)
        for place in places:
            self.tree[place.node_id] = (expected.leaf, place)
            self.owner[place.node_id] = (live.name, expected.incarnation)
            expected.add(place)
        expected.commit(kept, setting.plugins)
        live.pending = {}
        self._take_owed(live)

    def _take_owed(self, live: Live) -> None:
        """Usage of a commit that failed rides the next one (T7)."""
        expected = self.expected[live.name]
        expected.calls, live.owed = expected.calls + live.owed, 0
        live.unsure = self.first_was_lost
        if not self.first_was_lost:
            live.incarnation = expected.incarnation

    async def _write(
        self, live: Live, writing: Awaitable[Any], fails: str, error: type[LashError] | None = None
    ) -> bool:
        """Run something that makes one commit; ``True`` when it is stored."""
        self.faults.arm(1 if fails else 0, lost=fails == "lost")
        self.first_was_lost = fails == "lost" and live.incarnation is None
        try:
            if error is not None or fails:
                with pytest.raises(error or StoreUnavailable):
                    await writing
            else:
                await writing
        finally:
            self.faults.arm(0)
        return error is None and fails != "refused"

    def _blocked(self, live: Live) -> type[LashError] | None:
        return TurnError if self.expected[live.name].turn is not None else None

    async def append(self, who: str, n: int, fails: str = "") -> None:
        """Append messages, behind an ancestor that is on the path or is not."""
        live = await self.opened(who, n)
        if live is None:
            return
        expected, said = self.expected[live.name], [self._fresh("n") for _ in range(1 + n % 2)]
        stale = n % 3 == 0 and not self._blocked(live)
        if stale:
            answer = await live.runtime.append_nodes([], requires_ancestor="0" * 32)
            assert answer == StaleBranch(expected.leaf)
            return
        payloads = [Message(role="user", parts=(TextPart(text=text),)) for text in said]
        writing = live.runtime.append_nodes(payloads, requires_ancestor=expected.leaf)
        if await self._write(live, writing, fails, self._blocked(live)):
            tail = await self._tail(live.name, expected.path)
            assert [place.text for place in tail] == said
            self._commit(live, tail)

    async def branch(self, who: str, n: int, fails: str = "") -> None:
        """Make any node the leaf; what is kept goes back with it (L11)."""
        live = await self.opened(who, n)
        if live is None:
            return
        expected = self.expected[live.name]
        if not expected.nodes:
            await self._write(live, live.runtime.branch_to("0" * 32), "", self._blocked(live) or NodeMissing)
            return
        node_id = expected.nodes[-1 - n % len(expected.nodes)]
        path = self._path_to(node_id)
        kept = expected.kept_at(path)
        error = self._blocked(live) or (PluginError if self._is_outdated(live.setting, kept) else None)
        if await self._write(live, live.runtime.branch_to(node_id), fails, error):
            expected.rewind(path, live.setting.plugins)
            live.pending = {}
            self._take_owed(live)

    def _path_to(self, node_id: str | None) -> tuple[Place, ...]:
        places = []
        while node_id is not None:
            node_id, place = self.tree[node_id]
            places.append(place)
        return tuple(reversed(places))

    async def rewrite(self, who: str, n: int, fails: str = "") -> None:
        """Rewrite the history; the installed rewriter forgets all but the last two messages of users."""
        live = await self.opened(who, n)
        if live is None:
            return
        expected = self.expected[live.name]
        said = [at for at, place in enumerate(expected.path) if _is_users(place)]
        changes = len(said) > 1 and said[-2] > 0
        if not changes and not self._blocked(live):
            assert not await live.runtime.rewrite_history()
            return
        if await self._write(live, live.runtime.rewrite_history(), fails, self._blocked(live)):
            before = expected.path[said[-2] :]
            expected.path = ()
            tail = await self._tail(live.name, ())
            assert [place.text for place in tail] == [place.text for place in before]
            self._commit(live, tail)

    async def configure(self, who: str, n: int, fails: str = "") -> None:
        """Change the configuration."""
        live = await self.opened(who, n)
        if live is None:
            return
        text = self._fresh("instructions ")
        if await self._write(live, live.runtime.update_session_config(instructions=text), fails, self._blocked(live)):
            self.expected[live.name].instructions = text
            self._commit(live)

    async def override(self, who: str, n: int) -> None:
        """Say how far a tool is available; durable with the next commit."""
        live = await self.opened(who, n, reads=False)
        if live is None:
            return
        name, level = ("look", "pay", "old", "new")[n % 4], (*LEVELS, None)[n // 4 % 5]
        if name in live.setting.tools:
            live.runtime.set_tool_availability([name], level)
            live.pending[name] = level
        else:
            with pytest.raises(UnknownName):
                live.runtime.set_tool_availability([name], level)

    async def park(self, who: str, n: int, fails: str = "") -> None:
        """Park; what only the plugin knows by then is kept too. Whoever cannot can be used on (L6)."""
        live = await self.opened(who, n)
        if live is None:
            return
        expected, runtime = self.expected[live.name], live.runtime
        await runtime.refresh()
        counted = n % 3 if live.setting.counter else 0
        if counted:
            counter_of(runtime.session.services).count += counted
        if fails and (expected.exists or counted):
            if await self._write(live, runtime.park(), fails):
                self._commit(live, counted=counted)
                counted = 0
            await self.check(live, unsaved=counted)
        handle = await runtime.park()
        if handle.revision is None:
            assert not expected.exists
            assert not counted
            assert not any(live.pending.values())
        else:
            self._commit(live, counted=counted)
        assert await runtime.park() == handle, "a second time gives the same"
        assert len(json.dumps(handle.to_json())) <= 2_048
        assert (handle.session_id, handle.revision) == (live.name, expected.revision or None)
        incarnation = expected.incarnation if expected.exists else None
        self.handles[live.name].append((incarnation, handle))
        del self.live[who]
        self._check_unregistered(live)

    async def fork(self, who: str, n: int) -> None:
        """Make another session at any node of this one."""
        live = await self.opened(who, n)
        if live is None:
            return
        await live.runtime.refresh()
        expected = self.expected[live.name]
        name = next((name for name in NAMES if not self.expected[name].exists and name != live.name), None)
        if name is None or not expected.exists:
            return
        at = expected.nodes[-1 - n % len(expected.nodes)] if expected.nodes and n % 2 else None
        path = expected.path if at is None else self._path_to(at)
        kept = expected.kept if path == expected.path else expected.kept_at(path)
        if self._is_outdated(live.setting, kept) or self._is_open(name):
            return
        forked = await live.runtime.fork(name, at=at)
        new = self.expected[name]
        new.origin = Origin(expected, expected.incarnation, expected.revision)
        new.path, new.nodes, new.instructions = path, [place.node_id for place in path], expected.instructions
        new.commit(kept, live.setting.plugins)
        await self.check(Live(forked, live.setting, name, live.host))
        await forked.close()

    async def delete(self, who: str, n: int) -> None:
        """Delete a session."""
        live = await self.opened(who, n)
        if live is None:
            return
        await live.runtime.refresh()
        expected = self.expected[live.name]
        if any(other.unsure for other in self.live.values() if other.name == live.name):
            return
        if not expected.exists:
            with pytest.raises(SessionMissing):
                await live.runtime.delete()
            return
        await live.runtime.delete()
        live.owed = 0
        expected.end()
        living = {(name, each.incarnation) for name, each in self.expected.items() if each.exists}
        for other in self.expected.values():
            other.lose(node_id for node_id, owner in self.owner.items() if owner not in living)
        await self.close(who)
        handles = self.handles[live.name]
        if handles and not self._is_open(live.name) and self._registered(live.name) is None:
            with pytest.raises(SessionDeleted):
                await LashRuntime.resume(handles[-1][1], environment(SETTINGS[n % 6], self.store))

    async def lean(self, who: str, n: int) -> None:
        """Find the lease in other hands: of a living process, or of a dead one (S5)."""
        live = await self.opened(who, n)
        if live is None or not self.expected[live.name].exists:
            return
        await live.runtime.refresh()
        lane: Any = self.store.session(live.name)
        found, other = await lane.lease(), this_process("other")
        if n % 2:
            await lane.take_lease(attrs.evolve(other, pid=2**30), 600.0, replacing=found.epoch if found else None)
            return
        lease = await lane.take_lease(other, 600.0, replacing=found.epoch if found else None)
        await live.runtime.refresh()
        turn = self.expected[live.name].turn
        assert (live.runtime.running, live.runtime.interrupted) == (turn is not None, False)
        writes: Sequence[Callable[[], Awaitable[Any]]] = (
            lambda: live.runtime.turn(TurnInput(text="u"), TurnLimits(), lambda event: None),
            lambda: live.runtime.park() if turn else live.runtime.append_nodes([]),
            lambda: live.runtime.delete(),
        )
        tool = live.setting.tools[0]
        level: Availability = "off" if live.runtime.session.parts.registry[tool].override != "off" else "callable"
        live.runtime.set_tool_availability([tool], level)  # something to write
        live.pending[tool] = level
        with pytest.raises(SessionBusy):
            await writes[n // 2 % 3]()
        await lane.release_lease(lease)

    async def mistake(self, n: int) -> None:
        """Resume from handles that no store can follow (L8)."""
        env = environment(SETTINGS[n % 6], self.store)
        gone = ParkedSession(session_id="nobody", store=self.store.name, revision=1 + n)
        with pytest.raises(SessionMissing):
            await LashRuntime.resume(gone, env)
        name = NAMES[n % len(NAMES)]
        expected = self.expected[name]
        if self.handles[name] and not self._is_open(name) and self._registered(name) is None:
            incarnation, handle = self.handles[name][-1]
            alive = not expected.deleted and incarnation in (None, expected.incarnation)
            behind = StoreRegressed if expected.exists else SessionMissing
            with pytest.raises(behind if alive else SessionDeleted):
                await LashRuntime.resume(attrs.evolve(handle, revision=expected.revision + 1 + n), env)

    async def look(self, who: str) -> None:
        """Let a runtime see what others have done."""
        live = self.live.get(who)
        if live is None or live.incarnation not in (None, self.expected[live.name].incarnation):
            return
        if not self._is_outdated(live.setting, self.expected[live.name].kept):
            await live.runtime.refresh()
            await self.check(live)

    # What is promised

    async def check(self, live: Live, *, unsaved: int = 0) -> None:
        """Compare a runtime that is up to date with what is expected of it."""
        expected, runtime = self.expected[live.name], live.runtime
        await runtime.refresh()
        live.incarnation = expected.incarnation if expected.exists else live.incarnation
        assert [node.node_id for node in runtime.path] == [place.node_id for place in expected.path]
        assert runtime.interrupted == (expected.turn is not None)
        assert not runtime.running
        conversation = Conversation(runtime.path)
        assert invalid_messages(conversation.provider_messages()) is None
        if live.setting.residency is Residency.ACTIVE_PATH_ONLY:
            assert runtime.resident_node_count == len(expected.path)
        else:
            assert runtime.resident_node_count >= len(expected.nodes)
        if live.setting.counter:
            assert counter_of(runtime.session.services).count == expected.kept.counter + unsaved
        wanted = expected.kept.overridden(live.pending).overrides
        registry = runtime.session.parts.registry
        overrides = {name: tool.override for name, tool in registry.items() if tool.override is not None}
        assert overrides == {name: level for name, level in wanted.items() if name in live.setting.tools}
        if expected.nodes:
            node_id = expected.nodes[0]
            node = await runtime.get_historic_node(node_id)
            assert node is not None
            assert node.node_id == node_id
        assert await runtime.get_historic_node("f" * 32) is None

    async def check_stored(self) -> None:
        """Compare what is stored with what is expected of it."""
        for name, expected in self.expected.items():
            await self._check_session(name, expected)

    async def _check_session(self, name: str, expected: Expected) -> None:
        store = self.store.session(name)
        head = await store.head()
        if not expected.exists:
            assert isinstance(head, Deleted if expected.deleted else Absent)
            return
        assert isinstance(head, Head)
        assert (head.revision, head.leaf) == (expected.revision, expected.leaf)
        assert [place.text for place in await self._tail(name, ())] == [place.text for place in expected.path]
        document = json.loads(head.state)
        self._check_document(document, expected)
        bodies = await store.get_blobs(sorted(head.components.values()))
        kept = {component: json.loads(bodies[ref]) for component, ref in head.components.items()}
        overrides = {tool: entry.get("override") for tool, entry in kept.get("tools", {}).get("tools", {}).items()}
        assert {tool: level for tool, level in overrides.items() if level} == expected.kept.overrides
        counter = kept.get(COUNTER, {"schema_version": 0, "data": 0})
        count = counter["data"]["count"] if counter["schema_version"] == 2 else counter["data"]
        assert (counter["schema_version"], count) == (expected.kept.version, expected.kept.counter)
        await self._check_history(name, expected)

    def _check_document(self, document: Mapping[str, Any], expected: Expected) -> None:
        rows = document.get("usage", [])
        assert sum(row.get("calls", 0) for row in rows) == expected.calls, rows
        assert sum(row.get("usage", {}).get("input_tokens", 0) for row in rows) == TOKENS * expected.calls
        assert sum(row.get("unknown_calls", 0) for row in rows) <= self.ends
        assert document.get("config", {}).get("instructions", "") == expected.instructions
        assert ("open_turn" in document and document["open_turn"] is not None) == (expected.turn is not None)

    async def _check_history(self, name: str, expected: Expected) -> None:
        from lash_core.runtime.reading import orphaned_node_ids, replay_events

        store = self.store.session(name)
        stored = [node.node_id for node in await store.graph()]
        on_path = {place.node_id for place in expected.path}
        assert set(expected.nodes) <= set(stored)
        if expected.path:
            assert await orphaned_node_ids(name, store) == [each for each in stored if each not in on_path]
        else:
            with pytest.raises(CorruptSession) as caught:
                await orphaned_node_ids(name, store)
            assert caught.value.kind == "no_leaf"
        events = [each async for each in replay_events(store)]
        assert [each.cursor for each in events] == sorted({each.cursor for each in events})
        began = sum(isinstance(each.event, TurnStarted) for each in events)
        ended = sum(isinstance(each.event, TurnEnded) for each in events)
        assert (began, ended) == (expected.begun, expected.begun - (expected.turn is not None))

    async def _tail(self, name: str, known: Sequence[Place]) -> list[Place]:
        """Read what the stored path has behind the nodes that are known."""
        store = self.store.session(name)
        head = await store.head()
        if not isinstance(head, Head) or head.leaf is None:
            assert not known
            return []
        path = await store.path(head.leaf)
        assert [node.node_id for node in path[: len(known)]] == [place.node_id for place in known]
        return [Place(node.node_id, _text_of(node.payload)) for node in path[len(known) :]]


def _text_of(payload: bytes) -> str:
    parts = json.loads(payload).get("parts", ())
    return "".join(part["text"] for part in parts if part["kind"] == "text")


def _is_users(place: Place) -> bool:
    return bool(place.text) and not place.text.startswith(answer_to(""))

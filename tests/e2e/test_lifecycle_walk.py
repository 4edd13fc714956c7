"""Two runtimes on one store, and anything that may happen to its sessions: what is promised holds after every step."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.protocols.stores import StoreBackend
from lifecycle_walk import NAMES, SETTINGS, Walk
from walk_world import Faults, KeptMemory, environment, flaky_sqlite

from lash_core import LashRuntime, SessionSpec

WHO = st.sampled_from(["A", "B"])
N = st.integers(0, 23)
FAILS = st.sampled_from(["", "", "refused", "lost"])


class _Steps(RuleBasedStateMachine):
    """The steps of a walk, on a store that a subclass opens."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        faults = Faults()
        self.walk = Walk(self.runner.run(self.open_store(faults)), faults)

    async def open_store(self, faults: Faults) -> StoreBackend:
        raise NotImplementedError

    def do(self, step: Coroutine[Any, Any, Any]) -> None:
        self.runner.run(step)

    def teardown(self) -> None:
        with self.runner:
            for live in self.walk.live.values():
                self.do(live.runtime.close())
            self.do(self.walk.store.close())

    @rule(who=WHO, name=st.sampled_from(NAMES), setting=st.sampled_from(SETTINGS), n=N)
    def opens(self, who: str, name: str, setting: Any, n: int) -> None:
        if who not in self.walk.live:
            self.do(self.walk.open(who, name, setting, n))

    @rule(who=WHO, n=N)
    def runs_a_turn(self, who: str, n: int) -> None:
        self.do(self.walk.turn(who, n))

    @rule(who=WHO, n=N, fails_at=st.integers(1, 3), lost=st.booleans())
    def runs_a_turn_whose_commit_fails(self, who: str, n: int, fails_at: int, lost: bool) -> None:
        self.do(self.walk.turn(who, n, fails_at=fails_at, lost=lost))

    @rule(who=WHO, n=N, effects=st.integers(0, 3))
    def dies_in_a_turn(self, who: str, n: int, effects: int) -> None:
        self.do(self.walk.turn(who, n, effects=effects))

    @rule(who=WHO, n=N, fails_at=st.integers(0, 2), lost=st.booleans())
    def goes_on_with_a_turn(self, who: str, n: int, fails_at: int, lost: bool) -> None:
        self.do(self.walk.go_on(who, n, fails_at=fails_at, lost=lost))

    @rule(who=WHO, n=N, fails=FAILS)
    def appends(self, who: str, n: int, fails: str) -> None:
        self.do(self.walk.append(who, n, fails))

    @rule(who=WHO, n=N, fails=FAILS)
    def branches(self, who: str, n: int, fails: str) -> None:
        self.do(self.walk.branch(who, n, fails))

    @rule(who=WHO, n=N, fails=FAILS)
    def rewrites(self, who: str, n: int, fails: str) -> None:
        self.do(self.walk.rewrite(who, n, fails))

    @rule(who=WHO, n=N, fails=FAILS)
    def configures(self, who: str, n: int, fails: str) -> None:
        self.do(self.walk.configure(who, n, fails))

    @rule(who=WHO, n=N)
    def overrides(self, who: str, n: int) -> None:
        self.do(self.walk.override(who, n))

    @rule(who=WHO, n=N, fails=FAILS)
    def parks(self, who: str, n: int, fails: str) -> None:
        self.do(self.walk.park(who, n, fails))

    @rule(who=WHO)
    def closes(self, who: str) -> None:
        if who in self.walk.live:
            self.do(self.walk.close(who))

    @rule(who=WHO)
    def drops(self, who: str) -> None:
        if who in self.walk.live:
            self.walk.drop(who)

    @rule(who=WHO, n=N)
    def forks(self, who: str, n: int) -> None:
        self.do(self.walk.fork(who, n))

    @rule(who=WHO, n=N)
    def deletes(self, who: str, n: int) -> None:
        self.do(self.walk.delete(who, n))

    @rule(who=WHO, n=N)
    def finds_a_lease(self, who: str, n: int) -> None:
        self.do(self.walk.lean(who, n))

    @rule(n=N)
    def resumes_by_mistake(self, n: int) -> None:
        self.do(self.walk.mistake(n))

    @rule(who=WHO)
    def looks(self, who: str) -> None:
        self.do(self.walk.look(who))

    @invariant()
    def what_is_stored_is_as_expected(self) -> None:
        self.do(self.walk.check_stored())


class _InMemory(_Steps):
    async def open_store(self, faults: Faults) -> StoreBackend:
        return KeptMemory(faults)


class _InSqlite(_Steps):
    async def open_store(self, faults: Faults) -> StoreBackend:
        self.folder = tempfile.TemporaryDirectory()
        return await flaky_sqlite(Path(self.folder.name) / "x.db", faults)

    def teardown(self) -> None:
        with self.folder:
            super().teardown()


def walk(steps: type[_Steps], examples: int, length: int) -> None:
    tuned = settings(
        max_examples=examples, stateful_step_count=length, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(steps, settings=tuned)


def test_every_promise_holds_after_every_step_in_memory() -> None:
    walk(_InMemory, 40, 25)


def test_every_promise_holds_after_every_step_in_sqlite() -> None:
    walk(_InSqlite, 25, 25)


@pytest.mark.full
def test_every_promise_holds_after_every_step_of_long_walks_in_memory() -> None:
    walk(_InMemory, 1_000, 50)


@pytest.mark.full
def test_every_promise_holds_after_every_step_of_long_walks_in_sqlite() -> None:
    walk(_InSqlite, 250, 50)


async def test_what_is_held_in_memory_cannot_be_parked() -> None:
    runtime = await LashRuntime.from_environment(environment(SETTINGS[0], MemoryBackend()), SessionSpec(model="walk"))
    with pytest.raises(ConfigurationError, match="park needs a durable store; this session is held in memory"):
        await runtime.park()
    await runtime.close()

"""Sessions that were opened and closed leave nothing behind: no object, task, thread or file descriptor.

Half of them have 22 plugins, each with a part, hooks and a snapshot.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from pathlib import Path

import pytest
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_core.runtime import live
from lash_hookspecs.errors import PluginError
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.turn import TurnInput
from lash_store_sql.sqlite import open_sqlite
from walk_world import Setting, environment

from lash_core import LashRuntime, Residency, RuntimeEnvironment, SessionSpec, TurnLimits

#: What an open session is made of, by module; the plugins' parts are among them.
OURS = ("lash_core.", "lash_hookspecs.", "lash_basics.", "lash_store_sql.", "walk_world")
#: Objects that may come and go meanwhile: caches of bounded size.
SPARE = 50


def held() -> Counter[str]:
    """Count what is alive and ours, tasks, threads and file descriptors."""
    gc.collect()
    found: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)
        if str(kind.__module__).startswith(OURS):  # some classes hide it behind a descriptor
            found[f"{kind.__module__}.{kind.__qualname__}"] += 1
    found["task"] = len(asyncio.all_tasks())
    found["thread"] = threading.active_count()
    found["descriptor"] = len(list(Path("/proc/self/fd").iterdir()))
    found["registered"] = len(live._live)
    return found


class Rounds:
    """One round after another, each with a session of its own."""

    def __init__(self, store: StoreBackend) -> None:
        kept = [Setting(counter=2, note=True, busy=20), Setting(counter=2, residency=Residency.ACTIVE_PATH_ONLY)]
        self.tasks = LocalTaskHost()
        self.envs = [environment(setting, store, tasks=self.tasks) for setting in kept]
        self.outdated = environment(Setting(counter=1), store, tasks=self.tasks)

    async def run(self, number: int) -> None:
        env, spec = self.envs[number % 2], SessionSpec(session_id=f"s{number % 20}", model="walk")
        kind = number % 5
        if kind == 0:
            await self.a_turn(env, spec, number)
        elif kind == 1:
            await self.parked(env, spec)
        elif kind == 2:
            await self.refused(spec)
        elif kind == 3:
            await (await LashRuntime.from_environment(env, spec)).close()
        else:
            await self.in_memory(env, spec)

    async def a_turn(self, env: RuntimeEnvironment, spec: SessionSpec, number: int) -> None:
        async with await LashRuntime.from_environment(env, spec) as runtime:
            if number % 100 < 20:  # else a session would become long
                await runtime.turn(TurnInput(text="hi:look"), TurnLimits(), lambda event: None)

    async def parked(self, env: RuntimeEnvironment, spec: SessionSpec) -> None:
        handle = await (await LashRuntime.from_environment(env, spec)).park()
        await (await LashRuntime.resume(handle, env)).close()

    async def refused(self, spec: SessionSpec) -> None:
        """Fail to open: what is stored was written by a newer plugin."""
        with pytest.raises(PluginError):
            await LashRuntime.from_environment(self.outdated, SessionSpec(session_id="newer", model="walk"))

    async def in_memory(self, env: RuntimeEnvironment, spec: SessionSpec) -> None:
        kept = env.evolve(residency=Residency.KEEP_ALL)
        await (await LashRuntime.from_embedded_state(kept, spec)).close()


async def soak(path: Path, count: int) -> None:
    store = await open_sqlite(f"sqlite:///{path}", True)
    rounds = Rounds(store)
    try:
        newer = await LashRuntime.from_environment(rounds.envs[0], SessionSpec(session_id="newer", model="walk"))
        await newer.turn(TurnInput(text="hi"), TurnLimits(), lambda event: None)
        await newer.close()
        for number in range(200):  # caches fill, lazy imports are done
            await rounds.run(number)
        before = held()
        for number in range(count):
            await rounds.run(number)
        more = {name: (before[name], now) for name, now in held().items() if now > before[name] + _spare(name)}
        assert not more
    finally:
        await rounds.tasks.close()
        await store.close()


def _spare(name: str) -> int:
    return 0 if name in ("task", "thread", "descriptor", "registered") else min(SPARE, 5)


async def test_1000_sessions_opened_and_closed_leave_nothing_behind(tmp_path: Path) -> None:
    await soak(tmp_path / "x.db", 1_000)


@pytest.mark.full
async def test_10000_sessions_opened_and_closed_leave_nothing_behind(tmp_path: Path) -> None:
    await soak(tmp_path / "x.db", 10_000)

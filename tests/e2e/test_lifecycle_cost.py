"""Parking and resuming a session costs what its path costs, whatever else is in its graph (L4, S7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.turn import TurnInput
from lash_store_sql.sqlite import open_sqlite
from walk_world import Setting, environment

from lash_core import LashRuntime, Residency, SessionSpec, TurnLimits


class Counting:
    """A store that counts what its sessions are asked for, and how many rows and bodies they give or take."""

    def __init__(self, store: StoreBackend) -> None:
        self.counted: Counter[str] = Counter()
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def session(self, session_id: str) -> Any:
        return _CountingSession(self._store.session(session_id), self.counted)


class _CountingSession:
    def __init__(self, session: Any, counted: Counter[str]) -> None:
        self._session = session
        self._counted = counted

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._session, name)

        async def counting(*args: Any, **options: Any) -> Any:
            answer = await method(*args, **options)
            self._counted[name] += 1
            if isinstance(answer, Sequence | dict):
                self._counted[f"{name} rows"] += len(answer)
            return answer

        return counting


async def grow(store: StoreBackend, session_id: str, turns: int, branches: int) -> str:
    """Run turns, and side branches from the first of them; the leaf stands where the turns have ended."""
    runtime = await LashRuntime.from_environment(
        environment(Setting(), store), SessionSpec(session_id=session_id, model="walk")
    )
    for number in range(turns):
        await run(runtime, f"{number}:look")
    leaf, first = runtime.path[-1].node_id, runtime.path[0].node_id
    for number in range(branches):
        await runtime.branch_to(first)
        await run(runtime, f"aside {number}:look")
    await runtime.branch_to(leaf)
    await runtime.park()
    return leaf


async def run(runtime: LashRuntime, text: str) -> None:
    await runtime.turn(TurnInput(text=text), TurnLimits(), lambda event: None)


async def cost(store: StoreBackend, session_id: str, residency: Residency) -> dict[str, int]:
    """What parking a session that was resumed, and resuming it again, asks of the store."""
    counting: Any = Counting(store)
    env = environment(Setting(residency=residency), counting)
    handle = await (await LashRuntime.from_environment(env, SessionSpec(session_id=session_id))).park()
    counting.counted.clear()
    runtime = await LashRuntime.resume(handle, env)
    assert len(runtime.items) == len(runtime.path)
    await runtime.park()
    return dict(counting.counted)


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    backend = await open_sqlite(f"sqlite:///{tmp_path}/x.db", True)
    yield backend
    await backend.close()


async def test_with_its_path_alone_side_branches_cost_nothing(store: StoreBackend) -> None:
    await grow(store, "plain", 10, 0)
    await grow(store, "branched", 10, 15)
    plain = await cost(store, "plain", Residency.ACTIVE_PATH_ONLY)
    branched = await cost(store, "branched", Residency.ACTIVE_PATH_ONLY)
    assert plain == branched
    assert branched["path rows"] == 40
    assert "graph" not in branched


async def test_a_fork_costs_what_its_own_path_does(store: StoreBackend) -> None:
    await grow(store, "plain", 3, 0)
    await grow(store, "origin", 10, 5)
    runtime = await LashRuntime.from_environment(environment(Setting(), store), SessionSpec(session_id="origin"))
    at = runtime.path[11].node_id  # where its third turn ends
    for forked in (await runtime.fork("fork", at=at), runtime):
        await forked.close()
    assert await cost(store, "fork", Residency.ACTIVE_PATH_ONLY) == await cost(
        store, "plain", Residency.ACTIVE_PATH_ONLY
    )


async def test_the_whole_graph_is_read_once_where_it_is_kept(store: StoreBackend) -> None:
    await grow(store, "branched", 10, 5)
    found = await cost(store, "branched", Residency.KEEP_ALL)
    assert (found["graph"], found["graph rows"]) == (1, 60)
    assert "path" not in found


@pytest.mark.parametrize("residency", list(Residency))
async def test_how_often_a_store_is_asked_does_not_depend_on_the_number_of_turns(
    store: StoreBackend, residency: Residency
) -> None:
    await grow(store, "short", 2, 0)
    await grow(store, "long", 40, 0)
    calls = [
        {name: count for name, count in (await cost(store, session_id, residency)).items() if " rows" not in name}
        for session_id in ("short", "long")
    ]
    assert calls[0] == calls[1]
    assert sum(calls[0].values()) <= 16, calls[0]

"""Kills at random moments, several in one session, with the same oracle; 200 with the marker ``full``."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crash.conftest import Scene

#: Kills per test.
EACH = 4

SEEDS = [pytest.param(seed, marks=[pytest.mark.full] if seed >= 1 else []) for seed in range(50)]


def task(turn: int) -> str:
    """Two steps of calls, about items that no other turn has."""
    calls = [[("pay", "a"), ("pay", "b"), ("look", "c")], [("ship", "d"), ("book", "e"), ("ship", "f")]]
    steps = ("\n".join(f'call {name} {{"item": "{item}{turn}"}}' for name, item in step) for step in calls)
    return "\nthen\n".join(steps) + "\nthen\n"


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    while scene.crashes < EACH:
        state = scene.database.state("s1") if scene.db.exists() and scene.lives else None
        is_open = bool(state and state.get("open_turn"))
        turn = 1 + (state or {}).get("turn_index", 0)
        victim = scene.bear(("see",), ("continue",) if is_open else ("turn", task(turn)))
        time.sleep(chance.uniform(0.0, 0.7))  # the moment is what is tried: it synchronises nothing
        victim.signal(signal.SIGKILL)
        code = victim.end()
        assert code in (0, -signal.SIGKILL), victim.lines[-1]
        scene.crashes += code == -signal.SIGKILL
        seen = [line["interrupted"] for line in victim.lines if line.get("done") == "see"]
        assert seen in ([], [is_open])
    state = scene.database.state("s1")
    is_open = bool(state and state.get("open_turn"))
    other = scene.work(("see",), *[("continue",)] * is_open, ("turn", "And what did you do?"))
    [seen] = [line["interrupted"] for line in other.lines if line.get("done") == "see"]
    assert seen == is_open
    scene.judge()

"""Parked sessions: their handles in one process, and turns of some of them in another.

The sessions are clones of one of two turns, by bulk import.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from harness import Figure, Goal, Sizes, child, floats, say
from sessions import Writer, clone, environment, opened
from workload import Workload

from lash_core import LashRuntime, SessionSpec

TITLE = "Parked sessions"

HOLD = """
import json, sys
from lash_core import ParkedSession
import lash_store_sql.sqlite

handles = [ParkedSession.from_json(json.loads(line)) for line in open(sys.argv[1])]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(len(handles), int(status["VmRSS"].split()[0]) / 1024)
"""
TURNS = """
import asyncio, json, sys, time
from lash_core import LashRuntime, ParkedSession
from lash_hookspecs.records.turn import TurnInput
from memory import peak_rss
from sessions import environment, opened

async def main():
    handles = [ParkedSession.from_json(json.loads(line)) for line in open(sys.argv[2])]
    async with opened(sys.argv[1]) as store:
        env, times = environment(store), []
        for handle in handles:
            begin = time.perf_counter()
            runtime = await LashRuntime.resume(handle, env)
            result = await runtime.turn(TurnInput(text="Say yes"))
            assert result.outcome == "finished", result
            await runtime.park()
            times.append(time.perf_counter() - begin)
    times.sort()
    print(len(times), times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3, peak_rss())

asyncio.run(main())
"""


async def park_one(path: str) -> dict[str, Any]:
    """Run two turns' commits in one session and park it."""
    async with opened(path) as store:
        writer = await Writer.of(store)
        for turn in (1, 2):
            await writer.commit(Workload(turn).turn(turn))
        await writer.runtime.close()
        runtime = await LashRuntime.from_environment(environment(store), SessionSpec(session_id="bench"))
        return (await runtime.park()).to_json()


def run(sizes: Sizes) -> list[Figure]:
    """Hold handles, then run turns of some of them elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/parked.db"
        handle = asyncio.run(park_one(path))
        say(f"  importing {sizes.parked:,} sessions")
        clone(path, sizes.parked)
        lines = [json.dumps({**handle, "session_id": f"bench-{n:07d}"}) + "\n" for n in range(1, sizes.parked + 1)]
        held, drawn = Path(folder, "held.jsonl"), Path(folder, "drawn.jsonl")
        held.write_text("".join(lines))
        drawn.write_text("".join(random.Random(1).sample(lines, sizes.drawn)))
        say("  holding their handles")
        count, memory = floats(child(HOLD, held))
        say(f"  a turn in each of {sizes.drawn:,}")
        ran, middle, late, peak = floats(child(TURNS, path, drawn))
    shown = f"resume, turn, park, {int(ran):,} of them at random"
    return [
        Figure(what=f"{int(count):,} handles, RSS", ours=memory, unit="MB", goal=Goal("≤", 200, "value")),
        Figure(
            what=f"{shown}, p50", ours=middle, unit="ms", note=f"all finished; peak RSS {peak:.0f} MB",
        ),
        Figure(what=f"{shown}, p99", ours=late, unit="ms"),
    ]  # fmt: skip

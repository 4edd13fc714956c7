"""Eight sessions that are written to at once: in one process beside raw threads, in processes beside raw processes.

Each round lasts as long as the others; Lash and the floor take turns. The floor's writers have a connection each and
wait for the lock as ``sqlite3`` does. A second floor, for threads, takes turns by a lock of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol

import attrs
from floor import Floor
from harness import Figure, Goal, Sizes, environment, p50, p99, say
from lash_hookspecs.records.payloads import Payload
from sessions import Writer, opened
from workload import Workload, documents

TITLE = "Eight writers, a session each"

WRITERS = 8
#: Turns that each writer has made ready; it stores them again and again.
TURNS = 50


@attrs.frozen
class Round:
    """How long each commit of each writer took, in milliseconds, and how long the round was, in seconds."""

    times: list[list[float]]
    seconds: float

    @property
    def rate(self) -> float:
        """Turns a second, all writers together."""
        return sum(map(len, self.times)) / self.seconds

    @property
    def worst(self) -> float:
        """The 99th percentile of the writer whose is worst."""
        return max(p99(times) if times else self.seconds * 1e3 for times in self.times)

    @property
    def fairness(self) -> float:
        """Turns of the writer that made fewest, over those of the one that made most."""
        counts = [len(times) for times in self.times]
        return min(counts) / max(*counts, 1)


class Raw(Protocol):
    """A raw writer of one session."""

    def commit(self, turn: list[Any], state: Any, record: Any) -> None:
        """Encode and store a turn."""

    def close(self) -> None:
        """Close the connection."""


async def in_process(place: str, seconds: float) -> Round:
    """Sessions of one process."""
    async with opened(place) as store:
        writers = [await Writer.of(store, f"s{number}") for number in range(WRITERS)]
        turns = [Workload(number).turn(number) for number in range(TURNS)]
        for writer in writers:
            await writer.store(turns[0])
        begin = time.perf_counter()
        times = await asyncio.gather(*(_keep_committing(writer, turns, begin + seconds) for writer in writers))
        took = time.perf_counter() - begin
        for writer in writers:
            await writer.runtime.close()
    return Round(list(times), took)


async def _keep_committing(writer: Writer, turns: list[list[Payload]], until: float) -> list[float]:
    times: list[float] = []
    while (begin := time.perf_counter()) < until:
        await writer.store(turns[len(times) % TURNS])
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def in_threads(
    raw: Callable[[str], Raw], seconds: float, turn_taking: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Round:
    """Raw threads with a connection each; ``raw`` makes the writer of a session."""
    floors = [raw(f"s{number}") for number in range(WRITERS)]
    turns = [documents(Workload(number).turn(number)) for number in range(TURNS)]
    times: list[list[float]] = [[] for _ in floors]
    lock = turn_taking()
    begin = time.perf_counter()

    def write(floor: Raw, mine: list[float]) -> None:
        while (started := time.perf_counter()) < begin + seconds:
            with lock:
                floor.commit(turns[len(mine) % TURNS], {}, {})
            mine.append((time.perf_counter() - started) * 1e3)

    threads = [threading.Thread(target=write, args=pair) for pair in zip(floors, times, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    for floor in floors:
        floor.close()
    return Round(times, took)


OURS = """
import asyncio, json, sys, time
from lash_hookspecs.records.payloads import Payload
from sessions import Writer, opened
from workload import Workload
from writers import TURNS, _keep_committing

async def main():
    path, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    async with opened(path) as store:
        writer = await Writer.of(store, name)
        turns = [Workload(number).turn(number) for number in range(TURNS)]
        await writer.store(turns[0])
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(await _keep_committing(writer, turns, time.perf_counter() + seconds)), flush=True)
        await writer.runtime.close()

asyncio.run(main())
"""
RAW = """
import json, sys, time
from floor import Floor
from workload import Workload, documents
from writers import TURNS

path, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
floor = Floor(path, name)
turns = [documents(Workload(number).turn(number)) for number in range(TURNS)]
floor.commit(turns[0], {}, {})
print("ready", flush=True)
sys.stdin.readline()
times, until = [], time.perf_counter() + seconds
while (begin := time.perf_counter()) < until:
    floor.commit(turns[len(times) % TURNS], {}, {})
    times.append((time.perf_counter() - begin) * 1e3)
print(json.dumps(times), flush=True)
"""


def in_processes(code: str, place: str, seconds: float, *arguments: str) -> Round:
    """Processes with a session each, in one database."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, place, f"s{number}", str(seconds), *arguments],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    times = []
    for process in running:
        out, _ = process.communicate()
        assert process.returncode == 0
        times.append(json.loads(out))
    return Round(times, max(seconds, *(sum(each) / 1e3 for each in times)))


def run(sizes: Sizes) -> list[Figure]:
    """Measure the writers, round by round."""
    seconds = sizes.seconds
    kinds: dict[str, Callable[[str], Round]] = {
        "sessions": lambda path: asyncio.run(in_process(path, seconds)),
        "threads": lambda path: in_threads(partial(Floor, path), seconds),
        "locked": lambda path: in_threads(partial(Floor, path), seconds, threading.Lock),
        "processes": lambda path: in_processes(OURS, path, seconds),
        "raw": lambda path: in_processes(RAW, path, seconds),
    }
    found: dict[str, list[Round]] = {kind: [] for kind in kinds}
    for number in range(sizes.rounds):
        say(f"  round {number + 1} of {sizes.rounds}")
        for kind, measure in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                found[kind].append(measure(f"{folder}/writers.db"))
    rate = {kind: p50([one.rate for one in rounds]) for kind, rounds in found.items()}
    worst = {kind: p50([one.worst for one in rounds]) for kind, rounds in found.items()}
    fair = {kind: p50([one.fairness for one in rounds]) for kind, rounds in found.items()}
    fairest = f"fewest/most turns: {fair['sessions']:.2f}, floor {fair['threads']:.2f}"
    starved = f"fewest/most turns: {fair['processes']:.2f}, floor {fair['raw']:.2f}"
    return [
        Figure(
            what="8 sessions in one process / raw threads", ours=rate["sessions"], floor=rate["threads"],
            unit="turns/s", goal=Goal("≥", 1.6), note=fairest,
        ),
        Figure(
            what="… / raw threads that take turns by a lock", ours=rate["sessions"], floor=rate["locked"],
            unit="turns/s",
        ),
        Figure(
            what="… the worst session's p99", ours=worst["sessions"], floor=worst["threads"], unit="ms",
            goal=Goal("≤", 1.0), note=f"{worst['locked']:.3g} ms by a lock",
        ),
        Figure(
            what="8 processes / raw processes", ours=rate["processes"], floor=rate["raw"], unit="turns/s",
            goal=Goal("≥", 0.8), note=starved,
        ),
        Figure(
            what="… the worst process's p99", ours=worst["processes"], floor=worst["raw"], unit="ms",
        ),
    ]  # fmt: skip

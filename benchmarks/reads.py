"""Reading a session: a cold resume in a fresh process, the last 50 nodes, a fork in the middle, memory.

A resume is ready for a model call when the messages are there that a provider is given. Its floor opens the same file,
selects the path's rows and parses each payload with ``json.loads``. Importing counts on neither side.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from floor import Floor
from harness import Figure, Goal, Sizes, child, floats, p50, p99, say
from lash_hookspecs.records.state import HeadDocument
from lash_hookspecs.records.store import Commit, Fork, Head
from lash_hookspecs.records.store import Writer as StoreWriter
from sessions import environment, fill, opened
from workload import ITEMS

from lash_core import LashRuntime, SessionSpec

TITLE = "Reading a session"

RESUME = """
import asyncio, sys, time
from lash_core import LashRuntime, ParkedSession, Residency
from memory import peak_rss
from sessions import environment, opener

async def main():
    place, residency = sys.argv[1:]
    open_store, env = opener(place), environment(None, Residency[residency])
    base = peak_rss()
    begin = time.perf_counter()
    env = env.evolve(store=await open_store())
    runtime = await LashRuntime.resume(ParkedSession(session_id="bench", store="", revision=1), env)
    resumed = time.perf_counter()
    messages = runtime.session.resident.conversation.provider_messages()
    ready = time.perf_counter()
    grown = peak_rss() - base
    await runtime.park()
    print(resumed - begin, ready - begin, time.perf_counter() - ready, grown, len(runtime.path), len(messages))
    await env.store.close()

asyncio.run(main())
"""
FLOOR = """
import json, sqlite3, sys, time
from memory import peak_rss
base = peak_rss()
begin = time.perf_counter()
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM session").fetchone()
rows = connection.execute(
    "SELECT node_id, parent, timestamp, kind, payload FROM node ORDER BY pos LIMIT ?", [sys.argv[2]]
).fetchall()
decoded = [json.loads(row[4]) for row in rows]
print(time.perf_counter() - begin, peak_rss() - base, len(decoded))
connection.close()
"""


def run(sizes: Sizes) -> list[Figure]:
    """Measure reads of one session."""
    with tempfile.TemporaryDirectory() as folder:
        path, longer = f"{folder}/path.db", f"{folder}/longer.db"
        say("  filling")
        asyncio.run(fill(path, sizes.path_turns))
        asyncio.run(fill(longer, sizes.disk_turns))
        return [
            *resumes(path, sizes),
            *asyncio.run(last_nodes({sizes.path_turns: path, sizes.disk_turns: longer}, sizes)),
            *asyncio.run(forks(path, sizes)),
        ]


def resumes(
    place: str, sizes: Sizes, raw_code: str = FLOOR, residencies: Sequence[str] = ("KEEP_ALL", "ACTIVE_PATH_ONLY")
) -> list[Figure]:
    """Resume in fresh processes, beside the floor in fresh ones."""
    figures = []
    for residency in residencies:
        say(f"  resume, {residency}")
        ours, floor = [], []
        for _ in range(sizes.tries):
            ours.append(floats(child(RESUME, place, residency)))
            floor.append(floats(child(raw_code, place, sizes.path_turns * ITEMS)))
        resumed, ready, parked, memory, nodes, _ = (p50([one[place] for one in ours]) for place in range(6))
        raw, raw_memory, raw_nodes = (p50([one[place] for one in floor]) for place in range(3))
        assert nodes == raw_nodes
        shown = f"{sizes.path_turns:,} turns, {residency}"
        figures += [
            Figure(what=f"cold resume, {shown}: open", ours=resumed * 1e3, floor=raw * 1e3, unit="ms"),
            Figure(
                what=f"cold resume, {shown}: ready for a model call", ours=ready * 1e3, floor=raw * 1e3, unit="ms",
                goal=Goal("≤", 1.0), note="floor: select + json.loads",
            ),
            Figure(what=f"park again, {shown}", ours=parked * 1e3, unit="ms"),
            Figure(
                what=f"memory of it, {shown}", ours=memory, floor=raw_memory, unit="MB", note="growth of the peak RSS",
            ),
        ]  # fmt: skip
    return figures


async def last_nodes(places: dict[int, str], sizes: Sizes) -> list[Figure]:
    """Read the last 50 nodes of sessions of different lengths."""
    figures = []
    for turns, place in places.items():
        async with opened(place) as store:
            session = store.session("bench")
            head = await session.head()
            assert isinstance(head, Head)
            assert head.leaf is not None
            times = []
            for _ in range(sizes.pages):
                begin = time.perf_counter()
                await session.path(head.leaf, last=50)
                times.append((time.perf_counter() - begin) * 1e3)
        figures.append(
            Figure(what=f"last 50 of {turns:,} turns, p50", ours=p50(times), unit="ms", goal=Goal("≤", 1.0, "value"))
        )
        figures.append(Figure(what=f"last 50 of {turns:,} turns, p99", ours=p99(times), unit="ms"))
    return figures


async def forks(path: str, sizes: Sizes) -> list[Figure]:
    """Fork in the middle: the store's own commit, and the runtime's fork with what it checks and opens."""
    middle, count = sizes.path_turns // 2, max(3, sizes.pages // 10)
    async with opened(path) as store:
        head = await store.session("bench").head()
        assert isinstance(head, Head)
        assert head.leaf is not None
        leaf = (await store.session("bench").path(head.leaf))[middle * ITEMS - 1].node_id
        times, raw = [], []
        floor = Floor(f"{path}-floor")
        await _checkpointed(path)
        before = Path(path).stat().st_size
        for number in range(count):
            commit = Commit(
                session_id=f"fork-{number}", commit_id=f"{number:016x}", writer=StoreWriter("cd" * 8, 0),
                expected_revision=None, leaf=leaf, state=HeadDocument(forked_from="bench").to_bytes(),
                record=b'{"step":"fork"}', components=head.components, committed_at=1, fork=Fork("bench", leaf),
            )  # fmt: skip
            begin = time.perf_counter()
            await store.session(commit.session_id).commit(commit)
            stored = time.perf_counter()
            floor.begin(commit.session_id)
            raw.append((time.perf_counter() - stored) * 1e3)
            times.append((stored - begin) * 1e3)
        floor.close()
        await _checkpointed(path)
        grown = (Path(path).stat().st_size - before) / count / 1024
        whole = []
        runtime = await LashRuntime.from_environment(environment(store), SessionSpec(session_id="bench"))
        for number in range(max(3, count // 3)):
            begin = time.perf_counter()
            forked = await runtime.fork(f"runtime-fork-{number}", at=leaf)
            whole.append((time.perf_counter() - begin) * 1e3)
            await forked.close()
        await runtime.close()
    shown = f"fork at turn {middle:,} of {sizes.path_turns:,}"
    return [
        Figure(
            what=f"{shown}, the store, p50",
            ours=p50(times),
            floor=p50(raw),
            unit="ms",
            goal=Goal("≤", 0.5, "value"),
            note=f"floor: a transaction that inserts one row; {p50(times) - p50(raw):.2f} ms beside that",
        ),
        Figure(what=f"{shown}, bytes on disk", ours=grown, unit="KB", goal=Goal("≤", 8, "value"), note="mean"),
        Figure(what=f"{shown}, the runtime's, opened, p50", ours=p50(whole), unit="ms"),
    ]


async def _checkpointed(path: str) -> None:
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

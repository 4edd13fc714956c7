"""One commit of a session, at growing length, beside the raw transaction in a file of its own.

Encoding counts on both sides: Lash encodes its records, the floor dumps the same documents with ``json``. All of them
commit in turn, so that each sees the same machine.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time

from floor import Floor
from harness import Figure, Goal, Sizes, fsyncs, p50, p99, say
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import Payload, kind_of
from lash_hookspecs.records.state import CommitDocument, HeadDocument
from lash_hookspecs.records.store import Commit
from lash_hookspecs.records.store import Writer as StoreWriter
from sessions import Writer, node_ids, opened
from workload import Workload, documents

TITLE = "One commit: 5 items, 4.5 KB"

OURS = """
import asyncio, sys
from sessions import Writer, opened
from workload import Workload

async def main():
    workload = Workload()
    async with opened(sys.argv[1]) as store:
        writer = await Writer.of(store)
        for turn in range(int(sys.argv[2])):
            await writer.commit(workload.turn(turn))

asyncio.run(main())
"""
RAW = """
import sys
from floor import Floor
from workload import Workload, documents

workload, floor = Workload(), Floor(sys.argv[1])
for turn in range(int(sys.argv[2])):
    floor.commit(documents(workload.turn(turn)), {}, {})
floor.close()
"""


class Bare:
    """Commits handed to the store itself; only the payloads are encoded in the measured time."""

    def __init__(self, store: StoreBackend) -> None:
        self.session = store.session("bare")
        self.revision = 0
        self.leaf: str | None = None

    async def commit(self, payloads: list[Payload], state: HeadDocument, record: CommitDocument) -> None:
        nodes, parent = [], self.leaf
        for node_id, payload in zip(node_ids(5), payloads, strict=True):
            nodes.append(Node(node_id, parent, time.time_ns() // 1000, kind_of(payload), payload.to_bytes()))
            parent = node_id
        commit = Commit(
            session_id="bare",
            commit_id=os.urandom(8).hex(),
            writer=StoreWriter("ab" * 8, 0),
            expected_revision=self.revision or None,
            nodes=tuple(nodes),
            leaf=parent,
            state=state.to_bytes(),
            record=record.to_bytes(),
            committed_at=time.time_ns() // 1000,
        )
        await self.session.commit(commit)
        self.revision, self.leaf = self.revision + 1, parent


async def measure(folder: str, sizes: Sizes) -> dict[str, list[float]]:
    """Microseconds of each commit, by who made it."""
    times: dict[str, list[float]] = {"floor": [], "bare": [], "store": [], "commit": []}
    workload, clock = Workload(), time.perf_counter
    async with (
        opened(f"{folder}/bare.db") as bare_store,
        opened(f"{folder}/store.db") as one,
        opened(f"{folder}/commit.db") as two,
    ):
        bare, store, whole = Bare(bare_store), await Writer.of(one), await Writer.of(two)
        floor = Floor(f"{folder}/floor.db")
        last = max(sizes.turns) + sizes.window
        for turn in range(1, last + 1):
            if turn % 500 == 0:
                say(f"  turn {turn} of {last}")
            payloads = workload.turn(turn)
            turned = documents(payloads)
            document = whole.runtime.document.evolve(turn_index=turn)
            told = CommitDocument(step="final", turn_index=turn)
            state, record = documents([document, told])
            begin = clock()
            floor.commit(turned, state, record)
            times["floor"].append((clock() - begin) * 1e6)
            change = store.change(payloads)
            for name, made in (
                ("bare", bare.commit(payloads, document, told)),
                ("store", store.runtime.session.resident.commit(change)),
                ("commit", whole.commit(payloads)),
            ):
                begin = clock()
                await made
                times[name].append((clock() - begin) * 1e6)
        floor.close()
        await store.runtime.close()
        await whole.runtime.close()
    return times


NAMES = {
    "bare": "the store alone",
    "store": "the runtime's store path",
    "commit": "with guards, snapshots and observers",
}


def run(sizes: Sizes) -> list[Figure]:
    """Measure commits at each of the turns."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        times = asyncio.run(measure(folder, sizes))
        windows = {turn: slice(max(0, turn - 5), turn + sizes.window) for turn in sizes.turns}
        last = max(sizes.turns)
        for turn, window in windows.items():
            for name, shown in NAMES.items():
                goal = Goal("≤", 1.3) if name == "store" and turn == last else None
                ours, floor = times[name][window], times["floor"][window]
                figures.append(
                    Figure(what=f"turn {turn:,}, {shown}, p50", ours=p50(ours), floor=p50(floor), unit="µs", goal=goal)
                )
                figures.append(Figure(what=f"turn {turn:,}, {shown}, p99", ours=p99(ours), floor=p99(floor), unit="µs"))
        figures.append(growth(times, windows))
        figures.append(counted(folder, sizes))
    return figures


def growth(times: dict[str, list[float]], windows: dict[int, slice]) -> Figure:
    """How much slower the last turns are than the first, the floor's own drift taken out."""
    first, last = windows[min(windows)], windows[max(windows)]
    ours, floor = (p50(times[name][last]) / p50(times[name][first]) for name in ("store", "floor"))
    return Figure(
        what=f"p50 at {max(windows):,} / p50 at {min(windows)}",
        ours=ours,
        floor=floor,
        unit="×",
        goal=Goal("≤", 1.1),
        note="the ratio takes out what the machine itself changed meanwhile",
    )


def counted(folder: str, sizes: Sizes) -> Figure:
    """Count fsyncs from outside, opening and closing included."""
    ours = fsyncs(OURS, f"{folder}/traced.db", sizes.traced, folder=folder)
    floor = fsyncs(RAW, f"{folder}/traced-floor.db", sizes.traced, folder=folder)
    if ours is None or floor is None:
        return Figure(what="fsyncs", ours=float("nan"), unit="", note="not counted: strace cannot be used here")
    return Figure(
        what=f"fsyncs of {sizes.traced} commits",
        ours=ours,
        floor=floor,
        unit="",
        note="strace -f, with opening and closing",
    )

"""The same on PostgreSQL, on a server that is started for it and makes everything durable.

A commit stands beside two floors, in tables that are the store's own: six statements that wait for each other, and the
better of one pipeline and one statement. Round trips are counted on the socket, fsyncs of the log by the server.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from disk import record_bytes
from harness import Figure, Goal, Sizes, p50, p99, say
from lash_hookspecs.records.state import CommitDocument
from listing import on_postgres
from postgres_floor import FAST, Form, PostgresFloor
from postgres_proxy import proxied
from postgres_server import Server, can_start, private_server
from reads import last_nodes, resumes
from sessions import Writer, fill, opened
from workload import Workload, documents
from writers import OURS, Round, in_process, in_processes, in_threads

TITLE = "PostgreSQL"

SIX: Form = "six statements"
FORMS: tuple[Form, ...] = (SIX, *FAST)

RAW_RESUME = """
import json, sys, time
import psycopg
from memory import peak_rss
base = peak_rss()
begin = time.perf_counter()
connection = psycopg.connect(sys.argv[1], options="-csearch_path=lash")
connection.execute("SELECT * FROM session").fetchone()
cursor = connection.cursor(binary=True)
cursor.execute("SELECT node_id, parent, timestamp, kind, payload FROM node ORDER BY pos LIMIT %s", [int(sys.argv[2])])
decoded = [json.loads(row[4]) for row in cursor.fetchall()]
print(time.perf_counter() - begin, peak_rss() - base, len(decoded))
connection.close()
"""
RAW_WRITER = """
import json, sys, time
from postgres_floor import PostgresFloor
from workload import Workload, documents
from writers import TURNS

url, name, seconds, form = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
floor = PostgresFloor(url, name, form=form)
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


def run(sizes: Sizes) -> list[Figure]:
    """Start a server and measure on it."""
    if not can_start():
        return [Figure(what="not measured", ours=float("nan"), unit="", note="no PostgreSQL server is installed here")]
    with private_server(fsync="on", synchronous_commit="on", max_wal_size="4GB") as server:
        settings = durable(server)
        say(f"  {settings}")
        commits, best = asyncio.run(committed(server, sizes))
        return [
            *commits,
            asyncio.run(trips(server, sizes)),
            synced(server, sizes, best),
            *writers(server, sizes, best),
            *read(server, sizes),
            *on_postgres(fresh(server), sizes),
            Figure(what="the server", ours=float("nan"), unit="", note=settings),
        ]


def durable(server: Server) -> str:
    """See that the server makes commits durable, and say which server it is."""
    with server.connect() as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")}
        version = connection.execute("SHOW server_version").fetchone()
    assert all(value == ("on",) for value in shown.values()), shown
    return f"PostgreSQL {version[0] if version else ''}, fsync=on, synchronous_commit=on, over a Unix socket"


async def committed(server: Server, sizes: Sizes) -> tuple[list[Figure], Form]:
    """Commit in turn with the floors; give the figures, and which floor is the best one."""
    times: dict[str, list[float]] = {name: [] for name in ("store", *FORMS)}
    workload, clock = Workload(), time.perf_counter
    floors = [(form, PostgresFloor(fresh(server), form=form)) for form in FORMS]
    async with opened(fresh(server)) as backend:
        writer = await Writer.of(backend)
        last = max(sizes.turns) + sizes.window
        for turn in range(1, last + 1):
            if turn % 500 == 0:
                say(f"  turn {turn} of {last}")
            payloads = workload.turn(turn)
            turned = documents(payloads)
            document = writer.runtime.document.evolve(turn_index=turn)
            state, record = documents([document, CommitDocument(step="final", turn_index=turn)])
            for form, floor in floors[turn % 3 :] + floors[: turn % 3]:  # nobody is always behind the same one
                begin = clock()
                floor.commit(turned, state, record)
                times[form].append((clock() - begin) * 1e6)
            change = writer.change(payloads)
            begin = clock()
            await writer.runtime.session.resident.commit(change)
            times["store"].append((clock() - begin) * 1e6)
        await writer.runtime.close()
    for _, floor in floors:
        floor.close()
    best = min(FAST, key=lambda form: p50(times[form]))
    return [figure for turn in sizes.turns for figure in _beside(times, turn, sizes, best)], best


def _beside(times: dict[str, list[float]], turn: int, sizes: Sizes, best: Form) -> list[Figure]:
    window = slice(max(0, turn - 5), turn + sizes.window)
    cut = {name: found[window] for name, found in times.items()}
    is_last = turn == max(sizes.turns)
    shown = f"turn {turn:,}, the runtime's store path"
    return [
        Figure(
            what=f"{shown}, {name} / {form}",
            ours=measure(cut["store"]),
            floor=measure(cut[form]),
            unit="µs",
            goal=Goal("≤", limit) if is_last and name == "p50" else None,
        )
        for name, measure in (("p50", p50), ("p99", p99))
        for form, limit in ((SIX, 1.1), (best, 1.4))
    ]


async def trips(server: Server, sizes: Sizes) -> Figure:
    """Count round trips on the socket, once everything is prepared."""
    workload = Workload()
    with proxied(fresh(server)) as (proxy, url):
        async with opened(url) as store:
            writer = await Writer.of(store)
            for turn in range(4):
                await writer.store(workload.turn(turn))
            before = proxy.trips
            for turn in range(sizes.traced):
                await writer.store(workload.turn(turn))
            counted = proxy.trips - before
            await writer.runtime.close()
    return Figure(
        what="round trips of a commit", ours=counted / sizes.traced, unit="", goal=Goal("≤", 1, "value"),
        note=f"{counted:,} in {sizes.traced:,} commits, counted at a proxy before the socket",
    )  # fmt: skip


def synced(server: Server, sizes: Sizes, best: Form) -> Figure:
    """Have the server count how often it made its log durable."""
    url, raw_url = fresh(server), fresh(server)
    begin = wal_syncs(server)
    asyncio.run(_commit_some(url, sizes.traced))
    middle = wal_syncs(server)
    floor = PostgresFloor(raw_url, form=best)
    workload = Workload()
    for turn in range(sizes.traced):
        floor.commit(documents(workload.turn(turn)), {}, {})
    floor.close()
    return Figure(
        what=f"fsyncs of the log, {sizes.traced:,} commits", ours=middle - begin, floor=wal_syncs(server) - middle,
        unit="", note="PostgreSQL's own statistics, with opening and closing",
    )  # fmt: skip


async def _commit_some(url: str, count: int) -> None:
    workload = Workload()
    async with opened(url) as store:
        writer = await Writer.of(store)
        for turn in range(count):
            await writer.store(workload.turn(turn))
        await writer.runtime.close()


def wal_syncs(server: Server) -> int:
    """Read the server's count, once the processes that have not told theirs yet have ended."""
    with server.connect() as connection:
        for _ in range(1000):
            row: Any = connection.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchone()
            if not row[0]:
                break
            time.sleep(0.01)
        of_log = "SELECT wal_sync FROM pg_stat_wal"
        if connection.info.server_version >= 180000:
            of_log = "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"
        row = connection.execute(of_log).fetchone()
    return int(row[0])


def writers(server: Server, sizes: Sizes, best: Form) -> list[Figure]:
    """Eight sessions at once, beside eight raw ones."""
    seconds = sizes.seconds
    found: dict[str, list[Round]] = {kind: [] for kind in ("sessions", "threads", "processes", "raw")}
    for number in range(sizes.rounds):
        say(f"  eight writers, round {number + 1} of {sizes.rounds}")
        found["sessions"].append(asyncio.run(in_process(fresh(server), seconds)))
        found["threads"].append(in_threads(partial(PostgresFloor, fresh(server), form=best), seconds))
        found["processes"].append(in_processes(OURS, fresh(server), seconds))
        found["raw"].append(in_processes(RAW_WRITER, fresh(server), seconds, best))
    rate = {kind: p50([one.rate for one in rounds]) for kind, rounds in found.items()}
    worst = {kind: p50([one.worst for one in rounds]) for kind, rounds in found.items()}
    fair = {kind: f"fewest/most turns: {p50([one.fairness for one in rounds]):.2f}" for kind, rounds in found.items()}
    return [
        figure
        for ours, raw, shown in (
            ("sessions", "threads", "8 sessions in one process / raw threads"),
            ("processes", "raw", "8 processes / raw processes"),
        )
        for figure in (
            Figure(
                what=shown, ours=rate[ours], floor=rate[raw], unit="turns/s", note=f"{fair[ours]}; floor: {best}",
            ),
            Figure(what="… the worst one's p99", ours=worst[ours], floor=worst[raw], unit="ms"),
        )
    ]  # fmt: skip


def read(server: Server, sizes: Sizes) -> list[Figure]:
    """Resume, read the end, and see what it takes on disk."""
    say("  filling")
    url, longer = fresh(server), fresh(server)
    asyncio.run(fill(url, sizes.path_turns))
    raw = asyncio.run(fill(longer, sizes.disk_turns)) + asyncio.run(record_bytes(longer))
    taken = asyncio.run(_bytes_on_disk(longer))
    return [
        *resumes(url, sizes, RAW_RESUME, ("ACTIVE_PATH_ONLY",)),
        *asyncio.run(last_nodes({sizes.path_turns: url, sizes.disk_turns: longer}, sizes)),
        Figure(
            what=f"bytes on disk, {sizes.disk_turns:,} turns", ours=taken / 1e6, floor=raw / 1e6, unit="MB",
            note="tables and indices, none of them vacuumed",
        ),
    ]  # fmt: skip


async def _bytes_on_disk(url: str) -> int:
    async with opened(url) as store:
        return (await store.stats()).bytes_on_disk or 0


def fresh(server: Server) -> str:
    """Make a database and give its URL."""
    return server.url_of(server.fresh())

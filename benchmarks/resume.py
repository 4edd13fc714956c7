"""A cold resume after 1,000 turns: open, head, and the whole path with its payloads, against the floor of the same run.

The floor opens the same file with ``sqlite3``, selects the same rows and parses each payload with ``json.loads``.
Both run in a process of their own for each try. Times are milliseconds, median; opening counts, importing does not.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Writer
from lash_store_sql.sqlite import open_sqlite

TURNS, NODES, TRIES = 1000, 5, 15

STORE = """
import asyncio, sys, time
from lash_store_sql.sqlite import open_sqlite
async def main():
    begin = time.perf_counter()
    store = await open_sqlite("sqlite:///" + sys.argv[1], False)
    session = store.session("bench")
    head = await session.head()
    nodes = await session.path(head.leaf)
    size = sum(len(node.payload) for node in nodes)
    print(time.perf_counter() - begin, len(nodes), size)
    await store.close()
asyncio.run(main())
"""

FLOOR = """
import json, sqlite3, sys, time
begin = time.perf_counter()
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM session").fetchone()
rows = connection.execute("SELECT node_id, parent, timestamp, kind, payload FROM node ORDER BY pos").fetchall()
read = time.perf_counter() - begin
decoded = [json.loads(row[4]) for row in rows]
print(time.perf_counter() - begin, read, len(rows), sum(len(row[4]) for row in rows))
connection.close()
"""


async def fill(path: str) -> None:
    store = await open_sqlite(f"sqlite:///{path}", True)
    session, parent = store.session("bench"), None
    for turn in range(TURNS):
        nodes = []
        for number in range(NODES):
            node_id = f"{turn * NODES + number:032x}"
            payload = json.dumps({"role": "user", "content": [{"type": "text", "text": f"{turn} " + "word " * 170}]})
            nodes.append(Node(node_id, parent, turn, "message", payload.encode()))
            parent = node_id
        await session.commit(
            Commit(
                session_id="bench", commit_id=f"{turn:032x}", writer=Writer("ab" * 16, 0),
                expected_revision=turn or None, nodes=tuple(nodes), leaf=parent, state=b"{}", record=b"{}",
                committed_at=turn,
            )
        )  # fmt: skip
    await store.close()


def timed(code: str, path: str) -> list[float]:
    command = [sys.executable, "-c", code, path]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(word) for word in out.split()]


def main() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/store.db"
        asyncio.run(fill(path))
        tries = [(timed(STORE, path), timed(FLOOR, path)) for _ in range(TRIES)]
    store_ms = statistics.median(store[0] for store, _ in tries) * 1e3
    floor_ms = statistics.median(floor[0] for _, floor in tries) * 1e3
    select_ms = statistics.median(floor[1] for _, floor in tries) * 1e3
    assert tries[0][0][1:] == tries[0][1][2:]
    return [
        {
            "turns": TURNS,
            "store_ms": store_ms,
            "select_and_loads_ms": floor_ms,
            "select_ms": select_ms,
            "ratio": store_ms / floor_ms,
        }
    ]


if __name__ == "__main__":
    for row in main():
        print({name: round(value, 2) for name, value in row.items()})

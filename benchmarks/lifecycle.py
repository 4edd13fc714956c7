"""Park and resume of a session of 1,000 turns, against the floor of the same run: reading its path.

The session was filled by the store itself; beside its path stand ``BESIDE`` nodes of other branches. *Resume* goes from
a handle to a runtime with its conversation decoded, *park* from that runtime to a handle. The floor opens the same file
with ``sqlite3``, selects the rows of the path and parses each payload with ``json.loads``. Each try is a process of its
own; importing does not count. Times are milliseconds, median.
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
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.state import HeadDocument
from lash_hookspecs.records.store import Commit, Fork, Writer
from lash_store_sql.sqlite import SqliteBackend, open_sqlite

TURNS, NODES, BESIDE, TRIES = 1000, 5, 5000, 9

RESUME = """
import asyncio, sys, time
from pathlib import Path
from lash_core import LashRuntime, ParkedSession, Residency, RuntimeEnvironment
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_basics import mode_plugin
from lash_store_sql.sqlite import open_sqlite

async def main():
    path, session_id, residency = sys.argv[1:]
    plugins = PluginManager.for_tests((*BUILTINS, mode_plugin))
    env = RuntimeEnvironment(plugins=plugins, residency=Residency[residency], tool_sets=())
    begin = time.perf_counter()
    env = env.evolve(store=await open_sqlite("sqlite:///" + path, False))
    runtime = await LashRuntime.resume(ParkedSession(session_id=session_id, store="", revision=1), env)
    nodes = len(runtime.items)
    resumed = time.perf_counter()
    await runtime.park()
    print(resumed - begin, time.perf_counter() - resumed, nodes)
    await env.store.close()

asyncio.run(main())
"""

FLOOR = """
import json, sqlite3, sys, time
begin = time.perf_counter()
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM session").fetchone()
rows = connection.execute(
    "SELECT node_id, parent, timestamp, kind, payload FROM node ORDER BY pos LIMIT ?", [sys.argv[2]]
).fetchall()
decoded = [json.loads(row[4]) for row in rows]
print(time.perf_counter() - begin, len(rows))
connection.close()
"""


async def fill(path: str) -> None:
    """Make the sessions ``plain``, ``branched`` (nodes beside its path) and ``forked`` (of the branched one)."""
    store = await open_sqlite(f"sqlite:///{path}", True)
    await _session(store, "plain", "a", 0)
    await store.close()


async def fill_branched(path: str) -> None:
    store = await open_sqlite(f"sqlite:///{path}", True)
    leaf = await _session(store, "branched", "b", BESIDE)
    commit = Commit(
        session_id="forked", commit_id="f" * 32, writer=Writer("cd" * 16, 0), expected_revision=None,
        leaf=leaf, state=HeadDocument().to_bytes(), record=b"{}", committed_at=1, fork=Fork("branched", leaf),
    )  # fmt: skip
    await store.session("forked").commit(commit)
    await store.close()


async def _session(store: SqliteBackend, session_id: str, prefix: str, beside: int) -> str:
    session, leaf, number = store.session(session_id), None, 0
    for turn in range(TURNS + beside // NODES):
        nodes, parent = [], leaf if turn < TURNS else None
        for _ in range(NODES):
            number += 1
            said = Message(role="user", parts=(TextPart(text=f"{turn} " + "word " * 170),), turn_index=turn + 1)
            nodes.append(Node(f"{prefix}{number:031x}", parent, turn, "message", said.to_bytes()))
            parent = nodes[-1].node_id
        leaf = parent if turn < TURNS else leaf
        await session.commit(
            Commit(
                session_id=session_id, commit_id=f"{turn:032x}", writer=Writer(prefix * 32, 0),
                expected_revision=turn or None, nodes=tuple(nodes), leaf=leaf,
                state=HeadDocument(turn_index=turn + 1).to_bytes(), record=b'{"step": "final"}', committed_at=turn,
            )
        )  # fmt: skip
    assert leaf is not None
    return leaf


def timed(code: str, *arguments: str) -> list[float]:
    command = [sys.executable, "-c", code, *arguments]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(word) for word in out.split()]


def measured(path: str, session_id: str, residency: str) -> dict[str, Any]:
    nodes = TURNS * NODES
    tries = [(timed(RESUME, path, session_id, residency), timed(FLOOR, path, str(nodes))) for _ in range(TRIES)]
    assert all(ours[2] == floor[1] == nodes for ours, floor in tries)
    resume, park, floor = (
        statistics.median(values) * 1e3
        for values in ([t[0][0] for t in tries], [t[0][1] for t in tries], [t[1][0] for t in tries])
    )
    return {
        "session": f"{session_id}/{'all' if residency == 'KEEP_ALL' else 'path'}",
        "path_nodes": nodes,
        "beside": 0 if session_id == "plain" else BESIDE,
        "resume_ms": resume,
        "park_ms": park,
        "select_and_loads_ms": floor,
        "ratio": (resume + park) / floor,
    }


def main() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        plain, branched = f"{folder}/plain.db", f"{folder}/branched.db"
        asyncio.run(fill(plain))
        asyncio.run(fill_branched(branched))
        return [
            measured(branched if name != "plain" else plain, name, residency)
            for name in ("plain", "branched", "forked")
            for residency in ("KEEP_ALL", "ACTIVE_PATH_ONLY")
        ]


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))

"""Commits through the SQLite store against a hand-written transaction with the same settings, in the same run.

A turn is five nodes of 900 bytes, a head document, a record document and two component refs. The floor inserts the
same nodes and record and updates the same head, in its own file, with ``sqlite3`` in the same thread. The two
alternate, so that both see the same machine. Times are microseconds, p50.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Writer, blob_ref
from lash_store_sql.sqlite import SqliteBackend, open_sqlite

TURNS = (10, 100, 1000, 3000)
#: Turns measured around each of them.
WINDOW = 200
NODES, PAYLOAD, STATE, RECORD = 5, 900, 600, 500
INCARNATION = "ab" * 16

FLOOR = """
CREATE TABLE head (key INTEGER PRIMARY KEY, revision INTEGER, leaf BLOB, epoch INTEGER, state BLOB, refs TEXT);
CREATE TABLE node (pos INTEGER PRIMARY KEY, node_id BLOB UNIQUE, parent BLOB, at INTEGER, kind TEXT, payload BLOB);
CREATE TABLE record (revision INTEGER PRIMARY KEY, commit_id BLOB UNIQUE, digest BLOB, refs TEXT, body BLOB);
INSERT INTO head VALUES (1, 0, NULL, 0, x'', '{}');
"""


class Floor:
    """What a transaction of the same content costs when nobody asks for more."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("page_size=8192", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            self.connection.execute(f"PRAGMA {setting}")
        self.connection.executescript(FLOOR)
        self.pos = 0

    def commit(self, revision: int, rows: list[tuple[Any, ...]], refs: str) -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        ((stored,),) = execute("SELECT revision FROM head WHERE key = 1")
        assert stored == revision - 1
        self.connection.executemany(
            "INSERT INTO node VALUES (?, ?, ?, ?, ?, ?)",
            [(self.pos + number, *row) for number, row in enumerate(rows, 1)],
        )
        self.pos += len(rows)
        body = b"r" * RECORD
        execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", (revision, os.urandom(16), os.urandom(32), refs, body))
        execute(
            "UPDATE head SET revision = ?, leaf = ?, epoch = 0, state = ?, refs = ? WHERE key = 1",
            (revision, rows[-1][0], b"s" * STATE, refs),
        )
        execute("COMMIT")


def fresh_ids(turn: int) -> list[str]:
    return [f"{turn * NODES + number:020x}{os.urandom(6).hex()}" for number in range(NODES)]


def make_commit(turn: int, leaf: str | None, components: dict[str, str]) -> Commit:
    nodes, parent = [], leaf
    for node_id in fresh_ids(turn):
        nodes.append(Node(node_id, parent, time.time_ns() // 1000, "message", b"x" * PAYLOAD))
        parent = node_id
    return Commit(
        session_id="bench",
        commit_id=os.urandom(16).hex(),
        writer=Writer(INCARNATION, 0),
        expected_revision=turn - 1 or None,
        nodes=tuple(nodes),
        leaf=parent,
        components=components,
        state=b"s" * STATE,
        record=b"r" * RECORD,
        committed_at=time.time_ns() // 1000,
    )


def floor_rows(commit: Commit) -> list[tuple[Any, ...]]:
    return [
        (bytes.fromhex(node.node_id), node.parent_node_id and bytes.fromhex(node.parent_node_id), node.timestamp,
         node.kind, node.payload)
        for node in commit.nodes
    ]  # fmt: skip


async def alternate(store: SqliteBackend, floor: Floor, turns: int) -> tuple[list[float], list[float]]:
    session = store.session("bench")
    bodies = [b"tools" * 100, b"mode" * 100]
    refs = await session.put_blobs(bodies)
    components = {"tools": refs[0], "mode": refs[1]}
    shown = f'{{"tools":"{blob_ref(bodies[0])}","mode":"{refs[1]}"}}'
    ours, theirs, leaf = [], [], None
    for turn in range(1, turns + 1):
        commit = make_commit(turn, leaf, components)
        rows, leaf = floor_rows(commit), commit.leaf
        begin = time.perf_counter()
        await session.commit(commit)
        middle = time.perf_counter()
        floor.commit(turn, rows, shown)
        theirs.append((time.perf_counter() - middle) * 1e6)
        ours.append((middle - begin) * 1e6)
    return ours, theirs


async def measure() -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        store = await open_sqlite(f"sqlite:///{folder}/ours.db", True)
        floor = Floor(Path(folder, "floor.db"))
        ours, theirs = await alternate(store, floor, TURNS[-1] + WINDOW)
        floor.connection.close()
        await store.close()
    rows = []
    for turn in TURNS:
        window = slice(max(0, turn - 5), turn + WINDOW)
        store_us, floor_us = statistics.median(ours[window]), statistics.median(theirs[window])
        rows.append({"turn": turn, "store_us": store_us, "floor_us": floor_us, "ratio": store_us / floor_us})
    return rows


def main() -> list[dict[str, float]]:
    return asyncio.run(measure())


if __name__ == "__main__":
    for row in main():
        print({name: round(value, 2) for name, value in row.items()})

"""The floor on SQLite: what a program by hand does, with the connection settings, columns and indices of the store.

One connection that is kept, statements that ``sqlite3`` keeps prepared, one transaction per turn: the session's row is
read and compared, five nodes and a record are inserted, the row is updated.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

from workload import ITEMS, dumps

SETTINGS = ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "trusted_schema=OFF")
SCHEMA = """
CREATE TABLE IF NOT EXISTS session (
  key INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, session_id TEXT NOT NULL, incarnation ANY NOT NULL,
  graph INTEGER NOT NULL, leaf ANY, leaf_pos INTEGER, tail_pos INTEGER, revision INTEGER NOT NULL,
  epoch INTEGER NOT NULL, open_turn TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  stored_at INTEGER NOT NULL, labels TEXT NOT NULL, components TEXT NOT NULL, state BLOB NOT NULL,
  UNIQUE (tenant, session_id)) STRICT;
CREATE INDEX IF NOT EXISTS session_graph ON session (graph);
CREATE INDEX IF NOT EXISTS session_open_turn ON session (tenant, session_id) WHERE open_turn IS NOT NULL;
CREATE TABLE IF NOT EXISTS node (
  pos INTEGER PRIMARY KEY, graph INTEGER NOT NULL, node_id ANY NOT NULL, parent ANY, stored_at INTEGER NOT NULL,
  timestamp INTEGER NOT NULL, hidden INTEGER NOT NULL, kind TEXT NOT NULL, refs BLOB, payload BLOB NOT NULL,
  UNIQUE (graph, node_id)) STRICT;
CREATE TABLE IF NOT EXISTS record (
  key INTEGER PRIMARY KEY, session INTEGER NOT NULL REFERENCES session (key), commit_id ANY NOT NULL,
  digest BLOB NOT NULL, epoch INTEGER NOT NULL, leaf ANY, open_turn TEXT, committed_at INTEGER NOT NULL,
  components TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (session, commit_id)) STRICT;
"""
BEGIN_SESSION = "INSERT INTO session VALUES (NULL,'',?,?,0,NULL,NULL,NULL,0,0,NULL,0,0,0,'{}','{}',x'')"
FIND = "SELECT key, incarnation, revision, epoch, tail_pos, leaf FROM session WHERE tenant = '' AND session_id = ?"
ADD_RECORD = "INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?,?)"
ADD_NODE = "INSERT INTO node VALUES (?,?,?,?,?,?,?,?,?,?)"
MOVE = (
    "UPDATE session SET leaf=?, leaf_pos=?, tail_pos=?, revision=?, epoch=?, open_turn=?, updated_at=?, stored_at=?,"
    " components=?, state=? WHERE key=?"
)


class Floor:
    """One raw writer of one session."""

    def __init__(self, path: str, session_id: str = "bench", *, refs: str = "{}") -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        self.connection.execute("PRAGMA page_size=16384")
        self.connection.execute("PRAGMA journal_mode=WAL")
        for setting in SETTINGS:
            self.connection.execute(f"PRAGMA {setting}")
        self.connection.executescript(SCHEMA)
        self.session_id = session_id
        self.refs = refs
        if self.connection.execute(FIND, (session_id,)).fetchone() is None:
            self.begin(session_id)

    def begin(self, session_id: str) -> None:
        """Insert one row in a transaction of its own."""
        self.connection.execute(BEGIN_SESSION, (session_id, os.urandom(16)))

    def commit(self, turn: list[Any], state: Any, record: Any) -> None:
        """Encode and store a turn."""
        payloads = [dumps(document) for document in turn]
        kinds = ["tool" if "result" in document else "message" for document in turn]
        now, execute = time.time_ns() // 1000, self.connection.execute
        stamp = now.to_bytes(8, "big")
        ids = [stamp + os.urandom(8) for _ in range(ITEMS)]
        head, body = dumps(state), dumps(record)
        execute("BEGIN IMMEDIATE")
        key, _, revision, epoch, tail, leaf = execute(FIND, (self.session_id,)).fetchone()
        revision += 1
        tail = key << 32 if tail is None else tail + 1
        execute(
            ADD_RECORD,
            (
                key << 32 | revision,
                key,
                os.urandom(8).hex(),
                os.urandom(32),
                epoch,
                ids[-1],
                None,
                now,
                self.refs,
                body,
            ),
        )
        rows = [
            (tail + place, key, node_id, parent, now, now, 0, kind, None, payload)
            for place, (node_id, parent, kind, payload) in enumerate(
                zip(ids, (leaf, *ids), kinds, payloads, strict=False)
            )
        ]
        self.connection.executemany(ADD_NODE, rows)
        last = tail + ITEMS - 1
        execute(MOVE, (ids[-1], last, last, revision, epoch, None, now, now, self.refs, head, key))
        execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

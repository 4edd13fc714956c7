"""The floors on PostgreSQL: what programs by hand do, in tables that are the store's own.

All keep one connection and prepared statements, send and take everything in binary, and know their session's row from
the commit before, as Lash does. They differ in how a turn travels: six statements that wait for each other, the same in
one pipeline, or one statement that does everything.
"""

from __future__ import annotations

import os
import time
from typing import Any, Literal, cast

import psycopg
from lash_store_sql.rows import SHIFT
from psycopg import RawCursor
from psycopg.pq import Format
from workload import ITEMS, dumps

Form = Literal["six statements", "pipeline", "single statement"]
#: The forms that may be the best; which one is depends on the machine.
FAST: tuple[Form, ...] = ("pipeline", "single statement")

BEGIN_SESSION = """
    INSERT INTO session (tenant, session_id, incarnation, graph, revision, epoch, created_at, updated_at, stored_at,
        labels, components, state) VALUES ('', $1, $2, 0, 0, 0, 0, 0, 0, '{}', '{}', '') RETURNING key
"""
FIND = """
    SELECT key, incarnation, revision, epoch, tail_pos, leaf FROM session
    WHERE tenant = '' AND session_id = $1 FOR UPDATE
"""
ADD_NODES = """
    INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload)
    SELECT $1 + number, $2, given.node_id, given.parent, $3, $3, 0, given.kind, NULL, given.payload
    FROM unnest($4::bytea[], $5::bytea[], $6::text[], $7::bytea[])
        WITH ORDINALITY AS given (node_id, parent, kind, payload, number)
"""
ADD_RECORD = """
    INSERT INTO record (key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, body)
    VALUES ($1, $2, $3, $4, $5, $6, NULL, $7, $8, $9)
"""
MOVE = """
    UPDATE session SET leaf = $1, leaf_pos = $2, tail_pos = $2, revision = $3, epoch = $4, open_turn = NULL,
        updated_at = $5, stored_at = $5, components = $6, state = $7 WHERE key = $8
"""
SINGLE = """
    WITH head AS (
        UPDATE session SET leaf = $1, leaf_pos = leaf_pos + $2, tail_pos = tail_pos + $2, revision = revision + 1,
            epoch = $3, open_turn = NULL, updated_at = $4, stored_at = $4, components = $5, state = $6
        WHERE tenant = '' AND session_id = $7 AND revision = $8 RETURNING key, tail_pos, revision
    ), added AS (
        INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload)
        SELECT head.tail_pos - $2 + number, head.key, given.node_id, given.parent, $4, $4, 0, given.kind, NULL,
            given.payload
        FROM head, unnest($9::bytea[], $10::bytea[], $11::text[], $12::bytea[])
            WITH ORDINALITY AS given (node_id, parent, kind, payload, number)
    )
    INSERT INTO record (key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, body)
    SELECT head.key << 32 | head.revision, head.key, $13, $14, $3, $1, NULL, $4, $5, $15 FROM head
"""


class _Cursor(RawCursor[tuple[Any, ...]]):
    def __init__(self, connection: psycopg.Connection[Any], **arguments: Any) -> None:
        super().__init__(connection, **arguments)
        self.format = Format.BINARY


class PostgresFloor:
    """One raw writer of one session.

    Args:
        url: A database with the store's tables, of which no Lash knows.
        session_id: What the session is called.
        form: How a turn travels.
        refs: The components of the head, as JSON.
    """

    def __init__(
        self, url: str, session_id: str = "bench", *, form: Form = "single statement", refs: str = "{}"
    ) -> None:
        self.connection = psycopg.connect(url, autocommit=True, cursor_factory=cast(Any, _Cursor))
        self._run("SET search_path = lash")
        self._run("SET plan_cache_mode = force_generic_plan")
        self._session_id, self._refs = session_id, refs
        self._revision = 0
        self._leaf: bytes | None = None
        self.commit = {"six statements": self._six, "pipeline": self._pipeline, "single statement": self._single}[form]
        self._key: int = self._run(BEGIN_SESSION, session_id, os.urandom(16)).fetchone()[0]
        self._tail = (self._key << SHIFT) - 1
        self._run(
            f"UPDATE session SET graph = key, leaf_pos = {self._tail}, tail_pos = {self._tail} WHERE key = {self._key}"
        )

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _six(self, turn: list[Any], state: Any, record: Any) -> None:
        made = _Encoded(turn, state, record, self._leaf)
        self._run("BEGIN")
        key, _, revision, epoch, tail, _ = self._run(FIND, self._session_id).fetchone()
        assert revision == self._revision
        self._rest(made, key, revision + 1, epoch, tail)
        self._run("COMMIT")
        self._moved(made)

    def _pipeline(self, turn: list[Any], state: Any, record: Any) -> None:
        """A stale writer's record has a key that is there, so its transaction fails."""
        made = _Encoded(turn, state, record, self._leaf)
        with self.connection.pipeline():
            self._run("BEGIN")
            self._rest(made, self._key, self._revision + 1, 0, self._tail)
            self._run("COMMIT")
        self._moved(made)

    def _rest(self, made: _Encoded, key: int, revision: int, epoch: int, tail: int) -> None:
        self._run(
            ADD_RECORD,
            key << SHIFT | revision,
            key,
            made.commit_id,
            made.digest,
            epoch,
            made.ids[-1],
            made.now,
            self._refs,
            made.record,
        )
        self._run(ADD_NODES, tail, key, made.now, made.ids, made.parents, made.kinds, made.payloads)
        self._run(MOVE, made.ids[-1], tail + ITEMS, revision, epoch, made.now, self._refs, made.state, key)

    def _single(self, turn: list[Any], state: Any, record: Any) -> None:
        made = _Encoded(turn, state, record, self._leaf)
        done = self._run(
            SINGLE, made.ids[-1], ITEMS, 0, made.now, self._refs, made.state, self._session_id, self._revision,
            made.ids, made.parents, made.kinds, made.payloads, made.commit_id, made.digest, made.record,
        )  # fmt: skip
        assert done.rowcount == 1
        self._moved(made)

    def _moved(self, made: _Encoded) -> None:
        self._revision, self._leaf = self._revision + 1, made.ids[-1]
        self._tail += ITEMS

    def _run(self, statement: str, *values: Any) -> Any:
        return self.connection.execute(cast(Any, statement), values or None, prepare=True)


class _Encoded:
    """A turn as bytes, with ids."""

    def __init__(self, turn: list[Any], state: Any, record: Any, leaf: bytes | None) -> None:
        self.payloads = [dumps(document) for document in turn]
        self.kinds = ["tool" if "result" in document else "message" for document in turn]
        self.now = time.time_ns() // 1000
        stamp = self.now.to_bytes(8, "big")
        self.ids = [stamp + os.urandom(8) for _ in range(ITEMS)]
        self.parents = [leaf, *self.ids[:-1]]
        self.state, self.record = dumps(state), dumps(record)
        self.commit_id, self.digest = os.urandom(8), os.urandom(32)

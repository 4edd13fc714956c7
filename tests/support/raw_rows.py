"""What raw SQL finds in a database of sessions, past every line of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from lash_store_sql.rows import unpack_id
from postgres_server import Server

__all__ = ["Rows", "postgres_rows", "sqlite_rows"]

_NODES = "SELECT node_id, parent, payload FROM {}node"
_RECORDS = "SELECT key, commit_id, digest FROM {}record"
_REVISIONS = "SELECT session_id, revision FROM {}session"


@attrs.frozen
class Rows:
    """Rows of all sessions.

    Attributes:
        nodes: Node id → parent's id and payload.
        records: Commit id → revision and digest.
        revisions: Session → the head's.
    """

    nodes: Mapping[str, tuple[str | None, bytes]]
    records: Mapping[str, tuple[int, str]]
    revisions: Mapping[str, int]


def sqlite_rows(path: Path) -> Rows:
    """Read a SQLite file."""
    with sqlite3.connect(path) as connection:
        found = [connection.execute(query.format("")).fetchall() for query in (_NODES, _RECORDS, _REVISIONS)]
    connection.close()
    return _rows(*found)


def postgres_rows(server: Server, database: str) -> Rows:
    """Read a PostgreSQL database."""
    with server.connect(database) as connection:
        nodes, records, heads = (
            connection.execute(query.format("lash.")).fetchall() for query in (_NODES, _RECORDS, _REVISIONS)
        )
        names = [(bytes(name).decode() if isinstance(name, bytes) else name, revision) for name, revision in heads]
    return _rows(nodes, records, names)


def _rows(nodes: Iterable[Any], records: Iterable[Any], heads: Iterable[Any]) -> Rows:
    return Rows(
        {
            unpack_id(node_id, "node"): (None if parent is None else unpack_id(parent, "node"), bytes(payload))
            for node_id, parent, payload in nodes
        },
        {unpack_id(commit_id, "record"): (key & 0xFFFFFFFF, bytes(digest).hex()) for key, commit_id, digest in records},
        dict(heads),
    )

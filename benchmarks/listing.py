"""Listing sessions: pages of 50 by a cursor at random, of all and of those with a label, beside a raw select.

Sessions come by bulk import and have only what a listing reads. While pages are read, somebody else holds the lock of
writers: a page that waited for it would take forever.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import psycopg
from harness import Figure, Sizes, p50, p99, say
from lash_hookspecs.records.store import SessionQuery
from parked import park_one
from sessions import clone, opened

TITLE = "Listing sessions"

LABELS: tuple[dict[str, str], ...] = ({}, {"kind": "tenth"})
_RAW = (
    "SELECT * FROM session WHERE tenant = '' AND session_id > ? ORDER BY session_id LIMIT 51",
    "SELECT session.* FROM label JOIN session ON session.key = label.session WHERE label.tenant = ''"
    " AND label.name = 'kind' AND label.value = 'tenth' AND label.session_id > ? ORDER BY label.session_id LIMIT 51",
)

#: Gives the rows that a raw select of so many labels finds behind a session.
Select = Callable[[int, str], Sequence[Any]]


async def pages(place: str, sizes: Sizes, select: Select) -> list[Figure]:
    """Read pages, each beside its floor."""
    figures = []
    async with opened(place) as store:
        for labels in LABELS:
            chance, ours, floor = random.Random(1), [], []
            for _ in range(sizes.pages):
                after = f"bench-{chance.randrange(max(1, int(sizes.listed * 0.9))):07d}"
                begin = time.perf_counter()
                page = await store.sessions(SessionQuery(labels=labels, after=after, limit=50))
                middle = time.perf_counter()
                rows = select(len(labels), after)
                floor.append((time.perf_counter() - middle) * 1e3)
                ours.append((middle - begin) * 1e3)
                assert len(page.rows) == min(50, len(rows))
            shown = f"50 of {sizes.listed:,}{', by label' if labels else ''}"
            note = "beside somebody who holds the lock of writers"
            figures.append(Figure(what=f"{shown}, p50", ours=p50(ours), floor=p50(floor), unit="ms", note=note))
            figures.append(Figure(what=f"{shown}, p99", ours=p99(ours), floor=p99(floor), unit="ms"))
    return figures


def run(sizes: Sizes) -> list[Figure]:
    """Import sessions and list them."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/listing.db"
        asyncio.run(park_one(path))
        say(f"  importing {sizes.listed:,} sessions")
        clone(path, sizes.listed, heads=True)
        reader, writer = sqlite3.connect(path), sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        figures = asyncio.run(pages(path, sizes, lambda many, after: reader.execute(_RAW[many], (after,)).fetchall()))
        reader.close()
        writer.close()
        return figures


def on_postgres(url: str, sizes: Sizes) -> list[Figure]:
    """Import sessions into a database of PostgreSQL and list them."""
    asyncio.run(park_one(url))
    say(f"  importing {sizes.listed:,} sessions")
    with psycopg.connect(url, options="-csearch_path=lash", prepare_threshold=0) as reader:
        reader.autocommit = True
        clone_heads(reader, sizes.listed)
        raw = [text.replace("?", "%s") for text in _RAW]
        with psycopg.connect(url, options="-csearch_path=lash") as writer:
            writer.execute("UPDATE session SET updated_at = updated_at")
            figures = asyncio.run(
                pages(url, sizes, lambda many, after: reader.execute(cast(Any, raw[many]), (after,)).fetchall())
            )
            writer.rollback()
    return figures


def clone_heads(connection: psycopg.Connection[Any], count: int) -> None:
    """Do what `sessions.clone` does with heads, by bulk import into PostgreSQL."""
    columns = [row[0] for row in connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'lash' AND table_name = 'session' "
        "ORDER BY ordinal_position"
    )]  # fmt: skip
    changed = {
        "key": "key + n", "graph": "key + n", "session_id": "'bench-' || lpad(n::text, 7, '0')",
        "labels": """CASE WHEN n % 10 <> 0 THEN '{}' ELSE '{"kind":"tenth"}' END""",
    }  # fmt: skip
    chosen = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    connection.execute(cast(Any, f"INSERT INTO session SELECT {chosen} FROM session, generate_series(1, {count}) AS n"))
    connection.execute(
        "INSERT INTO label (tenant, name, value, session_id, session) "
        "SELECT tenant, 'kind', 'tenth', session_id, key FROM session WHERE labels <> '{}'"
    )
    connection.execute("ANALYZE session, label")

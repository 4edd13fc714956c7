"""Listing sessions: pages of 50 by a cursor at random, of all and of those with a label, beside a raw select."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time

from harness import Figure, Sizes, p50, p99, say
from lash_hookspecs.records.store import SessionQuery
from parked import park_one
from sessions import clone, opened

TITLE = "Listing sessions"

LABELS: tuple[dict[str, str], ...] = ({}, {"kind": "tenth"})
RAW = (
    "SELECT * FROM session WHERE tenant = '' AND session_id > ? ORDER BY session_id LIMIT 51",
    "SELECT session.* FROM label JOIN session ON session.key = label.session WHERE label.tenant = ''"
    " AND label.name = 'kind' AND label.value = 'tenth' AND label.session_id > ? ORDER BY label.session_id LIMIT 51",
)


async def pages(path: str, sizes: Sizes) -> list[Figure]:
    """Read pages, each beside its floor."""
    figures = []
    connection = sqlite3.connect(path)
    async with opened(path) as store:
        for labels, raw in zip(LABELS, RAW, strict=True):
            chance, ours, floor = random.Random(1), [], []
            for _ in range(sizes.pages):
                after = f"bench-{chance.randrange(max(1, int(sizes.listed * 0.9))):07d}"
                begin = time.perf_counter()
                page = await store.sessions(SessionQuery(labels=labels, after=after, limit=50))
                middle = time.perf_counter()
                rows = connection.execute(raw, (after,)).fetchall()
                floor.append((time.perf_counter() - middle) * 1e3)
                ours.append((middle - begin) * 1e3)
                assert len(page.rows) == min(50, len(rows))
            shown = f"50 of {sizes.listed:,}{', by label' if labels else ''}"
            figures.append(Figure(what=f"{shown}, p50", ours=p50(ours), floor=p50(floor), unit="ms"))
            figures.append(Figure(what=f"{shown}, p99", ours=p99(ours), floor=p99(floor), unit="ms"))
    connection.close()
    return figures


def run(sizes: Sizes) -> list[Figure]:
    """Import sessions and list them."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/listing.db"
        asyncio.run(park_one(path))
        say(f"  importing {sizes.listed:,} sessions")
        clone(path, sizes.listed, labelled=True)
        return asyncio.run(pages(path, sizes))

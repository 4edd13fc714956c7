"""Bytes on disk of one session, beside the bytes of the JSON that the runtime hands over.

That JSON is the payloads and the commits' own documents; ids, parents and times of nodes are not counted there. Words
in no order can hardly be compressed; passages of Python's own library are what a model reads and writes.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path

from harness import Figure, Goal, Sizes, say
from sessions import fill, opened

TITLE = "Bytes on disk"

#: URL options, whether of passages, what that is called, and the goal.
FORMS = (
    ("", False, "as it is", 1.3),
    ("?compression=zstd", False, "compression=zstd", 0.5),
    ("", True, "passages, as it is", 1.3),
    ("?compression=zstd", True, "passages, compression=zstd", 0.5),
)


def run(sizes: Sizes) -> list[Figure]:
    """Fill a session in each form and look at the file."""
    figures = []
    for options, prose, shown, goal in FORMS:
        say(f"  filling {sizes.disk_turns:,} turns, {shown}")
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/disk.db"
            raw = asyncio.run(fill(path + options, sizes.disk_turns, prose=prose))
            documents = asyncio.run(record_bytes(path))
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            figures.append(
                Figure(
                    what=f"{sizes.disk_turns:,} turns, {shown}", ours=size / 1e6, floor=(raw + documents) / 1e6,
                    unit="MB", goal=Goal("≤", goal), note=f"{size / raw:.2f} × the payloads alone; {pages(path)}",
                )
            )  # fmt: skip
    return figures


async def record_bytes(place: str) -> int:
    """Count the bytes of the commits' documents."""
    async with opened(place) as store:
        return sum(len(record.record) for record in await store.session("bench").records())


def pages(path: str) -> str:
    """Say what the largest tables and indices take."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            "SELECT name, sum(pgsize) / 1e6 FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 4"
        ).fetchall()
    except sqlite3.Error:  # this SQLite was built without it
        return "no dbstat here"
    finally:
        connection.close()
    return ", ".join(f"{name} {size:.1f}" for name, size in rows)

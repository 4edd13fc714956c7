"""Fresh processes: what importing the store takes, and how long from the start to a resumed session.

A whole process each, the fastest of several: what slows one down is the machine's other work.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable

from harness import Figure, Goal, Sizes, alternate, child, say
from sessions import fill

TITLE = "Fresh processes"

NOTHING = "pass"
IMPORT = "import lash_store_sql.sqlite"
STORE = """
import asyncio, sys
from lash_store_sql.sqlite import open_sqlite

async def main():
    store = await open_sqlite("sqlite:///" + sys.argv[1], False)
    session = store.session("bench")
    head = await session.head()
    await session.path(head.leaf)
    await store.close()

asyncio.run(main())
"""
RUNTIME = """
import asyncio, sys
from lash_core import Agent, Lash, ParkedSession

async def main():
    async with Lash.open("sqlite:///" + sys.argv[1], agent=Agent()) as lash:
        await lash.resume(ParkedSession(session_id="bench", store="", revision=1))

asyncio.run(main())
"""


def timed(code: str, *arguments: object) -> Callable[[], float]:
    """Give a measurement of a whole process, in milliseconds."""

    def measure() -> float:
        begin = time.perf_counter()
        child(code, *arguments)
        return (time.perf_counter() - begin) * 1e3

    return measure


def run(sizes: Sizes) -> list[Figure]:
    """Start processes in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/startup.db"
        asyncio.run(fill(path, sizes.path_turns))
        say("  starting processes")
        measures = (timed(NOTHING), timed(IMPORT), timed(STORE, path), timed(RUNTIME, path))
        nothing, imported, store, runtime = map(min, alternate(sizes.tries, *measures))
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    shown = f"process start to resumed, {sizes.path_turns:,} turns"
    return [
        Figure(what=f"an empty process, {python}", ours=nothing, unit="ms"),
        Figure(
            what="importing the store, net of that", ours=imported - nothing, unit="ms", goal=Goal("≤", 80, "value"),
        ),
        Figure(
            what=f"{shown}: the store, head and path", ours=store, unit="ms", goal=Goal("≤", 200, "value"),
            note="whole process",
        ),
        Figure(what=f"{shown}: Lash with its plugins", ours=runtime, unit="ms", note="whole process"),
    ]  # fmt: skip

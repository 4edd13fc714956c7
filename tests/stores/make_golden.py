"""Writes the golden files of the schema as it is now: ``PYTHONPATH=tests/support python -m
tests.stores.make_golden``, before a schema changes.

A dump is the text of a small database that the real store and the real runtime wrote, with one of everything. There is
one of SQLite and one of PostgreSQL for every version that lands, made once and never again: `test_migrations` opens
and uses each of them for ever. The statements that this version's code runs on SQLite go beside it, so that a test can
run them on what comes later. PostgreSQL's is made by ``pg_dump``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lash_conformance.build import Author, holder, node
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Consumed, Fork, StreamEntry, Writer, blob_ref
from lash_store_sql import statements
from lash_store_sql.postgres.backend import open_postgres
from lash_store_sql.sqlite import open_sqlite
from lash_store_sql.statements import SCHEMA_VERSION
from postgres_server import shared_server

from lash_core import Agent, Lash

FOLDER = Path(__file__).parent / "golden"

_numbers = itertools.count(1)


def _nodes(count: int, parent: str | None, *, packed: bool = True, **fields: Any) -> list[Node]:
    """Make nodes that follow each other, with ids that are the same every time."""
    made: list[Node] = []
    for _ in range(count):
        number = next(_numbers)
        name = f"{number << 32:032x}" if packed else f"node-{number}"
        made.append(node(name, made[-1].node_id if made else parent, **fields))
    return made


async def fill(store: Any, url: str) -> None:
    """Write one of everything into an empty store, and close it."""
    long, short = b'{"text":"' + b"compressible " * 40 + b'"}', b'{"v":1}'
    author = Author(store, "chat", Writer(f"{0xA1:032x}", 1))
    spilled = b"the whole output of a tool, kept beside its extract"
    await author.commit(
        _nodes(3, None),
        commit_id=f"{0xC1:032x}",
        components={"mode": blob_ref(long), "tools": blob_ref(short)},
        blobs={blob_ref(long): long, blob_ref(short): short, blob_ref(spilled): spilled},
        labels={"user": "ann", "town": "Zürich"},
    )
    await author.commit(_nodes(2, author.leaf, refs=(blob_ref(spilled),)), commit_id="a commit id that is text")
    kept = author.leaf
    await author.commit(_nodes(2, author.leaf, hidden=True), leaf=kept, commit_id=f"{0xC3:032x}")
    await author.commit(_nodes(2, kept, packed=False), commit_id=f"{0xC4:032x}", open_turn="turn-2")
    fork = Author(store, "chat/fork", Writer("incarnation of the fork", 0))
    await fork.commit(leaf=author.written[1].node_id, fork=Fork("chat", author.written[1].node_id), commit_id="f1")
    await fork.commit(_nodes(2, fork.leaf), commit_id=f"{0xF2:032x}", labels={"user": "bob"})
    entries = [StreamEntry(f"key-{number}", b'{"entry":%d}' % number) for number in range(4)]
    await author.store.append("inbox", entries, writer=author.writer)
    await author.store.trim("inbox", 1, writer=author.writer)
    await author.commit(consumed=(Consumed("inbox", 2),), commit_id=f"{0xC5:032x}", open_turn="turn-2")
    await author.store.append("journal", [StreamEntry("only", b"\x00\xff")], writer=author.writer)
    dead = Author(store, "gone", Writer(f"{0xD1:032x}", 0))
    await dead.commit(_nodes(2, None), commit_id="d1")
    await dead.store.delete(incarnation=dead.writer.incarnation, deleted_at=1_700_000_000_000_000)
    await author.store.take_lease(holder(), 30.0)  # type: ignore[attr-defined]  # both stores have leases
    await store.session("new").take_lease(holder("lash run", "two"), 30.0)
    await store.close()
    async with Lash.open(url, agent=Agent(instructions="Be brief.")) as lash:
        session = await lash.session("spoken", labels={"user": "ann"})
        await session.turn("What is kept of this?")
        await session.turn("And of this?")


def sqlite_dump() -> Iterator[str]:
    """Give the lines of a dump of SQLite, with what SQLite's own leaves out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        asyncio.run(_fill_sqlite(f"sqlite:///{path}"))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            for pragma in ("application_id", "user_version"):
                ((value,),) = connection.execute(f"PRAGMA {pragma}")
                yield f"PRAGMA {pragma}={value};"
            yield from connection.iterdump()


async def _fill_sqlite(url: str) -> None:
    await fill(await open_sqlite(url, True, clock=lambda: 1_700_000_000.0), url)


def postgres_dump() -> Iterator[str]:
    """Give the lines of a dump of PostgreSQL, without what belongs to one server."""
    server = shared_server()
    name = server.fresh()
    asyncio.run(_fill_postgres(server.url_of(name)))
    command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", "--no-comments", server.url_of(name)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in ran.stdout.splitlines():
        if line and not line.startswith(("--", "SET ", "SELECT pg_catalog.set_config", "\\")):
            yield line


async def _fill_postgres(url: str) -> None:
    await fill(await open_postgres(url, False), url)


def main() -> None:
    """Write the statements and the dumps of this version; an existing dump is left alone."""
    assert statements.__file__ is not None
    shutil.copy(statements.__file__, FOLDER / f"sqlite-{SCHEMA_VERSION}.statements.txt")
    for kind, dump in (("sqlite", sqlite_dump), ("postgres", postgres_dump)):
        target = FOLDER / f"{kind}-{SCHEMA_VERSION}.sql"
        if target.exists():
            print(f"{target.name} is there: a golden dump is made once", file=sys.stderr)
        else:
            target.write_text("\n".join(dump()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

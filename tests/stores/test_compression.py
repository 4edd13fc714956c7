"""SQLite with ``?compression=zstd``: the same session in fewer bytes, readable with and without the option (S7-S9)."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from lash_conformance.build import Author, chain, node
from lash_hookspecs.errors import ConfigurationError, UnreadableData
from lash_hookspecs.records.retention import Redaction
from lash_hookspecs.records.store import StreamEntry
from lash_store_sql.sqlite import open_sqlite

SAID = b'{"role":"user","parts":[{"kind":"text","text":"the train to Bern leaves at nine from platform seven"}]}' * 4
#: What a payload never is, and what must come back all the same.
ODD = (b"\xff\x01not packed", b"\xff", b"", b"\xff\x00", b"{}", bytes(range(256)))


async def written(path: Path, options: str = "?compression=zstd") -> Author:
    store = await open_sqlite(f"sqlite:///{path}{options}", True)
    author = Author(store)
    await author.commit(chain(3, payload=SAID), record=b'{"step":"final","plugins":[]}' * 9)
    for odd in ODD:
        await author.commit([node(parent=author.leaf, payload=odd)], record=b"{}")
    await store.close()
    return author


@pytest.mark.parametrize("options", ["", "?compression=zstd", "?compression=none"])
async def test_what_was_written_is_read_with_and_without_the_option(tmp_path: Path, options: str) -> None:
    author = await written(tmp_path / "x.db")
    store = await open_sqlite(f"sqlite:///{tmp_path}/x.db{options}", False)
    session = store.session("chat")
    assert author.leaf is not None
    assert [each.payload for each in await session.path(author.leaf)] == [SAID] * 3 + list(ODD)
    assert (await session.records())[0].record == b'{"step":"final","plugins":[]}' * 9
    await store.close()


async def test_it_takes_fewer_bytes_and_a_replay_is_known(tmp_path: Path) -> None:
    author = await written(tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as raw:
        sizes = [row[0] for row in raw.execute("SELECT length(payload) FROM node ORDER BY pos LIMIT 3")]
    assert max(sizes) < len(SAID) / 3
    store = await open_sqlite(f"sqlite:///{tmp_path}/x.db?compression=zstd", False)
    author.backend = store
    commit = author.next(chain(1, author.leaf, payload=SAID))
    assert await author.store.commit(commit) == await author.store.commit(commit)
    await store.close()


async def test_a_redaction_finds_the_words_in_what_is_compressed(tmp_path: Path) -> None:
    author = await written(tmp_path / "x.db")
    store = await open_sqlite(f"sqlite:///{tmp_path}/x.db", False)
    first = author.ids[0]
    redaction = Redaction(
        node_id=first,
        payloads={first: b'{"redacted":true}'},
        scrub=lambda body: body.replace(b"Bern", b"----") if b"Bern" in body else None,
        audit=StreamEntry("redaction", b"{}"),
    )
    await store.session("chat").redact(redaction)
    assert author.leaf is not None
    payloads = [each.payload for each in await store.session("chat").path(author.leaf)]
    assert payloads[:3] == [b'{"redacted":true}', *[SAID.replace(b"Bern", b"----")] * 2]
    await store.close()


async def test_s9_a_damaged_body_is_an_error_that_names_the_node(tmp_path: Path) -> None:
    author = await written(tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as raw:
        raw.execute("UPDATE node SET payload = substr(payload, 1, 20) WHERE pos = (SELECT min(pos) FROM node)")
        raw.commit()
    store = await open_sqlite(f"sqlite:///{tmp_path}/x.db", False)
    assert author.leaf is not None
    with pytest.raises(UnreadableData, match=f"node {author.ids[0]}"):
        await store.session("chat").path(author.leaf)
    with closing(sqlite3.connect(tmp_path / "x.db")) as raw:
        raw.execute("UPDATE node SET payload = x'ff63' WHERE pos = (SELECT min(pos) FROM node)")
        raw.commit()
    with pytest.raises(UnreadableData, match="packing 99 is of a later version"):
        await store.session("chat").path(author.leaf)
    await store.close()


#: Opens and reads a store where the library is not to be had.
WITHOUT = """
import asyncio, sys
sys.modules["zstandard"] = None
from lash_hookspecs.errors import ConfigurationError
from lash_store_sql.sqlite import open_sqlite

async def main():
    try:
        store = await open_sqlite(sys.argv[1], False)
        await store.session("chat").path(sys.argv[2])
    except ConfigurationError as error:
        print(error)
        if "?" in sys.argv[1]:
            return
    await store.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("options", ["", "?compression=zstd"])
async def test_without_the_library_the_error_says_what_to_install(tmp_path: Path, options: str) -> None:
    author = await written(tmp_path / "x.db")
    command = [sys.executable, "-c", WITHOUT, f"sqlite:///{tmp_path}/x.db{options}", str(author.leaf)]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == (
        "the store is compressed with zstd, and zstandard is not installed: "
        "install it with: pip install 'lash-store-sql[zstd]'\n",
        "",
    )


async def test_another_compression_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="option 'compression' cannot be 'lz4'"):
        await open_sqlite(f"sqlite:///{tmp_path}/x.db?compression=lz4", True)

"""What the example for plugin authors has to prove besides the contract: torn lines, locks, files."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lash_conformance.build import INCARNATION, Author
from lash_hookspecs.errors import StoreUnavailable, UnreadableData
from lash_hookspecs.protocols.stores import StoreBackend

from tests.stores.examples import example, source


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreBackend]:
    opened: StoreBackend = await example("jsonl_store").open_jsonl(f"jsonl:{tmp_path}/store", True)
    yield opened
    await opened.close()


@pytest.fixture
def author(store: StoreBackend) -> Author:
    return Author(store)


def session_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "store").glob("*.jsonl")
    return path


@pytest.mark.parametrize("torn", [b"{", b'{"commit":{"nodes":[', b"\0\0\0\0"])
async def test_a_line_that_a_crash_tore_is_ignored_and_then_cut(tmp_path: Path, author: Author, torn: bytes) -> None:
    await author.turn()
    path = session_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert await author.store.path(author.ids[-1]) == author.written
    await author.turn()
    assert await author.store.path(author.ids[-1]) == author.written
    assert path.read_bytes().startswith(whole + b"{")
    assert path.read_bytes().count(b"\n") == 2


async def test_s9_a_line_in_the_middle_that_cannot_be_read_is_named(tmp_path: Path, author: Author) -> None:
    await author.turn()
    path = session_file(tmp_path)
    path.write_bytes(b"nonsense\n" + path.read_bytes())
    with pytest.raises(UnreadableData) as caught:
        await author.store.head()
    assert caught.value.row == f"line 1 of {path.name}"


async def test_s3_a_write_waits_for_the_lock_and_a_read_does_not(tmp_path: Path, author: Author) -> None:
    await author.turn()
    with session_file(tmp_path).with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        blocked = asyncio.create_task(author.turn())
        for _ in range(20):
            assert len(await author.store.graph()) == 3
        assert not blocked.done()
        fcntl.flock(lock, fcntl.LOCK_UN)
        await blocked
    assert len(await author.store.graph()) == 6


async def test_s8_the_bytes_of_a_deleted_session_vanish(tmp_path: Path, author: Author) -> None:
    await author.commit(state=b"very private words")
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    assert b"very private words" not in session_file(tmp_path).read_bytes()


async def test_a_store_that_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await example("jsonl_store").open_jsonl(f"jsonl:{tmp_path}/none", False)
    assert str(caught.value) == f"there is no store at {tmp_path}/none"


def test_the_example_for_authors_has_at_most_250_lines() -> None:
    lines = source("jsonl_store").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 250, "more would say that the protocol is too fat"

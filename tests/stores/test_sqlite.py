"""What only SQLite has to prove: crashes, races, a full disk, growth, rows that rot (S2-S5, S7-S9, S13)."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest
from lash_conformance.build import INCARNATION, Author, chain, ident, node
from lash_hookspecs.errors import (
    CorruptSession,
    InvalidInput,
    LimitExceeded,
    StoreBusy,
    UnreadableData,
)
from lash_hookspecs.records.store import Head, SessionQuery, StreamEntry, blob_ref
from lash_store_sql import reading, statements
from lash_store_sql.database import PAGE_SIZE
from lash_store_sql.sqlite import SqliteBackend, open_sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteBackend]:
    opened = await open_sqlite(f"sqlite:///{path}", True)
    yield opened
    await opened.close()


@pytest.fixture
def author(store: SqliteBackend) -> Author:
    return Author(store)


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def child(code: str, path: Path) -> subprocess.Popen[str]:
    """Run Python code with an open store called ``store`` in a process of its own."""
    frame = """
    import asyncio, os, resource, sys
    from lash_hookspecs.errors import HeadRevisionConflict, StoreFull
    from lash_hookspecs.records.store import Head
    from lash_store_sql.sqlite import open_sqlite
    from lash_conformance.build import Author, chain
    async def main():
        store = await open_sqlite("sqlite:///" + sys.argv[1], True)
    """
    text = textwrap.dedent(frame).rstrip() + "\n" + textwrap.indent(textwrap.dedent(code), "    ")
    text += "\n    await store.close()\nasyncio.run(main())\n"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", text, str(path)], env=environment, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


async def revision(author: Author) -> int:
    head = await author.store.head()
    assert isinstance(head, Head)
    return head.revision


#: Commits 40 times to one session, whoever else does.
RACER = """
author = Author(store)
for _ in range(40):
    while True:
        head = await author.store.head()
        author.revision, author.leaf = (head.revision, head.leaf) if isinstance(head, Head) else (None, None)
        try:
            await author.turn(2)
        except HeadRevisionConflict:
            continue
        break
print("done")
"""


async def test_s3_two_processes_race_and_every_commit_counts_once(path: Path, author: Author) -> None:
    rivals = [child(RACER, path), child(RACER, path)]
    assert [await asyncio.to_thread(finished, rival) for rival in rivals] == ["done\n", "done\n"]
    records = await author.store.records()
    assert [record.revision for record in records] == list(range(1, 81))
    leaf = records[-1].leaf
    assert leaf is not None
    assert len(await author.store.path(leaf)) == 160


#: Says each receipt on the pipe once it has it, and begins the next commit at once.
COMMITTER = """
author = Author(store, session_id=f"chat-{os.getpid()}")
while True:
    receipt = await author.commit(chain(5, author.leaf))
    os.write(1, f"{author.session_id} {receipt.revision} {receipt.commit_id} {receipt.digest}\\n".encode())
"""


@pytest.mark.parametrize("after", [1, 2, 7, 20, 41])
async def test_s2_a_killed_writer_loses_no_receipt_and_leaves_no_half(
    path: Path, store: SqliteBackend, after: int
) -> None:
    process = child(COMMITTER, path)
    assert process.stdout is not None
    receipts = [process.stdout.readline().split() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    receipts += [line.split() for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    author = Author(store, receipts[0][0])
    records = await author.store.records()
    assert [[str(record.revision), record.commit_id, record.digest] for record in records][: len(receipts)] == [
        receipt[1:] for receipt in receipts
    ]
    assert len(receipts) <= len(records) <= len(receipts) + 1
    head = await author.store.head()
    assert isinstance(head, Head)
    assert (head.revision, head.leaf) == (len(records), records[-1].leaf)
    assert head.leaf is not None
    assert len(await author.store.path(head.leaf)) == len(await author.store.graph()) == 5 * len(records)


#: Fills the disk (a limit on file sizes), says where it stood, makes room, and goes on.
FILLER = """
author = Author(store)
payload = b"x" * 20_000
limit = 900_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
refused = 0
for _ in range(100):
    nodes = chain(1, author.leaf, payload=payload)
    try:
        await author.commit(nodes)
    except StoreFull as error:
        refused += 1
        print(str(error) == f"no space is left for {sys.argv[1]}: nothing was written")
        head = await author.store.head()
        print(head.revision == author.revision, len(await author.store.graph()) == author.revision)
        if refused == 2:
            break
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
await author.turn()
print((await author.store.head()).revision == author.revision, author.revision > 3)
"""


async def test_a_full_disk_refuses_and_the_store_goes_on_when_there_is_room(path: Path) -> None:
    said = await asyncio.to_thread(finished, child(FILLER, path))
    assert said.split() == ["True"] * 8
    store = await open_sqlite(f"sqlite:///{path}", False)
    head = await store.session("chat").head()
    assert isinstance(head, Head)
    await Author(store, revision=head.revision, leaf=head.leaf).turn()
    await store.close()


async def test_s13_a_lock_that_outlasts_the_deadline_is_busy(path: Path, author: Author) -> None:
    await author.turn()
    hasty = await open_sqlite(f"sqlite:///{path}?timeout=0.05", False)
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy) as caught:
            await Author(hasty, revision=1, leaf=author.leaf).turn()
        other.execute("ROLLBACK")
    assert str(caught.value) == f"{path} was busy for 0.05 s: another process is writing; try again"
    assert caught.value.retry_after == 1.0
    await Author(hasty, revision=1, leaf=author.leaf).turn()
    await hasty.close()


async def test_s13_a_lock_that_goes_away_is_waited_out(path: Path, author: Author) -> None:
    await author.turn()
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(author.turn())
        assert len(await author.store.graph()) == 3
        other.execute("ROLLBACK")
        await waiting
    assert await revision(author) == 2


async def test_s5_reads_and_listings_wait_for_no_writer(path: Path, author: Author) -> None:
    await author.turn()
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        blocked = asyncio.create_task(author.commit())
        assert await revision(author) == 1
        assert len((await author.backend.sessions(SessionQuery())).rows) == 1
        assert (await author.backend.stats()).nodes == 3
        assert not blocked.done()
        other.execute("ROLLBACK")
        await blocked


async def test_a_cancelled_commit_is_done_or_not_and_the_next_one_works(path: Path, author: Author) -> None:
    await author.turn()
    following = author.next(chain(2, author.leaf))
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(author.store.commit(following))
        await author.store.head()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        other.execute("ROLLBACK")
    receipt = await author.store.commit(following)
    assert receipt.revision == 2
    author.revision, author.leaf = 2, following.leaf
    await author.turn()
    assert len(await author.store.graph()) == 8


async def test_cancelling_at_any_instant_leaves_the_connection_usable(author: Author) -> None:
    await author.turn()
    for _ in range(100):
        task = asyncio.create_task(author.store.commit(author.next(chain(1, author.leaf))))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        head = await author.store.head()
        assert isinstance(head, Head)
        author.revision, author.leaf = head.revision, head.leaf
    await author.store.append("inbox", [StreamEntry("k", b"")], writer=author.writer)
    author.revision = await revision(author)
    await author.turn()


async def test_s7_earlier_rows_are_never_touched(path: Path, author: Author) -> None:
    seen: dict[int, str] = {}
    columns = (
        "quote(graph)||quote(node_id)||quote(parent)||quote(stored_at)||quote(timestamp)||quote(kind)||quote(payload)"
    )
    with raw(path) as other:
        for number in range(300):
            await author.turn(2)
            if number % 50 == 7:
                await author.commit(leaf=author.ids[number])
            rows = dict(other.execute(f"SELECT pos, {columns} FROM node"))
            assert {pos: rows[pos] for pos in seen} == seen
            seen = rows
    assert len(seen) == 600


async def test_the_cost_of_a_commit_does_not_grow_with_the_session(path: Path, author: Author) -> None:
    async def log_bytes() -> int:
        with raw(path) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for _ in range(100):
                nodes = chain(5, author.leaf, payload=b"x" * 900)
                await author.commit(nodes)
            return path.with_name("store.db-wal").stat().st_size

    await author.turn(50)
    early = await log_bytes()
    for _ in range(300):
        await author.commit(chain(5, author.leaf, payload=b"x" * 900))
    assert await log_bytes() <= 1.1 * early


def test_an_index_serves_the_list_of_open_turns(path: Path) -> None:
    with raw(path) as other:
        for statement in statements.DDL:
            other.execute(statement)
        plans = {
            name: " ".join(
                row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {getattr(statements, name)}", parameters)
            )
            for name, parameters in {
                "LIST_OPEN": ("", "", 1),
                "LABELLED": ("", "a", "b", "", 1),
                "RECORD": (1, "x"),
                "SHARERS": (1,),
                "SEGMENTS": (1,),
            }.items()
        }
    assert "session_open_turn" in plans["LIST_OPEN"]
    assert "SCAN" not in " ".join(plans.values())
    assert "TEMP B-TREE" not in " ".join(plans.values())


async def test_s8_the_bytes_of_a_deleted_session_vanish(path: Path, author: Author) -> None:
    for _ in range(30):
        nodes = chain(3, author.leaf, payload=b"very private words" * 20)
        await author.commit(nodes, state=b"very private words", record=b"very private words" * 9)
    await author.store.append("inbox", [StreamEntry("k", b"very private words")], writer=author.writer)
    await Author(author.backend, "other").turn()
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    files = list(path.parent.iterdir())
    assert len(files) == 4  # with the log, its index, and the queue of writers
    assert [file.name for file in files if b"very private words" in file.read_bytes()] == []


async def test_s7_parent_edges_are_the_truth_when_ranges_disagree(path: Path, author: Author) -> None:
    a, b, c, d = await author.turn(4)
    with raw(path) as other:
        other.execute(
            "UPDATE node SET parent = ? WHERE node_id = ?", (bytes.fromhex(a.node_id), bytes.fromhex(c.node_id))
        )
    moved = attrs.evolve(c, parent_node_id=a.node_id)
    assert await author.store.path(d.node_id) == [a, moved, d]
    assert await author.store.path(d.node_id, last=2) == [moved, d]
    with pytest.raises(CorruptSession):
        await author.store.path(d.node_id, after=b.node_id)


async def test_s7_branches_and_forks_are_read_by_ranges(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_by_edges", None)
    a, b, c = await author.turn(3)
    d, e = chain(2, b.node_id)
    await author.commit([node(parent=a.node_id), d, e])
    fork = await author.fork("fork", d.node_id)
    (f,) = await fork.turn(1)
    assert await author.store.path(c.node_id) == [a, b, c]
    assert await author.store.path(e.node_id) == [a, b, d, e]
    assert await fork.store.path(f.node_id) == [a, b, d, f]
    assert await fork.store.path(f.node_id, after=a.node_id, last=2) == [d, f]


async def test_g4_a_cycle_made_behind_the_stores_back_is_found(path: Path, author: Author) -> None:
    a, _, c = await author.turn(3)
    with raw(path) as other:
        other.execute(
            "UPDATE node SET parent = ? WHERE node_id = ?", (bytes.fromhex(c.node_id), bytes.fromhex(a.node_id))
        )
    with pytest.raises(CorruptSession) as caught:
        await author.store.path(c.node_id)
    assert (caught.value.kind, caught.value.node_ids) == ("parent_cycle", (c.node_id,))


async def test_g4_a_node_removed_behind_the_stores_back_is_missed(path: Path, author: Author) -> None:
    _, b, c = await author.turn(3)
    with raw(path) as other:
        other.execute("DELETE FROM node WHERE node_id = ?", (bytes.fromhex(b.node_id),))
    with pytest.raises(CorruptSession) as caught:
        await author.store.path(c.node_id)
    assert (caught.value.kind, caught.value.node_ids) == ("dangling_parent", (c.node_id, b.node_id))


async def test_s7_segments_that_are_lost_or_tangled_do_not_matter(path: Path, author: Author) -> None:
    a, b = await author.turn(2)
    c = node(parent=a.node_id)
    await author.commit([c])
    for damage in ("UPDATE segment SET fork_pos = segment << 32 | 1", "DELETE FROM segment"):
        with raw(path) as other:
            other.execute(damage)
        assert await author.store.path(c.node_id) == [a, c]
    assert b.node_id in author.ids


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE session SET components = '{'", "session 'chat': head cannot be read: Expecting property name"),
        ("UPDATE session SET labels = '[]'", "session 'chat': head cannot be read: '[]' is not a JSON object of texts"),
        ("UPDATE session SET components = '{\"a\":7}'", "session 'chat': head cannot be read: '{\"a\":7}' is not a"),
        ("UPDATE session SET leaf = 17", "session 'chat': head cannot be read: 17 is not an id"),
        ("UPDATE session SET open_turn = CAST(x'ff' AS TEXT)", "session 'chat': head cannot be read: Could not decode"),
    ],
)
async def test_s9_an_unreadable_head_is_an_error_and_never_no_session(
    path: Path, author: Author, damage: str, message: str
) -> None:
    await author.turn()
    with raw(path) as other:
        other.execute(damage)
    with pytest.raises(UnreadableData) as caught:
        await author.store.head()
    assert str(caught.value).startswith(message)
    assert caught.value.session_id == "chat"
    with pytest.raises(UnreadableData):
        await author.backend.sessions(SessionQuery())


async def test_s9_an_unreadable_row_is_named(path: Path, author: Author) -> None:
    (a, *_) = await author.turn()
    (ref,) = await author.store.put_blobs([b"x" * 1000])
    await author.store.put_blobs([b"short"])
    with raw(path) as other:
        other.execute("UPDATE record SET components = 'x'")
        other.execute("UPDATE blob SET body = x'00'")
        other.execute("UPDATE node SET parent = 5 WHERE parent IS NULL")
    with pytest.raises(UnreadableData) as caught:
        await author.store.records()
    assert caught.value.row == "commit record 1"
    for blob in (ref, blob_ref(b"short")):
        with pytest.raises(UnreadableData) as caught:
            await author.store.get_blobs([blob])
        assert caught.value.row == f"blob {blob}"
    with pytest.raises(UnreadableData) as caught:
        await author.store.graph()
    assert str(caught.value) == f"session 'chat': node {a.node_id} cannot be read: 5 is not an id"


async def test_s9_a_damaged_page_is_unreadable_data(path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{path}", True)
    for _ in range(20):
        await Author(store, ident()).turn(20)
    await store.close()
    with path.open("r+b") as file:
        file.seek(PAGE_SIZE * 3)
        file.write(b"\xa5" * PAGE_SIZE * 20)
    store = await open_sqlite(f"sqlite:///{path}", False)
    with pytest.raises(UnreadableData):
        await store.sessions(SessionQuery())
    await store.close()


async def test_s11_a_value_over_the_declared_limit_is_refused(path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{path}?max_value=1000", True)
    author = Author(store)
    await author.commit([node(payload=b"x" * 1000)])
    big = b"x" * 1001
    attempts = [
        author.commit([node(payload=big)]),
        author.commit(state=big),
        author.commit(blobs={blob_ref(big): big}),
        author.store.put_blobs([big]),
        author.store.append("inbox", [StreamEntry("k", big)], writer=author.writer),
    ]
    for attempt in attempts:
        with pytest.raises(LimitExceeded) as caught:
            await attempt
        assert str(caught.value) == "a value of 1001 bytes is over the store's limit of 1000"
    assert await revision(author) == 1
    await store.close()


async def test_g2_text_that_is_not_unicode_is_refused(author: Author) -> None:
    with pytest.raises(InvalidInput):
        await author.commit([node("lone \ud800 surrogate")])
    with pytest.raises(InvalidInput):
        await author.commit([node(timestamp=1 << 70)])
    await author.turn()


async def test_s6_a_large_blob_is_stored_compressed(path: Path, author: Author) -> None:
    await author.store.put_blobs([b"tool state " * 10_000, os.urandom(5_000)])
    with raw(path) as other:
        sizes = sorted(other.execute("SELECT packing, length(body) FROM blob"))
    assert sizes[0] == (0, 5_000)
    assert sizes[1][0] == 1
    assert sizes[1][1] < 2_000

"""Commits that share a transaction: what each is told, what it does to others, order, crashes (S2-S4, S13, S14)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Self

import attrs
import pytest
from lash_conformance.build import Author, chain, holder
from lash_hookspecs.errors import (
    CommitIdReused,
    CorruptSession,
    HeadRevisionConflict,
    MissingBlob,
    StoreError,
)
from lash_hookspecs.records.store import Absent, Head, Receipt, StreamEntry
from lash_store_sql.database import connect
from lash_store_sql.group import GroupWriter
from lash_store_sql.sqlite import SqliteBackend, open_sqlite
from lash_store_sql.sqlite_connection import SqliteConnection
from lash_store_sql.turns import Turns

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteBackend]:
    opened = await open_sqlite(f"sqlite:///{path}", True)
    yield opened
    await opened.close()


@pytest.fixture
async def authors(store: SqliteBackend) -> list[Author]:
    """Eight sessions of one commit each."""
    found = [Author(store, f"s{number}") for number in range(8)]
    for author in found:
        await author.commit(chain(2))
    return found


def transactions(path: Path) -> int:
    """Committed transactions in the log: frames that name the database's size (SQLite's file format, "walformat")."""
    log = path.with_name(path.name + "-wal").read_bytes()
    size = struct.unpack_from(">I", log, 8)[0] + 24
    return sum(struct.unpack_from(">I", log, at + 4)[0] > 0 for at in range(32, len(log), size))


async def outcomes(*waited: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*waited, return_exceptions=True)


class Held:
    """A unit that has the connection until it is let go."""

    def __init__(self, store: SqliteBackend, session_id: str | None = None) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self._task = asyncio.ensure_future(store.write(self._wait, "the database", session_id))

    def _wait(self, connection: SqliteConnection) -> None:
        self._begun.set()
        assert self._go.wait(20)

    async def __aenter__(self) -> Self:
        assert await asyncio.to_thread(self._begun.wait, 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def cancel(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def test_commits_that_wait_at_the_same_moment_share_a_transaction(path: Path, authors: list[Author]) -> None:
    before = transactions(path)
    await asyncio.gather(*(author.commit(chain(3, author.leaf)) for author in authors))
    assert transactions(path) == before + 1
    for author in authors:
        assert len(await author.store.graph()) == 5


async def test_what_waits_for_the_thread_shares_a_transaction(
    path: Path, store: SqliteBackend, authors: list[Author]
) -> None:
    before = transactions(path)
    async with Held(store):
        waiting = [asyncio.ensure_future(author.commit(chain(3, author.leaf))) for author in authors]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert transactions(path) == before + 1


async def test_one_that_is_refused_spoils_nothing(path: Path, authors: list[Author]) -> None:
    stale, *others = authors
    stale.revision = 7
    before = transactions(path)
    first, *rest = await outcomes(*(author.commit(chain(1, author.leaf)) for author in authors))
    assert isinstance(first, HeadRevisionConflict)
    assert all(isinstance(each, Receipt) for each in rest)
    assert transactions(path) == before + 1
    assert [len(await author.store.graph()) for author in (stale, *others)] == [2, *[3] * 7]


async def test_each_has_its_own_outcome_and_one_that_fails_late_is_rolled_back_alone(authors: list[Author]) -> None:
    conflict, replay, reuse, missing, double, *others = authors
    conflict.revision = 9
    replayed = replay.next(chain(1, replay.leaf))
    first = await replay.store.commit(replayed)
    used = reuse.next(chain(1, reuse.leaf))
    await reuse.store.commit(used)
    there = (await double.store.graph())[0]
    found = await outcomes(
        conflict.commit(chain(1, conflict.leaf)),
        replay.store.commit(replayed),
        reuse.store.commit(attrs.evolve(used, state=b"other")),
        missing.commit(chain(1, missing.leaf), components={"tools": "ab" * 32}),
        double.commit([attrs.evolve(there, parent_node_id=double.leaf)]),
        *(author.commit(chain(1, author.leaf)) for author in others),
    )
    kinds = [HeadRevisionConflict, Receipt, CommitIdReused, MissingBlob, CorruptSession, Receipt, Receipt, Receipt]
    assert [type(each) for each in found] == kinds
    assert found[1] == first
    assert [len(await author.store.graph()) for author in authors] == [2, 3, 3, 2, 2, 3, 3, 3]
    assert [len(await author.store.records()) for author in authors] == [1, 2, 2, 1, 1, 2, 2, 2]


async def test_one_that_fails_behind_a_write_of_its_own_leaves_none_of_it(path: Path, authors: list[Author]) -> None:
    missing, *others = authors
    found = await outcomes(
        missing.commit(chain(1, missing.leaf), components={"tools": "ab" * 32}),
        *(author.commit(chain(1, author.leaf)) for author in others),
    )
    assert [type(each) for each in found] == [MissingBlob, *[Receipt] * 7]
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM record").fetchone() == (8 + 7,)
    assert (await missing.commit(chain(1, missing.leaf))).revision == 2


async def test_one_that_breaks_is_told_so_and_spoils_nothing(path: Path, authors: list[Author]) -> None:
    class BrokenError(BaseException):
        """What no unit should raise."""

    def breaks(connection: SqliteConnection) -> None:
        connection.begin_write()
        connection.execute("UPDATE session SET state = x'00'")
        raise BrokenError

    def counts(connection: SqliteConnection) -> int:
        connection.begin_write()
        connection.execute("UPDATE session SET open_turn = 'marked'")
        connection.commit()
        return 1

    begun, go = threading.Event(), threading.Event()

    def holds(connection: SqliteConnection) -> None:
        begun.set()
        assert go.wait(20)

    writer = GroupWriter(path, partial(connect, path, writes=True), timeout=5, name="test")
    holding = asyncio.ensure_future(writer.run(holds, "nothing"))
    assert await asyncio.to_thread(begun.wait, 20)
    waiting = [asyncio.ensure_future(writer.share(unit, "row", unit.__name__, 1)) for unit in (counts, breaks, counts)]
    await asyncio.sleep(0)
    go.set()
    first, broken, last = await outcomes(*waiting)
    await holding
    assert (first, type(broken), last) == (1, BrokenError, 1)
    assert await writer.share(counts, "row", "later", 1) == 1
    await writer.close()
    head = await authors[0].store.head()
    assert isinstance(head, Head)
    assert (head.state != b"\0", head.open_turn) == (True, "marked")


async def test_writes_of_one_session_are_done_in_their_order(store: SqliteBackend, authors: list[Author]) -> None:
    author = authors[0]
    writes: list[asyncio.Future[Any]] = []
    async with Held(store):
        for number in range(10):
            entries = [StreamEntry(f"k{number}", b"")]
            writes.append(asyncio.ensure_future(author.store.append("inbox", entries, writer=author.writer)))
            commit = author.next(chain(1, author.leaf))
            author.revision, author.leaf = (author.revision or 0) + 1, commit.leaf
            writes.append(asyncio.ensure_future(author.store.commit(commit)))
        await asyncio.sleep(0)
    found = await asyncio.gather(*writes)
    assert [receipt.revision for receipt in found[1::2]] == list(range(2, 12))
    assert found[::2] == [[number] for number in range(1, 11)]


async def test_leases_and_streams_share_it_too(path: Path, authors: list[Author]) -> None:
    before = transactions(path)
    lease, _, _ = await asyncio.gather(
        authors[0].store.take_lease(holder(), 30.0),  # type: ignore[attr-defined]
        authors[1].store.append("inbox", [StreamEntry("k", b"body")], writer=authors[1].writer),
        authors[2].commit(chain(1, authors[2].leaf)),
    )
    assert transactions(path) == before + 1
    assert (await authors[0].store.lease()).epoch == lease.epoch  # type: ignore[attr-defined]
    assert [row.body for row in await authors[1].store.read("inbox")] == [b"body"]


async def test_a_commit_that_is_cancelled_before_it_began_is_left_out(
    store: SqliteBackend, authors: list[Author]
) -> None:
    new = Author(store, "new")
    async with Held(store):
        cancelled = asyncio.ensure_future(new.commit(chain(1)))
        following = asyncio.ensure_future(authors[0].commit(chain(1, authors[0].leaf)))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
    assert cancelled.cancelled()
    assert (await following).revision == 2
    assert await new.store.head() == Absent()


async def test_a_read_waits_for_what_a_cancelled_caller_of_its_session_left_running(
    store: SqliteBackend, authors: list[Author]
) -> None:
    held = Held(store, "s0")
    async with held:
        await held.cancel()
        reading = asyncio.ensure_future(authors[0].store.head())
        await asyncio.sleep(0)
        assert isinstance(await authors[1].store.head(), Head)  # of another session, and behind it in the line
        assert not reading.done()
    assert isinstance(await reading, Head)


async def test_a_commit_that_is_cancelled_in_flight_is_told_of_by_its_id(
    path: Path, store: SqliteBackend, authors: list[Author]
) -> None:
    for rounds in range(20):
        commits = [author.next(chain(1, author.leaf)) for author in authors]
        tasks = [
            asyncio.ensure_future(author.store.commit(each)) for author, each in zip(authors, commits, strict=True)
        ]
        for _ in range(rounds % 4):
            await asyncio.sleep(0)
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        again = [await author.store.commit(each) for author, each in zip(authors, commits, strict=True)]
        assert [receipt.revision for receipt in again] == [rounds + 2] * 8
        for author, each in zip(authors, commits, strict=True):
            author.revision, author.leaf = rounds + 2, each.leaf
    for author in authors:
        assert len(await author.store.records()) == 21


async def test_closing_waits_for_what_waits(path: Path, store: SqliteBackend, authors: list[Author]) -> None:
    waiting = [asyncio.ensure_future(author.commit(chain(1, author.leaf))) for author in authors]
    await asyncio.sleep(0)
    await store.close()
    assert [(await each).revision for each in waiting] == [2] * 8
    with pytest.raises(StoreError):
        await authors[0].commit(chain(1, authors[0].leaf))


async def test_several_event_loops_write_through_one_store(store: SqliteBackend, authors: list[Author]) -> None:
    async def write(mine: list[Author]) -> None:
        for _ in range(30):
            await asyncio.gather(*(author.commit(chain(1, author.leaf)) for author in mine))

    def elsewhere() -> None:
        asyncio.run(write(authors[4:]))

    await asyncio.gather(write(authors[:4]), asyncio.to_thread(elsewhere))
    assert [len(await author.store.records()) for author in authors] == [31] * 8


def child(code: str, path: Path, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code with an open store called ``store`` in a process of its own."""
    frame = (
        "import asyncio, os, resource, sys\n"
        "from pathlib import Path\n"
        "from lash_hookspecs.errors import StoreFull\n"
        "from lash_store_sql.sqlite import open_sqlite\n"
        "from lash_conformance.build import Author, chain\n"
        "async def main():\n"
        "    store = await open_sqlite(f'sqlite:///{sys.argv[1]}', True)\n"
        f"{textwrap.indent(textwrap.dedent(code), '    ')}\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", frame, str(path), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)


#: Eight sessions, round by round; the log may grow to so much that one of them, which is large, has no room.
FILLER = """
authors = [Author(store, f"s{number}") for number in range(8)]
await asyncio.gather(*(author.commit(chain(1)) for author in authors))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_800_000, resource.RLIM_INFINITY))
sizes = [900] * 3 + [4_000_000] + [900] * 4
found = await asyncio.gather(
    *(author.commit(chain(1, author.leaf, payload=b"x" * size)) for author, size in zip(authors, sizes)),
    return_exceptions=True,
)
for each in found:
    print(type(each).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
await store.close()
"""


async def test_one_for_which_there_is_no_space_is_told_so_and_the_others_are_stored(path: Path) -> None:
    process = child(FILLER, path)
    out, _ = await asyncio.to_thread(process.communicate)
    assert out.split() == ["Receipt"] * 3 + ["StoreFull"] + ["Receipt"] * 4
    store = await open_sqlite(f"sqlite:///{path}", False)
    stored = [len(await store.session(f"s{number}").graph()) for number in range(8)]
    await store.close()
    assert stored == [2, 2, 2, 1, 2, 2, 2, 2]


#: Says each round on the pipe when all eight of its commits are acknowledged.
ROUNDS = """
authors = [Author(store, f"s{number}") for number in range(8)]
await asyncio.gather(*(author.commit(chain(1)) for author in authors))
while True:
    os.write(1, f"{authors[0].revision}\\n".encode())
    await asyncio.gather(*(author.commit(chain(3, author.leaf, payload=b"x" * 4000)) for author in authors))
"""


@pytest.mark.parametrize("after", [1, 3, 10, 40])
async def test_a_kill_in_a_shared_transaction_leaves_all_of_it_or_nothing(path: Path, after: int) -> None:
    process = child(ROUNDS, path)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    told += [line for line in process.stdout if line.endswith("\n")]
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    store = await open_sqlite(f"sqlite:///{path}", False)
    revisions = []
    for number in range(8):
        session = store.session(f"s{number}")
        head = await session.head()
        assert isinstance(head, Head)
        assert head.leaf is not None
        assert len(await session.path(head.leaf)) == 3 * head.revision - 2
        revisions.append(head.revision)
    await store.close()
    assert len(set(revisions)) == 1
    assert int(told[-1]) <= revisions[0] <= int(told[-1]) + 1


#: Has the turn until a line comes.
HOLDER = """
from lash_store_sql.turns import Turns
turns = Turns(Path(sys.argv[2]))
assert turns.enter(5.0)
print("mine", flush=True)
sys.stdin.readline()
turns.leave()
print("left", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def held(path: Path) -> Any:
    process = child(HOLDER, path, path.with_name("turns"))
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def is_free(path: Path) -> bool:
    """Whether another process could have the turn at once."""
    code = "import sys\nfrom pathlib import Path\nfrom lash_store_sql.turns import Turns\n"
    code += "print(Turns(Path(sys.argv[1])).enter(0.0))"
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_turn_comes_when_the_one_before_leaves(path: Path, held: subprocess.Popen[str]) -> None:
    turns = Turns(path.with_name("turns"))
    assert not turns.enter(0.0)
    say(held)
    assert held.stdout is not None
    assert held.stdout.readline() == "left\n"
    assert turns.enter(20.0)
    assert not is_free(path.with_name("turns"))
    turns.leave()
    assert is_free(path.with_name("turns"))
    turns.close()


def test_a_turn_that_nobody_waited_for_any_more_is_given_back(path: Path, held: subprocess.Popen[str]) -> None:
    impatient = Turns(path.with_name("turns"))
    assert not impatient.enter(0.01)
    say(held)
    other = child(HOLDER, path, path.with_name("turns"))
    assert other.stdout is not None
    assert other.stdout.readline() == "mine\n"
    other.kill()
    other.communicate()
    impatient.close()
    assert is_free(path.with_name("turns"))


def test_a_turn_comes_when_the_one_before_is_killed(path: Path, held: subprocess.Popen[str]) -> None:
    turns = Turns(path.with_name("turns"))
    held.send_signal(signal.SIGKILL)
    assert turns.enter(20.0)
    turns.close()


async def test_a_process_that_is_suspended_with_the_turn_keeps_nobody_from_writing(path: Path) -> None:
    backend = await open_sqlite(f"sqlite:///{path}?timeout=5", True)
    holder = child(HOLDER, path, path.with_name(path.name + "-turns"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    holder.send_signal(signal.SIGSTOP)
    try:
        for number in range(3):
            await Author(backend, f"s{number}").commit(chain(2))
    finally:
        holder.kill()
        holder.communicate()
        await backend.close()


def test_who_cannot_queue_does_without(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "no folder" / "turns")
    assert turns.enter(0.0)
    turns.leave()
    turns.close()

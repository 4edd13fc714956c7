"""The PostgreSQL store's own promises: round trips, lost lines, killed servers, races, limits, clocks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial

import attrs
import psycopg
import pytest
from lash_conformance.build import INCARNATION, Author, chain, commit, holder, ident, node
from lash_hookspecs.errors import (
    CorruptSession,
    HeadRevisionConflict,
    InvalidInput,
    LimitExceeded,
    SessionLeased,
    SessionMissing,
    StoreBusy,
    StoreUnavailable,
    UnreadableData,
    WriterFenced,
)
from lash_hookspecs.protocols.stores import LeasedStore, StoreBackend
from lash_hookspecs.records.store import Consumed, Fork, Head, Lease, SessionQuery, StreamEntry, Writer, blob_ref
from lash_store_sql import reading
from lash_store_sql.postgres.backend import PostgresBackend, open_postgres
from postgres_proxy import Proxy, proxied
from postgres_server import Server, private_server, shared_server

ANN, BOB = holder("ann", "one"), holder("bob", "two")


@pytest.fixture
def server() -> Server:
    return shared_server()


@pytest.fixture
def url(server: Server) -> str:
    return server.url_of(server.fresh())


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresBackend]:
    opened = await open_postgres(url, False)
    yield opened
    await opened.close()


@pytest.fixture
def author(store: PostgresBackend) -> Author:
    return Author(store)


@pytest.fixture
def proxy(url: str) -> Iterator[tuple[Proxy, str]]:
    with proxied(url) as both:
        yield both


@pytest.fixture
async def counted(proxy: tuple[Proxy, str]) -> AsyncIterator[tuple[Proxy, Author]]:
    """A writer on one connection on which every statement was prepared, and the count of its round trips."""
    counter, through = proxy
    opened = await open_postgres(f"{through}&pool_size=1", False)
    for number in range(3):
        author = Author(opened, f"warm-{number}")
        await author.commit(labels={"warm": "yes"})
        await author.turn(labels={"warm": "no"})
        await author.store.append("inbox", [StreamEntry("a", b"")], writer=author.writer)
        await author.turn(consumed=[Consumed("inbox", 1)])
        await author.turn()
        await author.fork(f"fork-{number}", author.leaf)
        leased = leases(author)
        lease = await leased.take_lease(ANN, 30)
        await leased.release_lease(await leased.renew_lease(lease, 30))
        await leased.lease()
        await author.store.head()
    yield counter, Author(opened)
    await opened.close()


def leases(author: Author) -> LeasedStore:
    assert isinstance(author.store, LeasedStore)
    return author.store


def rows(url: str, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url, options="-c search_path=lash") as connection:
        return connection.execute(statement, parameters).fetchall()


async def test_a_commit_takes_one_round_trip(counted: tuple[Proxy, Author]) -> None:
    proxy, author = counted

    async def trips(**fields: object) -> int:
        before = proxy.trips
        await author.turn(5, **fields)
        return proxy.trips - before

    body = b"tools" * 1000
    assert await trips() == 1
    assert await trips() == 1
    assert await trips(blobs={blob_ref(body): body}, components={"tools": blob_ref(body)}) == 1
    assert await trips(components={"tools": blob_ref(body)}, open_turn="t1") == 1
    assert await trips(labels={"user": "u1"}, ttl=60.0) == 1
    await author.store.append("inbox", [StreamEntry("a", b"1"), StreamEntry("b", b"2")], writer=author.writer)
    assert await trips(consumed=(Consumed("inbox", 1),)) == 1
    assert [row.sequence for row in await author.store.read("inbox")] == [2]
    assert len(await author.store.path(str(author.leaf))) == 30


async def test_a_fork_and_its_first_turn_take_one_round_trip_each(counted: tuple[Proxy, Author]) -> None:
    proxy, author = counted
    await author.turn()
    before = proxy.trips
    fork = await author.fork("fork", author.leaf)
    assert proxy.trips - before == 1
    await fork.turn()
    assert proxy.trips - before == 2
    assert len(await fork.store.path(str(fork.leaf))) == 6


async def test_a_lease_is_taken_renewed_read_and_given_back_in_one_round_trip_each(
    counted: tuple[Proxy, Author],
) -> None:
    proxy, author = counted
    await author.turn()
    before = proxy.trips
    lease = await leases(author).take_lease(ANN, 30)
    assert proxy.trips - before == 1
    lease = await leases(author).renew_lease(lease, 60)
    assert proxy.trips - before == 2
    await leases(author).release_lease(lease)
    assert proxy.trips - before == 3
    await leases(author).lease()
    assert proxy.trips - before == 4


async def test_s7_a_path_is_read_in_few_round_trips_however_often_it_was_forked(
    counted: tuple[Proxy, Author],
) -> None:
    proxy, author = counted
    await author.turn()
    for number in range(20):
        author = await author.fork(f"generation-{number}", author.leaf)
        await author.turn()
    await author.store.path(str(author.leaf))
    before = proxy.trips
    assert len(await author.store.path(str(author.leaf))) == 63
    assert proxy.trips - before <= 8  # and not 21
    before = proxy.trips
    await author.store.head()
    assert proxy.trips - before == 1


@pytest.mark.parametrize("first", [True, False])
async def test_s4_a_commit_whose_answer_was_lost_is_stored_once_and_answered(
    proxy: tuple[Proxy, str], first: bool
) -> None:
    cutter, through = proxy
    store = await open_postgres(through, False)
    author = Author(store)
    if not first:
        await author.turn()
    cutter.cut_next_answer()
    nodes = await author.turn()
    assert cutter.cuts == 1
    assert author.revision == (1 if first else 2)
    assert [record.revision for record in await author.store.records()] == list(range(1, (author.revision or 0) + 1))
    assert (await author.store.graph())[-3:] == nodes
    await author.turn()
    await store.close()


async def test_s4_a_commit_that_was_lost_for_good_says_that_it_may_be_stored_and_its_replay_tells(
    proxy: tuple[Proxy, str], url: str
) -> None:
    cutter, through = proxy
    store = await open_postgres(f"{through}&timeout=0", False)
    author = Author(store)
    await author.turn()
    following = author.next(chain(2, author.leaf))
    cutter.cut_next_answer()
    with pytest.raises(StoreUnavailable) as caught:
        await author.store.commit(following)
    assert "the commit that was sent may or may not be stored: send it again to learn which" in str(caught.value)
    assert isinstance(caught.value.__cause__, psycopg.Error)
    receipt = await author.store.commit(following)
    assert receipt.revision == 2
    assert rows(url, "SELECT count(*) FROM record") == [(2,)]
    await store.close()


async def test_s5_a_lease_whose_answer_was_lost_is_ours(proxy: tuple[Proxy, str]) -> None:
    cutter, through = proxy
    store = await open_postgres(through, False)
    author = Author(store)
    cutter.cut_next_answer()
    lease = await leases(author).take_lease(ANN, 30)
    assert (lease.holder, lease.epoch) == (ANN, 1)
    with pytest.raises(SessionLeased):
        await leases(author).take_lease(ANN, 30)
    await store.close()


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
async def test_s2_a_killed_server_loses_no_receipt_and_the_writer_goes_on(how: signal.Signals) -> None:
    with private_server() as server:
        url = server.url_of(await asyncio.to_thread(server.fresh), options="timeout=60")
        store = await open_postgres(url, False)
        receipts: list[tuple[int, str, str]] = []
        done = asyncio.Event()

        async def write(session_id: str) -> None:
            author = Author(store, session_id)
            while not done.is_set():
                nodes = await author.turn()
                receipts.append((author.revision or 0, session_id, nodes[-1].node_id))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(write(f"s{number}"))
            for _ in range(2):
                await grown(receipts, 20)
                await asyncio.to_thread(server.stop, how)
                await asyncio.to_thread(server.start)
            await grown(receipts, 20)
            done.set()
        for revision, session_id, leaf in receipts:
            found = store.session(session_id)
            assert len(await found.path(leaf)) == 3 * revision
        for number in range(4):
            head = await store.session(f"s{number}").head()
            assert isinstance(head, Head)
            assert len(await store.session(f"s{number}").records()) == head.revision
        await store.close()


async def grown(found: list[tuple[int, str, str]], by: int) -> None:
    wanted = len(found) + by
    async with asyncio.timeout(60):
        while len(found) < wanted:  # noqa: ASYNC110  the writers do not know what is waited for
            await asyncio.sleep(0.01)


RACER = """
import asyncio, json, sys
from lash_hookspecs.errors import HeadRevisionConflict
from lash_hookspecs.records.store import Head
from lash_store_sql import reading
from lash_store_sql.postgres.backend import open_postgres
from lash_conformance.build import Author, chain

async def main(url, name, attempts):
    store = await open_postgres(url, False)
    author = Author(store)
    won, lost = [], []
    for _ in range(int(attempts)):
        head = await author.store.head()
        author.revision, author.leaf = head.revision, head.leaf
        await asyncio.sleep(0)
        nodes = chain(2, author.leaf)
        try:
            await author.commit(nodes)
            won.append([author.revision, [node.node_id for node in nodes]])
        except HeadRevisionConflict:
            lost += [node.node_id for node in nodes]
    await store.close()
    print(json.dumps([won, lost]))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_s3_two_processes_race_and_every_receipt_is_found_whole(url: str, author: Author) -> None:
    await author.turn()
    command = [sys.executable, "-c", RACER, url, "racer", "150"]
    race = partial(subprocess.run, command, capture_output=True, text=True, timeout=120, check=False)
    told = await asyncio.gather(asyncio.to_thread(race), asyncio.to_thread(race))
    assert [racer.returncode for racer in told] == [0, 0], told
    (won_a, lost_a), (won_b, lost_b) = (json.loads(racer.stdout) for racer in told)
    assert won_a
    assert won_b
    assert len(lost_a) + len(lost_b) > 0
    revisions = sorted(revision for revision, _ in won_a + won_b)
    assert revisions == list(range(2, len(revisions) + 2))
    stored = {bytes(packed).hex() for (packed,) in rows(url, "SELECT node_id FROM node")}  # type: ignore[call-overload]
    assert {node_id for _, ids in won_a + won_b for node_id in ids} <= stored
    assert not stored & {*lost_a, *lost_b}
    head = await author.store.head()
    assert isinstance(head, Head)
    assert len(await author.store.path(str(head.leaf))) == 3 + 2 * len(revisions)


async def test_a_cancelled_commit_is_done_or_not_and_the_next_one_works(author: Author) -> None:
    await author.turn()
    for delay in range(12):
        following = author.next(chain(3, author.leaf))
        task = asyncio.create_task(author.store.commit(following))
        for _ in range(delay):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        receipt = await author.store.commit(following)
        assert receipt.revision == (author.revision or 0) + 1
        author.revision, author.leaf = receipt.revision, following.leaf
        author.written += following.nodes
    assert await author.store.path(str(author.leaf)) == author.written


@pytest.mark.parametrize("deed", ["commit", "lease"])
async def test_what_follows_a_cancelled_write_of_a_session_sees_what_became_of_it(
    url: str, author: Author, deed: str
) -> None:
    await author.turn()
    store = author.store
    following = author.next(chain(1, author.leaf))
    with psycopg.connect(url, options="-c search_path=lash") as other:
        other.execute("SELECT * FROM session FOR UPDATE")
        task: asyncio.Task[object] = asyncio.create_task(
            store.commit(following) if deed == "commit" else leases(author).take_lease(ANN, 600)
        )
        with psycopg.connect(url, autocommit=True) as watching:
            while not waiting_for_a_lock(watching):  # noqa: ASYNC110  it is the server that waits
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        head = asyncio.create_task(store.head())
        for _ in range(50):  # time enough for one that would not wait
            await author.backend.session("another").head()
        assert not head.done()
        other.rollback()
    found = await head
    assert isinstance(found, Head)
    assert (found.revision, found.epoch) == ((2, 0) if deed == "commit" else (1, 1))


def waiting_for_a_lock(connection: psycopg.Connection) -> int:
    """Count the statements that wait for somebody else's lock."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    return row[0] if row else 0


async def test_s13_a_lock_that_outlasts_the_deadline_is_busy_and_names_no_sql(url: str, author: Author) -> None:
    await author.turn()
    impatient = await open_postgres(f"{url}&timeout=0.05", False)
    with psycopg.connect(url, options="-c search_path=lash") as other:
        other.execute("SELECT * FROM session FOR UPDATE")
        with pytest.raises(StoreBusy) as caught:
            await impatient.session("chat").commit(author.next(chain(1, author.leaf)))
    assert caught.value.retry_after > 0
    await impatient.close()
    await author.turn()


async def test_s5_reads_and_listings_wait_for_no_writer(url: str, author: Author) -> None:
    await author.turn()
    with psycopg.connect(url, options="-c search_path=lash") as other:
        other.execute("SELECT * FROM session FOR UPDATE")
        other.execute("LOCK TABLE node IN ROW EXCLUSIVE MODE")
        assert len(await author.store.path(str(author.leaf))) == 3
        assert isinstance(await author.store.head(), Head)
        assert len((await author.backend.sessions(SessionQuery())).rows) == 1
        assert await leases(author).lease() is None


async def test_s5_a_lease_runs_out_by_the_servers_clock(author: Author) -> None:
    await author.commit()
    lease = await leases(author).take_lease(ANN, 0.2)
    with pytest.raises(SessionLeased) as refused:
        await leases(author).take_lease(BOB, 30)
    assert (refused.value.holder, refused.value.epoch) == (ANN, 1)
    assert 0 < refused.value.expires_in <= 0.2
    async with asyncio.timeout(20):
        while (await leases(author).lease() or lease).expires_in > 0:  # noqa: ASYNC110  it is the server's clock
            await asyncio.sleep(0.01)
    assert await leases(author).take_lease(BOB, 30) == Lease(BOB, 2, 30)
    with pytest.raises(WriterFenced) as fenced:
        await leases(author).renew_lease(lease, 30)
    assert fenced.value.holder == BOB
    with pytest.raises(WriterFenced) as late:
        await author.turn()
    assert (late.value.current, late.value.holder) == (2, BOB)
    author.writer = Writer(INCARNATION, 2)
    await author.turn()


async def test_s5_of_many_who_take_a_free_lease_one_gets_it(store: PostgresBackend) -> None:
    authors = [Author(store) for _ in range(8)]
    tries = (leases(author).take_lease(holder(f"w{n}", f"i{n}"), 30) for n, author in enumerate(authors))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(answer) for answer in answers].count(Lease) == 1
    assert [type(answer) for answer in answers].count(SessionLeased) == 7
    assert [answer.epoch for answer in answers if isinstance(answer, Lease)] == [1]


async def test_s5_a_lease_that_precedes_the_first_commit_fences_it(store: PostgresBackend, author: Author) -> None:
    lease = await leases(author).take_lease(ANN, 30)
    assert [row.head for row in (await store.sessions(SessionQuery())).rows] == []
    with pytest.raises(WriterFenced):
        await author.commit()
    author.writer = Writer(INCARNATION, lease.epoch)
    await author.commit()
    page = await store.sessions(SessionQuery())
    (row,) = page.rows
    assert row.lease is not None
    assert 0 < row.lease.expires_in <= 30
    await leases(author).release_lease(lease)
    assert await leases(author).lease() is None
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    with pytest.raises(WriterFenced):
        await leases(author).renew_lease(lease, 30)
    assert (await leases(author).take_lease(BOB, 30)).epoch == 2


async def test_s12_forks_and_deletions_beside_each_other_leave_no_hole(store: PostgresBackend) -> None:
    """Each fork stands on a whole path or is refused; who deletes waits for who forks."""
    root = Author(store, "root")
    await root.turn(20)
    families = [await root.fork(f"parent-{number}", root.ids[10]) for number in range(4)]
    for parent in families:
        await parent.turn(5)
    made: list[Author] = []

    async def fork(parent: Author, number: int) -> None:
        for count in itertools.count():
            try:
                made.append(await parent.fork(f"child-{number}-{count}", parent.ids[-1 - count % 5]))
            except (SessionMissing, CorruptSession):
                return

    async def delete(parent: Author) -> None:
        while len(made) < 12:  # noqa: ASYNC110  the forks make room for each other
            await asyncio.sleep(0)
        await parent.store.delete(incarnation=parent.writer.incarnation, deleted_at=1)

    await asyncio.gather(*(fork(p, n) for n, p in enumerate(families)), *(delete(p) for p in families))
    for child in made:
        assert len(await child.store.path(str(child.leaf))) >= 12
        await child.turn()


async def test_a_branch_and_a_move_of_the_leaf_are_stored_under_locks_and_read_by_ranges(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_by_edges", None)
    a, b, c = await author.turn(3)
    (d,) = chain(1, a.node_id)
    await author.commit([d])
    assert await author.store.path(d.node_id) == [a, d]
    await author.commit(leaf=c.node_id)
    (e,) = await author.turn(1)
    assert await author.store.path(e.node_id) == [a, b, c, e]
    two = [*chain(2, b.node_id), *chain(2, d.node_id)]
    await author.commit(two)
    assert await author.store.path(two[1].node_id) == [a, b, *two[:2]]
    assert await author.store.path(two[3].node_id) == [a, d, *two[2:]]


async def test_g5_a_node_id_that_is_there_is_told(author: Author) -> None:
    (a,) = await author.turn(1)
    with pytest.raises(CorruptSession) as caught:
        await author.commit([attrs.evolve(a, parent_node_id=a.node_id)])
    assert (caught.value.kind, caught.value.node_ids) == ("duplicate_node", (a.node_id,))
    await author.turn()


async def test_s3_a_stale_writer_learns_the_revision(author: Author) -> None:
    await author.turn()
    with pytest.raises(HeadRevisionConflict) as caught:
        await author.commit(expected_revision=7)
    assert (caught.value.expected, caught.value.actual) == (7, 1)
    with pytest.raises(HeadRevisionConflict):
        await author.commit(expected_revision=1 << 62)


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1, 1 << 80])
async def test_an_integer_of_more_than_64_bits_is_refused(author: Author, number: int) -> None:
    with pytest.raises(InvalidInput):
        await author.commit([node(timestamp=number)])
    with pytest.raises(InvalidInput):
        await author.commit(committed_at=number)
    await author.turn()


async def test_g2_text_that_is_not_unicode_is_refused(author: Author) -> None:
    for fields in ({"nodes": [node("lone \ud800")]}, {"labels": {"\udfff": "x"}}, {"open_turn": "\ud800"}):
        with pytest.raises(InvalidInput):
            await author.commit(**fields)
    with pytest.raises(InvalidInput):
        await author.backend.session("\ud800").head()
    await author.turn()


@pytest.mark.parametrize("text", ["a\0b", "\0", "\1", "\1\1", "\0\1\2", "a\1", "", "\x7f", "ￜ", "\U0010ffff"])
async def test_any_text_comes_back_and_sorts_by_code_point(store: PostgresBackend, text: str) -> None:
    names = sorted({text, text + "\0", text + "\1", text + "\2", text + "a", "m"})
    for name in names:
        author = Author(store, name)
        await author.commit([node(name + "n", kind=text)], labels={text: text}, open_turn=text)
        await author.store.append(text, [StreamEntry(text, b"")], writer=author.writer)
        (stored,) = await author.store.graph()
        assert (stored.node_id, stored.kind) == (name + "n", text)
    seen, cursor = [], None
    while True:
        page = await store.sessions(SessionQuery(limit=2, after=cursor, labels={text: text}))
        seen += [row.head.session_id for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == names


async def test_a_name_that_no_index_can_hold_is_over_the_limit(store: PostgresBackend) -> None:
    name = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(4_000))
    with pytest.raises(LimitExceeded):
        await Author(store, name).commit()
    await Author(store, name[:500]).commit()


async def test_the_cost_of_a_listing_follows_the_page(store: PostgresBackend) -> None:
    for number in range(130):
        await Author(store, f"s{number:03}").commit(labels={"all": "yes", "odd": str(number % 2)})
    page = await store.sessions(SessionQuery(limit=3, labels={"all": "yes", "odd": "1"}))
    assert [row.head.session_id for row in page.rows] == ["s001", "s003", "s005"]
    seen = []
    while page.cursor:
        page = await store.sessions(SessionQuery(limit=40, labels={"all": "yes", "odd": "1"}, after=page.cursor))
        seen += [row.head.session_id for row in page.rows]
    assert seen == [f"s{number:03}" for number in range(7, 130, 2)]


async def test_a_store_used_after_a_fork_of_the_process_says_so(store: PostgresBackend) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.new_event_loop().run_until_complete(store.session("chat").head())
        except Exception as error:  # noqa: BLE001  the parent reads the code
            os._exit(7 if "open it again after a fork" in str(error) else 8)
        os._exit(9)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7


async def test_s8_a_first_commit_of_a_dead_incarnation_is_refused_beside_its_deletion(store: StoreBackend) -> None:
    for number in range(10):
        author = Author(store, f"s{number}", Writer(ident(), 0))
        await author.turn()
        late = commit(author.session_id, writer=author.writer)
        deleting = author.store.delete(incarnation=author.writer.incarnation, deleted_at=1)
        answers = await asyncio.gather(author.store.commit(late), deleting, return_exceptions=True)
        assert type(answers[0]).__name__ in ("SessionDeleted", "HeadRevisionConflict")
        assert answers[1] is None


async def test_s12_a_fork_on_a_leaf_is_told_when_there_is_none(author: Author) -> None:
    await author.turn()
    with pytest.raises(CorruptSession):
        await author.backend.session("fork").commit(commit("fork", fork=Fork("chat", "gone"), leaf="gone"))


async def test_s9_a_head_that_cannot_be_read_is_not_written_over(url: str, author: Author) -> None:
    await author.turn()
    with psycopg.connect(url, options="-c search_path=lash", autocommit=True) as other:
        other.execute("UPDATE session SET components = '{'")
    with pytest.raises(UnreadableData) as caught:
        await author.store.head()
    assert caught.value.row == "head"
    with pytest.raises(UnreadableData):
        await author.turn()
    assert rows(url, "SELECT components, revision FROM session") == [("{", 1)]

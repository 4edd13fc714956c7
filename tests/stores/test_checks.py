"""`check`: what is damaged is found and named, and mended where nothing is lost by it (G4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from lash_conformance.build import Author, chain, node
from lash_hookspecs.records.retention import CheckReport
from lash_hookspecs.records.store import StreamEntry, blob_ref
from lash_store_sql.postgres.backend import open_postgres
from lash_store_sql.sqlite import open_sqlite
from postgres_server import shared_server

from lash_core import Agent, Lash


async def sqlite(folder: Path) -> Any:
    return await open_sqlite(f"sqlite:///{folder}/store.db", True)


async def postgres(folder: Path) -> Any:
    server = shared_server()
    return await open_postgres(server.url_of(await asyncio.to_thread(server.fresh)), False)


@pytest.fixture(params=[sqlite, postgres], ids=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


Harm = Callable[..., Awaitable[None]]


@pytest.fixture
def harm(store: Any) -> Harm:
    """Run a statement behind the store's back; ``?`` and names of ids as SQLite has them."""

    def run(connection: Any, statement: str, ids: tuple[str, ...]) -> None:
        for number in range(len(ids)):
            if connection.sql.__name__.endswith("postgres.statements"):
                statement = statement.replace("?", f"${number + 1}::bytea", 1)
        connection.begin_write()
        connection.execute(statement, tuple(connection.pack_id(each) for each in ids))
        connection.commit()

    async def harm(statement: str, *ids: str) -> None:
        await store.write(partial(run, statement=statement, ids=ids), "harm")

    return harm


@pytest.fixture
async def author(store: Any) -> Author:
    """Write two sessions on one graph, with one of everything."""
    author = Author(store)
    body = b"component " * 40
    await author.commit(
        chain(3), components={"mode": blob_ref(body)}, blobs={blob_ref(body): body}, labels={"user": "ann"}
    )
    await author.turn(2)
    await author.store.append("log", [StreamEntry("k", b"v")], writer=author.writer)
    fork = await author.fork("fork", author.ids[1])
    await fork.turn(2)
    return author


def kinds(report: CheckReport) -> list[str]:
    return [finding.kind for finding in report.findings]


async def test_g4_a_sound_store_is_clean(store: Any, author: Author) -> None:
    report = await store.check()
    assert (report.sessions, report.nodes, report.blobs, report.findings) == (2, 7, 1, ())
    assert (await store.check(repair=True)).findings == ()


async def test_g4_a_parent_that_is_gone_is_cut_so_that_the_rest_can_be_read(
    store: Any, author: Author, harm: Harm
) -> None:
    lost, child = author.ids[2], author.ids[3]
    await harm("DELETE FROM node WHERE node_id = ?", lost)
    (finding,) = (await store.check()).findings
    assert finding.detail == f"node {child!r} has the parent {lost!r}, which is not stored"
    assert (finding.kind, finding.node_ids, finding.repaired) == ("dangling_parent", (child, lost), None)
    report = await store.check(repair=True)
    assert report.findings[0].repaired == f"node {child!r} is a root now: what is below it can be read again"
    assert [each.node_id for each in await author.store.path(author.leaf or "")] == author.ids[3:]
    assert set(kinds(await store.check())) <= {"misplaced_node"}


async def test_g4_a_cycle_is_cut(store: Any, author: Author, harm: Harm) -> None:
    first, last = author.ids[0], author.ids[2]
    await harm("UPDATE node SET parent = ? WHERE node_id = ?", last, first)
    report = await store.check()
    assert "parent_cycle" in kinds(report)
    finding = report.findings[0]
    assert finding.detail == f"node {first!r} is its own ancestor"
    repaired = await store.check(repair=True)
    assert repaired.findings[0].repaired == f"node {first!r} is a root now: the cycle is cut there"
    assert [each.node_id for each in await author.store.path(author.leaf or "")] == author.ids
    assert (await store.check()).findings == ()


async def test_g4_a_leaf_that_is_gone_goes_back_to_where_a_commit_left_it(
    store: Any, author: Author, harm: Harm
) -> None:
    for lost in author.ids[3:]:
        await harm("DELETE FROM node WHERE node_id = ?", lost)
    (finding,) = (await store.check()).findings
    assert (finding.kind, finding.session_id) == ("dangling_leaf", "chat")
    (finding,) = (await store.check(repair=True)).findings
    assert finding.repaired == f"the leaf is {author.ids[2]!r} now, as an earlier commit left it"
    assert (await store.check()).findings == ()
    author.leaf = author.ids[2]
    await author.turn(1)
    assert len(await author.store.path(author.leaf or "")) == 4


async def test_g4_a_place_that_is_wrong_is_put_right(store: Any, author: Author, harm: Harm) -> None:
    await harm("UPDATE segment SET fork_pos = fork_pos - 1 WHERE fork_pos IS NOT NULL")
    await harm("UPDATE session SET leaf_pos = leaf_pos - 1 WHERE session_id = 'chat'")
    assert kinds(await store.check()) == ["misplaced_node", "misplaced_node"]
    assert all(finding.repaired for finding in (await store.check(repair=True)).findings)
    assert (await store.check()).findings == ()


async def test_g4_a_hidden_node_on_an_active_path_is_shown_again(store: Any, author: Author, harm: Harm) -> None:
    await harm("UPDATE node SET hidden = 5 WHERE node_id = ?", author.ids[0])
    assert kinds(await store.check()) == ["hidden_path", "hidden_path"]
    await store.check(repair=True)
    assert (await store.check()).findings == ()


async def test_g4_what_cannot_be_mended_is_left_and_said(store: Any, author: Author, harm: Harm) -> None:
    body, other = b"component " * 40, b"another"
    await author.commit([node(parent=author.leaf, refs=(blob_ref(other),))], blobs={blob_ref(other): other})
    await harm("UPDATE blob SET body = ref WHERE packing = 1")
    await harm("DELETE FROM blob WHERE packing = 0")
    report = await store.check()
    assert kinds(report) == ["missing_blob", "wrong_blob"]
    assert report.findings[0].session_id == "chat"
    assert report.findings[0].detail.endswith(f"refers to blob {blob_ref(other)}, which is not stored")
    assert report.findings[1].detail.startswith(f"blob {blob_ref(body)}: ")
    repaired = await store.check(repair=True)
    assert [finding.repaired for finding in repaired.findings] == [None, None]
    assert all(finding.left for finding in repaired.findings)


async def test_g4_indices_and_counters_are_made_again(store: Any, author: Author, harm: Harm) -> None:
    await harm("UPDATE label SET value = 'eve'")
    await harm("UPDATE stream SET last = 0")
    assert kinds(await store.check()) == ["counter", "label_index"]
    repaired = await store.check(repair=True)
    assert [finding.repaired for finding in repaired.findings] == [
        "stream 'log' counts to 1 now",
        "the index was made again from the head",
    ]
    assert (await store.check()).findings == ()
    assert await author.store.append("log", [StreamEntry("new", b"v")], writer=author.writer) == [2]


async def test_g4_a_head_that_is_ahead_of_its_records_is_left(store: Any, author: Author, harm: Harm) -> None:
    await harm("UPDATE session SET revision = 9 WHERE session_id = 'chat'")
    (finding,) = (await store.check(repair=True)).findings
    assert finding.detail == "the head is at revision 9, its newest commit record at 2"
    assert (finding.repaired, bool(finding.left)) == (None, True)


async def test_g4_rows_that_nobody_owns_are_told_and_kept(store: Any, author: Author, harm: Harm) -> None:
    if hasattr(store, "backup"):
        await harm("PRAGMA foreign_keys=OFF")
    await harm("INSERT INTO segment (graph, owner, fork_pos) VALUES (77, 77, NULL)")
    (finding,) = (await store.check(repair=True)).findings
    assert (finding.kind, finding.detail) == ("orphan_rows", "1 segments belong to no session")
    assert finding.left


async def test_g4_rows_that_cannot_be_read_are_named(store: Any, author: Author, harm: Harm) -> None:
    await harm("UPDATE record SET components = 'no json' WHERE session = (SELECT min(session) FROM record)")
    report = await store.check(repair=True)
    assert set(kinds(report)) == {"unreadable"}
    assert report.findings[0].detail.startswith("commit record 1: ")
    assert all(finding.left for finding in report.findings)


async def test_g4_a_session_that_was_mended_takes_its_next_turn(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    async with Lash.open(url, agent=Agent()) as lash:
        chat = await lash.session("chat")
        await chat.turn("One.")
        await chat.turn("Two.")
    store: Any = await open_sqlite(url, False)
    nodes = await store.session("chat").graph()

    def cut(connection: Any) -> None:
        connection.begin_write()
        connection.execute("DELETE FROM node WHERE node_id = ?", (connection.pack_id(nodes[1].node_id),))
        connection.commit()

    await store.write(cut, "harm")
    assert [attrs.evolve(each, left=None).kind for each in (await store.check(repair=True)).findings] == [
        "dangling_parent"
    ]
    await store.close()
    async with Lash.open(url, agent=Agent()) as lash:
        chat = await lash.session("chat", create=False)
        assert (await chat.turn("Three.")).outcome == "finished"

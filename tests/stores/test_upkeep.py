"""Looking after a SQLite store: bytes that are gone, budgets, collections beside writers, backups (S8, S10)."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lash_conformance.build import Author, chain, holder, ident, node
from lash_core.runtime.archive_export import export_sessions
from lash_core.runtime.redacting import MARKER, redact_node
from lash_hookspecs.errors import SessionBusy, StoreRegressed, StoreUnavailable
from lash_hookspecs.records.payloads import decode_payload
from lash_hookspecs.records.retention import AUDIT_STREAM, Keep, Redaction, Retention
from lash_hookspecs.records.store import StreamEntry, Writer, blob_ref
from lash_store_sql import collecting, retaining
from lash_store_sql.postgres.backend import open_postgres
from lash_store_sql.sqlite import SqliteBackend, open_sqlite
from postgres_server import shared_server

from lash_core import Agent, Lash
from tests.stores.test_sqlite_open import names_in

SECRET = "my card number is 4711-0815-4711-0815"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> Any:
    opened = await open_sqlite(f"sqlite:///{path}", True)
    yield opened
    await opened.close()


def files_with(folder: Path, *needles: bytes) -> list[str]:
    """Name the files of a folder that hold any of these bytes, as they are or compressed."""
    wanted = [form for needle in needles for form in (needle, zlib.compress(needle, 6))]
    return [each.name for each in folder.iterdir() if any(form in each.read_bytes() for form in wanted)]


# bytes that are gone


async def test_s8_deleted_bytes_are_in_no_file_once_the_blobs_are_collected(store: SqliteBackend, path: Path) -> None:
    texts = [b"%s %d" % (what * 40, number) for number, what in enumerate((b"node ", b"record ", b"entry ", b"blob "))]
    author = Author(store)
    payload, record, body, blob = texts
    await author.commit(
        [node(payload=payload)], record=record, components={"x": blob_ref(blob)}, blobs={blob_ref(blob): blob}
    )
    await author.store.append("inbox", [StreamEntry("k", body)], writer=author.writer)
    assert files_with(path.parent, *texts)
    await store.session("chat").erase(incarnation=author.writer.incarnation, deleted_at=1)
    assert files_with(path.parent, *texts[:3]) == []
    assert files_with(path.parent, blob)
    await store.gc(grace=0)
    assert files_with(path.parent, *texts) == []


async def test_s8_vacuumed_bytes_are_in_no_file(store: SqliteBackend, path: Path) -> None:
    author = Author(store)
    await author.turn(2)
    hidden = chain(40, author.leaf, payload=b"hidden " * 300)
    await author.commit(hidden, leaf=author.leaf)
    await store.session("chat").hide([hidden[0].node_id])
    await store.vacuum(grace=0)
    assert files_with(path.parent, b"hidden hidden") == []


async def test_s8_redacted_bytes_are_in_no_file_and_no_export(path: Path, tmp_path: Path) -> None:
    url, picture = f"sqlite:///{path}", b"a scan of the card " * 40
    async with Lash.open(url, agent=Agent()) as lash:
        chat = await lash.session("chat")
        await chat.turn(SECRET, attachments=[picture])
        await chat.turn("Something else entirely.")
        other = await chat.fork("fork")
        await other.turn("What did I say? I said: " + SECRET)
        nodes = await lash.store.session("chat").graph()
        said = next(each for each in nodes if SECRET.encode() in each.payload)
        report = await redact_node(lash.store, "chat", said.node_id, who="ann", why="a card", at=5)
        assert report.blobs == 1
        assert report.sessions == ("chat", "fork")
    assert files_with(path.parent, SECRET.encode(), picture) == []
    async with Lash.open(url, agent=Agent()) as lash:
        chat = await lash.session("chat", create=False)
        (marked,) = await lash.store.session("chat").nodes([said.node_id])
        payload: Any = decode_payload(marked)
        assert (payload.text, payload.role, payload.marker, payload.attachments) == (MARKER, "user", "redacted", ())
        assert (await chat.turn("Go on.")).outcome == "finished"
        (entry,) = await lash.store.session("chat").read(AUDIT_STREAM)
        told = json.loads(entry.body)
        assert told == {"action": "redact", "node_id": said.node_id, "who": "ann", "why": "a card", "at": 5}
        await lash.export("fork", tmp_path / "fork.jsonl")
        await lash.export("chat", tmp_path / "chat.jsonl")
    assert files_with(tmp_path, SECRET.encode(), picture) == []


async def test_s8_a_redacted_tool_result_is_gone_from_its_event_and_the_path_stays_valid(path: Path) -> None:
    def look_up(name: str) -> str:
        """Look a person up."""
        return "42 Elm St"  # too short to be looked for

    script = path.with_name("script.json")
    call = {"tool": "look_up", "arguments": {"name": "Zaphod"}}
    script.write_text(json.dumps([{"tool_calls": [call]}, {"text": "I know."}, {"text": "Still."}]))
    agent = Agent(model=f"offline:{script}", tools=[look_up])
    async with Lash.open(f"sqlite:///{path}", agent=agent) as lash:
        chat = await lash.session("chat")
        assert (await chat.turn("Where?")).outcome == "finished"
        result = next(each for each in await lash.store.session("chat").graph() if each.kind == "tool")
        assert files_with(path.parent, b"42 Elm")
        report = await redact_node(lash.store, "chat", result.node_id, who="ann", why="", at=5)
        assert report.records == 1
    assert files_with(path.parent, b"42 Elm") == []
    async with Lash.open(f"sqlite:///{path}", agent=agent) as lash:
        chat = await lash.session("chat", create=False)
        assert (await chat.turn("And now?")).outcome == "finished"
        events = [event async for event in chat.events()]
        assert MARKER in str(events)


async def test_s8_nothing_is_redacted_while_a_sharer_is_worked_on(store: SqliteBackend) -> None:
    author = Author(store)
    (said,) = await author.turn(1)
    fork = await author.fork("fork", said.node_id)
    await store.session("fork").take_lease(holder(), 30.0)
    with pytest.raises(SessionBusy) as caught:
        await redact_node(store, "chat", said.node_id, who="", why="", at=0)
    assert caught.value.session_id == "fork"
    assert await fork.store.nodes([said.node_id]) == [said]


# budgets


async def test_s8_vacuum_goes_on_where_its_budget_ended(store: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retaining, "_STEP", 10)
    for name in ("one", "two"):
        author = Author(store, name, Writer(name, 0))
        await author.turn(1)
        side = chain(25, author.leaf)
        await author.commit(side, leaf=author.leaf)
        await store.session(name).hide([side[0].node_id])
    steps: list[Any] = []
    told: list[Any] = []
    while not steps or not steps[-1].done:
        steps.append(await store.vacuum(grace=0, budget=0, progress=lambda *what: told.append(what)))
    assert [step.nodes for step in steps] == [10, 10, 5, 10, 10, 5]
    assert [step.remaining for step in steps] == [40, 30, 25, 15, 5, 0]
    assert (await store.stats()).nodes == 2
    assert told


async def test_s8_gc_goes_on_where_its_budget_ended(store: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_BLOBS", 10)
    author = Author(store)
    bodies = [b"blob %d" % number for number in range(35)]
    refs = await author.store.put_blobs(bodies)
    await author.commit([node(refs=(refs[7],))])
    steps: list[Any] = []
    while not steps or not steps[-1].done:
        steps.append(await store.gc(grace=0, budget=0))
    assert sum(step.blobs for step in steps) == 34
    assert len(steps) >= 3
    assert [step.remaining for step in steps] == [34 - sum(s.blobs for s in steps[: n + 1]) for n in range(len(steps))]
    assert (await store.stats()).blobs == 1


async def test_s8_expiry_goes_on_where_its_budget_ended(store: SqliteBackend) -> None:
    for number in range(3):
        await Author(store, f"s{number}", Writer(ident(), 0)).turn(1, ttl=1.0)
    reports = [await store.expire(now=1 << 60, budget=0) for _ in range(3)]
    assert [report.session_ids for report in reports] == [("s0",), ("s1",), ("s2",)]
    assert [report.remaining for report in reports] == [2, 1, 0]


# beside writers


def spawn(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


WRITER = """
    import asyncio, sys
    from lash_hookspecs.errors import MissingBlob
    from lash_hookspecs.records.store import Writer, blob_ref
    from lash_store_sql.postgres.backend import open_postgres
    from lash_store_sql.sqlite import open_sqlite
    from lash_conformance.build import Author, ident, node

    async def main():
        store = await (open_sqlite if sys.argv[1].startswith("sqlite") else open_postgres)(sys.argv[1], False)
        author = Author(store, sys.argv[2], Writer(ident(), 0))
        for number in range(int(sys.argv[3])):
            body = b"component %d of all" % (number % 7)
            (ref,) = await author.store.put_blobs([b"attachment %d" % (number % 5)])
            side = node(parent=author.leaf)
            await author.commit([side])
            await author.commit(
                [node(parent=author.leaf, refs=(ref,))], components={"x": blob_ref(body)}, blobs={blob_ref(body): body}
            )
        print(author.revision)
        await store.close()

    asyncio.run(main())
"""


async def sqlite_url(folder: Path) -> str:
    await (await open_sqlite(f"sqlite:///{folder}/raced.db", True)).close()
    return f"sqlite:///{folder}/raced.db"


async def postgres_url(folder: Path) -> str:
    server = shared_server()
    return server.url_of(await asyncio.to_thread(server.fresh))


@pytest.mark.parametrize("place", [sqlite_url, postgres_url])
async def test_s8_writers_in_other_processes_lose_nothing_to_retention(place: Any, tmp_path: Path) -> None:
    """Attachments are put one commit ahead, components come and go; what nobody holds any more is collected."""
    url = await place(tmp_path)
    writers = [spawn(WRITER, url, f"w{number}", 60) for number in range(2)]
    store: Any = await (open_sqlite if url.startswith("sqlite") else open_postgres)(url, False)
    keeper = Author(store, "keeper", Writer(ident(), 0))
    await keeper.turn(1)
    collected = removed = redacted = 0
    while any(writer.poll() is None for writer in writers):
        await keeper.store.put_blobs([os.urandom(8)])
        side, said = chain(2, keeper.leaf), node(parent=keeper.leaf, payload=b"said " + os.urandom(4).hex().encode())
        await keeper.commit(side, leaf=keeper.leaf)
        await keeper.commit([said])
        await store.session("keeper").hide([side[0].node_id])
        removed += (await store.vacuum(grace=0)).nodes
        audit = StreamEntry(said.node_id, b"{}")
        redaction = Redaction(
            node_id=said.node_id, payloads={said.node_id: b"{}"}, scrub=lambda body: None, audit=audit
        )
        redacted += (await store.session("keeper").redact(redaction)).bytes
        collected += (await store.gc(grace=2)).blobs
        for name in ("w0", "w1"):
            if await store.session(name).records(limit=1):
                await store.session(name).prune(Retention(records=Keep(last=30)))
    assert [writer.communicate()[0].strip() for writer in writers] == ["120", "120"]
    assert removed > 0
    assert redacted > 0
    assert (await store.check()).findings == ()
    for name in ("w0", "w1"):
        session = store.session(name)
        nodes = await session.graph()
        assert len(nodes) == 120
        refs = {ref for each in nodes for ref in each.refs}
        refs |= {ref for record in await session.records() for ref in record.components.values()}
        assert len(await session.get_blobs(sorted(refs))) == 12
    await store.close()


async def test_s8_a_commit_brings_back_a_blob_that_was_collected_under_its_hands(
    store: SqliteBackend, path: Path
) -> None:
    """It found the blob stored, and a collection without grace removed it before the commit's transaction."""
    author, body = Author(store), b"an old component " * 20
    ref = blob_ref(body)
    await author.store.put_blobs([body])
    with closing(sqlite3.connect(path)) as raced:
        raced.execute("CREATE TRIGGER raced BEFORE INSERT ON record BEGIN DELETE FROM blob; END")
    await author.commit(chain(1), components={"x": ref}, blobs={ref: body})
    assert await author.store.get_blobs([ref]) == {ref: body}


# backups


async def test_s10_a_backup_under_load_is_sound_and_a_newer_handle_says_so(path: Path, tmp_path: Path) -> None:
    url, copy = f"sqlite:///{path}", tmp_path / "copy.db"
    async with Lash.open(url, agent=Agent()) as lash:
        chat = await lash.session("chat")
        await chat.turn("Before the backup.")
        writer = spawn(WRITER, url, "busy", 80)
        told: list[Any] = []
        report = await lash.store.backup(copy, progress=lambda *what: told.append(what))  # type: ignore[attr-defined]
        await chat.turn("After the backup.")
        parked = await chat.park()
        assert await asyncio.to_thread(writer.wait) == 0
        assert writer.stdout is not None
        writer.stdout.close()
    assert (report.path, report.bytes) == (str(copy), copy.stat().st_size)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not any("part" in name for name in names_in(tmp_path))
    restored = await open_sqlite(f"sqlite:///{copy}", False)
    assert (await restored.check()).findings == ()
    await restored.close()
    async with Lash.open(f"sqlite:///{copy}", agent=Agent()) as lash:
        with pytest.raises(StoreRegressed):
            await lash.resume(parked)
        chat = await lash.session("chat", create=False)
        assert chat.document.turn_index == 1


@pytest.mark.parametrize("make", [lambda path: path.write_text("mine"), lambda path: path.symlink_to("/nowhere")])
async def test_s10_a_backup_overwrites_nothing(
    store: SqliteBackend, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    target = tmp_path / "there"
    make(target)
    with pytest.raises(StoreUnavailable) as caught:
        await store.backup(target)
    assert str(caught.value) == f"{target} is there already: a backup is written into a new file"
    with pytest.raises(StoreUnavailable):
        await store.backup(tmp_path / "no" / "folder" / "x.db")
    assert [name for name in names_in(tmp_path) if not name.startswith("store")] == ["there"]


async def test_exports_of_a_session_that_is_written_are_whole(store: SqliteBackend, path: Path) -> None:
    await Author(store, "busy", Writer(ident(), 0)).store.put_blobs([b"x"])
    writer = spawn(WRITER, f"sqlite:///{path}", "busy", 40)
    while writer.poll() is None:
        if (await store.stats()).sessions:
            lines: list[bytes] = []
            await export_sessions(store, [("busy",)], lines.append)
            assert b"archive_ends" in lines[-1]
    assert writer.communicate()[0].strip() == "80"

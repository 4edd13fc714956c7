"""The schemas over the versions: every one that landed opens, is migrated and is used (S10)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lash_conformance.build import Author, holder, ident
from lash_hookspecs.errors import SessionDeleted, StoreUnavailable, UnsupportedSchema
from lash_hookspecs.records.store import Deleted, Head, StreamRow, Writer
from lash_store_sql.database import PAGE_SIZE
from lash_store_sql.migrations import STEPS
from lash_store_sql.postgres.backend import PostgresBackend, migrate_postgres, open_postgres
from lash_store_sql.sqlite import SqliteBackend, open_sqlite
from lash_store_sql.statements import SCHEMA_VERSION
from postgres_server import shared_server

from lash_core import Agent, Lash
from tests.stores.test_sqlite_open import AS_NOBODY, open_folder, run

__all__ = ["open_folder"]

GOLDEN = Path(__file__).parent / "golden"

VERSIONS = list(range(1, SCHEMA_VERSION + 1))

#: Every dump; PostgreSQL's first version is 2.
DUMPS = [("sqlite", version) for version in VERSIONS] + [("postgres", version) for version in VERSIONS[1:]]


def load(version: int, path: Path) -> Path:
    """Make a database of a golden dump."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript((GOLDEN / f"sqlite-{version}.sql").read_text(encoding="utf-8"))
    path.chmod(0o600)
    return path


def shape(path: Path) -> dict[str, Any]:
    """Give every table's columns and every index, whatever the words they were declared with."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()
        return {
            name: connection.execute(f"PRAGMA {'table' if kind == 'table' else 'index'}_xinfo('{name}')").fetchall()
            for kind, name in names
        }


def numbers(path: Path) -> tuple[int, int]:
    """Give the version of a database, and the oldest version whose code works on it."""
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT max(version) FROM migration").fetchone()
        (compatible,) = connection.execute("PRAGMA user_version").fetchone()
    return version, compatible


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return load(request.param, tmp_path / "store.db")


def load_postgres(version: int) -> str:
    """Make a database of a golden dump and give its name."""
    server = shared_server()
    name = server.empty()
    with server.connect(name) as connection:
        connection.execute((GOLDEN / f"postgres-{version}.sql").read_text(encoding="utf-8").encode())
    return name


def postgres_shape(name: str) -> dict[str, Any]:
    """Give every table's columns and every index."""
    with shared_server().connect(name) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable, column_default, identity_generation, "
            "collation_name FROM information_schema.columns WHERE table_schema = 'lash' ORDER BY 1, 2"
        ).fetchall()
        indices = connection.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'lash' ORDER BY 1").fetchall()
    return {"columns": columns, "indices": indices}


@pytest.fixture(params=DUMPS, ids=lambda dump: f"{dump[0]}-{dump[1]}")
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every golden database, by how it is opened."""
    kind, version = request.param
    if kind == "sqlite":
        return f"sqlite:///{load(version, tmp_path / 'store.db')}"
    return shared_server().url_of(load_postgres(version))


@pytest.fixture
async def store(url: str) -> Any:
    if url.startswith("sqlite"):
        opened: Any = await open_sqlite(url, False)
    else:
        await migrate_postgres(url, False)
        opened = await open_postgres(url, False)
    yield opened
    await opened.close()


def test_s10_every_version_that_landed_has_a_golden_dump() -> None:
    assert {path.name for path in GOLDEN.glob("*.sql")} == {f"{kind}-{version}.sql" for kind, version in DUMPS}
    assert [step.version for step in STEPS] == VERSIONS[1:]


async def test_s10_an_older_database_becomes_one_of_this_version_by_opening(golden: Path, tmp_path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{golden}", False)
    fresh = await open_sqlite(f"sqlite:///{tmp_path}/fresh.db", True)
    await fresh.close()
    assert shape(golden) == shape(tmp_path / "fresh.db")
    assert numbers(golden) == numbers(tmp_path / "fresh.db")
    assert (await store.check()).findings == ()
    await store.close()


async def test_s10_what_an_older_version_wrote_is_all_there(store: SqliteBackend | PostgresBackend) -> None:
    chat = store.session("chat")
    head = await chat.head()
    assert isinstance(head, Head)
    assert (head.revision, head.leaf, head.open_turn, head.ttl) == (5, "node-9", "turn-2", 0.0)
    assert dict(head.labels) == {"user": "ann", "town": "Zürich"}
    assert len(await chat.path("node-9")) == 7
    assert len(await chat.graph()) == 9  # two of the fork, two hidden
    assert len(await chat.archive()) == 11
    assert sum(each.node.hidden for each in await chat.archive()) == 2
    bodies = await chat.get_blobs(list((await chat.records(limit=1))[0].components.values()))
    assert sorted(map(len, bodies.values())) == [7, 531]
    assert [record.commit_id for record in await chat.records()][1] == "a commit id that is text"
    assert await chat.read("inbox") == [
        StreamRow(3, "key-2", b'{"entry":2}'),
        StreamRow(4, "key-3", b'{"entry":3}'),
    ]
    assert await chat.read("journal") == [StreamRow(1, "only", b"\x00\xff")]
    assert await chat.sharers() == ["chat", "chat/fork"]
    lease = await chat.lease()
    assert lease is not None
    assert lease.holder == holder()
    assert isinstance(await store.session("gone").head(), Deleted)


async def test_s10_a_migrated_database_is_worked_on(store: SqliteBackend | PostgresBackend) -> None:
    chat = Author(store, "chat", Writer(f"{0xA1:032x}", 2), revision=5, leaf="node-9")
    await chat.turn(3, ttl=60.0)
    assert len(await chat.store.path(chat.leaf or "")) == 10
    late = Author(store, "gone", Writer(f"{0xD1:032x}", 0), revision=1)
    with pytest.raises(SessionDeleted):
        await late.turn(1)
    hidden = await store.vacuum(grace=0)
    collected = await store.gc(grace=3600)
    assert (hidden.nodes, collected.blobs) == (2, 0)
    assert (await store.check()).findings == ()


async def test_s10_a_session_of_an_older_version_takes_its_next_turn(store: object, url: str) -> None:
    async with Lash.open(url, agent=Agent(), create=False) as lash:
        session = await lash.session("spoken", create=False)
        assert session.document.turn_index == 2
        result = await session.turn("Do you go on?")
        assert result.outcome == "finished"
        assert session.document.turn_index == 3


async def test_s10_two_openings_at_once_migrate_once(golden: Path) -> None:
    url = f"sqlite:///{golden}"
    stores = await asyncio.gather(*(open_sqlite(url, False) for _ in range(4)))
    for store in stores:
        await store.close()
    assert numbers(golden)[0] == SCHEMA_VERSION


async def test_s10_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = load(1, tmp_path / "store.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX node_refs ON node (kind)")  # stands in the way of the last statement
    before = shape(path)
    with pytest.raises(Exception, match="node_refs"):
        await open_sqlite(f"sqlite:///{path}", False)
    assert shape(path) == before
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX node_refs")
    await (await open_sqlite(f"sqlite:///{path}", False)).close()
    assert numbers(path)[0] == SCHEMA_VERSION


def test_s10_an_older_database_that_cannot_be_written_says_so(open_folder: Path) -> None:
    path = load(1, open_folder / "store.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.chmod(0o444)
    open_folder.chmod(0o555)
    said = run(AS_NOBODY, f"sqlite:///{path}", "open")
    assert said == (
        f"{StoreUnavailable.__name__} {path} has an older schema than version {SCHEMA_VERSION} and cannot be written, "
        "so it cannot be migrated: open it once where it can be, or open a copy"
    )


async def test_s10_a_later_version_that_only_expanded_is_worked_on(tmp_path: Path) -> None:
    path = load(SCHEMA_VERSION, tmp_path / "store.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as later:
        later.execute("ALTER TABLE session ADD COLUMN mood TEXT")
        later.execute("CREATE TABLE mood (key INTEGER PRIMARY KEY) STRICT")
        later.execute("INSERT INTO migration VALUES (?, 1)", (SCHEMA_VERSION + 1,))
    store = await open_sqlite(f"sqlite:///{path}", False)
    author = Author(store, "fresh", Writer(ident(), 0))
    await author.turn(2)
    assert (await store.check()).findings == ()
    await store.close()
    assert numbers(path)[0] == SCHEMA_VERSION + 1


async def test_s10_a_later_version_that_broke_with_this_one_is_refused_with_both(tmp_path: Path) -> None:
    path = load(SCHEMA_VERSION, tmp_path / "store.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as later:
        later.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(UnsupportedSchema) as caught:
        await open_sqlite(f"sqlite:///{path}", False)
    assert str(caught.value) == (
        f"{path} has schema version {SCHEMA_VERSION + 1}; this version of lash-store-sql reads up to {SCHEMA_VERSION}: "
        "upgrade it"
    )


def old_statements(version: int) -> dict[str, Any]:
    """Give the statements that the code of an older version runs, as that version generated them."""
    told: dict[str, Any] = {}
    exec((GOLDEN / f"sqlite-{version}.statements.txt").read_text(encoding="utf-8"), told)
    return told


def parameters(version: int) -> Iterator[tuple[str, int]]:
    """Give each statement's name with the number of its parameters."""
    for name, statement in old_statements(version).items():
        if isinstance(statement, str) and name.isupper():
            yield name, statement.count("?")


@pytest.mark.parametrize("version", VERSIONS[:-1])
async def test_s10_every_statement_of_older_code_runs_on_an_expanded_database(version: int, tmp_path: Path) -> None:
    path = load(version, tmp_path / "store.db")
    await (await open_sqlite(f"sqlite:///{path}", False)).close()
    statements = old_statements(version)
    assert statements["SCHEMA_VERSION"] >= numbers(path)[1]  # that code opens it
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name, count in parameters(version):
            connection.execute(f"EXPLAIN {statements[name]}", (None,) * count)


async def test_s10_code_of_the_first_version_commits_beside_this_one(tmp_path: Path) -> None:
    path = load(1, tmp_path / "store.db")
    store = await open_sqlite(f"sqlite:///{path}", False)
    old = old_statements(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(old["SESSION"], ("", "chat")).fetchone()
        key, revision, tail = row[0], row[2] + 1, row[7] + 1
        blob = bytes.fromhex("ab" * 32)
        connection.execute(old["ADD_BLOB"], ("", blob, 0, b"put by the first version"))
        connection.execute(
            old["ADD_RECORD"], (key << 32 | revision, key, "old", b"\0" * 32, 2, "node-10", None, 3, "{}", b"{}")
        )
        connection.execute(old["ADD_NODE"], (tail, row[4], "node-10", "node-9", 4, 4, 0, "message", None, b"{}"))
        connection.execute(
            old["MOVE_HEAD"], ("node-10", tail, tail, revision, 2, None, 5, row[8] + 1, "{}", b"{}", key)
        )
        connection.execute("COMMIT")
    author = Author(store, "chat", Writer(f"{0xA1:032x}", 2), revision=6, leaf="node-10")
    await author.turn(1)
    assert [each.node_id for each in await author.store.path(author.leaf or "")][-2] == "node-10"
    report = await store.gc(grace=3600)
    assert (report.blobs, report.young) == (0, 1)  # of which nobody knows when it was put: its age begins now
    await store.close()


def test_s10_the_dump_of_this_version_was_made_with_this_schema(tmp_path: Path) -> None:
    path = load(SCHEMA_VERSION, tmp_path / "golden.db")
    shutil.copy(path, tmp_path / "copy.db")

    async def opened() -> None:
        await (await open_sqlite(f"sqlite:///{tmp_path}/fresh.db", True)).close()

    asyncio.run(opened())
    assert shape(path) == shape(tmp_path / "fresh.db")


def test_s10_the_dump_of_postgres_was_made_with_this_schema() -> None:
    assert postgres_shape(load_postgres(SCHEMA_VERSION)) == postgres_shape(shared_server().fresh())

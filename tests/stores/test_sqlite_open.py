"""Opening a SQLite store: URLs, permissions, foreign files, the module budget (S9, S10, S13)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lash_conformance.build import Author
from lash_hookspecs.errors import ConfigurationError, StoreError, StoreUnavailable, UnsupportedSchema
from lash_store_sql.database import connect, make_file, open_first, parse_url, prepare, read_version
from lash_store_sql.sqlite import open_sqlite


def run(code: str, *arguments: object, **options: object) -> str:
    """Run Python code in a process of its own and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


#: Opens argv[1] with create=argv[2] as the user "nobody" and prints what came of it.
AS_NOBODY = """
    import asyncio, os, sys
    from lash_hookspecs.errors import LashError
    from lash_store_sql.sqlite import open_sqlite
    from lash_conformance.build import Author
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    async def main():
        store = None
        try:
            store = await open_sqlite(sys.argv[1], sys.argv[2] == "create")
            print(len(await store.session("chat").graph()))
            await Author(store, "new").turn()
        except LashError as error:
            print(type(error).__name__, error)
        if store: await store.close()
    asyncio.run(main())
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter: pytest keeps its own to their owner."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o700)


def protect(path: Path, mode: int) -> None:
    path.chmod(mode)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def said_by_a_fork(say: Callable[[], str]) -> tuple[int, str]:
    """Fork, let the child say something, and give its process id and its words."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover  the child leaves without unwinding
        os.write(write, say().encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return child, pipe.read()


async def written(path: Path) -> Path:
    """Make a store with three nodes."""
    store = await open_sqlite(f"sqlite:///{path}", True)
    await Author(store).turn()
    await store.close()
    return path


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "sqlite:// names no file; for a store in memory, use memory:"),
        ("sqlite:///:memory:", "sqlite:///:memory: names no file; for a store in memory, use memory:"),
        ("sqlite:///", "sqlite:/// names no file; for a store in memory, use memory:"),
        (
            "sqlite://host/x.db",
            "sqlite://host/x.db: a SQLite URL is sqlite:///relative/path.db or sqlite:////absolute/path.db",
        ),
        (
            "sqlite:x.db",
            "sqlite:x.db: a SQLite URL is sqlite:///relative/path.db or sqlite:////absolute/path.db",
        ),
        (
            "sqlite:///x.db?tmeout=5",
            "sqlite:///x.db?tmeout=5: unknown option 'tmeout'; known are compression, max_value, synchronous, timeout",
        ),
        ("sqlite:///x.db?timeout=soon", "sqlite:///x.db?timeout=soon: option 'timeout' cannot be 'soon'"),
        ("sqlite:///x.db?timeout=-1", "sqlite:///x.db?timeout=-1: option 'timeout' cannot be '-1'"),
        ("sqlite:///x.db?timeout=inf", "sqlite:///x.db?timeout=inf: option 'timeout' cannot be 'inf'"),
        ("sqlite:///x.db?max_value=0", "sqlite:///x.db?max_value=0: option 'max_value' cannot be '0'"),
    ],
)
async def test_a_url_that_cannot_be_is_refused_and_nothing_is_made(
    url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        await open_sqlite(url, True)
    assert str(caught.value) == message
    assert names_in(tmp_path) == []


async def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///here.db", f"sqlite:///{tmp_path}/there #1 %41.db?timeout=1"):
        store = await open_sqlite(url, True)
        await store.close()
    assert names_in(tmp_path) == ["here.db", "there #1 %41.db"]


async def test_a_store_that_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await open_sqlite(f"sqlite:///{tmp_path}/none.db", False)
    assert str(caught.value) == f"there is no store at {tmp_path}/none.db"
    assert names_in(tmp_path) == []


async def test_an_empty_file_is_no_store_but_may_become_one(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(StoreUnavailable) as caught:
        await open_sqlite(f"sqlite:///{path}", False)
    assert str(caught.value) == f"there is no store at {path}: the database is empty"
    await written(path)


@pytest.mark.parametrize("create", [True, False])
async def test_s9_what_is_not_a_database_is_named_and_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StoreUnavailable) as caught:
        await open_sqlite(f"sqlite:///{path}", create)
    assert str(caught.value) == f"cannot open {path}: it is not a SQLite database"
    assert path.read_text() == "not a database " * 100
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


async def test_s9_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE session (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable) as caught:
        await open_sqlite(f"sqlite:///{path}", True)
    assert str(caught.value) == f"cannot open {path}: it is a SQLite database of something else"
    assert path.read_bytes() == before


async def test_s9_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await open_sqlite(f"sqlite:///{tmp_path}", True)
    assert str(caught.value) == f"cannot open {tmp_path}: it is a directory"


async def test_s10_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = await written(tmp_path / "store.db")
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version=7")
    later.close()
    with pytest.raises(UnsupportedSchema) as caught:
        await open_sqlite(f"sqlite:///{path}", True)
    assert str(caught.value) == (
        f"{path} has schema version 7; this version of lash-store-sql reads up to 2: upgrade it"
    )


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_new_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "made" / "deep" / "store.db"
    modes = run(
        """
        import asyncio, os, pathlib, sys
        from lash_store_sql.sqlite import open_sqlite
        from lash_conformance.build import Author
        os.umask(int(sys.argv[2]))
        async def main():
            store = await open_sqlite("sqlite:///" + sys.argv[1], True)
            await Author(store).turn()
            folder = pathlib.Path(sys.argv[1]).parent
            for path in (folder.parent, folder, *sorted(folder.iterdir())):
                print(path.name, oct(path.stat().st_mode & 0o777))
            await store.close()
        asyncio.run(main())
        """,
        path,
        umask,
    )
    assert modes.splitlines() == [
        "made 0o700",
        "deep 0o700",
        "store.db 0o600",
        "store.db-shm 0o600",
        "store.db-turns 0o600",
        "store.db-wal 0o600",
    ]


async def test_a_file_that_may_not_be_read_is_unavailable(open_folder: Path) -> None:
    path = await written(open_folder / "store.db")
    protect(path, 0)
    assert run(AS_NOBODY, f"sqlite:///{path}", "open") == (f"StoreUnavailable cannot open {path}: permission denied")


async def test_a_directory_that_may_not_be_entered_is_unavailable(open_folder: Path) -> None:
    folder = open_folder / "closed"
    folder.mkdir(mode=0o700)
    path = await written(folder / "store.db")
    assert run(AS_NOBODY, f"sqlite:///{path}", "open") == (f"StoreUnavailable cannot open {path}: permission denied")


def test_a_directory_that_may_not_be_written_takes_no_new_store(open_folder: Path) -> None:
    path = open_folder / "store.db"
    protect(open_folder, 0o555)
    assert run(AS_NOBODY, f"sqlite:///{path}", "create") == (f"StoreUnavailable cannot make {path}: Permission denied")


async def test_a_read_only_database_can_be_read(open_folder: Path) -> None:
    path = await written(open_folder / "store.db")
    protect(path, 0o444)
    protect(open_folder, 0o555)
    assert run(AS_NOBODY, f"sqlite:///{path}", "open").splitlines() == [
        "3",
        f"StoreUnavailable cannot write to {path}: it is read-only",
    ]


async def test_a_store_used_after_a_fork_says_so(tmp_path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{tmp_path}/store.db", True)
    await Author(store).turn()

    def refused() -> str:
        with pytest.raises(StoreError) as caught:
            store.session("chat").head().send(None)
        return str(caught.value)

    child, words = said_by_a_fork(refused)
    assert words == (
        f"{store.path}: the store was opened by process {os.getpid()} and is used by process {child}: "
        "open it again after a fork"
    )
    await Author(store, revision=1).turn()
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{tmp_path}/store.db", True)
    await store.close()
    with pytest.raises(StoreError) as caught:
        await store.session("chat").head()
    assert str(caught.value) == f"{tmp_path}/store.db: the store is closed"


async def test_the_files_settings_are_those_of_the_design(tmp_path: Path) -> None:
    path = await written(tmp_path / "store.db")
    with sqlite3.connect(path) as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "journal_mode", "application_id", "user_version")
        }
    connection.close()
    assert settings == {
        "page_size": 16384,
        "journal_mode": "wal",
        "application_id": 0x4C415348,
        "user_version": 1,
    }


async def test_each_connections_settings_are_those_of_the_design(tmp_path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{tmp_path}/store.db", True)
    names = ("synchronous", "foreign_keys", "secure_delete", "trusted_schema", "query_only")

    def settings(connection: sqlite3.Connection) -> list[int]:
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store.write(settings, "settings") == [2, 1, 1, 0, 0]
    assert await store.read(settings, "settings") == [2, 1, 1, 0, 1]
    await store.close()


def test_the_default_path_imports_no_heavy_library(tmp_path: Path) -> None:
    loaded = run(
        """
        import asyncio, sys
        from lash_hookspecs.specs.offers import OfferContext
        from lash_store_sql.plugin import stores
        heavy = ("sqlmodel", "sqlalchemy", "pydantic")
        assert "sqlite3" not in sys.modules and "lash_store_sql.sqlite" not in sys.modules
        offer, *_ = stores(OfferContext(api="0.1"))
        async def main():
            from lash_conformance.build import Author
            store = await offer.open("sqlite:///" + sys.argv[1], True)
            author = Author(store)
            await author.turn()
            await author.store.path(author.leaf)
            await store.sessions(__import__("lash_hookspecs.records.store", fromlist=["x"]).SessionQuery())
            await store.close()
        asyncio.run(main())
        print([name for name in heavy if name in sys.modules])
        print(len(sys.modules))
        """,
        tmp_path / "store.db",
    ).splitlines()
    assert loaded[0] == "[]"
    assert int(loaded[1]) < 260


def test_the_statements_are_those_of_the_declaration() -> None:
    from lash_store_sql import generate

    for database, path in generate.MODULES.items():
        assert path.read_text() == generate.render(database)


@pytest.mark.parametrize(("options", "level", "grade"), [("", 2, "host"), ("?synchronous=normal", 1, "process")])
async def test_what_a_commit_survives_is_declared(tmp_path: Path, options: str, level: int, grade: str) -> None:
    store = await open_sqlite(f"sqlite:///{tmp_path}/x.db{options}", True)
    assert await store.write(lambda raw: raw.execute("PRAGMA synchronous").fetchone()[0], "the database") == level
    assert store.capabilities.durability == grade
    await store.close()


def test_a_store_that_another_process_makes_just_now_is_not_taken_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    url, others = parse_url(f"sqlite:///{path}"), list[str]()

    def make_it(statement: str) -> None:
        if "user_version" in statement and not others:
            others.append(statement)
            with contextlib.suppress(sqlite3.OperationalError):  # the one that looks keeps it waiting
                open_first(url, True).close()

    make_file(path)
    connection = connect(path, writes=True)
    connection.set_trace_callback(make_it)
    prepare(connection, path, True)
    connection.close()
    assert others
    assert read_version(path) is not None

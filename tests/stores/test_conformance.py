"""The project's own stores, through the conformance kit."""

from __future__ import annotations

import hashlib
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lash_conformance import Place, StoreConformance
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_store_sql.database import parse_url
from lash_store_sql.postgres.backend import PostgresBackend, open_postgres
from lash_store_sql.sqlite import open_sqlite
from lash_store_sql.statements import SCHEMA_VERSION
from postgres_server import OwnServer, private_server
from redis import Redis

from tests.stores.examples import example
from tests.stores.redis_server import EXECUTABLE, RedisServer
from tests.stores.test_migrations import load


async def open_memory(url: str, create: bool, clock: Callable[[], float]) -> StoreBackend:
    limit = int(url.partition("max_value=")[2] or 0) or None
    return MemoryBackend(clock=clock, max_value=limit, max_nodes_per_commit=3_000)


class TestMemory(StoreConformance):
    levels = ("core", "concurrent", "sharing", "retention", "migration")
    tenants = True
    store_url = "memory:"
    small_limits_url = "memory:?max_value=1000"
    open_store = staticmethod(open_memory)


async def open_traced_sqlite(
    url: str,
    create: bool,
    clock: Callable[[], float] = time.time,
    crash_point: Callable[[str], None] | None = None,
) -> StoreBackend:
    """Open the SQLite store; the crash seam hears of each statement of a write before SQLite carries it out."""
    backend = await open_sqlite(url, create, clock=clock)
    if crash_point is not None:
        await backend.write(lambda connection: connection.set_trace_callback(crash_point), "the seam")
    return backend


class TestSqlite(StoreConformance):
    levels = ("core", "concurrent", "sharing", "retention", "migration")
    tenants = True
    durability = "host"
    store_url = "sqlite:///{folder}/store.db"
    small_limits_url = "sqlite:///{folder}/store.db?max_value=1000"
    impatient_url = "sqlite:///{folder}/store.db?timeout=0.05"
    open_store = staticmethod(open_traced_sqlite)

    @contextmanager
    def blocked(self, place: Place) -> Iterator[None]:
        with closing(sqlite3.connect(parse_url(place.url).path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    async def damage(self, place: Place) -> None:
        with closing(sqlite3.connect(parse_url(place.url).path, isolation_level=None)) as other:
            other.execute("UPDATE session SET components = '{' WHERE session_id = 'chat'")

    async def make_old(self, place: Place) -> None:
        load(1, parse_url(place.url).path)

    async def make_newer(self, place: Place) -> None:
        with closing(sqlite3.connect(parse_url(place.url).path, isolation_level=None)) as other:
            other.execute("PRAGMA user_version=99")


class KillablePostgres:
    """A PostgreSQL server of our own, as the kit knows servers."""

    def __init__(self, server: OwnServer) -> None:
        self.server = server
        self.address = server.folder / ".s.PGSQL.5432"

    @cached_property
    def name(self) -> str:
        return self.server.fresh()

    def emptied(self) -> str:
        """Give the database without what the last test left: a new one for each takes ten times as long."""
        with self.server.connect(self.name) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'lash'").fetchall()
            names = ", ".join(f"lash.{name}" for (name,) in tables if name != "lash_schema")
            connection.execute(f"TRUNCATE {names}")
            connection.execute(
                "UPDATE lash.lash_schema SET version = %s, oldest = %s", (SCHEMA_VERSION, SCHEMA_VERSION)
            )
        return self.name

    def kill(self) -> None:
        self.server.stop(signal.SIGKILL)

    def restart(self) -> None:
        self.server.start()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[KillablePostgres]:
    """A server that the kit may kill."""
    # After a crash it need not look at each file of each database that a test left.
    with private_server(recovery_init_sync_method="syncfs") as server:
        yield KillablePostgres(server)


async def open_migrated_postgres(url: str, create: bool) -> StoreBackend:
    return await open_postgres(url, False)


def address(place: Place) -> str:
    """Give a test's database as the driver knows it: without the options of the store."""
    return place.url.partition("&timeout=")[0]


class TestPostgres(StoreConformance):
    levels = ("core", "concurrent", "sharing", "retention", "migration")
    tenants = True
    durability = "host"
    store_url = "postgresql://postgres@/{name}?host={socket_folder}&timeout=1"
    small_limits_url = "postgresql://postgres@/{name}?host={socket_folder}&max_value=1000"
    impatient_url = "postgresql://postgres@/{name}?host={socket_folder}&timeout=0.2"
    open_store = staticmethod(open_migrated_postgres)
    server_fixture = "postgres_server"

    @pytest.fixture
    def store_name(self, server: KillablePostgres) -> str:
        return server.emptied()

    async def let_pass(self, place: Place, backend: StoreBackend, seconds: float) -> None:
        def grow_old(connection: Any) -> None:
            connection.begin_write()
            for what in (
                "blob SET stored_at = stored_at",
                "node SET hidden = hidden",
                "lease SET expires_at = expires_at",
            ):
                where = " WHERE hidden > 1" if "hidden" in what else ""
                connection.execute(f"UPDATE {what} - $1::bigint{where}", (int(seconds * 1_000_000),))
            connection.commit()

        assert isinstance(backend, PostgresBackend)
        await backend.write(grow_old, "the past")

    async def damage(self, place: Place) -> None:
        with psycopg.connect(address(place), autocommit=True) as connection:
            connection.execute("UPDATE lash.session SET components = '{' WHERE session_id = 'chat'")

    async def make_newer(self, place: Place) -> None:
        with psycopg.connect(address(place), autocommit=True) as connection:
            connection.execute("UPDATE lash.lash_schema SET version = 99, oldest = 99")

    @contextmanager
    def blocked(self, place: Place) -> Iterator[None]:
        with psycopg.connect(address(place)) as connection:
            connection.execute("LOCK TABLE lash.session IN EXCLUSIVE MODE")
            yield


class TestJsonLines(StoreConformance):
    levels = ("core",)
    durability = "host"
    store_url = "jsonl:{folder}/store"
    open_store = staticmethod(example("jsonl_store").open_jsonl)

    async def damage(self, place: Place) -> None:
        name = hashlib.sha256(b"chat").hexdigest()
        path = Path(place.fields["folder"]) / f"store/{name}.jsonl"
        path.write_bytes(b"nonsense\n" + path.read_bytes())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server; each test has a prefix of its own."""
    if EXECUTABLE is None:
        pytest.skip("not run: there is no redis-server on this machine")
    server = RedisServer()
    server.restart()
    yield server
    server.close()


class TestRedis(StoreConformance):
    levels = ("core", "concurrent")
    durability = "host"
    store_url = "redis-unix://{socket}?prefix={name}"
    open_store = staticmethod(example("redis_store").open_redis)
    server_fixture = "redis_server"

    async def damage(self, place: Place) -> None:
        redis = Redis(unix_socket_path=place.fields["socket"])
        with closing(redis):
            redis.set(f"{place.fields['name']}:{hashlib.sha256(b'chat').hexdigest()}", b"nonsense")

"""The project's own stores, through the conformance kit."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from lash_conformance import Place, StoreConformance
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_store_sql.database import parse_url
from lash_store_sql.sqlite import SqliteBackend, open_sqlite
from lash_store_sql.sqlite_connection import SqliteConnection
from redis import Redis

from tests.stores.examples import example
from tests.stores.redis_server import EXECUTABLE, RedisServer

T = TypeVar("T")


async def open_memory(url: str, create: bool, clock: Callable[[], float]) -> StoreBackend:
    limit = int(url.partition("max_value=")[2] or 0) or None
    return MemoryBackend(clock=clock, max_value=limit, max_nodes_per_commit=3_000)


class TestMemory(StoreConformance):
    levels = ("core", "concurrent", "sharing")
    tenants = True
    store_url = "memory:"
    small_limits_url = "memory:?max_value=1000"
    open_store = staticmethod(open_memory)


class TracedBackend(SqliteBackend):
    """The SQLite store; it tells of each statement of a write before SQLite carries it out."""

    crash_point: Callable[[str], None]

    async def write(self, unit: Callable[[SqliteConnection], T], row: str, session_id: str | None = None) -> T:
        return await super().write(partial(self._traced, unit), row, session_id)

    def _traced(self, unit: Callable[[SqliteConnection], T], connection: SqliteConnection) -> T:
        connection.set_trace_callback(self.crash_point)
        try:
            return unit(connection)
        finally:
            connection.set_trace_callback(None)


async def open_traced_sqlite(
    url: str,
    create: bool,
    clock: Callable[[], float] | None = None,
    crash_point: Callable[[str], None] | None = None,
) -> StoreBackend:
    if clock is not None:
        return await open_sqlite(url, create, clock=clock)
    backend = await open_sqlite(url, create)
    if crash_point is None:
        return backend
    await backend.close()
    traced = TracedBackend(parse_url(url), create=create, clock=lambda: 0.0)
    traced.crash_point = crash_point
    return traced


class TestSqlite(StoreConformance):
    levels = ("core", "concurrent", "sharing")
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

"""Every store under test, by the levels that it declares.

A module of the contract suite names its level in ``LEVEL``; its tests run over the stores that declare it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from lash_conformance.build import Author
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_store_sql.postgres.backend import PostgresBackend, open_postgres
from lash_store_sql.sqlite import open_sqlite
from postgres_server import shared_server

from tests.stores.examples import example


@attrs.define
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


async def memory(folder: Path, clock: Clock) -> StoreBackend:
    return MemoryBackend(clock=clock)


async def sqlite(folder: Path, clock: Clock) -> StoreBackend:
    return await open_sqlite(f"sqlite:///{folder}/store.db", True, clock=clock)


async def postgres(folder: Path, clock: Clock) -> StoreBackend:
    server = shared_server()
    return await open_postgres(server.url_of(await asyncio.to_thread(server.fresh)), False)


async def jsonl(folder: Path, clock: Clock) -> StoreBackend:
    backend: StoreBackend = await example("jsonl_store").open_jsonl(f"jsonl:{folder}/store", True)
    return backend


STORES: dict[str, list[Callable[[Path, Clock], Awaitable[StoreBackend]]]] = {
    "durable": [sqlite, postgres, jsonl],
    "retention": [memory, sqlite, postgres],
    "sharing": [memory, sqlite, postgres],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames and hasattr(metafunc.module, "LEVEL"):
        stores = STORES[metafunc.module.LEVEL]
        metafunc.parametrize("backend", stores, indirect=True, ids=[store.__name__ for store in stores])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def backend(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[StoreBackend]:
    opened: StoreBackend = await request.param(tmp_path, clock)
    yield opened
    await opened.close()


@pytest.fixture
def sleep_for(backend: StoreBackend, clock: Clock) -> Callable[[float], Awaitable[None]]:
    """Let time pass for a store: by its clock, or by making what it holds older."""

    def grow_old(connection: Any, seconds: float) -> None:
        connection.begin_write()
        for what in ("blob SET stored_at = stored_at", "node SET hidden = hidden", "lease SET expires_at = expires_at"):
            where = " WHERE hidden > 1" if "hidden" in what else ""
            connection.execute(f"UPDATE {what} - $1::bigint{where}", (int(seconds * 1_000_000),))
        connection.commit()

    async def passing(seconds: float) -> None:
        clock.now += seconds
        if isinstance(backend, PostgresBackend):
            await backend.write(partial(grow_old, seconds=seconds), "the past")

    return passing


@pytest.fixture
def author(backend: StoreBackend) -> Author:
    return Author(backend)

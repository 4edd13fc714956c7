"""The project's own stores, through the conformance kit."""

from __future__ import annotations

from collections.abc import Callable

from lash_conformance import StoreConformance
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_store_sql.sqlite import open_sqlite

from tests.stores.examples import example


async def open_memory(url: str, create: bool, clock: Callable[[], float]) -> StoreBackend:
    limit = int(url.partition("max_value=")[2] or 0) or None
    return MemoryBackend(clock=clock, max_value=limit, max_nodes_per_commit=3_000)


class TestMemory(StoreConformance):
    levels = ("core", "concurrent", "sharing")
    tenants = True
    store_url = "memory:"
    small_limits_url = "memory:?max_value=1000"
    open_store = staticmethod(open_memory)


class TestSqlite(StoreConformance):
    levels = ("core", "concurrent", "sharing")
    tenants = True
    durability = "host"
    store_url = "sqlite:///{folder}/store.db"
    small_limits_url = "sqlite:///{folder}/store.db?max_value=1000"
    open_store = staticmethod(open_sqlite)


class TestJsonLines(StoreConformance):
    levels = ("core",)
    durability = "host"
    store_url = "jsonl:{folder}/store"
    open_store = staticmethod(example("jsonl_store").open_jsonl)

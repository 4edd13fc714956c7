"""The example of a package with a store over LMDB and a host: both through the kit, and what is theirs besides."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lash_conformance import HostConformance, Place, StoreConformance
from lash_core.plugins import PluginManager
from lash_hookspecs.errors import ConfigurationError, StoreUnavailable

from tests.stores.examples import example

lmdb = pytest.importorskip("lmdb", reason="not run: the package lmdb is not installed")
store = example("lmdb_store")


def folder_of(place: Place) -> str:
    return place.url.partition(":")[2]


class TestLmdb(StoreConformance):
    levels = ("core", "concurrent", "sharing", "retention")
    durability = "host"
    tenants = True
    store_url = "lmdb:{folder}/store"
    impatient_url = "lmdb:{folder}/store?timeout=0.05"
    small_limits_url = "lmdb:{folder}/store?max_value=1000"
    open_store = staticmethod(store.open_lmdb)

    async def damage(self, place: Place) -> None:
        database = store.database.Database(folder_of(place), False, 10.0, lambda step: None)
        with database.writing() as txn:
            txn.put(store.tables.Tables("").life("chat"), b"nonsense")
        database.close()

    @contextmanager
    def blocked(self, place: Place) -> Iterator[None]:
        with (Path(folder_of(place)) / "writer.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@pytest.mark.full
class TestNice(HostConformance):
    """Half a minute of processes; that the host and the store run turns is shown by the commands of the README."""

    build_host = store.NiceHost


async def test_the_store_is_opened_by_its_scheme(tmp_path: Path) -> None:
    offer = PluginManager.for_tests([store]).store("lmdb")
    backend = await offer.open(f"lmdb://{tmp_path}/store?timeout=1", True)
    assert backend.name == f"lmdb:{tmp_path}/store"
    await backend.close()


async def test_two_openings_in_one_process_are_two(tmp_path: Path) -> None:
    one, two = [await store.open_lmdb(f"lmdb:{tmp_path}/store", True) for _ in range(2)]
    await one.close()
    assert (await two.stats()).sessions == 0
    with pytest.raises(StoreUnavailable, match="was closed"):
        await one.stats()
    await two.close()


@pytest.mark.parametrize(
    "query", ["timout=1", "timeout=soon", "timeout=-1", "timeout=inf", "max_value=", "max_value=0"]
)
async def test_a_wrong_option_is_refused_before_anything_is_made(tmp_path: Path, query: str) -> None:
    with pytest.raises(ConfigurationError):
        await store.open_lmdb(f"lmdb:{tmp_path}/store?{query}", True)
    assert not (tmp_path / "store").exists()


async def test_an_opening_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    opening = asyncio.create_task(store.open_lmdb(f"lmdb:{tmp_path}/store", True))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    lmdb.open(f"{tmp_path}/store", create=False).close()  # refused while it is open in this process


def test_the_host_is_made_by_its_name() -> None:
    host = PluginManager.for_tests([store]).host("nice").build()
    assert host.name == "nice"
    assert not host.capabilities.own_process

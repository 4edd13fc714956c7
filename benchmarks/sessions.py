"""Sessions of Lash for benchmarks: opened through the runtime, committed to, filled, and cloned by bulk import."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
from lash_basics import mode_plugin, offline_plugin
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.runtime.resident import Change
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.payloads import Payload
from lash_hookspecs.records.store import Receipt
from lash_store_sql.sqlite import open_sqlite
from workload import Workload

from lash_core import LashRuntime, Residency, RuntimeEnvironment, SessionSpec


def environment(store: StoreBackend, residency: Residency = Residency.KEEP_ALL) -> RuntimeEnvironment:
    """An environment with the standard mode and the offline model."""
    plugins = PluginManager.for_tests((*BUILTINS, mode_plugin, offline_plugin))
    return RuntimeEnvironment(plugins=plugins, store=store, residency=residency, tool_sets=())


def opener(place: str) -> Callable[[], Awaitable[StoreBackend]]:
    """Give what opens the store of a SQLite file or of a PostgreSQL URL; what must be imported is."""
    if "://" not in place:
        return partial(open_sqlite, f"sqlite:///{place}", True)
    from lash_store_sql.postgres.backend import open_postgres

    return partial(open_postgres, place, False)


@asynccontextmanager
async def opened(place: str) -> AsyncIterator[StoreBackend]:
    """Open the store of a SQLite file, with options behind a question mark, or of a PostgreSQL URL."""
    store = await opener(place)()
    try:
        yield store
    finally:
        await store.close()


def node_ids(count: int) -> list[str]:
    """Ids as a turn makes them: its own id, ordered by time, and a number."""
    turn = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"
    return [f"{turn}{number:08x}" for number in range(count)]


@attrs.define
class Writer:
    """An open session that turns are committed to, as the runtime does it."""

    runtime: LashRuntime
    index: int = 0

    @classmethod
    async def of(cls, store: StoreBackend, session_id: str = "bench") -> Writer:
        """Open a session."""
        return cls(await LashRuntime.from_environment(environment(store), SessionSpec(session_id=session_id)))

    def change(self, payloads: list[Payload]) -> Change:
        """What a turn's final commit asks for."""
        self.index += 1
        document = self.runtime.document.evolve(turn_index=self.index)
        return Change(step="final", document=document, payloads=list(zip(node_ids(5), payloads, strict=True)))

    async def commit(self, payloads: list[Payload]) -> Receipt:
        """Commit with all that a turn's commit has: guards, what plugins, tools and mode keep, usage, observers."""
        return await self.runtime.session.commit(self.change(payloads))

    async def store(self, payloads: list[Payload]) -> Receipt:
        """The store path of the runtime alone: encode, commit, take over."""
        return await self.runtime.session.resident.commit(self.change(payloads))


async def fill(place: str, turns: int, session_id: str = "bench", *, prose: bool = False) -> int:
    """Make a session of so many turns; give the bytes of its payloads."""
    size, workload = 0, Workload(prose=prose)
    async with opened(place) as store:
        writer = await Writer.of(store, session_id)
        for turn in range(1, turns + 1):
            payloads = workload.turn(turn)
            size += sum(len(payload.to_bytes()) for payload in payloads)
            await writer.commit(payloads)
        await writer.runtime.close()
    return size


def clone(path: str, count: int, *, heads: bool = False) -> None:
    """Make a store's one session ``count`` sessions, ``bench-0000001`` and so on, by bulk import.

    Each has rows of its own. With ``heads``, each has only what a listing reads, and every tenth one the label
    ``kind=tenth``.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    ((key, segment),) = connection.execute("SELECT key, (SELECT min(segment) FROM segment) FROM session")
    connection.execute("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY)")
    connection.execute(
        "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?) "
        "INSERT INTO numbers SELECT n FROM up",
        (count,),
    )
    low = (1 << 32) - 1
    changed = {
        "session": {
            "key": f"{key} + n", "session_id": "printf('bench-%07d', n)", "graph": f"{key} + n",
            "leaf_pos": f"(({segment} + n) << 32) | (leaf_pos & {low})",
            "tail_pos": f"(({segment} + n) << 32) | (tail_pos & {low})",
            "labels": """CASE WHEN n % 10 THEN '{}' ELSE '{"kind":"tenth"}' END""" if heads else "labels",
        },
        "segment": {"segment": f"{segment} + n", "graph": f"{key} + n", "owner": f"{key} + n"},
        "node": {"pos": f"(({segment} + n) << 32) | (pos & {low})", "graph": f"{key} + n"},
        "record": {"key": f"(({key} + n) << 32) | (key & {low})", "session": f"{key} + n"},
    }  # fmt: skip
    for table, values in list(changed.items())[: 1 if heads else None]:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        chosen = ", ".join(values.get(column, f'"{column}"') for column in columns)
        connection.execute(f"INSERT INTO {table} SELECT {chosen} FROM {table}, numbers")
    if heads:
        connection.execute(
            "INSERT INTO label (tenant, name, value, session_id, session) "
            "SELECT tenant, 'kind', 'tenth', session_id, key FROM session WHERE labels <> '{}'"
        )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

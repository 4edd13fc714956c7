"""A long session costs per turn what a short one costs, and writes no earlier row again."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import median

import attrs
import echo_mode
import pytest
from lash_basics import offline_plugin
from lash_core.app import Session
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores
from lash_store_sql.database import PAGE_SIZE
from lash_store_sql.plugin import stores as sqlite_stores

from lash_core import Agent, Lash

#: Per commit, at the end of a session, against the same at its tenth turn.
ALLOWED = 1.1
SAMPLE = 50
#: A page and its header in the log.
FRAME = PAGE_SIZE + 24


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Session]:
    plugins = PluginManager.for_tests([*BUILTINS, offline_plugin, echo_mode, _Sqlite])
    async with Lash.open(f"sqlite:///{path}", plugins=plugins, agent=Agent(mode="echo")) as lash:
        yield await lash.session("s1")


class _Sqlite:
    """The SQLite store alone of its plugin."""

    @staticmethod
    @implements(lash_offer_stores)
    def stores(context: OfferContext) -> list[StoreOffer]:
        return list(sqlite_stores(context))


@attrs.frozen
class Cost:
    """What a turn cost.

    Attributes:
        rows: New rows in all tables.
        wal: Bytes appended to the write-ahead log.
        read: Bytes asked of the system by ``read`` (rchar), in all threads of the process.
        fetched: Bytes that came from a disk (read_bytes).
    """

    rows: int
    wal: int
    read: int
    fetched: int


class Meter:
    """Counts what a commit costs, from outside the store."""

    def __init__(self, path: Path) -> None:
        self._index = os.open(path.with_name(path.name + "-shm"), os.O_RDONLY)
        self._connection = sqlite3.connect(path, isolation_level=None)
        tables = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self._rows = " + ".join(f"(SELECT count(*) FROM {name})" for (name,) in tables)  # names of our own schema

    def close(self) -> None:
        self._connection.close()
        os.close(self._index)  # not earlier: it drops the locks that this process has on the file

    def rows(self) -> int:
        counted: int = self._connection.execute(f"SELECT {self._rows}").fetchone()[0]
        return counted

    def frames(self) -> int:
        """Valid frames in the log, from the header of the wal-index (SQLite's file format, "walformat")."""
        count: int = struct.unpack_from("=I", os.pread(self._index, 4, 16))[0]
        return count

    async def turn(self, session: Session, number: int) -> Cost:
        """Run a turn of constant size and measure it."""
        rows, frames, before = self.rows(), self.frames(), _io()
        await session.turn(f"turn {number:06}")
        after, appended = _io(), self.frames() - frames
        if appended < 0:  # a checkpoint let the log begin again
            appended = self.frames()
        return Cost(
            rows=self.rows() - rows,
            wal=appended * FRAME,
            read=after["rchar"] - before["rchar"],
            fetched=after["read_bytes"] - before["read_bytes"],
        )


def _io() -> dict[str, int]:
    lines = Path("/proc/self/io").read_text().splitlines()
    return {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}


async def measure(path: Path, turns: int) -> tuple[Cost, Cost]:
    """The medians of `SAMPLE` turns from the tenth on, and of the last ones."""
    async with opened(path) as session:
        await session.turn("turn 000000")
        with closing(Meter(path)) as meter:
            costs = []
            for number in range(1, turns):
                if 10 <= number < 10 + SAMPLE or turns - SAMPLE <= number:
                    costs.append(await meter.turn(session, number))
                else:
                    await session.turn(f"turn {number:06}")
    early, late = costs[:SAMPLE], costs[-SAMPLE:]
    assert len(early) == len(late) == SAMPLE
    first, last = _median(early), _median(late)
    print(f"\n{turns} turns: at turn 10 {first}, at the end {last}")
    return first, last


def _median(costs: list[Cost]) -> Cost:
    names = (field.name for field in attrs.fields(Cost))
    return Cost(**{name: int(median(getattr(cost, name) for cost in costs)) for name in names})


async def check(path: Path, turns: int) -> None:
    early, late = await measure(path, turns)
    assert early.rows > 0
    assert early.wal > 0
    assert early.read > 0
    for name in ("rows", "wal", "read", "fetched"):
        assert getattr(late, name) <= ALLOWED * getattr(early, name), (name, early, late)


async def test_a_turn_of_a_session_of_300_costs_what_its_tenth_turn_did(tmp_path: Path) -> None:
    await check(tmp_path / "x.db", 300)


@pytest.mark.full
async def test_a_turn_of_a_session_of_3000_costs_what_its_tenth_turn_did(tmp_path: Path) -> None:
    await check(tmp_path / "x.db", 3_000)


@pytest.mark.full
async def test_a_turn_in_a_store_of_3000_sessions_costs_what_it_did_in_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    plugins = PluginManager.for_tests([*BUILTINS, offline_plugin, echo_mode, _Sqlite])
    costs = []
    async with Lash.open(f"sqlite:///{path}", plugins=plugins, agent=Agent(mode="echo")) as lash:
        await (await lash.session("first")).turn("turn 000000")
        with closing(Meter(path)) as meter:
            for number in range(3_000):
                async with await lash.session(f"session {number:06}", create=True) as session:
                    costs.append(await meter.turn(session, number) if number % 30 == 10 else None)
                    if costs[-1] is None:
                        await session.turn(f"turn {number:06}")
    measured = [cost for cost in costs if cost is not None]
    for name in ("rows", "wal", "read"):
        early, late = (median(getattr(cost, name) for cost in half) for half in (measured[:10], measured[-10:]))
        assert late <= 2 * ALLOWED * early, name  # an index of text keys gets one level deeper


async def test_no_commit_touches_an_earlier_row_of_a_session_of_300_turns(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    known: dict[str, list[tuple[object, ...]]] = {"node": [], "record": []}
    async with opened(path) as session:
        await session.turn("turn 0")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for number in range(1, 300):
                for table, rows in known.items():
                    now = _rows(connection, table)
                    assert now[: len(rows)] == rows
                    known[table] = now
                await session.turn(f"turn {number}")
    assert len(known["node"]) == 2 * 299
    assert len(known["record"]) == 2 * 299


def _rows(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    """The row id and every column of each row, in the order of the row ids."""
    return connection.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()

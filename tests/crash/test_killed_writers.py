"""Eight writing processes, and a server, that are killed at any moment: what was acknowledged is there (S2)."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import race_worker
from lash_core.app import open_backend
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Head, Writer
from postgres_server import OwnServer, Server, private_server, shared_server
from raw_rows import Rows, postgres_rows, sqlite_rows

WRITERS = 8
DEADLINE = 60.0

Rest = Callable[[], Rows]


class Life:
    """A process that writes to a session until it is killed."""

    def __init__(self, url: str, name: str) -> None:
        self.lines: list[dict[str, Any]] = []
        command = (sys.executable, race_worker.__file__, url, "writes", "0", name)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # the last one may be torn
                self.lines.append(json.loads(line))

    def receipts(self) -> int:
        return sum("done" in line for line in self.lines)

    def until(self, receipts: int) -> Self:
        """Wait until it has so many receipts."""
        deadline = time.monotonic() + DEADLINE
        while self.receipts() < receipts:
            assert self._process.poll() is None, "the writer ended by itself"
            assert time.monotonic() < deadline, f"only {self.receipts()} receipts came"
            time.sleep(0.002)
        return self

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Writers:
    """Eight of them; each that is killed is followed by another."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lives = [Life(url, f"s{number}") for number in range(WRITERS)]
        self.dead: list[Life] = []

    def kill(self, number: int, *, again: bool = True) -> None:
        life = self.lives[number]
        life.kill()
        self.dead.append(life)
        if again:
            self.lives[number] = Life(self.url, f"s{number}")

    def end(self) -> None:
        for number, life in enumerate(self.lives):
            if life not in self.dead:
                self.kill(number, again=False)


@pytest.fixture
def writers() -> Iterator[Callable[[str], Writers]]:
    made: list[Writers] = []

    def begin(url: str) -> Writers:
        made.append(Writers(url))
        return made[-1]

    yield begin
    for each in made:
        each.end()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Rest]:
    """A database: its URL, and what raw SQL finds in it."""
    if request.param == "sqlite":
        path = tmp_path / "crash.db"
        return f"sqlite:///{path}", lambda: sqlite_rows(path)
    return postgres_place(shared_server())


def postgres_place(server: Server) -> tuple[str, Rest]:
    database = server.fresh()
    return server.url_of(database), lambda: postgres_rows(server, database)


def check(dead: list[Life], rows: Rows) -> None:
    """What was acknowledged is there as it was told; what was not is there whole, or not at all."""
    tried = {line["tries"]: line["nodes"] for life in dead for line in life.lines if "tries" in line}
    done = {line["done"]: (line["revision"], line["digest"]) for life in dead for line in life.lines if "done" in line}
    assert len(done) > len(dead), "they wrote"
    assert {commit_id: rows.records.get(commit_id) for commit_id in done} == done
    stored = {commit_id: nodes for commit_id, nodes in tried.items() if commit_id in rows.records}
    assert rows.nodes == {
        node_id: (parent, text.encode()) for nodes in stored.values() for node_id, parent, text in nodes
    }
    assert len(tried) - len(done) <= len(dead), "at most one attempt of each life is without an answer"
    assert sum(rows.revisions.values()) == len(rows.records)


def go_on(url: str) -> None:
    """Let every session take its next commit."""

    async def commit() -> None:
        backend = await open_backend(PluginManager.discover(builtins=BUILTINS), url, False)
        for number in range(WRITERS):
            store = backend.session(f"s{number}")
            head = await store.head()
            assert isinstance(head, Head)
            node = Node(f"last of s{number}", head.leaf, 1, "message", b"{}")
            receipt = await store.commit(
                Commit(
                    session_id=head.session_id,
                    commit_id="next",
                    writer=Writer(head.incarnation, head.epoch),
                    expected_revision=head.revision,
                    leaf=node.node_id,
                    state=b"{}",
                    record=b"{}",
                    committed_at=1,
                    nodes=(node,),
                )
            )
            assert receipt.revision == head.revision + 1
            assert len(await store.path(node.node_id)) == len(await store.graph())
        await backend.close()

    asyncio.run(commit())


@pytest.mark.parametrize("kills", [20, pytest.param(500, marks=pytest.mark.full)])
def test_of_writers_that_are_killed_nothing_acknowledged_is_lost_and_nothing_is_half_there(
    place: tuple[str, Rest], writers: Callable[[str], Writers], kills: int
) -> None:
    url, rows = place
    dice, eight = random.Random(kills), writers(url)
    for kill in range(kills):
        life = eight.lives[kill % WRITERS]
        life.until(1 + dice.randrange(5))
        time.sleep(dice.uniform(0, 0.01))  # any moment of a commit
        eight.kill(kill % WRITERS)
    for life in eight.lives:
        life.until(1)
    eight.end()
    check(eight.dead, rows())
    go_on(url)


@pytest.fixture
def server() -> Iterator[OwnServer]:
    with private_server(fsync="on", synchronous_commit="on") as server:
        yield server


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.full)])
def test_of_a_server_that_is_killed_nothing_acknowledged_is_lost_and_its_writers_go_on(
    server: OwnServer, writers: Callable[[str], Writers], kills: int
) -> None:
    url, rows = postgres_place(server)
    eight = writers(url)
    for _ in range(kills):
        before = [life.receipts() for life in eight.lives]
        for life, known in zip(eight.lives, before, strict=True):
            life.until(known + 2)
        server.stop(signal.SIGKILL)
        server.start()
    for life in eight.lives:
        life.until(life.receipts() + 2)
    eight.end()
    check(eight.dead, rows())
    go_on(url)

"""Two processes that write to one session, with nothing in common but the database (S2, S3, T7)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import race_worker
from lash_core.app import open_backend
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_hookspecs.records.payloads import Message, decode_payload
from lash_hookspecs.records.state import HeadDocument
from lash_hookspecs.records.store import Commit, Head, Writer
from postgres_server import shared_server
from raw_rows import Rows, postgres_rows, sqlite_rows

#: Attempts of each writer: what CI makes together, and what `make race` makes.
SOME, MANY = 250, 10_000


def begin_session(url: str) -> None:
    """Make the session that the two write to."""

    async def begin() -> None:
        backend = await open_backend(PluginManager.discover(builtins=BUILTINS), url, True)
        await backend.session(race_worker.SESSION).commit(
            Commit(
                session_id=race_worker.SESSION,
                commit_id="first",
                writer=Writer("life"),
                expected_revision=None,
                leaf=None,
                state=HeadDocument().to_bytes(),
                record=b"{}",
                committed_at=1,
            )
        )
        await backend.close()

    asyncio.run(begin())


def race(url: str, does: str, attempts: int) -> dict[str, list[dict[str, Any]]]:
    """Let two processes go at once; what each tells, by its name."""
    told: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        workers = {}
        for name in ("ann", "bob"):
            command = (sys.executable, race_worker.__file__, url, does, str(attempts), name)
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            workers[name] = stack.enter_context(worker)
            stack.callback(worker.kill)
        for worker in workers.values():
            assert worker.stdout is not None
            assert json.loads(worker.stdout.readline()) == {"ready": True}
        for worker in workers.values():
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        readers = {name: stack.enter_context(_Reader(worker)) for name, worker in workers.items()}
        for name, reader in readers.items():
            told[name] = reader.lines()
            assert workers[name].wait() == 0
    return told


class _Reader:
    """Reads a worker's lines while the other one's are read too."""

    def __init__(self, worker: subprocess.Popen[str]) -> None:
        self._lines: list[str] = []
        assert worker.stdout is not None
        self._thread = threading.Thread(target=self._lines.extend, args=(worker.stdout,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.join()

    def lines(self) -> list[dict[str, Any]]:
        self._thread.join()
        return [json.loads(line) for line in self._lines]


def check_commits(told: Mapping[str, Sequence[dict[str, Any]]], rows: Rows) -> None:
    """Every receipt's nodes are there and whole, every stale attempt left nothing, nothing is torn."""
    granted = [each for lines in told.values() for each in lines if not each["refused"]]
    refused = [each for lines in told.values() for each in lines if each["refused"]]
    assert all(any(not each["refused"] for each in lines) for lines in told.values()), "both make progress"
    share = len(refused) / (len(granted) + len(refused))
    assert share >= 0.2, f"only {share:.0%} of the attempts met the other one"
    assert sorted(each["revision"] for each in granted) == list(range(2, len(granted) + 2))
    assert rows.revisions == {race_worker.SESSION: len(granted) + 1}
    assert {each["commit_id"]: (each["revision"], each["digest"]) for each in granted} == {
        commit_id: found for commit_id, found in rows.records.items() if commit_id != "first"
    }
    assert all(each["expected"] == each["seen"] < each["actual"] for each in refused)
    assert all(each["revision"] == each["seen"] + 1 for each in granted), "a stale attempt was never granted"
    wanted = {node_id: (parent, text.encode()) for each in granted for node_id, parent, text in each["nodes"]}
    assert rows.nodes == wanted


def check_turns(told: Mapping[str, Sequence[dict[str, Any]]], rows: Rows, ledger: int) -> None:
    """Every answer that was paid for is stored once, on the path or on the branch that was told, and counted once."""
    texts: list[str] = []
    for _, payload in rows.nodes.values():
        message = Message.from_bytes(payload)
        texts += [message.text] if message.role == "assistant" else []
    for name, lines in told.items():
        assert any(each["outcome"] == "finished" for each in lines), "both make progress"
        finished = [each["text"] for each in lines if each["outcome"] == "finished"]
        assert all(texts.count(text) == 1 for text in finished)
        for each in lines:
            if each["outcome"] == "branched":
                _, payload = rows.nodes[each["leaf"]]
                assert Message.from_bytes(payload).text == f"{name} answers {each['last']}"
        paid = lines[-1]["last"]
        assert sorted(text for text in texts if text.startswith(name)) == sorted(
            f"{name} answers {number}" for number in range(1, paid + 1)
        ), "no paid-for answer is lost"
    assert ledger == sum(lines[-1]["last"] for lines in told.values())
    assert sum(each["outcome"] == "branched" for lines in told.values() for each in lines), "none ever met the other"


def ledger_of(url: str) -> int:
    """Give the input tokens of the session's ledger: one for each answer."""

    async def read() -> int:
        backend = await open_backend(PluginManager.discover(builtins=BUILTINS), url, False)
        head = await backend.session(race_worker.SESSION).head()
        assert isinstance(head, Head)
        path = await backend.session(race_worker.SESSION).path(head.leaf) if head.leaf else ()
        assert all(decode_payload(node) is not None for node in path)
        await backend.close()
        return sum(row.usage.input_tokens for row in HeadDocument.from_bytes(head.state).usage)

    return asyncio.run(read())


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], Rows]]:
    """A database: its URL, and what raw SQL finds in it."""
    if request.param == "sqlite":
        path = tmp_path / "race.db"
        return f"sqlite:///{path}", lambda: sqlite_rows(path)
    server = shared_server()
    database = server.fresh()
    return server.url_of(database), lambda: postgres_rows(server, database)


@pytest.mark.parametrize("attempts", [SOME, pytest.param(MANY, marks=pytest.mark.full)])
def test_of_two_writers_each_receipt_is_stored_whole_and_no_stale_attempt_is(
    place: tuple[str, Callable[[], Rows]], attempts: int
) -> None:
    url, rows = place
    begin_session(url)
    check_commits(race(url, "commits", attempts), rows())


@pytest.mark.parametrize("attempts", [SOME // 5, pytest.param(MANY // 10, marks=pytest.mark.full)])
def test_of_two_turns_that_run_at_once_no_answer_that_was_paid_for_is_lost(
    place: tuple[str, Callable[[], Rows]], attempts: int
) -> None:
    url, rows = place
    begin_session(url)
    told = race(url, "turns", attempts)
    check_turns(told, rows(), ledger_of(url))

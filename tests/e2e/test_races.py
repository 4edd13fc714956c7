"""Many at once: on one session, on one file, in one process and in several."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import pytest
from lash_hookspecs.records.payloads import Message
from lash_process import LASH, Folder, Ran

from lash_core import Lash

TURNS = """
import json, sys
from lash_core import SyncLash

with SyncLash.open("sqlite:///x.db") as lash:
    session = lash.session(sys.argv[1])
    sys.stdin.readline()
    results = [session.turn(f"hello {number}") for number in range(int(sys.argv[2]))]
print(json.dumps([[each.outcome, each.turn_index, each.head_revision] for each in results]))
"""


def said(folder: Folder, store: str = "sqlite:///x.db") -> list[dict[str, Any]]:
    """The messages of the session's active path."""
    path = folder.lash("sessions", "show", "s1", "--json", "--store", store).document["path"]
    return [node for node in path if node["kind"] == "message"]


def check_round(texts: list[str], ran: list[Ran]) -> list[str]:
    """Each either finished or was refused; the texts of those that finished."""
    for each in ran:
        assert each.code in (0, 3), each.err
        if each.code == 3:
            assert each.document["error"]["code"] in ("session_busy", "head_revision_conflict")
            assert len([line for line in each.paragraphs if "offline model" not in line]) == 1
            assert "locked" not in each.err
            assert "Traceback" not in each.err
    done = [text for text, each in zip(texts, ran, strict=True) if each.code == 0]
    assert done, "one of them gets through"
    return done


def check_session(folder: Folder, done: list[str]) -> None:
    """What finished is there, once and whole; what was refused left nothing."""
    messages = said(folder)
    assert sorted(each["text"] for each in messages if each["role"] == "user") == sorted(done)
    answers = [each for each in messages if each["role"] == "assistant" and each["text"]]
    assert len(answers) == len(done)
    assert [each["turn_index"] for each in messages if each["role"] == "user"] == list(range(1, len(done) + 1))


def test_of_two_turns_at_once_on_one_session_each_lands_whole_or_is_refused_with_exit_3(folder: Folder) -> None:
    done, refused = [], 0
    with ExitStack() as stack:
        workers = [stack.enter_context(folder.worker()) for _ in range(2)]
        for worker in workers:
            assert worker.run("run", "hello", "--session", "warm", "--store", "sqlite:///x.db").code == 0
        for number in range(20):
            texts = [f"hello {number} {name}" for name in "ab"]
            for worker, text in zip(workers, texts, strict=True):
                worker.begin("run", text, "--session", "s1", "--store", "sqlite:///x.db", "--json")
            ran = [worker.end() for worker in workers]
            refused += sum(each.code == 3 for each in ran)
            done += check_round(texts, ran)
    assert len(done) + refused == 40
    check_session(folder, done)


@pytest.mark.full
def test_of_two_commands_at_once_on_one_session_each_lands_whole_or_is_refused_with_exit_3(folder: Folder) -> None:
    done = []
    for number in range(20):
        texts = [f"hello {number} {name}" for name in "ab"]
        options = ("--session", "s1", "--store", "sqlite:///x.db", "--json")
        processes = [folder.start(*LASH, "run", text, *options) for text in texts]
        done += check_round(texts, [folder.finish(process) for process in processes])
    check_session(folder, done)


def test_two_first_turns_in_an_empty_folder_make_one_store(folder: Folder) -> None:
    processes = [folder.start(*LASH, "run", "hello", "--session", name, "--json") for name in ("s1", "s2", "s3")]
    ran = [folder.finish(process) for process in processes]
    assert [(each.code, each.document["turn_index"]) for each in ran] == [(0, 1)] * 3, ran
    listed = folder.lash("sessions", "list", "--json").document
    assert [row["session_id"] for row in listed] == ["s1", "s2", "s3"]


def test_four_processes_with_25_turns_each_on_sessions_of_their_own_never_see_a_locked_database(folder: Folder) -> None:
    assert folder.lash("run", "hello", "--session", "s0", "--store", "sqlite:///x.db").code == 0
    processes = [
        folder.start(sys.executable, "-c", TURNS, f"session {number}", "25", stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for ran in [folder.finish(process) for process in processes]:
        assert (ran.code, ran.err) == (0, "")
        assert json.loads(ran.out) == [["finished", number, 2 * number] for number in range(1, 26)]
    listed = folder.lash("sessions", "list", "--json", "--store", "sqlite:///x.db").document
    assert [row["turns"] for row in listed] == [1, 25, 25, 25, 25]


async def test_fifty_sessions_at_once_on_one_file_finish_each_with_its_own_answers(folder: Folder) -> None:
    (folder.path / "a.txt").write_text("one\ntwo\n")
    async with Lash.open(f"sqlite:///{folder.path}/x.db", root=folder.path) as lash:

        async def talk(number: int) -> None:
            session = await lash.session(f"session {number}", create=True, labels={"number": str(number)})
            for turn in (1, 2):
                result = await session.turn(f"hello {number} {turn}")
                assert (result.outcome, result.turn_index) == ("finished", turn)

        await asyncio.gather(*(talk(number) for number in range(50)))
        summaries = [each async for each in lash.sessions()]
        assert {(each.status, each.turn_index, each.revision) for each in summaries} == {("idle", 2, 4)}
        assert len(summaries) == 50
        for summary in summaries:
            messages = await (await lash.session(summary.session_id)).messages()
            texts = [each.text for each in messages if isinstance(each, Message) and each.role == "user"]
            assert texts == [f"hello {summary.labels['number']} {turn}" for turn in (1, 2)]


async def test_two_turns_at_once_on_one_open_session_refuse_the_second_and_lose_nothing() -> None:
    async with Lash.open() as lash:
        session = await lash.session("s1")
        turns = [session.stream(f"hello {number}") for number in range(5)]
        ended = await asyncio.gather(*(turn.result() for turn in turns), return_exceptions=True)
        assert [type(each).__name__ for each in ended] == ["TurnResult", *["SessionBusy"] * 4]
        assert str(ended[1]) == "a turn of session 's1' runs in this process already; wait until it ends"
        assert (await session.turn("hello")).turn_index == 2

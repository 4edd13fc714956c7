"""`--trace`: a file of JSON lines beside a command."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def events(path: str) -> list[str]:
    return [line["event"] for line in lines(path)]


def test_a_turn_is_traced_into_a_file_whose_folders_are_made(lash: Lash) -> None:
    ran = lash("run", "Hello", "--session", "s1", "--trace", "logs/today/t.jsonl", *STORE)
    assert (ran.code, ran.out) == (0, "an answer\n")
    assert events("logs/today/t.jsonl") == [
        "session_started",
        "turn_started",
        "commit",
        "prompt_built",
        "model_call_started",
        "model_call_finished",
        "commit",
        "usage",
        "turn_finished",
    ]


def test_the_next_command_appends_to_the_trace(lash: Lash) -> None:
    for _ in range(2):
        lash("run", "Hello", "--session", "s1", "--trace", "t.jsonl", *STORE)
    found = events("t.jsonl")
    assert [each for each in found if each.startswith("session")] == ["session_started", "session_restored"]
    assert found[-1] == "turn_finished"


def test_a_chat_is_traced(lash: Lash) -> None:
    lash("chat", "--session", "s1", "--trace", "t.jsonl", *STORE, stdin="one\ntwo\n")
    assert events("t.jsonl").count("turn_finished") == 2


def test_a_continued_turn_is_traced(lash: Lash, dummies: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    lash("run", "Hello", "--session", "s1", *STORE)
    kept = dummies.STORES["kept:one"].session("s1")
    commit = type(kept).commit
    failed: list[Any] = []

    async def refuse_the_final_one(self: Any, change: Any) -> Any:
        if change.open_turn is None and not failed:
            failed.append(change)
            raise OSError("the disk is gone")
        return await commit(self, change)

    monkeypatch.setattr(type(kept), "commit", refuse_the_final_one)
    lash("run", "Again", "--session", "s1", "--trace", "t.jsonl", *STORE)
    assert events("t.jsonl")[-4:] == ["commit_failed", "turn_interrupted", "commit", "usage"]
    ran = lash("turns", "continue", "s1", "--trace", "t.jsonl", *STORE)
    assert ran.code == 0
    assert events("t.jsonl")[-1] == "turn_finished"


def test_what_was_said_is_traced_on_demand(lash: Lash, dummies: ModuleType) -> None:
    for options in ((), ("--trace-bodies",)):
        dummies.ANSWERS.append("The CANARY answers.")
        lash("run", "Where is the CANARY?", "--session", "s1", "--trace", f"t{len(options)}.jsonl", *options, *STORE)
    assert "CANARY" not in Path("t0.jsonl").read_text()
    [started] = [line for line in lines("t1.jsonl") if line["event"] == "turn_started"]
    assert started["bodies"] == {"input": "Where is the CANARY?"}


def test_the_extended_level_has_the_pieces_of_the_answer(lash: Lash) -> None:
    for level in ("standard", "extended"):
        lash("run", "Hello", "--trace", f"{level}.jsonl", "--trace-level", level, *STORE)
    assert events("standard.jsonl").count("stream_event") == 0
    assert events("extended.jsonl").count("stream_event") == 2


def test_a_file_that_cannot_be_opened_stops_the_command_before_anything_is_stored(
    lash: Lash, dummies: ModuleType
) -> None:
    Path("notes.txt").write_text("mine")
    for command in (("run", "Hello"), ("chat",)):
        ran = lash(*command, "--session", "s1", "--trace", "notes.txt/t.jsonl")
        assert ran.code == 2
        assert ran.err == "lash: the trace file notes.txt/t.jsonl cannot be opened: notes.txt: File exists\n"
        ran = lash(*command, "--session", "s1", "--trace", "notes.txt")
        assert (ran.code, ran.err) == (2, "lash: notes.txt exists and is no trace; name another file\n")
    assert dummies.OPENED == []
    assert [path.name for path in Path().iterdir()] == ["notes.txt"]
    assert Path("notes.txt").read_text() == "mine"


@pytest.mark.parametrize("options", [("--trace-bodies",), ("--trace-level", "extended")])
def test_an_option_of_a_trace_needs_a_trace(lash: Lash, options: tuple[str, ...]) -> None:
    ran = lash("run", "Hello", *options, *STORE)
    assert ran.code == 2
    assert ran.err == f"lash: {options[0]} needs --trace FILE See lash run --help.\n"


def test_a_command_that_fails_leaves_what_it_traced(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.append(RuntimeError("CANARY"))
    ran = lash("run", "Hello", "--trace", "t.jsonl", "--json", *STORE)
    assert ran.code == 1
    assert [line["fields"]["outcome"] for line in lines("t.jsonl") if line["event"] == "turn_finished"] == ["failed"]
    assert "CANARY" not in Path("t.jsonl").read_text()

"""``lash store`` and the commands of ``lash sessions`` that carry and redact, as processes on a real store."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest


@attrs.frozen
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def lash(tmp_path: Path) -> Run:
    """Run the command in a folder of its own."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("LASH_")}
    folder = tmp_path / "work"
    folder.mkdir()

    def run(*arguments: str, stdin: bytes = b"") -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "lash_core.cli", *arguments],
            cwd=folder, env=env, input=stdin, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def told(lash: Run) -> Run:
    """A store with a session of two turns and a fork."""
    assert lash("run", "Remember the word crocodile-umbrella.", "--session", "chat").code == 0
    assert lash("run", "And the word teapot.", "--session", "chat").code == 0
    assert lash("fork", "chat", "fork").code == 0
    return lash


def nodes(lash: Run, session: str = "chat") -> list[Any]:
    return list(lash("sessions", "show", session, "--json").json["path"])


def store_file(tmp_path: Path) -> Path:
    return tmp_path / "work/.lash/sessions.db"


COMMANDS = [("stats",), ("check",), ("vacuum",), ("gc",), ("prune", "--keep-records", "1"), ("backup", "b.db")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_a_store_nothing_is_made_and_the_place_is_named(lash: Run, tmp_path: Path, command: list[str]) -> None:
    said = lash("store", *command)
    assert said.code == 5
    assert said.err == f"lash: there is no store at {store_file(tmp_path)}\n"
    assert list((tmp_path / "work").iterdir()) == []


def test_stats_counts_and_says_what_is_promised(told: Run) -> None:
    counted = told("store", "stats", "--json").json
    assert (counted["sessions"], counted["nodes"], counted["durability"]) == (2, len(nodes(told)), "host")
    assert "retention" in counted["levels"]
    assert told("store", "stats").out.splitlines()[1].startswith("2 sessions · ")


def test_check_says_clean_in_a_line_and_exits_1_on_findings(told: Run, tmp_path: Path) -> None:
    said = told("store", "check")
    assert (said.code, said.out.startswith("clean: 2 sessions, "), said.out.count("\n")) == (0, True, 1)
    with closing(sqlite3.connect(store_file(tmp_path))) as harmed, harmed:
        harmed.execute("UPDATE session SET leaf_pos = leaf_pos - 1 WHERE session_id = 'chat'")
    said = told("store", "check")
    assert said.code == 1
    assert said.out.splitlines()[0].startswith("misplaced_node: session 'chat': the head has another place for leaf ")
    assert said.out.endswith(": 1 finding; --repair mends what can be mended without loss\n")
    found = told("store", "check", "--json")
    assert (found.code, found.json["clean"], found.json["findings"][0]["kind"]) == (1, False, "misplaced_node")
    said = told("store", "check", "--repair")
    assert (said.code, said.out.splitlines()[0].endswith("— mended: the head names its place again")) == (0, True)
    assert told("store", "check").code == 0


def test_what_is_orphaned_is_hidden_vacuumed_and_collected(told: Run) -> None:
    path = nodes(told)
    assert told("branch", "chat", path[1]["node_id"]).code == 0
    said = told("store", "hide", "chat", path[3]["node_id"])
    assert said.code == 2
    assert "is on the active path of session 'fork': branch or delete that session first" in said.err
    assert told("delete", "fork", "--yes").code == 0
    tried = told("store", "hide", "chat", "--orphaned", "--dry-run", "--json").json
    hidden = told("store", "hide", "chat", "--orphaned", "--json").json
    assert {**tried, "dry_run": False} == hidden
    assert hidden["node_ids"] == [each["node_id"] for each in path[2:]]
    assert "left for now: hidden a short time ago" in told("store", "vacuum").out
    removed = told("store", "vacuum", "--grace", "0", "--budget", "60", "--json").json
    assert (removed["nodes"], removed["bytes"], removed["done"]) == (len(path) - 2, hidden["bytes"], True)
    assert told("store", "gc", "--dry-run").out.startswith("would remove 0 blobs (0 bytes)")
    assert told("store", "gc", "--json").json["collected"]["done"] is True
    assert told("store", "check").code == 0


def test_pruned_events_are_told_of(told: Run) -> None:
    said = told("store", "prune", "chat", "--keep-documents", "1", "--json")
    assert said.json["documents"] > 0
    said = told("sessions", "events", "chat")
    assert said.code == 2
    assert "were removed by retention; go on after " in said.err
    assert told("store", "prune", "--keep-entries", "journal=0").code == 2
    assert told("store", "prune").code == 2


def test_a_node_is_redacted_everywhere_or_not_without_yes(told: Run, tmp_path: Path) -> None:
    said = nodes(told)[0]
    refused = told("sessions", "redact", "chat", said["node_id"])
    assert (refused.code, "say --yes" in refused.err) == (2, True)
    tried = told("sessions", "redact", "chat", said["node_id"], "--dry-run", "--json").json
    assert "crocodile-umbrella" in told("sessions", "export", "fork").out
    done = told("sessions", "redact", "chat", said["node_id"], "--yes", "--why", "a test", "--json").json
    assert {**tried, "dry_run": False} == done
    texts = [told("sessions", "show", name).out + told("sessions", "export", name).out for name in ("chat", "fork")]
    assert not any("Remember the word crocodile-umbrella." in text for text in texts)
    assert "[redacted]" in texts[0]
    assert told("run", "Go on.", "--session", "chat").code == 0
    assert told("sessions", "redact", "chat", "none", "--yes").code == 2


def test_deleting_tells_what_stays_and_takes_forks_when_asked(told: Run) -> None:
    assert told("run", "On my own.", "--session", "fork").code == 0
    tried = told("sessions", "delete", "chat", "--dry-run", "--json").json
    assert (tried["deleted"], tried["session_ids"], tried["shared_with"]) == (False, ["chat"], ["fork"])
    said = told("sessions", "delete", "chat", "--dry-run", "--with-forks")
    assert said.out.startswith("would delete session chat\nwould delete session fork\n")
    done = told("sessions", "delete", "chat", "--yes", "--json").json
    assert {**tried, "deleted": True, "dry_run": False} == done
    assert told("sessions", "show", "fork").code == 0
    assert told("delete", "fork", "--with-forks", "--yes").code == 0
    assert told("store", "stats", "--json").json["nodes"] == 0


def test_a_session_goes_through_a_file_and_a_pipe(told: Run, tmp_path: Path) -> None:
    said = told("sessions", "export", "chat", "chat.jsonl")
    assert said.code == 0
    assert said.out.startswith("exported chat to chat.jsonl (")
    archive = (tmp_path / "work/chat.jsonl").read_bytes()
    assert told("sessions", "export", "chat").out.encode() == archive
    assert told("sessions", "export", "chat", "chat.jsonl").err == "lash: chat.jsonl: File exists\n"
    other = ("--store", "sqlite:///other.db")
    assert told("sessions", "import", "chat.jsonl", *other).out.startswith("imported chat\n")
    assert nodes(lambda *arguments: told(*arguments, *other)) == nodes(told)
    again = told("sessions", "import", "-", "--store", "sqlite:///other.db", stdin=archive)
    assert (again.code, "session 'chat' is there already" in again.err) == (2, True)
    third = told("sessions", "import", "-", "--json", "--store", "sqlite:///third.db", stdin=archive)
    assert third.json["sessions"] == ["chat"]
    cut = told("sessions", "import", "-", "--store", "sqlite:///fourth.db", stdin=archive[:-30])
    assert (cut.code, cut.err.startswith("lash: stdin, line ")) == (2, True)
    assert told("store", "stats", "--json", "--store", "sqlite:///fourth.db").json["sessions"] == 0
    assert told("run", "Go on.", "--session", "chat", *other).code == 0


def test_a_store_is_copied_with_its_forks_and_again_only_what_is_missing(told: Run, tmp_path: Path) -> None:
    source, target = f"sqlite:///{store_file(tmp_path)}", "sqlite:///copy.db"
    done = told("store", "copy", source, target, "--json").json
    assert (sorted(done["sessions"]), done["skipped"]) == (["chat", "fork"], [])
    assert told("store", "stats", "--store", target, "--json").json["nodes"] == len(nodes(told))
    assert told("run", "Something new.", "--session", "third").code == 0
    again = told("store", "copy", source, target, "--json").json
    assert (again["sessions"], sorted(again["skipped"])) == (["third"], ["chat", "fork"])
    assert told("store", "check", "--store", target).code == 0
    assert told("store", "copy", source, source).code == 2


def test_a_backup_is_a_store(told: Run) -> None:
    assert told("store", "backup", "b.db").out.startswith("backed up to b.db (")
    assert told("store", "check", "--store", "sqlite:///b.db").code == 0
    assert nodes(lambda *arguments: told(*arguments, "--store", "sqlite:///b.db")) == nodes(told)
    assert told("store", "backup", "b.db").code == 5

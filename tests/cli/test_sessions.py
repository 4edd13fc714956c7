"""Everything that reads or changes sessions besides running turns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


@pytest.mark.parametrize(
    ("arguments", "document"),
    [
        (("sessions", "list"), []),
        (("turns", "list", "--interrupted"), []),
        (("usage",), {"by": "session", "rows": [], "total": {}}),
    ],
)
def test_readers_of_a_missing_default_store_answer_empty_and_make_nothing(
    lash: Lash, arguments: tuple[str, ...], document: object
) -> None:
    plain = lash(*arguments)
    assert (plain.code, plain.out, plain.err) == (0, "", "") or arguments == ("usage",)
    told = json.loads(lash(*arguments, "--json").out)
    if isinstance(told, dict):
        told["total"] = {}
    assert told == document
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions", "show", "nobody"),
        ("sessions", "tree", "nobody"),
        ("sessions", "fork", "nobody", "new"),
        ("branch", "nobody", "node"),
        ("delete", "nobody", "--yes"),
        ("turns", "continue", "nobody"),
        ("turns", "abandon", "nobody"),
    ],
)
def test_an_unknown_session_exits_2(lash: Lash, arguments: tuple[str, ...]) -> None:
    without_a_store = lash(*arguments)
    lash("run", "Hello", "--session", "s1", *STORE)
    with_a_store = lash(*arguments, *STORE)
    for ran in (without_a_store, with_a_store):
        assert ran.code == 2
        assert "session 'nobody'" in ran.err
    assert list(Path.cwd().iterdir()) == []


def test_show_prints_the_whole_active_path(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.extend(["first \x1b[2J answer", "second answer"])
    for text in ("one", "two"):
        lash("run", text, "--session", "s1", *STORE)
    shown = lash("sessions", "show", "s1", *STORE)
    heading, *rest = shown.out.splitlines()
    assert heading == "session s1 · idle · turn 2 · revision 4 · model offline · mode standard"
    assert [line for line in rest if line.startswith("  ")] == [
        "  one",
        "  first \\x1b[2J answer",
        "  two",
        "  second answer",
    ]
    told = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)
    assert [(node["role"], node["text"]) for node in told["path"]] == [
        ("user", "one"),
        ("assistant", "first \x1b[2J answer"),
        ("user", "two"),
        ("assistant", "second answer"),
    ]
    assert told["status"] == "idle"


def test_fork_branch_tree_and_delete(lash: Lash) -> None:
    for text in ("one", "two"):
        lash("run", text, "--session", "s1", *STORE)
    path = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["path"]
    forked = json.loads(lash("sessions", "fork", "s1", "s2", "--at", path[1]["node_id"], "--json", *STORE).out)
    assert (forked["session_id"], forked["forked_from"], forked["leaf"]) == ("s2", "s1", path[1]["node_id"])
    lash("run", "other", "--session", "s2", *STORE)
    branched = json.loads(lash("branch", "s1", path[0]["node_id"], "--json", *STORE).out)
    assert branched["leaf"] == path[0]["node_id"]
    tree = lash("sessions", "tree", "s1", *STORE).out.splitlines()
    assert tree[0] == f"* {path[0]['node_id']}  user: one  ← s1"
    assert tree[1] == f"  {path[1]['node_id']}  assistant: an answer"
    assert [line[2:4] for line in tree[2:]] == ["  "] * 4
    assert tree[5].endswith("assistant: an answer  ← s2")
    refused = lash("delete", "s1", *STORE)
    assert (refused.code, refused.err) == (
        2,
        "lash: deleting cannot be undone: say --yes, or --dry-run to see what it would do See lash delete --help.\n",
    )
    gone, kept = lash("delete", "s1", "--yes", *STORE).out.splitlines()
    assert (gone, kept.endswith("; 2 nodes stay for s2")) == ("deleted session s1", True)
    assert [row["session_id"] for row in json.loads(lash("sessions", "list", "--json", *STORE).out)] == ["s2"]
    assert lash("sessions", "show", "s1", *STORE).err == (
        "lash: session 's1' was deleted; `lash sessions list` shows which there are\n"
    )


def test_an_existing_name_for_a_fork_is_refused(lash: Lash) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    assert lash("fork", "s1", "s1", *STORE).code == 2


def test_usage_is_summed_by_session_model_or_source(lash: Lash) -> None:
    lash("run", "one", "--session", "s1", "--model", "scripted:a", *STORE)
    lash("run", "one", "--session", "s2", "--model", "scripted:b", *STORE)
    lash("run", "one", "--session", "s2", "--model", "scripted:a", *STORE)

    def rows(by: str) -> dict[str, int]:
        told = json.loads(lash("usage", "--by", by, "--json", *STORE).out)
        assert told["total"]["calls"] == 3
        return {row[by]: row["input_tokens"] for row in told["rows"]}

    assert rows("session") == {"s1": 3, "s2": 6}
    assert rows("model") == {"scripted:a": 6, "scripted:b": 3}
    assert rows("source") == {"turn": 9}
    table = lash("usage", *STORE).out.splitlines()
    assert table[0].split() == ["SESSION", "INPUT", "CACHED", "OUTPUT", "REASONING", "COST", "CALLS", "UNKNOWN"]
    assert table[-1].split() == ["total", "9", "0", "6", "0", "3", "0"]


def test_a_session_without_an_interrupted_turn_has_nothing_to_continue(lash: Lash) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    for verb in ("continue", "abandon"):
        ran = lash("turns", verb, "s1", *STORE)
        assert (ran.code, ran.err) == (
            2,
            "lash: session 's1' has no interrupted turn; `lash turns list --interrupted` shows which have\n",
        )


@pytest.mark.parametrize("words", [("fork", "s1", "s2", "--at", "nowhere"), ("branch", "s1", "nowhere")])
def test_a_node_that_is_not_there_is_wrong_usage(lash: Lash, words: tuple[str, ...]) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    ran = lash(*words, *STORE)
    assert (ran.code, ran.err) == (2, "lash: session 's1' has no node 'nowhere'; `lash sessions tree` lists them\n")

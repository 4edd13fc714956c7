"""`lash sessions config`, `compact` and `events`."""

from __future__ import annotations

import json
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from lash_hookspecs.errors import ModelError
from lash_hookspecs.records.state import HeadDocument

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


def talked(lash: Lash, turns: int) -> None:
    for number in range(1, turns + 1):
        lash("run", f"question {number}", "--session", "s1", *STORE)


def config(lash: Lash, *sets: str) -> dict[str, Any]:
    flags = [word for each in sets for word in ("--set", each)]
    ran = lash("sessions", "config", "s1", *flags, "--json", *STORE)
    assert ran.code == 0, ran.err
    told: dict[str, Any] = json.loads(ran.out)
    return told


def texts(lash: Lash) -> list[str]:
    path = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["path"]
    return [node["text"] for node in path]


def test_the_stored_configuration_is_shown_and_nothing_is_written(lash: Lash) -> None:
    talked(lash, 1)
    table = lash("sessions", "config", "s1", *STORE).out.splitlines()
    assert table[0].split() == ["NAME", "VALUE"]
    assert table[1].split() == ["model", "offline"]
    told = config(lash)
    assert told["head_revision"] == 2
    assert told["config"]["context_window"] is None


def test_values_are_json_or_text(lash: Lash) -> None:
    talked(lash, 1)
    told = config(
        lash,
        "model=scripted:a",
        "instructions=Be brief = kind.",
        "context_window=50000",
        'model_settings={"temperature": 0.5}',
        'tool_access={"hidden": ["read_file"]}',
    )
    assert told["changed"] == ["model", "instructions", "model_settings", "context_window", "tool_access"]
    assert told["config"] == {
        "model": "scripted:a",
        "mode": "standard",
        "instructions": "Be brief = kind.",
        "model_settings": {"temperature": 0.5},
        "context_window": 50000,
        "mode_options": {},
        "tool_access": {"allowed": None, "hidden": ["read_file"]},
    }
    assert config(lash, "context_window=null", 'instructions="5"')["config"]["instructions"] == "5"
    assert config(lash)["config"]["context_window"] is None
    assert config(lash, "instructions=5")["changed"] == []
    heading = lash("sessions", "show", "s1", *STORE).out.splitlines()[0]
    assert heading.endswith(" · model scripted:a · mode standard · tools restricted")


def test_what_changed_is_said(lash: Lash) -> None:
    talked(lash, 1)
    ran = lash("sessions", "config", "s1", "--set", "instructions=x", "--set", "context_window=9000", *STORE)
    assert ran.out == "session s1: changed instructions, context_window\n"
    ran = lash("sessions", "config", "s1", "--set", "instructions=x", *STORE)
    assert ran.out == "session s1: nothing changed\n"


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (("instuctions=x",), "has no field 'instuctions'; did you mean 'instructions'? It has: model, mode, "),
        (("instructions",), "Invalid value for --set: 'instructions' must be NAME=VALUE"),
        (("model=a", "model=b"), "Invalid value for --set: 'model' is set twice"),
        (("context_window=many",), "context_window: Input should be a valid integer"),
        (("context_window=0",), "context_window must be at least 1 token, not 0"),
        (("model=",), "model must not be empty"),
        (("model=scriptd:a",), "no model provider is named 'scriptd'; did you mean 'scripted'?"),
        (('tool_access={"hiden": []}',), "tool_access has no field 'hiden'; did you mean 'hidden'?"),
        (("mode=other",), "session 's1' runs in mode 'standard'; a session keeps its mode"),
    ],
)
def test_what_cannot_be_set_is_wrong_usage_and_changes_nothing(lash: Lash, sets: tuple[str, ...], told: str) -> None:
    talked(lash, 1)
    before = config(lash)
    ran = lash("sessions", "config", "s1", *[word for each in sets for word in ("--set", each)], *STORE)
    assert ran.code == 2
    assert told in ran.err
    assert config(lash) == before


def test_settings_that_look_like_secrets_are_not_shown(lash: Lash) -> None:
    talked(lash, 1)
    kept = 'model_settings={"max_tokens": 5, "extra_headers": {"Authorization": "Bearer s3cret"}, "api_key": "s3cret"}'
    shown = [lash("sessions", "config", "s1", "--set", kept, "--json", *STORE)]
    shown += [lash("sessions", "config", "s1", *flags, *STORE) for flags in ((), ("--json",))]
    assert not [ran for ran in shown if "s3cret" in ran.out + ran.err]
    assert config(lash)["config"]["model_settings"] == {
        "max_tokens": 5,
        "extra_headers": {"Authorization": "***"},
        "api_key": "***",
    }


def test_older_turns_are_folded_and_the_way_back_is_told(lash: Lash) -> None:
    talked(lash, 6)
    before = texts(lash)
    first, second = lash("sessions", "compact", "s1", *STORE).out.splitlines()
    assert first == (
        "folded 4 messages of 2 turns of session s1 into a summary; 8 messages of 4 turns stayed as they were"
    )
    summary, *rest = texts(lash)
    assert summary.startswith("Summary of the conversation before this point (2 turns; an extract):\n")
    assert rest == before[4:]
    assert second.startswith("go back with: lash branch s1 ")
    assert lash(*second.partition("lash ")[2].split(), *STORE).code == 0
    assert texts(lash) == before


def test_a_second_time_there_is_nothing_to_compact(lash: Lash) -> None:
    talked(lash, 6)
    told = json.loads(lash("sessions", "compact", "s1", "--keep", "2", "--json", *STORE).out)
    assert (told["changed"], told["folded_messages"], told["folded_turns"]) == (True, 8, 4)
    assert (told["kept_messages"], told["kept_turns"]) == (4, 2)
    again = lash("sessions", "compact", "s1", "--keep", "2", *STORE)
    assert (again.code, again.out) == (0, "nothing to compact: session s1 has 2 turns on its path\n")
    document = json.loads(lash("sessions", "compact", "s1", "--keep", "2", "--json", *STORE).out)
    assert (document["changed"], document["previous_leaf"]) == (False, None)
    assert document["head_revision"] == told["head_revision"]
    further = json.loads(lash("sessions", "compact", "s1", "--keep", "1", "--json", *STORE).out)
    assert (further["folded_messages"], further["folded_turns"], further["kept_messages"]) == (3, 1, 2)


def test_a_real_model_writes_the_summary_and_its_usage_counts(lash: Lash, dummies: ModuleType) -> None:
    talked(lash, 6)
    config(lash, "model=scripted:a")
    dummies.ANSWERS.append("They asked twice.")
    lash("sessions", "compact", "s1", "--instructions", "Mind the numbers.", *STORE)
    assert texts(lash)[0].splitlines()[1:] == ["They asked twice."]
    rows = json.loads(lash("usage", "--by", "source", "--json", *STORE).out)["rows"]
    assert {row["source"]: row["calls"] for row in rows} == {"turn": 6, "compaction": 1}


def test_a_model_that_fails_costs_an_extract_and_no_failure(lash: Lash, dummies: ModuleType) -> None:
    talked(lash, 6)
    config(lash, "model=scripted:a")
    dummies.ANSWERS.append(ModelError("no key, no answer", kind="auth"))
    ran = lash("sessions", "compact", "s1", *STORE)
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == (
        "lash: compaction: scripted:a could not be asked for a summary, so an extract is kept: no key, no answer"
    )
    assert "an extract" in texts(lash)[0]


def lose_the_model(dummies: ModuleType, model: str) -> None:
    """Let session s1 have a model that cannot be used here."""
    living = dummies.STORES["kept:one"].living["s1"]
    document = HeadDocument.from_bytes(living.head.state)
    lost = document.evolve(config=document.config.evolve(model=model))
    living.head = attrs.evolve(living.head, state=lost.to_bytes())


@pytest.mark.parametrize("model", ["scripted:unknown", "gone:a"])
def test_a_session_whose_model_cannot_be_used_here_gets_another_one(
    lash: Lash, dummies: ModuleType, model: str
) -> None:
    talked(lash, 1)
    lose_the_model(dummies, model)
    assert lash("run", "more", "--session", "s1", *STORE).code == 2
    assert config(lash, "model=scripted:a")["changed"] == ["model"]
    assert lash("run", "more", "--session", "s1", *STORE).code == 0


def test_a_session_whose_model_cannot_be_used_here_is_compacted_all_the_same(lash: Lash, dummies: ModuleType) -> None:
    talked(lash, 6)
    lose_the_model(dummies, "scripted:unknown")
    ran = lash("sessions", "compact", "s1", *STORE)
    assert ran.code == 0
    assert ran.err.endswith("an extract is kept: provider 'scripted' has no model 'unknown'\n")


def test_a_smaller_window_compacts_as_well(lash: Lash) -> None:
    talked(lash, 6)
    config(lash, "context_window=20000")
    assert len(texts(lash)) == 12
    ran = lash("sessions", "config", "s1", "--set", "context_window=200", *STORE)
    changed, back = ran.out.splitlines()
    assert changed == "session s1: changed context_window"
    assert back.startswith("its history was shortened to fit; go back with: lash branch s1 ")
    assert texts(lash)[0].startswith("Summary of the conversation")


def test_without_a_plugin_that_compacts_it_is_said(lash: Lash, tmp_path: Any) -> None:
    talked(lash, 6)
    entries = tmp_path / "site/lash_basics-1.0.dist-info/entry_points.txt"
    entries.write_text("[lash.plugins]\nstandard-mode = lash_basics.mode_plugin\n")
    ran = lash("sessions", "compact", "s1", *STORE)
    assert ran.code == 2
    gone, cure = ran.err.splitlines()
    assert gone.endswith("with plugin lash-basics/compaction, which takes no part now: it is not installed")
    assert cure.startswith("lash: no installed plugin rewrites histories; one comes with: pip install ")


@pytest.mark.parametrize("verb", ["config", "compact", "events"])
def test_a_session_that_is_not_there_is_wrong_usage(lash: Lash, verb: str) -> None:
    assert lash("sessions", verb, "nobody").code == 2
    talked(lash, 1)
    ran = lash("sessions", verb, "nobody", *STORE)
    assert ran.code == 2
    assert "session 'nobody' does not exist" in ran.err


def test_events_have_a_line_and_a_cursor_each_and_go_on_behind_one(lash: Lash) -> None:
    talked(lash, 2)
    lines = lash("sessions", "events", "s1", *STORE).out.splitlines()
    cursors = [line.split("  ")[0] for line in lines]
    assert [line.split("  ")[2] for line in lines] == ["turn_started", "usage_reported", "turn_ended"] * 2
    assert lash("sessions", "events", "s1", "--after", cursors[3], *STORE).out.splitlines() == lines[4:]
    told = [json.loads(line) for line in lash("sessions", "events", "s1", "--json", *STORE).out.splitlines()]
    assert [each["cursor"] for each in told] == cursors
    assert told[-1]["event"]["type"] == "turn_ended"
    assert told[-1]["event"]["text"] == "an answer"
    assert lash("sessions", "events", "s1", "--after", cursors[-1], *STORE).out == ""


@pytest.mark.parametrize("cursor", ["here", "9" * 30 + ":1", "1:" + "9" * 5_000], ids=["word", "long", "longer"])
def test_a_cursor_that_is_none_is_wrong_usage(lash: Lash, cursor: str) -> None:
    talked(lash, 1)
    ran = lash("sessions", "events", "s1", "--after", cursor, *STORE)
    shown = cursor if len(cursor) <= 60 else f"{cursor[:60]}…"
    assert (ran.code, ran.err) == (
        2,
        f"lash: {shown!r} is no event cursor: it must be REVISION:POSITION, such as 12:3\n",
    )

"""Kills that hit, by force, each phase of a turn; another process completes it (T5, T6, T8, L14, S2, S5).

Each test is one kill: five per phase, and 25 with the marker ``full``.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crash.conftest import Scene

TASK = """call pay {"item": "a"}
call pay {"item": "b"}
call look {"item": "c"}
then
call ship {"item": "d"}
call book {"item": "e"}
call ship {"item": "f"}
then
"""
ITEMS = {"a", "b", "c", "d", "e", "f"}

#: Statements of a final commit, as SQLite begins them.
FINAL = ["BEGIN IMMEDIATE", "SELECT", "INSERT INTO record", "INSERT INTO node", "UPDATE session SET", "COMMIT"]

KILLS = [pytest.param(number, marks=[pytest.mark.full] if number >= 5 else []) for number in range(25)]
each_kill = pytest.mark.parametrize("kill", KILLS)


def complete(scene: Scene, *, interrupted: bool, stored: bool = True) -> dict[str, str]:
    """Another process sees the interruption at once, completes the turn and takes the next one; how calls ended."""
    steps: list[tuple[str, ...]] = [("see",)]
    if interrupted:
        steps.append(("continue",))
    elif not stored:
        steps.append(("turn", TASK))
    other = scene.work(*steps, ("turn", "And what did you do?"), ("see",), name="the other one")
    seen, *_, after = [line for line in other.lines if line.get("done") == "see"]
    assert (seen["interrupted"], seen["stored"], seen["running"]) == (interrupted, stored, False)
    assert seen["all"] == (["s1"] if interrupted else [])
    assert (after["interrupted"], after["all"]) == (False, [])
    outcomes = [line["outcome"] for line in other.lines if "outcome" in line]
    assert outcomes == ["finished"] * len(outcomes)
    results = scene.database.results("s1")
    assert results.keys() == ITEMS
    return {item: result.get("status", "ok") for item, result in results.items()}


@each_kill
def test_before_the_first_commit(scene: Scene, kill: int) -> None:
    turns = [("turn", "Hello")] * (kill % 2)
    dead = scene.kill_at(
        "commit", *turns, ("turn", TASK), stop={"at": "commit", "step": "input", "nth": 1 + len(turns)}
    )
    assert sum("receipt" in line for line in dead.lines) == 2 * len(turns)
    assert scene.database.state("s1") is None or turns
    if turns:
        other = scene.work(("see",), ("turn", TASK), ("turn", "And what did you do?"))
        assert other.lines[1]["interrupted"] is False
    else:
        complete(scene, interrupted=False, stored=False)
    assert scene.judge() == 0


@each_kill
def test_in_the_models_stream(scene: Scene, kill: int) -> None:
    # Answers 0 and 1 are three calls of three chunks, answer 2 is text of twenty.
    answer = kill % 3
    dead = scene.kill_in_stream(answer, 1 + kill % (14 if answer == 2 else 8), ("turn", TASK))
    assert not any(line.get("done") == "turn" for line in dead.lines)
    assert sum(line.get("journaled") == "model_replied" for line in dead.lines) == min(answer, 2)
    assert set(complete(scene, interrupted=True).values()) == {"ok"}
    assert scene.judge() == 1


@each_kill
def test_in_a_tool(scene: Scene, kill: int) -> None:
    item = "abcdef"[kill % 6]
    scene.kill_at("tool", ("turn", TASK), stop={"at": "tool", "item": item})
    begun = scene.ledger.read_text().splitlines()
    assert [line for line in begun if line.endswith(item)] == [line for line in begun if line.endswith(item)][:1]
    statuses = complete(scene, interrupted=True)
    unknown = {name for name, status in statuses.items() if status != "ok"}
    assert unknown >= ({item} - {"c", "e"})
    assert all(statuses[name] == "outcome_unknown" for name in unknown)
    again = scene.ledger.read_text().splitlines()
    assert sum(line.startswith("begin") and line.endswith(item) for line in again) == (2 if item in "ce" else 1)
    assert scene.judge() == 0


@each_kill
def test_between_two_results(scene: Scene, kill: int) -> None:
    stands, finished = [("b", "a"), ("a", "b"), ("c", "a"), ("d", "e"), ("f", "d")][kill % 5]
    # The last of each step's calls has no journal entry of its own: it is in the commit.
    dead = scene.kill_at("between", ("turn", TASK), stop={"at": "between", "item": stands, "after": finished})
    assert any((line.get("journaled"), line.get("item")) == ("tool_replied", finished) for line in dead.lines)
    statuses = complete(scene, interrupted=True)
    assert statuses[stands] == ("ok" if stands == "c" else "outcome_unknown")
    assert statuses[finished] == "ok"
    ledger = scene.ledger.read_text().splitlines()
    kind = "ship" if finished in "df" else "book" if finished == "e" else "pay"
    assert ledger.count(f"begin {kind} {finished}") == 1
    assert scene.judge() == 0


@each_kill
def test_between_the_statements_of_the_final_commit(scene: Scene, kill: int) -> None:
    number = (5, 4, 3, 2, 1, 0)[kill % 6]
    dead = scene.kill_at("statement", ("turn", TASK), stop={"at": "statement", "number": number})
    [mark] = [line for line in dead.lines if "at" in line]
    assert mark["before"].startswith(FINAL[number])
    assert set(complete(scene, interrupted=True).values()) == {"ok"}
    assert scene.judge() == 1


def test_the_final_commit_has_no_other_statements(scene: Scene) -> None:
    worker = scene.work(("turn", TASK), stop={"at": "statements"})
    statements = [line["statement"] for line in worker.lines if "statement" in line]
    assert len(statements) == len(FINAL)
    assert all(found.startswith(wanted) for found, wanted in zip(statements, FINAL, strict=True))


@each_kill
def test_while_the_final_commit_is_written(scene: Scene, kill: int) -> None:
    """The kernel kills the process in the middle of a write: of a frame's header, its page, or between frames."""
    written = (0, 12, 24, 4000, 8216, 8228, 8240, 12000, 16432)[kill % 9]
    torn = scene.bear(("turn", TASK), stop={"at": "torn", "bytes": written})
    assert torn.end() == -signal.SIGXFSZ
    [mark] = [line for line in torn.lines if "at" in line]
    assert scene.db.with_name(scene.db.name + "-wal").stat().st_size == mark["wal"] + written
    scene.crashes += 1
    assert set(complete(scene, interrupted=True).values()) == {"ok"}
    assert scene.judge() == 1


@each_kill
def test_while_the_final_commit_runs(scene: Scene, kill: int) -> None:
    """The kill races the commit: all of it is there, or none."""
    racing = scene.bear(("turn", TASK), stop={"at": "in commit"})
    racing.told(at="in commit")
    racing.kill()
    scene.crashes += 1
    done = any(record["step"] == "final" for record in scene.database.records("s1"))
    assert set(complete(scene, interrupted=not done).values()) == {"ok"}
    assert scene.judge() == (0 if done else 1)


@each_kill
def test_after_the_final_commit(scene: Scene, kill: int) -> None:
    stop = {"at": "committed", "step": "final"} if kill % 2 else {"at": "release"}
    dead = scene.kill_at(str(stop["at"]), ("turn", TASK), stop=stop)
    assert any(line.get("step") == "final" for line in dead.lines)
    [(holder,)] = scene.database.rows("SELECT holder FROM lease")
    assert holder is not None
    assert set(complete(scene, interrupted=False).values()) == {"ok"}
    assert scene.judge() == 0

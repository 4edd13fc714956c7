"""What another process may do with a session whose worker is dead, frozen, or alive (S5, T6, L14)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash_lives import until

if TYPE_CHECKING:
    from crash_lives import Life

    from tests.crash.conftest import Scene

TASK = """call pay {"item": "a"}
call pay {"item": "b"}
call look {"item": "c"}
then
call ship {"item": "d"}
call book {"item": "e"}
then
"""

#: Calls of the first and of the second step that stand still, and what the others have become when they do.
STANDING = ["a", "b", "c", "d", "e"]


def command(scene: Scene, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the ``lash`` command."""
    return subprocess.run(
        [sys.executable, "-m", "lash_core.cli", *arguments, "--store", f"sqlite:///{scene.db}"],
        env={**os.environ, **scene.environment},
        cwd=scene.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def abandon_and_go_on(scene: Scene) -> dict[str, str]:
    """Another process abandons the turn and takes the next one; how calls ended."""
    other = scene.work(("see",), ("abandon",), ("see",), ("turn", "And what did you do?"))
    assert [line["interrupted"] for line in other.lines if line.get("done") == "see"] == [True, False]
    [abandoned] = [line for line in other.lines if line.get("done") == "abandon"]
    assert (abandoned["outcome"], abandoned["reason"]) == ("stopped", "abandoned")
    results = scene.database.results("s1")
    return {item: result.get("status", "ok") for item, result in results.items()}


@pytest.mark.parametrize("answer", [0, 1, 2])
def test_abandoned_in_the_models_stream(scene: Scene, answer: int) -> None:
    scene.kill_in_stream(answer, 4, ("turn", TASK))
    assert abandon_and_go_on(scene) == dict.fromkeys("abcde"[: (0, 3, 5)[answer]], "ok")
    assert scene.judge() == 1


@pytest.mark.parametrize("item", STANDING)
def test_abandoned_in_a_tool(scene: Scene, item: str) -> None:
    scene.kill_at("tool", ("turn", TASK), stop={"at": "tool", "item": item})
    statuses = abandon_and_go_on(scene)
    assert statuses[item] == ("interrupted" if item == "c" else "outcome_unknown")
    assert scene.ledger.read_text().count(f" {item}\n") == 1
    assert scene.judge() == 0


@pytest.mark.parametrize(("stands", "finished"), [("b", "a"), ("a", "b"), ("c", "a"), ("d", "e")])
def test_abandoned_between_two_results(scene: Scene, stands: str, finished: str) -> None:
    scene.kill_at("between", ("turn", TASK), stop={"at": "between", "item": stands, "after": finished})
    statuses = abandon_and_go_on(scene)
    assert statuses[finished] == "ok"
    assert statuses[stands] == ("interrupted" if stands == "c" else "outcome_unknown")
    assert scene.judge() == 0


def test_a_crash_while_the_turn_is_continued(scene: Scene) -> None:
    """Four processes die on one turn, each elsewhere; the fifth finishes it."""
    scene.kill_at("tool", ("turn", TASK), stop={"at": "tool", "item": "b"})
    scene.kill_at("commit", ("continue",), stop={"at": "commit", "step": "boundary"})
    scene.kill_in_stream(1, 2, ("continue",))
    scene.kill_at("tool", ("continue",), stop={"at": "tool", "item": "d"})
    scene.kill_at("statement", ("continue",), stop={"at": "statement", "number": 5})
    scene.work(("see",), ("continue",), ("turn", "And what did you do?"))
    statuses = {item: result.get("status", "ok") for item, result in scene.database.results("s1").items()}
    assert (statuses["b"], statuses["d"], statuses["e"]) == ("outcome_unknown", "outcome_unknown", "ok")
    assert scene.judge() == 2


def test_the_turn_of_a_dead_process_that_nobody_has_reaped(scene: Scene) -> None:
    life = scene.bear(("turn", TASK), stop={"at": "tool", "item": "a"})
    life.told(at="tool")
    life.kill(reap=False)
    scene.crashes += 1
    other = scene.work(("see",), ("continue",), ("turn", "And what did you do?"))
    assert other.lines[1]["interrupted"]
    assert life.wait() == -signal.SIGKILL
    assert scene.judge() == 0


def test_lash_turns_continue(scene: Scene) -> None:
    scene.kill_in_stream(0, 3, ("turn", "Tell me something long"))
    listed = command(scene, "turns", "list", "--interrupted", "--json")
    assert [row["session_id"] for row in json.loads(listed.stdout)] == ["s1"]
    continued = command(scene, "turns", "continue", "s1", "--json")
    assert (continued.returncode, continued.stderr) == (0, "lash: continuing turn 1\n")
    assert json.loads(continued.stdout)["outcome"] == "finished"
    scene.work(("turn", "And then?"))
    assert scene.database.state("s1")["usage"][0]["unknown_calls"] == 1  # type: ignore[index]
    assert [each.status for each in scene.server.requests] == [200] * 3


def test_lash_run_abandons_an_interrupted_turn(scene: Scene) -> None:
    scene.kill_at("between", ("turn", TASK), stop={"at": "between", "item": "b", "after": "a"})
    ran = command(scene, "run", "What now?", "--session", "s1", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (json.loads(ran.stdout)["outcome"], json.loads(ran.stdout)["turn_index"]) == ("finished", 2)
    results = {item: result.get("status", "ok") for item, result in scene.database.results("s1").items()}
    assert (results["a"], results["b"]) == ("ok", "outcome_unknown")
    assert "abandon" in [record["step"] for record in scene.database.records("s1")]
    scene.work(("turn", "And what did you do?"))
    assert scene.ledger.read_text().count(" b\n") == 1
    assert [each.status for each in scene.server.requests] == [200] * len(scene.server.requests)


@pytest.mark.parametrize("arguments", [("run", "Me too", "--session", "s1"), ("turns", "continue", "s1")])
def test_lash_on_a_running_session_exits_3_names_the_holder_and_writes_nothing(
    scene: Scene, arguments: tuple[str, ...]
) -> None:
    living = scene.bear(
        ("turn", TASK), name="the night shift", stop={"at": "tool", "item": "a", "gate": str(scene.gate)}
    )
    living.told(journaled="tool_replied", item="b")
    living.told(journaled="tool_replied", item="c")
    before, wal = scene.database.everything(), scene.db.with_name(scene.db.name + "-wal").read_bytes()
    refused = command(scene, *arguments)
    assert refused.returncode == 3
    assert "the night shift" in refused.stderr
    assert str(living.pid) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (scene.database.everything(), scene.db.with_name(scene.db.name + "-wal").read_bytes()) == (before, wal)
    scene.gate.touch()
    assert living.end() == 0
    scene.work(("turn", "And what did you do?"))
    assert scene.judge() == 0


def test_another_process_waits_for_the_session(scene: Scene) -> None:
    dying = scene.bear(("turn", TASK), name="the dying one", stop={"at": "tool", "item": "a"})
    dying.told(at="tool")
    waiting = scene.bear(("wait", "And what did you do?"))
    waiting.told(busy="the dying one")
    dying.kill()
    scene.crashes += 1
    assert waiting.end() == 0
    assert scene.database.results("s1")["a"]["status"] == "outcome_unknown"
    assert scene.judge() == 0


def test_another_process_waits_for_the_database(scene: Scene) -> None:
    """A worker dies inside its transaction while one of another session waits to write."""
    dying = scene.bear(("turn", TASK), stop={"at": "statement", "number": 4})
    dying.told(at="statement")
    waiting = scene.bear(("turn", "Hello"), session="s2")
    assert not any("receipt" in line for line in waiting.lines)
    dying.kill()
    scene.crashes += 1
    assert waiting.end() == 0
    scene.work(("continue",), ("turn", "And what did you do?"))
    assert scene.database.records("s2")[-1]["step"] == "final"
    assert [each.status for each in scene.server.requests] == [200] * len(scene.server.requests)


def freeze(scene: Scene, stop: dict[str, str], ttl: float) -> Life:
    """Stop a worker in the middle of its turn, as a debugger or a suspended host does."""
    frozen = scene.bear(
        ("turn", TASK), ttl=ttl, stop={**stop, "frozen": "yes", "gate": str(scene.gate)}, name="the zombie"
    )
    frozen.told(at=stop["at"])
    stat = Path(f"/proc/{frozen.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the stop")
    return frozen


@pytest.mark.parametrize("way", ["expire", "seize"])
@pytest.mark.parametrize(
    "stop", [{"at": "tool", "item": "a"}, {"at": "commit", "step": "boundary"}, {"at": "commit", "step": "final"}]
)
def test_a_zombie_is_refused_and_writes_nothing(scene: Scene, stop: dict[str, str], way: str) -> None:
    frozen = freeze(scene, stop, 1.0 if way == "expire" else 3600.0)
    scene.crashes += 1
    scene.work((way,), ("continue",), ("turn", "And what did you do?"), name="the heir")
    before = scene.database.everything()
    requests = len(scene.server.requests)
    scene.gate.touch()
    frozen.signal(signal.SIGCONT)
    assert frozen.end() == 1
    assert frozen.lines[-1]["error"] == "WriterFenced"
    assert scene.database.everything() == before
    assert len(scene.server.requests) == requests
    scene.judge()


def test_a_zombie_is_told_who_took_over(scene: Scene) -> None:
    frozen = freeze(scene, {"at": "commit", "step": "final"}, 3600.0)
    heirs_gate = scene.folder / "the heir's gate"
    heir = scene.bear(
        ("seize",), ("continue",), name="the heir", stop={"at": "commit", "step": "final", "gate": str(heirs_gate)}
    )
    heir.told(at="commit")
    before = scene.database.everything()
    scene.gate.touch()
    frozen.signal(signal.SIGCONT)
    assert frozen.end() == 1
    assert frozen.lines[-1]["error"] == "WriterFenced"
    assert "the heir" in frozen.lines[-1]["message"]
    assert scene.database.everything() == before
    heirs_gate.touch()
    assert heir.end() == 0

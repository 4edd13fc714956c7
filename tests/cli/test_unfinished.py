"""Sessions whose turn is running or interrupted, as every command sees them (L14)."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from lash_core.app import Lash as App
from lash_core.app import Turn
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


@contextmanager
def a_running_turn(dummies: ModuleType) -> Iterator[tuple[asyncio.Runner, Turn]]:
    """A turn of session s1 that waits for its model; the loop stands still while the block runs."""
    with asyncio.Runner() as runner:
        asked = asyncio.Event()

        async def endless(request: Any) -> AsyncIterator[Any]:
            asked.set()
            await asyncio.Event().wait()
            yield

        async def begin() -> Turn:
            dummies.ANSWERS.append(endless)
            plugins = PluginManager.discover(builtins=BUILTINS)
            lash: App = await App.open("kept:one", plugins=plugins, name="the other one")
            turn = (await lash.session("s1")).stream("a long question")
            await asked.wait()
            return turn

        turn = runner.run(begin())
        yield runner, turn
        runner.run(leave(turn))


async def leave(turn: Turn) -> None:
    """End the process that runs the turn, as far as the store can see."""
    turn._task.cancel()
    await asyncio.wait([turn._task])


@pytest.fixture
def interrupted(dummies: ModuleType) -> None:
    """Session s1 has an interrupted turn."""
    with a_running_turn(dummies):
        pass


def test_a_running_session_is_shown_as_such_and_names_its_holder(lash: Lash, dummies: ModuleType) -> None:
    with a_running_turn(dummies):
        shown = lash("sessions", "show", "s1", *STORE)
        listed = json.loads(lash("turns", "list", "--json", *STORE).out)
        none = json.loads(lash("turns", "list", "--interrupted", "--json", *STORE).out)
    assert shown.out.splitlines()[0].startswith("session s1 · running (the other one (pid ")
    assert "  a long question" in shown.out.splitlines()
    assert [(row["session_id"], row["turn_index"], row["status"]) for row in listed] == [("s1", 1, "running")]
    assert none == []


@pytest.mark.parametrize(
    "arguments",
    [("run", "Hello", "--session", "s1"), ("turns", "continue", "s1"), ("turns", "abandon", "s1")],
)
def test_a_running_session_is_busy_and_nothing_is_written(
    lash: Lash, dummies: ModuleType, arguments: tuple[str, ...]
) -> None:
    with a_running_turn(dummies):
        before = lash("sessions", "show", "s1", "--json", *STORE).out
        ran = lash(*arguments, "--json", *STORE)
        after = lash("sessions", "show", "s1", "--json", *STORE).out
    assert ran.code == 3
    assert "the other one (pid " in ran.err
    assert json.loads(ran.out)["error"]["code"] == "session_busy"
    assert before == after


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_session_is_shown_as_such(lash: Lash) -> None:
    shown = lash("sessions", "show", "s1", *STORE)
    assert shown.code == 0
    assert shown.out.splitlines()[0] == (
        "session s1 · interrupted · turn 1 · revision 1 · model offline · mode standard"
        " · `lash turns continue` or `abandon` ends turn 1"
    )
    assert "  a long question" in shown.out.splitlines()
    assert json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["status"] == "interrupted"
    (row,) = json.loads(lash("turns", "list", "--interrupted", "--json", *STORE).out)
    assert (row["session_id"], row["status"], row["holder"]) == ("s1", "interrupted", None)


@pytest.mark.usefixtures("interrupted")
def test_continue_finishes_the_turn(lash: Lash) -> None:
    ran = lash("turns", "continue", "s1", "--json", *STORE)
    assert ran.code == 0
    told = json.loads(ran.out)
    assert (told["turn_index"], told["outcome"], told["text"]) == (1, "finished", "an answer")
    assert "lash: continuing turn 1" in ran.err


@pytest.mark.usefixtures("interrupted")
def test_abandon_ends_the_turn_as_stopped_and_exits_0(lash: Lash) -> None:
    ran = lash("turns", "abandon", "s1", "--json", *STORE)
    assert ran.code == 0
    assert json.loads(ran.out)["outcome"] == "stopped"
    assert lash("turns", "list", "--interrupted", *STORE).out == ""


@pytest.mark.usefixtures("interrupted")
def test_run_abandons_an_interrupted_turn_unless_told_to_resume(lash: Lash) -> None:
    ran = json.loads(lash("run", "Next", "--session", "s1", "--json", *STORE).out)
    assert (ran["turn_index"], ran["outcome"]) == (2, "finished")
    told = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["path"]
    assert [node["text"] for node in told] == ["a long question", "Next", "an answer"]


@pytest.mark.usefixtures("interrupted")
def test_run_resume_finishes_the_interrupted_turn_first(lash: Lash) -> None:
    ran = json.loads(lash("run", "Next", "--session", "s1", "--resume", "--json", *STORE).out)
    assert (ran["turn_index"], ran["outcome"]) == (2, "finished")
    told = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["path"]
    assert [node["text"] for node in told] == ["a long question", "an answer", "Next", "an answer"]


@pytest.mark.usefixtures("interrupted")
def test_branch_of_an_interrupted_session_is_refused(lash: Lash) -> None:
    node = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["path"][0]["node_id"]
    ran = lash("branch", "s1", node, *STORE)
    assert (ran.code, ran.err) == (
        2,
        "lash: session 's1' has an unfinished turn: continue or abandon it before you branch\n",
    )


@pytest.mark.usefixtures("interrupted")
def test_a_resumed_session_says_that_its_turn_is_interrupted(lash: Lash) -> None:
    gc.collect()  # the runtime that was interrupted here is one that another process had
    handle = json.dumps({"session_id": "s1", "store": "kept:one", "epoch": 0})
    ran = lash("sessions", "resume", "-", *STORE, stdin=handle)
    assert ran.code == 0
    assert ran.out.splitlines()[1:] == ["turn 1 is interrupted: `lash turns continue` or `abandon` ends it"]
    assert json.loads(lash("sessions", "resume", "-", "--json", *STORE, stdin=handle).out)["interrupted"] is True


@pytest.mark.usefixtures("interrupted")
def test_a_session_with_an_interrupted_turn_is_neither_changed_nor_compacted(lash: Lash) -> None:
    for words in (("config", "s1", "--set", "instructions=x"), ("compact", "s1")):
        ran = lash("sessions", *words, *STORE)
        assert ran.code == 2
        assert "session 's1' has an unfinished turn: continue or abandon it before you" in ran.err

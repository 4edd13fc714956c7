"""`SyncLash` in scripts, signals, closed pipes, and `lash chat` at a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import pytest
from lash_hookspecs.errors import ConfigurationError
from lash_process import LASH, LONGEST, Folder
from script_files import script

from lash_core import Lash, SyncLash

#: Makes the terminal on stdin the one that sends signals, then runs the command.
AT_TERMINAL = """
import fcntl, sys, termios
from lash_core.cli.main import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(main(sys.argv[1:]))
"""
PLAIN = """
import json
from lash_core import Agent, SyncLash, tool

@tool(kind="read_only")
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

with SyncLash.open("sqlite:///x.db", agent=Agent(tools=[add], tool_sets=["files"])) as lash:
    session = lash.session("s1", labels={"team": "red"})
    first = session.turn("How many lines has a.txt?")
    turn = session.stream("which file holds one?")
    events = [type(event).__name__ for event in turn]
    second = turn.result()
    fork = session.fork("s2")
    print(json.dumps([first.text, second.text, events[0], fork.id, len(fork.messages()) == len(session.messages())]))
    print(json.dumps(sorted(each.session_id for each in lash.sessions())))
lash.close()
"""
IN_A_LOOP = """
import asyncio
from lash_core import SyncLash
from lash_hookspecs.errors import ConfigurationError

outside = SyncLash.open("sqlite:///x.db")

async def main():
    for attempt in (lambda: SyncLash.open("sqlite:///y.db"), lambda: outside.session("s1"), outside.sessions):
        try:
            attempt()
        except ConfigurationError as error:
            print(error)
    with_a_thread = await asyncio.to_thread(lambda: outside.session("s1").turn("hello").outcome)
    print(with_a_thread)

asyncio.run(main())
outside.close()
"""


@attrs.define
class Terminal:
    """A process at a terminal of its own.

    Attributes:
        process: The process.
        screen: The other side of its terminal.
        rest: What was shown behind the text that was last waited for.
    """

    process: subprocess.Popen[str]
    screen: int
    rest: str = ""

    def until(self, text: str) -> str:
        """Give what is shown up to a text, when that has come."""
        while text not in self.rest:
            piece = self._read()
            assert piece, f"{text!r} never came: {self.rest!r}"
            self.rest += piece
        shown, found, self.rest = self.rest.partition(text)
        return shown + found

    def _read(self) -> str:
        """Give what is shown next; nothing when the process has ended, or hangs."""
        with suppress(OSError):  # a terminal without processes reports an error instead of an end
            if select.select([self.screen], [], [], LONGEST)[0]:
                return os.read(self.screen, 4096).decode(errors="replace")
        return ""

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def end(self) -> tuple[int, str]:
        """The exit code, and what was shown since."""
        while piece := self._read():
            self.rest += piece
        shown, self.rest = self.rest, ""
        return self.process.wait(LONGEST), shown


@contextmanager
def terminal(folder: Folder, *arguments: str) -> Iterator[Terminal]:
    screen, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AT_TERMINAL, *arguments],
        cwd=folder.path,
        env={**folder.environment, "TERM": "dumb"},
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        text=True,
    )
    os.close(inner)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def waiting(folder: Folder) -> str:
    """A model that says "one ", then waits for a file "go", then says "two"."""
    reply = {"chunks": ["one ", "two"], "gates": [{"at_chunk": 1, "wait_for_file": "go"}]}
    return script(folder.path, reply, reply, reply)


async def ends(folder: Folder, session_id: str = "s1") -> list[str]:
    """How the turns of a session ended, as their final commits say."""
    async with Lash.open(f"sqlite:///{folder.path}/x.db", create=False) as lash:
        records = await lash.store.session(session_id).records()
    events = [event for record in records for event in json.loads(record.record)["events"]]
    return [event["outcome"] for event in events if "outcome" in event]


STORE = ("--session", "s1", "--store", "sqlite:///x.db")


async def test_ctrl_c_during_a_run_exits_130_and_the_turn_is_committed_as_cancelled(folder: Folder) -> None:
    with terminal(folder, "run", "Count", *STORE, "--model", waiting(folder)) as run:
        run.until("one")
        run.process.send_signal(signal.SIGINT)
        code, shown = run.end()
    assert code == 130, shown
    assert "lash: cancelling the turn; Ctrl-C again leaves it interrupted" in shown
    assert "lash: the turn was cancelled" in shown
    assert await ends(folder) == ["cancelled"]
    (folder.path / "go").touch()
    ran = folder.lash_each(["sessions", "list", "--json", *STORE[2:]], ["run", "Count again", "--json", *STORE])
    assert [row["status"] for row in ran[0].document] == ["idle"]
    assert (ran[1].code, ran[1].document["turn_index"], ran[1].document["text"]) == (0, 2, "one two")


async def test_in_a_chat_ctrl_c_cancels_the_turn_and_not_the_session_and_ctrl_d_ends_it_with_0(folder: Folder) -> None:
    with terminal(folder, "chat", *STORE, "--model", waiting(folder)) as chat:
        assert "lash: session s1, turn 1; Ctrl-D ends the chat" in chat.until("> ")
        chat.type("Count\n")
        chat.until("one")
        chat.type("\x03")
        shown = chat.until("> ")
        assert "lash: cancelling the turn" in shown
        assert "lash: the turn was cancelled" in shown
        (folder.path / "go").touch()
        chat.type("Again\n")
        assert "one two\r\n" in chat.until("> ")
        chat.type("\x04")
        code, _shown = chat.end()
    assert code == 0
    assert await ends(folder) == ["cancelled", "finished"]


def test_a_reader_that_closes_stdout_early_costs_neither_the_turn_nor_a_traceback(folder: Folder) -> None:
    for turn, form in enumerate(((), ("--json",)), 1):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as closed:
            ran = folder.finish(folder.start(*LASH, "run", "hello", *STORE, *form, stdout=closed))
        assert ran.code == 0
        assert [line for line in ran.paragraphs if "offline model" not in line] == []
        (row,) = folder.lash("sessions", "list", "--json", *STORE[2:]).document
        assert (row["status"], row["turns"]) == ("idle", turn)


def test_the_blocking_front_door_serves_a_plain_script(folder: Folder) -> None:
    folder.write(a__txt="one\ntwo\n")
    ran = folder.script(PLAIN)
    assert (ran.code, ran.err) == (0, "")
    told, sessions = (json.loads(line) for line in ran.out.splitlines())
    assert "2" in told[0]
    assert "a.txt" in told[1]
    assert told[2:] == ["TurnStarted", "s2", True]
    assert sessions == ["s1", "s2"]


def test_the_blocking_front_door_refuses_clearly_inside_a_loop_and_serves_a_thread(folder: Folder) -> None:
    ran = folder.script(IN_A_LOOP)
    words = "SyncLash blocks, and an event loop runs in this thread: use `lash_core.Lash` here"
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [words, words, words, "finished"]
    assert not (folder.path / "y.db").exists()


async def test_the_refusal_inside_a_loop_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(ConfigurationError):
        SyncLash.open(f"sqlite:///{tmp_path}/x.db")
    assert threading.active_count() == before
    assert Folder(tmp_path).snapshot() == {}


def test_the_blocking_door_parks_resumes_replays_and_configures(tmp_path: Path) -> None:
    with SyncLash.open(f"sqlite:///{tmp_path}/x.db") as lash:
        session = lash.session("s")
        session.turn("Hello")
        seen = session.events()
        assert [each.event.type for each in seen][-1] == "turn_ended"
        assert session.events(after=seen[-1].cursor) == []
        assert session.update_config(instructions="Be brief.").instructions == "Be brief."
        handle = session.park()
        again = lash.resume(handle)
        assert [each.event.type for each in again.events(after=str(seen[-1].cursor))] == ["config_changed"]

"""The command as a process: what it imports, closed pipes, terminals, bytes that are no text."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from many_plugins import install_dummies

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "hookspecs/src", ROOT / "lash_core/src", ROOT / "lash_plugins/basics/src"]
COMMAND = "import sys; from lash_core.cli.main import main; code = main(); "
HEAVY = ("pydantic", "sqlmodel", "sqlalchemy", "pydantic_ai", "openai", "jsonschema", "httpx")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with 50 plugins installed; none may be imported, and ten have a broken manifest."""
    site = tmp_path / "site"
    install_dummies(site)
    paths = [str(site), *map(str, SOURCES)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "error"}


def lash(
    environment: dict[str, str], folder: Path, *arguments: str, after: str = "sys.exit(code)", stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND + after, *arguments],
        env=environment,
        cwd=folder,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("plugins", "list"), ("plugins", "list", "--json")])
def test_start_up_imports_neither_pydantic_nor_a_store_nor_a_plugin(
    environment: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    after = "print('\\n' + repr(sorted({name.partition('.')[0] for name in sys.modules}))); sys.exit(code)"
    ran = lash(environment, tmp_path, *arguments, after=after)
    assert (ran.returncode, ran.stderr) == (0, b"")
    modules = set(json.loads(ran.stdout.splitlines()[-1].replace(b"'", b'"')))
    assert "lash_core" in modules
    assert not modules & set(HEAVY)
    assert not {name for name in modules if name.startswith(("dummy_", "lash_basics", "lash_store"))}


def test_the_doctor_imports_no_plugin_and_finds_the_broken_ones(environment: dict[str, str], tmp_path: Path) -> None:
    after = "print('\\n' + repr(sorted({name.partition('.')[0] for name in sys.modules}))); sys.exit(code)"
    ran = lash(environment, tmp_path, "doctor", after=after)
    assert (ran.returncode, ran.stderr) == (1, b"")
    *told, loaded = ran.stdout.decode().splitlines()
    assert told[-2] == "10 found"
    assert sum(line.startswith("! plugin 'plugin-") for line in told) == 10
    modules = set(json.loads(loaded.replace("'", '"')))
    assert "lash_core" in modules
    assert not modules & set(HEAVY)
    assert not {name for name in modules if name.startswith(("dummy_", "lash_basics", "lash_store"))}
    assert list(tmp_path.iterdir()) == [tmp_path / "site"]


def test_the_doctor_imports_the_plugin_of_the_store_and_no_other(environment: dict[str, str], tmp_path: Path) -> None:
    sql = ROOT / "lash_plugins/store_sql/src"
    here = environment | {"PYTHONPATH": os.pathsep.join([environment["PYTHONPATH"], str(sql)])}
    made = lash(here, tmp_path, "run", "Hello", "--session", "s1", "--store", "sqlite:///x.db")
    assert made.returncode == 0, made.stderr
    after = "print('\\n' + repr(sorted({name.partition('.')[0] for name in sys.modules}))); sys.exit(code)"
    ran = lash(here, tmp_path, "doctor", "--sessions", "--store", "sqlite:///x.db", after=after)
    *told, loaded = ran.stdout.decode().splitlines()
    assert "sessions checked: 1" in told
    modules = set(json.loads(loaded.replace("'", '"')))
    assert "lash_store_sql" in modules
    assert not {name for name in modules if name.startswith(("dummy_", "lash_basics", "lash_provider"))}


def test_all_plugins_are_listed_the_broken_ones_with_a_reason(environment: dict[str, str], tmp_path: Path) -> None:
    listed = json.loads(lash(environment, tmp_path, "plugins", "list", "--json").stdout)
    dummies = {row["name"]: row for row in listed if row["distribution"].startswith("dummy-")}
    assert len(dummies) == 50
    failed = {row["name"]: row["reason"] for row in dummies.values() if row["state"] != "active"}
    assert len(failed) == 10
    assert failed["plugin-05"].startswith("dummy_05/lash-plugin.toml: ")
    assert dummies["plugin-01"] == {
        "name": "plugin-01",
        "distribution": "dummy-01",
        "version": "1.0",
        "state": "active",
        "reason": "",
        "offers": {"modes": ["mode-01"]},
        "hooks": ["lash_offer_modes"],
        "requires_api": "0.1",
        "origin": "entry point",
        "value": "dummy_01",
    }
    table = lash(environment, tmp_path, "plugins", "list").stdout.decode().splitlines()
    assert table[0].split() == ["NAME", "DISTRIBUTION", "VERSION", "STATE", "OFFERS", "REASON"]
    assert "plugin-01 dummy-01 1.0 active modes: mode-01" in {" ".join(line.split()) for line in table}


def test_the_version_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    shown = lash(environment, tmp_path, "--version").stdout.decode()
    assert shown.startswith("lash ")
    assert shown.endswith(" (hook API 0.1)\n")


@pytest.mark.parametrize("arguments", [("plugins", "list"), ("--help",), ("plugins", "--help")])
def test_a_reader_that_has_seen_enough_is_no_error(
    environment: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ran = subprocess.run(
            [sys.executable, "-c", f"{COMMAND}sys.exit(code)", *arguments],
            env=environment,
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_a_stdout_that_is_full_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-c", f"{COMMAND}sys.exit(code)", "plugins", "list"],
            env=environment,
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (1, b"lash: No space left on device\n")


def test_input_that_is_no_text_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    ran = lash(environment, tmp_path, "run", "-", "--store", "memory:", stdin=b"caf\xe9")
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"lash: the text holds a lone surrogate at position 3")
    assert {path.name for path in tmp_path.iterdir()} == {"site"}


@pytest.fixture
def talker(tmp_path: Path, environment: dict[str, str]) -> None:
    """A provider and a mode that need no other plugin."""
    package = tmp_path / "site" / "talker"
    package.mkdir()
    (package / "lash-plugin.toml").write_text(
        'requires_api = "0.1"\n[offers]\nproviders = ["talker"]\nmodes = ["talk"]\n'
    )
    (package / "__init__.py").write_text(TALKER)
    info = tmp_path / "site" / "talker-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: talker\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lash.plugins]\ntalker = talker\n")


@pytest.mark.usefixtures("talker")
def test_a_terminal_sees_text_as_it_comes_and_what_became_void(tmp_path: Path, environment: dict[str, str]) -> None:
    main, worker = pty.openpty()
    arguments = ["run", "Hello", "--store", "memory:", "--model", "talker", "--mode", "talk", "--session", "s1"]
    with os.fdopen(worker, "wb") as terminal:
        ran = subprocess.run(
            [sys.executable, "-c", f"{COMMAND}sys.exit(code)", *arguments],
            env=environment,
            cwd=tmp_path,
            stdout=terminal,
            stderr=terminal,
            timeout=60,
            check=False,
        )
    shown = os.read(main, 100_000).decode().replace("\r\n", "\n")
    os.close(main)
    assert ran.returncode == 0, shown
    assert shown == (
        "half \\x1b[2J\nlash: the text above is void: it is overloaded; trying again in 0 s\nthe whole answer\n"
    )


@pytest.mark.usefixtures("talker")
def test_ctrl_c_at_a_terminal_cancels_the_turn_and_only_twice_at_the_prompt_ends_the_chat(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    arguments = ["chat", "--store", "memory:", "--model", "talker", "--mode", "talk", "--session", "s1"]
    terminal, theirs = pty.openpty()
    owns_it = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "  # so that Ctrl-C reaches the process
    process = subprocess.Popen(
        [sys.executable, "-c", f"{owns_it}{COMMAND}sys.exit(code)", *arguments],
        env=environment,
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)

    def until(end: str) -> str:
        shown = b""
        while not shown.endswith(end.encode()):
            ready, _, _ = select.select([terminal], [], [], 60)
            assert ready, shown
            shown += os.read(terminal, 1000)
        return shown.decode().replace("\r\n", "\n")

    def type_in(text: str) -> None:
        os.write(terminal, text.encode())

    assert until("> ") == "lash: session s1, turn 1; Ctrl-D ends the chat\n> "
    type_in("hang\n")
    assert until("half ") == "hang\nhalf "
    type_in("\x03")
    assert until("> ") == (
        "^C\nlash: cancelling the turn; Ctrl-C again leaves it interrupted\nlash: the turn was cancelled\n> "
    )
    type_in("Hello\n")
    assert until("> ").endswith("the whole answer\n> ")
    # Python's prompt sees a signal that comes just before it waits only when the next key is pressed: press again.
    type_in("\x03")
    while not select.select([terminal], [], [], 2)[0]:
        type_in("\x03")
    assert until("> ").replace("^C", "") == "\nlash: Ctrl-C again or Ctrl-D ends the chat\n> "
    code = None
    while code is None:
        with contextlib.suppress(OSError):  # its end of the terminal is closed
            type_in("\x03")
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(2)
    os.close(terminal)
    assert code == 130


TALKER = """
import asyncio
from lash_hookspecs.errors import ModelError
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.modes import AskModel, Finish, ModelAnswered, ModeStep
from lash_hookspecs.records.models import ModelInfo, ModelReply, ReplyChunk, TextChunk
from lash_hookspecs.records.payloads import TextPart
from lash_hookspecs.records.turn import TurnEnd
from lash_hookspecs.specs.offers import ModeOffer, ProviderOffer, lash_offer_modes, lash_offer_providers

class Talk:
    name, version = "talk", 1

    def step(self, state, event):
        if isinstance(event, ModelAnswered):
            text = "".join(part.text for part in event.reply.parts)
            return ModeStep(None, (Finish(TurnEnd(outcome="finished", text=text)),))
        return ModeStep(None, (AskModel(),))

class Talker:
    asked = 0

    async def model_info(self, model):
        return ModelInfo()

    async def stream(self, request):
        if request.messages[-1].text == "hang":
            yield TextChunk(text="half ")
            await asyncio.Event().wait()
        self.asked += 1
        if self.asked == 1:
            yield TextChunk(text="half \\x1b[2J")
            raise ModelError("it is overloaded", retryable=True, retry_after=0.0)
        for word in ("the ", "whole ", "answer"):
            yield TextChunk(text=word)
        yield ReplyChunk(reply=ModelReply(parts=(TextPart(text="the whole answer"),)))

    async def close(self):
        pass

@implements(lash_offer_modes)
def modes(context):
    return [ModeOffer(name="talk", build=Talk)]

@implements(lash_offer_providers)
def providers(context):
    return [ProviderOffer(names=("talker",), open=lambda name: Talker())]
"""

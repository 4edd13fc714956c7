"""`lash run`: one turn, its output, its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from lash_hookspecs.errors import ModelError
from lash_hookspecs.records.models import ModelInfo, TextChunk

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


def test_the_answer_goes_to_stdout_and_notices_to_stderr(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.append("Berne is the capital.")
    ran = lash("run", "Which is the capital?", "--session", "s1", *STORE)
    assert (ran.code, ran.out) == (0, "Berne is the capital.\n")
    assert ran.err == "lash: a notice \\x1b[31m of the model\n"


def test_json_is_one_object_with_exactly_these_fields(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.append("Berne")
    ran = lash("run", "Which?", "--session", "s1", "--json", *STORE)
    assert json.loads(ran.out) == {
        "session_id": "s1",
        "turn_index": 1,
        "outcome": "finished",
        "text": "Berne",
        "usage": {"input_tokens": 3, "output_tokens": 2, "cached_input_tokens": 0, "reasoning_tokens": 0},
        "head_revision": 2,
    }


def test_shared_options_are_taken_before_and_after_the_subcommand(lash: Lash) -> None:
    after = lash("run", "Hello", "--session", "s1", "--store", "kept:x", "--json")
    before = lash("--store", "kept:x", "--json", "run", "Hello", "--session", "s1")
    assert [json.loads(ran.out)["turn_index"] for ran in (after, before)] == [1, 2]


def test_an_empty_session_id_gets_a_fresh_one_that_is_said(lash: Lash) -> None:
    for arguments in ((), ("--session", "")):
        ran = lash("run", "Hello", "--json", *arguments, *STORE)
        session_id = json.loads(ran.out)["session_id"]
        assert len(session_id) > 8
        assert f"lash: new session {session_id}\n" in ran.err


def test_a_dash_reads_the_text_from_stdin(lash: Lash, dummies: ModuleType) -> None:
    lash("run", "-", "--session", "s1", *STORE, stdin="first line\nsecond line\n")
    shown = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)
    assert shown["path"][0]["text"] == "first line\nsecond line"


def test_the_default_store_is_made_private_and_said(lash: Lash) -> None:
    ran = lash("run", "Hello", "--session", "s1")
    path = Path.cwd() / ".lash" / "sessions.db"
    assert ran.code == 0
    assert f"lash: new store at {path}\n" in ran.err
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = lash("run", "Hello", "--session", "s1", "--json")
    assert json.loads(again.out)["turn_index"] == 2
    assert "new store" not in again.err


def test_the_default_store_is_found_upwards(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    lash("run", "Hello", "--session", "s1")
    below = Path.cwd() / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert json.loads(lash("run", "Hello", "--session", "s1", "--json").out)["turn_index"] == 2
    assert not (below / ".lash").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("run", ""), 2, "the text of a turn is empty; say something"),
        (("run",), 2, "Missing argument 'TEXT'. See lash run --help."),
        (("run", "x", "--sesion", "y"), 2, "No such option '--sesion'."),
        (("run", "x", "--model", "nobody:x"), 2, "no model provider is named 'nobody'. On offer: offline, scripted."),
        (("run", "x", "--model", "scripted:unknown"), 2, "provider 'scripted' has no model 'unknown'"),
        (("run", "x", "--mode", "standrd"), 2, "no mode is named 'standrd'; did you mean 'standard'? On offer: "),
        (("run", "x", "--store", "redis://x"), 2, "no store scheme is named 'redis'. On offer: "),
        (("run", "x", "--store", "no url"), 2, "'no url' is no store URL: "),
        (("run", "x", "--root", "nowhere"), 2, "--root: the root "),
        (("run", "x", "--session", "a\x1bb"), 2, "session id 'a\\x1bb' holds a control character; use printable text"),
        (("run", "x", "--session", "a" * 10_000), 2, "session id '"),
        (("run", "x", "--session", "\udcff"), 2, "session id '\\udcff' holds a lone surrogate"),
        (("run", "\udcff"), 2, "the text holds a lone surrogate at position 0"),
        (("nonsense",), 2, "No such command 'nonsense'."),
    ],
)
def test_wrong_usage_is_told_in_one_paragraph_and_leaves_nothing(
    lash: Lash, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ran = lash(*arguments)
    assert ran.code == code
    last = ran.err.splitlines()[-1]
    assert last.startswith(f"lash: {told}")
    assert "Traceback" not in ran.err
    if "scripted:unknown" not in arguments:  # only the provider itself knows its models
        assert list(Path.cwd().iterdir()) == []
    error = json.loads(lash(*arguments, "--json").out)["error"]
    assert error["message"].startswith(told.partition(" See")[0][:20])


@pytest.mark.parametrize("session_id", ["../../etc/x", "😀", "-rf", "a b", "'; drop table", "%s{}", "ab" * 256])
def test_hostile_session_ids_are_served(lash: Lash, session_id: str) -> None:
    ran = lash("run", "Hello", "--session", session_id, "--json")
    assert json.loads(ran.out)["session_id"] == session_id
    assert {path.name for path in Path.cwd().iterdir()} == {".lash"}
    assert lash("sessions", "show", "--", session_id).code == 0


def test_a_failed_turn_exits_1_with_its_reason(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.append(ModelError("the key is wrong", kind="auth"))
    ran = lash("run", "Hello", "--session", "s1", "--json", *STORE)
    assert ran.code == 1
    assert "lash: the turn failed: " in ran.err
    assert "the key is wrong" in ran.err
    told = json.loads(ran.out)
    assert (told["outcome"], told["reason"]) == ("failed", "model_error")


def test_text_of_a_failed_attempt_is_not_in_the_answer(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.extend([ModelError("overloaded", retryable=True, retry_after=0.0), "the whole"])
    ran = lash("run", "Hello", "--session", "s1", *STORE)
    assert (ran.code, ran.out) == (0, "the whole\n")
    assert "overloaded; trying again in 0 s" in ran.err


def test_ctrl_c_cancels_the_turn_and_exits_130(lash: Lash, dummies: ModuleType) -> None:
    async def interrupted(request: Any) -> AsyncIterator[Any]:
        yield TextChunk(text="half")
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    dummies.ANSWERS.append(interrupted)
    ran = lash("run", "Hello", "--session", "s1", "--json", *STORE)
    assert ran.code == 130
    assert json.loads(ran.out)["outcome"] == "cancelled"
    assert "cancelling the turn" in ran.err
    assert json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["status"] == "idle"


def test_ctrl_c_before_the_turn_has_begun_cancels_it_as_well(
    lash: Lash, dummies: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(self: object, model: str) -> ModelInfo:
        handled = asyncio.Event()
        os.kill(os.getpid(), signal.SIGINT)
        asyncio.get_running_loop().call_later(0, lambda: asyncio.get_running_loop().call_soon(handled.set))
        await handled.wait()
        return ModelInfo()

    async def endless(request: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(dummies.Scripted, "model_info", interrupted)
    dummies.ANSWERS.append(endless)
    ran = lash("run", "Hello", "--session", "s1", "--json", *STORE)
    assert (ran.code, json.loads(ran.out)["outcome"]) == (130, "cancelled")


def test_an_unforeseen_error_is_one_paragraph_and_a_traceback_under_debug(lash: Lash, dummies: ModuleType) -> None:
    async def broken(url: str, create: bool) -> None:
        raise ZeroDivisionError("by zero")

    dummies.open_kept.__code__ = broken.__code__
    quiet, loud = lash("run", "Hello", *STORE), lash("run", "Hello", "--debug", *STORE)
    told = "lash: unforeseen ZeroDivisionError: by zero (--debug shows where; please report it)"
    assert quiet.code == loud.code == 1
    assert quiet.err.splitlines()[-1] == told
    assert "Traceback (most recent call last):" in loud.err


def test_a_secret_in_a_store_url_is_never_shown(lash: Lash) -> None:
    for flags in ((), ("--debug",), ("--json",)):
        ran = lash("run", "Hello", "--store", "redis://me:canary@host/x?token=canary", *flags)
        assert ran.code == 2
        assert "canary" not in ran.out + ran.err


def test_settings_come_from_flag_then_environment_then_file(
    lash: Lash, dummies: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("lash.toml").write_text('[lash]\nstore = "kept:file"\n')
    lash("run", "Hello", "--session", "s1")
    monkeypatch.setenv("LASH_STORE", "kept:environment")
    lash("run", "Hello", "--session", "s1")
    lash("run", "Hello", "--session", "s1", "--store", "kept:flag")
    assert [url for url, _ in dummies.OPENED] == ["kept:file", "kept:environment", "kept:flag"]


def test_a_run_that_is_refused_says_its_reason_alone(lash: Lash) -> None:
    ran = lash("run", "Hello", "--mode", "nope", *STORE)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("lash: no mode is named 'nope'")
    assert ran.err.count("\n") == 1

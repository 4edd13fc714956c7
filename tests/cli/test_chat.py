"""`lash chat`: a line is a turn; Ctrl-C cancels the turn, not the session."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lash_hookspecs.errors import StoreBusy
from lash_hookspecs.records.models import TextChunk

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


def test_each_line_is_a_turn_and_blank_lines_are_none(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.extend(["one", "two"])
    ran = lash("chat", "--session", "s1", *STORE, stdin="first\n\n  \nsecond")
    assert (ran.code, ran.out) == (0, "one\ntwo\n")
    assert "lash: session s1, turn 1; Ctrl-D ends the chat\n" in ran.err
    again = lash("chat", "--session", "s1", *STORE, stdin="")
    assert again.err == "lash: session s1, turn 3; Ctrl-D ends the chat\n"


def test_ctrl_c_cancels_the_turn_and_the_chat_goes_on(lash: Lash, dummies: ModuleType) -> None:
    async def interrupted(request: Any) -> AsyncIterator[Any]:
        yield TextChunk(text="half")
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    dummies.ANSWERS.extend([interrupted, "two"])
    ran = lash("chat", "--session", "s1", *STORE, stdin="first\nsecond\n")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "two")
    assert "lash: the turn was cancelled" in ran.err


def test_a_pipe_learns_of_an_error_by_the_exit_code(lash: Lash, dummies: ModuleType) -> None:
    async def busy(self: object, commit: object) -> None:
        raise StoreBusy("the store is busy", retry_after=1)

    lash("run", "Hello", "--session", "s1", *STORE)
    (store,) = dummies.STORES.values()
    kind = type(store.session("s1"))
    kept, kind.commit = kind.commit, busy
    try:
        ran = lash("chat", "--session", "s1", "--json", *STORE, stdin="first\nsecond\n")
    finally:
        kind.commit = kept
    assert ran.code == 3
    assert json.loads(ran.out) == {"error": {"code": "store_busy", "message": "the store is busy"}}


def test_a_chat_with_an_unknown_model_ends_before_it_begins(lash: Lash) -> None:
    ran = lash("chat", "--model", "nobody", *STORE, stdin="Hello\n")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("lash: no model provider is named 'nobody'")

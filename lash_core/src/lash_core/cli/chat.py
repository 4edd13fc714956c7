"""``lash chat``: turn after turn in one session."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import click
from lash_hookspecs.errors import LashError

from lash_core.app import Session
from lash_core.cli.errors import CANCELLED, OUTCOMES, report
from lash_core.cli.opening import agent_options, open_lash, show_logs
from lash_core.cli.options import Shared, common
from lash_core.cli.output import stdout_kept, to_stderr
from lash_core.cli.tracing import TraceWish, trace_options
from lash_core.cli.turn_output import show_turn
from lash_core.runtime.text import check_session_id

__all__ = ["chat"]

T = TypeVar("T")


@click.command()
@click.option("--session", "session_id", metavar="ID", default="", help="The session; a fresh one by default.")
@click.option("--resume", is_flag=True, help="Finish an interrupted turn first instead of abandoning it.")
@agent_options
@trace_options
@common
def chat(
    shared: Shared,
    session_id: str,
    resume: bool,
    model: str | None,
    mode: str | None,
    root: str | None,
    host: str | None,
    trace: TraceWish,
) -> int:
    """Talk with a session, a line at a time; also from a pipe.

    Ctrl-C cancels the turn that runs, not the session; Ctrl-D ends the chat.
    """
    show_logs(shared)
    chosen = check_session_id(session_id)
    with asyncio.Runner() as runner:
        opening = open_lash(
            shared,
            "chat",
            session_id=chosen,
            make=True,
            model=model,
            mode=mode,
            root=root,
            host=host,
            runs_turns=True,
            trace=trace,
        )
        lash = _run(runner, opening.__aenter__())
        try:
            session = _run(runner, lash.session(chosen))
            to_stderr(f"lash: session {chosen}, turn {session.document.turn_index + 1}; Ctrl-D ends the chat")
            if session.interrupted and not resume:
                to_stderr(
                    f"lash: turn {session.document.turn_index} is interrupted; what you say next abandons it, "
                    "--resume finishes it first"
                )
            return _talk(runner, session, shared, resume)
        finally:
            _run(runner, opening.__aexit__(None, None, None))


def _run(runner: asyncio.Runner, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a step; what plugins print meanwhile goes to stderr, and the prompt does not."""
    with stdout_kept():
        return runner.run(coroutine)


def _talk(runner: asyncio.Runner, session: Session, shared: Shared, resume: bool) -> int:
    """Read and answer until the input ends; the exit code of the last turn where nobody sits there."""
    at_terminal = sys.stdin.isatty()
    code, interrupts = 0, 0
    while True:
        try:
            line = _ask(at_terminal)
        except KeyboardInterrupt:
            interrupts += 1
            to_stderr("" if interrupts == 1 else "lash: cancelled")
            if interrupts > 1:
                return CANCELLED
            to_stderr("lash: Ctrl-C again or Ctrl-D ends the chat")
            continue
        if line is None:
            return 0 if at_terminal else code
        interrupts = 0
        if line.strip():
            code = _answer(runner, session, shared, line, resume)
            resume = False
            if not at_terminal and code not in OUTCOMES.values():
                return code


def _ask(at_terminal: bool) -> str | None:
    if at_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  line editing and history for input()
        try:
            return input("> ")
        except EOFError:
            to_stderr("")
            return None
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def _answer(runner: asyncio.Runner, session: Session, shared: Shared, line: str, resume: bool) -> int:
    async def turn() -> int:
        result = await show_turn(session.stream(line, resume=resume), as_json=shared.json)
        return OUTCOMES[result.outcome]

    try:
        return _run(runner, turn())
    except LashError as error:  # the session is still there: say it and go on
        return report(error, shared)

"""How a turn is shown while it runs, and how Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

import click
from lash_hookspecs.records.events import (
    Event,
    Notice,
    TextDelta,
    TextRetracted,
    ToolStarted,
    TurnContinued,
)
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.turn import TurnResult
from lash_hookspecs.records.usage import TokenUsage

from lash_core.app import Turn
from lash_core.cli.output import one_line, plain, print_json, silence_stdout, stdout, to_stderr
from lash_core.cli.plugin_calls import Explained

__all__ = ["result_document", "show_turn", "usage_document"]

#: What ended a turn early, in words.
_ENDS = {"stopped": "the turn stopped", "failed": "the turn failed", "cancelled": "the turn was cancelled"}


async def show_turn(
    turn: Turn, *, as_json: bool, greeting: str | None = None, explained: Explained | None = None
) -> TurnResult:
    """Show a turn until it ends; Ctrl-C cancels it, a second one leaves it interrupted.

    The greeting is said before the first event, so a turn that was refused says its reason alone.

    Args:
        turn: It.
        as_json: Whether a document is printed in the end, and nothing else.
        greeting: What is said first.
        explained: The calls of plugins, which go into the document.
    """
    screen = _Screen(live=not as_json and stdout().isatty())
    with _Interrupts(turn, screen).installed():
        async for event in turn:
            if greeting is not None:
                screen.say(greeting)
                greeting = None
            screen.show(event)
        result = await turn.result()
    if result.outcome != "finished":
        screen.say(_how_it_ended(result))
    if as_json:
        calls = {} if explained is None else {"plugin_calls": explained.document()}
        _forgiving(lambda: print_json(result_document(result) | calls))
    else:
        screen.end(result)
    return result


def result_document(result: TurnResult) -> dict[str, Any]:
    """Give the object that ``run --json`` prints; ``reason`` and ``message`` only when the turn did not finish."""
    document = {
        "session_id": result.session_id,
        "turn_index": result.turn_index,
        "outcome": result.outcome,
        "text": result.text,
        "usage": usage_document(result.usage),
        "head_revision": result.head_revision,
    }
    if result.outcome != "finished":
        document |= {"reason": result.reason, "message": result.message}
    return document


def usage_document(usage: TokenUsage) -> dict[str, Any]:
    """Give a usage as JSON; ``cost`` only where the provider reports one."""
    document: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return document if usage.cost is None else {**document, "cost": str(usage.cost)}


def _how_it_ended(result: TurnResult) -> str:
    ended = _ENDS.get(result.outcome, f"the turn is {result.outcome}")
    reason = result.message or result.reason
    return ended if reason in (None, "", ended) else f"{ended}: {reason}"


class _Screen:
    """Where the answer goes: as it comes on a terminal, at the end elsewhere.

    Elsewhere it waits because retracted text cannot be taken back from a pipe.
    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._shown = ""  # text since the last tool call or retraction
        self._notes = sys.stderr.isatty()

    def show(self, event: Event) -> None:
        match event:
            case Notice():
                self.say(event.text)
            case TurnContinued():
                self.say(f"continuing turn {event.turn_index}")
            case TextDelta() if self._live:
                self._shown += event.text
                self._write(plain(event.text))
            case TextRetracted():
                void = "the text above is void: " if self._live else ""
                again = "" if event.wait is None else f"; trying again in {event.wait:g} s"
                self.say(f"{void}{event.reason}{again}")
            case ToolStarted():
                self._break()
                if self._notes:
                    to_stderr(f"· {_call(event.call)}")
            case _:
                pass

    def say(self, notice: str) -> None:
        self._break()
        to_stderr(f"lash: {notice}")

    def end(self, result: TurnResult) -> None:
        if self._shown.strip() != result.text.strip():
            self._break()
            self._write(plain(result.text) if self._live else result.text)
            self._shown = result.text
        self._break()

    def _break(self) -> None:
        if self._shown and not self._shown.endswith("\n"):
            self._write("\n")
        self._shown = ""

    def _write(self, text: str) -> None:
        _forgiving(lambda: click.echo(text, nl=False, file=stdout()))


def _forgiving(write: Any) -> None:
    """Write to stdout; when its reader has gone, the turn goes on all the same."""
    try:
        write()
        stdout().flush()
    except BrokenPipeError:
        silence_stdout()


def _call(call: ToolCall) -> str:
    given = call.arguments
    arguments = given if isinstance(given, str) else ", ".join(f"{name}={value!r}" for name, value in given.items())
    return one_line(f"{call.tool}({arguments})", 100)


class _Interrupts:
    """Ctrl-C while a turn runs: the first cancels it, the second leaves at once."""

    def __init__(self, turn: Turn, screen: _Screen) -> None:
        self._turn = turn
        self._screen = screen
        self._wanted = False
        self._cancelling: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
        except (NotImplementedError, RuntimeError, ValueError):  # not on this system, or not in the main thread
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True
        self._screen.say("cancelling the turn; Ctrl-C again leaves it interrupted")
        self._cancelling = asyncio.ensure_future(self._turn.cancel())

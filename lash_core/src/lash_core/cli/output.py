"""What is written: tables and text for people, JSON for programs.

While plugins run, stdout is kept for what a command says: what they print, or what a child process of theirs does, goes
to stderr, and no `--json` is damaged by it.

Text from models, tools and stores is not trusted: control characters are shown, never sent to a terminal.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import click

__all__ = [
    "close_stdout",
    "one_line",
    "plain",
    "prepare_streams",
    "print_json",
    "print_json_line",
    "print_table",
    "print_text",
    "silence_stdout",
    "stdout",
    "stdout_kept",
    "timestamp",
    "to_stderr",
]

#: C0 and C1 controls, DEL, line separators, bidirectional overrides, lone surrogates; not tab and newline.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    r"""Show control characters as escapes, so that no terminal obeys them.

    >>> print(plain("red: \x1b[31m"))
    red: \x1b[31m
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def one_line(text: str, width: int | None = None) -> str:
    """Fold a text into one line, cut to a width."""
    folded = " ".join(plain(text).split())
    return folded if width is None or len(folded) <= width else folded[: max(width - 1, 0)] + "…"


def timestamp(microseconds: int) -> str:
    """Give a time as ISO 8601 in UTC, to the second; one that no calendar has as a number."""
    try:
        return datetime.fromtimestamp(microseconds // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):  # a clock was wrong, or the row is damaged
        return f"{microseconds} µs"


def prepare_streams() -> None:
    """Let no text fail because of an encoding; what cannot be read is refused where it enters.

    A stream that the caller has closed leads nowhere: else the next file that is opened, a store's, would take its
    number, and what a plugin's child process prints would go into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  as long as the process
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


#: Where stdout was, while `stdout_kept` keeps it.
_kept: TextIO | None = None


def stdout() -> TextIO:
    """Give the stream for what a command says."""
    return _kept or sys.stdout


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Keep stdout for `stdout`; whatever else is written to it meanwhile goes to stderr."""
    global _kept
    if _kept is not None:
        yield
        return
    with _moved(sys.stdout) as _kept, contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            _kept = None


@contextlib.contextmanager
def _moved(stream: TextIO) -> Iterator[TextIO]:
    """Move the process's stdout to another descriptor, and put stderr in its place; a test's stream stays as it is."""
    try:
        if stream is not sys.__stdout__ or stream.fileno() != 1:
            raise OSError
        stream.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
    except (OSError, ValueError):  # it has no descriptor, or there is no stderr
        yield stream
        return
    buffering = 1 if stream.line_buffering else -1
    moved = os.fdopen(kept, "w", buffering, encoding=stream.encoding, errors=stream.errors)
    try:
        yield moved
    finally:
        with contextlib.suppress(OSError):
            stream.flush()  # of whoever got hold of it before
        os.dup2(kept, 1)
        _close(moved)


def _close(stdout: TextIO) -> None:
    try:
        stdout.close()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from None


def print_text(text: str) -> None:
    """Print text for people."""
    click.echo(plain(text), file=stdout())


def print_json(document: Any) -> None:
    """Print one JSON document; in ASCII, so it holds no control character either."""
    click.echo(json.dumps(document, indent=2, default=str), file=stdout())


def print_json_line(document: Any) -> None:
    """Print one JSON document in one line."""
    click.echo(json.dumps(document, default=str), file=stdout())


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, err: bool = False) -> None:
    """Print a table, on stderr if need be; cells are one line each, the last column is not cut or padded."""
    lines = [[one_line("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not lines:
        return
    widths = [max(len(line[column]) for line in [list(heads), *lines]) for column in range(len(heads))]
    for line in [list(heads), *lines]:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip(), file=sys.stderr if err else stdout())


def to_stderr(text: str, *, paragraph: bool = True) -> None:
    """Write a notice or an error: one paragraph, or the lines as they are. A stderr that is gone is no error."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(one_line(text) if paragraph else plain(text), err=True)


def silence_stdout() -> None:
    """Drop what is still to be written; the interpreter's own flush would complain about a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stdout().fileno())
        os.close(null)


def close_stdout(code: int) -> int:
    """Flush stdout; the exit code, which is 1 when what was printed could not be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
    except OSError as error:
        silence_stdout()
        to_stderr(f"lash: stdout: {error.strerror}")
        return code or 1
    return code

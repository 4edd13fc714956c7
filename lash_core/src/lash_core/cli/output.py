"""What is written: tables and text for people, JSON for programs.

Text from models, tools and stores is not trusted: control characters are shown, never sent to a terminal.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

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
    """Let no text fail because of an encoding; what cannot be read is refused where it enters."""
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def print_text(text: str) -> None:
    """Print text for people."""
    click.echo(plain(text))


def print_json(document: Any) -> None:
    """Print one JSON document; in ASCII, so it holds no control character either."""
    click.echo(json.dumps(document, indent=2, default=str))


def print_json_line(document: Any) -> None:
    """Print one JSON document in one line."""
    click.echo(json.dumps(document, default=str))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; cells are one line each, the last column is not cut or padded."""
    lines = [[one_line("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not lines:
        return
    widths = [max(len(line[column]) for line in [list(heads), *lines]) for column in range(len(heads))]
    for line in [list(heads), *lines]:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def to_stderr(text: str, *, paragraph: bool = True) -> None:
    """Write a notice or an error: one paragraph, or the lines as they are. A stderr that is gone is no error."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(one_line(text) if paragraph else plain(text), err=True)


def silence_stdout() -> None:
    """Drop what is still to be written; the interpreter's own flush would complain about a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
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

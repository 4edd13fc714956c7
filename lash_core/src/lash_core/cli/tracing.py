"""``--trace`` and what goes with it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

if TYPE_CHECKING:
    from lash_hookspecs.records.traces import TraceLevel

    from lash_core.tracing import JsonLinesSink

__all__ = ["TraceWish", "trace_options"]


@attrs.frozen(kw_only=True)
class TraceWish:
    """What the trace options say.

    Attributes:
        file: ``--trace``.
        level: ``--trace-level``.
        bodies: ``--trace-bodies``.
    """

    file: Path | None = None
    level: TraceLevel = "standard"
    bodies: bool = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[JsonLinesSink | None]:
        """Open the file, if one was named, and close it in the end.

        Raises:
            ConfigurationError: It cannot be opened, or holds something that is no trace.
        """
        if self.file is None:
            yield None
            return
        from lash_core.tracing import JsonLinesSink

        with contextlib.closing(JsonLinesSink(self.file)) as sink:
            yield sink


def trace_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--trace``, ``--trace-level`` and ``--trace-bodies``, and hand it a `TraceWish` as ``trace``."""

    @click.option("--trace", "file", metavar="FILE", help="Append what happens to FILE, as lines of JSON.")
    @click.option(
        "--trace-level",
        "level",
        type=click.Choice(["standard", "extended"]),
        help="How much is traced; extended adds each piece of a streamed answer.",
    )
    @click.option("--trace-bodies", "bodies", is_flag=True, help="Trace prompts, messages, arguments and outputs too.")
    @functools.wraps(function)
    def wrapped(file: str | None, level: TraceLevel | None, bodies: bool, **rest: Any) -> Any:
        if not file and (level or bodies):
            given = "--trace-level" if level else "--trace-bodies"
            raise click.UsageError(f"{given} needs --trace FILE", click.get_current_context())
        wish = TraceWish(file=Path(file) if file else None, level=level or "standard", bodies=bodies)
        return function(trace=wish, **rest)

    return wrapped

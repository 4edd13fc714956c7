"""From an event to the sink, without ever harming a turn."""

from __future__ import annotations

import functools
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from lash_hookspecs.protocols.tracing import TraceSink
from lash_hookspecs.records.text import clean_json
from lash_hookspecs.records.traces import TraceContext, TraceLevel, TraceRecord

__all__ = ["Tracer", "harmless"]

_log = logging.getLogger("lash.tracing")

P = ParamSpec("P")
T = TypeVar("T", bound="Traced")


class Traced(Protocol):
    """Something with a tracer."""

    @property
    def tracer(self) -> Tracer:
        """The tracer."""
        ...


def harmless(method: Callable[Concatenate[T, P], None]) -> Callable[Concatenate[T, P], None]:
    """Make a method do nothing if nothing is traced, and keep its errors from whoever calls it."""

    @functools.wraps(method)
    def told(self: T, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if self.tracer.on:
            try:
                method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  a trace is not worth a turn
                self.tracer.tell(error)

    return told


class Tracer:
    """Writes records into a sink, or does nothing if there is none.

    Attributes:
        on: Whether there is a sink.
        extended: Whether stream events are wanted.
        bodies: Whether what was said is written too.
        context: What its records are about.
    """

    def __init__(
        self,
        sink: TraceSink | None = None,
        *,
        level: TraceLevel = "standard",
        bodies: bool = False,
        context: TraceContext | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Trace into a sink.

        Args:
            sink: Where records go; ``None`` for nowhere.
            level: How much is traced.
            bodies: Whether what was said is written too.
            context: What all records are about.
            clock: Gives microseconds since 1970-01-01 UTC.
        """
        self.on = sink is not None
        self.extended = self.on and level == "extended"
        self.bodies = self.on and bodies
        self.context = context or TraceContext()
        self._output = None if sink is None else _Output(sink, clock or _now_us)

    @property
    def tracer(self) -> Self:
        """This tracer."""
        return self

    @property
    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC; 0 if there is no sink."""
        return 0 if self._output is None else self._output.clock()

    def bind(self, **known: Any) -> Self:
        """Give a tracer whose records are about something more besides; see `TraceContext`."""
        return self if not self.on else self._bound(self.context.overlaid(TraceContext(**known)))

    def emit(self, event: str, fields: Mapping[str, Any], bodies: Mapping[str, Any] | None = None) -> None:
        """Write a record.

        Args:
            event: Its name.
            fields: JSON that anybody who may read the trace may know.
            bodies: JSON that is written only if bodies were asked for.
        """
        if self._output is not None:
            self._output.write(event, self.context, fields, bodies if self.bodies else None)

    @harmless
    def plugin_event(self, plugin: str, name: str, fields: Mapping[str, Any]) -> None:
        """Write a record for a plugin, which answers for what is in it."""
        self.bind(plugin=plugin).emit(f"plugin.{plugin}.{name}", fields)

    def tell(self, error: Exception) -> None:
        """Log that a record is missing, once for all tracers of a sink."""
        if self._output is not None:
            self._output.tell(error)

    def _bound(self, context: TraceContext) -> Self:
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__, context=context)
        return bound


class _Output:
    """A sink, as all tracers of one environment share it."""

    def __init__(self, sink: TraceSink, clock: Callable[[], int]) -> None:
        self.clock = clock
        self._sink = sink
        self._process = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._failed = False

    def write(
        self, event: str, context: TraceContext, fields: Mapping[str, Any], bodies: Mapping[str, Any] | None
    ) -> None:
        now = self.clock()
        try:
            self._sink.write(
                TraceRecord(
                    record_id=f"{self._process}-{next(self._numbers):08d}",
                    timestamp=now,
                    event=event,
                    context=context,
                    fields=clean_json({name: value for name, value in fields.items() if value is not None}),
                    bodies=None if bodies is None else clean_json(dict(bodies)),
                )
            )
        except Exception as error:  # noqa: BLE001  the sink is a stranger's
            self.tell(error)

    def tell(self, error: Exception) -> None:
        """Say once that the trace has holes; no more than the kind of error, whose text may hold what was said."""
        if not self._failed:
            self._failed = True
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            _log.warning("the trace cannot be written: %s; the turn goes on, and this is not said again", why)


def _now_us() -> int:
    return time.time_ns() // 1_000

"""Where a trace goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lash_hookspecs.records.traces import TraceRecord

__all__ = ["TraceSink"]


class TraceSink(Protocol):
    """Takes trace records: writes them to a file, sends them on, counts them.

    It is called on the event loop, in the middle of a turn, so it must return at once: one that has to wait hands the
    record to a thread or a task of its own. An error that it raises is logged once and goes no further.
    """

    def write(self, record: TraceRecord) -> None:
        """Take a record. `TRACE_EVENTS` of `lash_hookspecs.records.traces` are the names of events."""
        ...

    def close(self) -> None:
        """Write what is still held; may be called twice. Nothing is written afterwards."""
        ...

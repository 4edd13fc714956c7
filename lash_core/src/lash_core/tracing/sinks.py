"""The sinks that come with Lash: a file of JSON lines, and a list."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.records.traces import TraceRecord

__all__ = ["JsonLinesSink", "MemorySink"]


class JsonLinesSink:
    """Appends each record to a file, as one line of JSON.

    Several processes may append to one file: a line is one write at the end of it. A new file can be read by its owner
    alone. It is a `lash_hookspecs.protocols.tracing.TraceSink`.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, and make it and its folders where they are missing.

        Raises:
            ConfigurationError: It cannot be opened, or holds something that is no trace.
        """
        self.path = Path(path)
        self._torn = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._refuse_other_files()
            self._file: int | None = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            where = f"{error.filename}: " if error.filename not in (None, str(self.path)) else ""
            raise ConfigurationError(f"the trace file {self.path} cannot be opened: {where}{error.strerror}") from error

    def __repr__(self) -> str:
        return f"JsonLinesSink({str(self.path)!r})"

    def write(self, record: TraceRecord) -> None:
        """Append a record.

        Raises:
            OSError: It cannot be written; the record is lost, the lines around it stay whole.
        """
        if self._file is None:
            raise ConfigurationError(f"the trace file {self.path} was closed already")
        line = b"%s%s\n" % (b"\n" if self._torn else b"", record.to_bytes())
        self._torn = os.write(self._file, line) < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, "a part of the line could not be written", str(self.path))

    def close(self) -> None:
        """Close the file; may be called twice."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _refuse_other_files(self) -> None:
        """Keep a slip of the fingers from ruining a database or a document."""
        if not self.path.exists() or not stat.S_ISREG(self.path.stat().st_mode):
            return
        with self.path.open("rb") as file:
            first = file.read(1)
        if first not in (b"", b"{"):
            raise ConfigurationError(f"{self.path} exists and is no trace; name another file")


class MemorySink:
    """Keeps the records in a list, for tests and for a look from inside.

    Attributes:
        records: What was written, in order.
        closed: Whether it was closed.
    """

    def __init__(self) -> None:
        self.records: list[TraceRecord] = []
        self.closed = False

    @property
    def events(self) -> list[str]:
        """The names of what was written."""
        return [record.event for record in self.records]

    def write(self, record: TraceRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def close(self) -> None:
        """Take note of it."""
        self.closed = True

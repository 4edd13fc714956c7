"""Workers seen from the test: each is a process that is born, read from, killed and waited for."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Life", "Nursery", "until"]

Line = dict[str, Any]

#: Seconds for whatever a test waits for; far more than it takes.
DEADLINE = 60.0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE:g} s"
        time.sleep(0.002)


class Nursery:
    """Forks workers from a process that has imported everything."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(Path(__file__).with_name("crash_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._births = itertools.count()

    def order(self, **order: Any) -> Line:
        """Give an order and take the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: Line = json.loads(self._process.stdout.readline())
        return answer

    def bear(self, folder: Path, **order: Any) -> Life:
        """Start a worker."""
        fifo = folder / f"pipe-{next(self._births)}"
        os.mkfifo(fifo)
        pipe = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        return Life(self, self.order(fifo=str(fifo), **order)["pid"], pipe)

    def close(self) -> None:
        """Send everybody home."""
        self._process.communicate(timeout=DEADLINE)


class Life:
    """One worker.

    Attributes:
        pid: Its process.
        lines: What it has told so far.
        status: How it ended, as ``waitpid`` tells; ``None`` while nobody has asked.
    """

    def __init__(self, nursery: Nursery, pid: int, pipe: int) -> None:
        self.pid = pid
        self.lines: list[Line] = []
        self.status: int | None = None
        self._nursery = nursery
        self._pipe = pipe
        self._rest = b""
        self._ended = False
        self.told(lambda line: "born" in line)

    def told(self, wanted: Callable[[Line], bool] | None = None, **fields: Any) -> Line:
        """Wait for a line that was not read yet."""

        def fits(line: Line) -> bool:
            return wanted(line) if wanted else all(line.get(key) == value for key, value in fields.items())

        seen = len(self.lines)
        deadline = time.monotonic() + DEADLINE
        while True:
            for line in self.lines[seen:]:
                seen += 1
                if fits(line):
                    return line
            assert not self._ended, f"worker {self.pid} ended without {fields or 'it'}: {self.lines[-3:]}"
            assert time.monotonic() < deadline, f"worker {self.pid} did not tell {fields or 'it'}: {self.lines[-3:]}"
            self._read()

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self, reap: bool = True) -> None:
        """Kill it, and read what it had told."""
        self.signal(signal.SIGKILL)
        self._read_all()
        if reap:
            assert self.wait() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for its end; give its exit code, or the signal that killed it as a negative number."""
        self._read_all()
        return self.wait()

    def wait(self) -> int:
        """Reap it."""
        if self.status is None:
            self.status = self._nursery.order(wait=self.pid)["status"]
        return os.waitstatus_to_exitcode(self.status)

    def close(self) -> None:
        """End it, however it is."""
        if self.status is None:
            self.signal(signal.SIGKILL)
            self.wait()
        os.close(self._pipe)

    def _read_all(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while not self._ended:
            assert time.monotonic() < deadline, f"worker {self.pid} does not end: {self.lines[-3:]}"
            self._read()

    def _read(self) -> None:
        if not select.select([self._pipe], [], [], 1.0)[0]:
            return
        found = os.read(self._pipe, 1 << 16)
        if not found:
            # Before the worker opens its end, nobody writes either; its first line says that it has.
            self._ended = bool(self.lines)
            time.sleep(0.002)
        *whole, self._rest = (self._rest + found).split(b"\n")
        self.lines += [json.loads(line) for line in whole]

"""Processes that work on a store: born from one that has imported everything, read from, told to go on, killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

from lash_conformance.place import Opener

__all__ = ["Life", "Nursery"]

Line = dict[str, Any]


class Nursery:
    """A process that has imported the store's module, and forks workers.

    Args:
        opener: What opens the store.
    """

    def __init__(self, opener: Opener) -> None:
        self._socket, theirs = socket.socketpair()
        address = opener.address
        self._process = subprocess.Popen(  # noqa: S603  this interpreter, and the module of the store under test
            [sys.executable, "-m", "lash_conformance.worker", str(theirs.fileno()), *address.values()],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        theirs.close()
        self._answers = self._socket.makefile("r", encoding="utf-8")

    def bear(self, deed: str, **order: Any) -> Life:
        """Start a worker that does one of `lash_conformance.worker.DEEDS`."""
        (told, to_parent), (from_parent, telling) = os.pipe(), os.pipe()
        order_line = json.dumps({"do": deed, **order}).encode() + b"\n"
        socket.send_fds(self._socket, [order_line], [to_parent, from_parent])
        os.close(to_parent)
        os.close(from_parent)
        return Life(self, self._answer()["pid"], told, telling)

    def reap(self, pid: int) -> int:
        """Wait for the end of a worker; give its exit code, or the signal that killed it as a negative number."""
        self._socket.sendall(json.dumps({"wait": pid}).encode() + b"\n")
        return os.waitstatus_to_exitcode(self._answer()["status"])

    def close(self) -> None:
        """Send everybody home."""
        self._answers.close()
        self._socket.close()
        self._process.wait()

    def _answer(self) -> Line:
        line = self._answers.readline()
        if not line:
            raise RuntimeError("the process that forks the workers has ended: see what it wrote to standard error")
        answer: Line = json.loads(line)
        return answer


class Life:
    """One worker, seen from the test. It ends by itself when nobody asks for it any more."""

    def __init__(self, nursery: Nursery, pid: int, told: int, telling: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._told = os.fdopen(told, "rb")
        self._telling = telling
        self._code: int | None = None

    async def line(self) -> Line | None:
        """Read the next line that it says; ``None`` when it has ended. A line that its death tore is none."""
        line = await asyncio.to_thread(self._told.readline)
        return json.loads(line) if line.endswith(b"\n") else None

    async def lines(self) -> AsyncIterator[Line]:
        """Read whatever it says until it ends."""
        while (line := await self.line()) is not None:
            yield line

    async def rest(self) -> list[Line]:
        """Read all that it says until it ends."""
        return [line async for line in self.lines()]

    def tell(self) -> None:
        """Let it go on."""
        os.write(self._telling, b"\n")

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait for its end; give its exit code, or the signal that killed it as a negative number."""
        if self._code is None:
            self._told.close()
            os.close(self._telling)
            self._code = self._nursery.reap(self.pid)
        return self._code

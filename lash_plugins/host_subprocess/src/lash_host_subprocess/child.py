"""One child process: started with its limits, listened to, killed with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

from lash_hookspecs.protocols.hosts import Handover

from lash_host_subprocess.limits import ChildLimits

__all__ = ["Child"]

_log = logging.getLogger("lash.host.subprocess")

_LAUNCH = Path(__file__).with_name("launch.py")

#: Seconds to wait for the end of stderr, which somebody who left the process group may hold open.
_PATIENCE = 1.0

#: Lines of stderr, and characters of each, that an error quotes.
_LINES, _CHARS = 20, 400


class Child:
    """A worker in a child process, in a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process, handover: Handover, limits: ChildLimits) -> None:
        """Listen to a process; use `start`."""
        self._process = process
        self._handover = handover
        self._limits = limits
        self._last_words: deque[str] = deque(maxlen=_LINES)
        self._killed = ""
        self._swept = False
        self._messages = asyncio.create_task(self._hear_messages())
        self._stderr = asyncio.create_task(self._hear_stderr())

    @classmethod
    async def start(cls, command: Sequence[str], handover: Handover, limits: ChildLimits) -> Self:
        """Start a worker and give it its order; a secret in the order is seen by nobody but the child."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", str(_LAUNCH)),
            *(str((limits.memory_mb or 0) * 1_000_000), str(limits.cpu_seconds or 0)),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        child = cls(process, handover, limits)
        with contextlib.suppress(OSError):  # it has died already; `ended` tells
            await child.send(handover.order.body)
        return child

    async def send(self, message: bytes) -> None:
        """Give the child a message.

        Raises:
            OSError: It has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(message + b"\n")
        await self._process.stdin.drain()

    async def ended(self) -> str:
        """Wait until the child has ended, killing it at its time limit, and say how it has."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._process.wait()
        except TimeoutError:
            await self.kill(f"ran longer than {self._limits.seconds:g} s and was killed")
        self._sweep()
        await self._messages
        await asyncio.wait([self._stderr], timeout=_PATIENCE)
        return f"{self._killed or self._how()}{self._quoted()}"

    async def kill(self, why: str) -> None:
        """Kill the child and everything that it started, and wait until it is gone."""
        if self._process.returncode is None:
            self._killed = self._killed or why
        self._sweep()
        await asyncio.shield(self._process.wait())
        self._messages.cancel()
        self._stderr.cancel()

    def _sweep(self) -> None:
        """Kill the child's process group: the child, and what a tool started and left behind."""
        if self._swept:  # its number may be another group's by now
            return
        self._swept = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _hear_messages(self) -> None:
        assert self._process.stdout is not None
        async for line in _lines(self._process.stdout):
            self._handover.tell(line)

    async def _hear_stderr(self) -> None:
        assert self._process.stderr is not None
        async for line in _lines(self._process.stderr):
            text = line.decode(errors="replace").rstrip()
            self._last_words.append(text[:_CHARS])
            _log.info("child %d: %s", self._process.pid, text)

    def _how(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            name = _signal_name(-code)
            why = f" (its limit is {self._limits.cpu_seconds} s of processor time)" if name == "SIGXCPU" else ""
            return f"was killed by {name}{why}"
        return f"ended with exit code {code} before the turn was done"

    def _quoted(self) -> str:
        words = "\n".join(line for line in self._last_words if line)
        return f"; it said last:\n{words}\n" if words else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Give the lines of a stream, of any length; the last one may lack its end."""
    pieces: list[bytes] = []
    while piece := await stream.read(65_536):
        first, *more = piece.split(b"\n")
        pieces.append(first)
        for part in more:
            yield b"".join(pieces)
            pieces = [part]
    if last := b"".join(pieces):
        yield last

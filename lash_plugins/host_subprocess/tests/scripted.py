"""A turn and its worker, without the core: the worker is a script that a test writes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
from lash_hookspecs.protocols.hosts import Handover
from lash_hookspecs.records.hosts import TurnOrder

#: What every script may use: ``order`` is what it was given, ``say`` tells a line.
PREAMBLE = """
import os, resource, signal, sys, threading, time
order = sys.stdin.readline().rstrip()
def say(text):
    os.write(1, f"{text}\\n".encode())
"""


@attrs.define
class ScriptedHandover:
    """What is between a host and a script."""

    runner: ScriptedRunner
    order: TurnOrder

    def tell(self, message: bytes) -> None:
        self.runner.told.append(message.decode())
        self.runner.heard.set()
        self.runner.done = self.runner.done or message == b"done"

    async def wish(self) -> bytes:
        await self.runner.wished.wait()
        return b"stop"


@attrs.define
class ScriptedRunner:
    """A turn that is done once a script has said so.

    Attributes:
        scripts: One for each child, in turn.
        told: What they said.
    """

    scripts: list[str]
    told: list[str] = attrs.field(factory=list)
    done: bool = False
    wished: asyncio.Event = attrs.field(factory=asyncio.Event)
    heard: asyncio.Event = attrs.field(factory=asyncio.Event)
    handovers: int = 0
    session_id: str = "s"
    turn_id: str = "t1"

    @property
    def worker(self) -> Sequence[str]:
        return (sys.executable, "-S", "-c", PREAMBLE + self.scripts[self.handovers - 1])

    @contextlib.asynccontextmanager
    async def handed_over(self, *, secrets: bool = True) -> AsyncIterator[Handover]:
        self.handovers += 1
        body = f"order {self.handovers}".encode()
        yield ScriptedHandover(self, TurnOrder(session_id="s", turn_id="t1", body=body))

    def outstanding(self) -> Sequence[Any]:
        raise AssertionError("a host that hands turns over runs no effect")

    async def run(self, effect: Any) -> None:
        raise AssertionError("a host that hands turns over runs no effect")

    async def wait(self) -> None:
        raise AssertionError("a host that hands turns over waits for its child")

    async def cancel(self) -> None:
        raise AssertionError("a turn is ended by whoever wants it ended")

"""Hosts that each break one clause of the contract, and the plain ones that they are made from."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

from lash_conformance import HostConformance
from lash_hookspecs.errors import LashError
from lash_hookspecs.protocols.hosts import Handover, Host, TurnRunner
from lash_hookspecs.records.effects import ToolRun
from lash_hookspecs.records.hosts import HostCapabilities


class Plain(Host):
    """Runs one effect after another, here."""

    name = "plain"

    async def run_turn(self, runner: TurnRunner) -> None:
        while not runner.done:
            effects = runner.outstanding()
            for effect in effects:
                await self.run(runner, effect)
            if not effects:
                await runner.wait()

    async def run(self, runner: TurnRunner, effect: Any) -> None:
        await runner.run(effect)


class Piped(Host):
    """Hands each turn over to a process, once."""

    name = "piped"

    @property
    def capabilities(self) -> HostCapabilities:
        return HostCapabilities(own_process=False)

    async def run_turn(self, runner: TurnRunner) -> None:
        async with runner.handed_over() as handover:
            process = await asyncio.create_subprocess_exec(*runner.worker, stdin=-1, stdout=-1, stderr=-3, limit=2**24)
            assert process.stdin is not None
            process.stdin.write(handover.order.body + b"\n")
            wishing = asyncio.create_task(self.pass_on(process.stdin, handover))
            try:
                await self.listen(process, handover)
                await process.wait()
            finally:
                wishing.cancel()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())

    async def pass_on(self, stdin: asyncio.StreamWriter, handover: Handover) -> None:
        stdin.write(await handover.wish() + b"\n")

    async def listen(self, process: asyncio.subprocess.Process, handover: Handover) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            handover.tell(line)


class OneAtATime(Plain):
    """Runs one turn at a time, of all that it is given."""

    _lock = asyncio.Lock()

    async def run_turn(self, runner: TurnRunner) -> None:
        async with self._lock:
            await super().run_turn(runner)


class Twice(Plain):
    """Runs what it thinks may have failed again, beside the first."""

    async def run(self, runner: TurnRunner, effect: Any) -> None:
        again = isinstance(effect, ToolRun) and effect.call.arguments == {"text": "once"}
        await asyncio.gather(*(runner.run(effect) for _ in range(1 + again)))


class Clinging(Plain):
    """Leaves a task behind."""

    async def run_turn(self, runner: TurnRunner) -> None:
        self.watching = asyncio.create_task(asyncio.Event().wait())
        await super().run_turn(runner)


class Boasting(Plain):
    """Says that turns run elsewhere."""

    @property
    def capabilities(self) -> HostCapabilities:
        return HostCapabilities(own_process=False)


class Tidy(Plain):
    """Ends a turn that was only to be left."""

    async def run_turn(self, runner: TurnRunner) -> None:
        try:
            await super().run_turn(runner)
        except asyncio.CancelledError:
            await runner.cancel()
            raise


class Wrapping(Plain):
    """Tells every error in its own words."""

    async def run_turn(self, runner: TurnRunner) -> None:
        try:
            await super().run_turn(runner)
        except LashError as error:
            raise RuntimeError("the turn failed") from error


class Remembering(Plain):
    """Keeps a list of its own of what was run, as if beginning were ending."""

    async def run_turn(self, runner: TurnRunner) -> None:
        try:
            os.close(os.open(f"{os.environ['LASH_TURNS']}/{runner.turn_id}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        await super().run_turn(runner)


class Deaf(Piped):
    """Hears what the worker says when it has ended."""

    async def listen(self, process: asyncio.subprocess.Process, handover: Handover) -> None:
        assert process.stdout is not None
        for line in (await process.stdout.read()).splitlines():
            handover.tell(line)


class Credulous(Piped):
    """Takes what tools print for what the worker says."""

    async def run_turn(self, runner: TurnRunner) -> None:
        async with runner.handed_over() as handover:
            process = await asyncio.create_subprocess_exec(*runner.worker, stdin=-1, stdout=-1, stderr=-2)
            assert process.stdin is not None
            process.stdin.write(handover.order.body + b"\n")
            wishing = asyncio.create_task(self.pass_on(process.stdin, handover))
            try:
                await self.listen(process, handover)
            finally:
                wishing.cancel()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())

    async def listen(self, process: asyncio.subprocess.Process, handover: Handover) -> None:
        assert process.stdout is not None
        rest = b""
        while piece := await process.stdout.read(65_536):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                handover.tell(line)


class Stubborn(Piped):
    """Does not pass on that a turn should end, unless it has taken too long."""

    async def pass_on(self, stdin: asyncio.StreamWriter, handover: Handover) -> None:
        wish = await handover.wish()
        if b"time_limit" in wish:
            stdin.write(wish + b"\n")


#: Host → the clause that it breaks; empty for one that breaks none. The first ones are run each time.
BREAKS: dict[str, str] = {"TestTwice": "H5.once", "TestTidy": "H5.left"}

#: These take longer: some wait for what does not happen.
LONGER: dict[str, str] = {
    "TestPlain": "",
    "TestBoasting": "H1",
    "TestOneAtATime": "H5.together",
    "TestClinging": "H5.close",
    "TestWrapping": "L13",
    "TestRemembering": "T6",
}

#: The same of hosts with a process for each turn.
PIPED: dict[str, str] = {"TestPiped": "", "TestDeaf": "T9", "TestCredulous": "H5.says", "TestStubborn": "T3"}


class TestPlain(HostConformance):
    build_host = Plain


class TestOneAtATime(HostConformance):
    build_host = OneAtATime


class TestTwice(HostConformance):
    build_host = Twice


class TestClinging(HostConformance):
    build_host = Clinging


class TestBoasting(HostConformance):
    build_host = Boasting


class TestTidy(HostConformance):
    build_host = Tidy


class TestWrapping(HostConformance):
    build_host = Wrapping


class TestRemembering(HostConformance):
    build_host = Remembering


class TestPiped(HostConformance):
    build_host = Piped


class TestDeaf(HostConformance):
    build_host = Deaf


class TestCredulous(HostConformance):
    build_host = Credulous


class TestStubborn(HostConformance):
    build_host = Stubborn

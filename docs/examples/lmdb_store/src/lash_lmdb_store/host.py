"""The host ``nice``: runs each turn in a process of its own, at a low priority, so that the app stays lively."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from lash_hookspecs.errors import HostError
from lash_hookspecs.protocols.hosts import Handover, Host, TurnRunner
from lash_hookspecs.records.hosts import HostCapabilities

__all__ = ["NICENESS", "NiceHost"]

#: By how much nicer than the app a turn is; see nice(1).
NICENESS = 10

#: The most bytes of one message of a worker.
LINE = 1 << 26


class NiceHost(Host):
    """A `Host` (`lash_hookspecs.protocols.hosts`). Of what was done it keeps no record: the store does."""

    @property
    def name(self) -> str:
        return "nice"

    @property
    def capabilities(self) -> HostCapabilities:
        return HostCapabilities(own_process=False)

    async def run_turn(self, runner: TurnRunner) -> None:
        """Hand a turn over to a process; when this is cancelled, the process is killed and the turn interrupted."""
        async with runner.handed_over() as handover:
            code = await _carry_out(runner, handover)
        if not runner.done:
            raise HostError(
                f"host 'nice' could not bring the turn of session {runner.session_id!r} to its end: its worker ended "
                f"with exit code {code}. The turn is interrupted; continue it with `lash turns continue`",
                host=self.name,
                session_id=runner.session_id,
            )


async def _carry_out(runner: TurnRunner, handover: Handover) -> int:
    pipe, command = asyncio.subprocess.PIPE, ("nice", "-n", str(NICENESS), *runner.worker)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, limit=LINE, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(handover.order.body + b"\n")
    wishing = asyncio.create_task(_pass_on(handover, process.stdin))
    try:
        async for line in process.stdout:
            handover.tell(line)
        return await process.wait()
    finally:
        wishing.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with all that its tools have started
        await asyncio.shield(process.wait())


async def _pass_on(handover: Handover, stdin: asyncio.StreamWriter) -> None:
    stdin.write(await handover.wish() + b"\n")

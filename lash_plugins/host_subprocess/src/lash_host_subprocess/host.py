"""The host: one child process for each turn."""

from __future__ import annotations

import asyncio
import contextlib

from lash_hookspecs.errors import HostError
from lash_hookspecs.protocols.hosts import Handover, Host, TurnRunner
from lash_hookspecs.records.hosts import HostCapabilities

from lash_host_subprocess.child import Child
from lash_host_subprocess.limits import ChildLimits

__all__ = ["SubprocessHost"]


class SubprocessHost(Host):
    """Runs each turn in a child process of its own, and kills it at its limits.

    A turn whose child dies is continued by the next child, as often as `ChildLimits.restarts` says; then it is left
    interrupted, for whoever continues it.
    """

    def __init__(self, limits: ChildLimits | None = None) -> None:
        """Start nothing yet.

        Args:
            limits: What each child may use; no limits by default.
        """
        self._limits = limits or ChildLimits()
        self._children: set[Child] = set()

    @property
    def name(self) -> str:
        """The host's name."""
        return "subprocess"

    @property
    def capabilities(self) -> HostCapabilities:
        """Turns run in other processes; a pipe carries anything."""
        return HostCapabilities(own_process=False)

    async def run_turn(self, runner: TurnRunner) -> None:
        """Run a turn in a child, and in another one if that dies.

        Raises:
            HostError: The last child has died too; says of what, with the end of its stderr.
        """
        how = ""
        for _ in range(1 + self._limits.restarts):
            async with runner.handed_over() as handover:
                how = await self._in_child(runner, handover)
            if runner.done:
                return
        raise HostError(
            f"host 'subprocess' could not bring the turn of session {runner.session_id!r} to its end: its child "
            f"process {how}. The turn is interrupted; continue it with `lash turns continue`",
            host=self.name,
            session_id=runner.session_id,
        )

    async def close(self) -> None:
        """Kill children that are left; their turns are interrupted."""
        for child in list(self._children):
            await child.kill("was killed because the host was closed")

    async def _in_child(self, runner: TurnRunner, handover: Handover) -> str:
        child = await Child.start(runner.worker, handover, self._limits)
        self._children.add(child)
        wishing = asyncio.create_task(self._pass_on_wish(child, handover))
        try:
            return await child.ended()
        finally:
            wishing.cancel()
            await asyncio.gather(wishing, return_exceptions=True)
            await child.kill("was killed")
            self._children.discard(child)

    async def _pass_on_wish(self, child: Child, handover: Handover) -> None:
        with contextlib.suppress(OSError):  # it ended first
            await child.send(await handover.wish())
        await asyncio.sleep(self._limits.grace)
        await child.kill(f"did not end the turn within {self._limits.grace:g} s and was killed")

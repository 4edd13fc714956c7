"""A host that is killed after every effect; it knows the contract and nothing of the core."""

from __future__ import annotations

from collections.abc import Callable

from lash_hookspecs.protocols.hosts import Host, TurnRunner
from lash_hookspecs.records.effects import ModelCall, ToolRun

__all__ = ["DyingHost", "Killed"]


class Killed(Exception):
    """The host died."""


class DyingHost(Host):
    """Runs one effect, then dies.

    Args:
        choose: Which of the outstanding effects; the first by default.
    """

    def __init__(
        self, choose: Callable[[list[ModelCall | ToolRun]], ModelCall | ToolRun] = lambda effects: effects[0]
    ) -> None:
        self.lives = 0
        self._choose = choose

    @property
    def name(self) -> str:
        return "dying"

    async def run_turn(self, runner: TurnRunner) -> None:
        self.lives += 1
        await runner.run(self._choose(list(runner.outstanding())))
        if not runner.done:
            raise Killed

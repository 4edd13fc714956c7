"""A host written against hook API 0.1: runs one effect after another."""

from __future__ import annotations

from lash_hookspecs.protocols.hosts import Host, TurnRunner


class FrozenHost(Host):
    """The host ``frozen``."""

    name = "frozen"

    async def run_turn(self, runner: TurnRunner) -> None:
        """Run whatever is outstanding until the turn is done."""
        while not runner.done:
            effects = list(runner.outstanding())
            if not effects:
                await runner.wait()
                return
            for effect in effects:
                await runner.run(effect)

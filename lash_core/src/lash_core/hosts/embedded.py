"""The host that runs turns in the calling process and loop."""

from __future__ import annotations

import asyncio

from lash_hookspecs.protocols.hosts import Host, TurnRunner

__all__ = ["EmbeddedHost"]


class EmbeddedHost(Host):
    """Runs the effects of a turn as tasks of the current event loop."""

    @property
    def name(self) -> str:
        """The host's name."""
        return "embedded"

    async def run_turn(self, runner: TurnRunner) -> None:
        """Run whatever is outstanding, together, until the turn is done."""
        running: set[asyncio.Task[None]] = set()
        try:
            while not runner.done:
                running |= {asyncio.create_task(runner.run(effect)) for effect in runner.outstanding()}
                if not running:
                    await runner.wait()
                    return
                finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

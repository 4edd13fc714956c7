"""What runs turns: a host drives a `TurnRunner` that the core hands it (H5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from lash_hookspecs.records.effects import ModelCall, ToolRun

__all__ = ["Host", "TurnRunner"]


class TurnRunner(Protocol):
    """One turn, ready to be driven.

    A host repeats: take what is outstanding, run each effect (together, if it likes), until the runner is done.
    When `run` returns, the effect's result is durable, so a host may die between any two calls: a runner rebuilt
    in another process has exactly the rest outstanding.
    """

    @property
    def session_id(self) -> str:
        """The session."""
        ...

    @property
    def turn_id(self) -> str:
        """The turn."""
        ...

    @property
    def done(self) -> bool:
        """Whether the turn has had its final commit."""
        ...

    def outstanding(self) -> Sequence[ModelCall | ToolRun]:
        """Give the effects that wait for a response and do not run at this moment in this process."""
        ...

    async def run(self, effect: ModelCall | ToolRun) -> None:
        """Run one effect and make its result durable.

        Failures of models and tools are results. What it raises is final for this runner: a lost lease, a store
        that is gone.
        """
        ...

    async def wait(self) -> None:
        """Wait until the turn is done; for a host that has nothing to run while it is being cancelled."""
        ...

    async def cancel(self) -> None:
        """End the turn as cancelled: running effects are cancelled and answered; what was done is committed."""
        ...


@runtime_checkable
class Host(Protocol):
    """Where turns run."""

    @property
    def name(self) -> str:
        """The host's name."""
        ...

    async def run_turn(self, runner: TurnRunner) -> None:
        """Drive a turn until it is done.

        When this is cancelled, the turn is left as it is: interrupted, for another process to continue.
        """
        ...

"""What runs turns: a host drives a `TurnRunner` that the core hands it (H5)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from lash_hookspecs.records.effects import ModelCall, ToolRun
from lash_hookspecs.records.hosts import HostCapabilities, TurnOrder

__all__ = ["Handover", "Host", "TurnRunner"]


class Handover(Protocol):
    """A turn while a worker in another process has it.

    Between the two go messages: each is one line of UTF-8 JSON without its end. A host carries them and need not
    understand them.
    """

    @property
    def order(self) -> TurnOrder:
        """What the worker is to do."""
        ...

    def tell(self, message: bytes) -> None:
        """Take what the worker says: events and trace records as they happen, and its error.

        Never waits. What is no message of a worker is logged and dropped. Nothing durable depends on it: a host that
        has no way back may leave it out, and readers see the turn when it is committed.
        """
        ...

    async def wish(self) -> bytes:
        """Wait for a message to the worker: somebody wants the turn to end.

        If the worker ends without heeding it, the core ends the turn itself when it is handed back.
        """
        ...


class TurnRunner(Protocol):
    """One turn, ready to be driven.

    A host repeats: take what is outstanding, run each effect (together, if it likes), until the runner is done.
    When `run` returns, the effect's result is durable, so a host may die between any two calls: a runner rebuilt
    in another process has exactly the rest outstanding.

    Or it hands the whole turn over to a worker in another process, and is handed it back when that one has ended.
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

    @property
    def worker(self) -> Sequence[str]:
        """The command that carries an order out in a process of this machine.

        It reads the order's body from its stdin, one line, then wishes, a line each; when its stdin ends, it kills
        itself and what it has started in its process group, if it leads one. It writes messages to its stdout, a line
        each. Whatever else prints, prints to stderr. It ends with 0 when the turn is committed.
        """
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

    def handed_over(self, *, secrets: bool = True) -> AbstractAsyncContextManager[Handover]:
        """Let a worker have the turn; leave the context when that one has ended, however it has.

        Then `done` is true, or the turn is this runner's again, with what the worker has not made durable outstanding:
        hand it over anew, or run it here. Entered while no effect runs. A worker takes the session over from this
        process by its fencing number, so of two that carry out one order only one can commit.

        Args:
            secrets: Whether the order may hold the store's password and the plugins' settings. Without them a worker
                takes both from its own settings; for a host that keeps orders.

        Raises:
            ConfigurationError: The order is larger than the host carries.
            SessionBusy: The context was left while a worker still has the session.
            LashError: What the worker could not do, as it said: the turn is interrupted.
        """
        ...


@runtime_checkable
class Host(Protocol):
    """Where turns run. Derive from it for what is usual: any turn, in this process, and nothing to close."""

    @property
    def name(self) -> str:
        """The host's name."""
        ...

    @property
    def capabilities(self) -> HostCapabilities:
        """What it does, and how much it can carry."""
        return HostCapabilities()

    async def run_turn(self, runner: TurnRunner) -> None:
        """Drive a turn until it is done.

        When this is cancelled, the turn is left as it is: interrupted, for another process to continue.

        Raises:
            HostError: The host cannot bring it to its end; it is interrupted.
        """
        ...

    async def close(self) -> None:
        """Give back what the host holds; no turn runs any more. May be called twice."""
        return

"""Hidden tasks of one runtime: run, collected, waited for; never listed."""

from __future__ import annotations

import asyncio
import logging

from lash_hookspecs.protocols.tasks import HiddenWork

from lash_core.hosts.waiting import stop_tasks

__all__ = ["HiddenTasks"]

logger = logging.getLogger("lash.tasks")


class HiddenTasks:
    """What runs hidden for one open session."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._running: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []

    def start(self, work: HiddenWork, name: str) -> None:
        """Run some work; its error is kept until somebody waits."""
        task = asyncio.create_task(self._run(work, name), name=name or None)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, work: HiddenWork, name: str) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  whatever it is, it is told to who waits
            error.add_note(f"in the hidden task {name or 'without a name'} of session {self._session_id!r}")
            self._errors.append(error)

    async def wait(self) -> None:
        """Wait until none is left, then raise all errors together."""
        this = asyncio.current_task()
        while others := {task for task in self._running if task is not this}:
            await asyncio.wait(others)
        errors, self._errors = self._errors, []
        if errors:
            raise ExceptionGroup(
                f"{len(errors)} hidden task{'s' if len(errors) > 1 else ''} of session {self._session_id!r} failed",
                errors,
            )

    async def close(self) -> None:
        """Cancel what runs; errors that nobody asked for are logged."""
        await stop_tasks(self._running)
        errors, self._errors = self._errors, []
        for error in errors:
            logger.error("a hidden task of session %r failed: %s", self._session_id, error, exc_info=error)

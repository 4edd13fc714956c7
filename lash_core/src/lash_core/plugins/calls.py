"""How observers are called: together, isolated from each other and from the caller, each with a deadline (P4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs

__all__ = ["Observer", "call_observers"]

_log = logging.getLogger("lash.plugins")

#: Seconds that an observer has to end after it was cancelled at its deadline.
_GRACE = 0.1

#: Observers that ignored their cancellation; kept so that they are not collected while they run.
_stuck: set[asyncio.Task[None]] = set()


@attrs.frozen
class Observer:
    """One implementation of an observer hook.

    Attributes:
        label: The plugin, for messages.
        function: What to call.
    """

    label: str
    function: Callable[[Any], Coroutine[Any, Any, None]]


async def call_observers(hook: str, observers: Sequence[Observer], context: object, deadline: float | None) -> None:
    """Call observers and wait until all have ended or missed the deadline; their errors are logged, never raised."""
    tasks = {asyncio.ensure_future(_isolated(hook, observer, context)): observer for observer in observers}
    if not tasks:
        return
    try:
        _, late = await asyncio.wait(tasks, timeout=deadline)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise
    for task in late:
        _log.error("%s: %s missed its deadline of %g s and was cancelled", tasks[task].label, hook, deadline)
        task.cancel()
    if late:
        _, stuck = await asyncio.wait(late, timeout=_GRACE)
        for task in stuck:
            _stuck.add(task)
            task.add_done_callback(_stuck.discard)


async def _isolated(hook: str, observer: Observer, context: object) -> None:
    try:
        await observer.function(context)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        _log.exception("%s: %s cancelled itself", observer.label, hook)
    except BaseException as error:  # noqa: BLE001  a plugin's sys.exit must not end the host
        _log.error("%s: %s failed: %s: %s", observer.label, hook, type(error).__name__, error, exc_info=error)

"""Waiting for asyncio tasks, and ending them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import Any

__all__ = ["first_of", "stop_tasks"]

logger = logging.getLogger("lash.tasks")

_ROUNDS = 3


async def stop_tasks(tasks: Iterable[asyncio.Task[Any]], grace: float = 10.0) -> None:
    """Cancel tasks and wait until they have ended.

    One that swallows the cancellation is cancelled again after ``grace`` seconds, a few times; then it is logged and
    left alone, since nobody can end it.
    """
    this = asyncio.current_task()
    running = {task for task in tasks if task is not this and not task.done()}
    for _ in range(_ROUNDS):
        if not running:
            return
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=grace)
    for task in running:
        logger.error("the task %s does not end: it swallows its cancellation", task.get_name())


async def first_of(*awaited: Awaitable[Any]) -> None:
    """Wait until one of them is done, and cancel the others."""
    waits = [asyncio.ensure_future(each) for each in awaited]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

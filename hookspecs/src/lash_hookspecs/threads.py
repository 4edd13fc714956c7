"""Blocking work from async code: for authors of stores, and of whatever else calls a driver that blocks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

__all__ = ["in_thread"]

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Run a function in a thread, as `asyncio.to_thread` does; a caller that is cancelled waits for its end.

    No thread can be stopped. After a bare `asyncio.to_thread` that was cancelled the work goes on unseen: a store that
    is read then shows now what was before it and now what comes of it (S4). Here the cancellation is raised when the
    work has ended, however often the caller is cancelled meanwhile: what it did is done, and nothing follows. What the
    work returned or raised is dropped then. Work that may wait for long needs a deadline of its own.

    Args:
        work: The function; it sees the caller's context variables.
        arguments: What it is called with.
        options: What it is called with by name.
    """
    call = partial(contextvars.copy_context().run, work, *arguments, **options)
    # Of a future, and not of a task: what cancels every task of a loop would end that one before the thread.
    running = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        await asyncio.wait([running])
    except asyncio.CancelledError:
        await _ended(running)
        running.exception()  # nobody else asks for it
        raise
    return running.result()


async def _ended(running: asyncio.Future[T]) -> None:
    while not running.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([running])

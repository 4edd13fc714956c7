"""How a tool provider's code is awaited: whatever it raises is told as one kind of error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lash_hookspecs.errors import ToolError

__all__ = ["settled"]

T = TypeVar("T")


async def settled(work: Callable[[], Awaitable[T]]) -> T:
    """Call a stranger's function and await it; a cancellation of the caller passes through.

    Raises:
        ToolError: It failed; its own `ToolError` as it is, any other error as text.
    """
    try:
        return await work()
    except (KeyboardInterrupt, GeneratorExit, ToolError):
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ToolError("The tool cancelled itself.") from None
    except BaseException as error:  # a tool's sys.exit must not end the host
        raise ToolError(f"{type(error).__name__}: {error}") from error

"""How hooks are called: together, isolated from each other and from the caller, each with a deadline (P4)."""

from __future__ import annotations

import asyncio
import logging
import opcode
import reprlib
import types
from collections.abc import Callable, Collection, Coroutine, Generator, Sequence
from contextvars import copy_context
from typing import Any

import attrs

from lash_core.plugins.watchdog import Watchdog

__all__ = ["Failed", "Handler", "ask", "call", "may_suspend", "tell", "what_happened"]

_log = logging.getLogger("lash.plugins")

#: Seconds that an implementation has to end after it was cancelled.
_GRACE = 0.1

#: What an ``await``, an ``async for`` and an ``async with`` are compiled to.
_SEND = opcode.opmap["SEND"]

#: Tasks that were cancelled and have not ended; kept so that they are not collected while they run.
_ending: set[asyncio.Task[Any]] = set()


@attrs.frozen(eq=False)
class Handler:
    """One implementation of a hook.

    Attributes:
        plugin: The plugin's name.
        label: The plugin, for messages.
        hook: The hook's name.
        function: What to call.
        suspends: Whether it may; one that cannot is run on the spot, without a task and a timer.
    """

    plugin: str
    label: str
    hook: str
    function: Callable[[Any], Any]
    suspends: bool = True


@attrs.frozen(eq=False)
class Failed:
    """What stands for the answer of an implementation that gave none.

    Attributes:
        reason: What happened, to be read after the hook's name.
        error: The exception, if there was one.
    """

    reason: str
    error: BaseException | None = None


def may_suspend(function: Callable[..., Any]) -> bool:
    """Tell whether a coroutine function has an await in it."""
    code = getattr(function, "__code__", None)
    return code is None or _SEND in code.co_code[::2]


def what_happened(error: BaseException) -> str:
    """Tell an error in one line; a plugin's ``sys.exit`` is one."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}"


async def ask(handlers: Sequence[Handler], context: object, deadline: float | None, watchdog: Watchdog) -> list[Any]:
    """Call implementations and wait until each has ended or missed the deadline.

    Returns:
        Their answers in the order of the handlers, `Failed` for those that gave none. Raises nothing of theirs.
    """
    tasks: dict[asyncio.Task[Any], int] = {}
    answers: list[Any] = [None] * len(handlers)
    for position, handler in enumerate(handlers):
        if handler.suspends:
            tasks[asyncio.ensure_future(_in_task(handler, context, watchdog))] = position
        else:
            answers[position] = _at_once(handler, context, watchdog)
    if tasks:
        try:
            _, late = await asyncio.wait(tasks, timeout=deadline)
        except asyncio.CancelledError:
            await _end(tasks)
            raise
        await _end(late)
        missed = Failed(f"missed its deadline of {deadline:g} s and was cancelled")
        for task, position in tasks.items():
            answers[position] = missed if task in late else task.result()
    return answers


async def tell(handlers: Sequence[Handler], context: object, deadline: float | None, watchdog: Watchdog) -> None:
    """Call observers like `ask`; what goes wrong is logged."""
    for handler, answer in zip(handlers, await ask(handlers, context, deadline, watchdog), strict=True):
        if isinstance(answer, Failed):
            _log.error("%s: %s %s", handler.label, handler.hook, answer.reason, exc_info=answer.error)
        elif answer is not None:
            _log.error("%s: %s must return nothing, and returned %s", handler.label, handler.hook, reprlib.repr(answer))


def call(handler: Handler, context: object, watchdog: Watchdog) -> Any:
    """Call a plain function; its answer, or `Failed`."""
    before = watchdog.enter(handler)
    try:
        return handler.function(context)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  a plugin's sys.exit must not end the host
        return Failed(f"failed: {what_happened(error)}", error)
    finally:
        watchdog.leave(before)


_CANCELLED = Failed("cancelled itself")


def _at_once(handler: Handler, context: object, watchdog: Watchdog) -> Any:
    """Run a coroutine that has no await, and so ends with its first step."""
    before = watchdog.enter(handler)
    try:
        copy_context().run(handler.function(context).send, None)
    except StopIteration as done:
        return done.value
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except asyncio.CancelledError:
        return _CANCELLED
    except BaseException as error:  # noqa: BLE001  as above
        return Failed(f"failed: {what_happened(error)}", error)
    finally:
        watchdog.leave(before)
    raise AssertionError(f"{handler.label}: {handler.hook} has no await, and suspended")


async def _in_task(handler: Handler, context: object, watchdog: Watchdog) -> Any:
    try:
        return await _steps(handler.function(context), handler, watchdog)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except asyncio.CancelledError:  # where `ask` cancelled it, nobody looks at this any more
        return _CANCELLED
    except BaseException as error:  # noqa: BLE001  as above
        return Failed(f"failed: {what_happened(error)}", error)


@types.coroutine
def _steps(coroutine: Coroutine[Any, Any, Any], handler: Handler, watchdog: Watchdog) -> Generator[Any, None, Any]:
    """Await a coroutine so that the watchdog sees each of its steps."""
    thrown: BaseException | None = None
    while True:
        before = watchdog.enter(handler)
        try:
            waiting = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration as done:
            return done.value
        finally:
            watchdog.leave(before)
        try:
            yield waiting
            thrown = None
        except BaseException as error:  # noqa: BLE001  a cancellation, for the coroutine to see
            thrown = error


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and give them a moment; who ignores it goes on alone."""
    for task in tasks:
        _ending.add(task)
        task.add_done_callback(_ending.discard)
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_GRACE)

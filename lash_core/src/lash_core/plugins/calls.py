"""How plugins are called: together, isolated from each other and from the caller, each with a deadline (P4)."""

from __future__ import annotations

import asyncio
import logging
import opcode
import types
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import copy_context
from typing import Any, Literal

import attrs

from lash_core.plugins.own_copies import own
from lash_core.plugins.records import PluginRecord
from lash_core.plugins.watchdog import Watchdog

__all__ = ["Failed", "Handler", "ask", "call", "may_suspend", "what_happened"]

_log = logging.getLogger("lash.plugins")

#: Seconds that an implementation has to end after it was cancelled.
_GRACE = 0.1

#: What an ``await``, an ``async for`` and an ``async with`` are compiled to.
_SEND = opcode.opmap["SEND"]

#: What is said of a plugin in which Ctrl-C was pressed, or that acts as if it were; that one wish ends the command.
_STOPPED = "raised KeyboardInterrupt, which ends everything"

#: Tasks that were cancelled and have not ended; kept so that they are not collected while they run.
_ending: set[asyncio.Task[Any]] = set()


@attrs.define(eq=False)  # frozen ones take twice as long to make, and a session makes five for each part
class Handler:
    """One implementation of a hook.

    Attributes:
        record: The plugin.
        hook: The hook's name.
        function: What to call.
        suspends: Whether it may; one that cannot is run on the spot, without a task and a timer.
    """

    record: PluginRecord
    hook: str
    function: Callable[[Any], Any]
    suspends: bool = True

    def told(self, what: str) -> str:
        """Say something of it, for messages."""
        return f"{self.record.label}: {self.hook} {what}"


@attrs.frozen(eq=False)
class Failed:
    """What stands for the answer of an implementation that gave none.

    Attributes:
        reason: What happened, to be read after the hook's name.
        error: The exception, if there was one.
        outcome: The same in a word.
    """

    reason: str
    error: BaseException | None = None
    outcome: Literal["failed", "late", "cancelled"] = "failed"

    @classmethod
    def because_of(cls, error: BaseException) -> Failed:
        """Give what stands for the answer of one that raised."""
        return cls(f"failed: {what_happened(error)}", error)


def may_suspend(function: Callable[..., Any]) -> bool:
    """Tell whether a coroutine function has an await in it."""
    code = getattr(function, "__code__", None)
    return code is None or _SEND in code.co_code[::2]


def what_happened(error: BaseException) -> str:
    """Tell an error in one line; a plugin's ``sys.exit`` is one."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  its text is a stranger's code too
        return f"{type(error).__name__}, whose text cannot be told"


async def ask(handlers: Sequence[Handler], context: object, deadline: float | None, watchdog: Watchdog) -> list[Any]:
    """Call implementations and wait until each has ended or missed the deadline.

    Each gets a context of its own: what one does to it, no other one sees.

    Returns:
        Their answers in the order of the handlers, `Failed` for those that gave none. Raises nothing of theirs.
    """
    tasks: dict[asyncio.Task[Any], int] = {}
    answers: list[Any] = [None] * len(handlers)
    mine = own(context)
    for position, handler in enumerate(handlers):
        if handler.suspends:
            tasks[asyncio.ensure_future(_in_task(handler, mine, watchdog))] = position
        else:
            answers[position] = _at_once(handler, mine, watchdog)
        if mine is not context:
            mine = own(context)
    if tasks:
        try:
            _, late = await asyncio.wait(tasks, timeout=deadline)
        except asyncio.CancelledError:
            await _end({task: handlers[position] for task, position in tasks.items()})
            raise
        await _end({task: handlers[tasks[task]] for task in late})
        for task, position in tasks.items():
            answers[position] = _missed(deadline) if task in late else task.result()
    return answers


def call(handler: Handler, context: object, watchdog: Watchdog) -> Any:
    """Call a plain function; its answer, or `Failed`."""
    before = watchdog.enter(handler)
    try:
        return handler.function(own(context))
    except KeyboardInterrupt:
        _log.error("%s", handler.told(_STOPPED))
        raise
    except BaseException as error:  # noqa: BLE001  a plugin's sys.exit must not end the host
        return Failed.because_of(error)
    finally:
        watchdog.leave(before)


_CANCELLED = Failed("cancelled itself", outcome="cancelled")


def _missed(deadline: float | None) -> Failed:
    return Failed(f"missed its deadline of {deadline:g} s and was cancelled", outcome="late")


def _at_once(handler: Handler, context: object, watchdog: Watchdog) -> Any:
    """Run a coroutine that has no await, and so ends with its first step."""
    before = watchdog.enter(handler)
    try:
        copy_context().run(handler.function(context).send, None)
    except StopIteration as done:
        return done.value
    except KeyboardInterrupt:
        _log.error("%s", handler.told(_STOPPED))
        raise
    except asyncio.CancelledError:
        return _CANCELLED
    except BaseException as error:  # noqa: BLE001  as above
        return Failed.because_of(error)
    finally:
        watchdog.leave(before)
    raise AssertionError(handler.told("has no await, and suspended"))


async def _in_task(handler: Handler, context: object, watchdog: Watchdog) -> Any:
    try:
        return await _steps(handler.function(context), handler, watchdog)
    except KeyboardInterrupt:
        _log.error("%s", handler.told(_STOPPED))
        raise
    except GeneratorExit:
        raise
    except asyncio.CancelledError:  # where `ask` cancelled it, nobody looks at this any more
        return _CANCELLED
    except BaseException as error:  # noqa: BLE001  as above
        return Failed.because_of(error)


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
        except GeneratorExit as error:
            if isinstance(thrown, GeneratorExit):  # the loop closes what never ends
                raise
            return Failed.because_of(error)
        finally:
            watchdog.leave(before)
        try:
            yield waiting
            thrown = None
        except BaseException as error:  # noqa: BLE001  a cancellation, for the coroutine to see
            thrown = error


async def _end(tasks: Mapping[asyncio.Task[Any], Handler]) -> None:
    """Cancel tasks and give them a moment; who ignores it goes on alone, and is named."""
    for task in tasks:
        _ending.add(task)
        task.add_done_callback(_ending.discard)
        task.cancel()
    if tasks:
        _, going_on = await asyncio.wait(tasks, timeout=_GRACE)
        for task in going_on:
            _log.error("%s", tasks[task].told("was cancelled, does not end, and goes on alone"))

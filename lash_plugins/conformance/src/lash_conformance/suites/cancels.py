"""Callers that are cancelled (S4): whatever they called is done or not, and calling again tells."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal

import pytest
from lash_conformance.build import Author
from lash_conformance.clauses import Clauses
from lash_conformance.deeds import OPERATIONS, go_on, prepare
from lash_conformance.place import Place

__all__ = ["CancelClauses"]

#: When the cancellation arrives: as soon as the call waits, or together with what it waits for.
Moment = Literal["at once", "with the answer"]


class _Watched:
    """Awaits a coroutine, and tells when it waits for the n-th time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int, reached: Callable[[Any], None]) -> None:
        self._coroutine, self._number, self._reached = coroutine, number, reached

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        thrown: BaseException | None = None
        for number in itertools.count():
            try:
                waits_for = steps.throw(thrown) if thrown else steps.send(None)
            except StopIteration as stop:
                return stop.value
            if number == self._number:
                self._reached(waits_for)
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  it belongs to the coroutine
                thrown = error
            else:
                thrown = None
        raise AssertionError


async def break_off(call: Coroutine[Any, Any, Any], number: int, moment: Moment) -> bool:
    """Cancel a call where it waits for the n-th time; ``False`` when it does not wait so often."""
    loop = asyncio.get_running_loop()
    is_reached = False

    def reached(waits_for: Any) -> None:
        nonlocal is_reached
        is_reached = True
        if moment == "with the answer" and asyncio.isfuture(waits_for):
            waits_for.add_done_callback(lambda _: task.cancel())
        else:
            loop.call_soon(task.cancel)

    async def watched() -> None:
        await _Watched(call, number, reached)

    task = loop.create_task(watched())
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is not None:
        await task
    return is_reached


class CancelClauses(Clauses, level="core"):
    """Callers that are cancelled (S4): whatever they called is done or not, and calling again tells."""

    @pytest.mark.parametrize("moment", ["at once", "with the answer"])
    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_S4_replay__cancelled_at_any_await_an_operation_is_done_or_not(
        self, author: Author, place: Place, operation: str, moment: Moment
    ) -> None:
        does = OPERATIONS[operation]
        if does.needs not in author.backend.capabilities.levels:
            pytest.skip(f"does not apply: level {does.needs} not declared")
        is_reached = True
        for number in itertools.count():
            each = Author(author.backend, f"chat-{number}")
            async with asyncio.timeout(place.patience):
                await prepare(each)
                is_reached = await break_off(does.do(each), number, moment)  # type: ignore[arg-type]
                if not is_reached:
                    break
                if does.repeatable or not await does.check(each):
                    await does.do(each)
                assert await does.check(each)
                await go_on(each)

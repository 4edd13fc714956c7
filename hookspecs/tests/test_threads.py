"""Work in a thread, and callers that are cancelled (S4)."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from lash_hookspecs.threads import in_thread

asked_by = contextvars.ContextVar("asked_by", default="nobody")


class Work:
    """Work that has begun once ``begun`` is set, ends when it is let, and then says so."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()
        self.has_ended = False
        self.ending: Callable[[], None] = lambda: None

    def __call__(self) -> str:
        self.begun.set()
        assert self.let.wait(30)
        self.has_ended = True
        self.ending()
        return "done"


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    each = Work()
    yield each
    each.let.set()


async def turns_of_the_loop(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def begun(work: Work) -> asyncio.Task[str]:
    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(work.begun.wait, 30)
    return task


async def test_the_work_gets_its_arguments_and_the_context_and_its_answer_comes_back() -> None:
    asked_by.set("ann")

    def told(first: int, *, second: int) -> tuple[int, str, bool]:
        return first + second, asked_by.get(), threading.current_thread() is threading.main_thread()

    assert await in_thread(told, 1, second=2) == (3, "ann", False)


async def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(int, "one")


async def test_a_caller_that_is_cancelled_hears_of_it_when_the_work_has_ended(work: Work) -> None:
    task = await begun(work)
    task.cancel("enough")
    await turns_of_the_loop()
    assert not task.done()
    work.let.set()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    assert work.has_ended


async def test_a_caller_that_is_cancelled_again_and_again_waits_too(work: Work) -> None:
    task = await begun(work)
    for _ in range(3):
        task.cancel()
        await turns_of_the_loop()
        assert not task.done()
    work.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.has_ended


async def test_a_loop_that_cancels_all_its_tasks_does_not_leave_the_work_behind(work: Work) -> None:
    task = await begun(work)
    for each in asyncio.all_tasks() - {asyncio.current_task()}:
        each.cancel()
    await turns_of_the_loop()
    assert not task.done()
    work.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.has_ended


async def test_a_deadline_is_told_when_the_work_has_ended(work: Work) -> None:
    async def within_a_deadline() -> str:
        async with asyncio.timeout(0):
            asyncio.get_running_loop().call_later(0, work.let.set)
            return await in_thread(work)

    with pytest.raises(TimeoutError):
        await within_a_deadline()
    assert work.has_ended


async def test_what_the_work_of_a_cancelled_caller_raises_is_nobodys_concern(work: Work) -> None:
    def fails() -> None:
        raise ValueError("too late")

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    work.ending = fails
    task = await begun(work)
    task.cancel()
    await turns_of_the_loop()
    work.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await turns_of_the_loop()
    assert told == []

"""Hidden tasks: waited for together, no error lost, each runtime its own (invariant 62)."""

from __future__ import annotations

import asyncio
import logging

import pytest
from lash_hookspecs.errors import SessionError
from task_scene import EVERYTHING, Scene, until


async def test_all_are_waited_for_those_that_they_start_included(scene: Scene) -> None:
    tasks = await scene.tasks()
    done: list[str] = []
    go = asyncio.Event()

    async def first() -> None:
        await go.wait()
        tasks.start_hidden(second)
        done.append("first")

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    tasks.start_hidden(first)
    waiting = asyncio.create_task(tasks.wait_hidden())
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    await waiting
    assert done == ["first", "second"]
    assert await tasks.list(EVERYTHING) == []
    await tasks.wait_hidden()


async def test_every_error_is_reported_and_only_once(scene: Scene) -> None:
    tasks = await scene.tasks()
    finished = asyncio.Event()

    async def fails(text: str) -> None:
        raise ValueError(text)

    async def succeeds() -> None:
        finished.set()

    tasks.start_hidden(lambda: fails("one"), name="title")
    tasks.start_hidden(succeeds)
    tasks.start_hidden(lambda: fails("two"))
    with pytest.raises(ExceptionGroup) as failed:
        await tasks.wait_hidden()
    assert failed.value.message == "2 hidden tasks of session 's' failed"
    assert [str(each) for each in failed.value.exceptions] == ["one", "two"]
    assert failed.value.exceptions[0].__notes__ == ["in the hidden task title of session 's'"]
    assert finished.is_set()
    await tasks.wait_hidden()


async def test_another_runtime_of_the_session_waits_for_its_own_only(scene: Scene) -> None:
    await scene.commit()
    host = scene.host()
    one, other = scene.open(host), scene.open(host)
    go = asyncio.Event()
    one.start_hidden(go.wait)
    await other.wait_hidden()
    waiting = asyncio.create_task(one.wait_hidden())
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    await waiting


async def test_closing_cancels_them_and_logs_errors_that_nobody_asked_for(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = await scene.tasks()
    cancelled = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def fails() -> None:
        raise ValueError("nobody asked")

    tasks.start_hidden(endless)
    tasks.start_hidden(fails)
    await until(lambda: tasks._hidden._errors)
    with caplog.at_level(logging.ERROR, "lash.tasks"):
        await tasks.close()
    assert cancelled.is_set()
    assert caplog.messages == ["a hidden task of session 's' failed: nobody asked"]
    with pytest.raises(SessionError) as closed:
        tasks.start_hidden(endless)
    assert str(closed.value) == "session 's' was closed; open it again to start tasks"


async def test_a_hidden_task_may_wait_for_the_others(scene: Scene) -> None:
    tasks = await scene.tasks()
    order: list[str] = []

    async def last() -> None:
        await tasks.wait_hidden()
        order.append("last")

    async def one() -> None:
        order.append("one")

    tasks.start_hidden(last)
    tasks.start_hidden(one)
    await tasks.wait_hidden()
    assert order == ["one", "last"]

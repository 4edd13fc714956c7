"""Work beside the turns, and a runtime that waits for it (H2)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs import FunctionTools
from lash_hookspecs.protocols.tasks import TaskContext
from lash_hookspecs.records.tasks import TaskRegistration
from lash_hookspecs.records.turn import TurnInput

from lash_core import LashRuntime, LocalTaskHost, RuntimeEnvironment, SessionSpec, tool


@tool(kind="read_only")
def look() -> str:
    """Look."""
    return "seen"


def environment(backend: MemoryBackend) -> RuntimeEnvironment:
    plugins = PluginManager.discover(builtins=BUILTINS)
    tools = FunctionTools([look])
    return RuntimeEnvironment(
        plugins=plugins, store=backend, tools=tools, tool_sets=(), tasks=LocalTaskHost(), root=Path()
    )


SPEC = SessionSpec(session_id="s", model="offline")


async def test_what_hidden_work_changed_is_kept_when_it_was_waited_for() -> None:
    backend = MemoryBackend()
    runtime = await LashRuntime.from_environment(environment(backend), SPEC)
    await runtime.turn(TurnInput(text="Hello"))
    assert runtime.tasks is not None

    async def hide() -> None:
        runtime.set_tool_availability(["look"], "off")

    runtime.tasks.start_hidden(hide)
    await runtime.await_background_work()
    elsewhere = await LashRuntime.from_environment(environment(backend), SPEC)
    assert elsewhere.session.parts.registry["look"].override == "off"


async def test_every_error_of_hidden_work_is_told() -> None:
    runtime = await LashRuntime.from_environment(environment(MemoryBackend()), SPEC)
    assert runtime.tasks is not None

    async def breaks() -> None:
        raise ValueError("one")

    async def breaks_too() -> None:
        raise KeyError("two")

    runtime.tasks.start_hidden(breaks)
    runtime.tasks.start_hidden(breaks_too)
    with pytest.raises(ExceptionGroup) as caught:
        await runtime.await_background_work()
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == ["KeyError", "ValueError"]
    await runtime.await_background_work()


async def test_without_a_task_host_there_is_nothing_to_wait_for() -> None:
    runtime = await LashRuntime.from_environment(environment(MemoryBackend()).evolve(tasks=None), SPEC)
    assert runtime.tasks is None
    await runtime.await_background_work()


async def test_the_tasks_of_a_session_that_is_deleted_are_cancelled_and_no_later_one_has_them() -> None:
    env = environment(MemoryBackend())
    runtime = await LashRuntime.from_environment(env, SPEC)
    await runtime.turn(TurnInput(text="Hello"))
    begun, ended = asyncio.Event(), asyncio.Event()

    async def works(context: TaskContext) -> None:
        begun.set()
        await context.cancelled.wait()
        ended.set()

    assert runtime.tasks is not None
    await runtime.tasks.start(TaskRegistration(task_id="t", close_policy="keep"), works)
    await begun.wait()
    await runtime.delete()
    await asyncio.wait_for(ended.wait(), 5)
    reborn = await LashRuntime.from_environment(env, SPEC)
    await reborn.turn(TurnInput(text="Hello"))
    for each in (runtime, reborn):
        assert each.tasks is not None
        assert await each.tasks.list() == []
    assert reborn.tasks is not None
    assert (await reborn.tasks.start(TaskRegistration(task_id="t"), works)).state == "pending"
    await runtime.close()
    await reborn.close()
    assert env.tasks is not None
    await env.tasks.close()

"""The fake task host does what the protocol says: tasks start, fail again, are cancelled, wait and change hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from lash_hookspecs.errors import InvalidInput, SessionError, SessionMissing, TaskExists, TaskMissing
from lash_hookspecs.protocols.tasks import AttachedTasks, TaskContext, TaskHost
from lash_hookspecs.records.tasks import TaskFilter, TaskRegistration
from lash_hookspecs.testing import FakeStore, FakeTaskHost, FakeTasks

ALL = TaskFilter(include_terminal=True)


def tasks_of(host: FakeTaskHost, session_id: str = "s") -> FakeTasks:
    return host.attach(session_id, FakeStore().session(session_id))


def failing(times: int) -> Callable[[TaskContext], Coroutine[Any, Any, str]]:
    async def work(context: TaskContext) -> str:
        context.progress(f"attempt {context.attempt} with {context.idempotency_key}")
        if context.attempt <= times:
            raise OSError("the line is busy")
        return "done"

    return work


async def rests(context: TaskContext) -> None:
    await context.cancelled.wait()


async def test_work_is_tried_again_and_its_last_failure_is_told() -> None:
    tasks: AttachedTasks = tasks_of(FakeTaskHost())
    begun = await tasks.start(TaskRegistration(kind="monitor", max_attempts=2), failing(1))
    assert (begun.state, begun.task_id) == ("pending", "monitor-1")
    ended = await tasks.wait(begun.task_id)
    assert (ended.state, ended.result, ended.attempt) == ("completed", "done", 2)
    assert ended.progress == "attempt 2 with instance-1"
    other = await tasks.start(TaskRegistration(max_attempts=2), failing(2))
    assert (await tasks.wait(other.task_id)).failure == "OSError: the line is busy"
    assert [record.state for record in await tasks.list(ALL)] == ["completed", "failed"]
    assert await tasks.list() == []


@pytest.mark.parametrize("policy", ["cooperative", "abort", "external"])
async def test_a_task_is_cancelled_as_its_policy_says_and_once(policy: Any) -> None:
    tasks, asked = tasks_of(FakeTaskHost()), list[str | None]()

    async def on_cancel(reason: str | None) -> None:
        asked.append(reason)

    registration = TaskRegistration(task_id="t", cancel_policy=policy)
    await tasks.start(registration, rests, on_cancel=on_cancel if policy == "external" else None)
    await asyncio.sleep(0)
    await tasks.request_cancel("t", "enough")
    ended = await tasks.wait("t")
    assert ended.state == "cancelled"
    assert await tasks.request_cancel("t", "again") == ended
    assert asked == (["enough"] if policy == "external" else [])


async def test_what_cannot_be_is_refused() -> None:
    host = FakeTaskHost()
    tasks = tasks_of(host)
    await tasks.register(TaskRegistration(task_id="t"))
    with pytest.raises(TaskExists):
        await tasks.register(TaskRegistration(task_id="t"))
    with pytest.raises(TaskMissing):
        await tasks.get("u")
    with pytest.raises(InvalidInput):
        await tasks.start(TaskRegistration(cancel_policy="external"), rests)
    with pytest.raises(InvalidInput):
        await tasks.update("t", state="completed")  # type: ignore[arg-type]
    with pytest.raises(SessionMissing):
        host.attached("nobody")
    await tasks.close()
    with pytest.raises(SessionError):
        await tasks.register(TaskRegistration())


async def test_readers_hear_what_happens_until_they_are_closed() -> None:
    host = FakeTaskHost()
    tasks = tasks_of(host)
    async with tasks.subscribe(TaskFilter(kind="monitor")) as reader:
        await tasks.register(TaskRegistration(task_id="t", kind="monitor"))
        await tasks.register(TaskRegistration(task_id="u"))
        await tasks.update("t", progress="half")
        await tasks.complete("t", result="all")
        await tasks.complete("t", "failed")
    assert [event.type async for event in reader] == ["registered", "progress", "ended"]
    assert (await tasks.get("t")).state == "completed"


async def test_tasks_change_hands_and_closing_applies_the_policies() -> None:
    host: TaskHost = FakeTaskHost()
    assert isinstance(host, FakeTaskHost)
    one, other = tasks_of(host, "one"), tasks_of(host, "other")
    await one.start(TaskRegistration(task_id="goes", close_policy="transfer", transfer_to="other"), rests)
    await one.start(TaskRegistration(task_id="stays"), rests)
    await one.start(TaskRegistration(task_id="ends", close_policy="cancel"), rests)
    await asyncio.sleep(0)
    await one.close()
    await one.close()
    assert [(record.task_id, record.state) for record in await host.list(ALL)] == [
        ("stays", "running"),
        ("ends", "cancelled"),
        ("goes", "running"),
    ]
    await host.close()
    assert {record.state for record in await other.list(ALL)} == {"interrupted"}


async def test_hidden_tasks_are_waited_for_and_their_errors_told() -> None:
    tasks = tasks_of(FakeTaskHost())

    async def fails() -> None:
        raise OSError("the line is busy")

    tasks.start_hidden(fails, name="observer")
    with pytest.raises(ExceptionGroup, match="hidden tasks of session 's' failed"):
        await tasks.wait_hidden()
    assert await tasks.list(ALL) == []

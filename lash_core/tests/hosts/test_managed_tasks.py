"""Work that a host runs: attempts, results, cancel policies (invariants 58, 59)."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_hookspecs.errors import InvalidInput, SessionError, SessionMissing, TaskExists
from lash_hookspecs.protocols.tasks import TaskContext, TaskHost
from lash_hookspecs.records.tasks import Gap, TaskEnded, TaskFilter, TaskProgress
from task_scene import EVERYTHING, Scene, Work, named, states, until


async def fail(context: TaskContext) -> str:
    raise ValueError(f"attempt {context.attempt} was bad")


async def test_a_task_is_listed_and_ends_when_its_work_returns(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    record = await tasks.start(named("t", kind="monitor", producer="me", child_session_id="c"), work)
    assert record.holder is not None
    await work.begun.wait()
    running = await tasks.get("t")
    assert (running.state, running.attempt, running.kind, running.child_session_id) == ("running", 1, "monitor", "c")
    context = work.contexts[0]
    assert (context.task_id, context.session_id, context.attempt) == ("t", "s", 1)
    assert context.idempotency_key == record.idempotency_key
    work.go.set()
    done = await tasks.wait("t")
    assert (done.state, done.result, done.failure, done.attempt) == ("completed", "done", None, 1)


async def test_a_failure_keeps_its_text(scene: Scene) -> None:
    tasks = await scene.tasks()
    await tasks.start(named("t"), fail)
    failed = await tasks.wait("t")
    assert (failed.state, failed.failure, failed.result) == ("failed", "ValueError: attempt 1 was bad", None)


async def test_every_change_is_published_the_end_included(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    async with tasks.subscribe() as events:
        await tasks.start(named("t"), work)
        await work.begun.wait()
        work.contexts[0].progress("half")
        await work.contexts[0].mark("waiting", "for a friend")
        work.go.set()
        await tasks.wait("t")
        told = [await anext(events) for _ in range(5)]
    assert [event.type for event in told] == ["registered", "state_changed", "progress", "state_changed", "ended"]
    end = told[-1]
    assert isinstance(end, TaskEnded)
    assert (end.session_id, end.task_id, end.state, end.result) == ("s", "t", "completed", "done")


async def test_a_live_duplicate_is_refused_before_its_work_begins(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    await tasks.start(named("t"), work)
    await work.begun.wait()
    second = Work()
    with pytest.raises(TaskExists) as exists:
        await tasks.start(named("t"), second)
    assert str(exists.value) == "session 's' has a task 't' already, and it is running"
    assert not second.begun.is_set()


async def test_what_fails_is_run_again_with_the_same_key_until_it_succeeds(scene: Scene) -> None:
    tasks = await scene.tasks()
    seen: list[tuple[int, str]] = []

    async def third_time_lucky(context: TaskContext) -> str:
        seen.append((context.attempt, context.idempotency_key))
        if context.attempt < 3:
            raise OSError("not yet")
        return "at last"

    await tasks.start(named("t", max_attempts=5, idempotency_key="key"), third_time_lucky)
    await until(lambda: any(seconds == 1.0 for _, seconds, _ in scene.time.sleepers))
    await until(lambda: tasks._log.records()["t"].state == "waiting")
    waiting = await tasks.get("t")
    assert (waiting.attempt, waiting.max_attempts) == (1, 5)
    assert waiting.reason == "attempt 1 of 5 failed: OSError: not yet"
    scene.time.forward(1.0)
    await scene.time.pass_by(2.0)
    done = await tasks.wait("t")
    assert (done.state, done.result, done.attempt, done.failure) == ("completed", "at last", 3, None)
    assert seen == [(1, "key"), (2, "key"), (3, "key")]


async def test_the_last_failure_is_the_tasks(scene: Scene) -> None:
    tasks = await scene.tasks(retry_wait=lambda attempt: 7.0)
    await tasks.start(named("t", max_attempts=2), fail)
    await scene.time.pass_by(7.0)
    failed = await tasks.wait("t")
    assert (failed.failure, failed.reason) == ("ValueError: attempt 2 was bad", "all 2 attempts failed")


async def test_a_task_is_cancelled_while_it_waits_for_its_next_attempt(scene: Scene) -> None:
    tasks = await scene.tasks(retry_wait=lambda attempt: 7.0)
    await tasks.start(named("t", max_attempts=2), fail)
    await until(lambda: any(seconds == 7.0 for _, seconds, _ in scene.time.sleepers))
    await tasks.request_cancel("t")
    cancelled = await tasks.wait("t")
    assert (cancelled.state, cancelled.attempt, cancelled.reason) == ("cancelled", 1, "cancelled")


async def test_cooperative_work_is_asked_and_ends_by_itself(scene: Scene) -> None:
    tasks = await scene.tasks()
    begun = asyncio.Event()

    async def polite(context: TaskContext) -> str:
        begun.set()
        await context.cancelled.wait()
        return "half of it"

    await tasks.start(named("t"), polite)
    await begun.wait()
    asked = await tasks.request_cancel("t", "enough")
    assert asked.state == "cancel_requested"
    cancelled = await tasks.wait("t")
    assert (cancelled.state, cancelled.reason, cancelled.result) == ("cancelled", "cancelled: enough", "half of it")


async def test_cooperative_work_that_does_not_listen_is_aborted_after_the_grace_period(
    scene: Scene, work: Work
) -> None:
    tasks = await scene.tasks(grace=30.0)
    await tasks.start(named("t"), work)
    await work.begun.wait()
    await tasks.request_cancel("t")
    assert work.contexts[0].cancelled.is_set()
    await until(lambda: any(seconds == 30.0 for _, seconds, _ in scene.time.sleepers))
    assert work.aborted == 0
    await scene.time.pass_by(30.0)
    assert (await tasks.wait("t")).state == "cancelled"
    assert work.aborted == 1


async def test_work_with_policy_abort_is_aborted_at_once(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    await tasks.start(named("t", cancel_policy="abort"), work)
    await work.begun.wait()
    await tasks.request_cancel("t", "now")
    cancelled = await tasks.wait("t")
    assert (cancelled.state, cancelled.reason, work.aborted) == ("cancelled", "cancelled: now", 1)


async def test_work_that_swallows_its_abortion_is_aborted_again(scene: Scene) -> None:
    tasks = await scene.tasks(grace=5.0)
    begun, swallowed = asyncio.Event(), asyncio.Event()

    async def stubborn(context: TaskContext) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.Event().wait()

    await tasks.start(named("t", cancel_policy="abort"), stubborn)
    await begun.wait()
    await tasks.request_cancel("t")
    await swallowed.wait()
    assert (await tasks.get("t")).state == "cancel_requested"
    await scene.time.pass_by(5.0)
    assert (await tasks.wait("t")).state == "cancelled"


async def test_external_work_is_stopped_by_its_callback_once(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    calls: list[str | None] = []

    async def stop(reason: str | None) -> None:
        calls.append(reason)
        work.go.set()

    await tasks.start(named("t", cancel_policy="external"), work, on_cancel=stop)
    await work.begun.wait()
    await tasks.request_cancel("t", "enough")
    await tasks.request_cancel("t", "again")
    assert (await tasks.wait("t")).state == "cancelled"
    assert (calls, work.aborted) == (["enough"], 0)


async def test_a_callback_is_not_cut_short_when_the_work_ends_before_it(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    told: list[str] = []

    async def stop(reason: str | None) -> None:
        work.go.set()
        await until(lambda: work.done)
        told.append("stopped")

    await tasks.start(named("t", cancel_policy="external"), work, on_cancel=stop)
    await work.begun.wait()
    await tasks.request_cancel("t")
    assert (await tasks.wait("t")).state == "cancelled"
    assert told == ["stopped"]


async def test_a_registered_task_is_cancelled_when_its_callback_returns(scene: Scene) -> None:
    tasks = await scene.tasks()
    calls: list[str | None] = []

    async def stop(reason: str | None) -> None:
        calls.append(reason)

    record = await tasks.register(named("t"), on_cancel=stop)
    assert record.cancel_policy == "external"
    await tasks.request_cancel("t", "enough")
    await tasks.request_cancel("t", "again")
    cancelled = await tasks.wait("t")
    assert (cancelled.state, cancelled.reason, calls) == ("cancelled", "cancelled: enough", ["enough"])


async def test_a_callback_that_fails_leaves_the_request_and_says_why(scene: Scene) -> None:
    tasks = await scene.tasks()

    async def stop(reason: str | None) -> None:
        raise OSError("nobody answers")

    await tasks.register(named("t"), on_cancel=stop)
    await tasks.request_cancel("t")
    await until(lambda: tasks._log.records()["t"].reason is not None)
    record = await tasks.get("t")
    assert (record.state, record.reason) == ("cancel_requested", "its cancel callback failed: OSError: nobody answers")
    assert (await tasks.complete("t", "failed", failure="lost")).state == "failed"


async def test_a_callback_belongs_to_the_external_policy(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()

    async def stop(reason: str | None) -> None:
        raise AssertionError

    with pytest.raises(InvalidInput, match="'external'; this one has 'abort'"):
        await tasks.start(named("t", cancel_policy="abort"), work, on_cancel=stop)
    with pytest.raises(InvalidInput, match="this one has 'external'"):
        await tasks.start(named("t", cancel_policy="external"), work)


async def test_all_live_tasks_are_cancelled_together(scene: Scene) -> None:
    tasks = await scene.tasks()
    works = {task_id: Work() for task_id in "abc"}
    for task_id, each in works.items():
        await tasks.start(named(task_id, cancel_policy="abort"), each)
        await each.begun.wait()
    works["a"].go.set()
    await tasks.wait("a")
    assert states(await tasks.cancel_all("stop")) == {"b": "cancel_requested", "c": "cancel_requested"}
    for task_id in "bc":
        await tasks.wait(task_id)
    assert states(await tasks.list(EVERYTHING)) == {"a": "completed", "b": "cancelled", "c": "cancelled"}


async def test_work_that_cancels_itself_is_cancelled(scene: Scene) -> None:
    tasks = await scene.tasks()

    async def gives_up(context: TaskContext) -> None:
        raise asyncio.CancelledError

    await tasks.start(named("t", max_attempts=3), gives_up)
    record = await tasks.wait("t")
    assert (record.state, record.reason) == ("cancelled", "it cancelled itself")


async def test_work_that_somebody_else_completes_is_stopped(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    await tasks.start(named("t"), work)
    await work.begun.wait()
    done = await tasks.complete("t", result="by hand")
    before = await scene.rows()
    await until(lambda: work.aborted)
    await until(lambda: not tasks._pool.jobs)
    assert await tasks.get("t") == done
    assert await scene.rows() == before, "and says nothing of it"


async def test_a_closed_host_interrupts_what_runs_and_leaves_nothing_behind(scene: Scene, work: Work) -> None:
    before = asyncio.all_tasks()
    host = scene.host()
    await scene.commit()
    tasks = scene.open(host)
    await tasks.start(named("t", max_attempts=3), work)
    tasks.start_hidden(asyncio.Event().wait)
    await work.begun.wait()
    await host.close()
    await host.close()
    assert asyncio.all_tasks() == before
    (record,) = await scene.open(scene.host()).list(EVERYTHING)
    assert (record.state, record.reason) == ("interrupted", "its task host was closed")
    with pytest.raises(SessionError) as closed:
        await tasks.start(named("u"), work)
    assert str(closed.value) == "session 's' was closed; open it again to start tasks"
    with pytest.raises(SessionMissing) as missing:
        host.attached("s")
    assert str(missing.value) == "session 's' is not open in this task host"


async def test_a_closed_host_ends_work_that_swallows_its_first_abortion(scene: Scene) -> None:
    before = asyncio.all_tasks()
    await scene.commit()
    host = scene.host(grace=0.01)
    tasks = scene.open(host)
    begun = asyncio.Event()

    async def stubborn(context: TaskContext) -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    await tasks.start(named("t"), stubborn)
    await begun.wait()
    await host.close()
    assert asyncio.all_tasks() == before


async def test_a_slow_reader_loses_the_oldest_events_and_is_told(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    await tasks.start(named("t"), work)
    await work.begun.wait()
    async with tasks.subscribe() as events:
        for number in range(300):
            work.contexts[0].progress(f"line {number}")
        gap, first = await anext(events), await anext(events)
    assert gap == Gap(missed=44)
    assert isinstance(first, TaskProgress)
    assert first.text == "line 44"


async def test_readers_hear_of_their_session_and_kind_and_end_with_it(scene: Scene) -> None:
    host = scene.host()
    for session_id in ("s", "t"):
        await scene.commit(session_id)
    one, other = scene.open(host, "s"), scene.open(host, "t")
    mine, monitors, all_of_host = one.subscribe(), one.subscribe(TaskFilter(kind="monitor")), host.subscribe()
    await one.register(named("a"))
    await other.register(named("b"))
    await one.register(named("c", kind="monitor"))
    await one.close()
    assert [getattr(event, "task_id", None) async for event in mine] == ["a", "c"]
    assert [getattr(event, "task_id", None) async for event in monitors] == ["c"]
    await host.close()
    assert [getattr(event, "task_id", None) async for event in all_of_host] == ["a", "b", "c"]


async def test_a_reader_that_nobody_holds_is_forgotten(scene: Scene) -> None:
    tasks = await scene.tasks()
    held = tasks.subscribe()
    tasks.subscribe()
    await tasks.register(named("t"))
    assert list(tasks._readers) == [held]


def test_the_host_is_what_the_protocol_says() -> None:
    host: TaskHost = LocalTaskHost()
    assert isinstance(host, TaskHost)
    assert host.name == "local"

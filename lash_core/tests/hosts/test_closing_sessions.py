"""What becomes of tasks when their session is parked, closed, resumed; transfers (invariant 61)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from lash_hookspecs.errors import SessionMissing, TaskError, TaskExists, TaskMissing
from lash_hookspecs.records.tasks import TaskFilter
from task_scene import EVERYTHING, Scene, Work, named, states


async def test_what_is_kept_runs_on_and_the_resumed_session_sees_it_end(scene: Scene, work: Work) -> None:
    await scene.commit()
    host = scene.host()
    parked = scene.open(host)
    await parked.start(named("t"), work)
    await work.begun.wait()
    await parked.close()
    await parked.close()
    resumed = scene.open(host)
    assert states(await resumed.list()) == {"t": "running"}
    events = resumed.subscribe()
    work.go.set()
    assert (await resumed.wait("t")).result == "done"
    assert (await anext(events)).type == "ended"


async def test_a_resumed_session_can_cancel_what_its_former_runtime_started(scene: Scene, work: Work) -> None:
    await scene.commit()
    host = scene.host()
    parked = scene.open(host)
    await parked.start(named("t", cancel_policy="abort"), work)
    await work.begun.wait()
    await parked.close()
    resumed = scene.open(host)
    await resumed.request_cancel("t")
    assert (await resumed.wait("t")).state == "cancelled"


async def test_what_shall_be_cancelled_has_ended_when_the_session_is_closed(scene: Scene, work: Work) -> None:
    await scene.commit()
    host = scene.host()
    tasks = scene.open(host)
    await tasks.start(named("t", close_policy="cancel", cancel_policy="abort"), work)
    await work.begun.wait()
    await tasks.close()
    (record,) = await scene.open(host).list(EVERYTHING)
    assert (record.state, record.reason) == ("cancelled", "cancelled: the session was closed")
    assert work.aborted == 1


async def test_work_elsewhere_is_asked_to_stop_when_the_session_is_closed(scene: Scene) -> None:
    await scene.commit()
    host = scene.host()
    tasks = scene.open(host)
    calls: list[str | None] = []

    async def stop(reason: str | None) -> None:
        calls.append(reason)

    await tasks.register(named("called", close_policy="cancel"), on_cancel=stop)
    await tasks.register(named("told", close_policy="cancel"))
    await tasks.register(named("kept"))
    await tasks.close()
    assert calls == ["the session was closed"]
    assert states(await scene.open(host).list(EVERYTHING)) == {
        "called": "cancelled",
        "told": "cancel_requested",
        "kept": "pending",
    }


async def test_what_another_process_runs_is_not_touched_by_closing(scene: Scene, work: Work) -> None:
    theirs, mine = await scene.tasks(), await scene.tasks()
    await theirs.start(named("t", close_policy="cancel"), work)
    await work.begun.wait()
    await mine.close()
    assert (await theirs.get("t")).state == "running"


async def test_closing_hands_tasks_over_to_the_session_that_they_name(scene: Scene, work: Work) -> None:
    for session_id in ("s", "next"):
        await scene.commit(session_id)
    host = scene.host()
    tasks = scene.open(host)
    await tasks.start(named("t", close_policy="transfer", transfer_to="next"), work)
    await work.begun.wait()
    await tasks.close()
    following = scene.open(host, "next")
    assert states(await following.list()) == {"t": "running"}
    assert work.contexts[0].session_id == "next"
    assert await scene.open(host).list(EVERYTHING) == []
    work.contexts[0].progress("still here")
    work.go.set()
    done = await following.wait("t")
    assert (done.state, done.session_id, done.progress) == ("completed", "next", "still here")


async def test_a_task_whose_next_session_is_missing_is_kept(
    scene: Scene, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.commit()
    host = scene.host()
    tasks = scene.open(host)
    await tasks.start(named("t", close_policy="transfer", transfer_to="next"), work)
    await work.begun.wait()
    with caplog.at_level(logging.WARNING, "lash.tasks"):
        await tasks.close()
    assert caplog.messages == ["closing the tasks of session 's': session 'next' does not exist; no task was moved"]
    assert states(await scene.open(host).list()) == {"t": "running"}


async def test_transfer_moves_what_is_live_and_events_say_so(scene: Scene, work: Work) -> None:
    for session_id in ("s", "next"):
        await scene.commit(session_id)
    host = scene.host()
    tasks, following = scene.open(host), scene.open(host, "next")
    await tasks.start(named("a"), work)
    await work.begun.wait()
    await tasks.register(named("b"))
    await tasks.register(named("ended"))
    await tasks.complete("ended")
    gone, come = tasks.subscribe(), following.subscribe()
    moved = await tasks.transfer(["a", "b", "ended"], "next")
    assert [(record.task_id, record.session_id) for record in moved] == [("a", "next"), ("b", "next"), ("ended", "s")]
    assert states(await following.list()) == {"a": "running", "b": "pending"}
    assert states(await tasks.list(EVERYTHING)) == {"ended": "completed"}
    assert [(await anext(gone)).type for _ in range(2)] == ["transferred", "transferred"]
    assert [(await anext(come)).type for _ in range(2)] == ["registered", "registered"]
    await following.request_cancel("a")
    assert work.contexts[0].cancelled.is_set()


async def test_a_transfer_that_cannot_be_moves_nothing(scene: Scene, work: Work) -> None:
    for session_id in ("s", "next"):
        await scene.commit(session_id)
    tasks = await scene.tasks()
    following, elsewhere = await scene.tasks("next"), await scene.tasks()
    await tasks.register(named("a"))
    await tasks.register(named("clash"))
    await following.register(named("clash"))
    await elsewhere.start(named("far"), work)
    await work.begun.wait()
    with pytest.raises(TaskExists) as exists:
        await tasks.transfer(["a", "clash"], "next")
    assert str(exists.value) == "session 'next' has a task 'clash' already, and it is pending"
    with pytest.raises(TaskMissing):
        await tasks.transfer(["a", "none"], "next")
    with pytest.raises(SessionMissing) as missing:
        await tasks.transfer(["a"], "nowhere")
    assert str(missing.value) == "session 'nowhere' does not exist; no task was moved"
    with pytest.raises(TaskError, match=r"^task 'far' of session 's' runs in test \(pid .*; only that process can"):
        await tasks.transfer(["a", "far"], "next")
    assert states(await tasks.list()) == {"a": "pending", "clash": "pending", "far": "running"}
    assert states(await following.list()) == {"clash": "pending"}


async def test_a_transfer_to_the_same_session_changes_nothing(scene: Scene) -> None:
    tasks = await scene.tasks()
    record = await tasks.register(named("a"))
    before = await scene.rows()
    assert await tasks.transfer(["a"], "s") == [record]
    assert await scene.rows() == before


async def test_without_a_database_no_other_session_is_reached(scene: Scene) -> None:
    await scene.commit()
    tasks = scene.host().attach("s", scene.backend.session("s"))
    await tasks.register(named("a"))
    with pytest.raises(SessionMissing, match="'s' were attached without a database"):
        await tasks.transfer(["a"], "next")
    assert states(await tasks.list(TaskFilter(kind="other"))) == {"a": "pending"}


async def test_work_that_ends_while_it_is_moved_ends_where_it_has_gone(scene: Scene, work: Work) -> None:
    for session_id in ("s", "next"):
        await scene.commit(session_id)
    host = scene.host()
    tasks, following = scene.open(host), scene.open(host, "next")
    await tasks.start(named("t"), work)
    await work.begun.wait()
    store = following._log.store

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def append(self, *arguments: Any, **options: Any) -> Any:
            work.go.set()
            for _ in range(100):
                await asyncio.sleep(0)
            return await store.append(*arguments, **options)

    following._log.store = Slow()
    await tasks.transfer(["t"], "next")
    assert (await following.wait("t")).state == "completed"
    assert await tasks.list(EVERYTHING) == []

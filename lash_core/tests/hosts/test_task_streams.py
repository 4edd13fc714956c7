"""What the stream keeps: before the first commit, between processes, after failures, over time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from lash_core.hosts.local_tasks import Retention
from lash_core.hosts.task_log import TaskLog
from lash_core.process import this_process
from lash_hookspecs.errors import SessionDeleted, StoreBusy, UnreadableData
from lash_hookspecs.protocols.tasks import TaskContext
from lash_hookspecs.records.store import Head, StreamEntry, StreamRow, Writer
from lash_hookspecs.records.tasks import (
    TASK_STREAM,
    CancelRequested,
    Gap,
    TaskEnded,
    TaskEvent,
    TaskHolder,
    TaskProgress,
    TaskRecord,
    TaskRegistered,
)
from task_scene import EVERYTHING, Scene, Work, named, states, until


async def append(scene: Scene, **entries: bytes) -> None:
    store = scene.backend.session("s")
    head = await store.head()
    assert isinstance(head, Head)
    rows = [StreamEntry(key, body) for key, body in entries.items()]
    await store.append(TASK_STREAM, rows, writer=Writer(head.incarnation, None))


async def foreign(scene: Scene, task_id: str = "t", **holder: Any) -> None:
    """Put a task into the stream that another process runs."""
    here = TaskHolder.of(this_process("other"))
    now = scene.time.now
    record = TaskRecord(
        task_id=task_id,
        instance=f"of-{task_id}",
        session_id="s",
        state="running",
        attempt=2,
        idempotency_key="key",
        created_at=now,
        updated_at=now,
        holder=here.evolve(**holder),
    )
    event = TaskRegistered(session_id="s", task_id=task_id, instance=record.instance, at=now, record=record)
    await append(scene, **{f"key-{task_id}": event.to_bytes()})


# Before the first commit


async def test_before_the_first_commit_tasks_live_in_memory_and_are_stored_after_it(scene: Scene, work: Work) -> None:
    tasks = scene.open(scene.host())
    events = tasks.subscribe()
    await tasks.start(named("t"), work)
    await work.begun.wait()
    await tasks.register(named("u"))
    work.contexts[0].progress("half")
    assert states(await tasks.list()) == {"t": "running", "u": "pending"}
    assert [(await anext(events)).type for _ in range(4)] == [
        "registered",
        "state_changed",
        "registered",
        "progress",
    ]
    assert await scene.rows() == []
    await scene.commit()
    await tasks.flush()
    assert len(await scene.rows()) == 4
    other = scene.open(scene.host())
    assert states(await other.list()) == {"t": "running", "u": "pending"}
    await tasks.complete("u")
    assert (await anext(events)).type == "ended", "nothing was told twice"


async def test_a_watched_task_is_stored_soon_after_the_first_commit(scene: Scene, work: Work) -> None:
    tasks = scene.open(scene.host())
    await tasks.start(named("t"), work)
    await scene.commit()
    await scene.time.pass_by(1.0)
    await until(lambda: not tasks._log._pending)
    assert states(await scene.open(scene.host()).list()) == {"t": "running"}


# Between processes


async def test_a_request_of_another_process_is_noticed_at_the_next_look(scene: Scene, work: Work) -> None:
    owner, other = await scene.tasks(poll=2.0), await scene.tasks()
    await owner.start(named("t", cancel_policy="abort"), work)
    await work.begun.wait()
    assert (await other.request_cancel("t", "from afar")).state == "cancel_requested"
    assert work.aborted == 0
    await scene.time.pass_by(2.0)
    await until(lambda: work.aborted)
    await owner.wait("t")
    cancelled = await other.get("t")
    assert (cancelled.state, cancelled.reason) == ("cancelled", "cancelled: from afar")


async def test_waiting_for_a_task_of_another_process_looks_again_and_again(scene: Scene, work: Work) -> None:
    owner, other = await scene.tasks(poll=2.0), await scene.tasks(poll=3.0)
    await owner.start(named("t"), work)
    waiting = asyncio.create_task(other.wait("t"))
    await until(lambda: any(seconds == 3.0 for _, seconds, _ in scene.time.sleepers))
    work.go.set()
    await until(lambda: not owner._pool.jobs)
    scene.time.forward(3.0)
    assert (await waiting).state == "completed"


async def test_progress_is_stored_at_the_next_look_the_last_word_only(scene: Scene, work: Work) -> None:
    owner, other = await scene.tasks(), await scene.tasks()
    await owner.start(named("t"), work)
    await work.begun.wait()
    for number in range(10):
        work.contexts[0].progress(f"line {number}")
    assert (await owner.get("t")).progress == "line 9"
    assert (await other.get("t")).progress is None
    rows = len(await scene.rows())
    await scene.time.pass_by(1.0)
    await until(lambda: not owner._log._pending and not owner._log._progress)
    assert (await other.get("t")).progress == "line 9"
    assert len(await scene.rows()) == rows + 1


async def told_by_others(scene: Scene, record: TaskRecord, *events: type[TaskEvent], **fields: Any) -> None:
    """Append events as processes would that have read the stream before each other."""
    about = {"session_id": "s", "task_id": record.task_id, "instance": record.instance, "at": scene.time.now}
    bodies = [event(**about, **fields).to_bytes() for event in events]
    await append(scene, **{f"{record.instance}-{number}": body for number, body in enumerate(bodies)})


async def test_the_first_end_counts_whoever_tells_of_others_later(scene: Scene) -> None:
    tasks = await scene.tasks()
    done = await tasks.complete((await tasks.register(named("t"))).task_id, result="first")
    await told_by_others(scene, done, TaskEnded, CancelRequested, TaskProgress, state="failed", text="late")
    for each in (tasks, scene.open(scene.host())):
        assert await each.get("t") == done


async def test_what_is_said_of_a_former_task_of_the_id_does_not_touch_the_present_one(scene: Scene) -> None:
    tasks = await scene.tasks()
    former = await tasks.register(named("t"))
    await tasks.complete("t")
    present = await tasks.register(named("t"))
    await told_by_others(scene, former, CancelRequested, TaskEnded, state="failed")
    assert await tasks.get("t") == present


async def test_two_requests_at_once_call_back_once(scene: Scene) -> None:
    tasks = await scene.tasks()
    calls: list[str | None] = []

    async def stop(reason: str | None) -> None:
        calls.append(reason)

    async def endless(context: TaskContext) -> None:
        await context.cancelled.wait()

    here = await tasks.start(named("here", cancel_policy="external"), endless, on_cancel=stop)
    there = await tasks.register(named("there"), on_cancel=stop)
    for record in (here, there):
        await told_by_others(scene, record, CancelRequested, CancelRequested, reason="enough")
    assert [(await tasks.wait(each)).state for each in ("here", "there")] == ["cancelled", "cancelled"]
    assert calls == ["enough", "enough"]


async def test_nobody_watches_a_session_without_live_tasks(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    await tasks.start(named("t"), work)
    assert tasks._pool._watchers
    work.go.set()
    await tasks.wait("t")
    await until(lambda: not tasks._pool._watchers)
    assert scene.time.sleepers == []


# The dead


async def test_a_task_whose_process_is_gone_is_interrupted(scene: Scene) -> None:
    tasks = await scene.tasks()
    await foreign(scene, pid=1)
    (record,) = await tasks.list(EVERYTHING)
    assert record.state == "interrupted"
    assert record.reason is not None
    assert record.reason.startswith("its process ended: other (pid 1 on ")
    assert await tasks.list() == []
    before = await scene.rows()
    assert await tasks.request_cancel("t") == record
    assert await scene.rows() == before, "looking at it writes nothing"


async def test_a_task_whose_host_is_gone_in_this_process_is_interrupted(scene: Scene) -> None:
    tasks = await scene.tasks()
    await foreign(scene)
    assert states(await tasks.list(EVERYTHING)) == {"t": "interrupted"}


async def test_a_process_that_cannot_be_judged_lives_as_long_as_it_is_heard_of(scene: Scene) -> None:
    tasks = await scene.tasks()
    await foreign(scene, process="another boot/pid:[1]/77", host="vega", pid=5)
    scene.time.forward(299)
    assert states(await tasks.list()) == {"t": "running"}
    scene.time.forward(2)
    (record,) = await tasks.list(EVERYTHING)
    assert (record.state, record.reason) == (
        "interrupted",
        "nothing was heard of other (pid 5 on vega) for 5 minutes",
    )


async def test_a_silent_task_says_that_it_lives(scene: Scene, work: Work) -> None:
    owner, other = await scene.tasks(poll=60.0, heartbeat=60.0), await scene.tasks()
    begun = await owner.start(named("t"), work)
    await work.begun.wait()
    events = other.subscribe()
    await scene.time.pass_by(60.0)
    await until(lambda: owner._log.records()["t"].updated_at == begun.created_at + 60_000_000)
    assert (await other.get("t")).updated_at == begun.created_at + 60_000_000
    other._log._pulse()
    events.close()
    assert [event async for event in events] == [], "and nobody is told"


async def test_a_task_that_is_started_again_after_its_process_died_goes_on_counting(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    await foreign(scene, pid=1)
    again = await tasks.start(named("t", max_attempts=3), work)
    assert again.idempotency_key == "key"
    await work.begun.wait()
    assert (await tasks.get("t")).attempt == 3
    assert work.contexts[0].attempt == 3


# Failures of the store


class Busy:
    """A session's store that is busy while a test says so."""

    def __init__(self, store: Any) -> None:
        self.store, self.busy, self.reads = store, False, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        self.check()
        answer: Sequence[int] = await self.store.append(stream, entries, writer=writer)
        return answer

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        if not self.reads:
            self.check()
        answer: Sequence[StreamRow] = await self.store.read(stream, after=after, limit=limit)
        return answer

    def check(self) -> None:
        if self.busy:
            raise StoreBusy("the store is busy", retry_after=1.0)


async def test_what_cannot_be_stored_is_not_started(scene: Scene, work: Work) -> None:
    await scene.commit()
    store = Busy(scene.backend.session("s"))
    tasks = scene.host().attach("s", store)
    store.busy = store.reads = True
    with pytest.raises(StoreBusy):
        await tasks.start(named("t"), work)
    store.busy = False
    await tasks.register(named("u"))
    assert states(await tasks.list(EVERYTHING)) == {"u": "pending"}
    assert not work.begun.is_set()


async def test_an_end_that_cannot_be_stored_is_stored_later(
    scene: Scene, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.commit()
    store = Busy(scene.backend.session("s"))
    tasks = scene.host().attach("s", store)
    await tasks.start(named("t"), work)
    await work.begun.wait()
    store.busy = True
    with caplog.at_level(logging.WARNING, "lash.tasks"):
        work.go.set()
        await until(lambda: tasks._log.owing)
    assert states(tasks._log.listed()) == {"t": "completed"}
    assert caplog.messages == ["task 't' of session 's': its state is not stored yet: the store is busy"]
    store.busy = False
    await scene.time.pass_by(1.0)
    await until(lambda: not tasks._log.owing)
    assert states(await scene.open(scene.host()).list(EVERYTHING)) == {"t": "completed"}


async def test_a_task_here_is_cancelled_even_while_the_store_takes_nothing(scene: Scene, work: Work) -> None:
    await scene.commit()
    store = Busy(scene.backend.session("s"))
    tasks = scene.host().attach("s", store)
    await tasks.start(named("t", cancel_policy="abort"), work)
    await work.begun.wait()
    store.busy = True
    assert (await tasks.request_cancel("t")).state == "cancel_requested"
    await until(lambda: work.aborted)
    store.busy = False
    await until(lambda: not tasks._pool.jobs)
    assert states(tasks._log.listed()) == {"t": "cancelled"}


async def test_what_a_closed_host_could_not_store_is_interrupted_all_the_same(scene: Scene, work: Work) -> None:
    await scene.commit()
    host, store = scene.host(), Busy(scene.backend.session("s"))
    await host.attach("s", store).start(named("t"), work)
    await work.begun.wait()
    store.busy = True
    await host.close()
    assert states(await scene.open(scene.host()).list(EVERYTHING)) == {"t": "interrupted"}


async def test_the_tasks_of_a_deleted_session_stop(scene: Scene, work: Work) -> None:
    tasks = await scene.tasks()
    await tasks.start(named("t", cancel_policy="abort"), work)
    await work.begun.wait()
    await scene.delete()
    work.contexts[0].progress("unheard")
    await scene.time.pass_by(1.0)
    await until(lambda: work.aborted)
    await until(lambda: not tasks._pool.jobs)
    assert states(tasks._log.listed()) == {"t": "cancelled"}
    with pytest.raises(SessionDeleted) as deleted:
        await tasks.start(named("u"), work)
    assert str(deleted.value) == "session 's' was deleted"


async def test_the_next_life_of_a_deleted_name_has_tasks_of_its_own(scene: Scene, work: Work) -> None:
    await scene.commit()
    host = scene.host()
    tasks = scene.open(host)
    await tasks.start(named("t"), work)
    await work.begun.wait()
    await scene.delete()
    await tasks.close(deleted=True)
    assert work.contexts[0].cancelled.is_set()
    await scene.commit()
    reborn = scene.open(host)
    assert await reborn.list(EVERYTHING) == []
    await reborn.register(named("t"))
    work.go.set()
    await until(lambda: not tasks._pool.jobs)
    assert states(await reborn.list(EVERYTHING)) == {"t": "pending"}


async def test_a_flush_that_fails_is_tried_again(scene: Scene, work: Work, caplog: pytest.LogCaptureFixture) -> None:
    store = Busy(scene.backend.session("s"))
    tasks = scene.host().attach("s", store)
    await tasks.register(named("t"))
    await scene.commit()
    store.busy = True
    with caplog.at_level(logging.WARNING, "lash.tasks"):
        await tasks.flush()
    assert caplog.messages == ["the tasks of session 's': the store is busy"]
    store.busy = False
    await scene.time.pass_by(1.0)
    await until(lambda: not tasks._log.owing)
    assert states(await scene.open(scene.host()).list()) == {"t": "pending"}


async def test_an_entry_that_cannot_be_read_is_named_and_one_of_a_later_version_is_left_alone(scene: Scene) -> None:
    tasks = await scene.tasks()
    await tasks.register(named("t"))
    await append(scene, later=b'{"type":"of-a-later-version","task_id":"t"}')
    assert states(await tasks.list()) == {"t": "pending"}
    await append(scene, broken=b'{"type":"ended"')
    told = r"^session 's': entry 3 of stream 'tasks' cannot be read: Invalid JSON: "
    for _ in range(2):
        with pytest.raises(UnreadableData, match=told):
            await tasks.list()


# Over time


async def ended(scene: Scene, tasks: Any, count: int, prefix: str = "t") -> None:
    for number in range(count):
        await tasks.register(named(f"{prefix}{number}"))
        scene.time.forward(1)
        await tasks.complete(f"{prefix}{number}")


async def test_ended_tasks_are_kept_up_to_a_number_the_latest_ones(scene: Scene) -> None:
    tasks = await scene.tasks(retention=Retention(terminal=3))
    await tasks.register(named("live"))
    await ended(scene, tasks, 5)
    assert list(states(await tasks.list(EVERYTHING))) == ["live", "t2", "t3", "t4"]


async def test_ended_tasks_are_kept_for_some_time(scene: Scene) -> None:
    tasks = await scene.tasks(retention=Retention(age=60.0))
    await tasks.register(named("live"))
    await ended(scene, tasks, 2)
    scene.time.forward(59.5)
    assert list(states(await tasks.list(EVERYTHING))) == ["live", "t1"]
    scene.time.forward(2)
    assert list(states(await tasks.list(EVERYTHING))) == ["live"]


async def test_a_stream_does_not_grow_with_the_tasks_that_ended(scene: Scene) -> None:
    tasks = await scene.tasks(retention=Retention(terminal=10))
    await tasks.register(named("live", kind="monitor"))
    await ended(scene, tasks, 200)
    assert len(await scene.rows()) < 256 + 20
    assert len(tasks._log.records()) < 256 + 20, "and memory does not either"
    other = scene.open(scene.host(retention=Retention(terminal=10)))
    assert await other.list(EVERYTHING) == await tasks.list(EVERYTHING)
    assert (await other.get("live")).kind == "monitor"


async def test_a_crash_between_the_two_steps_of_compaction_changes_nothing(scene: Scene) -> None:
    tasks = await scene.tasks(retention=Retention(terminal=10))
    await tasks.register(named("live"))
    store, trims = tasks._log.store, []

    class NeverTrims:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
            trims.append(upto)
            return 0

    tasks._log.store = NeverTrims()
    await ended(scene, tasks, 140)
    assert len(trims) == 1
    fresh = scene.open(scene.host(retention=Retention(terminal=10)))
    assert await fresh.list(EVERYTHING) == await tasks.list(EVERYTHING)
    tasks._log.store = store
    await ended(scene, tasks, 140, "u")
    assert len(await scene.rows()) < 300, "the next compaction trims what this one left"
    assert await fresh.list(EVERYTHING) == await tasks.list(EVERYTHING)


async def test_a_reader_that_was_away_during_a_compaction_sees_what_is_kept_and_is_told_of_the_gap(
    scene: Scene,
) -> None:
    tasks = await scene.tasks(retention=Retention(terminal=2))
    reader = await scene.tasks(retention=Retention(terminal=2))
    await tasks.register(named("live"))
    await tasks.register(named("ends"))
    assert states(await reader.list()) == {"live": "pending", "ends": "pending"}
    events = reader.subscribe()
    await tasks.update("live", state="running")
    await tasks.complete("ends")
    await ended(scene, tasks, 130)
    assert await reader.list(EVERYTHING) == await tasks.list(EVERYTHING)
    assert states(await reader.list()) == {"live": "running"}
    assert await anext(events) == Gap()


async def test_what_others_append_during_a_compaction_is_not_lost(scene: Scene) -> None:
    tasks = await scene.tasks(retention=Retention(terminal=2))
    other, third = await scene.tasks(retention=Retention(terminal=2)), await scene.tasks()
    await tasks.register(named("live"))
    store, between = tasks._log.store, []

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
            if b'"compacted"' in entries[0].body:
                between.append(await other.update("live", state="running", progress="meanwhile"))
                await third.list()
            sequences: Sequence[int] = await store.append(stream, entries, writer=writer)
            return sequences

    tasks._log.store = Slow()
    await ended(scene, tasks, 140)
    assert len(between) == 1
    for each in (tasks, other, third, scene.open(scene.host())):
        record = await each.get("live")
        assert (record.state, record.progress) == ("running", "meanwhile")


async def test_two_processes_that_compact_at_once_leave_one_truth(scene: Scene) -> None:
    one = await scene.tasks(retention=Retention(terminal=2))
    other = await scene.tasks(retention=Retention(terminal=5))
    await one.register(named("live"))
    await ended(scene, one, 20)
    for log in (one._log, other._log):
        await log.refresh()
    for log in (one._log, other._log):
        await log._compact()
    fresh = scene.open(scene.host(retention=Retention(terminal=2)))
    assert await fresh.list(EVERYTHING) == await one.list(EVERYTHING)
    assert (await fresh.get("live")).state == "pending"


async def test_a_compaction_that_is_replayed_adds_nothing(scene: Scene) -> None:
    tasks = await scene.tasks()
    await ended(scene, tasks, 3)
    await tasks._log._compact()
    rows: list[StreamRow] = list(await scene.backend.session("s").read(TASK_STREAM))
    again = TaskLog("s", scene.backend.session("s"), clock=scene.time.clock)
    await again.refresh()
    assert [row.key.partition("/")[0] for row in rows] == ["6"] * 4
    assert {record.task_id for record in again.listed()} == {"t0", "t1", "t2"}

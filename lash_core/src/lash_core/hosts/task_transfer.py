"""Giving tasks to another session: two streams, no transaction.

The other session's stream is written first. A crash between the two leaves tasks that both list, and whose process is
dead, so both list them as interrupted; nothing is lost and nothing runs twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from lash_hookspecs.errors import SessionMissing, TaskError
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Head
from lash_hookspecs.records.tasks import TaskRecord, TaskRegistered, TaskTransferred

from lash_core.hosts.task_entering import task_exists
from lash_core.hosts.task_job import Job, event_of
from lash_core.hosts.task_log import TaskLog
from lash_core.hosts.task_pool import TaskPool

__all__ = ["transfer_tasks"]


async def transfer_tasks(
    pool: TaskPool, source: TaskLog, database: StoreBackend | None, records: Sequence[TaskRecord], to_session: str
) -> dict[str, TaskRecord]:
    """Move those that are live; the moved records by id. See `SessionTasks.transfer`."""
    target = await _target(pool, source, database, to_session)
    live = [record for record in records if record.live]
    jobs = [job for record in live if (job := _job_here(pool, record))]
    async with AsyncExitStack() as still:
        for job in jobs:  # while it is moved, a job says nothing
            await still.enter_async_context(job.moving)
        moved = await _move(pool, live, source, target)
        for job in jobs:
            if job.record.task_id in moved:
                job.record, job.log = job.record.evolve(session_id=to_session), target
    pool.watch(target)
    return moved


async def _target(pool: TaskPool, source: TaskLog, database: StoreBackend | None, to_session: str) -> TaskLog:
    if database is None:
        raise SessionMissing(
            f"session {to_session!r} cannot be reached from here: the tasks of session {source.session_id!r} were "
            "attached without a database",
            session_id=to_session,
        )
    store = database.session(to_session)
    log = pool.shared_log(to_session, store, database)
    if not pool.is_attached(log) and not isinstance(await store.head(), Head):
        raise SessionMissing(f"session {to_session!r} does not exist; no task was moved", session_id=to_session)
    await log.refresh()
    return log


def _job_here(pool: TaskPool, record: TaskRecord) -> Job | None:
    job = pool.jobs.get(record.instance)
    if job is None and record.holder is not None:
        raise TaskError(
            f"task {record.task_id!r} of session {record.session_id!r} runs in {record.holder.describe()}; only that "
            "process can transfer it",
            task_id=record.task_id,
            session_id=record.session_id,
        )
    return job


async def _move(pool: TaskPool, live: Sequence[TaskRecord], source: TaskLog, target: TaskLog) -> dict[str, TaskRecord]:
    known = {record.task_id: record for record in target.listed() if record.live}
    for record in live:
        if record.task_id in known:
            raise task_exists(known[record.task_id])
    current = source.records()
    moving = [each for record in live if (each := current.get(record.task_id)) and each.live]
    moved = {record.task_id: record.evolve(session_id=target.session_id) for record in moving}
    if not moving:
        return {}
    clock = pool.pace.clock
    await target.write(*(event_of(TaskRegistered, each, clock, record=each) for each in moved.values()))
    there = {record.instance for record in target.records().values()}
    gone = [each for each in moving if each.instance in there]  # an id may have been taken at the last moment
    await source.write_anyway(*(event_of(TaskTransferred, each, clock, to_session=target.session_id) for each in gone))
    return {record.task_id: moved[record.task_id] for record in gone}

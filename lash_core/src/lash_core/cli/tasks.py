"""``lash tasks``: background tasks of sessions, and how to stop one (H2)."""

from __future__ import annotations

from typing import Any

import click
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.tasks import TaskFilter, TaskRecord

from lash_core.cli.opening import all_sessions, head_of, open_store, run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_table, print_text, timestamp
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_core.hosts.task_session import LocalSessionTasks

__all__ = ["tasks"]


@click.group()
@common
def tasks(shared: Shared) -> None:
    """List, show and cancel background tasks."""


@tasks.command("list")
@click.argument("session_id", metavar="[SESSION]", required=False)
@click.option("--live", is_flag=True, help="Only tasks that have not ended.")
@common
def list_tasks(shared: Shared, session_id: str | None, live: bool) -> None:
    """List the background tasks of SESSION, or of all sessions."""

    async def collect() -> list[TaskRecord]:
        async with open_store(shared) as store:
            if session_id is not None:
                await head_of(store, session_id)
                ids = [session_id]
            else:
                ids = [row.head.session_id async for row in all_sessions(store)]
            wanted = TaskFilter(include_terminal=not live)
            return [record for each in ids for record in await _tasks(store, each).list(wanted)]

    found = run_async(collect(), shared)
    if shared.json:
        print_json([_document(record) for record in found])
    else:
        print_table(
            ("SESSION", "TASK", "KIND", "STATE", "ATTEMPT", "LAST HEARD", "REASON"),
            [
                (
                    record.session_id,
                    record.task_id,
                    record.kind,
                    record.state,
                    _attempt(record),
                    timestamp(record.updated_at),
                    record.reason or record.failure or "",
                )
                for record in found
            ],
        )


@tasks.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("task_id", metavar="TASK")
@common
def show(shared: Shared, session_id: str, task_id: str) -> None:
    """Print everything that is known of TASK of SESSION."""

    async def read() -> TaskRecord:
        async with open_store(shared) as store:
            await head_of(store, session_id)
            return await _tasks(store, session_id).get(task_id)

    document = _document(run_async(read(), shared))
    if shared.json:
        print_json(document)
        return
    for name, told in document.items():
        if told is not None and told != "":
            print_text(f"{name.replace('_', ' ')}: {told}")


@tasks.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("task_id", metavar="TASK")
@click.option("--reason", metavar="TEXT", help="Why; the task's record keeps it.")
@common
def cancel(shared: Shared, session_id: str, task_id: str, reason: str | None) -> None:
    """Ask TASK of SESSION to stop. The process that runs it does so; one that has ended stays as it is."""

    async def ask() -> tuple[TaskRecord, TaskRecord]:
        async with open_store(shared) as store:
            await head_of(store, session_id)
            found = _tasks(store, session_id)
            return await found.get(task_id), await found.request_cancel(task_id, reason)

    before, after = run_async(ask(), shared)
    if shared.json:
        print_json({**_document(after), "changed": before.state != after.state})
    else:
        print_text(_told(before))


def _tasks(store: StoreBackend | None, session_id: str) -> LocalSessionTasks:
    """Read a session's tasks; what is given here runs nothing."""
    assert store is not None
    return LocalTaskHost("lash tasks").attach(session_id, store.session(session_id), database=store)


def _told(before: TaskRecord) -> str:
    which = f"task {before.task_id} of session {before.session_id}"
    if not before.live:
        return f"{which} has ended already, it is {before.state}: nothing was changed"
    if before.state == "cancel_requested":
        return f"{which} was asked to stop already"
    where = f"it runs in {before.holder.describe()}" if before.holder else "its work is elsewhere"
    return f"asked {which} to stop; {where}"


def _attempt(record: TaskRecord) -> str:
    return f"{record.attempt}/{record.max_attempts}" if record.max_attempts > 1 else str(record.attempt)


def _document(record: TaskRecord) -> dict[str, Any]:
    return {
        "session_id": record.session_id,
        "task_id": record.task_id,
        "kind": record.kind,
        "producer": record.producer,
        "state": record.state,
        "reason": record.reason,
        "attempt": record.attempt,
        "max_attempts": record.max_attempts,
        "progress": record.progress,
        "result": record.result,
        "failure": record.failure,
        "parent_task_id": record.parent_task_id,
        "child_session_id": record.child_session_id,
        "cancel_policy": record.cancel_policy,
        "close_policy": record.close_policy,
        "transfer_to": record.transfer_to,
        "idempotency_key": record.idempotency_key,
        "holder": record.holder.describe() if record.holder else None,
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at),
        "completed_at": timestamp(record.completed_at) if record.completed_at is not None else None,
    }

"""From a stream of events to records: what counts, what is listed, what is kept. No I/O but a look at ``/proc``."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from lash_hookspecs.records.store import Holder
from lash_hookspecs.records.tasks import (
    CancelRequested,
    StillAlive,
    TaskEnded,
    TaskEvent,
    TaskProgress,
    TaskRecord,
    TaskRegistered,
    TaskStateChanged,
    TaskTransferred,
)

from lash_core.process import fate_of, this_process

__all__ = ["Retention", "apply_event", "forget_host", "host_here", "judged", "listed", "retained"]

_SECOND = 1_000_000

#: Microseconds without a sign of life after which a process that cannot be judged from here counts as gone.
SILENCE = 300 * _SECOND

_hosts_here: set[str] = set()


@attrs.frozen(kw_only=True)
class Retention:
    """How long the records of ended tasks are kept, per session.

    Attributes:
        terminal: At most this many, the latest.
        age: Seconds since the end.
    """

    terminal: int = 200
    age: float = 7 * 24 * 3600.0


def apply_event(records: dict[str, TaskRecord], event: TaskEvent) -> TaskRecord | None:
    """Take an event over; the task's record after it, or ``None`` when the event counts for nothing.

    Every reader of a stream comes to the same records, so a rule here is a rule between processes: the first task of
    an id is it until it ends, the first end counts, and nothing changes what has ended.
    """
    known = records.get(event.task_id)
    if isinstance(event, TaskRegistered):
        if known is not None and known.live:
            return None
        records.pop(event.task_id, None)
        records[event.task_id] = event.record
        return event.record
    if known is None or known.instance != event.instance or not known.live:
        return None
    if isinstance(event, TaskTransferred):
        return records.pop(event.task_id)
    records[event.task_id] = known.evolve(updated_at=max(event.at, known.updated_at), **_changes(known, event))
    return records[event.task_id]


def _changes(
    known: TaskRecord, event: TaskStateChanged | TaskProgress | StillAlive | CancelRequested | TaskEnded
) -> dict[str, Any]:
    if isinstance(event, TaskStateChanged):
        if known.state == "cancel_requested":
            return {"reason": event.reason or known.reason}
        attempt = known.attempt if event.attempt is None else event.attempt
        return {"state": event.state, "attempt": attempt, "reason": event.reason}
    if isinstance(event, TaskProgress):
        return {"progress": event.text}
    if isinstance(event, CancelRequested):
        return {"state": "cancel_requested", "reason": event.reason} if known.state != "cancel_requested" else {}
    if isinstance(event, TaskEnded):
        return {
            "state": event.state,
            "result": event.result,
            "failure": event.failure,
            "reason": event.reason,
            "completed_at": event.at,
        }
    return {}


def judged(record: TaskRecord, now: int) -> TaskRecord:
    """Give the record as it is in truth: ``interrupted`` when the process that ran the task is gone."""
    if not record.live or record.holder is None:
        return record
    holder = record.holder.holder
    fate = "gone" if _is_closed_host(holder) else fate_of(holder)
    if fate == "unknown" and now - record.updated_at > SILENCE:
        silent = (now - record.updated_at) // (60 * _SECOND)
        return _interrupted(record, f"nothing was heard of {holder.describe()} for {silent} minutes")
    if fate == "gone":
        return _interrupted(record, f"its process ended: {holder.describe()}")
    return record


def _interrupted(record: TaskRecord, reason: str) -> TaskRecord:
    return record.evolve(state="interrupted", reason=reason, completed_at=record.updated_at)


def retained(records: Mapping[str, TaskRecord], now: int, retention: Retention) -> dict[str, TaskRecord]:
    """Leave out the ended ones that are too many or too old; what stays is as it was given, not judged."""
    ended = [record for record in (judged(each, now) for each in records.values()) if not record.live]
    ended.sort(key=lambda record: record.completed_at or 0, reverse=True)
    oldest = now - int(retention.age * _SECOND)
    keep = {record.task_id for record in ended[: retention.terminal] if (record.completed_at or 0) >= oldest}
    drop = {record.task_id for record in ended} - keep
    return {task_id: record for task_id, record in records.items() if task_id not in drop}


def listed(records: Mapping[str, TaskRecord], now: int, retention: Retention) -> list[TaskRecord]:
    """Give the records as they are shown, in the order of registration."""
    shown: Iterable[TaskRecord] = retained(records, now, retention).values()
    return sorted((judged(record, now) for record in shown), key=lambda record: record.created_at)


def host_here(owner: object, name: str) -> Holder:
    """Describe a task host of this process; it counts as closed when it is forgotten or collected."""
    holder = this_process(name)
    _hosts_here.add(holder.instance)
    weakref.finalize(owner, _hosts_here.discard, holder.instance)
    return holder


def forget_host(holder: Holder) -> None:
    """Say that a host of this process was closed: whatever it still holds runs no more."""
    _hosts_here.discard(holder.instance)


def _is_closed_host(holder: Holder) -> bool:
    return holder.pid == os.getpid() and fate_of(holder) == "alive" and holder.instance not in _hosts_here

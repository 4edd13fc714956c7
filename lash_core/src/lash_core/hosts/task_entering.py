"""What a task must be to be registered, and its record when it is."""

from __future__ import annotations

import secrets

from lash_hookspecs.errors import InvalidInput, TaskExists
from lash_hookspecs.records.tasks import TaskHolder, TaskRecord, TaskRegistration

__all__ = ["check_registration", "fresh_id", "new_record", "task_exists"]

_LONGEST_ID = 200


def check_registration(session_id: str, registration: TaskRegistration) -> None:
    """Refuse what cannot be.

    Raises:
        InvalidInput: The id, or policies that contradict each other.
    """
    task_id = registration.task_id
    if task_id and (len(task_id) > _LONGEST_ID or not task_id.isprintable()):
        raise InvalidInput(
            f"{task_id[:40]!r} cannot be a task id: printable text of at most {_LONGEST_ID} characters",
            session_id=session_id,
        )
    if (registration.close_policy == "transfer") != (registration.transfer_to is not None):
        raise InvalidInput(
            "transfer_to is given with close policy 'transfer' and with no other, not with "
            f"{registration.close_policy!r}",
            session_id=session_id,
        )


def fresh_id(registration: TaskRegistration) -> str:
    """Make up an id."""
    return f"{registration.kind}-{secrets.token_hex(4)}"


def new_record(
    session_id: str,
    task_id: str,
    registration: TaskRegistration,
    holder: TaskHolder | None,
    before: TaskRecord | None,
    now: int,
) -> TaskRecord:
    """Make the record of a task that begins.

    Args:
        session_id: The session.
        task_id: Its id.
        registration: What was said of it.
        holder: The process that runs it; ``None`` when its work is elsewhere.
        before: The task that had the id last. If it was interrupted, the new one goes on counting its attempts and
            keeps its idempotency key.
        now: Microseconds since 1970-01-01 UTC.
    """
    again = before if before is not None and before.state == "interrupted" else None
    instance = secrets.token_hex(8)
    return TaskRecord(
        task_id=task_id,
        instance=instance,
        session_id=session_id,
        kind=registration.kind,
        producer=registration.producer,
        parent_task_id=registration.parent_task_id,
        child_session_id=registration.child_session_id,
        cancel_policy=registration.cancel_policy,
        close_policy=registration.close_policy,
        transfer_to=registration.transfer_to,
        attempt=again.attempt if again else 0,
        max_attempts=registration.max_attempts,
        idempotency_key=registration.idempotency_key or (again.idempotency_key if again else instance),
        created_at=now,
        updated_at=now,
        holder=holder,
    )


def task_exists(record: TaskRecord) -> TaskExists:
    """Give the error for an id that a live task has."""
    return TaskExists(
        f"session {record.session_id!r} has a task {record.task_id!r} already, and it is {record.state}",
        task_id=record.task_id,
        session_id=record.session_id,
    )

"""Background tasks of a session: what is listed of them, and the events that it is made of (H2).

A task's record is never stored as such: each change is an entry of the session's stream ``tasks``, and whoever reads
the stream from its beginning gets the same records. Times are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter

from lash_hookspecs.records.model_base import WHEN_USED, Record
from lash_hookspecs.records.store import Holder
from lash_hookspecs.records.text import clean_text

__all__ = [
    "MAX_TEXT",
    "STORED_TASK_EVENTS",
    "TASK_STREAM",
    "TERMINAL_STATES",
    "CancelPolicy",
    "CancelRequested",
    "ClosePolicy",
    "Gap",
    "LiveState",
    "StillAlive",
    "StoredTaskEvent",
    "TaskEnded",
    "TaskEvent",
    "TaskFilter",
    "TaskHolder",
    "TaskKept",
    "TaskProgress",
    "TaskRecord",
    "TaskRegistered",
    "TaskRegistration",
    "TaskState",
    "TaskStateChanged",
    "TaskTransferred",
    "TasksCompacted",
    "TerminalState",
    "bounded",
]

#: The stream of a session's store that holds its tasks.
TASK_STREAM = "tasks"

#: Characters that are kept of a result, a failure, a reason or a progress text.
MAX_TEXT = 4_000

LiveState = Literal["pending", "running", "waiting"]
TerminalState = Literal["completed", "failed", "cancelled", "interrupted"]
TaskState = Literal[
    "pending", "running", "waiting", "cancel_requested", "completed", "failed", "cancelled", "interrupted"
]

#: Who stops a task that shall be cancelled: it is asked (and aborted after a grace period), it is aborted at once, or
#: a callback stops what works elsewhere.
CancelPolicy = Literal["cooperative", "abort", "external"]

#: What becomes of a live task when its session is parked or closed.
ClosePolicy = Literal["keep", "cancel", "transfer"]

#: States that nothing changes any more.
TERMINAL_STATES: frozenset[TaskState] = frozenset({"completed", "failed", "cancelled", "interrupted"})


def bounded(text: str) -> str:
    """Cut a text to `MAX_TEXT` characters and replace what JSON cannot carry."""
    clean = clean_text(text)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"


class TaskHolder(Record):
    """The process that runs a task; `lash_hookspecs.records.store.Holder` as a document.

    Attributes:
        name: A word for people.
        host: The machine's name.
        pid: The process id.
        process: Boot id, pid namespace and start time; empty if unknown.
        instance: The task host in that process.
    """

    name: str
    host: str
    pid: int
    process: str
    instance: str

    @classmethod
    def of(cls, holder: Holder) -> Self:
        """Make the document of a holder."""
        return cls(name=holder.name, host=holder.host, pid=holder.pid, process=holder.process, instance=holder.instance)

    @property
    def holder(self) -> Holder:
        """The holder that this is the document of."""
        return Holder(self.name, self.host, self.pid, self.process, self.instance)

    def describe(self) -> str:
        """Say who it is, for messages."""
        return self.holder.describe()


class TaskRegistration(Record):
    """What is said of a task when it is started or registered.

    Attributes:
        task_id: Unique among the session's live tasks, printable, at most 200 characters; empty for a fresh one.
        kind: A free word, such as ``monitor``, ``subagent`` or ``observer``.
        producer: Who starts it, such as a plugin's name.
        parent_task_id: The task that it works for.
        child_session_id: The session that it runs, for a subagent.
        cancel_policy: Who stops it.
        close_policy: What becomes of it when the session is parked or closed.
        transfer_to: The session that gets it then, for ``transfer``.
        max_attempts: How often it may run: one that fails is run again until then.
        idempotency_key: The same in every attempt; made up when not given. One that is started again after its
            process died keeps the key that it had.
    """

    task_id: str = ""
    kind: str = "other"
    producer: str = ""
    parent_task_id: str | None = None
    child_session_id: str | None = None
    cancel_policy: CancelPolicy = "cooperative"
    close_policy: ClosePolicy = "keep"
    transfer_to: str | None = None
    max_attempts: int = Field(default=1, ge=1)
    idempotency_key: str | None = None


class TaskRecord(Record):
    """A background task as it is listed.

    Attributes:
        task_id: Its id in the session.
        instance: Unique for this task; a later one may have the same ``task_id`` once this one has ended.
        session_id: The session that it belongs to.
        kind: As registered.
        producer: As registered.
        parent_task_id: As registered.
        child_session_id: As registered.
        state: Where it stands; ``interrupted`` when its process is gone.
        cancel_policy: As registered.
        close_policy: As registered.
        transfer_to: As registered.
        attempt: The attempt that runs or ran last, from 1; 0 before the first.
        max_attempts: As registered.
        idempotency_key: The same in every attempt.
        progress: What it said last of how far it is.
        result: What it gave, when it completed.
        failure: What it failed with: the error's type and text.
        reason: Why it stands where it stands, in words for people.
        created_at: When it was registered.
        updated_at: The last sign of life.
        completed_at: When it ended.
        holder: The process that runs it; ``None`` when its work is elsewhere.
    """

    task_id: str
    instance: str
    session_id: str
    kind: str = "other"
    producer: str = ""
    parent_task_id: str | None = None
    child_session_id: str | None = None
    state: TaskState = "pending"
    cancel_policy: CancelPolicy = "cooperative"
    close_policy: ClosePolicy = "keep"
    transfer_to: str | None = None
    attempt: int = 0
    max_attempts: int = 1
    idempotency_key: str = ""
    progress: str | None = None
    result: str | None = None
    failure: str | None = None
    reason: str | None = None
    created_at: int
    updated_at: int
    completed_at: int | None = None
    holder: TaskHolder | None = None

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state not in TERMINAL_STATES


class TaskFilter(Record):
    """Which tasks to list or to hear of.

    Attributes:
        session_id: Those of this session; ``None`` for all that the host has open.
        kind: Those of this kind.
        include_terminal: Ended ones too. It is about listing; whoever subscribes hears of every end.
    """

    session_id: str | None = None
    kind: str | None = None
    include_terminal: bool = False


class _TaskEvent(Record):
    """What every event has.

    Attributes:
        session_id: The session.
        task_id: The task's id.
        instance: Which task of that id.
        at: When it was.
    """

    session_id: str
    task_id: str
    instance: str
    at: int


class TaskRegistered(_TaskEvent):
    """A task is there now; refused when a live one has its id.

    Attributes:
        record: All of it.
    """

    type: Literal["registered"] = "registered"
    record: TaskRecord


class TaskStateChanged(_TaskEvent):
    """A task runs, or waits.

    Attributes:
        state: Where it stands; a request to cancel stays one.
        attempt: The attempt; ``None`` for the same as before.
        reason: Why.
    """

    type: Literal["state_changed"] = "state_changed"
    state: LiveState
    attempt: int | None = None
    reason: str | None = None


class TaskProgress(_TaskEvent):
    """A task says how far it is. Readers in its process hear each one; only the last of a moment is stored.

    Attributes:
        text: In its own words.
    """

    type: Literal["progress"] = "progress"
    text: str


class StillAlive(_TaskEvent):
    """The process of a silent task lives; written now and then, so that silence means something. Told to nobody."""

    type: Literal["still_alive"] = "still_alive"


class CancelRequested(_TaskEvent):
    """Somebody wants a task to stop.

    Attributes:
        reason: Why, in their words.
    """

    type: Literal["cancel_requested"] = "cancel_requested"
    reason: str | None = None


class TaskEnded(_TaskEvent):
    """A task has ended; the first end counts.

    Attributes:
        state: How.
        result: What it gave.
        failure: What it failed with.
        reason: Why it ended.
    """

    type: Literal["ended"] = "ended"
    state: TerminalState
    result: str | None = None
    failure: str | None = None
    reason: str | None = None


class TaskTransferred(_TaskEvent):
    """A task belongs to another session now and is listed there.

    Attributes:
        to_session: Which.
    """

    type: Literal["transferred"] = "transferred"
    to_session: str


class TasksCompacted(Record):
    """The stream up to here is told again by the `TaskKept` entries behind, and may be trimmed. Told to nobody.

    Attributes:
        upto: The last sequence that they sum up.
    """

    type: Literal["compacted"] = "compacted"
    upto: int


class TaskKept(Record):
    """A record as it was at a sequence of the stream. Told to nobody.

    Attributes:
        upto: That sequence.
        record: The record.
    """

    type: Literal["kept"] = "kept"
    upto: int
    record: TaskRecord


class Gap(Record):
    """A reader was too slow and missed events: list the tasks again. Never stored.

    Attributes:
        missed: How many events are missing; ``None`` when nobody knows.
    """

    type: Literal["gap"] = "gap"
    missed: int | None = None


#: What happens to one task.
TaskEvent = Annotated[
    TaskRegistered | TaskStateChanged | TaskProgress | StillAlive | CancelRequested | TaskEnded | TaskTransferred,
    Field(discriminator="type"),
]
StoredTaskEvent = Annotated[
    TaskRegistered
    | TaskStateChanged
    | TaskProgress
    | StillAlive
    | CancelRequested
    | TaskEnded
    | TaskTransferred
    | TasksCompacted
    | TaskKept,
    Field(discriminator="type"),
]

#: Decodes an entry of the stream.
STORED_TASK_EVENTS: TypeAdapter[StoredTaskEvent] = TypeAdapter(StoredTaskEvent, config=WHEN_USED)

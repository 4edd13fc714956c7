"""Every error that Lash raises, as one tree.

::

    LashError
    ├── ConfigurationError          wrong usage or settings: nothing was started
    │   ├── UnknownName             a model, mode, scheme, tool … that nobody offers
    │   ├── PolicyError             a value in a session's policy that cannot be
    │   └── PluginError             a plugin that cannot be used
    │       └── PluginConflict      two plugins claim one name
    ├── InvalidInput                what was sent cannot be stored or run
    │   └── InvalidArchive          a file of exported sessions is not whole or not ours: names the line
    ├── SessionError                the session's own condition
    │   ├── InvalidSessionId
    │   ├── SessionMissing
    │   ├── SessionExists
    │   ├── SessionDeleted
    │   ├── NodeMissing             the session's graph has no such node
    │   ├── NodeInUse               a session stands on the node
    │   ├── HistoryPruned           what was asked for was removed by retention
    │   ├── SessionBusy             somebody else works on it: names the holder
    │   ├── StoreRegressed          the store is older than a handle to it
    │   ├── CommitDenied            a plugin refused a commit: names it
    │   ├── ConflictBranched        somebody else committed first: what the turn had made is a branch
    │   ├── SuccessorMissing        a chain of handoffs leads to a session that is gone
    │   └── CorruptSession          kind: dangling_leaf, dangling_parent, parent_cycle, no_leaf, …
    ├── StoreError                  what a store answers
    │   ├── StoreUnavailable        not there, no permission, not a database
    │   │   └── StoreFull           the disk (or a quota) is full
    │   ├── StoreBusy               transient contention outlasted the deadline: carries retry_after
    │   ├── SessionBindingMismatch
    │   ├── HeadRevisionConflict
    │   ├── CommitIdReused
    │   ├── WriterFenced            a newer epoch owns the session: names the holder
    │   ├── SessionLeased           the lease is held: names the holder
    │   ├── MissingBlob
    │   ├── MissingAttachment       a file that a message refers to is not there
    │   ├── UnreadableData
    │   ├── LimitExceeded
    │   └── UnsupportedSchema
    ├── AttachmentUnresolved        a file that a model was to be shown cannot be read
    ├── ModelError                  the model provider failed: says whether a retry may help
    ├── TaskError                   what was asked of a background task cannot be done
    │   ├── TaskExists              a live task has the id already
    │   └── TaskMissing             the session has no such task
    ├── HostError                   a host could not bring a turn to its end: it is interrupted
    ├── ToolError                   a tool failed in a way that it wants the model to read
    └── TurnError                   a turn that cannot be run or continued

Every error carries a stable ``code``, and, where they are known, the session, the plugin and the step that
failed. A store's or provider's own exception is the ``__cause__``. No message holds a secret: URLs go through
`redact_url` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from lash_hookspecs.records.store import Holder

__all__ = [
    "AttachmentUnresolved",
    "CommitDenied",
    "CommitIdReused",
    "ConflictBranched",
    "ConfigurationError",
    "CorruptSession",
    "HeadRevisionConflict",
    "HistoryPruned",
    "HostError",
    "InvalidArchive",
    "InvalidInput",
    "InvalidSessionId",
    "LashError",
    "LimitExceeded",
    "MissingAttachment",
    "MissingBlob",
    "ModelError",
    "NodeInUse",
    "NodeMissing",
    "PluginConflict",
    "PluginError",
    "PolicyError",
    "SessionBindingMismatch",
    "SessionBusy",
    "SessionDeleted",
    "SessionError",
    "SessionExists",
    "SessionLeased",
    "SessionMissing",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreRegressed",
    "StoreUnavailable",
    "SuccessorMissing",
    "TaskError",
    "TaskExists",
    "TaskMissing",
    "ToolError",
    "TurnError",
    "UnknownName",
    "UnreadableData",
    "UnsupportedSchema",
    "WriterFenced",
    "redact_url",
]


class LashError(Exception):
    """The root of every error of Lash.

    Attributes:
        code: A stable name for programs, such as ``"writer_fenced"``.
        session_id: The session it is about, if any.
        plugin: The plugin that caused it, if any.
        step: The step that failed, such as ``"commit"`` or ``"open"``, if known.
    """

    code: ClassVar[str] = "lash_error"

    def __init__(
        self, message: str, *, session_id: str | None = None, plugin: str | None = None, step: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.session_id = session_id
        self.plugin = plugin
        self.step = step

    def __str__(self) -> str:
        return self.message


class ConfigurationError(LashError):
    """Wrong usage or settings; nothing was started."""

    code = "configuration"


class UnknownName(ConfigurationError):
    """A model, mode, store scheme, tool or command that nobody offers."""

    code = "unknown_name"


class PolicyError(ConfigurationError):
    """A value of a session's policy that cannot be; the message names the field."""

    code = "policy"


class PluginError(ConfigurationError):
    """A plugin that cannot be used; the message names it and the reason."""

    code = "plugin"


class PluginConflict(PluginError):
    """Two plugins claim one name; the message names both with their versions."""

    code = "plugin_conflict"


class InvalidInput(LashError):
    """What was sent cannot be stored or run; nothing was written."""

    code = "invalid_input"


class InvalidArchive(InvalidInput):
    """A file of exported sessions is not whole, was changed, or is not ours; nothing of the session was stored.

    Attributes:
        line: The line that is wrong, from 1.
    """

    code = "invalid_archive"

    def __init__(self, reason: str, *, line: int, where: str = "the archive") -> None:
        super().__init__(f"{where}, line {line}: {reason}", step="import")
        self.line = line


class SessionError(LashError):
    """The session's own condition forbids what was asked."""

    code = "session"


class InvalidSessionId(SessionError):
    """A session id that no store could keep."""

    code = "invalid_session_id"


class SessionMissing(SessionError):
    """There is no session of that name."""

    code = "session_missing"


class SessionExists(SessionError):
    """A session of that name is there already, and a new one was asked for."""

    code = "session_exists"


class NodeMissing(SessionError):
    """The session's graph has no such node."""

    code = "node_missing"


class NodeInUse(SessionError):
    """A session stands on the node, or below it.

    Attributes:
        node_id: The node.
        used_by: The session.
    """

    code = "node_in_use"

    def __init__(self, *, session_id: str, node_id: str, used_by: str) -> None:
        super().__init__(
            f"node {node_id!r} is on the active path of session {used_by!r}: branch or delete that session first",
            session_id=session_id,
            step="hide",
        )
        self.node_id = node_id
        self.used_by = used_by


class HistoryPruned(SessionError):
    """What was asked for was removed by retention.

    Attributes:
        kept_from: The first revision that still has it; ``None`` when none has.
    """

    code = "history_pruned"

    def __init__(self, message: str, *, session_id: str | None = None, kept_from: int | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.kept_from = kept_from


class SessionDeleted(SessionError):
    """The session was deleted; its writers are refused for ever."""

    code = "session_deleted"


class SessionBusy(SessionError):
    """Somebody else works on the session.

    Attributes:
        holder: Who does, if it is known.
    """

    code = "session_busy"

    def __init__(self, message: str, *, session_id: str | None = None, holder: Holder | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.holder = holder


class StoreRegressed(SessionError):
    """The store is older than the handle that names it."""

    code = "store_regressed"


class ConflictBranched(SessionError):
    """Somebody else committed first, and what the turn had made since its last commit is kept as a branch (T7).

    Attributes:
        leaf: The last node of that branch.
    """

    code = "conflict_branched"

    def __init__(self, *, session_id: str, leaf: str, conflict: LashError) -> None:
        super().__init__(
            f"{conflict.message}. What the turn had made is kept as a branch that ends at node {leaf}; "
            f"`lash sessions branch` goes there",
            session_id=session_id,
            step="commit",
        )
        self.leaf = leaf


class CommitDenied(SessionError):
    """A plugin's guard refused a commit; nothing was written."""

    code = "commit_denied"


class SuccessorMissing(SessionError):
    """The session was handed off to one that is not there."""

    code = "successor_missing"


class CorruptSession(SessionError):
    """What is stored breaks a rule of the graph.

    Attributes:
        kind: Which rule: ``dangling_leaf``, ``no_leaf``, ``dangling_parent``, ``parent_cycle``,
            ``duplicate_node``.
        node_ids: The nodes it is about.
    """

    code = "corrupt_session"

    def __init__(
        self, message: str, *, kind: str, node_ids: tuple[str, ...] = (), session_id: str | None = None
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.kind = kind
        self.node_ids = node_ids


class StoreError(LashError):
    """What a store answers when it cannot do what was asked."""

    code = "store"


class StoreUnavailable(StoreError):
    """The store cannot be reached or used: not there, no permission, not a database."""

    code = "store_unavailable"


class StoreFull(StoreUnavailable):
    """The disk (or a quota) is full; nothing of the write remains."""

    code = "store_full"


class StoreBusy(StoreError):
    """Transient contention outlasted the deadline.

    Attributes:
        retry_after: Seconds after which a retry is worth it.
    """

    code = "store_busy"

    def __init__(self, message: str, *, retry_after: float, session_id: str | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.retry_after = retry_after


class SessionBindingMismatch(StoreError):
    """A commit for one session was handed to the store of another."""

    code = "session_binding_mismatch"

    def __init__(self, *, bound: str, requested: str, guidance: str = "") -> None:
        told = f"this store handle is bound to session {bound!r}, the commit is for {requested!r}"
        super().__init__(
            f"{told}: {guidance}" if guidance else told,
            session_id=bound,
            step="commit",
        )
        self.bound = bound
        self.requested = requested


class HeadRevisionConflict(StoreError):
    """The stored head is not at the revision that the writer expected; nothing changed.

    Attributes:
        expected: The revision that the writer saw; ``None`` means "must not exist yet".
        actual: The stored revision; ``None`` means there is no session.
    """

    code = "head_revision_conflict"

    def __init__(self, *, session_id: str, expected: int | None, actual: int | None) -> None:
        wanted = "to be new" if expected is None else f"at revision {expected}"
        found = "there is none" if actual is None else f"it is at revision {actual}"
        super().__init__(
            f"session {session_id!r} was expected {wanted}, but {found}: somebody else committed first",
            session_id=session_id,
            step="commit",
        )
        self.expected = expected
        self.actual = actual


class CommitIdReused(StoreError):
    """A commit id came back with other content."""

    code = "commit_id_reused"

    def __init__(self, *, session_id: str, commit_id: str) -> None:
        super().__init__(
            f"session {session_id!r}: commit id {commit_id!r} was used before with other content",
            session_id=session_id,
            step="commit",
        )
        self.commit_id = commit_id


class WriterFenced(StoreError):
    """A newer epoch owns the session; this writer may not commit any more.

    Attributes:
        epoch: The epoch that the refused writer carried.
        current: The epoch in force.
        holder: Who took the session over, if the store knows.
    """

    code = "writer_fenced"

    def __init__(self, *, session_id: str, epoch: int, current: int, holder: Holder | None = None) -> None:
        by = f" by {holder.describe()}" if holder else ""
        super().__init__(
            f"session {session_id!r} was taken over{by} (epoch {current}; this writer has {epoch}): "
            "nothing was written",
            session_id=session_id,
            step="commit",
        )
        self.epoch = epoch
        self.current = current
        self.holder = holder


class SessionLeased(StoreError):
    """The lease is held by somebody else and has not expired.

    Attributes:
        holder: Who holds it.
        expires_in: Seconds until it expires, by the store's clock.
        epoch: The lease's epoch.
    """

    code = "session_leased"

    def __init__(self, *, session_id: str, holder: Holder, expires_in: float, epoch: int) -> None:
        super().__init__(
            f"session {session_id!r} is leased to {holder.describe()} for another {expires_in:.0f} s",
            session_id=session_id,
            step="lease",
        )
        self.holder = holder
        self.expires_in = expires_in
        self.epoch = epoch


class MissingBlob(StoreError):
    """A component refers to a blob that is not there."""

    code = "missing_blob"

    def __init__(self, *, session_id: str, ref: str, component: str | None = None) -> None:
        what = f"component {component!r} refers to" if component else "asked for"
        super().__init__(f"session {session_id!r}: {what} blob {ref}, which is not stored", session_id=session_id)
        self.ref = ref
        self.component = component


class MissingAttachment(StoreError):
    """A file is not where it was kept.

    Attributes:
        attachment_id: The file's id.
    """

    code = "missing_attachment"

    def __init__(self, shown: str, *, attachment_id: str, where: str, session_id: str | None = None) -> None:
        super().__init__(f"attachment {shown} is not in {where}", session_id=session_id)
        self.attachment_id = attachment_id


class UnreadableData(StoreError):
    """A stored row cannot be read.

    Attributes:
        row: Which row, such as ``"node 01ab…"`` or ``"head"``.
    """

    code = "unreadable_data"

    def __init__(self, *, row: str, reason: str, session_id: str | None = None) -> None:
        where = f"session {session_id!r}: " if session_id else ""
        super().__init__(f"{where}{row} cannot be read: {reason}", session_id=session_id)
        self.row = row

    def of_session(self, session_id: str) -> UnreadableData:
        """Name the session, if whoever found the row did not know it."""
        if self.session_id is None:
            self.session_id = session_id
            self.message = f"session {session_id!r}: {self.message}"
        return self


class LimitExceeded(StoreError):
    """A value is over a limit that the store declares."""

    code = "limit_exceeded"


class UnsupportedSchema(StoreError):
    """The stored schema is newer than this code can read; the message names both versions."""

    code = "unsupported_schema"


class AttachmentUnresolved(LashError):
    """A file that a model was to be shown cannot be read."""

    code = "attachment_unresolved"


class ModelError(LashError):
    """The model provider failed.

    Attributes:
        retryable: Whether the same request may succeed later.
        retry_after: Seconds that the provider asked to wait, if it did.
        kind: ``rate_limit``, ``overloaded``, ``transport``, ``auth``, ``invalid_request``,
            ``context_overflow``, ``content_filter`` or ``other``.
    """

    code = "model"

    def __init__(
        self, message: str, *, retryable: bool = False, retry_after: float | None = None, kind: str = "other"
    ) -> None:
        super().__init__(message, step="model call")
        self.retryable = retryable
        self.retry_after = retry_after
        self.kind = kind


class TaskError(LashError):
    """What was asked of a background task cannot be done.

    Attributes:
        task_id: The task.
    """

    code = "task"

    def __init__(self, message: str, *, task_id: str, session_id: str | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.task_id = task_id


class TaskExists(TaskError):
    """A task of that id is alive in the session."""

    code = "task_exists"


class TaskMissing(TaskError):
    """The session has no task of that id, or none any more."""

    code = "task_missing"


class ToolError(LashError):
    """Raised by a tool to tell the model, in its own words, what went wrong.

    Attributes:
        retryable: Whether the same call may succeed later; it is made again if the tool's ``retry`` says so.
        retry_after: Seconds to wait before, if the tool knows.
    """

    code = "tool"

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message, step="tool call")
        self.retryable = retryable
        self.retry_after = retry_after


class HostError(LashError):
    """A host could not bring a turn to its end; the turn is interrupted and can be continued.

    Attributes:
        host: The host's name.
    """

    code = "host"

    def __init__(self, message: str, *, host: str, session_id: str | None = None) -> None:
        super().__init__(message, session_id=session_id, step="run turn")
        self.host = host


class TurnError(LashError):
    """A turn that cannot be run or continued."""

    code = "turn"


def redact_url(url: str) -> str:
    """Give a store URL without its password and without the values of secret-looking options.

    >>> redact_url("postgresql://ann:s3cret@db/agents?sslpassword=x&pool=4")
    'postgresql://ann:***@db/agents?sslpassword=***&pool=4'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:  # mistyped, perhaps, with a password all the same
        scheme, rest = "", url.removeprefix("//")
        separator = url.removesuffix(rest)
    authority, slash, tail = rest.partition("/")
    userinfo, at, host = authority.rpartition("@")
    if not at and "@" in tail:  # a password with a slash in it: everything up to the last @ is user info
        userinfo, at, host = rest.rpartition("@")
        host, slash, tail = host.partition("/")
    user, colon, _password = userinfo.partition(":")
    shown = f"{user}{':***' if colon else ''}{at}"
    path, question, query = f"{host}{slash}{tail}".partition("?")
    pairs = [_redact_pair(pair) for pair in query.split("&")] if question else []
    return f"{scheme}{separator}{shown}{path}{question}{'&'.join(pairs)}"


def _redact_pair(pair: str) -> str:
    key, equals, _value = pair.partition("=")
    secret = any(word in key.lower() for word in ("pass", "secret", "token", "key", "credential"))
    return f"{key}=***" if equals and secret else pair

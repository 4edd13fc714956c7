"""What the runtime and a store say to each other: plain rows and bytes (S1).

A store interprets the attributes below and nothing inside the ``bytes``: those are JSON documents of the runtime
(`lash_hookspecs.records.state`), so their fields can change without touching a store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Literal

import attrs

from lash_hookspecs.records.graph import Node

__all__ = [
    "Absent",
    "Commit",
    "CommitRecord",
    "Consumed",
    "Deleted",
    "Fork",
    "Head",
    "Holder",
    "Lease",
    "Migration",
    "Receipt",
    "SessionPage",
    "SessionQuery",
    "SessionRow",
    "StoreCapabilities",
    "StoreStats",
    "StreamEntry",
    "StreamRow",
    "Writer",
    "blob_ref",
    "commit_digest",
]


@attrs.frozen(slots=True)
class Writer:
    """Who writes, as far as a store can check it.

    Attributes:
        incarnation: Which life of the session name. A session's first commit brings a fresh one; a deleted
            incarnation is refused for ever (S8).
        epoch: The fencing number; an older one than the stored is refused (S5). ``None`` in a stream append means
            "not fenced": anybody may put something into an inbox.
    """

    incarnation: str
    epoch: int | None = 0


@attrs.frozen(slots=True)
class Fork:
    """Where a forked session begins.

    Attributes:
        session_id: The session whose graph is shared.
        leaf: The node that becomes the new session's leaf.
    """

    session_id: str
    leaf: str | None


@attrs.frozen(slots=True)
class Consumed:
    """Entries of a stream that a commit uses up, atomically (S14).

    Attributes:
        stream: The stream's name.
        upto: Entries with a sequence up to and including this one are removed.
    """

    stream: str
    upto: int


@attrs.frozen(slots=True, kw_only=True)
class Commit:
    """One atomic change of a session (S2).

    Attributes:
        session_id: The session; must be the one that the store handle is bound to.
        commit_id: Chosen by the writer; replaying the same commit returns the first receipt (S4).
        writer: Incarnation and epoch.
        expected_revision: The revision that the writer saw; ``None`` means "must not exist yet" (S3).
        nodes: New nodes, parents before children. Appended; never replaced.
        leaf: The new leaf, or ``None`` for an empty path.
        components: The whole component set after this commit: name → blob ref (S6).
        blobs: Bodies by ref, stored with the commit; a component's ref must be here or stored already.
        state: The head's document (JSON), replaced by each commit.
        record: This commit's own document (JSON), kept with the commit record: turn record, usage deltas,
            events, plugin fingerprint.
        open_turn: The id of a turn that is not finished by this commit; ``None`` when none is open (L14).
        consumed: Stream entries that this commit uses up.
        fork: Set on the first commit of a fork; the store shares the graph (capability ``sharing``).
        labels: The session's labels, or ``None`` to leave them.
        ttl: Seconds after its last commit when the session may be deleted (`RetainedBackend.expire`); zero for never,
            ``None`` to leave what was said before. Each commit begins the time anew.
        committed_at: The writer's clock, microseconds since 1970-01-01 UTC.
    """

    session_id: str
    commit_id: str
    writer: Writer
    expected_revision: int | None
    leaf: str | None
    state: bytes
    record: bytes
    committed_at: int
    nodes: tuple[Node, ...] = ()
    components: Mapping[str, str] = attrs.field(factory=dict)
    blobs: Mapping[str, bytes] = attrs.field(factory=dict)
    open_turn: str | None = None
    consumed: tuple[Consumed, ...] = ()
    fork: Fork | None = None
    labels: Mapping[str, str] | None = None
    ttl: float | None = None


@attrs.frozen(slots=True)
class Receipt:
    """What a commit returns.

    Attributes:
        session_id: The session.
        commit_id: The commit it is for.
        revision: The head's revision after it.
        digest: `commit_digest` of what was stored.
    """

    session_id: str
    commit_id: str
    revision: int
    digest: str


@attrs.frozen(slots=True, kw_only=True)
class Head:
    """The one row of a session that changes.

    Attributes:
        session_id: The session.
        incarnation: Which life of the name.
        revision: Counts commits, from 1.
        epoch: The highest epoch that a lease or a commit has brought.
        leaf: The stored leaf; reported as it is, never healed by a store (G3).
        components: Name → blob ref.
        state: The runtime's document (JSON).
        open_turn: The id of the turn that is not finished, or ``None``.
        labels: The session's labels.
        created_at: First commit, microseconds since 1970-01-01 UTC.
        updated_at: Last commit, microseconds since 1970-01-01 UTC.
        ttl: Seconds after the last commit when the session may be deleted; zero for never.
    """

    session_id: str
    incarnation: str
    revision: int
    epoch: int
    leaf: str | None
    components: Mapping[str, str]
    state: bytes
    open_turn: str | None
    labels: Mapping[str, str]
    created_at: int
    updated_at: int
    ttl: float = 0.0


@attrs.frozen(slots=True)
class Absent:
    """There is no session of this name, and none was deleted."""


@attrs.frozen(slots=True)
class Deleted:
    """The session of this name was deleted; the name is free again.

    Attributes:
        incarnation: The incarnation that died last.
        revision: Its last revision.
        deleted_at: Microseconds since 1970-01-01 UTC.
    """

    incarnation: str
    revision: int
    deleted_at: int


@attrs.frozen(slots=True, kw_only=True)
class CommitRecord:
    """The row that each commit adds and nobody changes.

    Attributes:
        revision: The head's revision after the commit.
        commit_id: The writer's id for it.
        digest: `commit_digest` of the commit.
        epoch: The writer's epoch.
        leaf: The leaf after the commit.
        open_turn: The turn that it left open.
        components: The component set after it.
        record: The runtime's document (JSON).
        committed_at: The writer's clock, microseconds since 1970-01-01 UTC.
    """

    revision: int
    commit_id: str
    digest: str
    epoch: int
    leaf: str | None
    open_turn: str | None
    components: Mapping[str, str]
    record: bytes
    committed_at: int


@attrs.frozen(slots=True)
class StreamEntry:
    """Something to append to a stream.

    Attributes:
        key: Appending the same key again changes nothing and returns the first sequence (S14).
        body: Opaque bytes.
    """

    key: str
    body: bytes


@attrs.frozen(slots=True)
class StreamRow:
    """A stored entry of a stream.

    Attributes:
        sequence: Grows by appends, never reused within an incarnation; gaps are legal.
        key: The entry's key.
        body: Opaque bytes.
    """

    sequence: int
    key: str
    body: bytes


@attrs.frozen(slots=True)
class Holder:
    """Who holds a lease, told so that another process can see whether it still lives.

    Attributes:
        name: A word for people, such as ``"lash run"``.
        host: The machine's name (for people; it proves nothing).
        pid: The process id.
        process: Identity of the process: boot id, pid namespace and start time; empty if unknown.
        instance: Unique for the runtime object that holds the lease.
    """

    name: str
    host: str
    pid: int
    process: str
    instance: str

    def describe(self) -> str:
        """Say who it is, for messages: ``lash run (pid 4711 on vega)``."""
        return f"{self.name} (pid {self.pid} on {self.host})"


@attrs.frozen(slots=True)
class Lease:
    """Who should work on a session, for how long (S5).

    Attributes:
        holder: Who.
        epoch: The fencing number that came with it.
        expires_in: Seconds left by the store's clock; zero or negative means expired.
    """

    holder: Holder
    epoch: int
    expires_in: float


@attrs.frozen(slots=True, kw_only=True)
class SessionQuery:
    """Which sessions to list.

    Attributes:
        open_turn: ``True`` for sessions with an unfinished turn, ``False`` for those without, ``None`` for all.
        labels: Every pair must be there.
        after: The cursor of the page before.
        limit: At most this many rows.
    """

    open_turn: bool | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)
    after: str | None = None
    limit: int = 100


@attrs.frozen(slots=True)
class SessionRow:
    """A session in a listing.

    Attributes:
        head: Its head.
        lease: Its lease, if one was ever taken and not released.
    """

    head: Head
    lease: Lease | None


@attrs.frozen(slots=True)
class SessionPage:
    """A page of a listing.

    Attributes:
        rows: Ordered by session id.
        cursor: Give it as ``after`` for the next page; ``None`` on the last one.
    """

    rows: tuple[SessionRow, ...]
    cursor: str | None


@attrs.frozen(slots=True, kw_only=True)
class StoreCapabilities:
    """What a store declares about itself; the conformance kit proves it (S15).

    Attributes:
        levels: Of ``core``, ``concurrent``, ``retention``, ``sharing``, ``migration``.
        durability: What an acknowledged commit survives; ``none`` for a store in memory.
        database_clock: Whether lease expiry is judged by one clock for all writers.
        max_value: The largest payload, blob or stream body in bytes; ``None`` for no limit of its own.
        max_nodes_per_commit: The most nodes in one commit; ``None`` for no limit of its own.
        tenants: Whether the backend is a `lash_hookspecs.protocols.stores.TenantedBackend`.
    """

    levels: frozenset[str] = frozenset({"core"})
    durability: Literal["none", "process", "host", "quorum"] = "none"
    database_clock: bool = False
    max_value: int | None = None
    max_nodes_per_commit: int | None = None
    tenants: bool = False


@attrs.frozen(slots=True, kw_only=True)
class StoreStats:
    """How much a store holds.

    Attributes:
        sessions: Living sessions.
        nodes: Stored nodes, hidden ones included.
        commits: Commit records.
        blobs: Stored blobs.
        bytes_on_disk: Bytes on disk; ``None`` where nobody can say.
    """

    sessions: int
    nodes: int
    commits: int
    blobs: int
    bytes_on_disk: int | None


@attrs.frozen(kw_only=True)
class Migration:
    """What it takes, or took, to bring a database to this version (S10).

    Attributes:
        name: The store's name or its URL without secrets.
        found: The schema version that was there; ``None`` when there was none.
        version: The schema version that is there afterwards.
        steps: What there is to do, in order, for people: statements or sentences. Empty when nothing is.
        applied: Whether the steps were done.
    """

    name: str
    found: int | None
    version: int
    steps: tuple[str, ...]
    applied: bool


def blob_ref(body: bytes) -> str:
    """Name a blob by its content: lower-case hex SHA-256 of the uncompressed bytes."""
    return hashlib.sha256(body).hexdigest()


def commit_digest(commit: Commit) -> str:
    """Digest everything that a commit would store, so that a replay can be told from a reuse (S4).

    Each part is preceded by its length, so no two commits share an encoding. The epoch, the expected revision and
    the clock are left out: a replay after a takeover is still the same commit.
    """
    chunks: list[bytes] = []
    for part in _parts(commit):
        if part is None:
            chunks.append(b"-")
        else:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            chunks += (b"%d:" % len(data), data)
    return hashlib.sha256(b"".join(chunks)).hexdigest()


def _parts(commit: Commit) -> list[str | bytes | None]:
    parts: list[str | bytes | None] = [
        commit.session_id,
        commit.commit_id,
        commit.writer.incarnation,
        str(len(commit.nodes)),
    ]
    for node in commit.nodes:
        parts += (node.node_id, node.parent_node_id, str(node.timestamp), node.kind, node.payload, str(len(node.refs)))
        parts += node.refs
    parts.append(commit.leaf)
    parts += _mapping(commit.components)
    parts.append(str(len(commit.blobs)))
    parts += sorted(commit.blobs)
    parts += (commit.state, commit.record, commit.open_turn, str(len(commit.consumed)))
    for consumed in commit.consumed:
        parts += (consumed.stream, str(consumed.upto))
    parts += (commit.fork.session_id, commit.fork.leaf) if commit.fork else (None, None)
    parts += _mapping(commit.labels or {})
    parts.append(None if commit.labels is None else "")
    if commit.ttl is not None:  # records of commits that knew no such field keep their digest
        parts.append(str(float(commit.ttl)))
    return parts


def _mapping(pairs: Mapping[str, str]) -> Iterator[str]:
    yield str(len(pairs))
    for key in sorted(pairs):
        yield key
        yield pairs[key]

"""What a store implements.

`StoreBackend` is a database; `SessionStore` is everything about one session, in twelve methods. Both are async; a
store over a blocking driver does each call in one hop to a thread (`lash_hookspecs.threads.in_thread`, since a caller
that is cancelled must leave no thread at work behind). Every error is one of `lash_hookspecs.errors.StoreError` or
`SessionDeleted`, with the driver's own exception as its ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    CommitRecord,
    Deleted,
    Head,
    Holder,
    Lease,
    Receipt,
    SessionPage,
    SessionQuery,
    StoreCapabilities,
    StoreStats,
    StreamEntry,
    StreamRow,
    Writer,
)

__all__ = ["LeasedStore", "SessionStore", "StoreBackend", "TenantedBackend"]


@runtime_checkable
class SessionStore(Protocol):
    """One session in a store (S1). Level ``core`` is exactly these twelve methods."""

    async def head(self) -> Head | Absent | Deleted:
        """Read the head. Needs no lease and takes no write lock.

        Raises:
            UnreadableData: A row is there but cannot be read (S9); never reported as `Absent`.
        """
        ...

    async def commit(self, commit: Commit) -> Receipt:
        """Store one commit atomically (S2).

        Checked in this order, and nothing is changed unless all pass:

        1. ``commit.session_id`` is this store's, else `SessionBindingMismatch`;
        2. the incarnation is not a deleted one, else `SessionDeleted`;
        3. a stored record with this ``commit_id``: same digest → its receipt again; else `CommitIdReused`;
        4. the epoch is at least the stored one, else `WriterFenced`;
        5. the incarnation and ``expected_revision`` are the stored ones (``None``: there is no living session),
           else `HeadRevisionConflict`;
        6. every ref of a component or a node is in ``commit.blobs`` or stored, else `MissingBlob`;
        7. the limits that the store declares, else `LimitExceeded`.

        A node id that the graph has already is refused with `CorruptSession` (kind ``duplicate_node``). A commit
        with a ``fork`` on a store without ``sharing`` is refused with `StoreError`: the runtime copies instead.
        The stored epoch becomes the larger of the two.

        Cancelling the caller leaves the commit either done or not done, never half; replay it to learn which. A
        cancelled call must have settled when it raises, or what is called next must wait until it has: it may not
        come to light between two later calls (S4). `lash_hookspecs.threads.in_thread` sees to that.
        """
        ...

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        """Read the nodes from the root to ``leaf``, root first.

        Args:
            leaf: Where the path ends; must be stored, else `CorruptSession` (kind ``dangling_leaf``).
            after: Only the nodes behind this one on the path. A node that is not on it is `CorruptSession`
                (kind ``dangling_parent``).
            last: Only the last ``last`` nodes (of those behind ``after``); the cost follows the answer (S7).

        Raises:
            CorruptSession: Kind ``dangling_parent`` or ``parent_cycle``, with the nodes (G4).
        """
        ...

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        """Read nodes by id, in the order asked for; unknown and hidden ones are left out."""
        ...

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        """Read all nodes of the graph that are not hidden, in the order in which they were stored.

        Args:
            after: Start behind this node id.
            limit: At most this many.
        """
        ...

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        """Store blobs and give their refs (`blob_ref`); storing one twice costs nothing."""
        ...

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        """Read blobs by ref; one that is not there is `MissingBlob`."""
        ...

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        """Read commit records with a revision above ``after``, oldest first."""
        ...

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        """Append entries to a stream, all or none, and give their sequences (S14).

        The head's revision does not move. A key that the stream has already keeps its first body.

        Raises:
            SessionDeleted: The incarnation was deleted.
            SessionMissing: The session has no commit yet.
            WriterFenced: ``writer.epoch`` is set and older than the stored epoch.
        """
        ...

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        """Read entries with a sequence above ``after``, oldest first."""
        ...

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        """Remove entries with a sequence up to ``upto`` and give their number; refused like `append`."""
        ...

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        """Delete the session and leave a tombstone of its incarnation (S8).

        Nodes that forks share stay for them. Deleting an incarnation that is dead already changes nothing; one
        that never was is `SessionMissing`.
        """
        ...


@runtime_checkable
class LeasedStore(Protocol):
    """What a `SessionStore` of level ``concurrent`` has besides (S5)."""

    async def lease(self) -> Lease | None:
        """Read the lease; ``None`` when there is none or it was released."""
        ...

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        """Take the lease and a new epoch.

        Granted when there is no lease, when it has expired by the store's clock, or when its epoch is
        ``replacing`` (the caller knows that its holder is dead). A new session may be leased before its first
        commit.

        A cancelled call must have settled when it raises, as in `SessionStore.commit`: whoever looks next sees the
        lease and its epoch in the head, or neither of them (S4).

        Args:
            holder: Who takes it.
            ttl: Seconds until it expires unless renewed.
            replacing: The epoch of a lease whose holder is known to be dead.

        Raises:
            SessionLeased: Somebody else holds it.
        """
        ...

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        """Extend the lease; `WriterFenced` when somebody else has taken it meanwhile."""
        ...

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back; nothing happens when it is no longer held. The epoch stays."""
        ...


class StoreBackend(Protocol):
    """A database of sessions."""

    @property
    def name(self) -> str:
        """The store's name or its URL without secrets, for people and handles."""
        ...

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares about itself."""
        ...

    def session(self, session_id: str) -> SessionStore:
        """Give the handle of one session; touches nothing."""
        ...

    async def sessions(self, query: SessionQuery) -> SessionPage:
        """List living sessions, ordered by id; takes no write lock."""
        ...

    async def stats(self) -> StoreStats:
        """Count what is stored."""
        ...

    async def migrate(self) -> None:
        """Bring the stored schema to this version (S10)."""
        ...

    async def close(self) -> None:
        """Give back what was opened; may be called twice."""
        ...


@runtime_checkable
class TenantedBackend(Protocol):
    """What a `StoreBackend` has besides when it keeps tenants apart (capability ``tenants``)."""

    def tenant(self, name: str) -> StoreBackend:
        """Give the view of one tenant; touches nothing.

        A tenant never sees, matches, forks or deduplicates against what another has (S6). The view shares the
        backend's connections: closing it closes nothing, and it ends with the backend. Its ``name`` differs from
        that of every other tenant's view. Its `StoreBackend.stats` count what the tenant has; where that would cost
        more than counting all, the store says so in its documentation.

        Args:
            name: Any text; ``""`` is the default tenant, whose view shows what the backend itself shows.
        """
        ...

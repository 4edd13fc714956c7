"""What a store of level ``retention`` has besides, and what else an operator may ask of a store.

Each protocol is optional and found by ``isinstance``. Whatever takes a ``budget`` (seconds) does at least one step of
its work, stops between two steps once the budget is spent, and goes on where it stopped when it is called again: what
is left to do stands in the database, so the next call may come from another process. Every step is a short transaction
beside which writers go on; whatever a step relies on is looked at again within it. A dry run gives the figures of the
real one and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from lash_hookspecs.records.retention import (
        ArchivedNode,
        ArchivedRow,
        BackupReport,
        CheckReport,
        CollectReport,
        DeleteReport,
        ExpireReport,
        HideReport,
        Progress,
        PruneReport,
        Redaction,
        RedactReport,
        Retention,
        VacuumReport,
    )

__all__ = [
    "GRACE",
    "ArchivedSession",
    "ArchivingBackend",
    "BackedUpBackend",
    "CheckedBackend",
    "RetainedBackend",
    "RetainedSession",
]

#: Seconds that `RetainedBackend.vacuum` and `gc` leave alone what was hidden or put: longer than any commit takes
#: from its first blob to its end.
GRACE = 3600.0


@runtime_checkable
class RetainedSession(Protocol):
    """What a `SessionStore` of level ``retention`` has besides (S8)."""

    async def hide(self, node_ids: Sequence[str], *, dry_run: bool = False) -> HideReport:
        """Take nodes out of sight, and all below them.

        That none of them is on the active path of any session that shares the graph is checked in the transaction
        that hides them. Hidden nodes are left out of `SessionStore.nodes` and `graph`; hiding one again changes
        nothing.

        Raises:
            NodeMissing: The graph has no such node; nothing was hidden.
            NodeInUse: A session stands on one of them or below it; nothing was hidden.
            SessionMissing: There is no such session.
        """
        ...

    async def redact(self, redaction: Redaction, *, dry_run: bool = False) -> RedactReport:
        """Replace a node's payload by a marker, and what repeats it wherever the sessions of its graph keep it.

        One transaction replaces the payloads, drops their refs, passes every other document of every session that
        shares the graph through ``redaction.scrub``, and appends the audit entry. Blobs that nothing refers to any
        more go at once, without a grace age. The revision does not move: no history is rewritten, and a replay of
        the commit (S4) still gives its receipt.

        When it returns, the old bytes are gone from the database's files as far as the store can see to it.

        Raises:
            NodeMissing: The graph has no such node.
            SessionMissing: There is no such session.
        """
        ...

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> PruneReport:
        """Remove what is not kept of commit records, their documents and streams.

        The newest commit record and its document always stay, and so do those of a turn that is open. After its
        record was pruned a commit that is replayed is a `HeadRevisionConflict` (S4). Emptied documents read as
        ``b""``.

        Raises:
            SessionMissing: There is no such session.
        """
        ...

    async def erase(
        self, *, incarnation: str, deleted_at: int, with_forks: bool = False, dry_run: bool = False
    ) -> DeleteReport:
        """Delete the session like `SessionStore.delete`, and tell what went and what stays.

        Args:
            incarnation: Which life of the name.
            deleted_at: Microseconds since 1970-01-01 UTC.
            with_forks: Delete the sessions that stand on nodes which this one stored, and theirs in turn.
            dry_run: Change nothing.

        Raises:
            SessionMissing: There never was such an incarnation.
        """
        ...


@runtime_checkable
class RetainedBackend(Protocol):
    """What a `StoreBackend` of level ``retention`` has besides (S8)."""

    async def vacuum(
        self,
        *,
        grace: float = GRACE,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> VacuumReport:
        """Remove hidden nodes, graph by graph.

        A hidden node that a session stands on again (it moved there in the instant in which it was hidden) is shown
        again instead.

        Args:
            grace: Seconds for which a node must have been hidden.
            budget: Seconds to work; ``None`` for as long as it takes.
            progress: Told how far it is.
            dry_run: Change nothing.
        """
        ...

    async def gc(
        self,
        *,
        grace: float = GRACE,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> CollectReport:
        """Remove blobs that nothing reaches, and runs of a graph that are empty.

        A blob is reached by a component of a head or a commit record, by a ref of a node (hidden ones too), and
        wherever its ref stands in a head's document, a stream entry or the body of a component that is reached.
        Looking for what is reached is one step; the budget is for removing.

        Args:
            grace: Seconds since a blob was put, or put again; zero only where nobody writes.
            budget: Seconds to work; ``None`` for as long as it takes.
            progress: Told how far it is.
            dry_run: Change nothing.
        """
        ...

    async def expire(
        self,
        *,
        now: int,
        budget: float | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> ExpireReport:
        """Delete the sessions whose time to live (`Commit.ttl`) is over; each goes whole, and at once.

        The time to live is counted from the last commit. The store keeps its own time of each commit for that:
        `Commit.committed_at` and `Head.updated_at` are the writer's, whose clock may be wrong.

        Args:
            now: Microseconds since 1970-01-01 UTC; compared with the store's own time of the last commit.
            budget: Seconds to work; ``None`` for as long as it takes.
            progress: Told how far it is.
            dry_run: Change nothing.
        """
        ...


@runtime_checkable
class CheckedBackend(Protocol):
    """A `StoreBackend` that can look itself through (G4)."""

    async def check(self, *, repair: bool = False, progress: Progress | None = None) -> CheckReport:
        """Look for what breaks a rule: edges, cycles, leaves, blobs, places, orphan rows, indices, counters.

        Args:
            repair: Mend what can be mended without loss. A parent that is gone, and a cycle, are cut: the node
                becomes a root, so what is below it can be read. A finding says what was done, or why nothing was.
            progress: Told how far it is.
        """
        ...


@runtime_checkable
class BackedUpBackend(Protocol):
    """A `StoreBackend` that writes a copy of itself while others write to it."""

    async def backup(self, path: Path, *, progress: Progress | None = None) -> BackupReport:
        """Write the store as it is at one moment into a new file.

        Raises:
            StoreUnavailable: The file is there already, or cannot be written; nothing of it remains.
        """
        ...


@runtime_checkable
class ArchivedSession(Protocol):
    """A `SessionStore` whose session can be carried to another store: what is read for it besides."""

    async def archive(self, *, after: str | None = None, limit: int | None = None) -> Sequence[ArchivedNode]:
        """Read all nodes of the graph like `SessionStore.graph`, the hidden ones too, each with its owner."""
        ...

    async def sharers(self) -> Sequence[str]:
        """Name the living sessions that share the graph, this one included, oldest first; none where it is gone."""
        ...

    async def streams(self) -> Mapping[str, int]:
        """Give the streams' names, each with the newest sequence ever given."""
        ...


@runtime_checkable
class ArchivingBackend(Protocol):
    """A `StoreBackend` that takes sessions from another store; its handles are `ArchivedSession`."""

    async def load(self, rows: Iterable[ArchivedRow]) -> Sequence[str]:
        """Store a family of sessions from its rows, all or none, and name them.

        Revisions, sequences, epochs, incarnations and times stay as they were. The rows are read once, perhaps in
        another thread, while the transaction is open: reading them must not wait for anybody.

        Raises:
            SessionExists: There is a living session of one of the names.
            SessionDeleted: One of these incarnations was deleted here.
            MissingBlob: A ref is not stored.
            CorruptSession: A node id is there twice, or a parent does not come before its child.
            InvalidInput: The rows are not in their order.
            LimitExceeded: A value is larger than the store takes.
        """
        ...

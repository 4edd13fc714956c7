"""What retention, checks and archives say: plain rows and reports (S8, S10, G4).

Sizes are bytes of what was stored for people and programs: payloads, documents, bodies. What a database spends around
them is its own affair, and is told by `lash_hookspecs.records.store.StoreStats`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import CommitRecord, Head, StreamEntry, StreamRow

__all__ = [
    "AUDIT_STREAM",
    "ArchivedHead",
    "ArchivedNode",
    "ArchivedRecord",
    "ArchivedRow",
    "ArchivedStream",
    "BackupReport",
    "CheckReport",
    "CollectReport",
    "DeleteReport",
    "ExpireReport",
    "Finding",
    "HideReport",
    "Keep",
    "Progress",
    "PruneReport",
    "RedactReport",
    "Redaction",
    "Retention",
    "VacuumReport",
]

#: The stream in which a session keeps who redacted what, when and why.
AUDIT_STREAM = "audit"

#: Called with what is being done, how much of it is done, and how much there is (``None`` where nobody knows yet).
Progress = Callable[[str, int, int | None], None]


@attrs.frozen(kw_only=True)
class HideReport:
    """What `hide` did, or would do.

    Attributes:
        node_ids: The nodes that are hidden now and were not before: those asked for and all below them, in the order
            of storing.
        bytes: The size of their payloads; `vacuum` gives it back.
        dry_run: Whether nothing was changed.
    """

    node_ids: tuple[str, ...]
    bytes: int
    dry_run: bool


@attrs.frozen(kw_only=True)
class VacuumReport:
    """What `vacuum` did, or would do.

    Attributes:
        nodes: Hidden nodes that were removed.
        bytes: The size of their payloads.
        shown: Hidden nodes that a session stands on again; they are shown again instead.
        young: Hidden nodes that were not hidden long enough ago.
        remaining: Hidden nodes that the budget left; zero when it is done.
        done: Whether another run would find nothing more to do now.
        dry_run: Whether nothing was changed.
    """

    nodes: int
    bytes: int
    shown: int
    young: int
    remaining: int
    done: bool
    dry_run: bool


@attrs.frozen(kw_only=True)
class CollectReport:
    """What `gc` did, or would do.

    Attributes:
        blobs: Blobs that nothing reaches and that were removed.
        segments: Empty runs of a graph that were removed, in a store that has such.
        bytes: What the removed blobs took in the store, compressed as they were.
        young: Blobs that nothing reaches and that were put too short a time ago.
        remaining: Blobs that the budget left; zero when it is done.
        done: Whether another run would find nothing more to do now.
        dry_run: Whether nothing was changed.
    """

    blobs: int
    segments: int
    bytes: int
    young: int
    remaining: int
    done: bool
    dry_run: bool


@attrs.frozen(kw_only=True)
class DeleteReport:
    """What deleting with a report did, or would do.

    Attributes:
        session_ids: The sessions that are gone: the one asked for first, those that went along in any order. Empty
            where it was gone already.
        nodes: Nodes that were removed.
        bytes: The size of all that was removed: payloads, documents of commits, stream entries.
        shared_nodes: Nodes of these sessions that stay, because others stand on them.
        shared_with: The sessions that do, sorted.
        dry_run: Whether nothing was changed.
    """

    session_ids: tuple[str, ...]
    nodes: int
    bytes: int
    shared_nodes: int
    shared_with: tuple[str, ...]
    dry_run: bool


@attrs.frozen(kw_only=True)
class ExpireReport:
    """What `expire` did, or would do.

    Attributes:
        session_ids: The sessions whose time to live was over and that are gone.
        nodes: Nodes that were removed.
        bytes: The size of all that was removed.
        leased: Sessions whose time is over and on which somebody works; they stay for now.
        remaining: Sessions that the budget left; zero when it is done.
        done: Whether another run would find nothing more to do now.
        dry_run: Whether nothing was changed.
    """

    session_ids: tuple[str, ...]
    nodes: int
    bytes: int
    leased: int
    remaining: int
    done: bool
    dry_run: bool


@attrs.frozen(kw_only=True)
class Keep:
    """What is kept of something that grows; the rest is pruned. With both, whatever either keeps is kept.

    Attributes:
        last: The newest so many.
        since: Whatever was committed at or after this time, microseconds since 1970-01-01 UTC.
    """

    last: int | None = None
    since: int | None = None


@attrs.frozen(kw_only=True)
class Retention:
    """What is kept of one session's history besides its nodes. ``None`` leaves all of it.

    Attributes:
        records: Commit records. One that is pruned cannot be replayed any more (S4), nor branched back to (L11); the
            newest one always stays, and the blobs of the others are free.
        documents: The documents in commit records: events, usage of single commits, plugins. The record stays for
            replays and for branching back.
        streams: Stream name → how many of its newest entries are kept.
    """

    records: Keep | None = None
    documents: Keep | None = None
    streams: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class PruneReport:
    """What `prune` did, or would do.

    Attributes:
        records: Commit records that were removed.
        documents: Documents that were emptied in records that stay.
        entries: Stream entries that were removed.
        bytes: The size of the removed documents and entries.
        dry_run: Whether nothing was changed.
    """

    records: int
    documents: int
    entries: int
    bytes: int
    dry_run: bool


@attrs.frozen(kw_only=True)
class Redaction:
    """What a redaction puts in the place of a node's payload and of its copies (S8).

    Attributes:
        node_id: The node.
        payloads: The new payload of the node, and of each copy of it that a rewrite of the history made: markers that
            a reader takes for payloads of the nodes' kinds. Their refs are dropped.
        scrub: Given any other document of the sessions that share the graph (another node's payload, a head's or a
            commit's document, a stream entry, a component's body), gives it without what is redacted, or ``None``
            when it does not hold it. Must not block; called in the store's own transaction.
        audit: What is appended to `AUDIT_STREAM` in the same transaction.
    """

    node_id: str
    payloads: Mapping[str, bytes]
    scrub: Callable[[bytes], bytes | None]
    audit: StreamEntry


@attrs.frozen(kw_only=True)
class RedactReport:
    """What `redact` did, or would do.

    Attributes:
        node_id: The node.
        copies: Other nodes of the graph that held the same, and hold a marker or what the scrubbing left.
        records: Commit records whose documents were scrubbed.
        entries: Stream entries that were scrubbed.
        heads: Heads whose documents were scrubbed.
        components: Bodies of components that were replaced by scrubbed ones.
        blobs: Blobs that only what was redacted referred to, and that are gone.
        shared_blobs: Blobs that the node referred to and that something else keeps.
        sessions: The sessions that share the graph and were looked through, sorted.
        bytes: The size of what was taken out: of each document that became smaller its bytes before less its bytes
            after, and the size of the blobs that are gone.
        dry_run: Whether nothing was changed.
    """

    node_id: str
    copies: tuple[str, ...]
    records: int
    entries: int
    heads: int
    components: int
    blobs: int
    shared_blobs: int
    sessions: tuple[str, ...]
    bytes: int
    dry_run: bool


@attrs.frozen(kw_only=True)
class Finding:
    """Something that a check found (G4).

    Attributes:
        kind: ``dangling_parent``, ``parent_cycle``, ``dangling_leaf``, ``misplaced_node``, ``missing_blob``,
            ``wrong_blob``, ``orphan_rows``, ``label_index``, ``counter``, ``unreadable``, ``hidden_path``,
            ``database``.
        detail: What is wrong, for people; names rows.
        session_id: Whose it is, if one session's.
        node_ids: The nodes it is about.
        repaired: What mended it; ``None`` when nothing did.
        left: Why nothing did, when repair was asked for.
    """

    kind: str
    detail: str
    session_id: str | None = None
    node_ids: tuple[str, ...] = ()
    repaired: str | None = None
    left: str | None = None


@attrs.frozen(kw_only=True)
class CheckReport:
    """What a check looked at and found.

    Attributes:
        sessions: Living sessions.
        nodes: Nodes.
        blobs: Blobs, each read and compared with its ref.
        findings: What is wrong; empty when the store is clean.
    """

    sessions: int
    nodes: int
    blobs: int
    findings: tuple[Finding, ...]


@attrs.frozen(kw_only=True)
class BackupReport:
    """What a backup wrote.

    Attributes:
        path: The file.
        bytes: Its size.
    """

    path: str
    bytes: int


@attrs.frozen(kw_only=True)
class ArchivedHead:
    """A session in an archive.

    Attributes:
        head: Its head as it is stored.
    """

    head: Head


@attrs.frozen(kw_only=True)
class ArchivedNode:
    """A node in an archive.

    Attributes:
        node: The node, hidden or not.
        owner: The session that stored it; ``None`` when that one is gone, or not in the archive.
    """

    node: Node
    owner: str | None


@attrs.frozen(kw_only=True)
class ArchivedRecord:
    """A commit record in an archive.

    Attributes:
        session_id: Whose it is.
        record: The record as it is stored.
    """

    session_id: str
    record: CommitRecord


@attrs.frozen(kw_only=True)
class ArchivedStream:
    """A stream in an archive.

    Attributes:
        session_id: Whose it is.
        name: Its name.
        last: The newest sequence ever given.
        rows: Its entries.
    """

    session_id: str
    name: str
    last: int
    rows: tuple[StreamRow, ...]


#: What a family of sessions, those that share one graph, is made of when it is loaded, in this order: its heads, its
#: nodes in the order of storing, then commit records (oldest first) and streams. Blobs are put before it.
ArchivedRow = ArchivedHead | ArchivedNode | ArchivedRecord | ArchivedStream

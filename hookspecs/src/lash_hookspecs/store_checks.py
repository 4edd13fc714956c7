"""What every store must check, as functions over what it has read: for authors of stores.

A store that can look things up in mappings needs no checks of its own::

    def _commit(self, commit: Commit) -> Receipt:
        known = Known(self.id, head, dead, records, nodes, self.has_blob, self.capabilities)
        return known.replayed(commit) or self._store(commit)
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

import attrs

from lash_hookspecs.errors import (
    CommitIdReused,
    CorruptSession,
    HeadRevisionConflict,
    InvalidInput,
    LimitExceeded,
    MissingBlob,
    SessionBindingMismatch,
    SessionDeleted,
    SessionMissing,
    WriterFenced,
)
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import (
    Commit,
    CommitRecord,
    Head,
    Holder,
    Receipt,
    SessionPage,
    SessionQuery,
    SessionRow,
    StoreCapabilities,
    Writer,
    blob_ref,
    commit_digest,
)

__all__ = ["Known", "next_head", "nodes_behind", "page_of", "record_of", "walk_path"]


@attrs.frozen
class Known:
    """What a store knows of a session when somebody wants to write.

    Attributes:
        session_id: The session that the store's handle is bound to.
        head: The head of the living incarnation; ``None`` when there is none.
        dead: Incarnations that were deleted.
        records: Commit records of the living incarnation by commit id.
        nodes: Nodes of the graph by id.
        has_blob: Tells whether a ref is stored.
        capabilities: What the store declares; its limits are enforced here.
        fence: The epoch below which a writer is refused; the head's by default.
        holder: Who holds the lease, for the message of `WriterFenced`.
    """

    session_id: str
    head: Head | None
    dead: Container[str]
    records: Mapping[str, CommitRecord]
    nodes: Container[str]
    has_blob: Callable[[str], bool]
    capabilities: StoreCapabilities
    fence: int | None = None
    holder: Holder | None = None

    def replayed(self, commit: Commit) -> Receipt | None:
        """Check a commit in the protocol's order: its first receipt when it was stored before, else ``None``.

        Raises:
            SessionBindingMismatch, SessionDeleted, CommitIdReused, WriterFenced, HeadRevisionConflict, MissingBlob,
            LimitExceeded, CorruptSession, InvalidInput: As `SessionStore.commit` says; nothing may be stored.
        """
        if commit.session_id != self.session_id:
            raise SessionBindingMismatch(bound=self.session_id, requested=commit.session_id)
        self._refuse_dead(commit.writer)
        record = self.records.get(commit.commit_id) if self.head else None
        if record is not None:
            return self._receipt(record, commit)
        self._refuse_fenced(commit.writer.epoch or 0)
        self._check_revision(commit)
        if commit.fork is not None and self.head is not None:
            raise InvalidInput(
                f"session {self.session_id!r}: only the first commit of a session can fork", session_id=self.session_id
            )
        self._check_blobs(commit)
        self.check_sizes(
            [*(node.payload for node in commit.nodes), *commit.blobs.values(), commit.state, commit.record]
        )
        self._check_nodes(commit)
        return None

    def check_writer(self, writer: Writer) -> Head:
        """Check who appends to or trims a stream, and give the living head.

        Raises:
            SessionDeleted, SessionMissing, WriterFenced: As `SessionStore.append` says.
        """
        self._refuse_dead(writer)
        if self.head is None or self.head.incarnation != writer.incarnation:
            raise SessionMissing(f"session {self.session_id!r} has no commit yet", session_id=self.session_id)
        if writer.epoch is not None:
            self._refuse_fenced(writer.epoch)
        return self.head

    def check_deletion(self, incarnation: str) -> bool:
        """Tell whether there is something to delete; ``False`` for an incarnation that is dead already.

        Raises:
            SessionMissing: There never was such an incarnation.
        """
        if incarnation in self.dead:
            return False
        if self.head is None or self.head.incarnation != incarnation:
            raise SessionMissing(
                f"there is no incarnation {incarnation!r} of session {self.session_id!r}", session_id=self.session_id
            )
        return True

    def check_sizes(self, bodies: Iterable[bytes]) -> None:
        """Refuse a value that is over the declared limit."""
        limit = self.capabilities.max_value
        for body in bodies:
            if limit is not None and len(body) > limit:
                raise LimitExceeded(f"a value of {len(body)} bytes is over the store's limit of {limit}")

    def _receipt(self, record: CommitRecord, commit: Commit) -> Receipt:
        if record.digest != commit_digest(commit):
            raise CommitIdReused(session_id=self.session_id, commit_id=commit.commit_id)
        return Receipt(self.session_id, commit.commit_id, record.revision, record.digest)

    def _refuse_dead(self, writer: Writer) -> None:
        if writer.incarnation in self.dead:
            raise SessionDeleted(
                f"session {self.session_id!r} was deleted: this writer is refused for ever", session_id=self.session_id
            )

    def _refuse_fenced(self, epoch: int) -> None:
        fence = self.fence if self.fence is not None else (self.head.epoch if self.head else 0)
        if epoch < fence:
            raise WriterFenced(session_id=self.session_id, epoch=epoch, current=fence, holder=self.holder)

    def _check_revision(self, commit: Commit) -> None:
        actual = self.head.revision if self.head else None
        stranger = self.head is not None and self.head.incarnation != commit.writer.incarnation
        if commit.expected_revision != actual or stranger:
            raise HeadRevisionConflict(session_id=self.session_id, expected=commit.expected_revision, actual=actual)

    def _check_blobs(self, commit: Commit) -> None:
        for ref, body in commit.blobs.items():
            if blob_ref(body) != ref:
                raise InvalidInput(
                    f"blob {ref} does not have the content that its ref names", session_id=self.session_id
                )
        wanted: list[tuple[str | None, str]] = list(commit.components.items())
        wanted += [(None, ref) for node in commit.nodes for ref in node.refs]
        for component, ref in wanted:
            if ref not in commit.blobs and not self.has_blob(ref):
                raise MissingBlob(session_id=self.session_id, ref=ref, component=component)

    def _check_nodes(self, commit: Commit) -> None:
        limit = self.capabilities.max_nodes_per_commit
        if limit is not None and len(commit.nodes) > limit:
            raise LimitExceeded(f"a commit of {len(commit.nodes)} nodes is over the store's limit of {limit}")
        seen = set[str]()
        for node in commit.nodes:
            if node.node_id in self.nodes or node.node_id in seen:
                raise _corrupt(
                    self.session_id, "duplicate_node", f"node {node.node_id!r} is stored already", node.node_id
                )
            seen.add(node.node_id)


def next_head(commit: Commit, before: Head | None) -> Head:
    """Give the head that a checked commit leaves; the epoch becomes the larger of the two."""
    labels = commit.labels if commit.labels is not None else before.labels if before else {}
    return Head(
        session_id=commit.session_id,
        incarnation=commit.writer.incarnation,
        revision=before.revision + 1 if before else 1,
        epoch=max(commit.writer.epoch or 0, before.epoch if before else 0),
        leaf=commit.leaf,
        components=dict(commit.components),
        state=commit.state,
        open_turn=commit.open_turn,
        labels=dict(labels),
        created_at=before.created_at if before else commit.committed_at,
        updated_at=commit.committed_at,
        ttl=commit.ttl if commit.ttl is not None else before.ttl if before else 0.0,
    )


def record_of(commit: Commit, revision: int) -> CommitRecord:
    """Give the record that a checked commit adds."""
    return CommitRecord(
        revision=revision,
        commit_id=commit.commit_id,
        digest=commit_digest(commit),
        epoch=commit.writer.epoch or 0,
        leaf=commit.leaf,
        open_turn=commit.open_turn,
        components=dict(commit.components),
        record=commit.record,
        committed_at=commit.committed_at,
    )


def walk_path(
    session_id: str, nodes: Mapping[str, Node], leaf: str, *, after: str | None = None, last: int | None = None
) -> list[Node]:
    """Walk from a leaf towards the root over nodes by id, and give the path root first; see `SessionStore.path`.

    Raises:
        CorruptSession: Kind ``dangling_leaf``, ``dangling_parent`` or ``parent_cycle``.
    """
    if leaf not in nodes:
        raise _corrupt(session_id, "dangling_leaf", f"leaf {leaf!r} is not stored", leaf)
    found: dict[str, Node] = {}
    child, at = leaf, leaf
    while at != after and (after is not None or len(found) != last):
        if at in found:
            raise _corrupt(session_id, "parent_cycle", f"node {at!r} is its own ancestor", at)
        if at not in nodes:
            raise _corrupt(
                session_id, "dangling_parent", f"node {child!r} has the parent {at!r}, which is not stored", child, at
            )
        found[at] = nodes[at]
        above = nodes[at].parent_node_id
        if above is None and after is not None:
            raise _corrupt(session_id, "dangling_parent", f"node {after!r} is not on the path to {leaf!r}", after)
        if above is None:
            break
        child, at = at, above
    return list(found.values())[:last][::-1]


def nodes_behind(session_id: str, nodes: Mapping[str, Node], after: str | None, limit: int | None) -> list[Node]:
    """Give nodes that are not hidden, in the order of the mapping; see `SessionStore.graph`.

    Raises:
        CorruptSession: ``after`` is not among them.
    """
    if after is not None and after not in nodes:
        raise _corrupt(session_id, "dangling_parent", f"node {after!r} is not stored", after)
    start = 0 if after is None else list(nodes).index(after) + 1
    return [node for node in list(nodes.values())[start:] if not node.hidden][:limit]


def page_of(rows: Iterable[SessionRow], query: SessionQuery) -> SessionPage:
    """Filter, order and cut rows as a listing asks."""
    found = sorted((row for row in rows if _matches(row.head, query)), key=lambda row: row.head.session_id)
    page = tuple(found[: query.limit])
    return SessionPage(page, page[-1].head.session_id if page and len(found) > len(page) else None)


def _matches(head: Head, query: SessionQuery) -> bool:
    turn = query.open_turn is None or query.open_turn == (head.open_turn is not None)
    behind = query.after is None or head.session_id > query.after
    return turn and behind and query.labels.items() <= head.labels.items()


def _corrupt(session_id: str, kind: str, reason: str, *node_ids: str) -> CorruptSession:
    return CorruptSession(f"session {session_id!r}: {reason}", kind=kind, node_ids=node_ids, session_id=session_id)

"""Units of work that read a session for an archive, and store a family of sessions from one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from lash_hookspecs.errors import CorruptSession, InvalidInput, MissingBlob, SessionExists
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.retention import (
    ArchivedHead,
    ArchivedNode,
    ArchivedRecord,
    ArchivedRow,
    ArchivedStream,
)
from lash_hookspecs.records.store import Head

from lash_store_sql.blobs import keep_blob, micros
from lash_store_sql.connection import UNLIMITED, Connection, Name
from lash_store_sql.rows import SHIFT, PackedId, dump_mapping, join_refs, load_nodes
from lash_store_sql.stored import check_size, corrupt, deleted, find, is_dead

__all__ = ["load_family", "read_archive", "read_sharers", "read_streams"]

_LOW = (1 << SHIFT) - 1


def read_archive(connection: Connection, name: Name, after: str | None, limit: int | None) -> list[ArchivedNode]:
    """Read all nodes of the graph in the order of storing, the hidden ones too."""
    connection.begin_read()
    stored = find(connection, name)
    if stored is None:
        return []
    pos, stored_at = -1, -1
    if after is not None:
        place = connection.execute(connection.sql.PLACE, (stored.graph, connection.pack_id(after))).fetchone()
        if place is None:
            raise corrupt(name.session_id, "dangling_parent", f"node {after!r} is not stored", after)
        pos, stored_at = place
    count = UNLIMITED if limit is None else limit
    rows = connection.execute(connection.sql.ARCHIVE, (stored.graph, stored_at, stored_at, pos, count)).fetchall()
    nodes = load_nodes([row[:7] for row in rows])
    return [ArchivedNode(node=node, owner=row[7]) for node, row in zip(nodes, rows, strict=True)]


def read_sharers(connection: Connection, name: Name) -> list[str]:
    """Name the living sessions on the graph, oldest first."""
    connection.begin_read()
    stored = find(connection, name)
    rows = connection.execute(connection.sql.SHARING, (stored.graph,)).fetchall() if stored else []
    return [session_id for (session_id,) in rows]


def read_streams(connection: Connection, name: Name) -> dict[str, int]:
    """Give the streams' names with their newest sequences."""
    connection.begin_read()
    stored = find(connection, name)
    rows = connection.execute(connection.sql.STREAMS, (stored.key,)).fetchall() if stored else []
    return {stream: last for _, stream, last in rows}


def load_family(connection: Connection, tenant: str, rows: Iterable[ArchivedRow], max_value: int) -> list[str]:
    """Store sessions that share a graph, all or none."""
    connection.begin_write()
    family = _Family(connection, tenant, max_value)
    for row in rows:
        family.take(row)
    family.finish()
    connection.commit()
    return list(family.keys)


@attrs.define
class _Tail:
    """Where a session appends."""

    node_id: str
    pos: int


class _Family:
    """Sessions on their way in.

    Attributes:
        keys: Session id → key.
    """

    def __init__(self, connection: Connection, tenant: str, max_value: int) -> None:
        self._connection = connection
        self._tenant = tenant
        self._max_value = max_value
        self._heads: dict[str, Head] = {}
        self._places: dict[str, int] = {}
        self._tails: dict[str | None, _Tail] = {}
        self._graph = 0
        self._clock = micros(connection)
        self.keys: dict[str, int] = {}
        self._stage = 0

    def take(self, row: ArchivedRow) -> None:
        """Store the next row."""
        stages: tuple[tuple[type[ArchivedRow], int, Callable[..., None]], ...] = (
            (ArchivedHead, 0, self._head),
            (ArchivedNode, 1, self._node),
            (ArchivedRecord, 2, self._record),
            (ArchivedStream, 2, self._stream),
        )
        stage, store = next((stage, store) for kind, stage, store in stages if isinstance(row, kind))
        if stage < self._stage or (stage and not self.keys):
            raise InvalidInput(f"a {type(row).__name__} is not in its place among the rows of an archive")
        self._stage = stage
        store(row)

    def finish(self) -> None:
        """Put the heads where their nodes are."""
        for session_id, head in self._heads.items():
            tail = self._tails.get(session_id)
            leaf = None if head.leaf is None else self._connection.pack_id(head.leaf)
            leaf_pos = None if head.leaf is None else self._places.get(head.leaf)
            self._connection.execute(
                self._connection.sql.MOVE_HEAD,
                (
                    leaf, leaf_pos, tail.pos if tail else None, head.revision, head.epoch, head.open_turn,
                    head.updated_at, self._clock, dump_mapping(head.components), head.state, self.keys[session_id],
                ),
            )  # fmt: skip

    def _head(self, row: ArchivedHead) -> None:
        connection, head = self._connection, row.head
        name = Name(self._tenant, head.session_id)
        connection.guard_name(name)
        if find(connection, name) is not None:
            raise SessionExists(f"session {head.session_id!r} is there already", session_id=head.session_id)
        if is_dead(connection, name, head.incarnation):
            raise deleted(head.session_id)
        check_size(len(head.state), self._max_value)
        self._need(head.session_id, head.components.values())
        incarnation = connection.pack_id(head.incarnation)
        labels = dump_mapping(head.labels)
        connection.execute(
            connection.sql.ADD_SESSION,
            (
                *name, incarnation, self._graph, None, None, None, head.revision, head.epoch, head.open_turn,
                head.created_at, head.updated_at, self._clock, labels, "{}", b"",
            ),
        )  # fmt: skip
        stored = find(connection, name)
        assert stored is not None
        self.keys[head.session_id], self._heads[head.session_id] = stored.key, head
        if not self._graph:
            self._graph = stored.key
            connection.execute(connection.sql.BEGIN_GRAPH, (stored.key,))
        if head.ttl:
            connection.execute(connection.sql.SET_TTL, (round(head.ttl * 1_000_000), stored.key))
        values = [(self._tenant, label, value, head.session_id, stored.key) for label, value in head.labels.items()]
        connection.executemany(connection.sql.ADD_LABEL, values)

    def _node(self, row: ArchivedNode) -> None:
        node, owner = row.node, row.owner if row.owner in self.keys else None
        if node.node_id in self._places:
            raise self._corrupt("duplicate_node", f"node {node.node_id!r} is there twice", node)
        if node.parent_node_id is not None and node.parent_node_id not in self._places:
            reason = f"node {node.node_id!r} comes before its parent {node.parent_node_id!r}"
            raise self._corrupt("dangling_parent", reason, node)
        check_size(len(node.payload), self._max_value)
        self._need(next(iter(self.keys)), node.refs)
        tail = self._tails.get(owner)
        if tail is None or node.parent_node_id != tail.node_id:
            pos = self._begin_run(owner, node.parent_node_id)
        else:
            pos = tail.pos + 1
        self._tails[owner] = _Tail(node.node_id, pos)
        self._places[node.node_id] = pos
        self._clock += 1  # keeps the order of storing among the runs
        connection = self._connection
        parent: PackedId | None = None if node.parent_node_id is None else connection.pack_id(node.parent_node_id)
        connection.execute(
            connection.sql.ADD_NODE,
            (
                pos, self._graph, connection.pack_id(node.node_id), parent, self._clock, node.timestamp,
                self._clock if node.hidden else 0, node.kind, join_refs(node.refs), node.payload,
            ),
        )  # fmt: skip

    def _begin_run(self, owner: str | None, parent: str | None) -> int:
        fork_pos = None if parent is None else self._places[parent]
        key = self.keys[owner] if owner is not None else 0
        (segment,) = self._connection.execute(self._connection.sql.ADD_SEGMENT, (self._graph, key, fork_pos)).fetchone()
        return int(segment) << SHIFT

    def _record(self, row: ArchivedRecord) -> None:
        connection, record, key = self._connection, row.record, self._key(row.session_id)
        check_size(len(record.record), self._max_value)
        self._need(row.session_id, record.components.values())
        leaf = None if record.leaf is None else connection.pack_id(record.leaf)
        connection.execute(
            connection.sql.ADD_RECORD,
            (
                key << SHIFT | record.revision, key, connection.pack_id(record.commit_id),
                bytes.fromhex(record.digest), record.epoch, leaf, record.open_turn, record.committed_at,
                dump_mapping(record.components), record.record,
            ),
        )  # fmt: skip

    def _stream(self, row: ArchivedStream) -> None:
        connection, session = self._connection, self._key(row.session_id)
        connection.execute(connection.sql.ADD_STREAM, (session, row.name, row.last))
        (key, _) = connection.execute(connection.sql.STREAM, (session, row.name)).fetchone()
        for entry in row.rows:
            check_size(len(entry.body), self._max_value)
        values = [(key << SHIFT | entry.sequence, key, entry.key, entry.body) for entry in row.rows]
        connection.executemany(connection.sql.ADD_ENTRY, values)

    def _key(self, session_id: str) -> int:
        key = self.keys.get(session_id)
        if key is None:
            raise InvalidInput(f"session {session_id!r} has rows in the archive, but no head")
        return key

    def _need(self, session_id: str, refs: Iterable[str]) -> None:
        for ref in refs:
            if not keep_blob(self._connection, self._tenant, ref):
                raise MissingBlob(session_id=session_id, ref=ref)

    def _corrupt(self, kind: str, reason: str, node: Node) -> CorruptSession:
        return corrupt(next(iter(self.keys)), kind, reason, node.node_id)

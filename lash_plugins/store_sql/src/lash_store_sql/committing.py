"""The unit of work that every turn waits for: one commit, statement by statement.

SQLite makes every commit so; PostgreSQL what its one statement (`lash_store_sql.postgres.committing`) leaves. The
usual commit finds everything as it expects it and needs six statements. Only when something is not as expected are
the questions asked in the order that the protocol prescribes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
from lash_hookspecs.errors import (
    CommitIdReused,
    HeadRevisionConflict,
    InvalidInput,
    MissingBlob,
    SessionMissing,
)
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Receipt, blob_ref, commit_digest

from lash_store_sql.blobs import keep_blob, micros
from lash_store_sql.connection import Connection, Name
from lash_store_sql.rows import (
    SHIFT,
    PackedId,
    dump_mapping,
    join_refs,
    load_mapping,
    pack_body,
)
from lash_store_sql.stored import Stored, check_size, corrupt, deleted, fence, fenced, find, is_dead

__all__ = ["add_blobs", "pack_missing", "write_commit"]

PackedBlob = tuple[str, bytes, int, bytes, int]


def write_commit(connection: Connection, name: Name, commit: Commit, max_value: int) -> Receipt:
    """Store a commit in one transaction."""
    digest = commit_digest(commit)
    blobs = list(pack_missing(connection, name.tenant, dict(commit.blobs))) if commit.blobs else []
    packed = _pack_bodies(connection, commit)
    connection.begin_write(name)
    stored = find(connection, name, lock=True)
    if stored is not None:
        connection.guard_graph(stored.graph, alone=False)
    if stored is None or not _continues(connection, commit, stored):
        if receipt := _replayed(connection, name, commit, digest, stored):
            return receipt
        _refuse(connection, name, commit, stored)
        stored = _begin(connection, name, commit)
    try:
        _write(connection, name, commit, packed, digest, stored, blobs, max_value)
    except connection.IntegrityError as error:
        if connection.shared:  # all of it is rolled back, and this commit comes again alone
            raise
        return _explain(connection, name, commit, digest, stored, error)
    connection.commit()
    return Receipt(commit.session_id, commit.commit_id, stored.revision + 1, digest)


def _pack_bodies(connection: Connection, commit: Commit) -> Commit:
    """Compress payloads and document, where they are stored so; what they were is checked and digested before."""
    if (pack := connection.pack) is None:
        return commit
    nodes = tuple(attrs.evolve(node, payload=pack(node.payload)) for node in commit.nodes)
    return attrs.evolve(commit, nodes=nodes, record=pack(commit.record))


def pack_missing(connection: Connection, tenant: str, blobs: dict[str, bytes]) -> Iterator[PackedBlob]:
    """Compress the blobs that are not stored yet: before the transaction, which others wait for."""
    for ref, body in blobs.items():
        if blob_ref(body) != ref:
            raise InvalidInput(f"blob {ref} does not have the content that its ref names")
        digest = bytes.fromhex(ref)
        if connection.execute(connection.sql.HAS_BLOB, (tenant, digest)).fetchone() is None:
            yield tenant, digest, *pack_body(body), micros(connection)


def add_blobs(connection: Connection, tenant: str, blobs: Mapping[str, bytes], packed: list[PackedBlob]) -> None:
    """Store packed blobs, in a transaction; of those that were there, one that is gone meanwhile is packed now."""
    connection.executemany(connection.sql.ADD_BLOB, packed)
    if len(packed) < len(blobs):
        for ref in blobs.keys() - {digest.hex() for _, digest, *_ in packed}:
            if not keep_blob(connection, tenant, ref):
                values = (tenant, bytes.fromhex(ref), *pack_body(blobs[ref]), micros(connection))
                connection.execute(connection.sql.ADD_BLOB, values)


def _continues(connection: Connection, commit: Commit, stored: Stored) -> bool:
    return (
        stored.revision == commit.expected_revision
        and stored.incarnation == connection.pack_id(commit.writer.incarnation)
        and stored.epoch <= (commit.writer.epoch or 0)
    )


def _replayed(connection: Connection, name: Name, commit: Commit, digest: str, stored: Stored | None) -> Receipt | None:
    if is_dead(connection, name, commit.writer.incarnation):
        raise deleted(commit.session_id)
    row = (
        stored
        and connection.execute(connection.sql.RECORD, (stored.key, connection.pack_id(commit.commit_id))).fetchone()
    )
    if not row:
        return None
    key, first = row
    if first.hex() != digest:
        raise CommitIdReused(session_id=commit.session_id, commit_id=commit.commit_id)
    return Receipt(commit.session_id, commit.commit_id, key & ((1 << SHIFT) - 1), digest)


def _refuse(connection: Connection, name: Name, commit: Commit, stored: Stored | None) -> None:
    """Refuse what is fenced or stale; only a session's first commit passes."""
    epoch = commit.writer.epoch or 0
    if epoch < fence(connection, name, stored)[0]:
        raise fenced(connection, name, stored, epoch)
    if stored or commit.expected_revision is not None:
        raise HeadRevisionConflict(
            session_id=commit.session_id,
            expected=commit.expected_revision,
            actual=stored.revision if stored else None,
        )


def _begin(connection: Connection, name: Name, commit: Commit) -> Stored:
    graph, leaf_pos = _forked(connection, name.tenant, commit)
    incarnation = connection.pack_id(commit.writer.incarnation)
    leaf = _pack_optional(connection, commit.fork.leaf) if commit.fork else None
    now = commit.committed_at
    key = connection.execute(
        connection.sql.ADD_SESSION,
        (*name, incarnation, graph, leaf, leaf_pos, None, 0, 0, None, now, now, 0, "{}", "{}", b""),
    ).fetchone()[0]
    if not graph:
        connection.execute(connection.sql.BEGIN_GRAPH, (key,))
    return Stored(key, incarnation, 0, 0, graph or key, leaf, leaf_pos, None, 0)


def _forked(connection: Connection, tenant: str, commit: Commit) -> tuple[int, int | None]:
    """Find the graph that is shared and the leaf's place in it; graph 0 for a session that begins its own."""
    if commit.fork is None:
        return 0, None
    source = find(connection, Name(tenant, commit.fork.session_id), lock=True)
    if source is None:
        raise SessionMissing(f"there is no session {commit.fork.session_id!r} to fork", session_id=commit.session_id)
    connection.guard_graph(source.graph, alone=False)
    if commit.fork.leaf is None:
        return source.graph, None
    place = _place_of(connection, source.graph, commit.fork.leaf)
    if place is None:
        leaf = commit.fork.leaf
        raise corrupt(commit.session_id, "dangling_leaf", f"leaf {leaf!r} is not stored", leaf)
    return source.graph, place


def _write(
    connection: Connection,
    name: Name,
    commit: Commit,
    packed: Commit,
    digest: str,
    stored: Stored,
    blobs: list[PackedBlob],
    max_value: int,
) -> None:
    revision, epoch = stored.revision + 1, commit.writer.epoch or 0
    leaf, components = _pack_optional(connection, commit.leaf), dump_mapping(commit.components)
    connection.execute(
        connection.sql.ADD_RECORD,
        (
            stored.key << SHIFT | revision, stored.key, connection.pack_id(commit.commit_id), bytes.fromhex(digest),
            epoch, leaf, commit.open_turn, commit.committed_at, components, packed.record,
        ),
    )  # fmt: skip
    _check_refs(connection, name.tenant, commit, stored)
    _check_sizes(commit, max_value)
    if commit.fork and stored.revision:
        raise InvalidInput(f"session {commit.session_id!r}: only the first commit of a session can fork")
    if commit.blobs:
        add_blobs(connection, name.tenant, commit.blobs, blobs)
    stored_at = max(stored.stored_at, connection.stamp())
    places = _add_nodes(connection, packed, stored, stored_at)
    tail_pos = places[commit.nodes[-1].node_id] if places else stored.tail_pos
    leaf_pos = _leaf_pos(connection, commit, stored, places)
    for consumed in commit.consumed:
        _consume(connection, stored.key, consumed.stream, consumed.upto)
    if commit.ttl is not None:
        connection.execute(connection.sql.SET_TTL, (round(commit.ttl * 1_000_000) or None, stored.key))
    if commit.labels is not None:
        _relabel(connection, name, stored.key, dict(commit.labels))
    connection.execute(
        connection.sql.MOVE_HEAD,
        (
            leaf, leaf_pos, tail_pos, revision, epoch, commit.open_turn, commit.committed_at, stored_at, components,
            commit.state, stored.key,
        ),
    )  # fmt: skip


def _check_refs(connection: Connection, tenant: str, commit: Commit, stored: Stored) -> None:
    """Refuse what is not stored; a component that the head has already was checked when it came."""
    carried = load_mapping(stored.components, "head")
    for component, ref in commit.components.items():
        if ref not in commit.blobs and carried.get(component) != ref and not keep_blob(connection, tenant, ref):
            raise MissingBlob(session_id=commit.session_id, ref=ref, component=component)
    for node in commit.nodes:
        for ref in node.refs:
            if ref not in commit.blobs and not keep_blob(connection, tenant, ref):
                raise MissingBlob(session_id=commit.session_id, ref=ref)


def _check_sizes(commit: Commit, limit: int) -> None:
    check_size(len(commit.state), limit)
    check_size(len(commit.record), limit)
    for node in commit.nodes:
        check_size(len(node.payload), limit)
    for body in commit.blobs.values():
        check_size(len(body), limit)


def _add_nodes(connection: Connection, commit: Commit, stored: Stored, stored_at: int) -> dict[str, int]:
    """Store the nodes, each behind its parent where that is the tail, else at the head of a new segment."""
    graph, tail_pos = stored.graph, stored.tail_pos
    tail: PackedId | None = stored.leaf if stored.leaf_pos == tail_pos else None
    places: dict[str, int] = {}
    rows = []
    for node in commit.nodes:
        parent = _pack_optional(connection, node.parent_node_id)
        if tail_pos is not None and tail is not None and parent == tail:
            tail_pos += 1
        else:
            tail_pos = _begin_segment(connection, stored, node, places)
        tail = connection.pack_id(node.node_id)
        places[node.node_id] = tail_pos
        refs = join_refs(node.refs) if node.refs else None
        rows.append(
            (
                tail_pos, graph, tail, parent, stored_at, node.timestamp, int(node.hidden), node.kind, refs,
                node.payload,
            )
        )  # fmt: skip
    if rows:
        connection.executemany(connection.sql.ADD_NODE, rows)
    return places


def _begin_segment(connection: Connection, stored: Stored, node: Node, places: dict[str, int]) -> int:
    parent, fork_pos = node.parent_node_id, None
    if parent is not None:
        fork_pos = places.get(parent)
        if fork_pos is None:
            fork_pos = _place_of(connection, stored.graph, parent)
    row = connection.execute(connection.sql.ADD_SEGMENT, (stored.graph, stored.key, fork_pos)).fetchone()
    segment: int = row[0]
    return segment << SHIFT


def _leaf_pos(connection: Connection, commit: Commit, stored: Stored, places: dict[str, int]) -> int | None:
    if commit.leaf is None:
        return None
    if commit.leaf in places:
        return places[commit.leaf]
    if stored.leaf_pos is not None and stored.leaf == connection.pack_id(commit.leaf):
        return stored.leaf_pos
    return _place_of(connection, stored.graph, commit.leaf)


def _pack_optional(connection: Connection, node_id: str | None) -> PackedId | None:
    return None if node_id is None else connection.pack_id(node_id)


def _place_of(connection: Connection, graph: int, node_id: str) -> int | None:
    row = connection.execute(connection.sql.PLACE, (graph, connection.pack_id(node_id))).fetchone()
    return row[0] if row else None


def _consume(connection: Connection, session: int, stream: str, upto: int) -> None:
    if row := connection.execute(connection.sql.STREAM, (session, stream)).fetchone():
        connection.execute(connection.sql.TRIM_ENTRIES, (row[0] << SHIFT, row[0] << SHIFT | min(upto, row[1])))


def _relabel(connection: Connection, name: Name, session: int, labels: dict[str, str]) -> None:
    connection.execute(connection.sql.DROP_LABELS, (session,))
    connection.executemany(
        connection.sql.ADD_LABEL,
        [(name.tenant, label, value, name.session_id, session) for label, value in labels.items()],
    )
    connection.execute(connection.sql.RELABEL, (dump_mapping(labels), session))


def _explain(
    connection: Connection, name: Name, commit: Commit, digest: str, stored: Stored, error: Exception
) -> Receipt:
    """Say which uniqueness was broken: that of the commit id (a replay) or that of a node id."""
    connection.execute("ROLLBACK")
    connection.begin_read()
    if receipt := _replayed(connection, name, commit, digest, stored):
        return receipt
    seen = set[str]()
    for node in commit.nodes:
        if node.node_id in seen or _place_of(connection, stored.graph, node.node_id) is not None:
            reason = f"node {node.node_id!r} is stored already"
            raise corrupt(commit.session_id, "duplicate_node", reason, node.node_id) from error
        seen.add(node.node_id)
    raise error

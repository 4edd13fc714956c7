"""Units of work of retention: hide, vacuum, prune, and deleting with a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import attrs
from lash_hookspecs.errors import NodeInUse, NodeMissing, SessionMissing
from lash_hookspecs.graph_checks import above, below
from lash_hookspecs.records.retention import DeleteReport, HideReport, Keep, PruneReport, Retention

from lash_store_sql.blobs import micros
from lash_store_sql.connection import Connection, Name
from lash_store_sql.lanes import bury, drop_nodes
from lash_store_sql.rows import SHIFT, PackedId, unpack_id
from lash_store_sql.stored import Stored, find, is_dead

__all__ = [
    "Vacuumed",
    "count_hidden",
    "erase_expired",
    "erase_session",
    "find_expired",
    "found",
    "hidden_graphs",
    "hide_nodes",
    "prune_session",
    "vacuum_graph",
]

_LOW = (1 << SHIFT) - 1

#: Nodes that one transaction removes at most.
_STEP = 2000


class _Row(NamedTuple):
    """A row of the statement ``EDGES``."""

    pos: int
    node_id: PackedId
    parent: PackedId | None
    hidden: int
    size: int


class _Sharer(NamedTuple):
    """A row of the statement ``LEAVES_LOCKED``."""

    key: int
    session_id: str
    leaf: PackedId | None


@attrs.frozen
class _Graph:
    """The edges of a graph, in the order of storing, and who stands where; its sessions are locked.

    Attributes:
        rows: By packed id.
        parents: Packed id → its parent's.
        sharers: The living sessions, oldest first.
    """

    rows: Mapping[PackedId, _Row]
    parents: Mapping[PackedId, PackedId | None]
    sharers: Sequence[_Sharer]

    @classmethod
    def read(cls, connection: Connection, graph: int) -> Self:
        connection.guard_graph(graph, alone=True)
        sharers = [_Sharer._make(row) for row in connection.execute(connection.sql.LEAVES_LOCKED, (graph,))]
        rows = [_Row._make(row) for row in connection.execute(connection.sql.EDGES, (graph,))]
        return cls({row.node_id: row for row in rows}, {row.node_id: row.parent for row in rows}, sharers)


def found(connection: Connection, name: Name) -> Stored:
    """Find a living session.

    Raises:
        SessionMissing: There is none.
    """
    stored = find(connection, name)
    if stored is None:
        raise SessionMissing(f"there is no session {name.session_id!r}", session_id=name.session_id)
    return stored


def hide_nodes(connection: Connection, name: Name, node_ids: Sequence[str], dry_run: bool) -> HideReport:
    """Hide nodes and all below them, unless somebody stands there."""
    connection.begin_write(name)
    graph = _Graph.read(connection, found(connection, name).graph)
    wanted = {connection.pack_id(node_id): node_id for node_id in node_ids}
    for packed, node_id in wanted.items():
        if packed not in graph.rows:
            raise NodeMissing(f"session {name.session_id!r} has no node {node_id!r}", session_id=name.session_id)
    taken = below(graph.parents, wanted)
    for sharer in graph.sharers:
        for packed in above(graph.parents, [sharer.leaf]) & taken:
            raise NodeInUse(session_id=name.session_id, node_id=unpack_id(packed, "node"), used_by=sharer.session_id)
    rows = [row for packed, row in graph.rows.items() if packed in taken and not row.hidden]
    now = micros(connection)
    connection.executemany(connection.sql.HIDE, [(now, row.pos) for row in rows])
    if not dry_run:
        connection.commit()
    return HideReport(
        node_ids=tuple(unpack_id(row.node_id, "node") for row in rows),
        bytes=sum(row.size for row in rows),
        dry_run=dry_run,
    )


class Vacuumed(NamedTuple):
    """What one step of a vacuum did; ``more`` when the graph has more to remove."""

    nodes: int
    bytes: int
    shown: int
    young: int
    more: bool


def hidden_graphs(connection: Connection, tenant: str) -> list[int]:
    """Name the graphs that have hidden nodes."""
    connection.begin_read()
    return [graph for (graph,) in connection.execute(connection.sql.HIDDEN_GRAPHS, (tenant,))]


def count_hidden(connection: Connection, tenant: str) -> int:
    """Count the hidden nodes."""
    connection.begin_read()
    (count,) = connection.execute(connection.sql.COUNT_HIDDEN, (tenant,)).fetchone()
    return int(count)


def vacuum_graph(connection: Connection, graph: int, hidden_before: int, dry_run: bool) -> Vacuumed:
    """Remove hidden nodes of one graph, leaves first; show again what a session stands on."""
    connection.begin_write()
    edges = _Graph.read(connection, graph)
    hidden = [row for row in edges.rows.values() if row.hidden]
    seen = above(
        edges.parents,
        [*(sharer.leaf for sharer in edges.sharers), *(row.node_id for row in edges.rows.values() if not row.hidden)],
    )
    shown = [row for row in hidden if row.node_id in seen]
    young = above(edges.parents, [row.node_id for row in hidden if row.hidden > hidden_before]) - seen
    old = [row for row in hidden if row.node_id not in seen and row.node_id not in young][::-1]
    step = old if dry_run else old[:_STEP]
    connection.executemany(connection.sql.HIDE, [(0, row.pos) for row in shown])
    connection.executemany(connection.sql.DROP_NODES, [(row.pos, row.pos) for row in step])
    if not dry_run:
        connection.commit()
    return Vacuumed(len(step), sum(row.size for row in step), len(shown), len(young), len(step) < len(old))


def prune_session(connection: Connection, name: Name, retention: Retention, dry_run: bool) -> PruneReport:
    """Remove commit records, empty documents and trim streams."""
    connection.begin_write(name)
    stored = found(connection, name)
    window = (stored.key << SHIFT, stored.key << SHIFT | _LOW)
    rows = connection.execute(connection.sql.RECORD_SIZES, window).fetchall()
    sizes = {key: size for key, _, _, size in rows}
    removed = _prunable(rows, retention.records)
    emptied = [key for key in _prunable(rows, retention.documents)[len(removed) :] if sizes[key]]
    freed = sum(sizes[key] for key in (*removed, *emptied))
    if removed:
        connection.execute(connection.sql.DROP_RECORDS, (removed[0], removed[-1]))
    if emptied:
        connection.execute(connection.sql.EMPTY_RECORDS, (b"", emptied[0], emptied[-1]))
    entries = [
        size for stream, keep in retention.streams.items() for size in _trim(connection, stored.key, stream, keep)
    ]
    if not dry_run:
        connection.commit()
        connection.forget()
    return PruneReport(
        records=len(removed), documents=len(emptied), entries=len(entries), bytes=freed + sum(entries), dry_run=dry_run
    )


def _prunable(rows: Sequence[tuple[int, int, str | None, int]], keep: Keep | None) -> list[int]:
    """Give the keys of the oldest records, up to the first one that is kept."""
    if keep is None or (keep.last is None and keep.since is None):
        return []
    turn = rows[-1][2] if rows else None
    end = len(rows) - max(1, keep.last or 0)
    pruned = []
    for key, committed_at, open_turn, _ in rows[: max(end, 0)]:
        if (keep.since is not None and committed_at >= keep.since) or (turn is not None and open_turn == turn):
            break
        pruned.append(key)
    return pruned


def _trim(connection: Connection, session: int, stream: str, keep: int) -> list[int]:
    row = connection.execute(connection.sql.STREAM, (session, stream)).fetchone()
    if row is None:
        return []
    first = row[0] << SHIFT
    gone = connection.execute(connection.sql.ENTRY_SIZES, (first, first | _LOW)).fetchall()[max(keep, 0) :]
    if gone:
        connection.execute(connection.sql.TRIM_ENTRIES, (first, gone[0][0]))
    return [size for _, size in gone]


def erase_session(
    connection: Connection, name: Name, incarnation: str, deleted_at: int, with_forks: bool, dry_run: bool
) -> DeleteReport:
    """Delete a session, and perhaps those that stand on its nodes, and tell what went and what stays."""
    connection.begin_write(name)
    if is_dead(connection, name, incarnation):
        return DeleteReport(session_ids=(), nodes=0, bytes=0, shared_nodes=0, shared_with=(), dry_run=dry_run)
    stored = find(connection, name, lock=True)
    if stored is None or stored.incarnation != connection.pack_id(incarnation):
        raise SessionMissing(
            f"there is no incarnation {incarnation!r} of session {name.session_id!r}", session_id=name.session_id
        )
    return _erase(connection, name, stored, deleted_at, with_forks, dry_run)


def _erase(
    connection: Connection, name: Name, stored: Stored, deleted_at: int, with_forks: bool, dry_run: bool
) -> DeleteReport:
    before = _Graph.read(connection, stored.graph)
    owners = _owners(connection, stored.graph, before.rows.values())
    standing = {
        sharer.key: above(
            before.parents, [sharer.leaf, *(each for each, owner in owners.items() if owner == sharer.key)]
        )
        for sharer in before.sharers
    }
    taken = _with_forks(stored.key, standing, owners) if with_forks else {stored.key}
    names = [Name(name.tenant, sharer.session_id) for sharer in before.sharers if sharer.key in taken]
    names.sort(key=lambda each: each != name)
    freed = sum([_bury(connection, each, deleted_at) for each in names])
    drop_nodes(connection, stored.graph)
    left = {_Row._make(row).node_id for row in connection.execute(connection.sql.EDGES, (stored.graph,))}
    shared = {each for each in left if owners.get(each) in taken}
    gone = [row for packed, row in before.rows.items() if packed not in left]
    if not dry_run:
        connection.commit()
        connection.forget()
    return DeleteReport(
        session_ids=tuple(each.session_id for each in names),
        nodes=len(gone),
        bytes=freed + sum(row.size for row in gone),
        shared_nodes=len(shared),
        shared_with=tuple(
            sorted(
                sharer.session_id
                for sharer in before.sharers
                if sharer.key not in taken and not shared.isdisjoint(standing[sharer.key])
            )
        ),
        dry_run=dry_run,
    )


def _owners(connection: Connection, graph: int, rows: Iterable[_Row]) -> dict[PackedId, int]:
    segments = dict(connection.execute(connection.sql.SEGMENTS, (graph,)).fetchall())
    return {row.node_id: segments.get(row.pos >> SHIFT, 0) for row in rows}


def _with_forks(key: int, standing: Mapping[int, set[PackedId]], owners: Mapping[PackedId, int]) -> set[int]:
    taken = {key}
    while more := {
        other
        for other, nodes in standing.items()
        if other not in taken and any(owners[each] in taken for each in nodes)
    }:
        taken |= more
    return taken


def _bury(connection: Connection, name: Name, deleted_at: int) -> int:
    connection.guard_name(name)
    stored = found(connection, name)
    window = (stored.key << SHIFT, stored.key << SHIFT | _LOW)
    freed: int = sum(row[3] for row in connection.execute(connection.sql.RECORD_SIZES, window))
    for _, body in connection.execute(connection.sql.ENTRY_BODIES, (stored.key,)):
        freed += len(body)
    bury(connection, name, stored, deleted_at)
    return freed


def find_expired(connection: Connection, tenant: str, now: int) -> list[str]:
    """Name the sessions whose time is over."""
    connection.begin_read()
    return [row[0] for row in connection.execute(connection.sql.EXPIRED, (tenant, now))]


def erase_expired(connection: Connection, name: Name, now: int, dry_run: bool) -> DeleteReport | None:
    """Delete a session whose time is over; ``None`` when somebody works on it, or it is not over any more."""
    connection.begin_write(name)
    stored = find(connection, name, lock=True)
    expiry = stored and connection.execute(connection.sql.EXPIRY, name).fetchone()
    if stored is None or not expiry or expiry[1] is None or expiry[0] + expiry[1] > now:
        return None
    lease = connection.execute(connection.sql.LEASE, name).fetchone()
    if lease and lease[2] is not None and lease[1] > micros(connection):
        return None
    return _erase(connection, name, stored, now, False, dry_run)

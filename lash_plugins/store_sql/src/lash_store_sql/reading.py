"""Units of work that read nodes.

A path is read by ranges of the primary key and then compared with the parent edges, which are the truth: if a row
does not follow from the one before, the path is walked edge by edge, and the walk says what is wrong.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from lash_hookspecs.collector import collector_paused
from lash_hookspecs.errors import CorruptSession
from lash_hookspecs.records.graph import Node

from lash_store_sql.connection import UNLIMITED, Connection, Name
from lash_store_sql.rows import SHIFT, load_nodes, unpack_id
from lash_store_sql.stored import corrupt, find

__all__ = ["read_graph", "read_nodes", "read_path"]

_LOW = (1 << SHIFT) - 1

Row = tuple[Any, ...]


class _TangledError(Exception):
    """The segments do not lead to what was asked for."""


@collector_paused()
def read_path(connection: Connection, name: Name, leaf: str, after: str | None, last: int | None) -> list[Node]:
    """Read the nodes from the root to a leaf, root first."""
    connection.begin_read()
    stored = find(connection, name)
    if stored is None:
        raise _dangling(name, leaf)
    is_head = stored.leaf is not None and stored.leaf == connection.pack_id(leaf)
    end = stored.leaf_pos if is_head else _place(connection, stored.graph, leaf)
    if end is None:
        raise _dangling(name, leaf)
    try:
        start = None if after is None else _place(connection, stored.graph, after)
        rows = _by_ranges(connection, end, start, last, after is not None)
        if not _follow(connection, rows, leaf, after, whole=last is None or len(rows) < last):
            raise _TangledError
    except _TangledError:
        if _place(connection, stored.graph, leaf) is None:
            raise _dangling(name, leaf) from None
        rows = _by_edges(connection, name, stored.graph, leaf, after, last)
    return load_nodes(rows)


def _dangling(name: Name, leaf: str) -> CorruptSession:
    return corrupt(name.session_id, "dangling_leaf", f"leaf {leaf!r} is not stored", leaf)


def read_nodes(connection: Connection, name: Name, node_ids: Sequence[str]) -> list[Node]:
    """Read nodes by id, in the order asked for; unknown and hidden ones are left out."""
    connection.begin_read()
    stored = find(connection, name)
    if stored is None:
        return []
    wanted = [(stored.graph, connection.pack_id(node_id)) for node_id in node_ids]
    found = [row for rows in connection.fetch_each(connection.sql.NODE, wanted) for row in rows]
    return [node for node in load_nodes(found) if not node.hidden]


@collector_paused()
def read_graph(connection: Connection, name: Name, after: str | None, limit: int | None) -> list[Node]:
    """Read all nodes that are not hidden, in the order in which they were stored."""
    connection.begin_read()
    stored = find(connection, name)
    place = None
    if after is not None:
        place = (
            stored and connection.execute(connection.sql.PLACE, (stored.graph, connection.pack_id(after))).fetchone()
        )
        if not place:
            raise corrupt(name.session_id, "dangling_parent", f"node {after!r} is not stored", after)
    if stored is None:
        return []
    segments = connection.execute(connection.sql.SEGMENTS, (stored.graph,)).fetchall()
    if len({owner for _, owner in segments}) > 1:
        rows = _merged(connection, segments, place, limit)
    else:
        rows = _in_place(connection, segments, place, limit)
    return load_nodes([row[:7] for row in islice(rows, limit)])


def _in_place(connection: Connection, segments: list[Row], place: Row | None, limit: int | None) -> Iterator[Row]:
    """One session wrote the graph: its segments were filled one after the other."""
    begin, most = place[0] + 1 if place else 0, UNLIMITED if limit is None else limit
    for segment, _ in segments:
        first, final = max(segment << SHIFT, begin), segment << SHIFT | _LOW
        if first <= final:
            yield from connection.execute(connection.sql.VISIBLE, (first, final, 0, most))


def _merged(connection: Connection, segments: list[Row], place: Row | None, limit: int | None) -> Iterator[Row]:
    """Several sessions wrote the graph: each segment is in order, the store's clock orders them."""
    runs, most = [], UNLIMITED if limit is None else limit
    for segment, _ in segments:
        window = (segment << SHIFT, segment << SHIFT | _LOW, 0)
        if place:
            pos, stored_at = place
            runs.append(connection.execute(connection.sql.VISIBLE_AFTER, (*window, stored_at, stored_at, pos, most)))
        else:
            runs.append(connection.execute(connection.sql.VISIBLE, (*window, most)))
    return heapq.merge(*runs, key=lambda row: (row[7], row[8]))


def _by_ranges(connection: Connection, end: int, start: int | None, last: int | None, bounded: bool) -> list[Row]:
    ranges = []
    for low, high in _ranges(connection, end):
        reached = start is not None and low <= start <= high
        first = start + 1 if reached and start is not None else low
        if last is not None:
            first = max(first, high - last + 1)
            last -= high - first + 1
        ranges.append((first, high))
        if reached or (last == 0 and not bounded):
            break
    else:
        if bounded:
            raise _TangledError
    rows: list[Row] = []
    ranges.reverse()
    for (first, high), found in zip(ranges, connection.fetch_each(connection.sql.RANGE, ranges), strict=True):
        if len(found) != max(0, high - first + 1):
            raise _TangledError
        rows += found
    return rows


def _ranges(connection: Connection, end: int) -> Iterator[tuple[int, int]]:
    """Give the ranges of a path, the leaf's first."""
    yield end >> SHIFT << SHIFT, end
    for fork_pos in connection.fork_positions(end >> SHIFT):
        if fork_pos is None:
            return
        yield fork_pos >> SHIFT << SHIFT, fork_pos
    raise _TangledError


def _follow(connection: Connection, rows: list[Row], leaf: str, after: str | None, *, whole: bool) -> bool:
    """Tell whether each row is the child of the one before, from ``after`` or a root to the leaf."""
    if not rows:
        return True
    ids = [row[0] for row in rows]
    parents = [row[1] for row in rows]
    if whole and parents[0] != (None if after is None else connection.pack_id(after)):
        return False
    return bool(ids[-1] == connection.pack_id(leaf) and parents[1:] == ids[:-1])


def _by_edges(
    connection: Connection, name: Name, graph: int, leaf: str, after: str | None, last: int | None
) -> list[Row]:
    rows: list[Row] = []
    for row in _climb(connection, name, graph, leaf):
        if unpack_id(row[0], "node") == after or (after is None and len(rows) == last):
            break
        rows.append(row)
    else:
        if after is not None:
            reason = f"node {after!r} is not on the path to {leaf!r}"
            raise corrupt(name.session_id, "dangling_parent", reason, after)
    return rows[:last][::-1]


def _climb(connection: Connection, name: Name, graph: int, leaf: str) -> Iterator[Row]:
    seen, child = set[str](), leaf
    node_id: str | None = leaf
    while node_id is not None:
        if node_id in seen:
            raise corrupt(name.session_id, "parent_cycle", f"node {node_id!r} is its own ancestor", node_id)
        row = connection.execute(connection.sql.NODE, (graph, connection.pack_id(node_id))).fetchone()
        if row is None:
            reason = f"node {child!r} has the parent {node_id!r}, which is not stored"
            raise corrupt(name.session_id, "dangling_parent", reason, child, node_id)
        seen.add(node_id)
        yield row
        child, node_id = node_id, None if row[1] is None else unpack_id(row[1], f"node {node_id}")


def _place(connection: Connection, graph: int, node_id: str) -> int | None:
    row = connection.execute(connection.sql.PLACE, (graph, connection.pack_id(node_id))).fetchone()
    return row[0] if row else None

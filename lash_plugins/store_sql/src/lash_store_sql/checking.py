"""Units of work that look for what breaks a rule, and mend what can be mended without loss (G4).

Each looks again in the transaction in which it mends, so writers may go on meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from lash_hookspecs.graph_checks import above, edge_faults
from lash_hookspecs.records.retention import Finding

from lash_store_sql.connection import Connection
from lash_store_sql.rows import SHIFT, RowError, load_mapping, split_refs, unpack_body, unpack_id, unpack_optional

__all__ = ["Page", "check_blobs", "check_database", "check_graph", "check_sessions", "list_graphs"]

_LOW = (1 << SHIFT) - 1
_SESSIONS, _BLOBS = 100, 200

#: Findings of one kind in one graph that are told one by one.
_TOLD = 20

_KEPT = "nothing was changed: mending it would lose what it points to"


@attrs.frozen
class Page:
    """What one unit of a check found.

    Attributes:
        next: The key to go on behind; ``None`` on the last page.
        seen: How many rows were looked at.
        findings: What is wrong with them.
    """

    next: int | None
    seen: int
    findings: tuple[Finding, ...]


def list_graphs(connection: Connection, tenant: str) -> list[int]:
    """Name the graphs of a tenant."""
    connection.begin_read()
    return [graph for (graph,) in connection.execute(connection.sql.GRAPHS, (tenant,))]


def check_database(connection: Connection, repair: bool) -> Page:
    """Ask the database itself, and count rows that belong to nobody."""
    found = [Finding(kind="database", detail=text, left=_left(repair, _KEPT)) for text in connection.faults()]
    connection.begin_read()
    for what in ("NODES", "SEGMENTS", "RECORDS", "STREAMS", "ENTRIES", "LABELS"):
        (count,) = connection.execute(getattr(connection.sql, f"ORPHAN_{what}")).fetchone()
        if count:
            reason = "nothing was removed: no session reads them, but they may be all that is left of one"
            detail = f"{count} {what.lower()} belong to no session"
            found.append(Finding(kind="orphan_rows", detail=detail, left=_left(repair, reason)))
    return Page(None, 0, tuple(found))


def check_graph(connection: Connection, graph: int, repair: bool) -> Page:
    """Look at the edges, the places and the leaves of one graph."""
    _begin(connection, repair)
    work = _GraphCheck(connection, graph, repair)
    found = [*work.edges(), *work.places(), *work.leaves(), *work.hidden()]
    if repair and work.changed:
        connection.commit()
    return Page(None, len(work.rows), tuple(found))


class _GraphCheck:
    def __init__(self, connection: Connection, graph: int, repair: bool) -> None:
        self.connection = connection
        self.graph = graph
        self.repair = repair
        self.changed = False
        if repair:
            connection.guard_graph(graph, alone=True)
        leaves = connection.sql.LEAVES_LOCKED if repair else connection.sql.LEAVES
        self.sharers = connection.execute(leaves, (graph,)).fetchall()
        self.rows = {row[1]: row for row in connection.execute(connection.sql.EDGES, (graph,))}
        self.parents = {packed: row[2] for packed, row in self.rows.items()}

    @property
    def _session(self) -> str | None:
        return self.sharers[0][1] if self.sharers else None

    def edges(self) -> Iterator[Finding]:
        dangling, cycles = edge_faults(self.parents)
        for packed in dangling:
            parent = unpack_optional(self.parents[packed], "node")
            node_id = unpack_id(packed, "node")
            done = self._cut(packed, f"node {node_id!r} is a root now: what is below it can be read again")
            detail = f"node {node_id!r} has the parent {parent!r}, which is not stored"
            yield self._finding("dangling_parent", detail, done, node_id, *([parent] if parent else []))
        for packed in cycles:
            node_id = unpack_id(packed, "node")
            done = self._cut(packed, f"node {node_id!r} is a root now: the cycle is cut there")
            yield self._finding("parent_cycle", f"node {node_id!r} is its own ancestor", done, node_id)

    def places(self) -> Iterator[Finding]:
        """Compare where nodes stand with their parent edges; a mismatch makes reading slower, not wrong."""
        by_pos = {row[0]: packed for packed, row in self.rows.items()}
        forks = {
            segment: fork for segment, _, fork in self.connection.execute(self.connection.sql.FORKS, (self.graph,))
        }
        wrong: list[str] = []
        for packed, row in self.rows.items():
            pos, parent = row[0], self.parents[packed]
            parent_pos = self.rows[parent][0] if parent in self.rows else None
            segment, begins = pos >> SHIFT, pos - 1 not in by_pos or (pos & _LOW) == 0
            if not begins and by_pos[pos - 1] == parent:
                continue
            if begins and segment in forks and forks[segment] == parent_pos:
                continue
            if begins and (parent_pos is None or parent_pos < pos) and segment in forks and not pos & _LOW:
                done = self._run("SET_FORK", (parent_pos, segment), "the run of nodes begins behind its parent again")
                node_id = unpack_id(packed, "node")
                detail = f"the run of nodes that begins with {node_id!r} does not follow its parent"
                yield self._finding("misplaced_node", detail, done, node_id)
            else:
                wrong.append(unpack_id(packed, "node"))
        if wrong:
            reason = "nothing was moved: paths through them are read edge by edge, which is right but slower"
            detail = f"{len(wrong)} nodes do not stand behind their parents, {wrong[0]!r} first"
            yield Finding(
                kind="misplaced_node",
                detail=detail,
                session_id=self._session,
                node_ids=tuple(wrong[:_TOLD]),
                left=_left(self.repair, reason),
            )

    def leaves(self) -> Iterator[Finding]:
        for key, session_id, leaf in self.sharers:
            if leaf is None:
                continue
            node_id = unpack_id(leaf, "head")
            if leaf not in self.rows:
                to = self._last_known_leaf(key)
                told = f"the leaf is {to[1]!r} now, as an earlier commit left it" if to else "the leaf is unset now"
                done = self._run("SET_LEAF", (to[0] if to else None, self.rows[to[0]][0] if to else None, key), told)
                detail = f"leaf {node_id!r} is not stored"
                yield attrs.evolve(self._finding("dangling_leaf", detail, done, node_id), session_id=session_id)
                continue
            (pos,) = self.connection.execute(self.connection.sql.LEAF_POS, (key,)).fetchone()
            if pos != self.rows[leaf][0]:
                done = self._run("SET_LEAF", (leaf, self.rows[leaf][0], key), "the head names its place again")
                detail = f"the head has another place for leaf {node_id!r}"
                yield attrs.evolve(self._finding("misplaced_node", detail, done, node_id), session_id=session_id)

    def hidden(self) -> Iterator[Finding]:
        for _, session_id, leaf in self.sharers:
            seen = [self.rows[packed] for packed in above(self.parents, [leaf]) if self.rows[packed][3]]
            for row in sorted(seen):
                node_id = unpack_id(row[1], "node")
                done = self._run("HIDE", (0, row[0]), "it is shown again")
                detail = f"node {node_id!r} is hidden, but on the active path"
                yield attrs.evolve(self._finding("hidden_path", detail, done, node_id), session_id=session_id)

    def _last_known_leaf(self, session: int) -> tuple[Any, str] | None:
        window = (session << SHIFT, session << SHIFT | _LOW, 1 << 31)
        for row in reversed(self.connection.execute(self.connection.sql.RECORDS, window).fetchall()):
            if row[4] is not None and row[4] in self.rows:
                return row[4], unpack_id(row[4], "commit record")
        return None

    def _cut(self, packed: Any, told: str) -> str | None:
        if self.repair:
            self.parents[packed] = None
        return self._run("CUT", (None, self.rows[packed][0]), told)

    def _run(self, statement: str, values: Sequence[Any], told: str) -> str | None:
        if not self.repair:
            return None
        self.connection.execute(getattr(self.connection.sql, statement), values)
        self.changed = True
        return told

    def _finding(self, kind: str, detail: str, done: str | None, *node_ids: str) -> Finding:
        return Finding(kind=kind, detail=detail, session_id=self._session, node_ids=node_ids, repaired=done)


def check_sessions(connection: Connection, tenant: str, after: int, repair: bool) -> Page:
    """Look at the heads, records, streams and labels of a page of sessions."""
    _begin(connection, repair)
    rows = connection.execute(connection.sql.HEADS, (tenant, after, _SESSIONS)).fetchall()
    found = [finding for row in rows for finding in _check_session(connection, tenant, row, repair)]
    if any(finding.repaired for finding in found):
        connection.commit()
    return Page(rows[-1][0] if len(rows) == _SESSIONS else None, len(rows), tuple(found))


def _check_session(connection: Connection, tenant: str, row: Sequence[Any], repair: bool) -> Iterator[Finding]:
    key, session_id, revision, _, _, labels, components, graph = row
    refs: dict[str, str] = {}
    try:
        refs.update({ref: f"component {name!r}" for name, ref in load_mapping(components, "head").items()})
    except RowError as error:
        yield Finding(kind="unreadable", detail=f"head: {error}", session_id=session_id, left=_left(repair, _KEPT))
    window = (key << SHIFT, key << SHIFT | _LOW)
    for record, stored in connection.execute(connection.sql.RECORD_COMPONENTS, window):
        try:
            named = load_mapping(stored, "commit record").items()
        except RowError as error:
            detail = f"commit record {record & _LOW}: {error}"
            yield Finding(kind="unreadable", detail=detail, session_id=session_id, left=_left(repair, _KEPT))
            continue
        for name, ref in named:
            refs.setdefault(ref, f"component {name!r} of commit record {record & _LOW}")
    if graph == key:  # the nodes of a shared graph are looked at once
        for packed, joined in connection.execute(connection.sql.REFERRING, (graph,)):
            for ref in split_refs(joined):
                refs.setdefault(ref, f"node {unpack_id(packed, 'node')!r}")
    for ref, who in refs.items():
        if not _is_stored(connection, tenant, ref):
            detail = f"{who} refers to blob {ref}, which is not stored"
            reason = "nothing can be done: its content is nowhere in the store; a backup may have it"
            yield Finding(kind="missing_blob", detail=detail, session_id=session_id, left=_left(repair, reason))
    yield from _check_counters(connection, key, session_id, revision, repair)
    yield from _check_labels(connection, tenant, key, session_id, labels, repair)


def _is_stored(connection: Connection, tenant: str, ref: str) -> bool:
    if not re.fullmatch("[0-9a-f]{64}", ref):
        return False
    return connection.execute(connection.sql.HAS_BLOB, (tenant, bytes.fromhex(ref))).fetchone() is not None


def _check_counters(
    connection: Connection, key: int, session_id: str, revision: int, repair: bool
) -> Iterator[Finding]:
    (newest,) = connection.execute(connection.sql.NEWEST_RECORD, (key << SHIFT, key << SHIFT | _LOW)).fetchone()
    stored = (newest or 0) & _LOW
    if stored != revision:
        detail = f"the head is at revision {revision}, its newest commit record at {stored}"
        reason = "nothing was changed: which of the two is right cannot be told; a backup may say"
        yield Finding(kind="counter", detail=detail, session_id=session_id, left=_left(repair, reason))
    for stream, name, last in connection.execute(connection.sql.STREAMS, (key,)).fetchall():
        (newest,) = connection.execute(
            connection.sql.NEWEST_ENTRY, (stream << SHIFT, stream << SHIFT | _LOW)
        ).fetchone()
        if newest is not None and newest & _LOW > last:
            detail = f"stream {name!r} counts to {last}, but has entry {newest & _LOW}"
            done = None
            if repair:
                connection.execute(connection.sql.MOVE_STREAM, (newest & _LOW, stream))
                done = f"stream {name!r} counts to {newest & _LOW} now"
            yield Finding(kind="counter", detail=detail, session_id=session_id, repaired=done)


def _check_labels(
    connection: Connection, tenant: str, key: int, session_id: str, labels: str, repair: bool
) -> Iterator[Finding]:
    try:
        wanted = {(name, value, session_id) for name, value in load_mapping(labels, "head").items()}
    except RowError as error:
        yield Finding(kind="unreadable", detail=f"labels: {error}", session_id=session_id, left=_left(repair, _KEPT))
        return
    if wanted == {tuple(row) for row in connection.execute(connection.sql.LABELS, (key,))}:
        return
    done = None
    if repair:
        connection.execute(connection.sql.DROP_LABELS, (key,))
        values = [(tenant, name, value, session_id, key) for name, value, _ in wanted]
        connection.executemany(connection.sql.ADD_LABEL, values)
        done = "the index was made again from the head"
    detail = "listing by label finds it otherwise than its head says"
    yield Finding(kind="label_index", detail=detail, session_id=session_id, repaired=done)


def check_blobs(connection: Connection, tenant: str, after: int, repair: bool) -> Page:
    """Read a page of blobs and compare each with its ref."""
    connection.begin_read()
    rows = connection.execute(connection.sql.BLOBS, (tenant, after, _BLOBS)).fetchall()
    found = []
    for _, digest, _, _ in rows:
        ref = bytes(digest).hex()
        row = connection.execute(connection.sql.BLOB, (tenant, digest)).fetchone()
        try:
            unpack_body(ref, *row)
        except RowError as error:
            reason = "nothing was removed: a backup may have its content; until then reading it is an error"
            found.append(Finding(kind="wrong_blob", detail=f"blob {ref}: {error}", left=_left(repair, reason)))
    return Page(rows[-1][0] if len(rows) == _BLOBS else None, len(rows), tuple(found))


def _begin(connection: Connection, repair: bool) -> None:
    begin: Callable[[], None] = connection.begin_write if repair else connection.begin_read
    begin()


def _left(repair: bool, reason: str) -> str | None:
    return reason if repair else None

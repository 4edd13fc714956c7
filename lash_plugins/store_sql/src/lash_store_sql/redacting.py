"""The unit of work that takes a payload out of a store, and what repeats it (S8)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from lash_hookspecs.errors import NodeMissing
from lash_hookspecs.records.retention import AUDIT_STREAM, Redaction, RedactReport
from lash_hookspecs.records.store import blob_ref

from lash_store_sql.blobs import micros
from lash_store_sql.collecting import reached_refs
from lash_store_sql.connection import Connection, Name
from lash_store_sql.lanes import add_entries
from lash_store_sql.retaining import found
from lash_store_sql.rows import SHIFT, dump_mapping, load_mapping, pack_body, plain, split_refs, unpack_body, unpack_id

__all__ = ["redact_node"]

_LOW = (1 << SHIFT) - 1


@attrs.define
class _Tally:
    """What was taken out so far.

    Attributes:
        freed: Bytes.
        dropped: Refs that something redacted had, and that may be unreached now.
        own: Those of them that the node itself had.
    """

    copies: list[str] = attrs.field(factory=list)
    records: int = 0
    entries: int = 0
    heads: int = 0
    freed: int = 0
    dropped: set[str] = attrs.field(factory=set)
    own: set[str] = attrs.field(factory=set)

    def scrub(self, scrub: Callable[[bytes], bytes | None], body: bytes) -> bytes | None:
        scrubbed = scrub(body)
        if scrubbed is not None:
            self.freed += max(0, len(body) - len(scrubbed))
        return scrubbed


def redact_node(connection: Connection, name: Name, redaction: Redaction, dry_run: bool) -> RedactReport:
    """Replace the payload and its copies, scrub everything else of the graph's sessions, and drop what only it held."""
    connection.begin_write()
    connection.stop_commits()
    connection.guard_name(name)
    stored = found(connection, name)
    tally = _Tally()
    sharers = connection.execute(connection.sql.LEAVES, (stored.graph,)).fetchall()
    _redact_nodes(connection, name, stored.graph, redaction, tally)
    components = _Components(connection, name.tenant, redaction.scrub, tally)
    for key, session_id, _ in sharers:
        _scrub_session(connection, Name(name.tenant, session_id), key, redaction, tally, components)
    audit = redaction.audit
    add_entries(connection, stored.key, AUDIT_STREAM, [audit])
    blobs = _drop_blobs(connection, name.tenant, tally)
    if not dry_run:
        connection.commit()
        connection.forget()
    return RedactReport(
        node_id=redaction.node_id,
        copies=tuple(tally.copies),
        records=tally.records,
        entries=tally.entries,
        heads=tally.heads,
        components=len(components.replaced),
        blobs=blobs,
        shared_blobs=len(tally.own - tally.dropped),
        sessions=tuple(sorted(session_id for _, session_id, _ in sharers)),
        bytes=tally.freed,
        dry_run=dry_run,
    )


def _redact_nodes(connection: Connection, name: Name, graph: int, redaction: Redaction, tally: _Tally) -> None:
    left = set(redaction.payloads)
    for pos, packed, stored, refs in connection.execute(connection.sql.PAYLOADS, (graph,)).fetchall():
        node_id = unpack_id(packed, "node")
        payload = plain(stored, f"node {node_id}")
        marker = redaction.payloads.get(node_id)
        if marker is not None:
            left.discard(node_id)
            tally.freed += max(0, len(payload) - len(marker))
            tally.dropped.update(split_refs(refs) if refs else ())
            tally.own.update(split_refs(refs) if refs else ())
            connection.execute(connection.sql.SET_PAYLOAD, (None, marker, pos))
        elif (scrubbed := tally.scrub(redaction.scrub, payload)) is not None:
            connection.execute(connection.sql.SET_PAYLOAD, (refs, scrubbed, pos))
        if node_id != redaction.node_id and (marker is not None or scrubbed is not None):
            tally.copies.append(node_id)
    if redaction.node_id in left:
        raise NodeMissing(f"session {name.session_id!r} has no node {redaction.node_id!r}", session_id=name.session_id)


class _Components:
    """Bodies of components: content-addressed, so a scrubbed one gets another ref."""

    def __init__(
        self, connection: Connection, tenant: str, scrub: Callable[[bytes], bytes | None], tally: _Tally
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._scrub = scrub
        self._tally = tally
        self._seen: set[str] = set()
        self.replaced: dict[str, str] = {}

    def scrubbed(self, stored: str, row: str) -> str | None:
        """Give a component set with the refs of scrubbed bodies; ``None`` when none of them changes."""
        refs = load_mapping(stored, row)
        for ref in refs.values():
            if ref not in self._seen:
                self._seen.add(ref)
                self._look(ref)
        if self.replaced.keys().isdisjoint(refs.values()):
            return None
        return dump_mapping({name: self.replaced.get(ref, ref) for name, ref in refs.items()})

    def _look(self, ref: str) -> None:
        connection = self._connection
        row = connection.execute(connection.sql.BLOB, (self._tenant, bytes.fromhex(ref))).fetchone()
        if row is None:
            return
        scrubbed = self._tally.scrub(self._scrub, unpack_body(ref, *row))
        if scrubbed is not None:
            self.replaced[ref] = blob_ref(scrubbed)
            self._tally.dropped.add(ref)
            values = (self._tenant, bytes.fromhex(self.replaced[ref]), *pack_body(scrubbed), micros(connection))
            connection.execute(connection.sql.ADD_BLOB, values)


def _scrub_session(
    connection: Connection, name: Name, key: int, redaction: Redaction, tally: _Tally, components: _Components
) -> None:
    head = connection.execute(connection.sql.HEAD, name).fetchone()
    stored, state = head[4], head[5]
    refs, document = components.scrubbed(stored, "head"), tally.scrub(redaction.scrub, state)
    if refs is not None or document is not None:
        tally.heads += document is not None
        values = (refs if refs is not None else stored, document if document is not None else state, key)
        connection.execute(connection.sql.SET_DOCUMENTS, values)
    window = (key << SHIFT, key << SHIFT | _LOW)
    for record, _, _, stored, body in connection.execute(connection.sql.RECORD_BODIES, window).fetchall():
        refs = components.scrubbed(stored, f"commit record {record & _LOW}")
        document = tally.scrub(redaction.scrub, plain(body, f"commit record {record & _LOW}"))
        if refs is not None or document is not None:
            tally.records += document is not None
            values = (refs if refs is not None else stored, document if document is not None else body, record)
            connection.execute(connection.sql.SET_RECORD, values)
    for pos, body in connection.execute(connection.sql.ENTRY_BODIES, (key,)).fetchall():
        if (scrubbed := tally.scrub(redaction.scrub, body)) is not None:
            tally.entries += 1
            connection.execute(connection.sql.SET_ENTRY, (scrubbed, pos))


def _drop_blobs(connection: Connection, tenant: str, tally: _Tally) -> int:
    """Remove what nothing reaches any more, looked for in the same transaction; ``dropped`` keeps what was."""
    if tally.dropped:
        tally.dropped -= reached_refs(connection, tenant)
    for ref in tally.dropped:
        row = connection.execute(connection.sql.BLOB, (tenant, bytes.fromhex(ref))).fetchone()
        tally.freed += len(row[1]) if row else 0
        connection.execute(connection.sql.FORGET_BLOB, (tenant, bytes.fromhex(ref)))
    return len(tally.dropped)

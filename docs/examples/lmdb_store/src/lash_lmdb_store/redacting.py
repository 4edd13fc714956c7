"""One redaction: what a node said is replaced wherever it stands (S8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from lash_hookspecs.records.retention import AUDIT_STREAM, Redaction, RedactReport
from lash_hookspecs.records.store import blob_ref

from lash_lmdb_store.database import Transaction
from lash_lmdb_store.graph import Graph
from lash_lmdb_store.reaching import reached
from lash_lmdb_store.rows import pack, read_entry, read_record
from lash_lmdb_store.session import LmdbSession
from lash_lmdb_store.tables import Tables

__all__ = ["Redacting"]


@attrs.define
class Redacting:
    """One redaction, within one transaction."""

    txn: Transaction
    tables: Tables
    graph: Graph
    session: LmdbSession
    redaction: Redaction
    size: int = 0
    components: dict[str, str] = attrs.field(factory=dict)

    def run(self, members: Sequence[LmdbSession], dry_run: bool) -> RedactReport:
        """Redact the node in all sessions that stand in its graph, and tell of it in the audit stream of one."""
        copies, refs = self._nodes()
        counts = [self._session(member) for member in members]
        self.session.put_entry(self.txn, AUDIT_STREAM, self.redaction.audit)
        still = reached(self.txn, self.tables)
        gone = [ref for ref in {*refs, *self.components} - still if self.txn.get(self.tables.blob(ref)) is not None]
        for ref in gone:
            if ref in refs:
                self.size += len(self.txn.get(self.tables.blob(ref)) or b"")
            self.txn.delete(self.tables.blob(ref))
            self.txn.delete(self.tables.age(ref))
        return RedactReport(
            node_id=self.redaction.node_id,
            copies=tuple(copies),
            records=sum(records for records, _, _ in counts),
            entries=sum(entries for _, entries, _ in counts),
            heads=sum(heads for _, _, heads in counts),
            components=len(self.components),
            blobs=len(refs.intersection(gone)),
            shared_blobs=len(refs & still),
            sessions=tuple(sorted(member.session_id for member in members)),
            bytes=self.size,
            dry_run=dry_run,
        )

    def _scrubbed(self, document: bytes) -> bytes | None:
        scrubbed = self.redaction.scrub(document)
        if scrubbed is not None:
            self.size += len(document) - len(scrubbed)
        return scrubbed

    def _nodes(self) -> tuple[list[str], set[str]]:
        copies, refs = list[str](), set[str]()
        for row in list(self.graph.rows()):
            node = row.node
            if node.node_id in self.redaction.payloads:
                refs |= set(node.refs)
                changed = attrs.evolve(node, payload=self.redaction.payloads[node.node_id], refs=())
                self.size += len(node.payload) - len(changed.payload)
            elif (payload := self._scrubbed(node.payload)) is not None:
                changed = attrs.evolve(node, payload=payload)
            else:
                continue
            self.graph.put(attrs.evolve(row, node=changed))
            if node.node_id != self.redaction.node_id:
                copies.append(node.node_id)
        return copies, refs

    def _session(self, member: LmdbSession) -> tuple[int, int, int]:
        """Scrub the documents of one session: tell how many records, entries and heads."""
        txn, name, records, entries = self.txn, member.session_id, 0, 0
        for _, row in list(txn.scan(self.tables.records(name))):
            record = read_record(row)
            document = self._scrubbed(record.record)
            records += document is not None
            components = self._components(record.components)
            if document is not None or components != record.components:
                kept = record.record if document is None else document
                member.put_record(txn, attrs.evolve(record, record=kept, components=components))
        for key, row in list(txn.scan(self.tables.entries(name))):
            entry = read_entry(row)
            if (body := self._scrubbed(entry.body)) is not None:
                txn.put(key, pack({"sequence": entry.sequence, "key": entry.key}, body))
                entries += 1
        life = member.life(txn)
        assert life.head is not None
        state = self._scrubbed(life.head.state)
        kept, components = life.head.state if state is None else state, self._components(life.head.components)
        life.head = attrs.evolve(life.head, state=kept, components=components)
        member.put_life(txn, life)
        return records, entries, state is not None

    def _components(self, refs: Mapping[str, str]) -> dict[str, str]:
        return {name: self._component(ref) for name, ref in refs.items()}

    def _component(self, ref: str) -> str:
        if ref in self.components:
            return self.components[ref]
        body = self.txn.get(self.tables.blob(ref))
        scrubbed = None if body is None else self._scrubbed(body)
        if scrubbed is None:
            return ref
        self.components[ref] = fresh = blob_ref(scrubbed)
        self.txn.put(self.tables.blob(fresh), scrubbed)
        self.session.touch(self.txn, [fresh])
        return fresh

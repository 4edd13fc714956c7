"""Which blobs anything of a tenant still reaches."""

from __future__ import annotations

import re

from lash_lmdb_store.database import Transaction
from lash_lmdb_store.rows import Life, NodeRow, read_entry, read_record
from lash_lmdb_store.tables import Tables

__all__ = ["reached"]

#: Wherever a ref may stand in a document.
REF = re.compile(rb"(?=([0-9a-f]{64}))")


def reached(txn: Transaction, tables: Tables) -> set[str]:
    """Give the refs that anything of a tenant reaches, but for those of blobs that are not there."""
    lives = [Life.of(key.hex(), row) for key, row in txn.scan(tables.lives())]
    heads = [life.head for life in lives if life.head]
    records = [read_record(row) for _, row in txn.scan(tables.records())]
    sets = [*(head.components for head in heads), *(record.components for record in records)]
    components = {ref for each in sets for ref in each.values()}
    documents = [head.state for head in heads]
    documents += [read_entry(row).body for _, row in txn.scan(tables.entries())]
    documents += [txn.get(tables.blob(ref)) or b"" for ref in components]
    named = {ref.decode() for document in documents for ref in REF.findall(document)}
    refs = {ref for _, row in txn.scan(tables.nodes()) for ref in NodeRow.of(row).node.refs}
    return components | named | refs

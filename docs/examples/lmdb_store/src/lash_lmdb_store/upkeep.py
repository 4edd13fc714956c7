"""Upkeep of a whole store, in short transactions beside which writers go on: vacuum, gc, expiry (S8)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
from lash_hookspecs.graph_checks import above
from lash_hookspecs.records.retention import CollectReport, ExpireReport, Progress, VacuumReport

from lash_lmdb_store.database import Database
from lash_lmdb_store.graph import Graph, parents_of, size_of
from lash_lmdb_store.reaching import reached
from lash_lmdb_store.retaining import RetainedLmdbSession
from lash_lmdb_store.rows import Life, NodeRow, unpack
from lash_lmdb_store.tables import Tables

__all__ = ["Upkeep"]

#: How many blobs are removed in one transaction.
BATCH = 100


@attrs.frozen
class Upkeep:
    """Work on all sessions of a tenant, in short transactions beside which writers go on."""

    database: Database
    session: Callable[[str], RetainedLmdbSession]
    tables: Tables
    clock: Callable[[], float]
    budget: float | None
    progress: Progress | None
    dry_run: bool
    began: float = attrs.field(factory=time.monotonic)

    def vacuum(self, grace: float) -> VacuumReport:
        nodes = size = shown = young = remaining = 0
        with self.database.reading() as txn:
            start = len(self.tables.nodes())
            hidden = [key[start : start + 16].hex() for key, row in txn.scan(self.tables.nodes()) if _hidden(row)]
        graphs = list(dict.fromkeys(hidden))
        for done, graph in enumerate(graphs):
            late = self._late(done)
            with self.database.writing(dry_run=self.dry_run or late) as txn:
                gone, again, fresh = self._vacuum(Graph(txn, self.tables, graph), grace)
            if late:
                remaining += len(gone) + len(again)
                continue
            nodes, size = nodes + len(gone), size + size_of(gone)
            shown, young = shown + len(again), young + len(fresh)
            self._tell("vacuum", done + 1, len(graphs))
        return VacuumReport(
            nodes=nodes,
            bytes=size,
            shown=shown,
            young=young,
            remaining=remaining,
            done=not remaining,
            dry_run=self.dry_run,
        )

    def _vacuum(self, graph: Graph, grace: float) -> tuple[list[NodeRow], list[NodeRow], list[NodeRow]]:
        """Remove the hidden nodes of a graph: give those that went, those shown again, and those too young."""
        rows = list(graph.rows())
        parents, since = parents_of(rows), self.clock() - grace
        stood = above(parents, [head.leaf for head in graph.sharers()])
        again = [row for row in rows if row.node.hidden and row.node.node_id in stood]
        hidden = [row for row in rows if row.node.hidden and row.node.node_id not in stood]
        young = [row for row in hidden if row.hidden_at > since]
        stay = [row.node.node_id for row in (*young, *(row for row in rows if not row.node.hidden))]
        kept = above(parents, stay)  # a child may have come meanwhile
        gone = [row for row in hidden if row.node.node_id not in kept]
        for row in gone:
            graph.remove(row)
        for row in again:
            graph.put(attrs.evolve(row, node=attrs.evolve(row.node, hidden=False), hidden_at=0.0))
        return gone, again, young

    def gc(self, grace: float) -> CollectReport:
        with self.database.reading() as txn:
            still, since = reached(txn, self.tables), self.clock() - grace
            ages = [row for _, row in txn.scan(self.tables.ages())]
        unreached = [
            (found["ref"], found["put_at"], row) for row, found in map(_age, ages) if found["ref"] not in still
        ]
        old = [(ref, row) for ref, put_at, row in unreached if put_at <= since]
        blobs = size = remaining = 0
        for start in range(0, len(old), BATCH):
            if self._late(start):
                remaining = len(old) - start
                break
            with self.database.writing(dry_run=self.dry_run) as txn:
                for ref, row in old[start : start + BATCH]:
                    if txn.get(self.tables.age(ref)) == row:  # nobody has wanted it since
                        size += len(txn.get(self.tables.blob(ref)) or b"")
                        blobs += 1
                        txn.delete(self.tables.blob(ref))
                        txn.delete(self.tables.age(ref))
            self._tell("gc", min(start + BATCH, len(old)), len(old))
        return CollectReport(
            blobs=blobs,
            segments=0,
            bytes=size,
            young=len(unreached) - len(old),
            remaining=remaining,
            done=not remaining,
            dry_run=self.dry_run,
        )

    def expire(self, now: int) -> ExpireReport:
        with self.database.reading() as txn:
            lives = [Life.of(key.hex(), row) for key, row in txn.scan(self.tables.lives())]
        over = [life.head for life in lives if life.head and _over(life, now)]
        gone, nodes, size, leased, remaining = list[str](), 0, 0, 0, 0
        for done, head in enumerate(over):
            if self._late(done):
                remaining = len(over) - done
                break
            member = self.session(head.session_id)
            with self.database.writing(dry_run=self.dry_run) as txn:
                life = member.life(txn)
                lease = life.lease(self.clock())
                if not life.head or not _over(life, now):
                    continue
                if lease and lease.expires_in > 0:
                    leased += 1
                    continue
                report = member.erase_all(txn, life, [head.session_id], now, self.dry_run)
            gone.append(head.session_id)
            nodes, size = nodes + report.nodes, size + report.bytes
            self._tell("expire", done + 1, len(over))
        return ExpireReport(
            session_ids=tuple(gone),
            nodes=nodes,
            bytes=size,
            leased=leased,
            remaining=remaining,
            done=not remaining,
            dry_run=self.dry_run,
        )

    def _late(self, steps: int) -> bool:
        """Tell whether the budget is spent; one step is always done."""
        return bool(steps) and self.budget is not None and time.monotonic() - self.began >= self.budget

    def _tell(self, what: str, done: int, of: int) -> None:
        if self.progress:
            self.progress(what, done, of)


def _hidden(row: bytes) -> bool:
    return NodeRow.of(row).node.hidden


def _age(row: bytes) -> tuple[bytes, dict[str, Any]]:
    return row, unpack("age of a blob", lambda found, _: found, row)


def _over(life: Life, now: int) -> bool:
    return bool(life.head and life.head.ttl and (life.committed_at + life.head.ttl) * 1_000_000 <= now)

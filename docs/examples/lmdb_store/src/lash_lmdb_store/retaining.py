"""What level ``retention`` has besides for a session (S8): hiding, redacting, pruning, erasing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from lash_hookspecs.errors import NodeInUse, NodeMissing, SessionMissing
from lash_hookspecs.graph_checks import above, below
from lash_hookspecs.records.retention import (
    DeleteReport,
    HideReport,
    Keep,
    PruneReport,
    Redaction,
    RedactReport,
    Retention,
)
from lash_hookspecs.records.store import CommitRecord, Head

from lash_lmdb_store.database import Transaction
from lash_lmdb_store.graph import Graph, parents_of, size_of
from lash_lmdb_store.redacting import Redacting
from lash_lmdb_store.rows import Life, NodeRow, digest, number, read_entry, read_record
from lash_lmdb_store.session import LmdbSession

__all__ = ["RetainedLmdbSession"]


class RetainedLmdbSession(LmdbSession):
    """A `RetainedSession` (`lash_hookspecs.protocols.retention` says what each method does)."""

    async def hide(self, node_ids: Sequence[str], *, dry_run: bool = False) -> HideReport:
        def hide(txn: Transaction, life: Life) -> HideReport:
            graph, rows = self._living(txn, life)
            parents = parents_of(rows)
            self._check_nodes(node_ids, parents)
            for head in graph.sharers():
                for node_id in above(parents, [head.leaf]).intersection(node_ids):
                    raise NodeInUse(session_id=self.session_id, node_id=node_id, used_by=head.session_id)
            all_below = below(parents, node_ids)
            hidden = [row for row in rows if row.node.node_id in all_below and not row.node.hidden]
            for row in hidden:
                graph.put(attrs.evolve(row, node=attrs.evolve(row.node, hidden=True), hidden_at=self._clock()))
            found = tuple(row.node.node_id for row in hidden)
            return HideReport(node_ids=found, bytes=size_of(hidden), dry_run=dry_run)

        return await self._write(hide, dry_run=dry_run)

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> PruneReport:
        return await self._write(lambda txn, life: self._prune(txn, life, retention, dry_run), dry_run=dry_run)

    async def erase(
        self, *, incarnation: str, deleted_at: int, with_forks: bool = False, dry_run: bool = False
    ) -> DeleteReport:
        def erase(txn: Transaction, life: Life) -> DeleteReport:
            names = []
            if self._known(txn, life).check_deletion(incarnation):
                names = self._family(txn, life) if with_forks else [self.session_id]
            return self.erase_all(txn, life, names, deleted_at, dry_run)

        return await self._write(erase, dry_run=dry_run)

    async def redact(self, redaction: Redaction, *, dry_run: bool = False) -> RedactReport:
        def redact(txn: Transaction, life: Life) -> RedactReport:
            graph, rows = self._living(txn, life)
            self._check_nodes([redaction.node_id], parents_of(rows))
            members = [self._sibling(head.session_id) for head in graph.sharers()]
            return Redacting(txn, self._tables, graph, self, redaction).run(members, dry_run)

        return await self._write(redact, dry_run=dry_run)

    def _living(self, txn: Transaction, life: Life) -> tuple[Graph, list[NodeRow]]:
        if not life.head:
            raise SessionMissing(f"there is no session {self.session_id!r}", session_id=self.session_id)
        graph = self._graph(txn, life)
        return graph, list(graph.rows())

    def _check_nodes(self, node_ids: Iterable[str], found: Mapping[str, Any]) -> None:
        for node_id in node_ids:
            if node_id not in found:
                raise NodeMissing(f"the graph has no node {node_id!r}", session_id=self.session_id)

    def _prune(self, txn: Transaction, life: Life, retention: Retention, dry_run: bool) -> PruneReport:
        self._living(txn, life)
        assert life.head is not None
        found = [read_record(row) for _, row in txn.scan(self._tables.records(self.session_id))]
        turn = life.head.open_turn
        always = {each.revision for each in found[-1:] + [each for each in found if turn and each.open_turn == turn]}
        kept = {each.revision for each in _kept(found, retention.records)} | always
        whole = {each.revision for each in _kept(found, retention.documents)} | always
        pruned = [each for each in found if each.revision not in kept]
        emptied = [each for each in found if each.revision in kept - whole and each.record]
        for record in pruned:
            commit = self._tables.commits(self.session_id) + digest(record.commit_id)
            txn.delete(txn.get(commit) or b"")
            txn.delete(commit)
        for record in emptied:
            self.put_record(txn, attrs.evolve(record, record=b""))
        entries = []
        for stream, last in retention.streams.items():
            lane = txn.keys(self._tables.entries(self.session_id) + digest(stream))
            if old := lane[: max(len(lane) - last, 0)]:
                entries += self._trim(txn, stream, number(old[-1]))
        return PruneReport(
            records=len(pruned),
            documents=len(emptied),
            entries=len(entries),
            bytes=sum(len(each.record) for each in pruned + emptied) + sum(len(entry.body) for entry in entries),
            dry_run=dry_run,
        )

    def _family(self, txn: Transaction, life: Life) -> list[str]:
        """Name the session, those that stand on what it stored, and theirs in turn."""
        graph, rows = self._living(txn, life)
        assert life.head is not None
        parents, family, fresh = parents_of(rows), [life.head], [life.head]
        while fresh:
            stored = {row.node.node_id for row in rows if row.is_of(family)}
            others = [head for head in graph.sharers() if head not in family]
            found = [head for head in others if above(parents, [head.leaf]) & stored]
            fresh = sorted(found, key=lambda head: head.session_id)
            family += fresh
        return [head.session_id for head in family]

    def erase_all(
        self, txn: Transaction, life: Life, names: Sequence[str], deleted_at: int, dry_run: bool
    ) -> DeleteReport:
        graph = self._graph(txn, life)
        dying = [head for head in graph.sharers() if head.session_id in names]
        own = [row for row in graph.rows() if row.is_of(dying)]
        gone, size = list[NodeRow](), 0
        for name in names:
            member = self._sibling(name)
            size += sum(len(read_record(row).record) for _, row in txn.scan(self._tables.records(name)))
            size += sum(len(read_entry(row).body) for _, row in txn.scan(self._tables.entries(name)))
            gone += member.drop(txn, member.life(txn), deleted_at)
        left = {row.node.node_id for row in own} - {row.node.node_id for row in gone}
        parents = parents_of(graph.rows())
        shared = [head.session_id for head in graph.sharers() if _held(graph, parents, head) & left]
        return DeleteReport(
            session_ids=tuple(names),
            nodes=len(gone),
            bytes=size + size_of(gone),
            shared_nodes=len(left),
            shared_with=tuple(sorted(shared)),
            dry_run=dry_run,
        )

    def _sibling(self, session_id: str) -> RetainedLmdbSession:
        return RetainedLmdbSession(self._database, self._tables, session_id, self._clock, self._capabilities)


def _kept(records: Sequence[CommitRecord], keep: Keep | None) -> Sequence[CommitRecord]:
    if keep is None:
        return records
    newest = records[max(len(records) - keep.last, 0) :] if keep.last is not None else ()
    return [*newest, *(each for each in records if keep.since is not None and each.committed_at >= keep.since)]


def _held(graph: Graph, parents: Mapping[str, str | None], head: Head) -> set[str]:
    """Give the nodes that a session stands on or stored, and those above them."""
    stored = [row.node.node_id for row in graph.rows() if row.is_of([head])]
    return above(parents, [*stored, head.leaf])

"""A graph of nodes, which a session and its forks share (S7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
from lash_hookspecs import Node
from lash_hookspecs.errors import UnreadableData
from lash_hookspecs.graph_checks import above
from lash_hookspecs.records.store import Head

from lash_lmdb_store.database import Transaction
from lash_lmdb_store.rows import Life, NodeRow, digest, number, numbered
from lash_lmdb_store.tables import Tables

__all__ = ["Graph", "parents_of", "size_of"]


@attrs.frozen
class Graph(Mapping[str, Node]):
    """The nodes of a graph by id, hidden ones too; each is read when it is asked for."""

    txn: Transaction
    tables: Tables
    graph: str

    def __getitem__(self, node_id: str) -> Node:
        row = self.row(node_id)
        if row is None:
            raise KeyError(node_id)
        return row.node

    def __iter__(self) -> Iterator[str]:
        return (row.node.node_id for row in self.rows())

    def __len__(self) -> int:
        return len(self.txn.keys(self.tables.order(self.graph))) if self.graph else 0

    def row(self, node_id: str) -> NodeRow | None:
        found = self.txn.get(self.tables.nodes(self.graph) + digest(node_id)) if self.graph else None
        return NodeRow.of(found) if found is not None else None

    def rows(self, place: int = 0) -> Iterator[NodeRow]:
        """Give the nodes from a place on, in the order of storing."""
        if self.graph:
            for _, key in self.txn.scan(self.tables.order(self.graph), numbered(place)):
                row = self.txn.get(key)
                if row is None:
                    raise UnreadableData(row="node", reason="the graph names it, and it is not there")
                yield NodeRow.of(row)

    def put(self, row: NodeRow) -> None:
        key = self.tables.nodes(self.graph) + digest(row.node.node_id)
        self.txn.put(key, row.to_row())
        self.txn.put(self.tables.order(self.graph) + numbered(row.place), key)

    def add(self, nodes: Sequence[Node], session_id: str, incarnation: str) -> None:
        last = self.txn.last(self.tables.order(self.graph))
        first = 0 if last is None else number(last) + 1
        for place, node in enumerate(nodes, first):
            self.put(NodeRow(node=node, place=place, session_id=session_id, incarnation=incarnation))

    def remove(self, row: NodeRow) -> None:
        self.txn.delete(self.tables.nodes(self.graph) + digest(row.node.node_id))
        self.txn.delete(self.tables.order(self.graph) + numbered(row.place))

    def sharers(self) -> list[Head]:
        """Give the heads of the sessions that stand in the graph."""
        found = self.txn.scan(self.tables.sharers(self.graph)) if self.graph else ()
        names = [name.decode("utf-8", "surrogatepass") for _, name in found]
        lives = [Life.of(name, self.txn.get(self.tables.life(name))) for name in names]
        return [life.head for life in lives if life.head]

    def needless(self, heads: Sequence[Head]) -> list[NodeRow]:
        """Give the nodes that none of these sessions stored or stands on, nor what they stored."""
        rows = list(self.rows())
        parents = parents_of(rows)
        own = [row.node.node_id for row in rows if row.is_of(heads)]
        kept = above(parents, [*own, *(head.leaf for head in heads)])
        return [row for row in rows if row.node.node_id not in kept]


def parents_of(rows: Iterable[NodeRow]) -> dict[str, str | None]:
    return {row.node.node_id: row.node.parent_node_id for row in rows}


def size_of(rows: Iterable[NodeRow]) -> int:
    return sum(len(row.node.payload) for row in rows)

"""The nodes that are held in memory, the leaf, and the active path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs
from lash_hookspecs.errors import CorruptSession
from lash_hookspecs.records.graph import Node

__all__ = ["Healed", "SessionGraph"]


@attrs.frozen
class Healed:
    """A dangling leaf was moved (G3).

    Attributes:
        dangling: The leaf that was not there.
        leaf: Where it is now; ``None`` when no message was left.
    """

    dangling: str
    leaf: str | None


class SessionGraph:
    """Resident nodes with a leaf; append-only (G1).

    The active path is kept while nodes are appended, so appending k nodes costs O(k) (G6).
    """

    def __init__(self, nodes: Iterable[Node] = (), leaf: str | None = None) -> None:
        """Hold nodes and walk to the leaf.

        Raises:
            CorruptSession: A node id comes twice, or the path has a hole or a cycle; a leaf that is not among the
                nodes is kept as it is: see `heal`.
        """
        self._nodes: dict[str, Node] = {}
        self._leaf: str | None = None
        self._path: list[Node] = []
        self.insert(nodes)
        if leaf is not None and leaf not in self._nodes:
            self._leaf = leaf
        else:
            self.set_leaf(leaf)

    @property
    def leaf(self) -> str | None:
        """The node that the next one follows; ``None`` for an empty path."""
        return self._leaf

    @property
    def path(self) -> Sequence[Node]:
        """The active path, root first."""
        return self._path

    @property
    def newest(self) -> str | None:
        """The node that was put in last."""
        return next(reversed(self._nodes), None)

    @property
    def dangling(self) -> bool:
        """Whether the leaf is set but not among the nodes."""
        return self._leaf is not None and self._leaf not in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._nodes

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, node_id: str) -> Node | None:
        """Give a resident node."""
        return self._nodes.get(node_id)

    def insert(self, nodes: Iterable[Node]) -> None:
        """Add nodes, all or none, and leave the leaf where it is.

        Raises:
            CorruptSession: A node id is there already (kind ``duplicate_node``) (G5).
        """
        fresh: dict[str, Node] = {}
        for node in nodes:
            if node.node_id in self._nodes or node.node_id in fresh:
                raise CorruptSession(
                    f"node {node.node_id} is there already; a node id is unique in its graph",
                    kind="duplicate_node",
                    node_ids=(node.node_id,),
                )
            fresh[node.node_id] = node
        self._nodes.update(fresh)

    def extend(self, nodes: Sequence[Node]) -> None:
        """Append nodes that follow the leaf one after another; the last becomes the leaf."""
        parent = self._leaf
        for node in nodes:
            if node.parent_node_id != parent:
                raise CorruptSession(
                    f"node {node.node_id} follows {node.parent_node_id}, but the leaf is {parent}",
                    kind="dangling_parent",
                    node_ids=(node.node_id,),
                )
            parent = node.node_id
        self.insert(nodes)
        self._path.extend(nodes)
        self._leaf = parent

    def set_leaf(self, leaf: str | None) -> None:
        """Make another resident node the leaf, or ``None`` for an empty path.

        Raises:
            CorruptSession: The node is not resident (kind ``dangling_leaf``), a parent on its path is missing
                (``dangling_parent``), or the parents go in a circle (``parent_cycle``) (G4).
        """
        self._path = self._walk(leaf)
        self._leaf = leaf

    def path_to(self, node_id: str) -> Sequence[Node]:
        """Give the path to any resident node, root first; raises like `set_leaf`."""
        return self._walk(node_id)

    def is_on_path(self, node_id: str) -> bool:
        """Tell whether a node is on the active path; costs the distance from the leaf."""
        return any(node.node_id == node_id for node in reversed(self._path))

    def trim(self) -> None:
        """Forget every node that is not on the active path."""
        self._nodes = {node.node_id: node for node in self._path}

    def heal(self, last_path: Sequence[str] = ()) -> Healed | None:
        """Move a dangling leaf, in memory, on the full graph (G3); nothing happens to any other.

        Args:
            last_path: Ids of the last path that was known, root first; its newest message is preferred.

        Returns:
            What was moved, or ``None``.
        """
        if not self.dangling:
            return None
        dangling = self._leaf
        assert dangling is not None
        known = [self._nodes[node_id] for node_id in last_path if node_id in self._nodes]
        stored = sorted(self._nodes.values(), key=lambda node: node.timestamp)  # those of one commit share a time
        for node in (*reversed(known), *reversed(stored)):
            if node.kind == "message" and not node.hidden and self._reaches_a_root(node.node_id):
                self.set_leaf(node.node_id)
                return Healed(dangling, node.node_id)
        self.set_leaf(None)
        return Healed(dangling, None)

    def _reaches_a_root(self, leaf: str) -> bool:
        try:
            self._walk(leaf)
        except CorruptSession:
            return False
        return True

    def _walk(self, leaf: str | None) -> list[Node]:
        path: list[Node] = []
        seen: set[str] = set()
        child: str | None = None
        at = leaf
        while at is not None:
            node = self._nodes.get(at)
            if node is None and child is None:
                raise CorruptSession(f"leaf {at} is not stored", kind="dangling_leaf", node_ids=(at,))
            if node is None:
                raise CorruptSession(
                    f"node {child} follows {at}, which is not stored; `lash store check --repair` mends it",
                    kind="dangling_parent",
                    node_ids=(str(child), at),
                )
            if at in seen:
                raise CorruptSession(
                    f"the parents of node {at} go in a circle; `lash store check --repair` mends it",
                    kind="parent_cycle",
                    node_ids=tuple(sorted(seen)),
                )
            seen.add(at)
            path.append(node)
            child, at = at, node.parent_node_id
        path.reverse()
        return path

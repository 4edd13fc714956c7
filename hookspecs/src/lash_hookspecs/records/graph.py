"""A node of the session graph, as stores and the runtime pass it around."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

__all__ = ["NODE_KINDS", "Node"]

#: The kinds that this version understands; others load, round-trip and are skipped by the read model (G2).
NODE_KINDS = ("message", "tool", "mode_event", "state_snapshot", "plugin")


@attrs.frozen(slots=True)
class Node:
    """One immutable node of a session graph (G2).

    Attributes:
        node_id: Unique within its graph. Ids made by the runtime are 32 lower-case hex digits, ordered by time.
        parent_node_id: The node it follows; ``None`` for a root.
        timestamp: Microseconds since 1970-01-01 UTC.
        kind: One of `NODE_KINDS`, or a kind of a later version.
        payload: UTF-8 JSON, opaque to a store; `lash_hookspecs.records.payloads` decodes it.
        hidden: Whether the node was taken out of sight (S8).
        refs: Blobs that the payload refers to, so that a store can keep them as long as the node.
    """

    node_id: str
    parent_node_id: str | None
    timestamp: int
    kind: str
    payload: bytes
    hidden: bool = False
    refs: tuple[str, ...] = ()

    @property
    def created_at(self) -> datetime:
        """The timestamp as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.timestamp / 1_000_000, tz=UTC)

"""What the in-memory store holds."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import attrs
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.retention import ArchivedStream
from lash_hookspecs.records.store import CommitRecord, Deleted, Head, Holder, Lease, StreamEntry, StreamRow

__all__ = ["Graph", "MemoryData", "Name", "Session", "Stream"]


@attrs.define
class Stream:
    """A stream: its entries, and the newest sequence ever given."""

    last: int = 0
    rows: list[StreamRow] = attrs.field(factory=list)

    def sequence(self, entry: StreamEntry) -> int:
        """Append an entry unless its key is there; give its sequence."""
        for row in self.rows:
            if row.key == entry.key:
                return row.sequence
        self.last += 1
        self.rows.append(StreamRow(self.last, entry.key, entry.body))
        return self.last

    def trim(self, upto: int) -> int:
        """Remove entries up to a sequence; give their number."""
        kept = [row for row in self.rows if row.sequence > upto]
        removed = len(self.rows) - len(kept)
        self.rows = kept
        return removed


@attrs.define
class Graph:
    """Nodes by id in the order of storing, each with the incarnation that stored it."""

    nodes: dict[str, Node] = attrs.field(factory=dict)
    owners: dict[str, str] = attrs.field(factory=dict)
    hidden_at: dict[str, float] = attrs.field(factory=dict)

    def drop(self, node_id: str) -> None:
        """Remove a node."""
        del self.nodes[node_id], self.owners[node_id]
        self.hidden_at.pop(node_id, None)


@attrs.define
class Session:
    """A living session; ``stored_at`` is the time of its last commit in microseconds."""

    head: Head
    graph: Graph
    stored_at: int = 0
    records: dict[str, CommitRecord] = attrs.field(factory=dict)
    streams: dict[str, Stream] = attrs.field(factory=dict)


@attrs.define
class Name:
    """What stays with a session's name from one incarnation to the next.

    Attributes:
        floor: The highest epoch that was ever given or committed.
        fence: The epoch below which a writer is refused.
        lease: The lease in force or expired; ``None`` once released.
        expires_at: When the lease expires, by the backend's clock.
        dead: The tombstones, oldest first.
    """

    floor: int = 0
    fence: int = 0
    lease: Lease | None = None
    expires_at: float = 0.0
    dead: list[Deleted] = attrs.field(factory=list)

    @property
    def holder(self) -> Holder | None:
        """Who holds the lease, or held it last."""
        return self.lease.holder if self.lease else None


class MemoryData:
    """The sessions of one tenant, with their names and blobs.

    Attributes:
        clock: Seconds; judges when leases expire, and how old blobs are.
        living: By session id, in the order of their first commits.
        names: What stays with a name from one incarnation to the next.
        blobs: By ref.
        put_at: When a blob was put last, or a commit referred to it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.living: dict[str, Session] = {}
        self.names: dict[str, Name] = {}
        self.blobs: dict[str, bytes] = {}
        self.put_at: dict[str, float] = {}

    def sharing(self, graph: Graph) -> dict[str, Session]:
        """Give the living sessions on a graph, oldest first."""
        return {name: session for name, session in self.living.items() if session.graph is graph}

    def graphs(self) -> list[Graph]:
        """Give the graphs, each once."""
        return list({id(session.graph): session.graph for session in self.living.values()}.values())

    def dead(self, session_id: str) -> list[Deleted]:
        """Give the tombstones of a name, oldest first."""
        name = self.names.get(session_id)
        return name.dead if name else []

    def bury(self, session_id: str, deleted_at: int) -> None:
        """Take a living session away and leave a tombstone; its nodes stay."""
        name = self.names.setdefault(session_id, Name())
        head = self.living.pop(session_id).head
        name.dead.append(Deleted(head.incarnation, head.revision, deleted_at))
        name.lease, name.fence = None, 0

    def begin(self, head: Head, graph: Graph | None) -> Graph:
        """Let a session live as an archive has it; on a fresh graph unless it shares one."""
        graph = graph or Graph()
        self.living[head.session_id] = Session(head, graph, time.time_ns() // 1000)
        name = self.names.setdefault(head.session_id, Name())
        name.fence, name.floor = head.epoch, max(name.floor, head.epoch)
        return graph

    def begin_stream(self, row: ArchivedStream) -> None:
        """Let a session have a stream as an archive has it."""
        self.living[row.session_id].streams[row.name] = Stream(row.last, list(row.rows))

    def put_blob(self, ref: str, body: bytes) -> None:
        """Store a blob, and note that somebody needs it."""
        self.blobs[ref] = body
        self.put_at[ref] = self.clock()

    def put_entry(self, session_id: str, stream: str, entry: StreamEntry) -> None:
        """Append an entry, whoever writes."""
        self.living[session_id].streams.setdefault(stream, Stream()).sequence(entry)

    def saved(self) -> Any:
        """Copy everything, to `restore` it when something is only tried."""
        return copy.deepcopy((self.living, self.names, self.blobs, self.put_at))

    def restore(self, saved: Any) -> None:
        """Bring back what was `saved`."""
        self.living, self.names, self.blobs, self.put_at = saved

    def lease_of(self, session_id: str) -> Lease | None:
        """Give a session's lease with the time it has left."""
        name = self.names.get(session_id)
        if name is None or name.lease is None:
            return None
        return attrs.evolve(name.lease, expires_in=name.expires_at - self.clock())

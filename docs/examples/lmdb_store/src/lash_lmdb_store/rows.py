"""How things become rows: a line of JSON with the attributes, behind it the bytes that a store does not look into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import attrs
from lash_hookspecs import Node
from lash_hookspecs.errors import UnreadableData
from lash_hookspecs.records.store import CommitRecord, Deleted, Head, Holder, Lease, StreamRow

__all__ = ["Life", "NodeRow", "digest", "number", "numbered", "pack", "read_entry", "read_record", "unpack"]

T = TypeVar("T")


def digest(text: str) -> bytes:
    """Make a part of a key of any text: always 32 bytes, so that nobody can write another one's key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def numbered(number: int) -> bytes:
    """Make a part of a key of a number, in its order."""
    return min(max(number, 0), 2**64 - 1).to_bytes(8, "big")


def number(key: bytes) -> int:
    """Give the number at the end of a key."""
    return int.from_bytes(key[-8:], "big")


def pack(attributes: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Make a row of attributes that are JSON, and of bytes."""
    return json.dumps(attributes, separators=(",", ":")).encode() + b"\n" + body


def unpack(what: str, read: Callable[[dict[str, Any], bytes], T], row: bytes) -> T:
    """Read what `pack` made.

    Raises:
        UnreadableData: The row is damaged (S9); ``what`` names it.
    """
    line, _, body = row.partition(b"\n")
    try:
        return read(json.loads(line), body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableData(row=what, reason=str(error)) from error


def read_record(row: bytes) -> CommitRecord:
    return unpack("commit record", lambda found, body: CommitRecord(**found, record=body), row)


def read_entry(row: bytes) -> StreamRow:
    return unpack("stream entry", lambda found, body: StreamRow(**found, body=body), row)


@attrs.define(kw_only=True)
class Life:
    """The row of a session's name: what it is now, and what must be known of it for ever.

    Attributes:
        head: The head; ``None`` before the first commit and after a deletion.
        graph: The graph that it stands in, as hexadecimal digits.
        dead: The tombstones of incarnations that were deleted, oldest first.
        fence: The epoch below which a writer is refused; zero in a new incarnation.
        highest: The highest epoch that there ever was, in incarnations before as well.
        holder: Who holds the lease; ``None`` when it was released, or there never was one.
        expires_at: When it ends, by the store's clock.
        committed_at: When the last commit came, by the store's clock.
    """

    head: Head | None = None
    graph: str = ""
    dead: list[Deleted] = attrs.field(factory=list)
    fence: int = 0
    highest: int = 0
    holder: Holder | None = None
    expires_at: float = 0.0
    committed_at: float = 0.0

    def to_row(self) -> bytes:
        found = attrs.asdict(self)
        return pack(found, found["head"].pop("state") if self.head else b"")

    @classmethod
    def of(cls, session_id: str, row: bytes | None) -> Life:
        """Read the row of a session; no row is a session that never was."""
        return unpack(f"head of {session_id!r}", cls._read, row) if row is not None else cls()

    @classmethod
    def _read(cls, found: dict[str, Any], state: bytes) -> Life:
        if found["head"]:
            found["head"] = Head(**found["head"], state=state)
        if found["holder"]:
            found["holder"] = Holder(**found["holder"])
        return cls(**found | {"dead": [Deleted(**each) for each in found["dead"]]})

    def lease(self, now: float) -> Lease | None:
        """Give the lease, if one was taken and not released."""
        return Lease(self.holder, self.fence, self.expires_at - now) if self.holder else None

    def raise_fence(self, epoch: int) -> None:
        """Refuse whoever comes with an older epoch from now on."""
        self.fence = max(self.fence, epoch)
        self.highest = max(self.highest, self.fence)
        if self.head:
            self.head = attrs.evolve(self.head, epoch=self.fence)


@attrs.frozen(kw_only=True)
class NodeRow:
    """The row of a node.

    Attributes:
        node: The node.
        place: Its place in the order of storing.
        session_id: Which session stored it.
        incarnation: Which life of that session.
        hidden_at: When it was hidden, by the store's clock; zero when it is not.
    """

    node: Node
    place: int
    session_id: str
    incarnation: str
    hidden_at: float = 0.0

    def is_of(self, heads: Iterable[Head]) -> bool:
        """Tell whether one of these sessions, in this life of it, stored the node."""
        return any((self.session_id, self.incarnation) == (head.session_id, head.incarnation) for head in heads)

    def to_row(self) -> bytes:
        found = attrs.asdict(self)
        return pack(found, found["node"].pop("payload"))

    @classmethod
    def of(cls, row: bytes) -> NodeRow:
        return unpack("node", cls._read, row)

    @classmethod
    def _read(cls, found: dict[str, Any], payload: bytes) -> NodeRow:
        node = found["node"]
        return cls(**found | {"node": Node(**node | {"payload": payload, "refs": tuple(node["refs"])})})

"""The lines of an archive of sessions: JSON, one object a line, with a running checksum.

::

    {"lash_archive": 1, "made_by": "lash-core 0.1.0"}        the first line
    {"head": {…}}                                             a family: its heads,
    {"node": {…}}                                             its nodes in the order of storing,
    {"record": {…}} {"stream": {…}} {"entry": {…}}            its commit records and streams,
    {"blob": {…}}                                             the blobs that it refers to,
    {"family_ends": {"sha256": …}}                            and the checksum of every line so far
    {"archive_ends": {"lines": 42, "sha256": …}}              the last line

Bytes are text where they are UTF-8 (payloads and documents are JSON), else ``{"base64": …}``; both are kept byte for
byte. A family is the sessions that share a graph.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.retention import ArchivedHead, ArchivedNode, ArchivedRecord
from lash_hookspecs.records.store import CommitRecord, Head, StreamRow

__all__ = [
    "LONGEST_LINE",
    "VERSION",
    "Fields",
    "dump_blob",
    "dump_head",
    "dump_node",
    "dump_record",
    "dump_row",
    "encode_line",
    "load_head",
    "load_node",
    "load_record",
    "load_row",
]

#: The version of the format; a reader refuses a later one.
VERSION = 1

#: Bytes of one line that a reader takes at most.
LONGEST_LINE = 1 << 30

_HEX = re.compile("[0-9a-f]{64}")

#: Revisions and sequences are 32 bits in some stores, everything else 63.
_COUNT, _NUMBER = (1 << 32) - 1, (1 << 63) - 1


def encode_line(told: Mapping[str, Any]) -> bytes:
    """Encode a line."""
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # JSON leaves these as they are, and a reader of lines may end one there.
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085").encode() + b"\n"


def dump_head(head: Head) -> dict[str, Any]:
    """Give the fields of a head."""
    return {
        "session_id": head.session_id,
        "incarnation": head.incarnation,
        "revision": head.revision,
        "epoch": head.epoch,
        "leaf": head.leaf,
        "components": dict(head.components),
        "state": _dump_bytes(head.state),
        "open_turn": head.open_turn,
        "labels": dict(head.labels),
        "created_at": head.created_at,
        "updated_at": head.updated_at,
        "ttl": head.ttl,
    }


def dump_node(row: ArchivedNode) -> dict[str, Any]:
    """Give the fields of a node."""
    node = row.node
    return {
        "node_id": node.node_id,
        "parent": node.parent_node_id,
        "timestamp": node.timestamp,
        "kind": node.kind,
        "hidden": node.hidden,
        "refs": list(node.refs),
        "owner": row.owner,
        "payload": _dump_bytes(node.payload),
    }


def dump_record(session_id: str, record: CommitRecord) -> dict[str, Any]:
    """Give the fields of a commit record."""
    return {
        "session_id": session_id,
        "revision": record.revision,
        "commit_id": record.commit_id,
        "digest": record.digest,
        "epoch": record.epoch,
        "leaf": record.leaf,
        "open_turn": record.open_turn,
        "components": dict(record.components),
        "committed_at": record.committed_at,
        "record": _dump_bytes(record.record),
    }


def dump_row(row: StreamRow) -> dict[str, Any]:
    """Give the fields of a stream's entry."""
    return {"sequence": row.sequence, "key": row.key, "body": _dump_bytes(row.body)}


def dump_blob(ref: str, body: bytes) -> dict[str, Any]:
    """Give the fields of a blob."""
    return {"ref": ref, "body": _dump_bytes(body)}


def _dump_bytes(body: bytes) -> Any:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


class Fields:
    """What a line holds, field by field; each must be what it is said to be.

    Raises:
        ValueError: From every method: the field is not there, or not such.
    """

    def __init__(self, told: object) -> None:
        if not isinstance(told, dict):
            raise ValueError("it is no object")
        self._told: dict[str, Any] = told

    def text(self, key: str) -> str:
        """Give a text that UTF-8 can carry."""
        return _text(self._get(key, str), key)

    def optional(self, key: str) -> str | None:
        """Give a text or nothing."""
        return None if self._told.get(key) is None else self.text(key)

    def count(self, key: str) -> int:
        """Give a whole number that counts something."""
        return self._whole(key, _COUNT)

    def number(self, key: str) -> int:
        """Give a whole number that is not negative."""
        return self._whole(key, _NUMBER)

    def seconds(self, key: str) -> float:
        """Give seconds, not negative."""
        value = self._told.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _NUMBER / 1e6:
            raise ValueError(f"{key} is no time in seconds")
        return float(value)

    def flag(self, key: str) -> bool:
        """Give a truth value."""
        return bool(self._get(key, bool))

    def digest(self, key: str) -> str:
        """Give a SHA-256 in hex."""
        return _digest(self._get(key, str), key)

    def digests(self, key: str) -> tuple[str, ...]:
        """Give several of them."""
        return tuple(_digest(each, key) for each in self._get(key, list))

    def pairs(self, key: str, check: Callable[[object, str], str] | None = None) -> dict[str, str]:
        """Give texts by name."""
        check = check or _text
        return {_text(name, key): check(value, key) for name, value in self._get(key, dict).items()}

    def refs(self, key: str) -> dict[str, str]:
        """Give blobs by name."""
        return self.pairs(key, _digest)

    def body(self, key: str) -> bytes:
        """Give bytes."""
        told = self._told.get(key)
        if isinstance(told, str):
            return _text(told, key).encode()
        if isinstance(told, dict) and isinstance(told.get("base64"), str):
            try:
                return base64.b64decode(told["base64"], validate=True)
            except ValueError as error:
                raise ValueError(f"{key} is no base64: {error}") from error
        raise ValueError(f"{key} is missing or of the wrong type")

    def _whole(self, key: str, most: int) -> int:
        value = self._get(key, int)
        if isinstance(value, bool) or not 0 <= value <= most:
            raise ValueError(f"{key} is out of its range")
        return int(value)

    def _get(self, key: str, kind: type) -> Any:
        value = self._told.get(key)
        if not isinstance(value, kind):
            raise ValueError(f"{key} is missing or of the wrong type")
        return value


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key} is missing or of the wrong type")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{key} holds a lone surrogate, which UTF-8 cannot carry") from error
    return value


def _digest(value: object, key: str) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError(f"{key} holds something that is no SHA-256 in hex")
    return value


def load_head(told: Fields) -> ArchivedHead:
    """Read a head."""
    return ArchivedHead(
        head=Head(
            session_id=told.text("session_id"),
            incarnation=told.text("incarnation"),
            revision=told.count("revision"),
            epoch=told.number("epoch"),
            leaf=told.optional("leaf"),
            components=told.refs("components"),
            state=told.body("state"),
            open_turn=told.optional("open_turn"),
            labels=told.pairs("labels"),
            created_at=told.number("created_at"),
            updated_at=told.number("updated_at"),
            ttl=told.seconds("ttl"),
        )
    )


def load_node(told: Fields) -> ArchivedNode:
    """Read a node."""
    return ArchivedNode(
        node=Node(
            node_id=told.text("node_id"),
            parent_node_id=told.optional("parent"),
            timestamp=told.number("timestamp"),
            kind=told.text("kind"),
            payload=told.body("payload"),
            hidden=told.flag("hidden"),
            refs=told.digests("refs"),
        ),
        owner=told.optional("owner"),
    )


def load_record(told: Fields) -> ArchivedRecord:
    """Read a commit record."""
    return ArchivedRecord(
        session_id=told.text("session_id"),
        record=CommitRecord(
            revision=told.count("revision"),
            commit_id=told.text("commit_id"),
            digest=told.digest("digest"),
            epoch=told.number("epoch"),
            leaf=told.optional("leaf"),
            open_turn=told.optional("open_turn"),
            components=told.refs("components"),
            record=told.body("record"),
            committed_at=told.number("committed_at"),
        ),
    )


def load_row(told: Fields) -> StreamRow:
    """Read an entry of a stream."""
    return StreamRow(told.count("sequence"), told.text("key"), told.body("body"))

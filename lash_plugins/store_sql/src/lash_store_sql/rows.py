"""How records become columns and come back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import CommitRecord, Head, Holder, blob_ref

__all__ = [
    "SHIFT",
    "RowError",
    "dump_holder",
    "dump_mapping",
    "escaped",
    "join_refs",
    "load_head",
    "load_holder",
    "load_mapping",
    "load_nodes",
    "load_record",
    "pack_bytes",
    "pack_body",
    "pack_id",
    "plain",
    "unpack_body",
    "unpack_id",
    "unpack_optional",
]

#: A node's place is ``segment << SHIFT | number``, a record's key ``session << SHIFT | revision``.
SHIFT = 32

_LOW = (1 << SHIFT) - 1
_PLAIN, _ZLIB = 0, 1
_TEXT, _PADDED = b"\0", b"\1"
#: Below this a body is stored as it is: the saving is less than the row's own overhead.
_SMALL = 128

PackedId = bytes | str


class RowError(Exception):
    """A row that cannot be read; the worker adds the session and makes it `UnreadableData`."""

    def __init__(self, row: str, reason: str) -> None:
        super().__init__(reason)
        self.row = row


def pack_id(value: str) -> PackedId:
    """Halve an id of 32 lower-case hex digits; leave any other as it is."""
    if len(value) == 32:
        try:
            packed = bytes.fromhex(value)
        except ValueError:
            return value
        if packed.hex() == value:
            return packed
    return value


def pack_bytes(value: str) -> bytes:
    """Halve an id of 32 lower-case hex digits; mark any other and see that it has not 16 bytes."""
    packed = pack_id(value)
    if isinstance(packed, bytes):
        return packed
    text = packed.encode()
    return _PADDED + text + b"\0" if len(text) == 15 else _TEXT + text


def unpack_id(value: object, row: str) -> str:
    """Undo `pack_id` and `pack_bytes`."""
    if isinstance(value, bytes) and len(value) == 16:
        return value.hex()
    if isinstance(value, bytes) and value[:1] in (_TEXT, _PADDED):
        return value[1 : -1 if value[:1] == _PADDED else None].decode()
    if isinstance(value, str):
        return value
    raise RowError(row, f"{value!r} is not an id")


def unpack_optional(value: object, row: str) -> str | None:
    """Undo `pack_optional`."""
    return None if value is None else unpack_id(value, row)


def dump_mapping(pairs: Mapping[str, str]) -> str:
    """Write a mapping as compact JSON."""
    return json.dumps(dict(pairs), separators=(",", ":")) if pairs else "{}"


def load_mapping(text: str, row: str) -> dict[str, str]:
    """Undo `dump_mapping`."""
    if text == "{}":
        return {}
    try:
        pairs = json.loads(text)
    except ValueError as error:
        raise RowError(row, str(error)) from error
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise RowError(row, f"{text[:40]!r} is not a JSON object of texts")
    return pairs


def dump_holder(holder: Holder) -> str:
    """Write a lease's holder as compact JSON."""
    fields = [holder.name, holder.host, holder.pid, holder.process, holder.instance]
    return json.dumps(fields, separators=(",", ":"))


def load_holder(text: str) -> Holder:
    """Undo `dump_holder`."""
    try:
        name, host, pid, process, instance = json.loads(text)
    except (ValueError, TypeError) as error:
        raise RowError("lease", str(error)) from error
    return Holder(name, host, pid, process, instance)


def load_head(session_id: str, columns: tuple[Any, ...]) -> Head:
    """Make a head of a row of the statement ``HEAD``."""
    incarnation, revision, epoch, leaf, components, state, open_turn, labels, created_at, updated_at, ttl = columns
    return Head(
        session_id=session_id,
        incarnation=unpack_id(incarnation, "head"),
        revision=revision,
        epoch=epoch,
        leaf=unpack_optional(leaf, "head"),
        components=load_mapping(components, "head"),
        state=state,
        open_turn=open_turn,
        labels=load_mapping(labels, "head"),
        created_at=created_at,
        updated_at=updated_at,
        ttl=(ttl or 0) / 1_000_000,
    )


def escaped(body: bytes) -> bytes:
    """Give what is stored of a payload or a document that is not compressed: no text begins with the byte 255."""
    return body if body[:1] != b"\xff" else b"\xff\0" + body


def plain(stored: bytes, row: str) -> bytes:
    """Give a payload or a document as it was handed over; see `lash_store_sql.packing`."""
    if stored[:1] != b"\xff":
        return stored
    from lash_store_sql.packing import unpack

    return unpack(stored, row)


def load_nodes(rows: list[tuple[Any, ...]]) -> list[Node]:
    """Make nodes of rows of the statements ``RANGE`` and ``NODE``."""
    nodes = []
    for node_id, parent, timestamp, kind, payload, hidden, refs in rows:
        own = node_id.hex() if type(node_id) is bytes and len(node_id) == 16 else unpack_id(node_id, "node")
        above = parent.hex() if type(parent) is bytes and len(parent) == 16 else unpack_optional(parent, f"node {own}")
        body = payload if payload[:1] != b"\xff" else plain(payload, f"node {own}")
        nodes.append(Node(own, above, timestamp, kind, body, hidden != 0, split_refs(refs) if refs else ()))
    return nodes


def join_refs(refs: tuple[str, ...]) -> bytes | None:
    """Write the refs of a node."""
    return bytes.fromhex("".join(refs)) if refs else None


def split_refs(joined: bytes) -> tuple[str, ...]:
    """Undo `join_refs`."""
    return tuple(joined[start : start + 32].hex() for start in range(0, len(joined), 32))


def load_record(columns: tuple[Any, ...]) -> CommitRecord:
    """Make a commit record of a row of the statement ``RECORDS``."""
    key, commit_id, digest, epoch, leaf, open_turn, components, body, committed_at = columns
    row = f"commit record {key & _LOW}"
    return CommitRecord(
        revision=key & _LOW,
        commit_id=unpack_id(commit_id, row),
        digest=digest.hex(),
        epoch=epoch,
        leaf=unpack_optional(leaf, row),
        open_turn=open_turn,
        components=load_mapping(components, row),
        record=plain(body, row),
        committed_at=committed_at,
    )


def pack_body(body: bytes) -> tuple[int, bytes]:
    """Compress a blob's body where that saves an eighth or more; give the packing and what to store."""
    if len(body) >= _SMALL:
        packed = zlib.compress(body, 6)
        if len(packed) <= len(body) - len(body) // 8:
            return _ZLIB, packed
    return _PLAIN, body


def unpack_body(ref: str, packing: int, stored: bytes) -> bytes:
    """Undo `pack_body`, and compare the content with the ref."""
    if packing not in (_PLAIN, _ZLIB):
        raise RowError(f"blob {ref}", f"packing {packing} is of a later version")
    try:
        body = zlib.decompress(stored) if packing == _ZLIB else stored
    except zlib.error as error:
        raise RowError(f"blob {ref}", str(error)) from error
    if blob_ref(body) != ref:
        raise RowError(f"blob {ref}", "its content is not what its ref names")
    return body

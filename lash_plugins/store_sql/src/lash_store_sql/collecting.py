"""Units of work of the garbage collection: find what is reached, remove the rest (S8).

What is reached is found page by page, not at one moment: that is safe, because whoever begins to refer to a blob notes
it on the blob (`lash_store_sql.blobs`), and what was noted after the search began is not removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from lash_store_sql.connection import Connection
from lash_store_sql.rows import SHIFT, load_mapping, split_refs, unpack_body

__all__ = ["Reached", "Swept", "drop_segments", "mark_nodes", "mark_sessions", "reached_refs", "stamp_blobs", "sweep"]

_LOW = (1 << SHIFT) - 1

#: Sessions whose documents are looked through, and blobs that are looked at, in one unit.
_SESSIONS, _BLOBS = 100, 1000

_REF = re.compile(rb"[0-9a-f]{64}")


@attrs.define
class Reached:
    """What was found to be reached so far.

    Attributes:
        refs: The refs.
        scanned: Components whose bodies were looked through.
    """

    refs: set[str] = attrs.field(factory=set)
    scanned: set[str] = attrs.field(factory=set)

    def note(self, body: bytes) -> None:
        """Take in every ref that stands in a document, whatever it means there."""
        self.refs.update(match.decode() for match in _REF.findall(body))


@attrs.frozen
class Swept:
    """What one page of blobs gave.

    Attributes:
        next: The key to go on behind; ``None`` on the last page.
        blobs: Unreached blobs that are old enough; removed unless it was a dry run.
        bytes: Their size.
        young: Unreached blobs that are not.
    """

    next: int | None
    blobs: int
    bytes: int
    young: int


def stamp_blobs(connection: Connection, tenant: str) -> None:
    """Let the age of blobs of which nobody knows when they were put begin now."""
    connection.begin_write()
    connection.execute(connection.sql.STAMP_BLOBS, (int(connection.now() * 1_000_000), tenant))
    connection.commit()


def mark_sessions(connection: Connection, tenant: str, after: int, reached: Reached) -> int | None:
    """Take in what the documents of a page of sessions reach; give the key to go on behind."""
    connection.begin_read()
    return _mark_page(connection, tenant, after, reached)


def mark_nodes(connection: Connection, tenant: str, reached: Reached) -> None:
    """Take in what the nodes of all graphs refer to."""
    connection.begin_read()
    _mark_nodes(connection, tenant, reached)


def reached_refs(connection: Connection, tenant: str) -> set[str]:
    """Find everything that is reached, in a transaction that is open."""
    reached, after = Reached(), 0
    _mark_nodes(connection, tenant, reached)
    while (following := _mark_page(connection, tenant, after, reached)) is not None:
        after = following
    return reached.refs


def _mark_nodes(connection: Connection, tenant: str, reached: Reached) -> None:
    for (refs,) in connection.execute(connection.sql.NODE_REFS, (tenant,)):
        reached.refs.update(split_refs(refs))


def _mark_page(connection: Connection, tenant: str, after: int, reached: Reached) -> int | None:
    rows = connection.execute(connection.sql.HEAD_REFS, (tenant, after, _SESSIONS)).fetchall()
    components: set[str] = set()
    for key, _, stored, state in rows:
        components.update(load_mapping(stored, "head").values())
        reached.note(state)
        for (refs,) in connection.execute(connection.sql.RECORD_REFS, (key << SHIFT, key << SHIFT | _LOW)):
            components.update(load_mapping(refs, "commit record").values())
        for _, body in connection.execute(connection.sql.ENTRY_BODIES, (key,)):
            reached.note(body)
    _scan(connection, tenant, components, reached)
    return rows[-1][0] if len(rows) == _SESSIONS else None


def _scan(connection: Connection, tenant: str, components: Iterable[str], reached: Reached) -> None:
    """Look through the bodies of components: what a plugin keeps may name a file."""
    for ref in components:
        reached.refs.add(ref)
        if ref in reached.scanned:
            continue
        reached.scanned.add(ref)
        row = connection.execute(connection.sql.BLOB, (tenant, bytes.fromhex(ref))).fetchone()
        if row is not None:
            reached.note(unpack_body(ref, *row))


def sweep(connection: Connection, tenant: str, after: int, reached: Reached, put_before: int, dry_run: bool) -> Swept:
    """Remove the unreached blobs of a page; a page without any takes no write lock."""
    connection.begin_read()
    rows = connection.execute(connection.sql.BLOBS, (tenant, after, _BLOBS)).fetchall()
    loose = [(key, stored_at, size) for key, ref, stored_at, size in rows if bytes(ref).hex() not in reached.refs]
    old = [(key, size) for key, stored_at, size in loose if stored_at is not None and stored_at <= put_before]
    if old and not dry_run:
        connection.rollback()
        connection.begin_write()
        old = [
            (key, size) for key, size in old if connection.execute(connection.sql.DROP_BLOB, (key, put_before)).rowcount
        ]
        connection.commit()
    return Swept(
        next=rows[-1][0] if len(rows) == _BLOBS else None,
        blobs=len(old),
        bytes=sum(size for _, size in old),
        young=len(loose) - len(old),
    )


def drop_segments(connection: Connection, tenant: str, dry_run: bool) -> int:
    """Remove the empty runs of graphs to which nobody appends."""
    connection.begin_write()
    segments = [segment for (segment,) in connection.execute(connection.sql.EMPTY_SEGMENTS, (tenant,))]
    connection.executemany(connection.sql.DROP_SEGMENT, [(segment,) for segment in segments])
    if segments and not dry_run:
        connection.commit()
    return len(segments)

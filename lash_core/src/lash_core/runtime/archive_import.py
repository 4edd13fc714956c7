"""Reading an archive: all of it is looked through before anything is stored, and each family is stored whole.

An archive may come from anybody. Nothing in it is executed, unpickled or imported; a line that is not what it should
be is an error that names it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import attrs
from lash_hookspecs.errors import InvalidArchive, LashError, SessionDeleted, StoreError
from lash_hookspecs.protocols.retention import ArchivingBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.retention import (
    ArchivedHead,
    ArchivedRow,
    ArchivedStream,
    Progress,
)
from lash_hookspecs.records.store import Head, StreamRow, blob_ref

from lash_core.runtime.archive_format import (
    LONGEST_LINE,
    VERSION,
    Fields,
    load_head,
    load_node,
    load_record,
    load_row,
)
from lash_core.runtime.text import check_session_id

__all__ = ["Imported", "import_archive"]

#: Bytes of blobs that are put at once.
_BATCH = 4 << 20


@attrs.define
class Imported:
    """What was taken from an archive.

    Attributes:
        sessions: The sessions that are stored now.
        renewed: Those of them whose incarnation had been deleted here, and that got a fresh one.
        skipped: Sessions that were here already, at the same revision of the same incarnation.
        nodes: How many nodes.
        records: How many commit records.
        blobs: How many blobs the archive has.
    """

    sessions: list[str] = attrs.field(factory=list)
    renewed: list[str] = attrs.field(factory=list)
    skipped: list[str] = attrs.field(factory=list)
    nodes: int = 0
    records: int = 0
    blobs: int = 0


async def import_archive(
    backend: StoreBackend,
    file: IO[bytes],
    *,
    where: str = "the archive",
    skip_same: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Store the sessions of an archive; a family that cannot be stored ends it, and those before it stay.

    Args:
        backend: The store.
        file: The archive; must be seekable, and is read twice.
        where: What it is called in messages.
        skip_same: Pass over families of which every session is here already as it is in the archive.
        progress: Told how many families are stored.

    Raises:
        InvalidArchive: It is truncated, was changed, or is no archive; nothing was stored.
        SessionExists: A session of that name is here; nothing of its family was stored.
        StoreError: The store takes no archives, or cannot store this one.
    """
    if not isinstance(backend, ArchivingBackend):
        raise StoreError(f"{backend.name} cannot import: it takes no archives")
    families = list(_Verifying(file, where).families())
    told = Imported()
    for number, family in enumerate(families):
        if skip_same and await _is_here(backend, family):
            told.skipped += [head.session_id for head in family.heads]
            continue
        await _put_blobs(backend, file, where, family)
        await _load(backend, file, where, family, told)
        told.nodes, told.records, told.blobs = (
            told.nodes + family.nodes,
            told.records + family.records,
            told.blobs + family.blobs,
        )
        if progress is not None:
            progress("families", number + 1, len(families))
    return told


@attrs.frozen
class _Mark:
    """A place between two lines: its offset, how many lines are before it, and their checksum so far."""

    offset: int
    lines: int
    digest: Any


@attrs.define
class _Found:
    """A family as it was found when the archive was looked through."""

    begin: _Mark
    heads: list[Head] = attrs.field(factory=list)
    nodes: int = 0
    records: int = 0
    blobs: int = 0


class _Lines:
    """Reads line after line from a place on, and keeps the checksum."""

    def __init__(self, file: IO[bytes], where: str, begin: _Mark) -> None:
        self._file = file
        self._where = where
        self.number = begin.lines
        self.digest = begin.digest.copy()
        file.seek(begin.offset)

    def mark(self) -> _Mark:
        return _Mark(self._file.tell(), self.number, self.digest.copy())

    def wrong(self, reason: str) -> InvalidArchive:
        return InvalidArchive(reason, line=self.number, where=self._where)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        while line := self._file.readline(LONGEST_LINE):
            self.number += 1
            if not line.endswith(b"\n"):
                raise self.wrong("the line does not end: the file is truncated")
            before = self.digest.copy()
            self.digest.update(line)
            kind, value = self._decoded(line)
            if kind in ("family_ends", "archive_ends"):
                self._compare(value, before)
            yield kind, value

    def _decoded(self, line: bytes) -> tuple[str, Any]:
        try:
            told = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise self.wrong("it is no line of JSON") from error
        if not isinstance(told, dict) or not told:
            raise self.wrong("it is no JSON object")
        return next(iter(told.items()))

    def _compare(self, value: Any, before: Any) -> None:
        if not isinstance(value, dict) or value.get("sha256") != before.hexdigest():
            raise self.wrong("the lines before it are not those that were written: the checksum differs")


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


class _Verifying:
    """Looks a whole archive through."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._lines = _Lines(file, where, _Mark(0, 0, hashlib.sha256()))
        self._session_ids: set[str] = set()

    def families(self) -> Iterator[_Found]:
        lines, begin, ended = self._lines, self._lines.mark(), False
        family: _Family | None = None
        for kind, value in lines:
            if ended:
                raise lines.wrong("there is something behind the end of the archive")
            if lines.number == 1:
                self._check_first(kind, value)
            elif kind == "archive_ends":
                if family is not None:
                    raise lines.wrong("the archive ends in the middle of a session")
                ended = True
            else:
                family = family or _Family(begin, self._session_ids)
                self._take(kind, value, family)
                if kind == "family_ends":
                    yield family.found
                    family = None
            begin = lines.mark()
        if not ended:
            lines.number = max(lines.number, 1)
            raise lines.wrong("the archive does not end here: the file is empty or truncated")

    def _take(self, kind: str, value: Any, family: _Family) -> None:
        try:
            family.take(kind, value)
        except (ValueError, LashError) as error:
            raise self._lines.wrong(str(error)) from error

    def _check_first(self, kind: str, value: Any) -> None:
        if kind != "lash_archive" or not isinstance(value, int):
            raise self._lines.wrong("this is no archive of sessions; `lash sessions export` writes one")
        if value > VERSION:
            raise self._lines.wrong(f"the archive has version {value}; this lash reads up to {VERSION}: upgrade it")


class _Family:
    """Checks the lines of one family against each other."""

    def __init__(self, begin: _Mark, session_ids: set[str]) -> None:
        self._known = session_ids
        self._nodes: set[str] = set()
        self._revisions: dict[str, int] = {}
        self._commits: set[tuple[str, str]] = set()
        self._streams: set[tuple[str, str]] = set()
        self._stream = (0, 0, set[str]())
        self.found = _Found(begin)
        self._takers: dict[str, Callable[[Fields], None]] = {
            "head": self._head,
            "node": self._node,
            "record": self._record,
            "stream": self._begin_stream,
            "entry": self._entry,
            "blob": self._blob,
            "family_ends": lambda told: None,
        }
        self._last = "head"

    def take(self, kind: str, value: Any) -> None:
        order = ("head", "node", "record stream entry", "blob", "family_ends")
        taker = self._takers.get(kind)
        if taker is None:
            raise ValueError(f"{kind!r} is no line that this version knows")
        stages = {name: stage for stage, names in enumerate(order) for name in names.split()}
        if stages[kind] < stages[self._last]:
            raise ValueError(f"a {kind} stands behind a {self._last}")
        if kind == "entry" and self._last not in ("stream", "entry"):
            raise ValueError("an entry stands behind no stream")
        self._last = kind
        taker(Fields(value))

    def _head(self, told: Fields) -> None:
        head = load_head(told).head
        if not head.session_id or head.session_id in self._known:
            raise ValueError(f"session {head.session_id!r} is in the archive twice")
        check_session_id(head.session_id)
        self._known.add(head.session_id)
        self._revisions[head.session_id] = 0
        self.found.heads.append(head)

    def _node(self, told: Fields) -> None:
        row = load_node(told)
        node = row.node
        if node.node_id in self._nodes:
            raise ValueError(f"node {node.node_id!r} is there twice")
        if node.parent_node_id is not None and node.parent_node_id not in self._nodes:
            raise ValueError(f"node {node.node_id!r} comes before its parent {node.parent_node_id!r}")
        if row.owner is not None and row.owner not in self._revisions:
            raise ValueError(f"node {node.node_id!r} belongs to session {row.owner!r}, which has no head here")
        self._nodes.add(node.node_id)
        self.found.nodes += 1

    def _record(self, told: Fields) -> None:
        row = load_record(told)
        head = next((head for head in self.found.heads if head.session_id == row.session_id), None)
        if head is None:
            raise ValueError(f"session {row.session_id!r} has a commit record here, but no head")
        revision = row.record.revision
        if not self._revisions[row.session_id] < revision <= head.revision:
            raise ValueError(f"commit record {revision} of session {row.session_id!r} is not in its place")
        if (row.session_id, row.record.commit_id) in self._commits:
            raise ValueError(f"commit id {row.record.commit_id!r} of session {row.session_id!r} is there twice")
        self._commits.add((row.session_id, row.record.commit_id))
        self._revisions[row.session_id] = revision
        self.found.records += 1

    def _begin_stream(self, told: Fields) -> None:
        session_id, name = told.text("session_id"), told.text("name")
        if session_id not in self._revisions:
            raise ValueError(f"session {session_id!r} has a stream here, but no head")
        if (session_id, name) in self._streams:
            raise ValueError(f"stream {name!r} of session {session_id!r} is there twice")
        self._streams.add((session_id, name))
        self._stream = (0, told.count("last"), set())

    def _entry(self, told: Fields) -> None:
        row = load_row(told)
        newest, last, keys = self._stream
        if not newest < row.sequence <= last:
            raise ValueError(f"entry {row.sequence} of a stream is not in its place")
        if row.key in keys:
            raise ValueError(f"key {row.key!r} of a stream is there twice")
        keys.add(row.key)
        self._stream = (row.sequence, last, keys)

    def _blob(self, told: Fields) -> None:
        if blob_ref(told.body("body")) != told.digest("ref"):
            raise ValueError("the content of a blob is not what its ref names")
        self.found.blobs += 1


async def _is_here(backend: StoreBackend, family: _Found) -> bool:
    for head in family.heads:
        found = await backend.session(head.session_id).head()
        if not isinstance(found, Head) or (found.incarnation, found.revision) != (head.incarnation, head.revision):
            return False
    return True


async def _put_blobs(backend: StoreBackend, file: IO[bytes], where: str, family: _Found) -> None:
    store = backend.session(family.heads[0].session_id)
    bodies: list[bytes] = []
    size = 0
    for kind, value in _Lines(file, where, family.begin):
        if kind == "blob":
            bodies.append(Fields(value).body("body"))
            size += len(bodies[-1])
        if bodies and (size >= _BATCH or kind == "family_ends"):
            await store.put_blobs(bodies)
            bodies, size = [], 0
        if kind == "family_ends":
            return


async def _load(backend: ArchivingBackend, file: IO[bytes], where: str, family: _Found, told: Imported) -> None:
    renewed: dict[str, str] = {}
    while True:
        try:
            told.sessions += await backend.load(_rows(file, where, family, renewed))
        except SessionDeleted as error:
            if error.session_id is None or error.session_id in renewed:
                raise
            renewed[error.session_id] = secrets.token_hex(8)
            continue
        told.renewed += renewed
        return


def _rows(file: IO[bytes], where: str, family: _Found, renewed: dict[str, str]) -> Iterator[ArchivedRow]:
    """Give the rows of a family; its checksum is compared once more before the last one is out of hand."""
    stream: tuple[Fields, list[StreamRow]] | None = None
    lines = _Lines(file, where, family.begin)
    for kind, value in lines:
        told = Fields(value)
        if kind == "entry" and stream is not None:
            stream[1].append(load_row(told))
            continue
        if stream is not None:
            yield _stream(*stream)
            stream = None
        if kind == "stream":
            stream = (told, [])
        elif kind == "head":
            yield _renewed(load_head(told), renewed)
        elif kind == "node":
            yield load_node(told)
        elif kind == "record":
            yield load_record(told)
        elif kind == "family_ends":
            return
    raise lines.wrong("the file was changed while it was read")


def _renewed(row: ArchivedHead, renewed: dict[str, str]) -> ArchivedHead:
    incarnation = renewed.get(row.head.session_id, row.head.incarnation)
    return ArchivedHead(head=attrs.evolve(row.head, incarnation=incarnation))


def _stream(told: Fields, rows: Sequence[StreamRow]) -> ArchivedStream:
    return ArchivedStream(
        session_id=told.text("session_id"), name=told.text("name"), last=told.count("last"), rows=tuple(rows)
    )

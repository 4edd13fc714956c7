"""Writing sessions into an archive, family by family, while others may write to them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

import attrs
from lash_hookspecs.errors import CorruptSession, MissingBlob, SessionDeleted, SessionMissing, StoreError
from lash_hookspecs.graph_checks import above
from lash_hookspecs.protocols.retention import ArchivedSession
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.retention import ArchivedNode, Progress
from lash_hookspecs.records.store import Absent, Head

from lash_core.runtime.archive_format import (
    VERSION,
    dump_blob,
    dump_head,
    dump_node,
    dump_record,
    dump_row,
    encode_line,
)
from lash_core.version import core_version

__all__ = ["Exported", "archived", "export_sessions", "families"]

#: Rows that are read at once; blobs are read one by one.
_WINDOW = 500

_REF = re.compile(rb"[0-9a-f]{64}")


@attrs.define
class Exported:
    """What an archive holds.

    Attributes:
        sessions: Their ids.
        nodes: How many nodes.
        records: How many commit records.
        blobs: How many blobs, each once.
        bytes: The size of the archive.
    """

    sessions: list[str] = attrs.field(factory=list)
    nodes: int = 0
    records: int = 0
    blobs: int = 0
    bytes: int = 0


async def families(backend: StoreBackend, session_ids: Iterable[str]) -> AsyncIterator[tuple[str, ...]]:
    """Group sessions by the graph that they share; each group once, oldest session first."""
    seen: set[str] = set()
    wanted = list(session_ids)
    for session_id in wanted:
        if session_id in seen:
            continue
        sharers = tuple(each for each in await archived(backend, session_id).sharers() if each in wanted)
        family = sharers or (session_id,)
        seen.update(family)
        yield family


def archived(backend: StoreBackend, session_id: str) -> ArchivedSession:
    """Give a session's handle if its store can be exported.

    Raises:
        StoreError: It cannot.
    """
    store = backend.session(session_id)
    if not isinstance(store, ArchivedSession):
        raise StoreError(
            f"{backend.name} cannot be exported from: its sessions cannot be archived", session_id=session_id
        )
    return store


async def export_sessions(
    backend: StoreBackend,
    groups: Iterable[Sequence[str]],
    write: Callable[[bytes], object],
    progress: Progress | None = None,
) -> Exported:
    """Write families of sessions as an archive.

    Nodes that are committed meanwhile may be in it beside the path; a session that is deleted or vacuumed meanwhile is
    an error.

    Args:
        backend: The store.
        groups: Sessions that share a graph, group by group; `families` finds them.
        write: Takes the lines, in order.
        progress: Told how many nodes are written.

    Raises:
        SessionMissing, SessionDeleted: There is no such session (any more).
        CorruptSession: A node's parent is not stored; `lash store check` says more.
        MissingBlob: Something is not stored that a node or a commit refers to.
    """
    archive = _Archive(write, progress or _untold)
    archive.line("lash_archive", VERSION, made_by=f"lash-core {core_version()}")
    for family in groups:
        await _Family(backend, family, archive).write()
    archive.end()
    return archive.told


class _Archive:
    def __init__(self, write: Callable[[bytes], object], progress: Progress) -> None:
        self._write = write
        self._digest = hashlib.sha256()
        self._lines = 0
        self.tell = progress
        self.told = Exported()
        self.blobs: set[str] = set()

    def line(self, kind: str, value: object, **more: object) -> None:
        data = encode_line({kind: value, **more})
        self._write(data)
        self._digest.update(data)
        self._lines += 1
        self.told.bytes += len(data)

    def end_family(self) -> None:
        self.line("family_ends", {"sha256": self._digest.hexdigest()})

    def end(self) -> None:
        self.line("archive_ends", {"lines": self._lines, "sha256": self._digest.hexdigest()})


class _Family:
    """The sessions of one graph on their way out."""

    def __init__(self, backend: StoreBackend, session_ids: Sequence[str], archive: _Archive) -> None:
        self._session_ids = session_ids
        self._stores = {each: (backend.session(each), archived(backend, each)) for each in session_ids}
        self._archive = archive
        self._refs: dict[str, None] = {}
        self._named: dict[str, None] = {}

    async def write(self) -> None:
        heads = {session_id: await _head(session_id, store) for session_id, (store, _) in self._stores.items()}
        for head in heads.values():
            self._archive.line("head", dump_head(head))
            self._refs.update(dict.fromkeys(head.components.values()))
            self._name(head.state)
        await self._write_nodes(heads)
        for head in heads.values():
            await self._write_records(head)
            await self._write_streams(head.session_id)
        await self._write_blobs()
        for session_id, head in heads.items():
            if (await _head(session_id, self._stores[session_id][0])).incarnation != head.incarnation:
                raise SessionDeleted(f"session {session_id!r} was deleted meanwhile", session_id=session_id)
        self._archive.end_family()
        self._archive.told.sessions += heads

    async def _write_nodes(self, heads: Mapping[str, Head]) -> None:
        _, store = self._stores[self._session_ids[0]]
        whole = set(await store.sharers()) <= set(self._session_ids)
        wanted = None if whole else await self._needed(store, heads)
        written: set[str] = set()
        async for row in _nodes(store):
            node = row.node
            if wanted is not None and node.node_id not in wanted:
                continue
            if node.parent_node_id is not None and node.parent_node_id not in written:
                raise CorruptSession(
                    f"session {self._session_ids[0]!r}: node {node.node_id!r} has the parent {node.parent_node_id!r}, "
                    "which is not stored; `lash store check` says more",
                    kind="dangling_parent",
                    node_ids=(node.node_id, node.parent_node_id),
                    session_id=self._session_ids[0],
                )
            written.add(node.node_id)
            owner = row.owner if row.owner in heads else None
            self._archive.line("node", dump_node(attrs.evolve(row, owner=owner)))
            self._refs.update(dict.fromkeys(node.refs))
            self._archive.told.nodes += 1
            self._archive.tell("nodes", self._archive.told.nodes, None)

    async def _needed(self, store: ArchivedSession, heads: Mapping[str, Head]) -> set[str]:
        """Find what these sessions stand on and what they stored; the rest belongs to others."""
        parents: dict[str, str | None] = {}
        own: list[str | None] = [head.leaf for head in heads.values()]
        async for row in _nodes(store):
            parents[row.node.node_id] = row.node.parent_node_id
            if row.owner in heads:
                own.append(row.node.node_id)
        return above(parents, own)

    async def _write_records(self, head: Head) -> None:
        store, at = self._stores[head.session_id][0], 0
        while at < head.revision:
            records = await store.records(after=at, limit=_WINDOW)
            for record in records:
                if record.revision <= head.revision:
                    self._archive.line("record", dump_record(head.session_id, record))
                    self._refs.update(dict.fromkeys(record.components.values()))
                    self._archive.told.records += 1
            if len(records) < _WINDOW:
                return
            at = records[-1].revision

    async def _write_streams(self, session_id: str) -> None:
        store, archive = self._stores[session_id]
        for name, last in (await archive.streams()).items():
            self._archive.line("stream", {"session_id": session_id, "name": name, "last": last})
            at = 0
            while at < last:
                rows = [row for row in await store.read(name, after=at, limit=_WINDOW) if row.sequence <= last]
                for row in rows:
                    self._archive.line("entry", dump_row(row))
                    self._name(row.body)
                if len(rows) < _WINDOW:
                    break
                at = rows[-1].sequence

    async def _write_blobs(self) -> None:
        store = self._stores[self._session_ids[0]][0]
        for ref in self._refs:
            await self._write_blob(store, ref)
        for ref in [each for each in self._named if each not in self._refs]:
            try:
                await self._write_blob(store, ref)
            except MissingBlob:
                continue  # sixty-four digits that name no blob

    async def _write_blob(self, store: SessionStore, ref: str) -> None:
        if ref in self._archive.blobs:
            return
        body = (await store.get_blobs([ref]))[ref]
        self._archive.blobs.add(ref)
        self._archive.line("blob", dump_blob(ref, body))
        self._archive.told.blobs += 1
        if len(body) < 1 << 20:  # a component may name a file; a file names nothing
            self._name(body)

    def _name(self, body: bytes) -> None:
        self._named.update((match.decode(), None) for match in _REF.findall(body))


async def _head(session_id: str, store: SessionStore) -> Head:
    found = await store.head()
    if isinstance(found, Head):
        return found
    if isinstance(found, Absent):
        raise SessionMissing(f"there is no session {session_id!r}", session_id=session_id)
    raise SessionDeleted(f"session {session_id!r} was deleted", session_id=session_id)


async def _nodes(store: ArchivedSession) -> AsyncIterator[ArchivedNode]:
    after: str | None = None
    while True:
        page = await store.archive(after=after, limit=_WINDOW)
        for row in page:
            yield row
        if len(page) < _WINDOW:
            return
        after = page[-1].node.node_id


def _untold(what: str, done: int, total: int | None) -> None:
    """Tell nobody."""

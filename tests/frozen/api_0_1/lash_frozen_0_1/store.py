"""A store written against hook API 0.1: dictionaries that live as long as the process, one set for each URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from lash_hookspecs import Node, errors
from lash_hookspecs.records import store as rows
from lash_hookspecs.store_checks import Known, next_head, nodes_behind, page_of, record_of, walk_path

CAPABILITIES = rows.StoreCapabilities(levels=frozenset({"core"}), durability="process")

_DATABASES: dict[str, dict[str, State]] = {}


@attrs.define
class State:
    """One session."""

    head: rows.Head | None = None
    nodes: dict[str, Node] = attrs.field(factory=dict)
    records: dict[str, rows.CommitRecord] = attrs.field(factory=dict)
    blobs: dict[str, bytes] = attrs.field(factory=dict)
    streams: dict[str, dict[str, rows.StreamRow]] = attrs.field(factory=dict)
    last: dict[str, int] = attrs.field(factory=dict)
    dead: dict[str, rows.Deleted] = attrs.field(factory=dict)


async def open_store(url: str, create: bool) -> FrozenBackend:
    """Open the dictionaries of a URL."""
    if url not in _DATABASES and not create:
        raise errors.StoreUnavailable(f"there is no store at {url}")
    return FrozenBackend(url, _DATABASES.setdefault(url, {}))


class FrozenBackend:
    """The sessions of one URL."""

    capabilities = CAPABILITIES

    def __init__(self, url: str, states: dict[str, State]) -> None:
        self.name = url
        self._states = states

    def session(self, session_id: str) -> FrozenSession:
        """Give one session, which need not be there."""
        return FrozenSession(session_id, self._states.setdefault(session_id, State()))

    async def sessions(self, query: rows.SessionQuery) -> rows.SessionPage:
        """List."""
        return page_of((rows.SessionRow(state.head, None) for state in self._states.values() if state.head), query)

    async def stats(self) -> rows.StoreStats:
        """Count."""
        living = [state for state in self._states.values() if state.head]
        return rows.StoreStats(
            sessions=len(living),
            nodes=sum(len(state.nodes) for state in living),
            commits=sum(len(state.records) for state in living),
            blobs=sum(len(state.blobs) for state in living),
            bytes_on_disk=0,
        )

    async def migrate(self) -> None:
        """There is no schema."""

    async def close(self) -> None:
        """Hold nothing."""


class FrozenSession:
    """One session of the store."""

    def __init__(self, session_id: str, state: State) -> None:
        self._id = session_id
        self._state = state

    async def head(self) -> rows.Head | rows.Absent | rows.Deleted:
        """Give where the session stands."""
        return self._state.head or (list(self._state.dead.values())[-1] if self._state.dead else rows.Absent())

    async def commit(self, commit: rows.Commit) -> rows.Receipt:
        """Commit at once and whole."""
        state = self._state
        if receipt := self._known().replayed(commit):
            return receipt
        if commit.fork:
            raise errors.StoreError("this store cannot share a graph: copy the path instead", session_id=self._id)
        state.blobs |= commit.blobs
        state.head = next_head(commit, state.head)
        state.nodes |= {node.node_id: node for node in commit.nodes}
        record = state.records[commit.commit_id] = record_of(commit, state.head.revision)
        for used in commit.consumed:
            self._trim(used.stream, used.upto)
        return rows.Receipt(self._id, commit.commit_id, state.head.revision, record.digest)

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        """Walk from the root to a leaf."""
        return walk_path(self._id, self._state.nodes, leaf, after=after, last=last)

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        """Give nodes by id."""
        nodes = self._state.nodes
        return [nodes[node_id] for node_id in node_ids if node_id in nodes and not nodes[node_id].hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        """Give all nodes."""
        return nodes_behind(self._id, self._state.nodes, after, limit)

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        """Keep bodies."""
        self._state.blobs |= {rows.blob_ref(body): body for body in bodies}
        return [rows.blob_ref(body) for body in bodies]

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        """Give bodies back."""
        for ref in refs:
            if ref not in self._state.blobs:
                raise errors.MissingBlob(session_id=self._id, ref=ref)
        return {ref: self._state.blobs[ref] for ref in refs}

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[rows.CommitRecord]:
        """Give the commits."""
        return [record for record in self._state.records.values() if record.revision > after][:limit]

    async def append(self, stream: str, entries: Sequence[rows.StreamEntry], *, writer: rows.Writer) -> Sequence[int]:
        """Append to a stream; an entry of a key that is there already is the one that is there."""
        self._known().check_writer(writer)
        lane = self._state.streams.setdefault(stream, {})
        for entry in entries:
            if entry.key not in lane:
                self._state.last[stream] = self._state.last.get(stream, 0) + 1
                lane[entry.key] = rows.StreamRow(self._state.last[stream], entry.key, entry.body)
        return [lane[entry.key].sequence for entry in entries]

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[rows.StreamRow]:
        """Read a stream."""
        return [row for row in self._state.streams.get(stream, {}).values() if row.sequence > after][:limit]

    async def trim(self, stream: str, upto: int, *, writer: rows.Writer) -> int:
        """Forget a stream's beginning."""
        self._known().check_writer(writer)
        return self._trim(stream, upto)

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        """Delete all but the fact."""
        state = self._state
        if self._known().check_deletion(incarnation) and state.head:
            state.dead[incarnation] = rows.Deleted(incarnation, state.head.revision, deleted_at)
            state.head, state.nodes, state.records, state.blobs = None, {}, {}, {}
            state.streams, state.last = {}, {}

    def _trim(self, stream: str, upto: int) -> int:
        lane = self._state.streams.get(stream, {})
        self._state.streams[stream] = {key: row for key, row in lane.items() if row.sequence > upto}
        return len(lane) - len(self._state.streams[stream])

    def _known(self) -> Known:
        state = self._state
        return Known(self._id, state.head, state.dead, state.records, state.nodes, self._has, CAPABILITIES)

    def _has(self, ref: str) -> bool:
        return ref in self._state.blobs

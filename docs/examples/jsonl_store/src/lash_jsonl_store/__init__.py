"""A store in one module: each session is a file of JSON lines, folded into its state by whoever reads it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
from lash_hookspecs import Node, errors, implements
from lash_hookspecs.records import store as rows
from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores
from lash_hookspecs.store_checks import Known, next_head, nodes_behind, page_of, record_of, walk_path
from lash_hookspecs.threads import in_thread

T = TypeVar("T")
CAPABILITIES = rows.StoreCapabilities(levels=frozenset({"core"}), durability="host")


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    return [StoreOffer(schemes=("jsonl",), open=open_jsonl)]


async def open_jsonl(url: str, create: bool) -> JsonlBackend:
    return await in_thread(JsonlBackend, Path(url.removeprefix("jsonl:").removeprefix("//")), create)


@attrs.define
class State:
    """What the lines of a file come to."""

    head: rows.Head | None = None
    nodes: dict[str, Node] = attrs.field(factory=dict)
    records: dict[str, rows.CommitRecord] = attrs.field(factory=dict)
    streams: dict[str, dict[str, rows.StreamRow]] = attrs.field(factory=dict)
    last: dict[str, int] = attrs.field(factory=dict)
    dead: dict[str, rows.Deleted] = attrs.field(factory=dict)

    def apply(self, line: dict[str, Any]) -> Any:
        match line:
            case {"head": head, "record": record, "nodes": nodes, "consumed": consumed}:
                self.head = rows.Head(**head | {"state": as_bytes(head["state"])})
                self.records[record["commit_id"]] = rows.CommitRecord(**record | {"record": as_bytes(record["record"])})
                for node in nodes:
                    fields = {"payload": as_bytes(node["payload"]), "refs": tuple(node["refs"])}
                    self.nodes[node["node_id"]] = Node(**node | fields)
                for used in consumed:
                    self.trim(**used)
            case {"stream": stream, "entries": entries}:
                return [self.append(stream, entry["key"], as_bytes(entry["body"])) for entry in entries]
            case {"stream": stream, "upto": upto}:
                return self.trim(stream, upto)
            case {"deleted": tombstone}:
                self.dead[tombstone["incarnation"]] = rows.Deleted(**tombstone)
        return None

    def append(self, stream: str, key: str, body: bytes) -> int:
        lane = self.streams.setdefault(stream, {})
        if key not in lane:
            self.last[stream] = self.last.get(stream, 0) + 1
            lane[key] = rows.StreamRow(self.last[stream], key, body)
        return lane[key].sequence

    def trim(self, stream: str, upto: int) -> int:
        lane = self.streams.get(stream, {})
        self.streams[stream] = {key: row for key, row in lane.items() if row.sequence > upto}
        return len(lane) - len(self.streams[stream])


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def plain(record: Any) -> dict[str, Any]:
    # Bytes that are not UTF-8 become lone surrogates, which JSON can carry.
    def text(_: object, __: object, value: Any) -> Any:
        return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value

    return attrs.asdict(record, value_serializer=text)


def load(path: Path) -> tuple[State, int]:
    """Fold a file; give the state and the length of what is whole."""
    data = path.read_bytes() if path.exists() else b""
    whole, state = data.rfind(b"\n") + 1, State()  # what follows the last newline was torn by a crash
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            state.apply(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise errors.UnreadableData(row=f"line {number} of {path.name}", reason=str(error)) from error
    return state, whole


def write(path: Path, *lines: dict[str, Any], body: bytes = b"", at: int = 0) -> None:
    """Replace what is in a file from an offset on, durably."""
    data = body + b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.truncate(at)
        file.seek(at)
        file.write(data)  # what a full disk cuts off is a torn line: the next write begins at the same place
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)  # a new name is durable only with its folder
    os.fsync(folder)
    os.close(folder)


class JsonlBackend:
    """A folder of sessions."""

    capabilities = CAPABILITIES

    def __init__(self, folder: Path, create: bool) -> None:
        if create:
            (folder / "blobs").mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not (folder / "blobs").is_dir():
            raise errors.StoreUnavailable(f"there is no store at {folder}")
        self.folder, self.name = folder.absolute(), f"jsonl:{folder.absolute()}"

    def session(self, session_id: str) -> JsonlSession:
        return JsonlSession(self.folder, session_id)

    async def sessions(self, query: rows.SessionQuery) -> rows.SessionPage:
        heads = [state.head for state in await in_thread(self._living) if state.head]
        return page_of((rows.SessionRow(head, None) for head in heads), query)

    async def stats(self) -> rows.StoreStats:
        states, blobs = await in_thread(self._living), list((self.folder / "blobs").iterdir())
        nodes, commits = sum(len(state.nodes) for state in states), sum(len(state.records) for state in states)
        size = sum(path.stat().st_size for path in [*self.folder.glob("*.jsonl"), *blobs])
        return rows.StoreStats(sessions=len(states), nodes=nodes, commits=commits, blobs=len(blobs), bytes_on_disk=size)

    async def migrate(self) -> None: ...

    async def close(self) -> None: ...

    def _living(self) -> list[State]:
        return [state for path in self.folder.glob("*.jsonl") if (state := load(path)[0]).head]


class JsonlSession:
    """One file. Its name is a hash, so any session id will do; writers hold a lock on a file beside it."""

    def __init__(self, folder: Path, session_id: str) -> None:
        name = hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()
        self._id, self._path, self._blobs = session_id, folder / f"{name}.jsonl", folder / "blobs"

    async def head(self) -> rows.Head | rows.Absent | rows.Deleted:
        state = await self._state()
        return state.head or (list(state.dead.values())[-1] if state.dead else rows.Absent())

    async def commit(self, commit: rows.Commit) -> rows.Receipt:
        return await self._locked(lambda: self._commit(commit))

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        return walk_path(self._id, (await self._state()).nodes, leaf, after=after, last=last)

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        nodes = (await self._state()).nodes
        return [nodes[node_id] for node_id in node_ids if node_id in nodes and not nodes[node_id].hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        return nodes_behind(self._id, (await self._state()).nodes, after, limit)

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        blobs = {rows.blob_ref(body): body for body in bodies}
        await self._locked(lambda: self._put(blobs))
        return [rows.blob_ref(body) for body in bodies]

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        for ref in refs:
            if not self._has(ref):
                raise errors.MissingBlob(session_id=self._id, ref=ref)
        return {ref: (self._blobs / ref).read_bytes() for ref in refs}

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[rows.CommitRecord]:
        return [record for record in (await self._state()).records.values() if record.revision > after][:limit]

    async def append(self, stream: str, entries: Sequence[rows.StreamEntry], *, writer: rows.Writer) -> Sequence[int]:
        line = {"stream": stream, "entries": [plain(entry) for entry in entries]}
        return await self._locked(lambda: self._side_line(line, writer))

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[rows.StreamRow]:
        lane = (await self._state()).streams.get(stream, {})
        return [row for row in lane.values() if row.sequence > after][:limit]

    async def trim(self, stream: str, upto: int, *, writer: rows.Writer) -> int:
        return await self._locked(lambda: self._side_line({"stream": stream, "upto": upto}, writer))

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        await self._locked(lambda: self._delete(incarnation, deleted_at))

    def _commit(self, commit: rows.Commit) -> rows.Receipt:
        state, end = load(self._path)
        if receipt := self._known(state).replayed(commit):
            return receipt
        if commit.fork:
            raise errors.StoreError("this store cannot share a graph: copy the path instead", session_id=self._id)
        self._put(commit.blobs)
        head = next_head(commit, state.head)
        record = record_of(commit, head.revision)
        nodes, consumed = [plain(node) for node in commit.nodes], [plain(used) for used in commit.consumed]
        write(self._path, {"head": plain(head), "record": plain(record), "nodes": nodes, "consumed": consumed}, at=end)
        return rows.Receipt(self._id, commit.commit_id, head.revision, record.digest)

    def _side_line(self, line: dict[str, Any], writer: rows.Writer) -> Any:
        state, end = load(self._path)
        self._known(state).check_writer(writer)
        write(self._path, line, at=end)
        return state.apply(line)

    def _delete(self, incarnation: str, deleted_at: int) -> None:
        if self._known(state := load(self._path)[0]).check_deletion(incarnation) and state.head:
            dead = [*state.dead.values(), rows.Deleted(incarnation, state.head.revision, deleted_at)]
            fresh = self._path.with_suffix(".new")
            write(fresh, *({"deleted": plain(tombstone)} for tombstone in dead))
            fresh.replace(self._path)

    def _known(self, state: State) -> Known:
        return Known(self._id, state.head, state.dead, state.records, state.nodes, self._has, CAPABILITIES)

    def _has(self, ref: str) -> bool:
        return ref.isalnum() and (self._blobs / ref).exists()

    def _put(self, blobs: Mapping[str, bytes]) -> None:
        for ref, body in blobs.items():
            fresh = self._path.with_suffix(".blob")  # the lock makes the name ours
            write(fresh, body=body)
            fresh.replace(self._blobs / ref)

    async def _state(self) -> State:
        return (await in_thread(load, self._path))[0]

    async def _locked(self, work: Callable[[], T]) -> T:
        def hop() -> T:
            try:
                with self._path.with_suffix(".lock").open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    return work()
            except OSError as error:
                kind = errors.StoreFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else errors.StoreUnavailable
                raise kind(f"{self._path}: {error.strerror}", session_id=self._id) from error

        return await in_thread(hop)

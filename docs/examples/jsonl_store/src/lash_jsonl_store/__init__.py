"""A store in one module: each session is a file of JSON lines, folded into its state by whoever reads it."""

from __future__ import annotations

import asyncio
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
from lash_hookspecs.records.store import Commit, Deleted, Head, Receipt, StreamEntry, StreamRow, Writer, blob_ref
from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores

T = TypeVar("T")


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    return [StoreOffer(schemes=("jsonl",), open=open_jsonl)]


async def open_jsonl(url: str, create: bool) -> JsonlBackend:
    return await asyncio.to_thread(JsonlBackend, Path(url.removeprefix("jsonl:").removeprefix("//")), create)


@attrs.define
class State:
    """What the lines of a file come to."""

    head: Head | None = None
    nodes: dict[str, Node] = attrs.field(factory=dict)
    records: dict[str, rows.CommitRecord] = attrs.field(factory=dict)
    streams: dict[str, dict[str, StreamRow]] = attrs.field(factory=dict)
    last: dict[str, int] = attrs.field(factory=dict)
    dead: dict[str, Deleted] = attrs.field(factory=dict)

    def apply(self, line: dict[str, Any]) -> Any:
        match line:
            case {"commit": commit, "digest": digest}:
                self.commit(commit, digest)
            case {"stream": stream, "entries": entries}:
                return [self.append(stream, entry["key"], as_bytes(entry["body"])) for entry in entries]
            case {"stream": stream, "upto": upto}:
                return self.trim(stream, upto)
            case {"deleted": tombstone}:
                self.dead[tombstone["incarnation"]] = Deleted(**tombstone)
        return None

    def commit(self, commit: dict[str, Any], digest: str) -> None:
        before, writer, at = self.head, commit["writer"], commit["committed_at"]
        moved = {name: commit[name] for name in ("leaf", "open_turn", "components")}
        moved |= {"revision": before.revision + 1 if before else 1, "epoch": writer["epoch"] or 0}
        head = {name: commit[name] for name in ("session_id", "labels")} | {"state": as_bytes(commit["state"])}
        if commit["labels"] is None:
            head["labels"] = before.labels if before else {}
        times = {"created_at": before.created_at if before else at, "updated_at": at}
        self.head = Head(incarnation=writer["incarnation"], **head, **times, **moved)
        record = {"commit_id": commit["commit_id"], "digest": digest, "record": as_bytes(commit["record"])}
        self.records[commit["commit_id"]] = rows.CommitRecord(committed_at=at, **record, **moved)
        for node in commit["nodes"]:
            fields = {"payload": as_bytes(node["payload"]), "refs": tuple(node["refs"])}
            self.nodes[node["node_id"]] = Node(**node | fields)
        for used in commit["consumed"]:
            self.trim(**used)

    def append(self, stream: str, key: str, body: bytes) -> int:
        lane = self.streams.setdefault(stream, {})
        if key not in lane:
            self.last[stream] = self.last.get(stream, 0) + 1
            lane[key] = StreamRow(self.last[stream], key, body)
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
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb", buffering=0) as file:
        file.truncate(at)
        file.seek(at)
        try:
            file.write(data)
            os.fsync(file.fileno())
        except OSError:
            file.truncate(at)
            raise
    folder = os.open(path.parent, os.O_RDONLY)  # a new name is durable only with its folder
    os.fsync(folder)
    os.close(folder)


class JsonlBackend:
    """A folder of sessions."""

    capabilities = rows.StoreCapabilities(levels=frozenset({"core"}), durability="host")

    def __init__(self, folder: Path, create: bool) -> None:
        if create:
            (folder / "blobs").mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not (folder / "blobs").is_dir():
            raise errors.StoreUnavailable(f"there is no store at {folder}")
        self.folder, self.name = folder.absolute(), f"jsonl:{folder.absolute()}"

    def session(self, session_id: str) -> JsonlSession:
        return JsonlSession(self.folder, session_id)

    async def sessions(self, query: rows.SessionQuery) -> rows.SessionPage:
        heads = [state.head for state in await asyncio.to_thread(self._living) if state.head]
        found = sorted((head for head in heads if matches(head, query)), key=lambda head: head.session_id)
        page = tuple(rows.SessionRow(head, None) for head in found[: query.limit])
        return rows.SessionPage(page, page[-1].head.session_id if page and len(found) > len(page) else None)

    async def stats(self) -> rows.StoreStats:
        states, blobs = await asyncio.to_thread(self._living), list((self.folder / "blobs").iterdir())
        nodes, commits = sum(len(state.nodes) for state in states), sum(len(state.records) for state in states)
        size = sum(path.stat().st_size for path in [*self.folder.glob("*.jsonl"), *blobs])
        return rows.StoreStats(sessions=len(states), nodes=nodes, commits=commits, blobs=len(blobs), bytes_on_disk=size)

    async def migrate(self) -> None: ...

    async def close(self) -> None: ...

    def _living(self) -> list[State]:
        return [state for path in self.folder.glob("*.jsonl") if (state := load(path)[0]).head]


def matches(head: Head, query: rows.SessionQuery) -> bool:
    turn = query.open_turn is None or query.open_turn == (head.open_turn is not None)
    page = query.after is None or head.session_id > query.after
    return turn and page and query.labels.items() <= head.labels.items()


class JsonlSession:
    """One file. Its name is a hash, so any session id will do; writers hold a lock on a file beside it."""

    def __init__(self, folder: Path, session_id: str) -> None:
        name = hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()
        self._id, self._path, self._blobs = session_id, folder / f"{name}.jsonl", folder / "blobs"

    async def head(self) -> Head | rows.Absent | Deleted:
        state = await self._state()
        return state.head or (list(state.dead.values())[-1] if state.dead else rows.Absent())

    async def commit(self, commit: Commit) -> Receipt:
        return await self._locked(lambda: self._commit(commit))

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        nodes, found, child = (await self._state()).nodes, dict[str, Node](), leaf
        if leaf not in nodes:
            raise self._corrupt("dangling_leaf", f"leaf {leaf!r} is not stored", leaf)
        above: str | None = leaf
        while above is not None and above != after and (after is not None or len(found) != last):
            if above in found:
                raise self._corrupt("parent_cycle", f"node {above!r} is its own ancestor", above)
            if above not in nodes:
                reason = f"node {child!r} has the parent {above!r}, which is not stored"
                raise self._corrupt("dangling_parent", reason, child, above)
            child, found[above] = above, nodes[above]
            above = nodes[above].parent_node_id
        if after is not None and above is None:
            raise self._corrupt("dangling_parent", f"node {after!r} is not on the path to {leaf!r}", after)
        return list(found.values())[:last][::-1]

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        nodes = (await self._state()).nodes
        return [nodes[node_id] for node_id in node_ids if node_id in nodes and not nodes[node_id].hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        nodes = (await self._state()).nodes
        if after is not None and after not in nodes:
            raise self._corrupt("dangling_parent", f"node {after!r} is not stored", after)
        start = 0 if after is None else list(nodes).index(after) + 1
        return [node for node in list(nodes.values())[start:] if not node.hidden][:limit]

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        blobs = {blob_ref(body): body for body in bodies}
        await self._locked(lambda: self._put(blobs))
        return [blob_ref(body) for body in bodies]

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        for ref in refs:
            if not self._has(ref):
                raise errors.MissingBlob(session_id=self._id, ref=ref)
        return {ref: (self._blobs / ref).read_bytes() for ref in refs}

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[rows.CommitRecord]:
        return [record for record in (await self._state()).records.values() if record.revision > after][:limit]

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        line = {"stream": stream, "entries": [plain(entry) for entry in entries]}
        return await self._locked(lambda: self._side_line(line, writer))

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        lane = (await self._state()).streams.get(stream, {})
        return [row for row in lane.values() if row.sequence > after][:limit]

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        return await self._locked(lambda: self._side_line({"stream": stream, "upto": upto}, writer))

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        await self._locked(lambda: self._delete(incarnation, deleted_at))

    def _commit(self, commit: Commit) -> Receipt:
        if commit.session_id != self._id:
            raise errors.SessionBindingMismatch(bound=self._id, requested=commit.session_id)
        state, end = load(self._path)
        self._refuse_dead(state, commit.writer)
        digest, record = rows.commit_digest(commit), state.records.get(commit.commit_id)
        if record is None:
            self._check(state, commit)
            self._put(commit.blobs)
            line = {"commit": plain(attrs.evolve(commit, blobs={})), "digest": digest}
            write(self._path, line, at=end)
            state.apply(line)
            record = state.records[commit.commit_id]
        if record.digest != digest:
            raise errors.CommitIdReused(session_id=self._id, commit_id=commit.commit_id)
        return Receipt(self._id, commit.commit_id, record.revision, digest)

    def _check(self, state: State, commit: Commit) -> None:
        head, expected = state.head, commit.expected_revision
        self._refuse_fenced(head, commit.writer.epoch or 0)
        actual, stranger = (head.revision, head.incarnation != commit.writer.incarnation) if head else (None, False)
        if expected != actual or stranger:
            raise errors.HeadRevisionConflict(session_id=self._id, expected=expected, actual=actual)
        if any(blob_ref(body) != ref for ref, body in commit.blobs.items()):
            raise errors.InvalidInput("a blob does not have the content that its ref names", session_id=self._id)
        for component, ref in [*commit.components.items(), *((None, r) for node in commit.nodes for r in node.refs)]:
            if ref not in commit.blobs and not self._has(ref):
                raise errors.MissingBlob(session_id=self._id, ref=ref, component=component)
        seen = set(state.nodes)
        for node in commit.nodes:
            if node.node_id in seen:
                raise self._corrupt("duplicate_node", f"node {node.node_id!r} is stored already", node.node_id)
            seen.add(node.node_id)
        if commit.fork:
            raise errors.StoreError("this store cannot share a graph: copy the path instead", session_id=self._id)

    def _side_line(self, line: dict[str, Any], writer: Writer) -> Any:
        state, end = load(self._path)
        self._refuse_dead(state, writer)
        if state.head is None or state.head.incarnation != writer.incarnation:
            raise errors.SessionMissing(f"session {self._id!r} has no commit yet", session_id=self._id)
        self._refuse_fenced(state.head, writer.epoch)
        write(self._path, line, at=end)
        return state.apply(line)

    def _delete(self, incarnation: str, deleted_at: int) -> None:
        state, _ = load(self._path)
        if incarnation in state.dead:
            return
        if state.head is None or state.head.incarnation != incarnation:
            raise errors.SessionMissing(f"there is no incarnation {incarnation!r} of session {self._id!r}")
        dead = [*state.dead.values(), Deleted(incarnation, state.head.revision, deleted_at)]
        fresh = self._path.with_suffix(".new")
        write(fresh, *({"deleted": plain(tombstone)} for tombstone in dead))
        fresh.replace(self._path)

    def _refuse_dead(self, state: State, writer: Writer) -> None:
        if writer.incarnation in state.dead:
            message = f"session {self._id!r} was deleted: this writer is refused for ever"
            raise errors.SessionDeleted(message, session_id=self._id)

    def _refuse_fenced(self, head: Head | None, epoch: int | None) -> None:
        if head and epoch is not None and epoch < head.epoch:
            raise errors.WriterFenced(session_id=self._id, epoch=epoch, current=head.epoch)

    def _has(self, ref: str) -> bool:
        return ref.isalnum() and (self._blobs / ref).exists()

    def _put(self, blobs: Mapping[str, bytes]) -> None:
        for ref, body in blobs.items():
            fresh = self._path.with_suffix(".blob")  # the lock makes the name ours
            write(fresh, body=body)
            fresh.replace(self._blobs / ref)

    def _corrupt(self, kind: str, reason: str, *node_ids: str) -> errors.CorruptSession:
        message = f"session {self._id!r}: {reason}"
        return errors.CorruptSession(message, kind=kind, node_ids=node_ids, session_id=self._id)

    async def _state(self) -> State:
        return (await asyncio.to_thread(load, self._path))[0]

    async def _locked(self, work: Callable[[], T]) -> T:
        def hop() -> T:
            try:
                with self._path.with_suffix(".lock").open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    return work()
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                kind = errors.StoreFull if full else errors.StoreUnavailable
                raise kind(f"{self._path}: {error.strerror}", session_id=self._id) from error

        return await asyncio.to_thread(hop)

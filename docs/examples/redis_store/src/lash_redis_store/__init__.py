"""A store in one module: sessions in Redis, each under keys of its own, written by WATCH, MULTI and EXEC.

Every write of a session sets its main key. So watching that one key keeps what was read and checked in Python true
until EXEC carries the writes out, all or none. No value becomes part of a key or a script: ids are hashed, or are
fields, members and arguments.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode

import attrs
from lash_hookspecs import Node, errors, implements
from lash_hookspecs.records import store as rows
from lash_hookspecs.specs.offers import OfferContext, StoreOffer, lash_offer_stores
from lash_hookspecs.store_checks import Known, next_head, nodes_behind, page_of, record_of, walk_path
from redis import exceptions as said
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

T = TypeVar("T")

#: Seconds for which contention on one session is waited out, and the most bytes of one value.
DEADLINE, MAX_VALUE = 10.0, 256 << 20

#: Walks from a leaf (ARGV 1) towards the root: at most so many nodes (ARGV 2), or until one is met (ARGV 3).
WALK = """
local found, seen, at = {}, {}, ARGV[1]
while at and at ~= ARGV[3] and #found < tonumber(ARGV[2]) and not seen[at] do
  seen[at] = true
  found[#found + 1] = at
  local up = redis.call('HGET', KEYS[1], at)
  at = up and up ~= '' and string.sub(up, 2)
end
return found
"""


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    return [StoreOffer(schemes=("redis", "redis-unix"), open=open_redis)]


async def open_redis(url: str, create: bool) -> RedisBackend:
    """Open ``redis://host:port/0?prefix=lash`` or ``redis-unix:///run/redis.sock?prefix=lash``."""
    place, _, query = url.partition("?")
    options = dict(parse_qsl(query))
    prefix = options.pop("prefix", "lash").encode()
    address = place.replace("redis-unix:", "unix:") + ("?" + urlencode(options) if options else "")
    # A lost answer is the caller's to replay, by its commit id: the client must not send anything twice by itself.
    client: Any = Redis.from_url(address, retry=Retry(NoBackoff(), 0))
    try:
        async with told():
            if not create and not await client.exists(prefix):
                raise errors.StoreUnavailable(f"there is no store with the prefix {prefix.decode()!r}")
            await client.set(prefix, "lash 1", nx=True)
            return RedisBackend(client, prefix, grade_of(await client.config_get("append*")))
    except BaseException:
        await client.aclose()
        raise


def grade_of(settings: Mapping[str, str]) -> Literal["none", "process", "host"]:
    """Tell what the server's settings let an acknowledged write survive; an answer is sent when the log is written."""
    if settings["appendonly"] != "yes":
        return "none"
    return "host" if settings["appendfsync"] == "always" else "process"


@asynccontextmanager
async def told(session_id: str | None = None) -> AsyncIterator[None]:
    """Turn what the client raises into what a caller may see."""
    try:
        yield
    except said.BusyLoadingError as error:
        raise errors.StoreBusy(f"Redis is loading: {error}", retry_after=1.0, session_id=session_id) from error
    except said.OutOfMemoryError as error:
        raise errors.StoreFull(f"Redis is full: {error}", session_id=session_id) from error
    except (said.ConnectionError, said.TimeoutError) as error:
        raise errors.StoreUnavailable(f"Redis does not answer: {error}", session_id=session_id) from error
    except said.ResponseError as error:
        kind = errors.StoreUnavailable if str(error).startswith("MISCONF") else errors.StoreError
        raise kind(f"Redis refused: {error}", session_id=session_id) from error


def packed(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def dump(record: Any) -> bytes:
    # Bytes that are not UTF-8 become lone surrogates, which JSON can carry.
    def text(_: object, __: object, value: Any) -> Any:
        return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value

    return json.dumps(attrs.asdict(record, value_serializer=text), separators=(",", ":")).encode()


def load(make: Callable[..., T], data: bytes, *binary: str) -> T:
    """Read what `dump` wrote; these fields are bytes."""
    try:
        row = json.loads(data)
        return make(**row | {name: as_bytes(row[name]) for name in binary})
    except (ValueError, TypeError, KeyError) as error:
        raise errors.UnreadableData(row=make.__name__, reason=str(error)) from error


def load_node(data: bytes) -> Node:
    node = load(Node, data, "payload")
    return attrs.evolve(node, refs=tuple(node.refs))


@attrs.define
class State:
    """What is under a session's main key: all that a write is checked against, but for single rows."""

    head: rows.Head | None = None
    dead: list[rows.Deleted] = attrs.field(factory=list)
    floor: int = 0
    fence: int = 0
    holder: rows.Holder | None = None
    epoch: int = 0
    expires_at: float = 0.0

    @classmethod
    def stored(cls, **row: Any) -> State:
        head, dead, holder = row["head"], row["dead"], row["holder"]
        found = {"head": rows.Head(**head | {"state": as_bytes(head["state"])})} if head else {}
        lease = {"holder": rows.Holder(**holder)} if holder else {}
        return cls(**row | {"dead": [rows.Deleted(**each) for each in dead]} | found | lease)

    @classmethod
    def of(cls, data: bytes | None) -> State:
        return load(cls.stored, data) if data else cls()

    def lease(self, now: float) -> rows.Lease | None:
        return rows.Lease(self.holder, self.epoch, self.expires_at - now) if self.holder else None

    def raise_fence(self, epoch: int) -> None:
        self.fence, self.floor = epoch, max(self.floor, epoch)
        if self.head:
            self.head = attrs.evolve(self.head, epoch=epoch)


class RedisBackend:
    """The sessions whose keys begin with one prefix."""

    def __init__(self, redis: Any, prefix: bytes, durability: Literal["none", "process", "host"]) -> None:
        self.redis, self.prefix, self.name = redis, prefix, f"redis:{prefix.decode()}"
        self.ids, self.blobs = prefix + b":ids", prefix + b":blobs"
        self.capabilities = rows.StoreCapabilities(
            levels=frozenset({"core", "concurrent"}),
            durability=durability,
            database_clock=True,  # leases are judged by the server's TIME
            max_value=MAX_VALUE,
        )

    def session(self, session_id: str) -> RedisSession:
        return RedisSession(self, session_id)

    def main(self, session_id: str) -> bytes:
        return self.prefix + b":" + hashlib.sha256(packed(session_id)).hexdigest().encode()

    async def now(self) -> float:
        seconds, micros = await self.redis.time()
        return float(seconds + micros / 1e6)

    async def sessions(self, query: rows.SessionQuery) -> rows.SessionPage:
        found: list[rows.SessionRow] = []
        begin = b"-" if query.after is None else b"(" + packed(query.after)
        async with told():
            now = await self.now()
            while len(found) <= query.limit:
                ids = await self.redis.zrangebylex(self.ids, begin, b"+", 0, 500)
                if not ids:
                    break
                mains = [self.main(name.decode("utf-8", "surrogatepass")) for name in ids]
                states = map(State.of, await self.redis.mget(mains))
                living = [rows.SessionRow(state.head, state.lease(now)) for state in states if state.head]
                found += page_of(living, attrs.evolve(query, limit=len(ids))).rows
                begin = b"(" + ids[-1]
        return page_of(found, query)

    async def stats(self) -> rows.StoreStats:
        nodes = commits = 0
        async with told():
            ids = await self.redis.zrange(self.ids, 0, -1)
            for name in ids:
                main = self.main(name.decode("utf-8", "surrogatepass"))
                nodes += await self.redis.hlen(main + b":nodes")
                commits += await self.redis.llen(main + b":records")
            blobs = await self.redis.hlen(self.blobs)
        return rows.StoreStats(sessions=len(ids), nodes=nodes, commits=commits, blobs=blobs, bytes_on_disk=None)

    async def migrate(self) -> None: ...

    async def close(self) -> None:
        await self.redis.aclose()


class RedisSession:
    """One session: a main key, and beside it nodes, parents, their order, records, commit ids and streams."""

    def __init__(self, backend: RedisBackend, session_id: str) -> None:
        self._backend, self._redis, self._id = backend, backend.redis, session_id
        main = self._main = backend.main(session_id)
        self._nodes, self._parents, self._order = main + b":nodes", main + b":parents", main + b":order"
        self._records, self._commits, self._lanes = main + b":records", main + b":commits", main + b":lanes"

    async def head(self) -> rows.Head | rows.Absent | rows.Deleted:
        async with told(self._id):
            state = State.of(await self._redis.get(self._main))
        return state.head or (state.dead[-1] if state.dead else rows.Absent())

    async def commit(self, commit: rows.Commit) -> rows.Receipt:
        return await self._write(lambda state, pipe: self._commit(state, pipe, commit))

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        limit = last if after is None and last is not None else 1 << 53
        until = [] if after is None else [packed(after)]
        async with told(self._id):
            walked = await self._redis.eval(WALK, 1, self._parents, packed(leaf), limit, *until)
        return walk_path(self._id, await self._by_id([packed(leaf), *walked]), leaf, after=after, last=last)

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        found = await self._by_id([packed(node_id) for node_id in node_ids])
        return [found[node_id] for node_id in node_ids if node_id in found and not found[node_id].hidden]

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        async with told(self._id):
            order = await self._redis.lrange(self._order, 0, -1)
        return nodes_behind(self._id, await self._by_id(order), after, limit)

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        self._known(State()).check_sizes(bodies)
        blobs = {rows.blob_ref(body): body for body in bodies}
        async with told(self._id):
            if blobs:
                await self._redis.hset(self._backend.blobs, mapping=blobs)
        return [rows.blob_ref(body) for body in bodies]

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        async with told(self._id):
            bodies = await self._redis.hmget(self._backend.blobs, [packed(ref) for ref in refs]) if refs else []
        for ref, body in zip(refs, bodies, strict=True):
            if body is None:
                raise errors.MissingBlob(session_id=self._id, ref=ref)
        return dict(zip(refs, bodies, strict=True))

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[rows.CommitRecord]:
        end = -1 if limit is None else after + limit - 1
        async with told(self._id):  # the n-th record has the revision n
            found = await self._redis.lrange(self._records, after, end) if limit != 0 else []
        return [load(rows.CommitRecord, data, "record") for data in found]

    async def append(self, stream: str, entries: Sequence[rows.StreamEntry], *, writer: rows.Writer) -> Sequence[int]:
        return await self._write(lambda state, pipe: self._append(state, pipe, stream, entries, writer))

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[rows.StreamRow]:
        count = -1 if limit is None else limit
        async with told(self._id):
            found = await self._redis.zrangebyscore(self._lane(stream), f"({after}", "+inf", 0, count)
        return [load(rows.StreamRow, data, "body") for data in found]

    async def trim(self, stream: str, upto: int, *, writer: rows.Writer) -> int:
        return await self._write(lambda state, pipe: self._trim(state, pipe, stream, upto, writer))

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        await self._write(lambda state, pipe: self._delete(state, pipe, incarnation, deleted_at))

    async def lease(self) -> rows.Lease | None:
        async with told(self._id):
            return State.of(await self._redis.get(self._main)).lease(await self._backend.now())

    async def take_lease(self, holder: rows.Holder, ttl: float, *, replacing: int | None = None) -> rows.Lease:
        def take(state: State, now: float) -> rows.Lease:
            held = state.lease(now)
            if held and held.expires_in > 0 and held.epoch != replacing:
                raise errors.SessionLeased(session_id=self._id, **attrs.asdict(held, recurse=False))
            state.raise_fence(state.floor + 1)
            state.holder, state.epoch, state.expires_at = holder, state.fence, now + ttl
            return rows.Lease(holder, state.epoch, ttl)

        return await self._lease(take)

    async def renew_lease(self, lease: rows.Lease, ttl: float) -> rows.Lease:
        def renew(state: State, now: float) -> rows.Lease:
            if state.fence != lease.epoch:
                holder, current = state.holder, state.fence
                raise errors.WriterFenced(session_id=self._id, epoch=lease.epoch, current=current, holder=holder)
            state.holder, state.epoch, state.expires_at = lease.holder, lease.epoch, now + ttl
            return rows.Lease(lease.holder, lease.epoch, ttl)

        return await self._lease(renew)

    async def release_lease(self, lease: rows.Lease) -> None:
        def release(state: State, now: float) -> None:
            if state.fence == lease.epoch:
                state.holder = None

        await self._lease(release)

    async def _commit(self, state: State, pipe: Any, commit: rows.Commit) -> rows.Receipt:
        known = await self._known_for(state, pipe, commit)
        if receipt := known.replayed(commit):
            return receipt
        if commit.fork:
            raise errors.StoreError("this store cannot share a graph: copy the path instead", session_id=self._id)
        head = next_head(commit, state.head)
        record = record_of(commit, head.revision)
        used = [await self._upto(pipe, each.stream, each.upto) for each in commit.consumed]
        state.head = head
        state.raise_fence(max(head.epoch, state.fence))
        self._begin(pipe, state)
        pipe.zadd(self._backend.ids, {packed(self._id): 0})
        pipe.rpush(self._records, dump(record))
        pipe.hset(self._commits, packed(commit.commit_id), head.revision - 1)
        for node in commit.nodes:
            up = b"" if node.parent_node_id is None else b"=" + packed(node.parent_node_id)
            pipe.hset(self._parents, packed(node.node_id), up)
            pipe.hset(self._nodes, packed(node.node_id), dump(node))
            pipe.rpush(self._order, packed(node.node_id))
        if commit.blobs:
            pipe.hset(self._backend.blobs, mapping=dict(commit.blobs))
        for each, entries in zip(commit.consumed, used, strict=True):
            self._drop(pipe, each.stream, each.upto, entries)
        return rows.Receipt(self._id, commit.commit_id, head.revision, record.digest)

    async def _append(
        self, state: State, pipe: Any, stream: str, entries: Sequence[rows.StreamEntry], writer: rows.Writer
    ) -> list[int]:
        self._known(state).check_writer(writer)
        self._known(state).check_sizes(entry.body for entry in entries)
        lane, keys = self._lane(stream), self._lane(stream) + b":keys"
        last = int(await pipe.hget(self._lanes, lane) or 0)
        found = await pipe.hmget(keys, [packed(entry.key) for entry in entries]) if entries else []
        sequences = {entry.key: int(known) for entry, known in zip(entries, found, strict=True) if known}
        self._begin(pipe, state)
        for entry in entries:
            if entry.key not in sequences:
                last += 1
                sequences[entry.key] = last
                pipe.zadd(lane, {dump(rows.StreamRow(last, entry.key, entry.body)): last})
                pipe.hset(keys, packed(entry.key), last)
        pipe.hset(self._lanes, lane, last)
        return [sequences[entry.key] for entry in entries]

    async def _trim(self, state: State, pipe: Any, stream: str, upto: int, writer: rows.Writer) -> int:
        self._known(state).check_writer(writer)
        entries = await self._upto(pipe, stream, upto)
        self._begin(pipe, state)
        self._drop(pipe, stream, upto, entries)
        return len(entries)

    async def _delete(self, state: State, pipe: Any, incarnation: str, deleted_at: int) -> None:
        if not self._known(state).check_deletion(incarnation) or state.head is None:
            return
        lanes = await pipe.hkeys(self._lanes)
        dead = [*state.dead, rows.Deleted(incarnation, state.head.revision, deleted_at)]
        self._begin(pipe, State(dead=dead, floor=state.floor))
        pipe.zrem(self._backend.ids, packed(self._id))
        pipe.delete(self._nodes, self._parents, self._order, self._records, self._commits, self._lanes)
        for lane in lanes:
            pipe.delete(lane, lane + b":keys")

    async def _lease(self, change: Callable[[State, float], T]) -> T:
        async def work(state: State, pipe: Any) -> T:
            answer = change(state, await self._backend.now())
            self._begin(pipe, state)
            return answer

        return await self._write(work)

    async def _write(self, work: Callable[[State, Any], Awaitable[T]]) -> T:
        """Read, check and queue; carry it out unless somebody wrote the session meanwhile, else begin again."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                async with told(self._id), self._redis.pipeline() as pipe:
                    await pipe.watch(self._main)
                    answer = await work(State.of(await pipe.get(self._main)), pipe)
                    await pipe.execute()
                    return answer
            except said.WatchError:  # somebody wrote it, or the connection is gone: find out from the beginning
                continue
        raise errors.StoreBusy(f"session {self._id!r} is written all the time", retry_after=1.0, session_id=self._id)

    async def _known_for(self, state: State, pipe: Any, commit: rows.Commit) -> Known:
        """Look up the single rows that a commit is checked against."""
        place = await pipe.hget(self._commits, packed(commit.commit_id))
        found = [] if place is None else [load(rows.CommitRecord, await pipe.lindex(self._records, place), "record")]
        ids = [node.node_id for node in commit.nodes]
        taken = await pipe.hmget(self._parents, [*map(packed, ids)]) if ids else []
        refs = [*commit.components.values(), *(ref for node in commit.nodes for ref in node.refs)]
        stored = await pipe.hmget(self._backend.blobs, [*map(packed, refs)]) if refs else []
        nodes = {node_id for node_id, up in zip(ids, taken, strict=True) if up is not None}
        blobs = {ref for ref, body in zip(refs, stored, strict=True) if body is not None}
        records = {record.commit_id: record for record in found}
        return attrs.evolve(self._known(state), records=records, nodes=nodes, has_blob=blobs.__contains__)

    def _known(self, state: State) -> Known:
        dead, none = {tombstone.incarnation for tombstone in state.dead}, set[str]()
        known = Known(self._id, state.head, dead, {}, none, none.__contains__, self._backend.capabilities)
        return attrs.evolve(known, fence=state.fence, holder=state.holder)

    def _begin(self, pipe: Any, state: State) -> None:
        pipe.multi()
        pipe.set(self._main, dump(state))

    def _lane(self, stream: str) -> bytes:
        return self._main + b":s:" + hashlib.sha256(packed(stream)).hexdigest().encode()

    async def _by_id(self, node_ids: Sequence[bytes]) -> dict[str, Node]:
        async with told(self._id):
            found = await self._redis.hmget(self._nodes, node_ids) if node_ids else []
        return {node.node_id: node for node in map(load_node, filter(None, found))}

    async def _upto(self, pipe: Any, stream: str, upto: int) -> list[rows.StreamRow]:
        found = await pipe.zrangebyscore(self._lane(stream), "-inf", upto)
        return [load(rows.StreamRow, data, "body") for data in found]

    def _drop(self, pipe: Any, stream: str, upto: int, entries: Sequence[rows.StreamRow]) -> None:
        if entries:
            pipe.zremrangebyscore(self._lane(stream), "-inf", upto)
            pipe.hdel(self._lane(stream) + b":keys", *(packed(entry.key) for entry in entries))

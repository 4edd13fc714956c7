"""One session in the store: level ``core``, leases, and forks that share its graph."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import TypeVar

import attrs
from lash_hookspecs import Node
from lash_hookspecs.errors import CorruptSession, MissingBlob, SessionLeased, SessionMissing, WriterFenced
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    CommitRecord,
    Deleted,
    Head,
    Holder,
    Lease,
    Receipt,
    StoreCapabilities,
    StreamEntry,
    StreamRow,
    Writer,
    blob_ref,
)
from lash_hookspecs.store_checks import Known, next_head, record_of, walk_path
from lash_hookspecs.threads import in_thread

from lash_lmdb_store.database import Database, Transaction
from lash_lmdb_store.graph import Graph
from lash_lmdb_store.rows import Life, NodeRow, digest, number, numbered, pack, read_entry, read_record
from lash_lmdb_store.tables import Tables

__all__ = ["LmdbSession"]

T = TypeVar("T")


class LmdbSession:
    """A `SessionStore` and a `LeasedStore` (`lash_hookspecs.protocols.stores` says what each method does)."""

    def __init__(
        self,
        database: Database,
        tables: Tables,
        session_id: str,
        clock: Callable[[], float],
        capabilities: StoreCapabilities,
    ) -> None:
        self.session_id = session_id
        self._database, self._tables = database, tables
        self._clock, self._capabilities = clock, capabilities

    async def head(self) -> Head | Absent | Deleted:
        life = await self._read(self.life)
        return life.head or (life.dead[-1] if life.dead else Absent())

    async def commit(self, commit: Commit) -> Receipt:
        return await self._write(lambda txn, life: self._commit(txn, life, commit))

    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        return await self._read(lambda txn: walk_path(self.session_id, self._graph(txn), leaf, after=after, last=last))

    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        def read(txn: Transaction) -> list[Node]:
            found = map(self._graph(txn).get, node_ids)
            return [node for node in found if node and not node.hidden]

        return await self._read(read)

    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        return await self._read(lambda txn: self._page(self._graph(txn), after, limit))

    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        blobs = {blob_ref(body): body for body in bodies}

        def put(txn: Transaction) -> list[str]:
            self._known(txn, Life()).check_sizes(bodies)
            self._put(txn, blobs)
            return [blob_ref(body) for body in bodies]

        return await self._write_rows(put)

    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        return await self._read(lambda txn: {ref: self._blob(txn, ref) for ref in refs})

    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        start = numbered(after + 1)
        return await self._read(
            lambda txn: self._rows(txn, self._tables.records(self.session_id), start, limit, read_record)
        )

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        def append(txn: Transaction, life: Life) -> list[int]:
            self._known(txn, life).check_writer(writer)
            self._known(txn, life).check_sizes(entry.body for entry in entries)
            return [self.put_entry(txn, stream, entry) for entry in entries]

        return await self._write(append)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StreamRow]:
        prefix, start = self._tables.entries(self.session_id) + digest(stream), numbered(after + 1)
        return await self._read(lambda txn: self._rows(txn, prefix, start, limit, read_entry))

    async def trim(self, stream: str, upto: int, *, writer: Writer) -> int:
        def trim(txn: Transaction, life: Life) -> int:
            self._known(txn, life).check_writer(writer)
            return len(self._trim(txn, stream, upto))

        return await self._write(trim)

    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        def delete(txn: Transaction, life: Life) -> None:
            if self._known(txn, life).check_deletion(incarnation):
                self.drop(txn, life, deleted_at)

        await self._write(delete)

    async def lease(self) -> Lease | None:
        return (await self._read(self.life)).lease(self._clock())

    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        def take(txn: Transaction, life: Life) -> Lease:
            held = life.lease(self._clock())
            if held and held.expires_in > 0 and held.epoch != replacing:
                raise SessionLeased(session_id=self.session_id, **attrs.asdict(held, recurse=False))
            life.raise_fence(life.highest + 1)
            return self._grant(txn, life, holder, ttl)

        return await self._write(take)

    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        def renew(txn: Transaction, life: Life) -> Lease:
            if life.fence != lease.epoch:
                raise WriterFenced(
                    session_id=self.session_id, epoch=lease.epoch, current=life.fence, holder=life.holder
                )
            return self._grant(txn, life, lease.holder, ttl)

        return await self._write(renew)

    async def release_lease(self, lease: Lease) -> None:
        def release(txn: Transaction, life: Life) -> None:
            if life.fence == lease.epoch:
                life.holder = None
                self.put_life(txn, life)

        await self._write(release)

    def _commit(self, txn: Transaction, life: Life, commit: Commit) -> Receipt:
        source = Life()
        if commit.fork and not life.head:
            source = Life.of(commit.fork.session_id, txn.get(self._tables.life(commit.fork.session_id)))
        if receipt := self._known(txn, attrs.evolve(life, graph=life.graph or source.graph)).replayed(commit):
            return receipt
        if commit.fork:
            self._check_fork(txn, source, commit.fork.session_id, commit.fork.leaf)
        if not life.head:
            life.graph = source.graph or secrets.token_hex(16)
            name = self.session_id.encode("utf-8", "surrogatepass")
            txn.put(self._tables.sharers(life.graph) + digest(self.session_id), name)
        life.head = next_head(commit, life.head)
        life.raise_fence(life.head.epoch)
        life.committed_at = self._clock()
        self.put_life(txn, life)
        self._put(txn, commit.blobs)
        self.touch(txn, {*commit.components.values(), *(ref for node in commit.nodes for ref in node.refs)})
        self._graph(txn, life).add(commit.nodes, self.session_id, commit.writer.incarnation)
        for used in commit.consumed:
            self._trim(txn, used.stream, used.upto)
        record = record_of(commit, life.head.revision)
        key = self.put_record(txn, record)
        txn.put(self._tables.commits(self.session_id) + digest(commit.commit_id), key)
        return Receipt(self.session_id, commit.commit_id, record.revision, record.digest)

    def _check_fork(self, txn: Transaction, source: Life, session_id: str, leaf: str | None) -> None:
        if not source.head:
            raise SessionMissing(f"there is no session {session_id!r} to fork", session_id=session_id)
        if leaf is not None and leaf not in self._graph(txn, source):
            reason = f"there is no node {leaf!r} to fork at"
            raise CorruptSession(reason, kind="dangling_leaf", node_ids=(leaf,), session_id=session_id)

    def put_record(self, txn: Transaction, record: CommitRecord) -> bytes:
        """Store a record, and give its key."""
        key, found = self._tables.records(self.session_id) + numbered(record.revision), attrs.asdict(record)
        txn.put(key, pack(found, found.pop("record")))
        return key

    def put_entry(self, txn: Transaction, stream: str, entry: StreamEntry) -> int:
        """Append an entry unless its key is known, and give its sequence."""
        lane = digest(stream)
        key = self._tables.keys(self.session_id) + lane + digest(entry.key)
        if known := txn.get(key):
            return number(known)
        last = self._tables.last(self.session_id) + lane
        sequence = number(txn.get(last) or b"") + 1
        txn.put(last, numbered(sequence))
        txn.put(key, numbered(sequence))
        row = pack({"sequence": sequence, "key": entry.key}, entry.body)
        txn.put(self._tables.entries(self.session_id) + lane + numbered(sequence), row)
        return sequence

    def _trim(self, txn: Transaction, stream: str, upto: int) -> list[StreamRow]:
        prefix = self._tables.entries(self.session_id) + digest(stream)
        found = takewhile(lambda entry: number(entry[0]) <= upto, txn.scan(prefix))
        gone = [read_entry(row) for _, row in found]
        for entry in gone:
            txn.delete(prefix + numbered(entry.sequence))
            txn.delete(self._tables.keys(self.session_id) + digest(stream) + digest(entry.key))
        return gone

    def drop(self, txn: Transaction, life: Life, deleted_at: int) -> list[NodeRow]:
        """Leave a tombstone, and give the nodes that went."""
        assert life.head is not None
        tombstone = Deleted(life.head.incarnation, life.head.revision, deleted_at)
        self.put_life(txn, Life(dead=[*life.dead, tombstone], highest=life.highest))
        tables, graph = self._tables, self._graph(txn, life)
        for table in (tables.records, tables.commits, tables.last, tables.entries, tables.keys):
            txn.drop(table(self.session_id))
        txn.delete(tables.sharers(life.graph) + digest(self.session_id))
        gone = graph.needless(graph.sharers())
        for row in gone:
            graph.remove(row)
        return gone

    def _page(self, graph: Graph, after: str | None, limit: int | None) -> list[Node]:
        place = 0
        if after is not None:
            row = graph.row(after)
            if row is None or row.node.hidden:
                reason = f"there is no node {after!r}"
                raise CorruptSession(reason, kind="dangling_parent", node_ids=(after,), session_id=self.session_id)
            place = row.place + 1
        shown = (row.node for row in graph.rows(place) if not row.node.hidden)
        return list(islice(shown, limit))

    def _rows(
        self, txn: Transaction, prefix: bytes, start: bytes, limit: int | None, read: Callable[[bytes], T]
    ) -> list[T]:
        return [read(row) for _, row in islice(txn.scan(prefix, start), limit)]

    def _known(self, txn: Transaction, life: Life) -> Known:
        """Say what is known of the session, for the checks that every store must make."""
        dead = {tombstone.incarnation for tombstone in life.dead}
        records, graph = _Records(txn, self._tables.commits(self.session_id)), self._graph(txn, life)
        known = Known(
            self.session_id, life.head, dead, records, graph, lambda ref: self._has(txn, ref), self._capabilities
        )
        return attrs.evolve(known, fence=life.fence, holder=life.holder)

    def life(self, txn: Transaction) -> Life:
        return Life.of(self.session_id, txn.get(self._tables.life(self.session_id)))

    def _graph(self, txn: Transaction, life: Life | None = None) -> Graph:
        return Graph(txn, self._tables, (life or self.life(txn)).graph)

    def put_life(self, txn: Transaction, life: Life) -> None:
        txn.put(self._tables.life(self.session_id), life.to_row())

    def _grant(self, txn: Transaction, life: Life, holder: Holder, ttl: float) -> Lease:
        life.holder, life.expires_at = holder, self._clock() + ttl
        self.put_life(txn, life)
        return Lease(holder, life.fence, ttl)

    def _has(self, txn: Transaction, ref: str) -> bool:
        return txn.get(self._tables.blob(ref)) is not None

    def _blob(self, txn: Transaction, ref: str) -> bytes:
        row = txn.get(self._tables.blob(ref))
        if row is None:
            raise MissingBlob(session_id=self.session_id, ref=ref)
        return row

    def _put(self, txn: Transaction, blobs: Mapping[str, bytes]) -> None:
        for ref, body in blobs.items():
            if not self._has(txn, ref):
                txn.put(self._tables.blob(ref), body)
        self.touch(txn, blobs)

    def touch(self, txn: Transaction, refs: Iterable[str]) -> None:
        """Note that blobs are wanted, so that no collection takes them that looked before."""
        for ref in refs:
            txn.put(self._tables.age(ref), pack({"ref": ref, "put_at": self._clock(), "by": txn.id}))

    async def _read(self, work: Callable[[Transaction], T]) -> T:
        """Read in one transaction and one hop to a thread."""

        def read() -> T:
            with self._database.reading() as txn:
                return work(txn)

        return await in_thread(read)

    async def _write(self, work: Callable[[Transaction, Life], T], *, dry_run: bool = False) -> T:
        """Look at the session, check and write, in one transaction and one hop to a thread."""
        return await self._write_rows(lambda txn: work(txn, self.life(txn)), dry_run=dry_run)

    async def _write_rows(self, work: Callable[[Transaction], T], *, dry_run: bool = False) -> T:
        def write() -> T:
            with self._database.writing(dry_run=dry_run) as txn:
                return work(txn)

        return await in_thread(write)


@attrs.frozen
class _Records(Mapping[str, CommitRecord]):
    """The commit records of a session by commit id; each is read when it is asked for."""

    txn: Transaction
    prefix: bytes

    def __getitem__(self, commit_id: str) -> CommitRecord:
        key = self.txn.get(self.prefix + digest(commit_id))
        row = self.txn.get(key) if key is not None else None
        if row is None:
            raise KeyError(commit_id)
        return read_record(row)

    def __iter__(self) -> Iterator[str]:
        for index in self.txn.keys(self.prefix):
            key = self.txn.get(index)
            row = self.txn.get(key) if key is not None else None
            if row is not None:
                yield read_record(row).commit_id

    def __len__(self) -> int:
        return len(self.txn.keys(self.prefix))

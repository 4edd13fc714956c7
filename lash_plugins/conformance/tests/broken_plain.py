"""Stores that differ from the passing one by a few lines, each breaking one clause; test_broken.py runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
from lash_conformance import StoreConformance
from lash_hookspecs.errors import HeadRevisionConflict, SessionDeleted
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import (
    Commit,
    CommitRecord,
    Deleted,
    Head,
    Holder,
    Lease,
    Receipt,
    SessionPage,
    SessionQuery,
    StoreCapabilities,
    StreamEntry,
    StreamRow,
    Writer,
)
from lash_hookspecs.store_checks import Known, walk_path

from lash_plugins.conformance.tests.plain_store import (
    LEVELS,
    Graph,
    Lane,
    PlainBackend,
    PlainSession,
    open_plain,
)

#: The name of each test class → the clause that its store breaks; "" for none.
BREAKS: dict[str, str] = {}


def suite(backend: type[PlainBackend], clause: str) -> None:
    """Make a test class for a store."""
    name = f"Test{backend.__name__}"
    BREAKS[name] = clause
    fields = {
        "__module__": __name__,
        "levels": LEVELS,
        "store_url": "plain:",
        "small_limits_url": "plain:?max_value=1000",
        "open_store": staticmethod(partial(open_plain, kind=backend)),
    }
    globals()[name] = type(name, (StoreConformance,), fields)


def breaks(clause: str) -> Callable[[type[PlainSession]], type[PlainSession]]:
    """Say which clause a session's store breaks."""

    def register(session: type[PlainSession]) -> type[PlainSession]:
        suite(type(session.__name__, (PlainBackend,), {"Session": session}), clause)
        return session

    return register


def breaks_backend(clause: str) -> Callable[[type[PlainBackend]], type[PlainBackend]]:
    """Say which clause a backend breaks."""

    def register(backend: type[PlainBackend]) -> type[PlainBackend]:
        suite(backend, clause)
        return backend

    return register


def blind(known: Known, **checks: Any) -> Known:
    """Replace checks of what is known by others."""
    made = type("Blind", (Known,), {name: staticmethod(check) for name, check in checks.items()})
    fields = {field.name: getattr(known, field.name) for field in attrs.fields(Known)}
    blinded: Known = made(**fields)
    return blinded


def nothing(*_: object) -> None:
    """Check nothing."""


suite(type("Honest", (PlainBackend,), {}), "")


@breaks("S1")
class TakesCommitsForOthers(PlainSession):
    def replayed(self, commit: Commit) -> Receipt | None:
        return super().replayed(attrs.evolve(commit, session_id=self.id))


@breaks_backend("S1")
class IgnoresTheLimitOfAListing(PlainBackend):
    async def sessions(self, query: SessionQuery) -> SessionPage:
        return await super().sessions(attrs.evolve(query, limit=1_000))


@breaks_backend("S1")
class ForgetsTheCursorOfAListing(PlainBackend):
    async def sessions(self, query: SessionQuery) -> SessionPage:
        return attrs.evolve(await super().sessions(query), cursor=None)


@breaks_backend("S1")
class LooksAtOneLabelOnly(PlainBackend):
    async def sessions(self, query: SessionQuery) -> SessionPage:
        return await super().sessions(attrs.evolve(query, labels=dict(sorted(query.labels.items())[-1:])))


@breaks_backend("S1")
class CannotBeClosedTwice(PlainBackend):
    closed = False

    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


@breaks("S2")
class LosesLabels(PlainSession):
    def next_head(self, commit: Commit, before: Head | None) -> Head:
        return attrs.evolve(super().next_head(commit, before), labels=dict(commit.labels or {}))


@breaks("S2")
class IsBornWithEachCommit(PlainSession):
    def next_head(self, commit: Commit, before: Head | None) -> Head:
        return attrs.evolve(super().next_head(commit, before), created_at=commit.committed_at)


@breaks("S2")
class KeepsTheLastRecordOnly(PlainSession):
    async def records(self, *, after: int = 0, limit: int | None = None) -> Sequence[CommitRecord]:
        return list(await super().records(after=after, limit=None))[: limit and limit + 1]


@breaks("S2")
class RecordsNoOpenTurn(PlainSession):
    def record(self, commit: Commit, revision: int) -> CommitRecord:
        return attrs.evolve(super().record(commit, revision), open_turn=None)


@breaks("S3")
class TakesStaleCommits(PlainSession):
    def known(self, graph: Graph | None = None) -> Known:
        return blind(super().known(graph), _check_revision=nothing)

    def next_head(self, commit: Commit, before: Head | None) -> Head:
        return attrs.evolve(super().next_head(commit, before), incarnation=commit.writer.incarnation)


@breaks("S3")
class KeepsTheNodesOfRefusedCommits(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        try:
            return await super().commit(commit)
        except HeadRevisionConflict:
            if self.life and self.life.head.incarnation == commit.writer.incarnation:
                self.add_nodes(commit, self.life.graph)
            raise


@breaks("S3")
class LooksAndThenLeaps(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        known = self.replayed(commit)
        await asyncio.sleep(0)
        return known or self.write(commit)


@breaks("S3")
class TellsAWrongRevision(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        try:
            return await super().commit(commit)
        except HeadRevisionConflict as error:
            error.actual = 0
            raise


@breaks("S4")
class KnowsNoReplay(PlainSession):
    def known(self, graph: Graph | None = None) -> Known:
        return attrs.evolve(super().known(graph), records={})


@breaks("S4")
class TakesAnyContentForAReplay(PlainSession):
    def replayed(self, commit: Commit) -> Receipt | None:
        record = self.life.records.get(commit.commit_id) if self.life else None
        if record and record.revision and commit.session_id == self.id and commit.writer.incarnation in self.alive:
            return Receipt(self.id, commit.commit_id, record.revision, record.digest)
        return super().replayed(commit)

    @property
    def alive(self) -> set[str]:
        return {self.life.head.incarnation} if self.life else set()


@breaks("S4")
class CountsCommitIdsAcrossSessions(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        for life in self.backend.lives.values():
            if commit.commit_id in life.records and life is not self.life and commit.fork is None:
                record = life.records[commit.commit_id]
                return Receipt(life.head.session_id, commit.commit_id, record.revision, record.digest)
        return await super().commit(commit)


@breaks("S4")
class AnswersAReplayWithTheLatestRevision(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        receipt = await super().commit(commit)
        return attrs.evolve(receipt, revision=self.life.head.revision if self.life else 0)


@breaks("S4")
class IsHalfThereWhenCancelled(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        async with self.backend.__dict__.setdefault("lock", asyncio.Lock()):
            if known := self.replayed(commit):
                return known
            if self.life:
                self.add_nodes(commit, self.life.graph)
            await asyncio.sleep(0)
            return self.write(commit)


@breaks("S4")
class KeepsItsLockWhenCancelled(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        lock: asyncio.Lock = self.backend.__dict__.setdefault("lock", asyncio.Lock())
        await lock.acquire()
        try:
            receipt = self.replayed(commit) or self.write(commit)
        except Exception:
            lock.release()
            raise
        await asyncio.sleep(0)
        lock.release()
        return receipt


@breaks("S5")
class LetsOldEpochsCommit(PlainSession):
    def replayed(self, commit: Commit) -> Receipt | None:
        return super().replayed(attrs.evolve(commit, writer=attrs.evolve(commit.writer, epoch=1_000)))


@breaks("S5")
class GivesTheSameEpochAgain(PlainSession):
    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        lease = await super().take_lease(holder, ttl, replacing=replacing)
        self.name.floor -= 1
        return lease


@breaks("S5")
class RenewsALostLease(PlainSession):
    async def renew_lease(self, lease: Lease, ttl: float) -> Lease:
        return self.grant(lease.holder, lease.epoch, ttl)


@breaks("S5")
class ReleasesTheLeaseOfOthers(PlainSession):
    async def release_lease(self, lease: Lease) -> None:
        self.name.lease = None


@breaks("S5")
class BeginsEpochsAnew(PlainSession):
    def bury(self, tombstone: Deleted) -> None:
        super().bury(tombstone)
        self.name.floor = 0


@breaks("S5")
class LeasesForEver(PlainSession):
    def grant(self, holder: Holder, epoch: int, ttl: float) -> Lease:
        lease = super().grant(holder, epoch, ttl)
        self.name.expires_at = float("inf")
        return lease


@breaks("S5")
class DoesNotSayWhoTookOver(PlainSession):
    def known(self, graph: Graph | None = None) -> Known:
        return attrs.evolve(super().known(graph), holder=None)


@breaks("S5")
class TakesTheLeaseFromALivingHolder(PlainSession):
    async def take_lease(self, holder: Holder, ttl: float, *, replacing: int | None = None) -> Lease:
        held = await self.lease()
        return await super().take_lease(holder, ttl, replacing=held.epoch if held else None)


@breaks_backend("S5")
class ListsNoLeases(PlainBackend):
    async def sessions(self, query: SessionQuery) -> SessionPage:
        page = await super().sessions(query)
        return attrs.evolve(page, rows=tuple(attrs.evolve(row, lease=None) for row in page.rows))


@breaks("S6")
class TakesRefsToNothing(PlainSession):
    def known(self, graph: Graph | None = None) -> Known:
        return attrs.evolve(super().known(graph), has_blob=lambda ref: True)


@breaks("S6")
class LeavesMissingBlobsOut(PlainSession):
    async def get_blobs(self, refs: Sequence[str]) -> Mapping[str, bytes]:
        return {ref: self.backend.blobs[ref] for ref in refs if ref in self.backend.blobs}


@breaks("S6")
class StripsBlobs(PlainSession):
    def add_blobs(self, blobs: Mapping[str, bytes]) -> None:
        super().add_blobs({ref: body.rstrip(b"\xff") for ref, body in blobs.items()})


@breaks("S6")
class LosesTheRefsOfNodes(PlainSession):
    def add_nodes(self, commit: Commit, graph: Graph) -> None:
        super().add_nodes(
            attrs.evolve(commit, nodes=tuple(attrs.evolve(each, refs=()) for each in commit.nodes)), graph
        )


@breaks("S6")
class StoresABlobForEachSession(PlainSession):
    async def put_blobs(self, bodies: Sequence[bytes]) -> Sequence[str]:
        self.backend.blobs.update({f"{self.id}:{number}": body for number, body in enumerate(bodies[1:])})
        return await super().put_blobs(bodies)


@breaks("S7")
class CountsTheLastNodesWrongly(PlainSession):
    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        return await super().path(leaf, after=after, last=last and last + 1)


@breaks("S7")
class ReadsAPathFromItsBeginning(PlainSession):
    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        await super().path(leaf, after=after, last=last)
        return walk_path(self.id, self.all_nodes, leaf, last=last if after is None else None)


@breaks("S7")
class TakesTheOrderOfStoringForAPath(PlainSession):
    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        path = await super().path(leaf, after=after, last=last)
        life = self.life
        if (
            after is None
            and last is None
            and life
            and all(owner == life.head.incarnation for owner in life.graph.owners.values())
        ):
            known = list(self.all_nodes.values())
            return known[: known.index(self.all_nodes[leaf]) + 1]
        return path


@breaks("S7")
class GivesNodesInTheOrderOfStoring(PlainSession):
    async def nodes(self, node_ids: Sequence[str]) -> Sequence[Node]:
        return [node for node in self.all_nodes.values() if node.node_id in node_ids and not node.hidden]


@breaks("S7")
class ShowsHiddenNodes(PlainSession):
    async def graph(self, *, after: str | None = None, limit: int | None = None) -> Sequence[Node]:
        nodes = list(self.all_nodes.values())
        start = [node.node_id for node in nodes].index(after) + 1 if after else 0
        return nodes[start:][:limit]


@breaks("S8")
class ForgetsItsDead(PlainSession):
    def known(self, graph: Graph | None = None) -> Known:
        return attrs.evolve(super().known(graph), dead=())


@breaks("S8")
class KeepsTheNewestTombstoneOnly(PlainSession):
    def bury(self, tombstone: Deleted) -> None:
        super().bury(tombstone)
        del self.name.dead[:-1]


@breaks("S8")
class OwnsNodesByName(PlainSession):
    """Who has the name now is taken for the owner of what a dead incarnation of it stored."""

    def forget(self, graph: Graph) -> None:
        for name, life in self.backend.lives.items():
            dead = {tombstone.incarnation for tombstone in self.backend.names[name].dead}
            for node_id, owner in graph.owners.items():
                if life.graph is graph and owner in dead:
                    graph.owners[node_id] = life.head.incarnation
        super().forget(graph)


@breaks("S8")
class NeverFreesAName(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        if self.life is None and self.name.dead and commit.writer.epoch == 0:
            raise SessionDeleted(f"session {self.id!r} was deleted", session_id=self.id)
        return await super().commit(commit)


@breaks("S8")
class DeletesWhoeverIsThere(PlainSession):
    async def delete(self, *, incarnation: str, deleted_at: int) -> None:
        if self.life:
            self.bury(Deleted(self.life.head.incarnation, self.life.head.revision, deleted_at))


@breaks("S8")
class TakesTheNodesOfForksAlong(PlainSession):
    def forget(self, graph: Graph) -> None:
        graph.nodes.clear()
        graph.owners.clear()


@breaks("S8")
class LeavesNodesBehind(PlainSession):
    def forget(self, graph: Graph) -> None:
        """Leave them to whoever shares them."""


@breaks_backend("S11")
class CutsNamesAtANul(PlainBackend):
    def session(self, session_id: str) -> PlainSession:
        return super().session(session_id.partition("\0")[0])


@breaks("S11")
class TakesStreamBodiesOfAnySize(PlainSession):
    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        self.known().check_writer(writer)
        lane = self.lanes.setdefault(stream, Lane())
        return [self.add(lane, entry) for entry in entries]


@breaks("S11")
class CutsLargeValues(PlainSession):
    def add_nodes(self, commit: Commit, graph: Graph) -> None:
        cut = tuple(attrs.evolve(each, payload=each.payload[:1_000_000]) for each in commit.nodes)
        super().add_nodes(attrs.evolve(commit, nodes=cut), graph)


@breaks("S11")
class TakesAnyNumberOfNodes(PlainSession):
    def known(self, graph: Graph | None = None) -> Known:
        known = super().known(graph)
        return attrs.evolve(known, capabilities=attrs.evolve(known.capabilities, max_nodes_per_commit=None))


@breaks("S12")
class ForksNothingWithoutALeaf(PlainSession):
    def forked(self, commit: Commit) -> Graph:
        return super().forked(attrs.evolve(commit, fork=commit.fork if commit.leaf else None))


@breaks("S12")
class ForksWhatIsNotThere(PlainSession):
    def forked(self, commit: Commit) -> Graph:
        there = commit.fork is None or commit.fork.session_id in self.backend.lives
        return super().forked(commit if there else attrs.evolve(commit, fork=None))


@breaks("S12")
class ForksAtAnyLeaf(PlainSession):
    def forked(self, commit: Commit) -> Graph:
        return super().forked(attrs.evolve(commit, fork=commit.fork and attrs.evolve(commit.fork, leaf=None)))


@breaks("S13")
class TellsThatTheDatabaseIsLocked(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        busy: dict[str, int] = self.backend.__dict__.setdefault("busy", {})
        if busy and self.id not in busy:
            raise RuntimeError("database is locked")
        busy[self.id] = 1
        try:
            receipt = self.replayed(commit) or self.write(commit)
            await asyncio.sleep(0)
            return receipt
        finally:
            busy.pop(self.id, None)


@breaks("S14")
class GivesAKeyASecondSequence(PlainSession):
    def add(self, lane: Lane, entry: StreamEntry) -> int:
        lane.last += 1
        lane.rows[entry.key] = StreamRow(lane.last, entry.key, entry.body)
        return lane.last


@breaks("S14")
class UsesSequencesTwice(PlainSession):
    def drop(self, stream: str, upto: int) -> int:
        gone = super().drop(stream, upto)
        if stream in self.lanes and not self.lanes[stream].rows:
            self.lanes[stream].last = 0
        return gone


@breaks("S14")
class UsesEntriesUpForARefusedCommit(PlainSession):
    async def commit(self, commit: Commit) -> Receipt:
        for used in commit.consumed:
            self.drop(used.stream, used.upto)
        return await super().commit(commit)


@breaks("S14")
class MovesTheRevisionWithAStream(PlainSession):
    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        sequences = await super().append(stream, entries, writer=writer)
        if self.life and stream == "tasks":
            self.life.head = attrs.evolve(self.life.head, revision=self.life.head.revision + 1)
        return sequences


@breaks("S14")
class LetsOldEpochsAppend(PlainSession):
    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        return await super().append(stream, entries, writer=attrs.evolve(writer, epoch=None))


@breaks_backend("S15")
class DeclaresMoreThanItIsClaimed(PlainBackend):
    @property
    def capabilities(self) -> StoreCapabilities:
        return attrs.evolve(super().capabilities, durability="quorum")


@breaks_backend("S15")
class DeclaresALevelThatThereIsNot(PlainBackend):
    @property
    def capabilities(self) -> StoreCapabilities:
        return attrs.evolve(super().capabilities, levels=frozenset({*LEVELS, "fast"}))


@breaks("G2")
class RepairsPayloads(PlainSession):
    def add_nodes(self, commit: Commit, graph: Graph) -> None:
        clean = tuple(
            attrs.evolve(each, payload=each.payload.decode("utf-8", "replace").encode())
            if len(each.payload) < 9
            else each
            for each in commit.nodes
        )
        super().add_nodes(attrs.evolve(commit, nodes=clean), graph)


@breaks("G3")
class HealsALeaf(PlainSession):
    def next_head(self, commit: Commit, before: Head | None) -> Head:
        head = super().next_head(commit, before)
        known = {*self.all_nodes, *(node.node_id for node in commit.nodes)}
        is_gone = commit.fork is None and head.leaf is not None and head.leaf not in known
        return attrs.evolve(head, leaf=commit.nodes[-1].node_id if is_gone and commit.nodes else head.leaf)


@breaks("G4")
class EndsAPathAtAGap(PlainSession):
    async def path(self, leaf: str, *, after: str | None = None, last: int | None = None) -> Sequence[Node]:
        known = self.all_nodes
        whole = {
            key: node if node.parent_node_id in known else attrs.evolve(node, parent_node_id=None)
            for key, node in known.items()
        }
        found = walk_path(self.id, whole, leaf, after=after, last=last)
        return [known[node.node_id] for node in found]


@breaks("G5")
class StoresANodeTwice(PlainSession):
    def known(self, graph: Graph | None = None) -> Known:
        return attrs.evolve(super().known(graph), nodes=())


@breaks_backend("L14")
class ListsOpenTurnsWithTheOthers(PlainBackend):
    async def sessions(self, query: SessionQuery) -> SessionPage:
        return await super().sessions(
            attrs.evolve(query, open_turn=None if query.open_turn is False else query.open_turn)
        )

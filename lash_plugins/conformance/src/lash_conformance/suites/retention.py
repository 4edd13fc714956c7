"""Level ``retention``: hide, vacuum, gc, redact, prune, erase, expire (S8, S4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from lash_conformance.build import Author, chain, holder, ident, node
from lash_conformance.clauses import Clauses, needs
from lash_conformance.looking import everything
from lash_conformance.place import Place
from lash_conformance.suites.forks import begin_again
from lash_hookspecs.errors import (
    HeadRevisionConflict,
    MissingBlob,
    NodeInUse,
    NodeMissing,
    SessionDeleted,
    SessionMissing,
)
from lash_hookspecs.protocols.retention import RetainedBackend, RetainedSession
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.retention import AUDIT_STREAM, Keep, Redaction, Retention
from lash_hookspecs.records.store import Deleted, Head, SessionQuery, StreamEntry, Writer, blob_ref

__all__ = ["RetentionClauses"]

Sleep = Callable[[float], Awaitable[None]]

SECRET = b"the number is 4711-0815"
MARKER = b'{"redacted":true}'


def kept(author: Author) -> Any:
    """Give a session's store as one of this level."""
    assert isinstance(author.store, RetainedSession)
    return author.store


def upkeep(author: Author) -> Any:
    """Give a backend as one of this level."""
    assert isinstance(author.backend, RetainedBackend)
    return author.backend


def scrub(body: bytes) -> bytes | None:
    return body.replace(SECRET, b"***") if SECRET in body else None


def redaction(node_id: str, **payloads: bytes) -> Redaction:
    audit = StreamEntry(f"redact {node_id}", b'{"who":"ann"}')
    return Redaction(node_id=node_id, payloads={node_id: MARKER, **payloads}, scrub=scrub, audit=audit)


async def branched(author: Author) -> tuple[list[str], list[str]]:
    """Write a trunk of three and a side branch of two; the leaf is the trunk's."""
    trunk = [each.node_id for each in await author.turn(3)]
    side = chain(2, trunk[0])
    await author.commit(side, leaf=trunk[2])
    return trunk, [each.node_id for each in side]


async def put_blob(author: Author, body: bytes) -> str:
    (ref,) = await author.store.put_blobs([body])
    return ref


async def full(author: Author) -> None:
    _, side = await branched(author)
    await author.turn(1, components={"mode": await put_blob(author, b"old")}, record=b'{"e":"%s"}' % SECRET)
    secret = node(parent=author.leaf, payload=b'{"text":"%s"}' % SECRET, refs=(await put_blob(author, SECRET),))
    await author.commit([secret], ttl=1.0)
    await put_blob(author, b"loose")
    await author.store.append("log", [StreamEntry("k", b"v")], writer=author.writer)
    await author.fork("fork", side[0])


async def contents(author: Author) -> list[Any]:
    """Read what a dry run must leave as it was."""
    stats, page = await author.backend.stats(), await author.backend.sessions(SessionQuery())
    fork = Author(author.backend, "fork")
    streams = ("log", AUDIT_STREAM)
    return [attrs.evolve(stats, bytes_on_disk=None), page, await everything(author, *streams), await everything(fork)]


class RetentionClauses(Clauses, level="retention"):
    """Level ``retention``: hide, vacuum, gc, redact, prune, erase, expire (S8, S4)."""

    async def let_pass(self, place: Place, backend: StoreBackend, seconds: float) -> None:
        """Let time pass for the store; override it where the store goes by a clock of its own."""
        assert place.clock is not None
        place.clock.now += seconds

    @pytest.fixture
    def sleep_for(self, place: Place, backend: StoreBackend) -> Sleep:
        """Let time pass."""
        return lambda seconds: self.let_pass(place, backend, seconds)

    async def test_S8_retention__a_store_of_this_level_has_its_methods(self, author: Author) -> None:
        assert isinstance(author.store, RetainedSession)
        assert isinstance(author.backend, RetainedBackend)

    async def test_S8_retention__hiding_a_node_hides_all_below_it(self, author: Author) -> None:
        trunk, side = await branched(author)
        report = await kept(author).hide([side[0]])
        assert report.node_ids == tuple(side)
        assert report.bytes == sum(len(each.payload) for each in author.written if each.node_id in side)
        assert [each.node_id for each in await author.store.graph()] == trunk
        assert list(await author.store.nodes(side)) == []
        assert [each.node_id for each in await author.store.path(trunk[2])] == trunk

    async def test_S8_retention__hiding_again_changes_nothing(self, author: Author) -> None:
        _, side = await branched(author)
        await kept(author).hide([side[1]])
        assert (await kept(author).hide([side[1]])).node_ids == ()
        assert (await kept(author).hide([side[0]])).node_ids == (side[0],)

    async def test_S8_retention__a_node_on_an_active_path_is_not_hidden(self, author: Author) -> None:
        trunk, side = await branched(author)
        with pytest.raises(NodeInUse) as caught:
            await kept(author).hide([side[1], trunk[1]])
        assert caught.value.node_id in trunk
        assert len(await author.store.graph()) == 5

    @needs("sharing")
    async def test_S8_retention__a_node_that_a_fork_stands_on_is_not_hidden(self, author: Author) -> None:
        _, side = await branched(author)
        fork = await author.fork("fork", side[1])
        with pytest.raises(NodeInUse) as caught:
            await kept(author).hide([side[0]])
        assert caught.value.used_by == "fork"
        await fork.store.delete(incarnation=fork.writer.incarnation, deleted_at=1)
        assert (await kept(author).hide([side[0]])).node_ids == tuple(side)

    async def test_S8_retention__hiding_what_is_not_there_is_an_error_and_hides_nothing(self, author: Author) -> None:
        _, side = await branched(author)
        with pytest.raises(NodeMissing):
            await kept(author).hide([side[0], "none"])
        assert len(await author.store.graph()) == 5
        with pytest.raises(SessionMissing):
            await kept(Author(author.backend, "nobody")).hide([side[0]])

    async def test_S8_retention__vacuum_removes_hidden_nodes_and_nothing_else(self, author: Author) -> None:
        trunk, side = await branched(author)
        hidden = await kept(author).hide([side[0]])
        report = await upkeep(author).vacuum(grace=0)
        assert (report.nodes, report.bytes, report.remaining, report.done) == (2, hidden.bytes, 0, True)
        assert (await author.backend.stats()).nodes == 3
        assert [each.node_id for each in await author.store.path(trunk[2])] == trunk
        await author.turn(2)
        assert len(await author.store.path(author.leaf or "")) == 5

    @needs("time")
    async def test_S8_retention__vacuum_leaves_what_was_hidden_a_moment_ago(
        self, author: Author, sleep_for: Sleep
    ) -> None:
        _, side = await branched(author)
        await kept(author).hide([side[0]])
        report = await upkeep(author).vacuum(grace=60)
        assert (report.nodes, report.young) == (0, 2)
        await sleep_for(61)
        assert (await upkeep(author).vacuum(grace=60)).nodes == 2

    async def test_S8_retention__vacuum_shows_again_what_a_session_moved_to_meanwhile(self, author: Author) -> None:
        _, side = await branched(author)
        await kept(author).hide([side[0]])
        await author.commit(leaf=side[0])  # it had read the node before it was hidden
        report = await upkeep(author).vacuum(grace=0)
        assert (report.nodes, report.shown) == (1, 1)
        assert [each.node_id for each in await author.store.path(side[0])][-1] == side[0]
        assert [each.node_id for each in await author.store.nodes(side)] == [side[0]]

    async def test_S8_retention__vacuum_removes_no_parent_of_a_node_that_came_meanwhile(self, author: Author) -> None:
        _, side = await branched(author)
        await kept(author).hide([side[0]])
        (child,) = chain(1, side[1])
        await author.commit([child])
        assert (await upkeep(author).vacuum(grace=0)).nodes == 0
        assert [each.node_id for each in await author.store.path(child.node_id)][1:] == [*side, child.node_id]

    async def test_S8_retention__vacuum_keeps_the_ancestors_of_a_newcomer_on_which_nobody_stands(
        self, author: Author
    ) -> None:
        trunk, side = await branched(author)
        await kept(author).hide([side[0]])
        (child,) = chain(1, side[1])
        await author.commit([child], leaf=trunk[2])  # it had read the branch before it was hidden
        assert (await upkeep(author).vacuum(grace=0)).nodes == 0
        assert [each.node_id for each in await author.store.path(child.node_id)][1:] == [*side, child.node_id]

    async def test_S8_retention__gc_removes_blobs_that_nothing_reaches(self, author: Author) -> None:
        used, component = b"used by a node", b"used by a component"
        loose = await put_blob(author, b"used by nobody")
        refs = [await put_blob(author, body) for body in (used, component)]
        await author.commit([node(refs=(refs[0],))], components={"mode": refs[1]})
        report = await upkeep(author).gc(grace=0)
        assert (report.blobs, report.young, report.done) == (1, 0, True)
        assert report.bytes == len(b"used by nobody")
        with pytest.raises(MissingBlob):
            await author.store.get_blobs([loose])
        assert await author.store.get_blobs(refs) == dict(zip(refs, (used, component), strict=True))

    async def test_S8_retention__gc_keeps_what_an_older_commit_record_reaches(self, author: Author) -> None:
        ref = await put_blob(author, b"an older tool state")
        await author.turn(1, components={"tools": ref})
        await author.turn(1)
        assert (await upkeep(author).gc(grace=0)).blobs == 0
        await kept(author).prune(Retention(records=Keep(last=1)))
        assert (await upkeep(author).gc(grace=0)).blobs == 1

    @pytest.mark.parametrize("where", ["state", "stream", "component"])
    async def test_S8_retention__gc_keeps_what_is_named_in_a_document(self, author: Author, where: str) -> None:
        ref = await put_blob(author, b"a spilled output that no node refers to yet")
        body = b'{"spilled":"%s"}' % ref.encode()
        fields: dict[str, Any] = {"state": body} if where == "state" else {}
        if where == "component":
            fields = {"components": {"plugin/x": blob_ref(body)}, "blobs": {blob_ref(body): body}}
        await author.turn(1, **fields)
        if where == "stream":
            await author.store.append("journal", [StreamEntry("k", body)], writer=author.writer)
        assert (await upkeep(author).gc(grace=0)).blobs == 0
        assert await author.store.get_blobs([ref])

    @needs("time")
    async def test_S8_retention__gc_leaves_blobs_that_were_just_put(self, author: Author, sleep_for: Sleep) -> None:
        await author.turn(1)
        await put_blob(author, b"of a commit in flight")
        tried = await upkeep(author).gc(grace=3600, dry_run=True)
        report = await upkeep(author).gc(grace=3600)
        assert (report.blobs, report.young) == (tried.blobs, tried.young) == (0, 1)
        await sleep_for(3601)
        assert (await upkeep(author).gc(grace=3600)).blobs == 1

    @needs("time")
    async def test_S8_retention__putting_an_old_blob_again_makes_it_young(
        self, author: Author, sleep_for: Sleep
    ) -> None:
        await author.turn(1)
        body = b"an attachment that is sent twice"
        await put_blob(author, body)
        await sleep_for(10_000)
        ref = await put_blob(author, body)
        assert (await upkeep(author).gc(grace=3600)).blobs == 0
        await author.commit([node(parent=author.leaf, refs=(ref,))])
        assert await author.store.get_blobs([ref])

    @needs("time")
    async def test_S8_retention__referring_to_an_old_blob_makes_it_young(
        self, author: Author, sleep_for: Sleep
    ) -> None:
        """A commit notes it, so that a collection which looked before it does not remove what it refers to."""
        await author.turn(1)
        ref = await put_blob(author, b"put long ago")
        await sleep_for(10_000)
        await author.commit([node(parent=author.leaf, refs=(ref,))])
        await kept(author).redact(redaction(author.leaf or ""), dry_run=True)
        other = Author(author.backend, "other", Writer("i2", 0))
        await other.commit([node(refs=(ref,))])
        await other.store.delete(incarnation="i2", deleted_at=1)
        await author.store.delete(incarnation=author.writer.incarnation, deleted_at=1)
        assert (await upkeep(author).gc(grace=3600)).young == 1

    async def test_S8_retention__redaction_replaces_a_payload_and_leaves_the_path(self, author: Author) -> None:
        before, secret, after = [node(), node(payload=b'{"text":"%s"}' % SECRET), node()]
        secret = attrs.evolve(secret, parent_node_id=before.node_id)
        after = attrs.evolve(after, parent_node_id=secret.node_id)
        await author.commit([before, secret, after])
        report = await kept(author).redact(redaction(secret.node_id))
        assert (report.node_id, report.copies, report.sessions) == (secret.node_id, (), ("chat",))
        assert report.bytes == len(secret.payload) - len(MARKER)
        path = await author.store.path(after.node_id)
        assert path == [before, attrs.evolve(secret, payload=MARKER), after]
        (entry,) = await author.store.read(AUDIT_STREAM)
        assert (entry.key, entry.body) == (f"redact {secret.node_id}", b'{"who":"ann"}')
        head = await author.store.head()
        assert isinstance(head, Head)
        assert head.revision == 1

    @needs("sharing")
    async def test_S8_retention__redaction_reaches_every_document_of_every_sharer(self, author: Author) -> None:
        said = b'{"text":"%s"}' % SECRET
        (first,) = nodes = [node(payload=said)]
        components = {"components": {"mode": blob_ref(said)}, "blobs": {blob_ref(said): said}}
        await author.commit(nodes, record=b'{"events":["%s"]}' % SECRET, state=said, **components)
        fork = await author.fork("fork", first.node_id)
        copy = node(parent=first.node_id, payload=b'{"quote":"%s"}' % SECRET)
        await fork.commit([copy], state=b'{"s":"%s"}' % SECRET)
        await fork.store.append("inbox", [StreamEntry("k", b'["%s"]' % SECRET)], writer=fork.writer)
        report = await kept(author).redact(redaction(first.node_id))
        assert report.copies == (copy.node_id,)
        assert (report.records, report.entries, report.heads, report.components) == (1, 1, 2, 1)
        assert report.sessions == ("chat", "fork")
        for session in (author, fork):
            head = await session.store.head()
            assert isinstance(head, Head)
            bodies = [head.state, *(each.payload for each in await session.store.graph())]
            bodies += [record.record for record in await session.store.records()]
            bodies += [row.body for row in await session.store.read("inbox")]
            bodies += (await session.store.get_blobs(list(head.components.values()))).values()
            assert not any(SECRET in body for body in bodies)
        with pytest.raises(MissingBlob):
            await author.store.get_blobs([blob_ref(said)])

    async def test_S8_retention__redaction_drops_the_blobs_that_only_it_held(self, author: Author) -> None:
        own, shared = [await put_blob(author, body) for body in (b"only here", b"elsewhere too")]
        secret, other = chain(2)
        await author.commit([attrs.evolve(secret, refs=(own, shared)), attrs.evolve(other, refs=(shared,))])
        report = await kept(author).redact(redaction(secret.node_id))
        assert (report.blobs, report.shared_blobs) == (1, 1)
        assert (await author.store.nodes([secret.node_id]))[0].refs == ()
        assert await author.store.get_blobs([shared])
        with pytest.raises(MissingBlob):
            await author.store.get_blobs([own])

    async def test_S8_retention__after_a_redaction_a_replay_still_gives_the_receipt(self, author: Author) -> None:
        (secret,) = chain(1)
        first = author.next([secret], record=b'{"e":"%s"}' % SECRET)
        receipt = await author.store.commit(first)
        await kept(author).redact(redaction(secret.node_id))
        assert await author.store.commit(first) == receipt

    async def test_S8_retention__redacting_what_is_not_there_is_an_error_and_leaves_no_audit(
        self, author: Author
    ) -> None:
        await author.turn(1)
        with pytest.raises(NodeMissing):
            await kept(author).redact(redaction("none"))
        assert list(await author.store.read(AUDIT_STREAM)) == []

    async def test_S8_retention__the_newest_record_and_those_of_an_open_turn_stay(self, author: Author) -> None:
        await author.turn(1)
        await author.turn(1, open_turn="t")
        await author.turn(1, open_turn="t")
        assert (await kept(author).prune(Retention(records=Keep(last=0)))).records == 1
        await author.turn(1)
        assert (await kept(author).prune(Retention(records=Keep(last=0)))).records == 2
        assert [record.revision for record in await author.store.records()] == [4]

    async def test_S8_retention__what_is_newer_than_an_age_stays(self, author: Author) -> None:
        for committed_at in (10, 20, 30):
            await author.turn(1, committed_at=committed_at)
        assert (await kept(author).prune(Retention(records=Keep(since=20)))).records == 1
        assert (await kept(author).prune(Retention(records=Keep(last=2, since=31)))).records == 0

    async def test_S8_retention__pruning_documents_keeps_the_records(self, author: Author) -> None:
        ref = await put_blob(author, b"a component")
        first = author.next(chain(1), components={"mode": ref})
        receipt = await author.store.commit(first)
        author.revision, author.leaf = 1, first.leaf
        await author.turn(1)
        report = await kept(author).prune(Retention(documents=Keep(last=1)))
        assert (report.records, report.documents) == (0, 1)
        records = await author.store.records()
        assert [record.record for record in records] == [b"", b'{"turn":1}']
        assert dict(records[0].components) == {"mode": ref}
        assert await author.store.commit(first) == receipt
        assert (await kept(author).prune(Retention(documents=Keep(last=1)))).documents == 0

    async def test_S8_retention__pruning_a_stream_keeps_its_newest_entries(self, author: Author) -> None:
        await author.turn(1)
        entries = [StreamEntry(f"k{number}", b"%d" % number) for number in range(5)]
        await author.store.append("log", entries, writer=author.writer)
        report = await kept(author).prune(Retention(streams={"log": 2, "none": 1}))
        assert (report.entries, report.bytes) == (3, 3)
        assert [row.sequence for row in await author.store.read("log")] == [4, 5]
        assert list(await author.store.append("log", [StreamEntry("new", b"x")], writer=author.writer)) == [6]

    @needs("sharing")
    async def test_S8_retention__erasing_tells_what_forks_keep(self, author: Author) -> None:
        trunk = await author.turn(3)
        fork = await author.fork("fork", trunk[1].node_id)
        await fork.turn(2)
        report = await kept(author).erase(incarnation=author.writer.incarnation, deleted_at=5)
        assert report.session_ids == ("chat",)
        assert (report.nodes, report.shared_nodes, report.shared_with) == (1, 2, ("fork",))
        assert report.bytes == len(trunk[2].payload) + len(b'{"turn":1}')
        assert await author.store.head() == Deleted(author.writer.incarnation, 1, 5)
        assert len(await fork.store.path(fork.leaf or "")) == 4

    @needs("sharing")
    async def test_S8_retention__with_forks_takes_those_that_stand_on_its_nodes_and_theirs(
        self, author: Author
    ) -> None:
        trunk = await author.turn(2)
        fork = await author.fork("fork", trunk[0].node_id)
        (own,) = await fork.turn(1)
        grandchild = await fork.fork("grandchild", own.node_id)
        beside = await author.fork("beside", None)
        await beside.turn(1)
        report = await kept(author).erase(incarnation=author.writer.incarnation, deleted_at=5, with_forks=True)
        assert report.session_ids[0] == "chat"
        assert sorted(report.session_ids[1:]) == ["fork", "grandchild"]
        assert (report.nodes, report.shared_nodes, report.shared_with) == (3, 0, ())
        page = await author.backend.sessions(SessionQuery())
        assert [row.head.session_id for row in page.rows] == ["beside"]
        assert isinstance(await grandchild.store.head(), Deleted)
        with pytest.raises(SessionDeleted):
            await fork.turn(1)

    @needs("sharing")
    @pytest.mark.parametrize("begun", ["as a fork", "anew"])
    async def test_S8_retention__with_forks_leaves_those_that_stand_on_nodes_of_a_dead_incarnation(
        self, author: Author, begun: str
    ) -> None:
        """Whoever has the name now stored none of them: who goes by names alone takes the fork along."""
        trunk = await author.turn(2)
        fork = await author.fork("fork", trunk[0].node_id)
        (own,) = await fork.turn(1)
        await author.store.delete(incarnation=author.writer.incarnation, deleted_at=5)
        again = await begin_again(fork, begun)
        await again.turn(1)
        report = await kept(again).erase(incarnation=again.writer.incarnation, deleted_at=6, with_forks=True)
        assert (report.session_ids, report.nodes) == (("chat",), 1)
        assert (report.shared_nodes, report.shared_with) == (0, ())
        assert list(await fork.store.path(own.node_id)) == [trunk[0], own]

    @needs("sharing")
    async def test_S8_retention__deleting_a_fork_with_its_forks_leaves_the_session_it_came_from(
        self, author: Author
    ) -> None:
        trunk = await author.turn(2)
        fork = await author.fork("fork", trunk[0].node_id)
        await fork.turn(1)
        report = await kept(fork).erase(incarnation=fork.writer.incarnation, deleted_at=5, with_forks=True)
        assert report.session_ids == ("fork",)
        assert list(await author.store.path(author.leaf or "")) == trunk

    async def test_S8_retention__erasing_a_dead_incarnation_changes_nothing(self, author: Author) -> None:
        await author.turn(1)
        await author.store.delete(incarnation=author.writer.incarnation, deleted_at=1)
        report = await kept(author).erase(incarnation=author.writer.incarnation, deleted_at=2)
        assert report.session_ids == ()
        with pytest.raises(SessionMissing):
            await kept(author).erase(incarnation="never", deleted_at=2)

    async def test_S8_retention__a_session_expires_whole_after_its_last_commit(self, author: Author) -> None:
        await author.turn(2, ttl=60.0)
        lasting = Author(author.backend, "lasting", Writer("i2", 0))
        await lasting.turn(1)
        head = await author.store.head()
        assert isinstance(head, Head)
        assert head.ttl == 60.0
        at = 4_000_000_000_000_000
        by_the_writer = 100_000_000  # its commit says two seconds after 1970; the store's own clock counts
        assert head.updated_at + 60_000_000 < by_the_writer
        assert (await upkeep(author).expire(now=by_the_writer)).session_ids == ()
        report = await upkeep(author).expire(now=at)
        assert (report.session_ids, report.nodes, report.done) == (("chat",), 2, True)
        assert await author.store.head() == Deleted(author.writer.incarnation, 1, at)
        assert isinstance(await lasting.store.head(), Head)

    async def test_S8_retention__a_ttl_stays_until_a_commit_says_otherwise(self, author: Author) -> None:
        await author.turn(1, ttl=60.0)
        await author.turn(1)
        head = await author.store.head()
        assert isinstance(head, Head)
        assert head.ttl == 60.0
        page = await author.backend.sessions(SessionQuery())
        assert page.rows[0].head.ttl == 60.0
        await author.turn(1, ttl=0.0)
        assert (await upkeep(author).expire(now=4_000_000_000_000_000)).session_ids == ()

    @needs("time", "leases")
    async def test_S8_retention__a_session_that_somebody_works_on_does_not_expire(
        self, author: Author, sleep_for: Sleep
    ) -> None:
        await author.turn(1, ttl=60.0)
        await author.store.take_lease(holder(), 30.0)  # type: ignore[attr-defined]  # of level concurrent
        report = await upkeep(author).expire(now=4_000_000_000_000_000)
        assert (report.session_ids, report.leased) == ((), 1)
        await sleep_for(31)
        assert (await upkeep(author).expire(now=4_000_000_000_000_000)).session_ids == ("chat",)

    @needs("sharing")
    @pytest.mark.parametrize("act", ["hide", "vacuum", "gc", "redact", "prune", "erase", "with_forks", "expire"])
    async def test_S8_retention__a_dry_run_gives_the_figures_of_the_real_one_and_changes_nothing(
        self, author: Author, act: str
    ) -> None:
        await full(author)
        nodes = await author.store.graph()
        secret = next(each.node_id for each in nodes if SECRET in each.payload)
        if act == "vacuum":
            await kept(author).hide([nodes[4].node_id])
        prune = Retention(records=Keep(last=2), documents=Keep(last=1), streams={"log": 0})
        incarnation = author.writer.incarnation

        async def run(dry_run: bool) -> Any:
            if act == "hide":
                return await kept(author).hide([nodes[4].node_id], dry_run=dry_run)
            if act == "redact":
                return await kept(author).redact(redaction(secret), dry_run=dry_run)
            if act == "prune":
                return await kept(author).prune(prune, dry_run=dry_run)
            if act in ("erase", "with_forks"):
                forks = act == "with_forks"
                return await kept(author).erase(
                    incarnation=incarnation, deleted_at=9, with_forks=forks, dry_run=dry_run
                )
            if act == "expire":
                return await upkeep(author).expire(now=4_000_000_000_000_000, dry_run=dry_run)
            return await getattr(upkeep(author), act)(grace=0, dry_run=dry_run)

        before = await contents(author)
        tried = await run(True)
        assert await contents(author) == before
        done = await run(False)
        assert attrs.evolve(tried, dry_run=False) == done
        assert await contents(author) != before

    async def test_S4_replay__a_commit_whose_record_was_pruned_is_a_conflict(self, author: Author) -> None:
        first = author.next(chain(1))
        await author.store.commit(first)
        author.revision, author.leaf = 1, first.leaf
        await author.turn(1)
        report = await kept(author).prune(Retention(records=Keep(last=1)))
        assert (report.records, report.bytes) == (1, len(first.record))
        with pytest.raises(HeadRevisionConflict):
            await author.store.commit(first)
        assert [record.revision for record in await author.store.records()] == [2]

    async def test_S8_retention__collections_beside_writers_take_nothing_that_is_in_use(self, author: Author) -> None:
        """Four sessions are written, each commit with blobs, while one task hides, vacuums and collects."""
        writers = [Author(author.backend, f"busy-{number}", Writer(ident(), 0)) for number in range(4)]
        ended = asyncio.Event()

        async def write(writer: Author) -> list[str]:
            refs = []
            for number in range(15):
                refs.append(await put_blob(writer, f"{writer.session_id} {number}".encode()))
                loose = await writer.turn(1)
                await writer.commit([node(parent=loose[0].node_id, refs=(refs[-1],))], components={"mode": refs[-1]})
                if number % 5 == 4:
                    side = chain(2, loose[0].node_id)
                    await writer.commit(side, leaf=writer.leaf, components={"mode": refs[-1]})
                    await kept(writer).hide([side[0].node_id])
            return refs

        async def collect() -> None:
            while not ended.is_set():
                await upkeep(author).vacuum(grace=0, budget=0.01)
                await upkeep(author).gc(grace=600.0, budget=0.01)
                await asyncio.sleep(0)

        collecting = asyncio.create_task(collect())
        refs = await asyncio.gather(*map(write, writers))
        ended.set()
        await collecting
        while not (await upkeep(author).vacuum(grace=0)).done:
            pass
        await upkeep(author).gc(grace=0)
        for writer, wanted in zip(writers, refs, strict=True):
            assert len(await writer.store.path(str(writer.leaf))) == 30
            assert len(await writer.store.graph()) == 30
            assert set(await writer.store.get_blobs(wanted)) == set(wanted)
            await writer.turn()

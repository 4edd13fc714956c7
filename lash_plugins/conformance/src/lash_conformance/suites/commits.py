"""What a commit promises (S2-S5, G5)."""

from __future__ import annotations

import asyncio

import attrs
import pytest
from lash_conformance.build import INCARNATION, Author, chain, commit, ident, node
from lash_conformance.clauses import Clauses
from lash_conformance.looking import everything, stored
from lash_hookspecs.errors import (
    CommitIdReused,
    CorruptSession,
    HeadRevisionConflict,
    WriterFenced,
)
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import (
    Absent,
    Head,
    Writer,
    blob_ref,
    commit_digest,
)

__all__ = ["CommitClauses"]


class CommitClauses(Clauses, level="core"):
    """What a commit promises (S2-S5, G5)."""

    async def test_S2_atomic__a_commit_is_seen_whole(self, author: Author) -> None:
        body, labels = b"tools" * 100, {"user": "u1"}
        nodes = chain(2)
        await author.commit(
            nodes,
            components={"tools": blob_ref(body)},
            blobs={blob_ref(body): body},
            open_turn="turn-1",
            labels=labels,
            committed_at=7,
            writer=Writer(INCARNATION, 3),
        )
        assert await author.store.head() == Head(
            session_id="chat",
            incarnation=INCARNATION,
            revision=1,
            epoch=3,
            leaf=nodes[-1].node_id,
            components={"tools": blob_ref(body)},
            state=b'{"v":1}',
            open_turn="turn-1",
            labels=labels,
            created_at=7,
            updated_at=7,
        )
        assert list(await author.store.path(nodes[-1].node_id)) == nodes
        assert await author.store.get_blobs([blob_ref(body)]) == {blob_ref(body): body}

    async def test_S2_atomic__a_later_commit_replaces_the_head_and_keeps_its_birthday(self, author: Author) -> None:
        await author.turn(committed_at=1, open_turn="turn-1", labels={"a": "b"})
        await author.turn(committed_at=2, state=b"new")
        head = await stored(author.store)
        assert (head.revision, head.state, head.open_turn) == (2, b"new", None)
        assert (head.created_at, head.updated_at, head.labels) == (1, 2, {"a": "b"})

    async def test_S2_atomic__empty_labels_remove_the_labels(self, author: Author) -> None:
        await author.commit(labels={"a": "b"})
        await author.commit(labels={})
        assert (await stored(author.store)).labels == {}

    async def test_S2_atomic__each_commit_leaves_its_record(self, author: Author) -> None:
        first = author.next(chain(1), record=b'{"usage":1}', open_turn="t", committed_at=5)
        receipt = await author.store.commit(first)
        assert receipt.digest == commit_digest(first)
        (record,) = await author.store.records()
        assert (record.revision, record.commit_id, record.digest) == (1, first.commit_id, receipt.digest)
        assert (record.epoch, record.leaf, record.open_turn) == (0, first.leaf, "t")
        assert (record.components, record.record, record.committed_at) == ({}, b'{"usage":1}', 5)

    async def test_S2_atomic__records_are_read_from_a_revision_on(self, author: Author) -> None:
        for _ in range(5):
            await author.commit()
        assert [record.revision for record in await author.store.records(after=2)] == [3, 4, 5]
        assert [record.revision for record in await author.store.records(after=1, limit=2)] == [2, 3]
        assert list(await author.store.records(after=5)) == []

    async def test_S3_compare_and_swap__a_first_commit_must_find_no_session(self, author: Author) -> None:
        await author.commit()
        before = await everything(author)
        with pytest.raises(HeadRevisionConflict) as caught:
            await author.store.commit(commit())
        assert (caught.value.expected, caught.value.actual) == (None, 1)
        assert await everything(author) == before

    async def test_S3_compare_and_swap__a_stale_revision_conflicts_and_changes_nothing(self, author: Author) -> None:
        await author.turn()
        stale = author.next(chain(2, author.leaf))
        await author.turn()
        before = await everything(author)
        with pytest.raises(HeadRevisionConflict) as caught:
            await author.store.commit(stale)
        assert (caught.value.expected, caught.value.actual) == (1, 2)
        assert await everything(author) == before

    async def test_S3_compare_and_swap__a_revision_of_a_session_that_never_was_conflicts(self, author: Author) -> None:
        with pytest.raises(HeadRevisionConflict) as caught:
            await author.store.commit(commit(expected_revision=4))
        assert (caught.value.expected, caught.value.actual) == (4, None)
        assert await author.store.head() == Absent()

    async def test_S3_compare_and_swap__another_incarnation_conflicts(self, author: Author) -> None:
        await author.commit()
        before = await everything(author)
        with pytest.raises(HeadRevisionConflict):
            await author.store.commit(author.next(writer=Writer(ident(), 0)))
        assert await everything(author) == before

    async def test_S3_compare_and_swap__of_many_writers_at_one_revision_one_wins(self, author: Author) -> None:
        await author.turn()
        rivals = [author.next(chain(1, author.leaf)) for _ in range(10)]
        results = await asyncio.gather(*(author.store.commit(rival) for rival in rivals), return_exceptions=True)
        assert sum(isinstance(result, HeadRevisionConflict) for result in results) == 9
        assert len(await author.store.graph()) == 4

    async def test_S4_replay__a_replayed_commit_returns_the_first_receipt(self, author: Author) -> None:
        first = author.next(chain(2))
        receipt = await author.store.commit(first)
        author.revision = receipt.revision
        await author.commit(leaf=first.leaf)
        before = await everything(author)
        assert await author.store.commit(first) == receipt
        assert await everything(author) == before

    async def test_S4_replay__a_replay_is_known_with_another_epoch_and_revision(self, author: Author) -> None:
        first = author.next(chain(1))
        receipt = await author.store.commit(first)
        later = attrs.evolve(first, writer=Writer(INCARNATION, 9), expected_revision=1, committed_at=99)
        assert await author.store.commit(later) == receipt

    async def test_S4_replay__a_commit_id_with_other_content_is_refused(self, author: Author) -> None:
        first = author.next(chain(1))
        author.revision = (await author.store.commit(first)).revision
        before = await everything(author)
        with pytest.raises(CommitIdReused) as caught:
            await author.store.commit(attrs.evolve(first, record=b"other"))
        assert caught.value.commit_id == first.commit_id
        with pytest.raises(CommitIdReused):
            await author.store.commit(author.next(commit_id=first.commit_id))
        assert await everything(author) == before

    async def test_S4_replay__another_session_may_use_the_same_commit_id(self, author: Author) -> None:
        receipt = await author.commit(chain(1))
        other = await Author(author.backend, "other").commit(chain(1), commit_id=receipt.commit_id)
        assert (other.session_id, other.revision) == ("other", 1)

    async def test_S4_replay__a_reused_commit_id_is_told_before_a_missing_blob(self, author: Author) -> None:
        receipt = await author.commit()
        with pytest.raises(CommitIdReused):
            await author.store.commit(author.next(commit_id=receipt.commit_id, components={"a": blob_ref(b"gone")}))

    async def test_S5_fencing__an_older_epoch_is_fenced_and_changes_nothing(self, author: Author) -> None:
        await author.turn(writer=Writer(INCARNATION, 5))
        before = await everything(author)
        with pytest.raises(WriterFenced) as caught:
            await author.store.commit(author.next(chain(1, author.leaf), writer=Writer(INCARNATION, 4)))
        assert (caught.value.epoch, caught.value.current) == (4, 5)
        assert await everything(author) == before

    async def test_S5_fencing__a_fence_is_told_before_a_conflict(self, author: Author) -> None:
        await author.commit(writer=Writer(INCARNATION, 5))
        with pytest.raises(WriterFenced):
            await author.store.commit(commit(writer=Writer(INCARNATION, 4)))

    async def test_S5_fencing__the_stored_epoch_becomes_the_larger(self, author: Author) -> None:
        await author.commit(writer=Writer(INCARNATION, 2))
        await author.commit(writer=Writer(INCARNATION, 6))
        assert (await stored(author.store)).epoch == 6

    async def test_G5_node_ids__a_node_id_is_stored_once(self, author: Author) -> None:
        (first, *_) = await author.turn()
        before = await everything(author)
        with pytest.raises(CorruptSession) as caught:
            await author.store.commit(author.next([node(), attrs.evolve(first, payload=b"other")]))
        assert (caught.value.kind, caught.value.node_ids) == ("duplicate_node", (first.node_id,))
        assert await everything(author) == before

    async def test_G5_node_ids__a_node_id_is_stored_once_within_a_commit(self, author: Author) -> None:
        twice = node()
        with pytest.raises(CorruptSession):
            await author.store.commit(author.next([twice, twice]))
        assert await author.store.head() == Absent()

    async def test_G5_node_ids__two_sessions_may_use_one_node_id(self, backend: StoreBackend) -> None:
        shared = node()
        await Author(backend, "a").commit([shared])
        await Author(backend, "b").commit([attrs.evolve(shared, payload=b"b")])
        assert list(await backend.session("a").graph()) == [shared]

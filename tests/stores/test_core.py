"""Level ``core``: what every store promises (S1-S4, S6, S7, S9, S11, S14, S8's delete, G1-G5)."""

from __future__ import annotations

import asyncio

import attrs
import pytest
from lash_hookspecs.errors import (
    CommitIdReused,
    CorruptSession,
    HeadRevisionConflict,
    InvalidInput,
    MissingBlob,
    SessionBindingMismatch,
    SessionDeleted,
    SessionMissing,
    WriterFenced,
)
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.store import (
    Absent,
    Consumed,
    Deleted,
    Head,
    SessionQuery,
    StreamEntry,
    StreamRow,
    Writer,
    blob_ref,
    commit_digest,
)

from tests.stores.build import INCARNATION, Author, chain, commit, ident, node

LEVEL = "core"

HOSTILE = ["x" * 10_000, "😀👩‍👩‍👧", "../../x", "a\0b", "a", "-rf", "'; DROP TABLE session; --", '"', " ", "%00", ""]


async def stored(store: SessionStore) -> Head:
    head = await store.head()
    assert isinstance(head, Head)
    return head


async def everything(author: Author) -> tuple[object, ...]:
    """What a refused call must leave as it was."""
    store = author.store
    return await store.head(), await store.graph(), await store.records(), await store.read("inbox")


async def test_s1_a_store_answers_to_its_protocol(backend: StoreBackend) -> None:
    assert isinstance(backend.session("chat"), SessionStore)
    assert "core" in backend.capabilities.levels


async def test_s1_a_session_that_never_was_is_absent(author: Author) -> None:
    assert await author.store.head() == Absent()
    assert await author.store.nodes([ident()]) == []
    assert await author.store.graph() == []
    assert await author.store.records() == []
    assert await author.store.read("inbox") == []


async def test_s1_a_commit_for_another_session_is_refused(author: Author) -> None:
    with pytest.raises(SessionBindingMismatch) as caught:
        await author.store.commit(commit("other"))
    assert str(caught.value) == "this store handle is bound to session 'chat', the commit is for 'other'"
    assert await author.store.head() == Absent()


async def test_s1_closing_twice_is_closing_once(backend: StoreBackend) -> None:
    await backend.close()
    await backend.close()


async def test_s2_a_commit_is_seen_whole(author: Author) -> None:
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
    assert await author.store.path(nodes[-1].node_id) == nodes
    assert await author.store.get_blobs([blob_ref(body)]) == {blob_ref(body): body}


async def test_s2_a_later_commit_replaces_the_head_and_keeps_its_birthday(author: Author) -> None:
    await author.turn(committed_at=1, open_turn="turn-1", labels={"a": "b"})
    await author.turn(committed_at=2, state=b"new")
    head = await stored(author.store)
    assert (head.revision, head.state, head.open_turn) == (2, b"new", None)
    assert (head.created_at, head.updated_at, head.labels) == (1, 2, {"a": "b"})


async def test_s2_empty_labels_remove_the_labels(author: Author) -> None:
    await author.commit(labels={"a": "b"})
    await author.commit(labels={})
    assert (await stored(author.store)).labels == {}


async def test_s2_each_commit_leaves_its_record(author: Author) -> None:
    first = author.next(chain(1), record=b'{"usage":1}', open_turn="t", committed_at=5)
    receipt = await author.store.commit(first)
    assert receipt.digest == commit_digest(first)
    (record,) = await author.store.records()
    assert (record.revision, record.commit_id, record.digest) == (1, first.commit_id, receipt.digest)
    assert (record.epoch, record.leaf, record.open_turn) == (0, first.leaf, "t")
    assert (record.components, record.record, record.committed_at) == ({}, b'{"usage":1}', 5)


async def test_s2_records_are_read_from_a_revision_on(author: Author) -> None:
    for _ in range(5):
        await author.commit()
    assert [record.revision for record in await author.store.records(after=2)] == [3, 4, 5]
    assert [record.revision for record in await author.store.records(after=1, limit=2)] == [2, 3]
    assert await author.store.records(after=5) == []


async def test_s3_a_first_commit_must_find_no_session(author: Author) -> None:
    await author.commit()
    before = await everything(author)
    with pytest.raises(HeadRevisionConflict) as caught:
        await author.store.commit(commit())
    assert (caught.value.expected, caught.value.actual) == (None, 1)
    assert str(caught.value) == (
        "session 'chat' was expected to be new, but it is at revision 1: somebody else committed first"
    )
    assert await everything(author) == before


async def test_s3_a_stale_revision_conflicts_and_changes_nothing(author: Author) -> None:
    await author.turn()
    stale = author.next(chain(2, author.leaf))
    await author.turn()
    before = await everything(author)
    with pytest.raises(HeadRevisionConflict) as caught:
        await author.store.commit(stale)
    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert await everything(author) == before


async def test_s3_a_revision_of_a_session_that_never_was_conflicts(author: Author) -> None:
    with pytest.raises(HeadRevisionConflict) as caught:
        await author.store.commit(commit(expected_revision=4))
    assert str(caught.value) == (
        "session 'chat' was expected at revision 4, but there is none: somebody else committed first"
    )


async def test_s3_another_incarnation_conflicts(author: Author) -> None:
    await author.commit()
    with pytest.raises(HeadRevisionConflict):
        await author.store.commit(author.next(writer=Writer(ident(), 0)))


async def test_s3_of_many_writers_at_one_revision_one_wins(author: Author) -> None:
    await author.turn()
    rivals = [author.next(chain(1, author.leaf)) for _ in range(10)]
    results = await asyncio.gather(*(author.store.commit(rival) for rival in rivals), return_exceptions=True)
    assert sum(isinstance(result, HeadRevisionConflict) for result in results) == 9
    assert len(await author.store.graph()) == 4


async def test_s4_a_replayed_commit_returns_the_first_receipt(author: Author) -> None:
    first = author.next(chain(2))
    receipt = await author.store.commit(first)
    author.revision = receipt.revision
    await author.commit(leaf=first.leaf)
    before = await everything(author)
    assert await author.store.commit(first) == receipt
    assert await everything(author) == before


async def test_s4_a_replay_is_known_with_another_epoch_and_revision(author: Author) -> None:
    first = author.next(chain(1))
    receipt = await author.store.commit(first)
    later = attrs.evolve(first, writer=Writer(INCARNATION, 9), expected_revision=1, committed_at=99)
    assert await author.store.commit(later) == receipt


async def test_s4_a_commit_id_with_other_content_is_refused(author: Author) -> None:
    first = author.next(chain(1))
    author.revision = (await author.store.commit(first)).revision
    with pytest.raises(CommitIdReused) as caught:
        await author.store.commit(attrs.evolve(first, record=b"other"))
    assert str(caught.value) == (f"session 'chat': commit id {first.commit_id!r} was used before with other content")
    with pytest.raises(CommitIdReused):
        await author.store.commit(author.next(commit_id=first.commit_id))


async def test_s4_a_reused_commit_id_is_told_before_a_missing_blob(author: Author) -> None:
    receipt = await author.commit()
    with pytest.raises(CommitIdReused):
        await author.store.commit(author.next(commit_id=receipt.commit_id, components={"a": blob_ref(b"gone")}))


async def test_s5_an_older_epoch_is_fenced_and_changes_nothing(author: Author) -> None:
    await author.turn(writer=Writer(INCARNATION, 5))
    before = await everything(author)
    with pytest.raises(WriterFenced) as caught:
        await author.store.commit(author.next(chain(1, author.leaf), writer=Writer(INCARNATION, 4)))
    assert str(caught.value) == ("session 'chat' was taken over (epoch 5; this writer has 4): nothing was written")
    assert await everything(author) == before


async def test_s5_a_fence_is_told_before_a_conflict(author: Author) -> None:
    await author.commit(writer=Writer(INCARNATION, 5))
    with pytest.raises(WriterFenced):
        await author.store.commit(commit(writer=Writer(INCARNATION, 4)))


async def test_s5_the_stored_epoch_becomes_the_larger(author: Author) -> None:
    await author.commit(writer=Writer(INCARNATION, 2))
    await author.commit(writer=Writer(INCARNATION, 6))
    assert (await stored(author.store)).epoch == 6


async def test_s6_a_component_whose_body_is_nowhere_is_refused(author: Author) -> None:
    gone = blob_ref(b"gone")
    with pytest.raises(MissingBlob) as caught:
        await author.store.commit(author.next(chain(1), components={"tools": gone}))
    assert str(caught.value) == (f"session 'chat': component 'tools' refers to blob {gone}, which is not stored")
    assert await author.store.head() == Absent()


async def test_s6_a_node_that_refers_to_a_missing_blob_is_refused(author: Author) -> None:
    with pytest.raises(MissingBlob) as caught:
        await author.store.commit(author.next([node(refs=(blob_ref(b"gone"),))]))
    assert caught.value.component is None
    assert await author.store.head() == Absent()


async def test_s6_a_nodes_refs_come_back(author: Author) -> None:
    refs = tuple(await author.store.put_blobs([b"one", b"two"]))
    nodes = [node(refs=refs), node()]
    await author.commit(nodes)
    assert await author.store.graph() == nodes


async def test_s6_a_ref_is_carried_without_its_body(author: Author) -> None:
    body = b"snapshot" * 50
    await author.commit(components={"mode": blob_ref(body)}, blobs={blob_ref(body): body})
    await author.commit(components={"mode": blob_ref(body)})
    assert (await stored(author.store)).components == {"mode": blob_ref(body)}


async def test_s6_a_body_may_be_stored_before_the_commit(author: Author) -> None:
    (ref,) = await author.store.put_blobs([b"before"])
    await author.commit(components={"mode": ref})
    assert await author.store.get_blobs([ref]) == {ref: b"before"}


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 100_000, bytes(range(256)) * 40])
async def test_s6_a_blob_comes_back_byte_for_byte(author: Author, body: bytes) -> None:
    (ref,) = await author.store.put_blobs([body])
    assert ref == blob_ref(body)
    assert await author.store.get_blobs([ref]) == {ref: body}


async def test_s6_storing_a_blob_twice_stores_it_once(backend: StoreBackend) -> None:
    assert len(set(await backend.session("a").put_blobs([b"same", b"same"]))) == 1
    await backend.session("b").put_blobs([b"same"])
    assert (await backend.stats()).blobs == 1


async def test_s6_a_blob_that_is_not_there_is_missed(author: Author) -> None:
    for ref in (blob_ref(b"gone"), "../../etc/passwd", "not hex"):
        with pytest.raises(MissingBlob) as caught:
            await author.store.get_blobs([ref])
        assert str(caught.value) == f"session 'chat': asked for blob {ref}, which is not stored"


async def test_s6_a_body_under_a_wrong_ref_is_refused(author: Author) -> None:
    with pytest.raises(InvalidInput):
        await author.store.commit(author.next(blobs={blob_ref(b"this"): b"that"}))
    assert await author.store.head() == Absent()


async def test_s7_a_path_runs_from_the_root_to_the_leaf(author: Author) -> None:
    for _ in range(4):
        await author.turn()
    assert await author.store.path(author.ids[-1]) == author.written
    assert await author.store.path(author.ids[5]) == author.written[:6]


async def test_s7_the_end_of_a_path_can_be_read_alone(author: Author) -> None:
    for _ in range(4):
        await author.turn()
    for count in (0, 1, 5, 12, 100):
        assert (
            await author.store.path(author.ids[-1], last=count) == author.written[len(author.written) - count :]
            if count <= 12
            else author.written
        )


async def test_s7_a_path_can_be_read_behind_a_node(author: Author) -> None:
    for _ in range(4):
        await author.turn()
    leaf = author.ids[-1]
    assert await author.store.path(leaf, after=author.ids[4]) == author.written[5:]
    assert await author.store.path(leaf, after=author.ids[4], last=2) == author.written[-2:]
    assert await author.store.path(leaf, after=author.ids[4], last=100) == author.written[5:]
    assert await author.store.path(leaf, after=leaf) == []


async def test_s7_a_path_behind_a_node_that_is_not_on_it_is_corrupt(author: Author) -> None:
    trunk = await author.turn(3)
    branch = chain(2, trunk[0].node_id)
    await author.commit(branch)
    for stranger in (trunk[2].node_id, ident()):
        with pytest.raises(CorruptSession) as caught:
            await author.store.path(branch[-1].node_id, after=stranger)
        assert caught.value.kind == "dangling_parent"
        assert caught.value.node_ids == (stranger,)


async def test_s7_branches_of_branches_have_their_own_paths(author: Author) -> None:
    a, b, c, d = await author.turn(4)
    e, f = chain(2, b.node_id)
    g = node(parent=e.node_id)
    h = node(parent=d.node_id)
    await author.commit([e, f])
    await author.commit([g])
    await author.commit([h])
    assert await author.store.path(f.node_id) == [a, b, e, f]
    assert await author.store.path(g.node_id) == [a, b, e, g]
    assert await author.store.path(h.node_id) == [a, b, c, d, h]
    assert await author.store.path(h.node_id, last=2) == [d, h]
    assert await author.store.path(g.node_id, last=3) == [b, e, g]
    assert await author.store.path(g.node_id, after=a.node_id) == [b, e, g]
    assert await author.store.graph() == [a, b, c, d, e, f, g, h]


async def test_s7_one_commit_may_hold_branches_and_roots(author: Author) -> None:
    a, b = chain(2)
    c = node(parent=a.node_id)
    d, e = chain(2)
    await author.commit([a, b, c, d, e], leaf=c.node_id)
    assert await author.store.path(c.node_id) == [a, c]
    assert await author.store.path(e.node_id) == [d, e]
    f = node(parent=c.node_id)
    await author.commit([f])
    assert await author.store.path(f.node_id) == [a, c, f]


async def test_s7_a_leaf_that_moved_back_begins_a_branch(author: Author) -> None:
    a, b, c = await author.turn(3)
    await author.commit(leaf=a.node_id)
    (d,) = await author.turn(1)
    assert await author.store.path(d.node_id) == [a, d]
    await author.commit(leaf=c.node_id)
    (e,) = await author.turn(1)
    assert await author.store.path(e.node_id) == [a, b, c, e]


async def test_s7_nodes_come_in_the_order_asked_for(author: Author) -> None:
    a, b, c = await author.turn(3)
    assert await author.store.nodes([c.node_id, ident(), a.node_id, c.node_id]) == [c, a, c]
    assert await author.store.nodes([]) == []
    assert b not in await author.store.nodes([a.node_id])


async def test_s7_the_graph_is_read_in_pages(author: Author) -> None:
    for _ in range(3):
        await author.turn()
    assert await author.store.graph() == author.written
    assert await author.store.graph(limit=4) == author.written[:4]
    assert await author.store.graph(after=author.ids[3], limit=4) == author.written[4:8]
    assert await author.store.graph(after=author.ids[-1]) == []


async def test_s7_hidden_nodes_are_left_out_of_the_graph(author: Author) -> None:
    shown, hidden = node(), node(hidden=True)
    await author.commit([shown, hidden])
    assert await author.store.graph() == [shown]
    assert await author.store.nodes([hidden.node_id, shown.node_id]) == [shown]


@pytest.mark.parametrize(
    "node_id",
    ["a", "A" * 32, "g" * 32, f"{1:032x}", f"{1:031x}", "0" * 31 + " ", "é" * 32, "x\0y", "😀", "0x" + "0" * 30],
)
async def test_g2_a_node_id_comes_back_as_it_was(author: Author, node_id: str) -> None:
    nodes = [node(node_id), node(parent=node_id)]
    await author.commit(nodes)
    assert await author.store.path(nodes[-1].node_id) == nodes
    assert await author.store.nodes([node_id]) == nodes[:1]


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"\0", '{"é":"😀"}'.encode(), b"x" * 50_000])
async def test_g2_a_payload_comes_back_byte_for_byte(author: Author, payload: bytes) -> None:
    odd = node(kind="of a later version", payload=payload, timestamp=-1)
    await author.commit([odd], state=payload, record=payload)
    assert await author.store.graph() == [odd]
    assert (await stored(author.store)).state == payload
    assert (await author.store.records())[0].record == payload


async def test_g3_a_leaf_may_be_unset_with_nodes_present(author: Author) -> None:
    await author.turn()
    await author.commit(leaf=None)
    assert (await stored(author.store)).leaf is None
    assert len(await author.store.graph()) == 3


async def test_g3_a_leaf_that_is_not_stored_is_reported_and_not_healed(author: Author) -> None:
    gone = ident()
    await author.commit(chain(2), leaf=gone)
    assert (await stored(author.store)).leaf == gone
    with pytest.raises(CorruptSession) as caught:
        await author.store.path(gone)
    assert str(caught.value) == f"session 'chat': leaf {gone!r} is not stored"
    assert (caught.value.kind, caught.value.node_ids) == ("dangling_leaf", (gone,))


async def test_g4_a_dangling_parent_is_corrupt_and_named(author: Author) -> None:
    gone = ident()
    a, b = chain(2, gone)
    await author.commit([a, b])
    with pytest.raises(CorruptSession) as caught:
        await author.store.path(b.node_id)
    assert caught.value.kind == "dangling_parent"
    assert caught.value.node_ids == (a.node_id, gone)
    assert str(caught.value) == (f"session 'chat': node {a.node_id!r} has the parent {gone!r}, which is not stored")


async def test_g4_a_parent_cycle_is_corrupt_and_named(author: Author) -> None:
    a, b = ident(), ident()
    await author.commit([node(a, b), node(b, a)])
    with pytest.raises(CorruptSession) as caught:
        await author.store.path(b)
    assert (caught.value.kind, caught.value.node_ids) == ("parent_cycle", (b,))


async def test_g5_a_node_id_is_stored_once(author: Author) -> None:
    (first, *_) = await author.turn()
    before = await everything(author)
    with pytest.raises(CorruptSession) as caught:
        await author.store.commit(author.next([node(), attrs.evolve(first, payload=b"other")]))
    assert str(caught.value) == f"session 'chat': node {first.node_id!r} is stored already"
    assert (caught.value.kind, caught.value.node_ids) == ("duplicate_node", (first.node_id,))
    assert await everything(author) == before


async def test_g5_a_node_id_is_stored_once_within_a_commit(author: Author) -> None:
    twice = node()
    with pytest.raises(CorruptSession):
        await author.store.commit(author.next([twice, twice]))
    assert await author.store.head() == Absent()


async def test_g5_two_sessions_may_use_one_node_id(backend: StoreBackend) -> None:
    shared = node()
    await Author(backend, "a").commit([shared])
    await Author(backend, "b").commit([attrs.evolve(shared, payload=b"b")])
    assert await backend.session("a").graph() == [shared]


async def test_s8_a_deleted_session_leaves_a_tombstone(author: Author) -> None:
    await author.turn()
    await author.store.append("inbox", [StreamEntry("k", b"v")], writer=author.writer)
    await author.store.delete(incarnation=INCARNATION, deleted_at=9)
    assert await author.store.head() == Deleted(INCARNATION, 1, 9)
    assert await author.store.graph() == []
    assert await author.store.records() == []
    assert await author.store.read("inbox") == []
    assert (await author.backend.stats()).sessions == 0
    assert (await author.backend.stats()).nodes == 0


async def test_s8_late_writers_of_a_dead_incarnation_are_refused_for_ever(author: Author) -> None:
    await author.turn()
    replay = author.next()
    await author.store.commit(replay)
    await author.store.delete(incarnation=INCARNATION, deleted_at=9)
    for late in (replay, author.next(), commit()):
        with pytest.raises(SessionDeleted) as caught:
            await author.store.commit(late)
        assert str(caught.value) == "session 'chat' was deleted: this writer is refused for ever"
    for write in (
        author.store.append("inbox", [], writer=author.writer),
        author.store.trim("inbox", 1, writer=author.writer),
    ):
        with pytest.raises(SessionDeleted):
            await write


async def test_s8_a_deleted_name_is_free_again(backend: StoreBackend, author: Author) -> None:
    nodes = await author.turn(writer=Writer(INCARNATION, 7))
    await author.store.delete(incarnation=INCARNATION, deleted_at=9)
    again = Author(backend, writer=Writer(ident(), 0))
    await again.commit(nodes)
    head = await stored(again.store)
    assert (head.revision, head.incarnation) == (1, again.writer.incarnation)
    with pytest.raises(SessionDeleted):
        await author.store.commit(author.next())
    assert await again.store.graph() == nodes


async def test_s8_deleting_a_dead_incarnation_changes_nothing(backend: StoreBackend, author: Author) -> None:
    await author.turn()
    await author.store.delete(incarnation=INCARNATION, deleted_at=9)
    again = Author(backend, writer=Writer(ident(), 0))
    await again.turn()
    await author.store.delete(incarnation=INCARNATION, deleted_at=10)
    assert (await stored(again.store)).revision == 1
    await again.store.delete(incarnation=again.writer.incarnation, deleted_at=11)
    assert await again.store.head() == Deleted(again.writer.incarnation, 1, 11)


async def test_s8_deleting_what_never_was_is_missing(author: Author) -> None:
    await author.commit()
    with pytest.raises(SessionMissing) as caught:
        await author.store.delete(incarnation="never", deleted_at=9)
    assert str(caught.value) == "there is no incarnation 'never' of session 'chat'"


async def test_s14_streams_count_from_one_and_leave_the_revision_alone(author: Author) -> None:
    await author.commit()
    entries = [StreamEntry("a", b"1"), StreamEntry("b", b"\xff\0")]
    assert await author.store.append("inbox", entries, writer=author.writer) == [1, 2]
    assert await author.store.append("tasks", [StreamEntry("a", b"")], writer=author.writer) == [1]
    assert await author.store.read("inbox") == [StreamRow(1, "a", b"1"), StreamRow(2, "b", b"\xff\0")]
    assert (await stored(author.store)).revision == 1


async def test_s14_a_key_keeps_its_first_body_and_sequence(author: Author) -> None:
    await author.commit()
    await author.store.append("inbox", [StreamEntry("a", b"1")], writer=author.writer)
    entries = [StreamEntry("b", b"2"), StreamEntry("a", b"other"), StreamEntry("b", b"again")]
    assert await author.store.append("inbox", entries, writer=author.writer) == [2, 1, 2]
    assert [row.body for row in await author.store.read("inbox")] == [b"1", b"2"]


async def test_s14_a_stream_is_read_in_pages(author: Author) -> None:
    await author.commit()
    await author.store.append("s", [StreamEntry(str(n), b"") for n in range(6)], writer=author.writer)
    assert [row.sequence for row in await author.store.read("s", after=2, limit=3)] == [3, 4, 5]
    assert await author.store.read("s", after=6) == []


async def test_s14_a_sequence_is_never_used_twice(author: Author) -> None:
    await author.commit()
    entries = [StreamEntry(str(n), b"") for n in range(3)]
    await author.store.append("s", entries, writer=author.writer)
    assert await author.store.trim("s", 99, writer=author.writer) == 3
    assert await author.store.read("s") == []
    assert await author.store.append("s", [StreamEntry("new", b"")], writer=author.writer) == [4]


async def test_s14_a_trim_says_how_many_entries_went(author: Author) -> None:
    await author.commit()
    await author.store.append("s", [StreamEntry(str(n), b"") for n in range(4)], writer=author.writer)
    assert await author.store.trim("s", 3, writer=author.writer) == 3
    assert await author.store.trim("s", 3, writer=author.writer) == 0
    assert await author.store.trim("none", 3, writer=author.writer) == 0
    assert [row.sequence for row in await author.store.read("s")] == [4]


async def test_s14_a_commit_uses_entries_up(author: Author) -> None:
    await author.commit()
    await author.store.append("inbox", [StreamEntry(str(n), b"") for n in range(4)], writer=author.writer)
    await author.commit(consumed=(Consumed("inbox", 2), Consumed("none", 7)))
    assert [row.sequence for row in await author.store.read("inbox")] == [3, 4]


async def test_s14_a_refused_commit_uses_nothing_up(author: Author) -> None:
    await author.commit()
    await author.store.append("inbox", [StreamEntry("a", b"")], writer=author.writer)
    with pytest.raises(HeadRevisionConflict):
        await author.store.commit(commit(consumed=(Consumed("inbox", 1),)))
    assert len(await author.store.read("inbox")) == 1


async def test_s14_a_stream_of_a_session_without_a_commit_is_refused(author: Author) -> None:
    with pytest.raises(SessionMissing) as caught:
        await author.store.append("inbox", [StreamEntry("a", b"")], writer=author.writer)
    assert str(caught.value) == "session 'chat' has no commit yet"


async def test_s14_an_older_epoch_is_fenced_from_streams_and_no_epoch_is_not(author: Author) -> None:
    await author.commit(writer=Writer(INCARNATION, 5))
    entry = StreamEntry("a", b"")
    with pytest.raises(WriterFenced):
        await author.store.append("inbox", [entry], writer=Writer(INCARNATION, 4))
    assert await author.store.append("inbox", [entry], writer=Writer(INCARNATION, None)) == [1]
    with pytest.raises(WriterFenced):
        await author.store.trim("inbox", 1, writer=Writer(INCARNATION, 4))


async def test_s11_hostile_names_are_only_names(backend: StoreBackend) -> None:
    for number, name in enumerate(HOSTILE):
        author = Author(backend, name)
        await author.commit([node(name or "empty")], labels={name: name}, open_turn=name)
        await author.store.append(name, [StreamEntry(name, b"%d" % number)], writer=author.writer)
    for number, name in enumerate(HOSTILE):
        store = backend.session(name)
        assert (await stored(store)).labels == {name: name}
        assert await store.read(name) == [StreamRow(1, name, b"%d" % number)]
        page = await backend.sessions(SessionQuery(labels={name: name}))
        assert [row.head.session_id for row in page.rows] == [name]
    page = await backend.sessions(SessionQuery())
    assert [row.head.session_id for row in page.rows] == sorted(HOSTILE)


async def test_l14_sessions_with_an_open_turn_are_listed(backend: StoreBackend) -> None:
    for name, turn in (("a", "t1"), ("b", None), ("c", "t2"), ("d", "t3")):
        await Author(backend, name).commit(open_turn=turn)
    done = Author(backend, "d", revision=1)
    await done.commit(open_turn=None)
    assert await names(backend, open_turn=True) == ["a", "c"]
    assert await names(backend, open_turn=False) == ["b", "d"]
    assert await names(backend) == ["a", "b", "c", "d"]


async def test_s1_sessions_are_listed_by_labels(backend: StoreBackend) -> None:
    await Author(backend, "a").commit(labels={"user": "u1", "kind": "x"})
    await Author(backend, "b").commit(labels={"user": "u1"}, open_turn="t")
    await Author(backend, "c").commit(labels={"user": "u2", "kind": "x"})
    assert await names(backend, labels={"user": "u1"}) == ["a", "b"]
    assert await names(backend, labels={"user": "u1", "kind": "x"}) == ["a"]
    assert await names(backend, labels={"user": "u1"}, open_turn=True) == ["b"]
    assert await names(backend, labels={"user": "u3"}) == []


async def test_s1_a_listing_comes_in_pages(backend: StoreBackend) -> None:
    for number in range(5):
        await Author(backend, f"s{number}").commit(labels={"all": "yes"})
    for labels in ({}, {"all": "yes"}):
        page = await backend.sessions(SessionQuery(limit=2, labels=labels))
        seen = [row.head.session_id for row in page.rows]
        while page.cursor is not None:
            page = await backend.sessions(SessionQuery(limit=2, labels=labels, after=page.cursor))
            seen += [row.head.session_id for row in page.rows]
            assert len(page.rows) <= 2
        assert seen == [f"s{number}" for number in range(5)]


async def test_s8_a_deleted_session_is_not_listed(backend: StoreBackend, author: Author) -> None:
    await author.commit(labels={"a": "b"}, open_turn="t")
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    assert await names(backend) == []
    assert await names(backend, labels={"a": "b"}) == []
    assert await names(backend, open_turn=True) == []


async def test_s1_stats_count_what_is_stored(backend: StoreBackend, author: Author) -> None:
    await author.turn()
    await author.turn()
    await author.store.put_blobs([b"blob"])
    stats = await backend.stats()
    assert (stats.sessions, stats.nodes, stats.commits, stats.blobs) == (1, 6, 2, 1)


async def names(backend: StoreBackend, **query: object) -> list[str]:
    page = await backend.sessions(SessionQuery(**query))  # type: ignore[arg-type]
    return [row.head.session_id for row in page.rows]

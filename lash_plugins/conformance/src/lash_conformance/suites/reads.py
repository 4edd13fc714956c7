"""What reads give (S7, G2-G4)."""

from __future__ import annotations

import pytest
from lash_conformance.build import Author, chain, ident, node
from lash_conformance.clauses import Clauses
from lash_conformance.looking import stored
from lash_hookspecs.errors import (
    CorruptSession,
)

__all__ = ["ReadClauses"]


class ReadClauses(Clauses, level="core"):
    """What reads give (S7, G2-G4)."""

    async def test_S7_reads__a_path_runs_from_the_root_to_the_leaf(self, author: Author) -> None:
        for _ in range(4):
            await author.turn()
        assert list(await author.store.path(author.ids[-1])) == author.written
        assert list(await author.store.path(author.ids[5])) == author.written[:6]

    async def test_S7_reads__the_end_of_a_path_can_be_read_alone(self, author: Author) -> None:
        for _ in range(4):
            await author.turn()
        for count in (0, 1, 5, 12, 100):
            assert (
                list(await author.store.path(author.ids[-1], last=count))
                == author.written[len(author.written) - count :]
                if count <= 12
                else author.written
            )

    async def test_S7_reads__a_path_can_be_read_behind_a_node(self, author: Author) -> None:
        for _ in range(4):
            await author.turn()
        leaf = author.ids[-1]
        assert list(await author.store.path(leaf, after=author.ids[4])) == author.written[5:]
        assert list(await author.store.path(leaf, after=author.ids[4], last=2)) == author.written[-2:]
        assert list(await author.store.path(leaf, after=author.ids[4], last=100)) == author.written[5:]
        assert list(await author.store.path(leaf, after=leaf)) == []

    async def test_S7_reads__a_path_behind_a_node_that_is_not_on_it_is_corrupt(self, author: Author) -> None:
        trunk = await author.turn(3)
        branch = chain(2, trunk[0].node_id)
        await author.commit(branch)
        for stranger in (trunk[2].node_id, ident()):
            with pytest.raises(CorruptSession) as caught:
                await author.store.path(branch[-1].node_id, after=stranger)
            assert caught.value.kind == "dangling_parent"
            assert caught.value.node_ids == (stranger,)

    async def test_S7_reads__branches_of_branches_have_their_own_paths(self, author: Author) -> None:
        a, b, c, d = await author.turn(4)
        e, f = chain(2, b.node_id)
        g = node(parent=e.node_id)
        h = node(parent=d.node_id)
        await author.commit([e, f])
        await author.commit([g])
        await author.commit([h])
        assert list(await author.store.path(f.node_id)) == [a, b, e, f]
        assert list(await author.store.path(g.node_id)) == [a, b, e, g]
        assert list(await author.store.path(h.node_id)) == [a, b, c, d, h]
        assert list(await author.store.path(h.node_id, last=2)) == [d, h]
        assert list(await author.store.path(g.node_id, last=3)) == [b, e, g]
        assert list(await author.store.path(g.node_id, after=a.node_id)) == [b, e, g]
        assert list(await author.store.graph()) == [a, b, c, d, e, f, g, h]

    async def test_S7_reads__one_commit_may_hold_branches_and_roots(self, author: Author) -> None:
        a, b = chain(2)
        c = node(parent=a.node_id)
        d, e = chain(2)
        await author.commit([a, b, c, d, e], leaf=c.node_id)
        assert list(await author.store.path(c.node_id)) == [a, c]
        assert list(await author.store.path(e.node_id)) == [d, e]
        f = node(parent=c.node_id)
        await author.commit([f])
        assert list(await author.store.path(f.node_id)) == [a, c, f]

    async def test_S7_reads__a_leaf_that_moved_back_begins_a_branch(self, author: Author) -> None:
        a, b, c = await author.turn(3)
        await author.commit(leaf=a.node_id)
        (d,) = await author.turn(1)
        assert list(await author.store.path(d.node_id)) == [a, d]
        await author.commit(leaf=c.node_id)
        (e,) = await author.turn(1)
        assert list(await author.store.path(e.node_id)) == [a, b, c, e]

    async def test_S7_reads__nodes_come_in_the_order_asked_for(self, author: Author) -> None:
        a, b, c = await author.turn(3)
        assert list(await author.store.nodes([c.node_id, ident(), a.node_id, c.node_id])) == [c, a, c]
        assert list(await author.store.nodes([])) == []
        assert b not in await author.store.nodes([a.node_id])

    async def test_S7_reads__the_graph_is_read_in_pages(self, author: Author) -> None:
        for _ in range(3):
            await author.turn()
        assert list(await author.store.graph()) == author.written
        assert list(await author.store.graph(limit=4)) == author.written[:4]
        assert list(await author.store.graph(after=author.ids[3], limit=4)) == author.written[4:8]
        assert list(await author.store.graph(after=author.ids[-1])) == []

    async def test_S7_reads__hidden_nodes_are_left_out_of_the_graph(self, author: Author) -> None:
        shown, hidden = node(), node(hidden=True)
        await author.commit([shown, hidden])
        assert list(await author.store.graph()) == [shown]
        assert list(await author.store.nodes([hidden.node_id, shown.node_id])) == [shown]

    @pytest.mark.parametrize(
        "node_id",
        ["a", "A" * 32, "g" * 32, f"{1:032x}", f"{1:031x}", "0" * 31 + " ", "é" * 32, "x\0y", "😀", "0x" + "0" * 30],
    )
    async def test_G2_payloads__a_node_id_comes_back_as_it_was(self, author: Author, node_id: str) -> None:
        nodes = [node(node_id), node(parent=node_id)]
        await author.commit(nodes)
        assert list(await author.store.path(nodes[-1].node_id)) == nodes
        assert list(await author.store.nodes([node_id])) == nodes[:1]

    @pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"\0", '{"é":"😀"}'.encode(), b"x" * 50_000])
    async def test_G2_payloads__a_payload_comes_back_byte_for_byte(self, author: Author, payload: bytes) -> None:
        odd = node(kind="of a later version", payload=payload, timestamp=-1)
        await author.commit([odd], state=payload, record=payload)
        assert list(await author.store.graph()) == [odd]
        assert (await stored(author.store)).state == payload
        assert (await author.store.records())[0].record == payload

    async def test_G3_leaf__a_leaf_may_be_unset_with_nodes_present(self, author: Author) -> None:
        await author.turn()
        await author.commit(leaf=None)
        assert (await stored(author.store)).leaf is None
        assert len(await author.store.graph()) == 3

    async def test_G3_leaf__a_leaf_that_is_not_stored_is_reported_and_not_healed(self, author: Author) -> None:
        gone = ident()
        await author.commit(chain(2), leaf=gone)
        assert (await stored(author.store)).leaf == gone
        with pytest.raises(CorruptSession) as caught:
            await author.store.path(gone)
        assert (caught.value.kind, caught.value.node_ids) == ("dangling_leaf", (gone,))

    async def test_G4_corrupt__a_dangling_parent_is_corrupt_and_named(self, author: Author) -> None:
        gone = ident()
        a, b = chain(2, gone)
        await author.commit([a, b])
        with pytest.raises(CorruptSession) as caught:
            await author.store.path(b.node_id)
        assert caught.value.kind == "dangling_parent"
        assert caught.value.node_ids == (a.node_id, gone)

    async def test_G4_corrupt__a_parent_cycle_is_corrupt_and_named(self, author: Author) -> None:
        a, b = ident(), ident()
        await author.commit([node(a, b), node(b, a)])
        with pytest.raises(CorruptSession) as caught:
            await author.store.path(b)
        assert (caught.value.kind, caught.value.node_ids) == ("parent_cycle", (b,))

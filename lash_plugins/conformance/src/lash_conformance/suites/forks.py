"""Forks that share a graph (S12, S8, G5)."""

from __future__ import annotations

import attrs
import pytest
from lash_conformance.build import INCARNATION, Author, chain, commit, ident
from lash_conformance.clauses import Clauses, needs
from lash_hookspecs.errors import (
    CorruptSession,
    InvalidInput,
    SessionMissing,
    StoreError,
)
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import (
    Absent,
    Fork,
    Writer,
)

__all__ = ["ForkClauses", "UnsharedClauses", "begin_again"]


async def begin_again(fork: Author, begun: str) -> Author:
    """Let the name ``chat``, whose session was deleted, have another: on the graph of a fork of the dead one, or anew."""
    if begun == "as a fork":
        return await fork.fork("chat", fork.leaf)
    return Author(fork.backend, writer=Writer(ident(), 0))


class ForkClauses(Clauses, level="sharing"):
    """Forks that share a graph (S12, S8, G5)."""

    async def test_S12_forks__a_fork_stands_on_the_path_of_another(self, author: Author) -> None:
        a, b, c = await author.turn(3)
        fork = await author.fork("fork", b.node_id)
        (d,) = await fork.turn(1)
        (e,) = await author.turn(1)
        assert list(await fork.store.path(d.node_id)) == [a, b, d]
        assert list(await author.store.path(e.node_id)) == [a, b, c, e]

    async def test_S7_reads__parts_of_a_forks_path_can_be_read(self, author: Author) -> None:
        a, b, _ = await author.turn(3)
        fork = await author.fork("fork", b.node_id)
        (d,) = await fork.turn(1)
        assert list(await fork.store.path(d.node_id, last=2)) == [b, d]
        assert list(await fork.store.path(d.node_id, after=a.node_id)) == [b, d]

    async def test_S12_forks__a_fork_copies_no_node(self, author: Author) -> None:
        await author.turn(50)
        await author.fork("fork", author.leaf)
        stats = await author.backend.stats()
        assert (stats.nodes, stats.sessions) == (50, 2)

    async def test_S12_forks__a_fork_may_bring_nodes_and_forks_of_its_own(self, author: Author) -> None:
        a, b = await author.turn(2)
        nodes = chain(2, a.node_id)
        fork = Author(author.backend, "fork", author.writer)
        await fork.commit(nodes, fork=Fork("chat", a.node_id))
        third = await fork.fork("third", nodes[0].node_id)
        (leaf,) = await third.turn(1)
        assert list(await third.store.path(leaf.node_id)) == [a, nodes[0], leaf]
        assert list(await author.store.path(b.node_id)) == [a, b]

    async def test_S12_forks__a_fork_without_a_leaf_shares_the_graph(self, author: Author) -> None:
        await author.turn(2)
        fork = await author.fork("fork", None)
        assert list(await fork.store.graph()) == author.written
        root = await fork.turn(1)
        assert list(await fork.store.path(root[0].node_id)) == root

    async def test_S12_forks__the_shared_graph_is_in_the_order_of_storing(self, author: Author) -> None:
        shared = await author.turn(2)
        fork = await author.fork("fork", author.leaf)
        rest = []
        for writer in (author, fork, author, fork):
            rest += await writer.turn(2)
        expected = shared + rest
        assert list(await fork.store.graph()) == expected
        for at in range(len(expected)):
            assert list(await author.store.graph(after=expected[at].node_id)) == expected[at + 1 :]
            assert list(await author.store.graph(after=expected[at].node_id, limit=3)) == expected[at + 1 : at + 4]

    async def test_S12_forks__forking_what_is_not_there_is_missing(self, author: Author) -> None:
        with pytest.raises(SessionMissing):
            await author.store.commit(commit(fork=Fork("none", None)))
        assert await author.store.head() == Absent()

    async def test_S12_forks__forking_at_a_leaf_that_is_not_stored_is_corrupt(self, author: Author) -> None:
        await author.turn()
        gone = ident()
        with pytest.raises(CorruptSession) as caught:
            await author.fork("fork", gone)
        assert (caught.value.kind, caught.value.node_ids) == ("dangling_leaf", (gone,))
        assert await author.backend.session("fork").head() == Absent()

    async def test_S12_forks__only_a_first_commit_can_fork(self, author: Author) -> None:
        await author.turn()
        with pytest.raises(InvalidInput):
            await author.commit(fork=Fork("chat", None))

    async def test_G5_node_ids__node_ids_are_unique_in_a_shared_graph(self, author: Author) -> None:
        (a,) = await author.turn(1)
        fork = await author.fork("fork", a.node_id)
        await author.turn(1)
        with pytest.raises(CorruptSession):
            await fork.commit([attrs.evolve(author.written[-1], payload=b"mine")])

    async def test_S8_retention__nodes_that_a_fork_shares_outlive_the_original(self, author: Author) -> None:
        a, b, _, _ = await author.turn(4)
        fork = await author.fork("fork", b.node_id)
        (own,) = await fork.turn(1)
        await author.turn(2)
        await author.store.delete(incarnation=INCARNATION, deleted_at=1)
        assert list(await fork.store.path(own.node_id)) == [a, b, own]
        assert list(await fork.store.graph()) == [a, b, own]
        assert (await author.backend.stats()).nodes == 3

    async def test_S8_retention__the_original_outlives_its_forks(self, author: Author) -> None:
        a, b = await author.turn(2)
        fork = await author.fork("fork", a.node_id)
        await fork.turn(2)
        await fork.store.delete(incarnation=fork.writer.incarnation, deleted_at=1)
        (c,) = await author.turn(1)
        assert list(await author.store.path(c.node_id)) == [a, b, c]
        assert list(await author.store.graph()) == [a, b, c]

    async def test_S8_retention__branches_off_the_path_of_a_living_session_stay(self, author: Author) -> None:
        a, b, c = await author.turn(3)
        fork = await author.fork("fork", b.node_id)
        (side,) = await fork.turn(1)
        await fork.commit(leaf=a.node_id)
        await author.store.delete(incarnation=INCARNATION, deleted_at=1)
        assert list(await fork.store.graph()) == [a, b, side]
        assert list(await fork.store.path(side.node_id)) == [a, b, side]
        assert list(await fork.store.nodes([c.node_id])) == []

    async def test_S8_retention__the_last_of_a_family_takes_every_node_along(self, author: Author) -> None:
        await author.turn(3)
        fork = await author.fork("fork", author.leaf)
        await fork.turn(2)
        third = await fork.fork("third", fork.leaf)
        await third.turn(2)
        for member in (author, third, fork):
            await member.store.delete(incarnation=member.writer.incarnation, deleted_at=1)
        assert (await author.backend.stats()).nodes == 0

    async def test_S8_retention__a_name_that_comes_back_owns_nothing_of_its_dead_incarnation(
        self, backend: StoreBackend, author: Author
    ) -> None:
        """The nodes are another incarnation's: they stay as long as somebody stands on them, and no longer."""
        a, b, _ = await author.turn(3)
        fork = await author.fork("fork", b.node_id)
        await author.store.delete(incarnation=INCARNATION, deleted_at=1)
        again = await fork.fork("chat", a.node_id)
        (own,) = await again.turn(1)
        assert list(await fork.store.path(b.node_id)) == [a, b]
        await fork.store.delete(incarnation=fork.writer.incarnation, deleted_at=2)
        assert list(await again.store.graph()) == [a, own]
        assert list(await again.store.path(own.node_id)) == [a, own]

    @pytest.mark.parametrize("begun", ["as a fork", "anew"])
    async def test_S8_retention__a_fork_outlives_each_incarnation_of_the_name_it_came_from(
        self, backend: StoreBackend, author: Author, begun: str
    ) -> None:
        a, b, _ = await author.turn(3)
        fork = await author.fork("fork", b.node_id)
        (own,) = await fork.turn(1)
        await author.store.delete(incarnation=INCARNATION, deleted_at=1)
        again = await begin_again(fork, begun)
        await again.turn(2)
        await again.store.delete(incarnation=again.writer.incarnation, deleted_at=2)
        assert list(await fork.store.graph()) == [a, b, own]
        assert list(await fork.store.path(own.node_id)) == [a, b, own]

    async def test_S8_retention__the_ids_of_removed_nodes_are_free_for_a_fork(
        self, backend: StoreBackend, author: Author
    ) -> None:
        a, b = await author.turn(2)
        fork = await author.fork("fork", a.node_id)
        await author.store.delete(incarnation=INCARNATION, deleted_at=1)
        await fork.commit([b])
        assert list(await fork.store.path(b.node_id)) == [a, b]


class UnsharedClauses(Clauses, level="core"):
    """What a store without level ``sharing`` says (S12): the runtime copies instead."""

    @needs("unshared")
    async def test_S12_forks__a_store_that_cannot_share_refuses_a_fork(self, author: Author) -> None:
        await author.turn()
        other = author.backend.session("fork")
        with pytest.raises(StoreError):
            await other.commit(commit("fork", fork=Fork("chat", author.leaf)))
        assert await other.head() == Absent()

"""Level ``sharing``: forks share the graph (S12, S8)."""

from __future__ import annotations

import attrs
import pytest
from lash_hookspecs.errors import CorruptSession, InvalidInput, SessionMissing
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Absent, Fork

from tests.stores.build import INCARNATION, Author, chain, commit, ident

LEVEL = "sharing"


async def test_s12_a_fork_stands_on_the_path_of_another(author: Author) -> None:
    a, b, c = await author.turn(3)
    fork = await author.fork("fork", b.node_id)
    (d,) = await fork.turn(1)
    (e,) = await author.turn(1)
    assert await fork.store.path(d.node_id) == [a, b, d]
    assert await author.store.path(e.node_id) == [a, b, c, e]
    assert await fork.store.path(d.node_id, last=2) == [b, d]
    assert await fork.store.path(d.node_id, after=a.node_id) == [b, d]


async def test_s12_a_fork_copies_no_node(author: Author) -> None:
    await author.turn(50)
    await author.fork("fork", author.leaf)
    stats = await author.backend.stats()
    assert (stats.nodes, stats.sessions) == (50, 2)


async def test_s12_a_fork_may_bring_nodes_and_forks_of_its_own(author: Author) -> None:
    a, b = await author.turn(2)
    nodes = chain(2, a.node_id)
    fork = Author(author.backend, "fork", author.writer)
    await fork.commit(nodes, fork=Fork("chat", a.node_id))
    third = await fork.fork("third", nodes[0].node_id)
    (leaf,) = await third.turn(1)
    assert await third.store.path(leaf.node_id) == [a, nodes[0], leaf]
    assert await author.store.path(b.node_id) == [a, b]


async def test_s12_a_fork_without_a_leaf_shares_the_graph(author: Author) -> None:
    await author.turn(2)
    fork = await author.fork("fork", None)
    assert await fork.store.graph() == author.written
    root = await fork.turn(1)
    assert await fork.store.path(root[0].node_id) == root


async def test_s12_the_shared_graph_is_in_the_order_of_storing(author: Author) -> None:
    shared = await author.turn(2)
    fork = await author.fork("fork", author.leaf)
    rest = []
    for writer in (author, fork, author, fork):
        rest += await writer.turn(2)
    expected = shared + rest
    assert await fork.store.graph() == expected
    for at in range(len(expected)):
        assert await author.store.graph(after=expected[at].node_id) == expected[at + 1 :]
        assert await author.store.graph(after=expected[at].node_id, limit=3) == expected[at + 1 : at + 4]


async def test_g5_node_ids_are_unique_in_a_shared_graph(author: Author) -> None:
    (a,) = await author.turn(1)
    fork = await author.fork("fork", a.node_id)
    await author.turn(1)
    with pytest.raises(CorruptSession):
        await fork.commit([attrs.evolve(author.written[-1], payload=b"mine")])


async def test_s12_forking_what_is_not_there_is_missing(author: Author) -> None:
    with pytest.raises(SessionMissing) as caught:
        await author.store.commit(commit(fork=Fork("none", None)))
    assert str(caught.value) == "there is no session 'none' to fork"
    assert await author.store.head() == Absent()


async def test_s12_forking_at_a_leaf_that_is_not_stored_is_corrupt(author: Author) -> None:
    await author.turn()
    gone = ident()
    with pytest.raises(CorruptSession) as caught:
        await author.fork("fork", gone)
    assert (caught.value.kind, caught.value.node_ids) == ("dangling_leaf", (gone,))
    assert await author.backend.session("fork").head() == Absent()


async def test_s12_only_a_first_commit_can_fork(author: Author) -> None:
    await author.turn()
    with pytest.raises(InvalidInput) as caught:
        await author.commit(fork=Fork("chat", None))
    assert str(caught.value) == "session 'chat': only the first commit of a session can fork"


async def test_s8_nodes_that_a_fork_shares_outlive_the_original(author: Author) -> None:
    a, b, _, _ = await author.turn(4)
    fork = await author.fork("fork", b.node_id)
    (own,) = await fork.turn(1)
    await author.turn(2)
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    assert await fork.store.path(own.node_id) == [a, b, own]
    assert await fork.store.graph() == [a, b, own]
    assert (await author.backend.stats()).nodes == 3


async def test_s8_the_original_outlives_its_forks(author: Author) -> None:
    a, b = await author.turn(2)
    fork = await author.fork("fork", a.node_id)
    await fork.turn(2)
    await fork.store.delete(incarnation=fork.writer.incarnation, deleted_at=1)
    (c,) = await author.turn(1)
    assert await author.store.path(c.node_id) == [a, b, c]
    assert await author.store.graph() == [a, b, c]


async def test_s8_branches_off_the_path_of_a_living_session_stay(author: Author) -> None:
    a, b, c = await author.turn(3)
    fork = await author.fork("fork", b.node_id)
    (side,) = await fork.turn(1)
    await fork.commit(leaf=a.node_id)
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    assert await fork.store.graph() == [a, b, side]
    assert await fork.store.path(side.node_id) == [a, b, side]
    assert await fork.store.nodes([c.node_id]) == []


async def test_s8_the_last_of_a_family_takes_every_node_along(author: Author) -> None:
    await author.turn(3)
    fork = await author.fork("fork", author.leaf)
    await fork.turn(2)
    third = await fork.fork("third", fork.leaf)
    await third.turn(2)
    for member in (author, third, fork):
        await member.store.delete(incarnation=member.writer.incarnation, deleted_at=1)
    assert (await author.backend.stats()).nodes == 0


async def test_s8_the_ids_of_removed_nodes_are_free_for_a_fork(backend: StoreBackend, author: Author) -> None:
    a, b = await author.turn(2)
    fork = await author.fork("fork", a.node_id)
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    await fork.commit([b])
    assert await fork.store.path(b.node_id) == [a, b]

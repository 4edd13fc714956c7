"""Capability ``tenants``: one database, many owners, none of whom learns of another (S6)."""

from __future__ import annotations

from typing import cast

import pytest
from lash_hookspecs.errors import MissingBlob, SessionMissing
from lash_hookspecs.protocols.stores import LeasedStore, StoreBackend, TenantedBackend
from lash_hookspecs.records.store import Absent, Fork, Head, SessionQuery, StreamEntry, Writer, blob_ref

from tests.stores.build import INCARNATION, Author, commit, holder, ident

LEVEL = "tenants"


@pytest.fixture
def ann(backend: StoreBackend) -> Author:
    return Author(view(backend, "ann"))


@pytest.fixture
def bob(backend: StoreBackend) -> Author:
    return Author(view(backend, "bob"))


def view(backend: StoreBackend, name: str) -> StoreBackend:
    assert isinstance(backend, TenantedBackend)
    return backend.tenant(name)


async def ids(backend: StoreBackend, **labels: str) -> list[str]:
    page = await backend.sessions(SessionQuery(labels=labels))
    return [row.head.session_id for row in page.rows]


async def test_s6_a_store_that_keeps_tenants_apart_says_so(backend: StoreBackend) -> None:
    assert backend.capabilities.tenants
    assert view(backend, "ann").capabilities == backend.capabilities


async def test_s6_one_id_is_another_session_for_another_tenant(ann: Author, bob: Author) -> None:
    first = await ann.turn()
    assert await bob.store.head() == Absent()
    second = await bob.turn()
    assert await ann.store.graph() == first
    assert await bob.store.graph() == second


async def test_s6_the_default_tenant_is_the_backend_itself(backend: StoreBackend, ann: Author) -> None:
    default = Author(backend)
    nodes = await default.turn()
    assert await view(backend, "").session("chat").graph() == nodes
    assert view(backend, "").name == backend.name
    assert await ann.store.head() == Absent()
    await ann.turn()
    assert await ids(backend) == ["chat"]
    assert len(await default.store.records()) == 1


async def test_s6_tenants_may_use_one_node_id_and_one_commit_id(ann: Author, bob: Author) -> None:
    nodes = await ann.turn()
    again = commit(nodes=nodes, record=b"other")
    await bob.store.commit(again)
    assert await bob.store.graph() == await ann.store.graph() == nodes


async def test_s6_a_listing_shows_and_matches_only_the_tenants_own(ann: Author, bob: Author) -> None:
    await ann.commit(labels={"user": "u1"})
    bobs = Author(bob.backend, "other")
    await bobs.commit(labels={"user": "u1"}, open_turn="t")
    assert await ids(ann.backend) == await ids(ann.backend, user="u1") == ["chat"]
    assert await ids(bob.backend) == await ids(bob.backend, user="u1") == ["other"]
    assert (await ann.backend.sessions(SessionQuery(open_turn=True))).rows == ()


async def test_s6_a_session_of_another_tenant_cannot_be_forked(ann: Author, bob: Author) -> None:
    await ann.turn()
    with pytest.raises(SessionMissing):
        await bob.backend.session("fork").commit(commit("fork", leaf=ann.leaf, fork=Fork("chat", ann.leaf)))


async def test_s6_a_blob_of_another_tenant_is_missing_and_stored_again(ann: Author, bob: Author) -> None:
    body = b"secret" * 100
    (ref,) = await ann.store.put_blobs([body])
    with pytest.raises(MissingBlob):
        await bob.store.get_blobs([ref])
    with pytest.raises(MissingBlob):
        await bob.commit(components={"tools": blob_ref(body)})
    await bob.store.put_blobs([body])
    assert await bob.store.get_blobs([ref]) == {ref: body}
    assert (await ann.backend.stats()).blobs == (await bob.backend.stats()).blobs == 1


async def test_s6_leases_and_epochs_are_apart(ann: Author, bob: Author) -> None:
    lease = await cast(LeasedStore, ann.store).take_lease(holder("ann"), 30)
    assert await cast(LeasedStore, bob.store).lease() is None
    await bob.commit(writer=Writer(INCARNATION, 0))
    assert (await cast(LeasedStore, bob.store).take_lease(holder("bob"), 30)).epoch == lease.epoch
    head = await bob.store.head()
    assert isinstance(head, Head)
    assert head.epoch == 1


async def test_s14_streams_are_apart(ann: Author, bob: Author) -> None:
    for author in (ann, bob):
        await author.commit()
        await author.store.append("inbox", [StreamEntry("k", author.backend.name.encode())], writer=author.writer)
    (row,) = await ann.store.read("inbox")
    assert row.body == ann.backend.name.encode()


async def test_s8_a_deletion_leaves_the_other_tenants_session(ann: Author, bob: Author) -> None:
    await ann.turn()
    nodes = await bob.turn()
    await ann.store.delete(incarnation=INCARNATION, deleted_at=1)
    assert await bob.store.graph() == nodes
    await bob.turn()


async def test_stats_count_what_the_tenant_has(backend: StoreBackend, ann: Author, bob: Author) -> None:
    await ann.turn(2)
    await ann.turn(1)
    await ann.fork("fork", ann.leaf)
    await bob.turn(4)
    stats = [await each.stats() for each in (ann.backend, bob.backend, backend)]
    assert [(each.sessions, each.nodes, each.commits) for each in stats] == [(2, 3, 3), (1, 4, 1), (0, 0, 0)]


async def test_closing_a_view_closes_nothing(backend: StoreBackend, ann: Author, bob: Author) -> None:
    await ann.turn()
    await ann.backend.close()
    await ann.turn()
    await bob.turn()
    assert ann.backend.name != bob.backend.name != backend.name


async def test_a_tenant_may_have_any_name(backend: StoreBackend) -> None:
    names = ["a\0b", "a", "'; DROP TABLE session; --", "😀", " ", ident()]
    for name in names:
        await Author(view(backend, name), name).commit()
    for name in names:
        assert await ids(view(backend, name)) == [name]
    assert len({view(backend, name).name for name in names}) == len(names)

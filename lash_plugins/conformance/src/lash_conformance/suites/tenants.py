"""Tenants of one database (S6): none learns of another."""

from __future__ import annotations

from typing import ClassVar, cast

import pytest
from lash_conformance.build import INCARNATION, Author, commit, holder, ident
from lash_conformance.clauses import Clauses, needs
from lash_conformance.looking import names
from lash_hookspecs.errors import MissingBlob, SessionMissing
from lash_hookspecs.protocols.stores import LeasedStore, StoreBackend, TenantedBackend
from lash_hookspecs.records.store import Absent, Fork, Head, SessionQuery, StreamEntry, Writer, blob_ref

__all__ = ["TenantClauses"]


def view(backend: StoreBackend, name: str) -> StoreBackend:
    """Give the view of one tenant."""
    assert isinstance(backend, TenantedBackend)
    return backend.tenant(name)


class TenantClauses(Clauses, level="core"):
    """Tenants of one database (S6): none learns of another."""

    tenants: ClassVar[bool] = False

    @pytest.fixture
    def ann(self, backend: StoreBackend) -> Author:
        """Write as the tenant ``ann``."""
        return Author(view(backend, "ann"))

    @pytest.fixture
    def bob(self, backend: StoreBackend) -> Author:
        """Write as the tenant ``bob``."""
        return Author(view(backend, "bob"))

    @needs("tenants")
    async def test_S6_blobs__a_store_that_keeps_tenants_apart_says_so(self, backend: StoreBackend) -> None:
        assert backend.capabilities.tenants
        assert view(backend, "ann").capabilities == backend.capabilities

    @needs("tenants")
    async def test_S6_blobs__one_id_is_another_session_for_another_tenant(self, ann: Author, bob: Author) -> None:
        first = await ann.turn()
        assert await bob.store.head() == Absent()
        second = await bob.turn()
        assert list(await ann.store.graph()) == first
        assert list(await bob.store.graph()) == second

    @needs("tenants")
    async def test_S6_blobs__the_default_tenant_is_the_backend_itself(self, backend: StoreBackend, ann: Author) -> None:
        default = Author(backend)
        nodes = await default.turn()
        assert list(await view(backend, "").session("chat").graph()) == nodes
        assert view(backend, "").name == backend.name
        assert await ann.store.head() == Absent()
        await ann.turn()
        assert await names(backend) == ["chat"]
        assert len(await default.store.records()) == 1

    @needs("tenants")
    async def test_S6_blobs__tenants_may_use_one_node_id_and_one_commit_id(self, ann: Author, bob: Author) -> None:
        nodes = await ann.turn()
        again = commit(nodes=nodes, record=b"other")
        await bob.store.commit(again)
        assert list(await bob.store.graph()) == list(await ann.store.graph()) == nodes

    @needs("tenants")
    async def test_S6_blobs__a_listing_shows_and_matches_only_the_tenants_own(self, ann: Author, bob: Author) -> None:
        await ann.commit(labels={"user": "u1"})
        bobs = Author(bob.backend, "other")
        await bobs.commit(labels={"user": "u1"}, open_turn="t")
        assert await names(ann.backend) == await names(ann.backend, labels={"user": "u1"}) == ["chat"]
        assert await names(bob.backend) == await names(bob.backend, labels={"user": "u1"}) == ["other"]
        assert (await ann.backend.sessions(SessionQuery(open_turn=True))).rows == ()

    @needs("tenants", "sharing")
    async def test_S6_blobs__a_session_of_another_tenant_cannot_be_forked(self, ann: Author, bob: Author) -> None:
        await ann.turn()
        with pytest.raises(SessionMissing):
            await bob.backend.session("fork").commit(commit("fork", leaf=ann.leaf, fork=Fork("chat", ann.leaf)))

    @needs("tenants")
    async def test_S6_blobs__a_blob_of_another_tenant_is_missing_and_stored_again(
        self, ann: Author, bob: Author
    ) -> None:
        body = b"secret" * 100
        (ref,) = await ann.store.put_blobs([body])
        with pytest.raises(MissingBlob):
            await bob.store.get_blobs([ref])
        with pytest.raises(MissingBlob):
            await bob.commit(components={"tools": blob_ref(body)})
        await bob.store.put_blobs([body])
        assert await bob.store.get_blobs([ref]) == {ref: body}
        assert (await ann.backend.stats()).blobs == (await bob.backend.stats()).blobs == 1

    @needs("tenants", "leases")
    async def test_S6_blobs__leases_and_epochs_are_apart(self, ann: Author, bob: Author) -> None:
        lease = await cast(LeasedStore, ann.store).take_lease(holder("ann"), 30)
        assert await cast(LeasedStore, bob.store).lease() is None
        await bob.commit(writer=Writer(INCARNATION, 0))
        assert (await cast(LeasedStore, bob.store).take_lease(holder("bob"), 30)).epoch == lease.epoch
        head = await bob.store.head()
        assert isinstance(head, Head)
        assert head.epoch == 1

    @needs("tenants")
    async def test_S14_streams__streams_are_apart(self, ann: Author, bob: Author) -> None:
        for author in (ann, bob):
            await author.commit()
            await author.store.append("inbox", [StreamEntry("k", author.backend.name.encode())], writer=author.writer)
        (row,) = await ann.store.read("inbox")
        assert row.body == ann.backend.name.encode()

    @needs("tenants")
    async def test_S8_retention__a_deletion_leaves_the_other_tenants_session(self, ann: Author, bob: Author) -> None:
        await ann.turn()
        nodes = await bob.turn()
        await ann.store.delete(incarnation=INCARNATION, deleted_at=1)
        assert list(await bob.store.graph()) == nodes
        await bob.turn()

    @needs("tenants")
    async def test_S1_one_session__stats_count_what_the_tenant_has(
        self, backend: StoreBackend, ann: Author, bob: Author
    ) -> None:
        await ann.turn(2)
        await ann.turn(1)
        await bob.turn(4)
        stats = [await each.stats() for each in (ann.backend, bob.backend, backend)]
        assert [(each.sessions, each.nodes, each.commits) for each in stats] == [(1, 3, 2), (1, 4, 1), (0, 0, 0)]

    @needs("tenants")
    async def test_S1_one_session__closing_a_view_closes_nothing(
        self, backend: StoreBackend, ann: Author, bob: Author
    ) -> None:
        await ann.turn()
        await ann.backend.close()
        await ann.turn()
        await bob.turn()
        assert ann.backend.name != bob.backend.name != backend.name

    @needs("tenants")
    async def test_S11_hostile__a_tenant_may_have_any_name(self, backend: StoreBackend) -> None:
        hostile = ["a\0b", "a", "'; DROP TABLE session; --", "😀", " ", ident()]
        for name in hostile:
            await Author(view(backend, name), name).commit()
        for name in hostile:
            assert await names(view(backend, name)) == [name]
        assert len({view(backend, name).name for name in hostile}) == len(hostile)

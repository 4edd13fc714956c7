"""The backend: handles, listings, counts (S1, L14)."""

from __future__ import annotations

import pytest
from lash_conformance.build import Author, commit, ident
from lash_conformance.clauses import Clauses
from lash_conformance.looking import names
from lash_hookspecs.errors import (
    SessionBindingMismatch,
)
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.store import (
    Absent,
    SessionQuery,
)

__all__ = ["ListingClauses"]


class ListingClauses(Clauses, level="core"):
    """The backend: handles, listings, counts (S1, L14)."""

    async def test_S1_one_session__a_store_answers_to_its_protocol(self, backend: StoreBackend) -> None:
        assert isinstance(backend.session("chat"), SessionStore)
        assert "core" in backend.capabilities.levels

    async def test_S1_one_session__a_session_that_never_was_is_absent(self, author: Author) -> None:
        assert await author.store.head() == Absent()
        assert list(await author.store.nodes([ident()])) == []
        assert list(await author.store.graph()) == []
        assert list(await author.store.records()) == []
        assert list(await author.store.read("inbox")) == []

    async def test_S1_one_session__a_commit_for_another_session_is_refused(self, author: Author) -> None:
        with pytest.raises(SessionBindingMismatch) as caught:
            await author.store.commit(commit("other"))
        assert (caught.value.bound, caught.value.requested) == ("chat", "other")
        assert await author.store.head() == Absent()
        assert await author.backend.session("other").head() == Absent()

    async def test_S1_one_session__closing_twice_is_closing_once(self, backend: StoreBackend) -> None:
        await backend.close()
        await backend.close()

    async def test_S1_one_session__sessions_are_listed_by_labels(self, backend: StoreBackend) -> None:
        await Author(backend, "a").commit(labels={"user": "u1", "kind": "x"})
        await Author(backend, "b").commit(labels={"user": "u1"}, open_turn="t")
        await Author(backend, "c").commit(labels={"user": "u2", "kind": "x"})
        assert await names(backend, labels={"user": "u1"}) == ["a", "b"]
        assert await names(backend, labels={"user": "u1", "kind": "x"}) == ["a"]
        assert await names(backend, labels={"user": "u1"}, open_turn=True) == ["b"]
        assert await names(backend, labels={"user": "u3"}) == []

    async def test_S1_one_session__a_listing_comes_in_pages(self, backend: StoreBackend) -> None:
        for number in range(5):
            await Author(backend, f"s{number}").commit(labels={"all": "yes"})
        for labels in ({}, {"all": "yes"}):
            page = await backend.sessions(SessionQuery(limit=2, labels=labels))
            seen = [row.head.session_id for row in page.rows]
            assert seen == ["s0", "s1"]
            while page.cursor is not None:
                page = await backend.sessions(SessionQuery(limit=2, labels=labels, after=page.cursor))
                seen += [row.head.session_id for row in page.rows]
                assert len(page.rows) <= 2
            assert seen == [f"s{number}" for number in range(5)]

    async def test_S1_one_session__a_cursor_stays_where_it_is_while_sessions_are_added(
        self, backend: StoreBackend
    ) -> None:
        for number in range(4):
            await Author(backend, f"s{number}").commit(labels={"all": "yes"})
        page = await backend.sessions(SessionQuery(limit=2, labels={"all": "yes"}))
        for name in ("s00", "s25", "t"):
            await Author(backend, name).commit(labels={"all": "yes"})
        seen = [row.head.session_id for row in page.rows]
        while page.cursor is not None:
            page = await backend.sessions(SessionQuery(limit=2, labels={"all": "yes"}, after=page.cursor))
            seen += [row.head.session_id for row in page.rows]
        assert seen == ["s0", "s1", "s2", "s25", "s3", "t"]

    async def test_S1_one_session__stats_count_what_is_stored(self, backend: StoreBackend, author: Author) -> None:
        await author.turn()
        await author.turn()
        await author.store.put_blobs([b"blob"])
        stats = await backend.stats()
        assert (stats.sessions, stats.nodes, stats.commits, stats.blobs) == (1, 6, 2, 1)

    async def test_L14_open_turns__sessions_with_an_open_turn_are_listed(self, backend: StoreBackend) -> None:
        for name, turn in (("a", "t1"), ("b", None), ("c", "t2"), ("d", "t3")):
            await Author(backend, name).commit(open_turn=turn)
        done = Author(backend, "d", revision=1)
        await done.commit(open_turn=None)
        assert await names(backend, open_turn=True) == ["a", "c"]
        assert await names(backend, open_turn=False) == ["b", "d"]
        assert await names(backend) == ["a", "b", "c", "d"]

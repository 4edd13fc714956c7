"""Hostile, odd and large values (S11, G2)."""

from __future__ import annotations

from typing import ClassVar

import pytest
from lash_conformance.build import Author, chain, node
from lash_conformance.clauses import Clauses, needs
from lash_conformance.looking import everything, stored
from lash_conformance.place import Place
from lash_hookspecs.errors import LashError, LimitExceeded
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Absent, Commit, Consumed, SessionQuery, StreamEntry, StreamRow, blob_ref

__all__ = ["HostileClauses"]

HOSTILE = [
    "x" * 10_000,
    "😀👩‍👩‍👧",
    "../../x",
    "a\0b",
    "a",
    "-rf",
    "'; DROP TABLE session; --",
    "redis.call('FLUSHALL')",
    "${jndi:x}{0}%s",
    "a\nb\r\nc",
    "*",
    '"',
    " ",
    "%00",
    "",
]

#: Bytes that every store without a declared limit has to take in one value.
LARGE = 10_000_000

#: The largest declared limit that is tried.
TRIED = 64 << 20


class HostileClauses(Clauses, level="core"):
    """Hostile, odd and large values (S11, G2)."""

    small_limits_url: ClassVar[str | None] = None

    async def test_S11_hostile__hostile_names_are_only_names(self, backend: StoreBackend) -> None:
        for number, name in enumerate(HOSTILE):
            author = Author(backend, name)
            await author.commit([node(name or "empty")], labels={name: name}, open_turn=name)
            await author.store.append(name, [StreamEntry(name, b"%d" % number)], writer=author.writer)
        for number, name in enumerate(HOSTILE):
            store = backend.session(name)
            assert (await stored(store)).labels == {name: name}
            assert (await stored(store)).open_turn == name
            assert list(await store.read(name)) == [StreamRow(1, name, b"%d" % number)]
            assert [found.node_id for found in await store.graph()] == [name or "empty"]
            page = await backend.sessions(SessionQuery(labels={name: name}))
            assert [row.head.session_id for row in page.rows] == [name]
        page = await backend.sessions(SessionQuery())
        assert [row.head.session_id for row in page.rows] == sorted(HOSTILE)

    async def test_S11_hostile__hostile_incarnations_and_commit_ids_are_only_names(self, backend: StoreBackend) -> None:
        for number, name in enumerate(HOSTILE[:-1]):
            author = Author(backend, f"s{number}")
            author.writer = type(author.writer)(name, 0)
            receipt = await author.commit(commit_id=name)
            assert receipt.commit_id == name
            assert (await stored(author.store)).incarnation == name
            await author.store.delete(incarnation=name, deleted_at=1)
            assert not await backend.session(f"s{number}").records()

    @pytest.mark.parametrize("where", ["node", "kind", "label", "turn", "component", "commit_id"])
    async def test_S11_hostile__lone_surrogates_come_back_or_are_refused(self, author: Author, where: str) -> None:
        lone, body = "lone \ud800 surrogate", b"body"
        await author.turn()
        before = await everything(author)
        odd: Commit = {
            "node": lambda: author.next([node(lone)]),
            "kind": lambda: author.next([node(kind=lone)]),
            "label": lambda: author.next(labels={lone: lone}),
            "turn": lambda: author.next(open_turn=lone),
            "component": lambda: author.next(components={lone: blob_ref(body)}, blobs={blob_ref(body): body}),
            "commit_id": lambda: author.next(commit_id=lone),
        }[where]()
        try:
            receipt = await author.store.commit(odd)
        except LashError:
            assert await everything(author) == before
        else:
            head = await stored(author.store)
            assert (receipt.commit_id, head.open_turn) == (odd.commit_id, odd.open_turn)
            assert head.components == odd.components
            assert odd.labels in (None, head.labels)
            assert list(await author.store.graph())[3:] == list(odd.nodes)
            author.revision = receipt.revision
        await author.turn()

    async def test_S11_hostile__a_large_value_comes_back(self, author: Author) -> None:
        limit = author.backend.capabilities.max_value
        size = LARGE if limit is None else min(LARGE, limit)
        body = bytes(range(256)) * (size // 256 + 1)
        body = body[:size]
        large = node(payload=body)
        await author.commit([large], components={"mode": blob_ref(body)}, blobs={blob_ref(body): body})
        await author.store.append("inbox", [StreamEntry("large", body)], writer=author.writer)
        assert list(await author.store.path(large.node_id)) == [large]
        assert (await author.store.get_blobs([blob_ref(body)]))[blob_ref(body)] == body
        assert [row.body for row in await author.store.read("inbox")] == [body]

    async def test_S11_hostile__many_small_things_fit_into_one_session(self, author: Author) -> None:
        limit = author.backend.capabilities.max_nodes_per_commit
        nodes = chain(2_000 if limit is None else min(2_000, limit))
        labels = {f"label {number}": str(number) for number in range(500)}
        bodies = {blob_ref(b"%d" % number): b"%d" % number for number in range(500)}
        components = {f"part {number}": ref for number, ref in enumerate(bodies)}
        await author.commit(nodes, labels=labels, components=components, blobs=bodies)
        entries = [StreamEntry(f"key {number}", b"") for number in range(2_000)]
        assert list(await author.store.append("inbox", entries, writer=author.writer)) == list(range(1, 2_001))
        head = await stored(author.store)
        assert (head.labels, head.components) == (labels, components)
        assert list(await author.store.path(nodes[-1].node_id)) == nodes
        assert await author.store.get_blobs(list(bodies)) == bodies
        await author.commit(components=components, consumed=(Consumed("inbox", 1_999),))
        assert [row.sequence for row in await author.store.read("inbox")] == [2_000]

    async def test_S11_hostile__nothing_is_a_value_too(self, author: Author) -> None:
        await author.commit(state=b"", record=b"", components={}, labels={"": ""}, open_turn="")
        head = await stored(author.store)
        assert (head.state, head.labels, head.open_turn) == (b"", {"": ""}, "")
        assert list(await author.store.append("inbox", [], writer=author.writer)) == []
        assert list(await author.store.put_blobs([])) == []
        assert await author.store.get_blobs([]) == {}

    @needs("small_limits_url")
    async def test_S11_hostile__a_value_over_the_declared_limit_is_refused(self, place: Place) -> None:
        backend = await place.open(place.url_with(self.small_limits_url))
        limit = backend.capabilities.max_value
        if limit is None or limit > TRIED:
            pytest.skip(f"not run: small_limits_url declares max_value {limit}; at most {TRIED} is tried")
        author, big = Author(backend), b"x" * (limit + 1)
        await author.commit([node(payload=big[1:])])
        before = await everything(author)
        for attempt in (
            author.store.commit(author.next([node(payload=big)])),
            author.store.commit(author.next(state=big)),
            author.store.commit(author.next(record=big)),
            author.store.commit(author.next(blobs={blob_ref(big): big})),
            author.store.put_blobs([big]),
            author.store.append("inbox", [StreamEntry("k", big)], writer=author.writer),
        ):
            with pytest.raises(LimitExceeded):
                await attempt
        assert await everything(author) == before

    async def test_S11_hostile__more_nodes_than_declared_are_refused(self, author: Author) -> None:
        limit = author.backend.capabilities.max_nodes_per_commit
        if limit is None:
            pytest.skip("does not apply: no max_nodes_per_commit declared")
        with pytest.raises(LimitExceeded):
            await author.store.commit(author.next(chain(limit + 1)))
        assert await author.store.head() == Absent()

"""Blobs and the components that refer to them (S6)."""

from __future__ import annotations

import pytest
from lash_conformance.build import Author, chain, node
from lash_conformance.clauses import Clauses
from lash_conformance.looking import stored
from lash_hookspecs.errors import (
    InvalidInput,
    MissingBlob,
)
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import (
    Absent,
    blob_ref,
)

__all__ = ["BlobClauses"]


class BlobClauses(Clauses, level="core"):
    """Blobs and the components that refer to them (S6)."""

    async def test_S6_blobs__a_component_whose_body_is_nowhere_is_refused(self, author: Author) -> None:
        gone = blob_ref(b"gone")
        with pytest.raises(MissingBlob) as caught:
            await author.store.commit(author.next(chain(1), components={"tools": gone}))
        assert (caught.value.ref, caught.value.component) == (gone, "tools")
        assert await author.store.head() == Absent()

    async def test_S6_blobs__a_node_that_refers_to_a_missing_blob_is_refused(self, author: Author) -> None:
        with pytest.raises(MissingBlob) as caught:
            await author.store.commit(author.next([node(refs=(blob_ref(b"gone"),))]))
        assert caught.value.component is None
        assert await author.store.head() == Absent()

    async def test_S6_blobs__a_nodes_refs_come_back(self, author: Author) -> None:
        refs = tuple(await author.store.put_blobs([b"one", b"two"]))
        nodes = [node(refs=refs), node()]
        await author.commit(nodes)
        assert list(await author.store.graph()) == nodes

    async def test_S6_blobs__a_ref_is_carried_without_its_body(self, author: Author) -> None:
        body = b"snapshot" * 50
        await author.commit(components={"mode": blob_ref(body)}, blobs={blob_ref(body): body})
        await author.commit(components={"mode": blob_ref(body)})
        assert (await stored(author.store)).components == {"mode": blob_ref(body)}

    async def test_S6_blobs__a_body_may_be_stored_before_the_commit(self, author: Author) -> None:
        (ref,) = await author.store.put_blobs([b"before"])
        await author.commit(components={"mode": ref})
        assert await author.store.get_blobs([ref]) == {ref: b"before"}

    @pytest.mark.parametrize("body", [b"", b"x", b"x" * 100_000, bytes(range(256)) * 40])
    async def test_S6_blobs__a_blob_comes_back_byte_for_byte(self, author: Author, body: bytes) -> None:
        (ref,) = await author.store.put_blobs([body])
        assert ref == blob_ref(body)
        assert await author.store.get_blobs([ref]) == {ref: body}

    async def test_S6_blobs__storing_a_blob_twice_stores_it_once(self, backend: StoreBackend) -> None:
        assert len(set(await backend.session("a").put_blobs([b"same", b"same"]))) == 1
        await backend.session("b").put_blobs([b"same"])
        assert (await backend.stats()).blobs == 1

    async def test_S6_blobs__a_blob_that_is_not_there_is_missed(self, author: Author) -> None:
        for ref in (blob_ref(b"gone"), "../../etc/passwd", "not hex"):
            with pytest.raises(MissingBlob) as caught:
                await author.store.get_blobs([ref])
            assert caught.value.ref == ref

    async def test_S6_blobs__a_body_under_a_wrong_ref_is_refused(self, author: Author) -> None:
        with pytest.raises(InvalidInput):
            await author.store.commit(author.next(blobs={blob_ref(b"this"): b"that"}))
        assert await author.store.head() == Absent()

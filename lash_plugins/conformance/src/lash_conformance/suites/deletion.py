"""Deletion and late writers (S8)."""

from __future__ import annotations

import pytest
from lash_conformance.build import INCARNATION, Author, commit, ident
from lash_conformance.clauses import Clauses
from lash_conformance.looking import names, stored
from lash_hookspecs.errors import (
    SessionDeleted,
    SessionMissing,
)
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import (
    Deleted,
    StreamEntry,
    Writer,
)

__all__ = ["DeletionClauses"]


class DeletionClauses(Clauses, level="core"):
    """Deletion and late writers (S8)."""

    async def test_S8_retention__a_deleted_session_leaves_a_tombstone(self, author: Author) -> None:
        await author.turn()
        await author.store.append("inbox", [StreamEntry("k", b"v")], writer=author.writer)
        await author.store.delete(incarnation=INCARNATION, deleted_at=9)
        assert await author.store.head() == Deleted(INCARNATION, 1, 9)
        assert list(await author.store.graph()) == []
        assert list(await author.store.records()) == []
        assert list(await author.store.read("inbox")) == []
        assert (await author.backend.stats()).sessions == 0
        assert (await author.backend.stats()).nodes == 0

    async def test_S8_retention__late_writers_of_a_dead_incarnation_are_refused_for_ever(self, author: Author) -> None:
        await author.turn()
        replay = author.next()
        await author.store.commit(replay)
        await author.store.delete(incarnation=INCARNATION, deleted_at=9)
        for late in (replay, author.next(), commit()):
            with pytest.raises(SessionDeleted):
                await author.store.commit(late)
        for write in (
            author.store.append("inbox", [], writer=author.writer),
            author.store.trim("inbox", 1, writer=author.writer),
        ):
            with pytest.raises(SessionDeleted):
                await write

    async def test_S8_retention__late_writers_of_each_of_two_dead_incarnations_are_refused(
        self, backend: StoreBackend, author: Author
    ) -> None:
        again = Author(backend, writer=Writer(ident(), 0))
        for deleted_at, writer in enumerate((author, again)):
            await writer.turn()
            await writer.store.delete(incarnation=writer.writer.incarnation, deleted_at=deleted_at)
        for late in (author, again):
            for refused in (late.next(), commit(writer=late.writer)):
                with pytest.raises(SessionDeleted):
                    await late.store.commit(refused)
            with pytest.raises(SessionDeleted):
                await late.store.append("inbox", [], writer=late.writer)
            await late.store.delete(incarnation=late.writer.incarnation, deleted_at=11)
        assert await again.store.head() == Deleted(again.writer.incarnation, 1, 1)

    async def test_S8_retention__a_deleted_name_is_free_again(self, backend: StoreBackend, author: Author) -> None:
        nodes = await author.turn(writer=Writer(INCARNATION, 7))
        await author.store.delete(incarnation=INCARNATION, deleted_at=9)
        again = Author(backend, writer=Writer(ident(), 0))
        await again.commit(nodes)
        head = await stored(again.store)
        assert (head.revision, head.incarnation) == (1, again.writer.incarnation)
        with pytest.raises(SessionDeleted):
            await author.store.commit(author.next())
        assert list(await again.store.graph()) == nodes

    async def test_S8_retention__deleting_a_dead_incarnation_changes_nothing(
        self, backend: StoreBackend, author: Author
    ) -> None:
        await author.turn()
        await author.store.delete(incarnation=INCARNATION, deleted_at=9)
        again = Author(backend, writer=Writer(ident(), 0))
        await again.turn()
        await author.store.delete(incarnation=INCARNATION, deleted_at=10)
        assert (await stored(again.store)).revision == 1
        await again.store.delete(incarnation=again.writer.incarnation, deleted_at=11)
        assert await again.store.head() == Deleted(again.writer.incarnation, 1, 11)

    async def test_S8_retention__deleting_what_never_was_is_missing(self, author: Author) -> None:
        await author.commit()
        with pytest.raises(SessionMissing):
            await author.store.delete(incarnation="never", deleted_at=9)

    async def test_S8_retention__a_deleted_session_is_not_listed(self, backend: StoreBackend, author: Author) -> None:
        await author.commit(labels={"a": "b"}, open_turn="t")
        await author.store.delete(incarnation=INCARNATION, deleted_at=1)
        assert await names(backend) == []
        assert await names(backend, labels={"a": "b"}) == []
        assert await names(backend, open_turn=True) == []

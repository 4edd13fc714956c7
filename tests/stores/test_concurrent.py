"""Level ``concurrent``: leases and epochs (S5)."""

from __future__ import annotations

from typing import cast

import pytest
from lash_hookspecs.errors import SessionLeased, WriterFenced
from lash_hookspecs.protocols.stores import LeasedStore, StoreBackend
from lash_hookspecs.records.store import Absent, Head, Lease, SessionQuery, StreamEntry, Writer

from tests.stores.build import INCARNATION, Author, commit, holder, ident
from tests.stores.conftest import Clock

LEVEL = "concurrent"

ANN, BOB = holder("ann", "one"), holder("bob", "two")


def leased(author: Author) -> LeasedStore:
    return cast(LeasedStore, author.store)


async def test_s5_a_store_of_this_level_has_leases(author: Author) -> None:
    assert isinstance(author.store, LeasedStore)
    assert "concurrent" in author.backend.capabilities.levels


async def test_s5_a_session_without_a_lease_says_so(author: Author) -> None:
    assert await leased(author).lease() is None


async def test_s5_taking_the_lease_bumps_the_epoch(author: Author) -> None:
    await author.commit()
    assert await leased(author).take_lease(ANN, 30) == Lease(ANN, 1, 30)
    head = await author.store.head()
    assert isinstance(head, Head)
    assert head.epoch == 1


async def test_s5_a_lease_may_precede_the_first_commit(author: Author) -> None:
    lease = await leased(author).take_lease(ANN, 30)
    assert await author.store.head() == Absent()
    with pytest.raises(WriterFenced):
        await author.store.commit(commit())
    await author.commit(writer=Writer(INCARNATION, lease.epoch))


async def test_s5_a_lease_that_is_held_is_refused_with_its_holder(author: Author, clock: Clock) -> None:
    await leased(author).take_lease(ANN, 30)
    clock.now += 10
    with pytest.raises(SessionLeased) as caught:
        await leased(author).take_lease(BOB, 30)
    assert (caught.value.holder, caught.value.epoch, caught.value.expires_in) == (ANN, 1, 20)
    assert str(caught.value) == "session 'chat' is leased to ann (pid 4711 on vega) for another 20 s"


async def test_s5_an_expired_lease_is_free(author: Author, clock: Clock) -> None:
    await leased(author).take_lease(ANN, 30)
    clock.now += 30
    assert await leased(author).take_lease(BOB, 5) == Lease(BOB, 2, 5)
    assert await leased(author).lease() == Lease(BOB, 2, 5)


async def test_s5_the_lease_of_a_holder_known_to_be_dead_is_replaced(author: Author) -> None:
    lease = await leased(author).take_lease(ANN, 30)
    with pytest.raises(SessionLeased):
        await leased(author).take_lease(BOB, 30, replacing=lease.epoch + 1)
    assert (await leased(author).take_lease(BOB, 30, replacing=lease.epoch)).epoch == 2


async def test_s5_a_writer_that_lost_its_lease_is_fenced_and_told_by_whom(author: Author, clock: Clock) -> None:
    await author.commit()
    await leased(author).take_lease(ANN, 30)
    author.writer = Writer(INCARNATION, 1)
    await author.turn()
    clock.now += 31
    await leased(author).take_lease(BOB, 30)
    with pytest.raises(WriterFenced) as caught:
        await author.turn()
    assert str(caught.value) == (
        "session 'chat' was taken over by bob (pid 4711 on vega) (epoch 2; this writer has 1): nothing was written"
    )
    with pytest.raises(WriterFenced):
        await author.store.append("inbox", [StreamEntry("a", b"")], writer=author.writer)


async def test_s5_a_renewed_lease_lasts_longer(author: Author, clock: Clock) -> None:
    lease = await leased(author).take_lease(ANN, 30)
    clock.now += 20
    assert await leased(author).renew_lease(lease, 30) == Lease(ANN, 1, 30)
    clock.now += 20
    assert await leased(author).lease() == Lease(ANN, 1, 10)


async def test_s5_an_expired_lease_that_nobody_took_can_be_renewed(author: Author, clock: Clock) -> None:
    lease = await leased(author).take_lease(ANN, 30)
    clock.now += 40
    assert await leased(author).lease() == Lease(ANN, 1, -10)
    assert (await leased(author).renew_lease(lease, 30)).epoch == 1


async def test_s5_a_lease_that_was_taken_over_cannot_be_renewed(author: Author, clock: Clock) -> None:
    lease = await leased(author).take_lease(ANN, 30)
    clock.now += 31
    await leased(author).take_lease(BOB, 30)
    with pytest.raises(WriterFenced) as caught:
        await leased(author).renew_lease(lease, 30)
    assert caught.value.holder == BOB


async def test_s5_a_released_lease_is_gone_and_its_epoch_stays(author: Author) -> None:
    await author.commit()
    lease = await leased(author).take_lease(ANN, 30)
    await leased(author).release_lease(lease)
    assert await leased(author).lease() is None
    with pytest.raises(WriterFenced):
        await author.commit()
    assert (await leased(author).take_lease(BOB, 30)).epoch == 2


async def test_s5_releasing_what_is_no_longer_held_changes_nothing(author: Author, clock: Clock) -> None:
    lease = await leased(author).take_lease(ANN, 30)
    clock.now += 31
    taken = await leased(author).take_lease(BOB, 30)
    await leased(author).release_lease(lease)
    assert await leased(author).lease() == taken


async def test_s5_the_epoch_grows_across_incarnations(author: Author) -> None:
    await author.commit()
    lease = await leased(author).take_lease(ANN, 30)
    author.writer = Writer(INCARNATION, 9)
    await author.commit()
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    assert await leased(author).lease() is None
    with pytest.raises(WriterFenced):
        await leased(author).renew_lease(lease, 30)
    await leased(author).release_lease(lease)
    again = await leased(author).take_lease(BOB, 30)
    assert again.epoch == 10
    await Author(author.backend, writer=Writer(ident(), 10)).commit()


async def test_s5_a_listing_shows_the_lease(backend: StoreBackend, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        await Author(backend, name).commit()
    await leased(Author(backend, "b")).take_lease(ANN, 30)
    gone = await leased(Author(backend, "c")).take_lease(ANN, 30)
    await leased(Author(backend, "c")).release_lease(gone)
    clock.now += 5
    page = await backend.sessions(SessionQuery())
    assert [row.lease for row in page.rows] == [None, Lease(ANN, 1, 25), None]
    assert [row.head.epoch for row in page.rows] == [0, 1, 1]

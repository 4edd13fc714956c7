"""Leases and epochs (S5)."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import attrs
import pytest
from lash_conformance.build import INCARNATION, Author, commit, holder, ident
from lash_conformance.clauses import Clauses, needs
from lash_conformance.looking import stored
from lash_conformance.place import ManualClock, Place
from lash_hookspecs.errors import SessionLeased, WriterFenced
from lash_hookspecs.protocols.stores import LeasedStore, StoreBackend
from lash_hookspecs.records.store import Absent, Holder, Lease, SessionQuery, Writer

__all__ = ["LeaseClauses"]

ANN, BOB = holder("ann", "one"), holder("bob", "two")

#: Seconds of a lease that shall last, and of one that shall expire while a test waits for it.
LONG, BRIEF = 600.0, 0.05


def leased(author: Author) -> LeasedStore:
    """Give a session's store as one that has leases."""
    return cast(LeasedStore, author.store)


def is_lease(lease: Lease | None, who: Holder, epoch: int, *, at_most: float) -> bool:
    """Tell whether this is somebody's lease that is in force."""
    return lease is not None and (lease.holder, lease.epoch) == (who, epoch) and 0 < lease.expires_in <= at_most


@attrs.frozen
class Waiting:
    """Waits until a lease has expired: at once where the kit has the clock, else by looking."""

    place: Place

    async def expire(self, store: LeasedStore) -> None:
        """Return when the lease is no longer in force."""
        if self.place.clock is not None:
            self.place.clock.now += BRIEF
        deadline = time.monotonic() + self.place.patience
        while (lease := await store.lease()) and lease.expires_in > 0:
            assert time.monotonic() < deadline, f"a lease of {BRIEF} s is still in force: {lease}"
            await asyncio.sleep(BRIEF / 5)


class LeaseClauses(Clauses, level="concurrent"):
    """Leases and epochs (S5)."""

    @pytest.fixture
    def waiting(self, place: Place) -> Waiting:
        """Wait until a lease has expired."""
        return Waiting(place)

    async def test_S5_fencing__a_session_without_a_lease_says_so(self, author: Author) -> None:
        assert await leased(author).lease() is None

    async def test_S5_fencing__taking_the_lease_bumps_the_epoch(self, author: Author) -> None:
        await author.commit()
        assert is_lease(await leased(author).take_lease(ANN, LONG), ANN, 1, at_most=LONG)
        assert (await stored(author.store)).epoch == 1

    async def test_S5_fencing__a_lease_may_precede_the_first_commit(self, author: Author) -> None:
        lease = await leased(author).take_lease(ANN, LONG)
        assert await author.store.head() == Absent()
        with pytest.raises(WriterFenced):
            await author.store.commit(commit())
        await author.commit(writer=Writer(INCARNATION, lease.epoch))

    async def test_S5_fencing__a_lease_that_is_held_is_refused_with_its_holder(self, author: Author) -> None:
        await leased(author).take_lease(ANN, LONG)
        with pytest.raises(SessionLeased) as caught:
            await leased(author).take_lease(BOB, LONG)
        assert (caught.value.holder, caught.value.epoch) == (ANN, 1)
        assert 0 < caught.value.expires_in <= LONG
        assert is_lease(await leased(author).lease(), ANN, 1, at_most=LONG)

    @needs("clock")
    async def test_S5_fencing__the_time_that_a_lease_has_left_is_told(self, author: Author, clock: ManualClock) -> None:
        assert await leased(author).take_lease(ANN, 30) == Lease(ANN, 1, 30)
        clock.now += 10
        assert await leased(author).lease() == Lease(ANN, 1, 20)
        clock.now += 30
        assert await leased(author).lease() == Lease(ANN, 1, -10)

    async def test_S5_fencing__an_expired_lease_is_free(self, author: Author, waiting: Waiting) -> None:
        await leased(author).take_lease(ANN, BRIEF)
        await waiting.expire(leased(author))
        assert is_lease(await leased(author).take_lease(BOB, LONG), BOB, 2, at_most=LONG)
        assert is_lease(await leased(author).lease(), BOB, 2, at_most=LONG)

    async def test_S5_fencing__the_lease_of_a_holder_known_to_be_dead_is_replaced(self, author: Author) -> None:
        lease = await leased(author).take_lease(ANN, LONG)
        with pytest.raises(SessionLeased):
            await leased(author).take_lease(BOB, LONG, replacing=lease.epoch + 1)
        assert (await leased(author).take_lease(BOB, LONG, replacing=lease.epoch)).epoch == 2

    async def test_S5_fencing__a_writer_that_lost_its_lease_is_fenced_and_told_by_whom(
        self, author: Author, waiting: Waiting
    ) -> None:
        await author.commit()
        await leased(author).take_lease(ANN, BRIEF)
        author.writer = Writer(INCARNATION, 1)
        await author.turn()
        await waiting.expire(leased(author))
        await leased(author).take_lease(BOB, LONG)
        with pytest.raises(WriterFenced) as caught:
            await author.turn()
        assert (caught.value.epoch, caught.value.current, caught.value.holder) == (1, 2, BOB)

    async def test_S4_replay__a_replay_is_answered_though_its_writer_lost_the_lease(self, author: Author) -> None:
        sent = author.next(writer=Writer(INCARNATION, 0))
        receipt = await author.store.commit(sent)
        await leased(author).take_lease(BOB, LONG)
        assert await author.store.commit(sent) == receipt

    async def test_S5_fencing__a_lease_that_expired_fences_nobody_until_it_is_taken(
        self, author: Author, waiting: Waiting
    ) -> None:
        lease = await leased(author).take_lease(ANN, BRIEF)
        await waiting.expire(leased(author))
        await author.commit(writer=Writer(INCARNATION, lease.epoch))

    async def test_S5_fencing__a_renewed_lease_lasts_longer(self, author: Author) -> None:
        lease = await leased(author).take_lease(ANN, LONG)
        renewed = await leased(author).renew_lease(lease, 2 * LONG)
        assert (renewed.holder, renewed.epoch) == (ANN, 1)
        assert LONG < renewed.expires_in <= 2 * LONG
        found = await leased(author).lease()
        assert found is not None
        assert LONG < found.expires_in <= 2 * LONG

    async def test_S5_fencing__an_expired_lease_that_nobody_took_can_be_renewed(
        self, author: Author, waiting: Waiting
    ) -> None:
        lease = await leased(author).take_lease(ANN, BRIEF)
        await waiting.expire(leased(author))
        assert is_lease(await leased(author).renew_lease(lease, LONG), ANN, 1, at_most=LONG)

    async def test_S5_fencing__a_lease_that_was_taken_over_cannot_be_renewed(self, author: Author) -> None:
        lease = await leased(author).take_lease(ANN, LONG)
        await leased(author).take_lease(BOB, LONG, replacing=lease.epoch)
        with pytest.raises(WriterFenced) as caught:
            await leased(author).renew_lease(lease, LONG)
        assert caught.value.holder == BOB

    async def test_S5_fencing__a_released_lease_is_gone_and_its_epoch_stays(self, author: Author) -> None:
        await author.commit()
        lease = await leased(author).take_lease(ANN, LONG)
        await leased(author).release_lease(lease)
        assert await leased(author).lease() is None
        with pytest.raises(WriterFenced):
            await author.commit()
        assert (await leased(author).take_lease(BOB, LONG)).epoch == 2

    async def test_S5_fencing__releasing_what_is_no_longer_held_changes_nothing(self, author: Author) -> None:
        lease = await leased(author).take_lease(ANN, LONG)
        await leased(author).take_lease(BOB, LONG, replacing=lease.epoch)
        await leased(author).release_lease(lease)
        assert is_lease(await leased(author).lease(), BOB, 2, at_most=LONG)

    async def test_S5_fencing__the_epoch_grows_across_incarnations(self, author: Author) -> None:
        await author.commit()
        lease = await leased(author).take_lease(ANN, LONG)
        author.writer = Writer(INCARNATION, 9)
        await author.commit()
        await author.store.delete(incarnation=INCARNATION, deleted_at=1)
        assert await leased(author).lease() is None
        with pytest.raises(WriterFenced):
            await leased(author).renew_lease(lease, LONG)
        await leased(author).release_lease(lease)
        again = await leased(author).take_lease(BOB, LONG)
        assert again.epoch == 10
        await Author(author.backend, writer=Writer(ident(), 10)).commit()

    async def test_S5_fencing__a_listing_shows_the_lease(self, backend: StoreBackend) -> None:
        for name in ("a", "b", "c"):
            await Author(backend, name).commit()
        await leased(Author(backend, "b")).take_lease(ANN, LONG)
        gone = await leased(Author(backend, "c")).take_lease(ANN, LONG)
        await leased(Author(backend, "c")).release_lease(gone)
        a, b, c = (await backend.sessions(SessionQuery())).rows
        assert (a.lease, c.lease) == (None, None)
        assert is_lease(b.lease, ANN, 1, at_most=LONG)
        assert [row.head.epoch for row in (a, b, c)] == [0, 1, 1]

    async def test_S5_fencing__reads_and_listings_need_no_lease_and_take_none(self, author: Author) -> None:
        await author.turn()
        lease = await leased(author).take_lease(ANN, LONG)
        await author.store.path(author.ids[-1])
        await author.store.records()
        await author.backend.sessions(SessionQuery())
        assert (await stored(author.store)).epoch == lease.epoch
        found = await leased(author).lease()
        assert found is not None
        assert found.epoch == lease.epoch

    @needs("durable", "clock")
    async def test_S5_fencing__whoevers_clock_is_wrong_the_epoch_decides(self, place: Place, author: Author) -> None:
        """A writer whose clock runs an hour ahead takes the lease too early: still only one of them commits."""
        await author.commit()
        lease = await leased(author).take_lease(ANN, 30)
        ahead = await place.open(create=False, clock=ManualClock(now=4_600.0))
        early = cast(LeasedStore, ahead.session("chat"))
        taken = await early.take_lease(BOB, 30)
        assert taken.epoch == lease.epoch + 1
        with pytest.raises(WriterFenced):
            await author.commit(writer=Writer(INCARNATION, lease.epoch))
        with pytest.raises(WriterFenced):
            await leased(author).renew_lease(lease, 30)
        other = Author(ahead, writer=Writer(INCARNATION, taken.epoch), revision=author.revision)
        await other.turn()

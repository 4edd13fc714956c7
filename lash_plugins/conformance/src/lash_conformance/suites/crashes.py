"""What a store that outlives its process keeps (S2, S4, S5, S8, S14 at level ``durable``)."""

from __future__ import annotations

import itertools
import random
import signal
from typing import ClassVar

import pytest
from lash_conformance.build import Author
from lash_conformance.clauses import Clauses, needs
from lash_conformance.deeds import OPERATIONS, go_on, prepare
from lash_conformance.place import Place
from lash_conformance.processes import Life, Line, Nursery
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Head

__all__ = ["CrashClauses", "check_receipts"]

#: Kills at random moments in one run.
KILLS = 4


async def check_receipts(backend: StoreBackend, session_id: str, told: list[Line]) -> None:
    """Hold a store to what a writer was told: each receipt is there, nothing is half there, and it goes on."""
    author = Author(backend, session_id)
    receipts = [line for line in told if "receipt" in line]
    sent = [line["sent"] for line in told if "sent" in line]
    records = list(await author.store.records())
    assert [record.revision for record in records] == list(range(1, len(records) + 1))
    stored = [(record.revision, record.commit_id, record.digest) for record in records]
    wanted = [(line["revision"], line["receipt"], line["digest"]) for line in receipts]
    assert [each for each in wanted if each not in stored] == [], "an acknowledged commit is gone"
    assert {record.commit_id for record in records} <= set(sent), "there is a commit that nobody sent"
    head = await author.store.head()
    if records:
        assert isinstance(head, Head)
        assert (head.revision, head.leaf) == (len(records), records[-1].leaf)
        assert len(await author.store.path(str(head.leaf))) == 3 * len(records)
        assert len(await author.store.graph()) == 3 * len(records)
    await go_on(author)


class CrashClauses(Clauses, level="durable"):
    """What a store that outlives its process keeps (S2, S4, S5, S8, S14 at level ``durable``)."""

    processes: ClassVar[bool]

    @pytest.mark.parametrize("operation", [name for name, each in OPERATIONS.items() if each.needs == "core"])
    async def test_S2_atomic__what_was_done_is_there_when_the_store_is_opened_again(
        self, place: Place, operation: str
    ) -> None:
        does = OPERATIONS[operation]
        author = Author(await place.open())
        await prepare(author)
        again = Author(await place.reopen())
        assert not await does.check(again)
        await does.do(again)
        reopened = Author(await place.reopen())
        assert await does.check(reopened)
        await does.do(reopened)
        assert await does.check(reopened)
        await go_on(reopened)

    async def test_S2_atomic__killed_at_any_moment_a_writer_loses_no_receipt_and_leaves_no_half(
        self, place: Place, nursery: Nursery
    ) -> None:
        await (await place.open()).close()
        await place.close()
        writers = min(8, 1 + place.effort) if self.processes else 1
        for kill in range(KILLS * place.effort):
            sessions = [f"chat-{kill}-{writer}" for writer in range(writers)]
            lives = [nursery.bear("write", url=place.url, session=session) for session in sessions]
            told = [await _until_receipts(life, random.randint(0, 12)) for life in lives]  # noqa: S311  # any moment
            for life in lives:
                life.kill()
            for life, lines in zip(lives, told, strict=True):
                lines += await life.rest()
                assert life.end() == -signal.SIGKILL, lines
            backend = await place.reopen()
            for session, lines in zip(sessions, told, strict=True):
                await check_receipts(backend, session, lines)
            await place.close()

    @needs("crash_point")
    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_S2_atomic__killed_between_any_two_steps_an_operation_is_done_or_not(
        self, place: Place, nursery: Nursery, operation: str
    ) -> None:
        does = OPERATIONS[operation]
        if does.needs not in (await place.open()).capabilities.levels:
            pytest.skip(f"does not apply: level {does.needs} not declared")
        for number in itertools.count():
            session = f"chat-{number}"
            await prepare(Author(await place.reopen(), session))
            await place.close()
            life = nursery.bear("operate", url=place.url, session=session, operation=operation, die_at=number)
            told = await life.rest()
            code = life.end()
            author = Author(await place.reopen(), session)
            is_done = await does.check(author)
            if code == 0:
                assert is_done
                break
            assert code == -signal.SIGKILL, told
            if does.repeatable or not is_done:
                await does.do(author)
            assert await does.check(author), f"killed at {told[-1]} and done again, the {operation} is not there"
            await go_on(author)
        assert number > 0 or operation != "commit", "open_store takes a crash_point, and no commit ever calls it"


async def _until_receipts(life: Life, count: int) -> list[Line]:
    told: list[Line] = []
    while sum("receipt" in line for line in told) < count or not told:
        line = await life.line()
        assert line is not None, f"a writer ended by itself: {told[-3:]}"
        assert not {"broken", "refused"} & line.keys(), line
        told.append(line)
    return told

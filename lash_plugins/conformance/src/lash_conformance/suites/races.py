"""Processes that work on one store at once (S3, S5, S13)."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import pytest
from lash_conformance.build import Author, holder
from lash_conformance.clauses import Clauses, needs
from lash_conformance.place import Place
from lash_conformance.processes import Life, Line, Nursery
from lash_conformance.suites.crashes import check_receipts
from lash_hookspecs.errors import StoreBusy
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Head, SessionQuery

__all__ = ["ContentionClauses", "RaceClauses"]

#: Attempts of each writer in a race.
ATTEMPTS = 60


async def start_together(lives: list[Life]) -> None:
    """Let workers go when all are ready."""
    for life in lives:
        assert await life.line() == {"ready": True}
    for life in lives:
        life.tell()


async def finish(life: Life) -> list[Line]:
    """Read all that a worker says; it must come to its end without an error."""
    told = await life.rest()
    code = life.end()
    assert (code, told[-1:]) == (0, [{"done": True}]), told[-3:]
    return told[:-1]


class RaceClauses(Clauses, level="core"):
    """Processes that race on one session (S3)."""

    processes: ClassVar[bool]

    @needs("durable", "processes")
    async def test_S3_compare_and_swap__of_processes_that_race_each_commit_counts_once(
        self, place: Place, nursery: Nursery
    ) -> None:
        attempts = ATTEMPTS * place.effort
        backend = await place.open()
        lives = [nursery.bear("race", url=place.url, session="chat", attempts=attempts) for _ in range(2)]
        await start_together(lives)
        told = await asyncio.gather(*map(finish, lives))
        receipts = [line for lines in told for line in lines if "receipt" in line]
        conflicts = [line["conflict"] for lines in told for line in lines if "conflict" in line]
        assert len(receipts) + len(conflicts) == 2 * attempts
        assert all(any("receipt" in line for line in lines) for lines in told), "one of the writers never won"
        store = backend.session("chat")
        records = list(await store.records())
        assert sorted(line["revision"] for line in receipts) == [record.revision for record in records]
        assert {line["receipt"]: line["digest"] for line in receipts} == {
            record.commit_id: record.digest for record in records
        }
        head = await store.head()
        assert isinstance(head, Head)
        path = [node.node_id for node in await store.path(str(head.leaf))]
        in_order = sorted(receipts, key=lambda line: int(line["revision"]))
        assert path == [node_id for line in in_order for node_id in line["nodes"]]


class ContentionClauses(Clauses, level="concurrent"):
    """Contention between writers, and writers that lost their lease (S5, S13)."""

    impatient_url: ClassVar[str | None] = None

    def blocked(self, place: Place) -> AbstractContextManager[object]:
        """Hold whatever a writer has to wait for, behind the store's back; override it where there is something.

        No coroutine: it gives a context manager that is entered with ``with``, such as a method under
        `contextlib.contextmanager`, and holds until it is left.
        """
        raise NotImplementedError

    @needs("durable", "processes")
    async def test_S13_contention__writers_of_many_processes_are_all_served(
        self, place: Place, nursery: Nursery
    ) -> None:
        backend = await place.open()
        count = 10 * place.effort
        sessions = [f"chat-{number}" for number in range(4)]
        lives = [nursery.bear("write", url=place.url, session=session, count=count) for session in sessions]
        told = await asyncio.gather(*map(finish, lives))
        for session, lines in zip(sessions, told, strict=True):
            assert [line for line in lines if "refused" in line] == []
            assert sum("receipt" in line for line in lines) == count
            await check_receipts(backend, session, lines)

    async def test_S13_contention__writers_of_one_process_are_all_served(self, backend: StoreBackend) -> None:
        async def write(author: Author) -> None:
            for _ in range(5):
                await author.turn(2)

        authors = [Author(backend, f"chat-{number}") for number in range(20)]
        await asyncio.gather(*map(write, authors))
        for author in authors:
            assert list(await author.store.path(author.ids[-1])) == author.written

    @needs("blocked")
    async def test_S13_contention__what_is_held_for_a_moment_is_waited_out_and_reads_never_wait(
        self, place: Place, author: Author
    ) -> None:
        await author.turn()
        with self.blocked(place):
            waiting = asyncio.create_task(author.turn())
            async with asyncio.timeout(place.patience):
                for _ in range(5):
                    assert len(await author.store.graph()) == 3
                    assert len((await author.backend.sessions(SessionQuery())).rows) == 1
            assert not waiting.done()
        async with asyncio.timeout(place.patience):
            await waiting
        assert list(await author.store.graph()) == author.written

    @needs("blocked", "impatient_url")
    async def test_S13_contention__what_outlasts_the_deadline_is_told_as_busy(
        self, place: Place, author: Author
    ) -> None:
        await author.turn()
        hasty = Author(await place.open(place.url_with(self.impatient_url)), revision=1, leaf=author.leaf)
        with self.blocked(place), pytest.raises(StoreBusy) as caught:
            async with asyncio.timeout(place.patience):
                await hasty.turn()
        assert caught.value.retry_after > 0
        assert len(await author.store.graph()) == 3
        await hasty.turn()

    @needs("durable", "processes")
    async def test_S5_fencing__a_writer_that_woke_up_after_a_takeover_changes_nothing(
        self, place: Place, nursery: Nursery
    ) -> None:
        backend = await place.open()
        zombie = nursery.bear("hold", url=place.url, session="chat", ttl=600.0)
        told = await zombie.line()
        assert told is not None
        store: Any = backend.session("chat")
        taken = await store.take_lease(holder("heir"), 600, replacing=told["epoch"])
        assert taken.epoch > told["epoch"]
        before = await store.head(), list(await store.graph()), list(await store.read("inbox"))
        zombie.tell()
        assert await finish(zombie) == [{"refused": "WriterFenced"}] * 3
        assert (await store.head(), list(await store.graph()), list(await store.read("inbox"))) == before

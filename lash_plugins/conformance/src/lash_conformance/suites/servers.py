"""A server that is killed, and connections that are cut (S2, S4, S13)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress

import pytest
from lash_conformance.build import Author, chain
from lash_conformance.clauses import Clauses, needs
from lash_conformance.deeds import OPERATIONS, go_on, prepare
from lash_conformance.place import Place, Server, address_fields
from lash_conformance.processes import Line
from lash_conformance.proxy import CuttingProxy, Loses
from lash_conformance.suites.crashes import check_receipts
from lash_hookspecs.errors import LashError
from lash_hookspecs.protocols.stores import StoreBackend

__all__ = ["ServerClauses"]

#: Kills of the server in one run.
KILLS = 2


class ServerClauses(Clauses, level="durable"):
    """A server that is killed, and connections that are cut (S2, S4, S13)."""

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[CuttingProxy]:
        """Stand between the store and its server."""
        with CuttingProxy(server.address) as proxy:
            yield proxy

    @needs("server")
    @pytest.mark.parametrize("loses", ["answer", "request", "half"])
    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_S4_replay__a_connection_is_cut_after_a_commit_was_sent_and_a_replay_tells(
        self, place: Place, backend: StoreBackend, proxy: CuttingProxy, operation: str, loses: Loses
    ) -> None:
        does = OPERATIONS[operation]
        if does.needs not in backend.capabilities.levels:
            pytest.skip(f"does not apply: level {does.needs} not declared")
        cuttable = await place.open(place.url_with(**address_fields(proxy.address)), create=False)
        for number in itertools.count():
            session = f"chat-{number}"
            direct, author = Author(backend, session), Author(cuttable, session)
            await prepare(direct)
            await author.store.head()
            proxy.lose(loses, number)
            with suppress(LashError):
                async with asyncio.timeout(place.patience):
                    await does.do(author)
            proxy.heal()
            if not proxy.cuts:
                break
            if does.repeatable or not await does.check(direct):
                await _again(author, operation, place)
            assert await does.check(direct)
            await go_on(direct)

    @needs("server")
    async def test_S2_atomic__when_the_server_is_killed_no_receipt_is_lost_and_nothing_is_half_there(
        self, place: Place, server: Server
    ) -> None:
        for kill in range(KILLS * place.effort):
            backend = await place.open()
            sessions = [f"chat-{kill}-{number}" for number in range(4)]
            enough = asyncio.Event()
            tasks = [asyncio.create_task(_write(Author(backend, session), enough)) for session in sessions]
            await enough.wait()
            await asyncio.to_thread(server.kill)
            try:
                async with asyncio.timeout(place.patience):
                    told = await asyncio.gather(*tasks)
                await place.close()
            finally:
                await asyncio.to_thread(server.restart)
            backend = await place.open(create=False)
            for session, lines in zip(sessions, told, strict=True):
                await check_receipts(backend, session, lines)
            await place.close()

    @needs("server")
    async def test_S13_contention__a_server_that_is_gone_is_told_and_one_that_is_back_is_used(
        self, place: Place, author: Author, server: Server
    ) -> None:
        await author.turn()
        await asyncio.to_thread(server.kill)
        try:
            async with asyncio.timeout(place.patience):
                with pytest.raises(LashError):
                    await author.turn()
                with pytest.raises(LashError):
                    await author.store.head()
                with pytest.raises(LashError):
                    await place.open(create=False)
        finally:
            await asyncio.to_thread(server.restart)
        await _again(author, None, place)


async def _again(author: Author, operation: str | None, place: Place) -> None:
    """Do it again on the same handle; whatever the cut left behind may cost a try or two."""
    async with asyncio.timeout(place.patience):
        for tries in itertools.count(1):
            try:
                await (OPERATIONS[operation].do(author) if operation else author.turn())
            except LashError:
                if tries == 3:
                    raise
            else:
                return


async def _write(author: Author, enough: asyncio.Event) -> list[Line]:
    """Commit until the store refuses; set the event after some receipts."""
    told: list[Line] = []
    while True:
        following = author.next(chain(3, author.leaf))
        told.append({"sent": following.commit_id})
        try:
            receipt = await author.store.commit(following)
        except LashError:
            enough.set()
            return told
        author.revision, author.leaf = receipt.revision, following.leaf
        told.append({"receipt": receipt.commit_id, "revision": receipt.revision, "digest": receipt.digest})
        if receipt.revision == 10:
            enough.set()

"""Collections that writers come between, at every moment at which one can (S8)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from lash_conformance.build import Author, node
from lash_conformance.clauses import Clauses, needs
from lash_conformance.suites.retention import Sleep, put_blob, upkeep
from lash_hookspecs.errors import MissingBlob

__all__ = ["InterleavingClauses"]

#: Moments at which something comes between; a collection that waits more often goes on undisturbed from there.
MOMENTS = 30

#: Seconds for which a collection is held. A store may hold a lock where it waits: who came between is served after it.
HELD = 0.05


class _Interrupted:
    """Awaits a coroutine, and does something each time when what it waits for has come."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], between: Callable[[], Awaitable[None]]) -> None:
        self._steps, self._between = coroutine.__await__(), between

    def __await__(self) -> Generator[Any, Any, Any]:
        thrown: BaseException | None = None
        while True:
            try:
                waits_for = self._steps.throw(thrown) if thrown else self._steps.send(None)
            except StopIteration as stop:
                return stop.value
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  it belongs to the coroutine
                thrown = error
            else:
                thrown = None
                yield from self._between().__await__()


class InterleavingClauses(Clauses, level="retention"):
    """Collections that writers come between (S8)."""

    @needs("time")
    async def test_S8_retention__gc_takes_no_blob_that_a_writer_refers_to_between_its_looking_and_its_removing(
        self, author: Author, sleep_for: Sleep
    ) -> None:
        """Whenever it waits, a commit refers to one old blob, and another is put again."""
        await author.turn(1)
        bodies = [(b"referred to at moment %d" % number, b"put at moment %d" % number) for number in range(MOMENTS)]
        refs = await author.store.put_blobs([body for pair in bodies for body in pair])
        blobs = list(zip(refs[::2], refs[1::2], strict=True))
        await sleep_for(10_000)
        writing: list[asyncio.Task[str | None]] = []
        moments = itertools.count()

        async def write(number: int) -> str | None:
            assert await put_blob(author, bodies[number][1]) == blobs[number][1]
            ref = blobs[number][0]
            try:
                await Author(author.backend, f"moment {number}").commit([node(refs=(ref,))])
            except MissingBlob:
                return None
            return ref

        async def between() -> None:
            if (number := next(moments)) < MOMENTS:
                writing.append(asyncio.create_task(write(number)))
                await asyncio.wait(writing[-1:], timeout=HELD)

        await _Interrupted(upkeep(author).gc(grace=3600), between)
        referred = [ref for ref in await asyncio.gather(*writing) if ref]
        put = [again for _, again in blobs[: len(writing)]]
        assert len(await author.store.get_blobs([*referred, *put])) == len(referred) + len(put)

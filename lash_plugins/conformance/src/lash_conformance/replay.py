"""What the script of a failing run is made of: calls on a store, each with the right answer.

``from lash_conformance.replay import *`` gives such a script all that it names.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
from lash_hookspecs import errors
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import (
    Absent,
    Commit,
    CommitRecord,
    Consumed,
    Deleted,
    Fork,
    Head,
    Holder,
    Lease,
    Receipt,
    SessionPage,
    SessionQuery,
    StreamEntry,
    StreamRow,
    Writer,
)

from lash_conformance.build import ident
from lash_conformance.place import ManualClock, Opener, Place
from lash_conformance.reference import Refused

__all__ = [
    "Absent",
    "Commit",
    "CommitRecord",
    "Consumed",
    "Deleted",
    "Fork",
    "Head",
    "Holder",
    "Lease",
    "Node",
    "Receipt",
    "Refused",
    "Replay",
    "StreamEntry",
    "StreamRow",
    "Writer",
    "WrongAnswer",
    "replaying",
]

#: Seconds of a lease in a random sequence, and by how much it lets time pass.
TERM = 60.0

#: What an error has to say, by its class; a message's wording is the store's own.
_SAYS = {
    "SessionBindingMismatch": ("bound", "requested"),
    "HeadRevisionConflict": ("expected", "actual"),
    "CommitIdReused": ("commit_id",),
    "WriterFenced": ("epoch", "current", "holder"),
    "SessionLeased": ("holder", "epoch"),
    "MissingBlob": ("ref", "component"),
    "CorruptSession": ("kind", "node_ids"),
}


class WrongAnswer(AssertionError):
    """The store's answer is not the right one."""


@attrs.define
class Replay:
    """A store that is called, and held to the right answers."""

    place: Place
    backend: StoreBackend

    async def call(self, session_id: str, method: str, *arguments: Any, answer: Any, **options: Any) -> None:
        """Call a method of a session's store.

        Raises:
            WrongAnswer: The store answered otherwise.
        """
        store = self.backend.session(session_id)
        try:
            found = plain(await getattr(store, method)(*arguments, **options))
        except errors.LashError as error:
            found = refusal(error)
        self._compare(f"{method} of {session_id!r}", found, answer)

    async def listing(self, begin: str, *, answer: Any) -> None:
        """List the sessions whose ids begin with a text, a few at a time."""
        found: list[tuple[str, int, Any]] = []
        after: str | None = begin
        while after is not None:
            page: SessionPage = await self.backend.sessions(SessionQuery(after=after, limit=2))
            found += [
                (row.head.session_id, row.head.revision, plain(row.lease))
                for row in page.rows
                if row.head.session_id.startswith(begin)
            ]
            is_behind = bool(page.rows) and not page.rows[-1].head.session_id.startswith(begin)
            after = None if is_behind else page.cursor
        self._compare("the listing", found, answer)

    def expire(self) -> None:
        """Let every lease expire."""
        assert self.place.clock is not None, "the store takes no clock"
        self.place.clock.now += TERM

    async def reopen(self) -> None:
        """Close the store and open it again."""
        self.backend = await self.place.reopen()

    @staticmethod
    def _compare(what: str, found: Any, right: Any) -> None:
        if found != right:
            raise WrongAnswer(f"{what} answered\n    {found!r}\ninstead of\n    {right!r}")


@asynccontextmanager
async def replaying(
    *, module: str, file: str, name: str, url: str, clock: bool = False, **fields: str
) -> AsyncIterator[Replay]:
    """Open a store for a script, empty, in a folder and under a name of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(
            template=url,
            fields={"folder": folder, "name": f"lash_{ident()}", **fields},
            opener=Opener.find(module, file, name),
            clock=ManualClock() if clock else None,
        )
        try:
            yield Replay(place, await place.open())
        finally:
            await place.close()


def plain(answer: Any) -> Any:
    """Bring an answer into the form in which answers are compared: lists, dicts, and leases without their time."""
    if isinstance(answer, Lease):
        return (answer.holder, answer.epoch, answer.expires_in > 0)
    if isinstance(answer, Mapping):
        return dict(answer)
    if isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
        return list(answer)
    return answer


def refusal(error: errors.LashError) -> Refused:
    """Bring an error into the form in which answers are compared."""
    name = next(each.__name__ for each in type(error).__mro__ if hasattr(errors, each.__name__))
    return Refused(name, **{field: getattr(error, field, None) for field in _SAYS.get(name, ())})

"""What waits for the next commit of a session, whichever that is: events, usage, overrides, a successor (T7, H3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.records.events import HandedOff, StoredEvent
from lash_hookspecs.records.store import Consumed
from lash_hookspecs.records.tools import Availability
from lash_hookspecs.records.usage import UsageRow

from lash_core.runtime.child_usage import Filings, is_filed, read_filings
from lash_core.runtime.resident import Change

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["HANDOFFS", "Riders", "Waiting"]

#: The stream that holds the successor which a turn has started, until a commit links it.
HANDOFFS = "handoffs"


@attrs.frozen(eq=False)
class Override:
    """What was said about a tool, once; the same said again is another one."""

    level: Availability | None


@attrs.frozen
class Riders:
    """What one commit takes along.

    Attributes:
        events: How many of the events that waited.
        usage: How many of the usage rows that waited.
        filings: What descendants have filed.
        overrides: What was said about tools; the tool state holds it.
    """

    events: int
    usage: int
    filings: Filings
    overrides: Mapping[str, Override]


class Waiting:
    """What waits in memory, and what is known to wait in the session's streams.

    Attributes:
        successor: The session that takes over with the next commit.
        usage_is_filed: Whether descendants may have filed usage that no commit has counted yet.
    """

    def __init__(self, session: OpenSession) -> None:
        """Wait for nothing yet."""
        self.successor: str | None = None
        self.usage_is_filed = False
        self._session = session
        self._events: list[StoredEvent] = []
        self._usage: list[UsageRow] = []
        self._handoff = 0
        self._overrides: dict[str, Override] = {}
        self._carried: tuple[str, Mapping[str, Override]] | None = None

    def __bool__(self) -> bool:
        resident = self._session.resident
        kept = resident.unflushed or resident.untold or resident.has_lost
        return bool(self._events or self._usage or self.successor or self.usage_is_filed or kept)

    async def see_streams(self) -> None:
        """See what waits in the store."""
        session = self._session
        self.usage_is_filed = await is_filed(session)
        started = await session.store.read(HANDOFFS) if session.document.open_turn is not None else ()
        if started:
            self.link(started[-1].key, started[-1].sequence)

    def note(self, event: StoredEvent) -> None:
        """Keep an event."""
        self._events.append(event)

    def file(self, *rows: UsageRow) -> None:
        """Keep usage."""
        self._usage.extend(rows)

    def link(self, successor: str, entry: int = 0) -> None:
        """Keep who takes over.

        Args:
            successor: The session.
            entry: Its entry in the stream, if it has one.
        """
        self.successor = successor
        self._handoff = max(entry, self._handoff)

    def override(self, names: Iterable[str], level: Availability | None) -> None:
        """Keep what was said about tools, so that it outlasts what others commit."""
        self._overrides.update(dict.fromkeys(names, Override(level)))

    def overrides(self) -> Mapping[str, Availability | None]:
        """Give what was said about tools and is not stored, as far as anybody knows."""
        if self._carried is not None and self._carried[0] == self._session.resident.stored_after_all:
            self._settle(self._carried[1])
        return {name: each.level for name, each in self._overrides.items()}

    def forget(self) -> None:
        """Forget everything: the session is deleted, and no later one of its name owes it."""
        self._events, self._usage, self._overrides, self._carried = [], [], {}, None
        self.successor, self._handoff, self.usage_is_filed = None, 0, False

    async def board(self) -> Riders:
        """Gather what the next commit takes along."""
        filings = Filings()
        if self.usage_is_filed:
            self.usage_is_filed = False  # one that files from here on says so again
            try:
                filings = await read_filings(self._session)
            except BaseException:
                self.usage_is_filed = True
                raise
        return Riders(len(self._events), len(self._usage), filings, dict(self._overrides))

    def added_to(self, change: Change, riders: Riders) -> Change:
        """Let a change take them along."""
        document, events = change.document, change.events
        if self.successor is not None and self.successor != document.successor:
            document = document.evolve(successor=self.successor)
            events = (*events, HandedOff(successor=self.successor))
        handoffs = [Consumed(HANDOFFS, self._handoff)] if self._handoff else []
        return attrs.evolve(
            change,
            document=document,
            events=events,
            noted=(*self._events[: riders.events], *change.noted),
            usage=(*self._usage[: riders.usage], *change.usage),
            filed=riders.filings.rows,
            consumed=(*change.consumed, *riders.filings.consumed, *handoffs),
        )

    def handed_over(self, riders: Riders, commit_id: str) -> None:
        """Forget what the resident session keeps now, until it is known what became of a commit that failed."""
        self._carried = (commit_id, riders.overrides)
        self._leave_out(riders)

    def arrived(self, riders: Riders) -> None:
        """Forget what is stored now."""
        self._leave_out(riders)
        self._settle(riders.overrides)
        if self._session.document.successor == self.successor:
            self.successor, self._handoff = None, 0

    def _settle(self, stored: Mapping[str, Override]) -> None:
        self._overrides = {name: each for name, each in self._overrides.items() if stored.get(name) is not each}
        self._carried = None

    def _leave_out(self, riders: Riders) -> None:
        del self._events[: riders.events], self._usage[: riders.usage]

"""What descendants use, in the ledger of each ancestor exactly once (H3, T8).

Before a session commits usage, it files the rows with each of its ancestors, in their streams ``usage``, and says
which commit will hold them. An ancestor's next commit counts the filings whose commit is stored, and uses them up.
The record of that commit decides, so a process may die at any moment: a filing without its commit counts nothing, and
a stored commit was filed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import SessionDeleted, SessionMissing, UnreadableData
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.events import ChildUsage
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.state import ParentLink
from lash_hookspecs.records.store import Absent, Consumed, Deleted, Head, StreamEntry, StreamRow, Writer
from lash_hookspecs.records.usage import UsageRow
from pydantic import ValidationError

from lash_core.runtime.resident import read_document
from lash_core.runtime.session_stores import find_store

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["USAGE", "Filings", "Reported", "is_filed", "read_filings", "report", "usage_filed"]

#: The stream in which descendants file what they use.
USAGE = "usage"


class _Filing(Record):
    """Rows that a descendant is about to commit.

    Attributes:
        session_id: The descendant.
        incarnation: Which life of its name.
        commit_id: The commit.
        revision: What the descendant's revision will be.
        rows: What was used, under the source that the ancestor files it under.
    """

    session_id: str
    incarnation: str
    commit_id: str
    revision: int
    rows: tuple[UsageRow, ...]


@attrs.frozen
class Filings:
    """What a session's stream says.

    Attributes:
        rows: Usage whose commits are stored.
        consumed: What the commit that counts them uses up.
    """

    rows: Sequence[UsageRow] = ()
    consumed: Sequence[Consumed] = ()


@attrs.frozen
class _Ancestor:
    source: str
    store: SessionStore
    head: Head | None
    live: OpenSession | None


@attrs.frozen
class Reported:
    """Usage that was filed with every ancestor; `tell` it once it is committed."""

    _session_id: str = ""
    _rows: Sequence[UsageRow] = ()
    _ancestors: Sequence[_Ancestor] = ()

    def tell(self) -> None:
        """Tell the ancestors that are open here, as it happens."""
        for ancestor in self._ancestors:
            if ancestor.live is None:
                continue
            rows = [row.evolve(source=ancestor.source) for row in self._rows]
            for row in rows:
                ancestor.live.tell(ChildUsage(session_id=self._session_id, row=row))
            if ancestor.head is None:
                ancestor.live.waiting.file(*rows)  # it has no stream before its first commit
            else:
                ancestor.live.waiting.usage_is_filed = True


async def report(session: OpenSession, commit_id: str, rows: Sequence[UsageRow]) -> Reported:
    """File what a commit will hold with each ancestor.

    Raises:
        StoreError: It cannot be filed; the commit must not be made.
    """
    link = session.document.parent
    if link is None or not rows:
        return Reported()
    ancestors = await _ancestors(session, link)
    resident = session.resident
    for ancestor in ancestors:
        if ancestor.head is None:
            continue
        filing = _Filing(
            session_id=session.session_id,
            incarnation=resident.writer.incarnation,
            commit_id=commit_id,
            revision=(resident.revision or 0) + 1,
            rows=tuple(row.evolve(source=ancestor.source) for row in rows),
        )
        await _file(ancestor.store, ancestor.head, f"{session.session_id}:{commit_id}", filing)
    return Reported(session.session_id, rows, ancestors)


async def is_filed(session: OpenSession) -> bool:
    """Tell whether descendants have filed anything."""
    return session.resident.head is not None and bool(await session.store.read(USAGE, limit=1))


async def read_filings(session: OpenSession) -> Filings:
    """Read what descendants have filed; what is not decided yet is filed again behind it.

    Raises:
        UnreadableData: An entry cannot be read (S9).
    """
    entries = await session.store.read(USAGE)
    head = session.resident.head
    if not entries or head is None:
        return Filings()
    filings = [_read(entry) for entry in entries]
    rows: list[UsageRow] = []
    undecided: list[_Filing] = []
    for filing in {(each.session_id, each.commit_id): each for each in filings}.values():
        stored = await _is_stored(await find_store(session, filing.session_id), filing)
        if stored is None:
            undecided.append(filing)
        elif stored:
            rows.extend(filing.rows)
    if len(undecided) == len(filings):
        return Filings()
    last = entries[-1].sequence
    for filing in undecided:
        await _file(session.store, head, f"{filing.session_id}:{filing.commit_id}:{last}", filing)
    return Filings(rows, [Consumed(USAGE, last)])


async def usage_filed(database: StoreBackend, session_id: str) -> tuple[UsageRow, ...]:
    """Give what descendants have filed and their ancestor has not committed yet; writes nothing.

    Raises:
        UnreadableData: An entry cannot be read (S9).
    """
    entries = await database.session(session_id).read(USAGE)
    filings = {(each.session_id, each.commit_id): each for each in map(_read, entries)}.values()
    counted = [each for each in filings if await _is_stored(database.session(each.session_id), each)]
    return tuple(row for filing in counted for row in filing.rows)


async def _ancestors(session: OpenSession, link: ParentLink | None) -> list[_Ancestor]:
    """Go up from a session; one that took over from another stands where that one stood."""
    found: list[_Ancestor] = []
    seen = {session.session_id}
    live = session.reports_to
    while link is not None and link.session_id not in seen:
        seen.add(link.session_id)
        live = live if live is not None and live.session_id == link.session_id else None
        store = live.store if live is not None else await find_store(session, link.session_id)
        stored = await store.head()
        head = stored if isinstance(stored, Head) else None
        if head is None and live is None:
            break
        if head is not None and link.incarnation not in (None, head.incarnation):
            break  # another session of that name
        if link.relation == "child":
            found.append(_Ancestor(link.usage_source, store, head, live))
        link = read_document(head).parent if head is not None else None
        live = live.reports_to if live is not None else None
    return found


async def _file(store: SessionStore, head: Head, key: str, filing: _Filing) -> None:
    try:
        await store.append(USAGE, [StreamEntry(key, filing.to_bytes())], writer=Writer(head.incarnation, None))
    except (SessionDeleted, SessionMissing):
        return  # nobody is left to count it


async def _is_stored(store: SessionStore, filing: _Filing) -> bool | None:
    """Tell whether a filing's commit is stored; ``None`` while nobody can know."""
    head = await store.head()
    if isinstance(head, Absent):
        return None
    if isinstance(head, Deleted):
        return head.incarnation != filing.incarnation or head.revision >= filing.revision
    if head.incarnation != filing.incarnation:
        return True  # its records went with it; what is not known to be lost counts
    if head.revision < filing.revision:
        return None
    records = await store.records(after=filing.revision - 1, limit=1)
    pruned = not records or records[0].revision != filing.revision
    return pruned or records[0].commit_id == filing.commit_id


def _read(entry: StreamRow) -> _Filing:
    try:
        return _Filing.from_bytes(entry.body)
    except ValidationError as error:
        reason = str(error.errors(include_url=False, include_input=False)[0]["msg"])
        raise UnreadableData(row=f"entry {entry.key} of stream {USAGE!r}", reason=reason) from error

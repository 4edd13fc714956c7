"""Reads of a stored session that need no open one: its past, its side branches, its events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self, TypeVar

import attrs
from lash_hookspecs.errors import CorruptSession, HistoryPruned, InvalidInput, SessionDeleted, UnreadableData
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.events import StoredEvent
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.state import CommitDocument, PluginFingerprint
from lash_hookspecs.records.store import Absent, CommitRecord, Deleted
from pydantic import ValidationError

__all__ = [
    "EpochWriter",
    "EventCursor",
    "SequencedEvent",
    "Standing",
    "epoch_writers",
    "orphaned_node_ids",
    "plugins_at",
    "read_record",
    "replay_events",
    "standing_at",
]

#: Rows that are read at once.
_WINDOW = 500

#: The most digits of a number in a cursor; every store can compare those.
_DIGITS = 18


@attrs.frozen(order=True)
class EventCursor:
    """Where a reader of events stands: behind an event of a commit (T9).

    Attributes:
        revision: The commit's revision.
        position: The event's place in it, from 1; 0 stands before its first event.
    """

    revision: int = 0
    position: int = 0

    def __str__(self) -> str:
        return f"{self.revision}:{self.position}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` gave.

        Raises:
            InvalidInput: It is no cursor.
        """
        revision, _, position = text.partition(":")
        if not all(part.isdecimal() and len(part) <= _DIGITS for part in (revision, position)):
            shown = text if len(text) <= 60 else f"{text[:60]}…"
            raise InvalidInput(f"{shown!r} is no event cursor: it must be REVISION:POSITION, such as 12:3")
        return cls(int(revision), int(position))


@attrs.frozen
class SequencedEvent:
    """A stored event with its place.

    Attributes:
        cursor: Give it as ``after`` to read on behind this event.
        event: What happened.
        turn_id: The turn that it belongs to, if any.
        committed_at: The writer's clock, microseconds since 1970-01-01 UTC.
    """

    cursor: EventCursor
    event: StoredEvent
    turn_id: str | None
    committed_at: int


async def replay_events(store: SessionStore, after: EventCursor | None = None) -> AsyncIterator[SequencedEvent]:
    """Give every committed event behind a cursor once, in order; costs what it gives (T9).

    Raises:
        HistoryPruned: Retention removed some of them; it says from where on they are all there.
        UnreadableData: A commit record cannot be read (S9).
    """
    since = after or EventCursor()
    at = max(0, since.revision - 1)
    expected = max(1, since.revision)
    while True:
        records = await store.records(after=at, limit=_WINDOW)
        for record in records:
            if record.revision != expected or not record.record:
                raise await _pruned(store, since, expected - 1)
            expected += 1
            document = read_record(record)
            for position, event in enumerate(document.events, 1):
                cursor = EventCursor(record.revision, position)
                if cursor > since:
                    yield SequencedEvent(cursor, event, document.turn_id, record.committed_at)
        if len(records) < _WINDOW:
            return
        at = records[-1].revision


@attrs.frozen
class EpochWriter:
    """Who wrote under an epoch (S5).

    Attributes:
        epoch: The fencing number.
        writer: Who, for people; ``None`` when no record says so any more.
        commits: How many commits.
        revision: The revision of the last one; ``None`` before the first.
        committed_at: When that was, by the writer's clock, microseconds since 1970-01-01 UTC.
    """

    epoch: int
    writer: str | None
    commits: int = 0
    revision: int | None = None
    committed_at: int | None = None


async def epoch_writers(store: SessionStore) -> list[EpochWriter]:
    """Tell who wrote under each epoch that a commit record is left of, oldest first.

    Raises:
        UnreadableData: A commit record cannot be read (S9).
    """
    found: dict[int, EpochWriter] = {}
    at = 0
    while True:
        records = await store.records(after=at, limit=_WINDOW)
        for record in records:
            known = found.get(record.epoch) or EpochWriter(record.epoch, None)
            found[record.epoch] = EpochWriter(
                record.epoch,
                known.writer or (read_record(record).writer if record.record else None),
                known.commits + 1,
                record.revision,
                record.committed_at,
            )
        if len(records) < _WINDOW:
            return [found[epoch] for epoch in sorted(found)]
        at = records[-1].revision


async def _pruned(store: SessionStore, since: EventCursor, at: int) -> HistoryPruned:
    """Make the error for a reader whose next commit is gone: say from where on the events are all there."""
    kept: int | None = None
    while kept is None:
        records = await store.records(after=at, limit=_WINDOW)
        kept = next((record.revision for record in records if record.record), None)
        if len(records) < _WINDOW:
            break
        at = records[-1].revision
    hint = f"; go on after {EventCursor(kept)}, from where they are all there" if kept is not None else ""
    return HistoryPruned(f"some of the events after {since} were removed by retention{hint}", kept_from=kept)


async def orphaned_node_ids(
    session_id: str, store: SessionStore, after: str | None = None, limit: int | None = None
) -> list[str]:
    """List the nodes off the active path of the stored head, in the order in which they were stored (L10).

    Args:
        session_id: The session.
        store: Its store.
        after: Only those stored behind this node, which may be any of the graph.
        limit: At most this many; read on with the last one as ``after``.

    Raises:
        CorruptSession: The stored leaf is unset (``no_leaf``) or absent (``dangling_leaf``): every node would seem
            orphaned, so nothing is told.
        SessionDeleted: The session was deleted.
    """
    head = await store.head()
    if isinstance(head, Absent):
        return []
    if isinstance(head, Deleted):
        raise SessionDeleted(f"session {session_id!r} was deleted", session_id=session_id)
    if head.leaf is None:
        raise CorruptSession(
            f"session {session_id!r} has no leaf, so every node would seem orphaned; branch to a node first",
            kind="no_leaf",
            session_id=session_id,
        )
    active = {node.node_id for node in await store.path(head.leaf)}
    found: list[str] = []
    while limit is None or len(found) < limit:
        nodes = await store.graph(after=after, limit=_WINDOW)
        found.extend(node.node_id for node in nodes if node.node_id not in active)
        if len(nodes) < _WINDOW:
            break
        after = nodes[-1].node_id
    return found if limit is None else found[:limit]


@attrs.frozen
class Standing:
    """Where a commit stood on a path, and what it kept.

    Attributes:
        depth: The place of its leaf on the path, from 0.
        components: Component name → blob ref.
    """

    depth: int
    components: Mapping[str, str]


async def standing_at(store: SessionStore, revision: int, path: Sequence[str]) -> Standing | None:
    """Find the commit of a session that stood nearest to a node, at it or before it (L11).

    Of several commits with the same leaf the newest counts. One that stood at the node itself is found by looking back
    from the head; without one every record of the session is looked at.

    Args:
        store: The session's store.
        revision: Later commits do not count.
        path: The ids of the nodes from the root to that node.

    Returns:
        Where; ``None`` when no commit of this session stood on the path.

    Raises:
        HistoryPruned: None that is left stood at the node, and retention removed others that may have.
    """
    depths = {node_id: depth for depth, node_id in enumerate(path)}
    nearest: Standing | None = None
    upto, seen = revision, 0
    while upto > 0:
        since = max(0, upto - _WINDOW)
        records = [record for record in await store.records(after=since, limit=upto - since) if record.revision <= upto]
        for record in reversed(records):
            depth = depths.get(record.leaf, -1) if record.leaf is not None else -1
            if depth > (nearest.depth if nearest else -1):
                nearest = Standing(depth, record.components)
            if nearest and nearest.depth == len(path) - 1:
                return nearest
        upto, seen = since, seen + len(records)
    if seen < revision and path:
        known = f"; it is known at node {path[nearest.depth]!r} before it" if nearest else ""
        raise HistoryPruned(
            f"what tools and plugins kept at node {path[-1]!r} was removed by retention with the commit records of "
            f"that time{known}"
        )
    return nearest


async def plugins_at(store: SessionStore, revision: int | None) -> tuple[PluginFingerprint, ...]:
    """Give the plugins that a commit was made with (P8); none when its record is gone or does not say.

    Raises:
        UnreadableData: The record cannot be read (S9).
    """
    records = await store.records(after=revision - 1, limit=1) if revision else ()
    kept = (record for record in records if record.revision == revision and record.record)
    return next((_decode(record, _Plugins).plugins for record in kept), ())


def read_record(record: CommitRecord) -> CommitDocument:
    """Decode a commit's own document.

    Raises:
        HistoryPruned: Retention removed it.
        UnreadableData: It does not fit.
    """
    if not record.record:
        raise HistoryPruned(f"the document of commit record {record.revision} was removed by retention")
    return _decode(record, CommitDocument)


class _Plugins(Record):
    """All of a commit's document that opening a session needs: it may hold events of a later version (S10)."""

    plugins: tuple[PluginFingerprint, ...] = ()


_D = TypeVar("_D", CommitDocument, _Plugins)


def _decode(record: CommitRecord, kind: type[_D]) -> _D:
    try:
        return kind.from_bytes(record.record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "record"
        raise UnreadableData(row=f"commit record {record.revision}", reason=f"{where}: {first['msg']}") from error

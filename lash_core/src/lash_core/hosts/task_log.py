"""The stream ``tasks`` of one session: read into records, written to, kept short.

Nothing here needs a lease: entries are appended without an epoch, and the order of the stream decides between
writers (see `lash_core.hosts.task_fold.apply_event`). Each entry has a key of its own, so appending it again after a
failure of unknown outcome changes nothing.

Before a session's first commit there is no stream. Until then events wait in memory, in order, and count as if they
were stored; `flush` stores them once there is a head.

A stream that has grown is *compacted*: what the records are at a sequence is appended (`TasksCompacted`, then one
`TaskKept` per record, in one append), then everything up to that sequence is trimmed. A reader sorts the former
behind that sequence, so events that others append meanwhile come after, and a crash between the two steps leaves a
stream that reads the same. A reader that was behind takes the kept records as they are.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence

from lash_hookspecs.errors import LashError, SessionDeleted, SessionMissing, UnreadableData
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.store import Head, StreamEntry, StreamRow, Writer
from lash_hookspecs.records.tasks import (
    STORED_TASK_EVENTS,
    TASK_STREAM,
    StoredTaskEvent,
    TaskEvent,
    TaskKept,
    TaskProgress,
    TaskRecord,
    TasksCompacted,
)
from pydantic import ValidationError

from lash_core.hosts.task_fold import Retention, apply_event, listed, retained

__all__ = ["TaskLog"]

#: Entries above which a stream is compacted, besides those that a compaction leaves.
LONGEST_STREAM = 256


class TaskLog:
    """A session's tasks as the stream tells them.

    Attributes:
        session_id: The session.
        store: Its store.
        changed: Set, and replaced, whenever something was told.
        deleted: Whether the session was deleted; what happens then stays in memory.
        owing: Whether something could not be stored although there is a stream.
    """

    def __init__(
        self,
        session_id: str,
        store: SessionStore,
        *,
        clock: Callable[[], int],
        retention: Retention | None = None,
        tell: Callable[[TaskEvent, TaskRecord], None] = lambda event, record: None,
        tell_gap: Callable[[TaskLog], None] = lambda log: None,
    ) -> None:
        """Open the log; nothing is read yet.

        Args:
            session_id: The session.
            store: Its store.
            clock: Microseconds since 1970-01-01 UTC.
            retention: How long ended ones are kept.
            tell: Gets each event that counts, once, with the record after it; not those from before the first read.
            tell_gap: Called when events were missed.
        """
        self.session_id = session_id
        self.store = store
        self.changed = asyncio.Event()
        self.deleted = False
        self.owing = False
        self._clock = clock
        self._retention = retention or Retention()
        self._tell_event = tell
        self._tell_gap = tell_gap
        self._stored: dict[str, TaskRecord] = {}
        self._pending: dict[str, TaskEvent] = {}
        self._progress: dict[str, tuple[str, TaskProgress]] = {}
        self._told: set[str] = set()
        self._incarnation: str | None = None
        self._cursor = 0
        self._rows = 0
        self._longest = LONGEST_STREAM
        self._primed = False
        self._lock = asyncio.Lock()

    # Reading

    def records(self) -> Mapping[str, TaskRecord]:
        """Give the records as known here, by task id, neither judged nor bounded.

        What is being stored at this moment does not count yet; what cannot be stored now does.
        """
        told = [event for key, event in self._pending.items() if key in self._told]
        waiting = [*told, *(event for _, event in self._progress.values())]
        if not waiting:
            return self._stored
        ahead = dict(self._stored)
        for event in waiting:
            apply_event(ahead, event)
        return ahead

    def listed(self) -> list[TaskRecord]:
        """Give the records as they are shown."""
        return listed(self.records(), self._clock(), self._retention)

    async def refresh(self) -> None:
        """Read what is new in the stream.

        Raises:
            UnreadableData: An entry cannot be read (S9).
        """
        async with self._lock:
            await self._read()

    async def _read(self) -> None:
        rows = await self.store.read(TASK_STREAM, after=self._cursor)
        events = self._in_order(rows)
        before, self._cursor = self._cursor, rows[-1].sequence if rows else self._cursor
        self._rows += len(rows)
        missed = False
        for key, event in events:
            if isinstance(event, TasksCompacted):
                behind = event.upto > before
                missed |= behind and self._primed
                self._stored = {} if behind else retained(self._stored, self._clock(), self._retention)
                self._rows = len(rows)
            elif isinstance(event, TaskKept):
                if event.upto > before:
                    self._stored[event.record.task_id] = event.record
            else:
                self._take(key, event)
        self._primed = True
        if missed:
            self._tell_gap(self)
            self._pulse()

    def _in_order(self, rows: Sequence[StreamRow]) -> list[tuple[str, StoredTaskEvent]]:
        found = []
        for row in rows:
            event = self._decode(row)
            if event is not None:
                place = (event.upto, 1) if isinstance(event, TasksCompacted | TaskKept) else (row.sequence, 0)
                found.append((*place, row.sequence, row.key, event))
        found.sort(key=lambda each: each[:3])
        return [(key, event) for *_, key, event in found]

    def _decode(self, row: StreamRow) -> StoredTaskEvent | None:
        try:
            return STORED_TASK_EVENTS.validate_json(row.body)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            if any(problem["type"] == "union_tag_invalid" for problem in problems):
                return None  # of a later version, which knows what to do with it (S10)
            raise UnreadableData(
                row=f"entry {row.sequence} of stream {TASK_STREAM!r}",
                reason=problems[0]["msg"],
                session_id=self.session_id,
            ) from error

    def _take(self, key: str, event: TaskEvent) -> None:
        record = apply_event(self._stored, event)
        told = key in self._told
        self._told.discard(key)
        if record is not None and self._primed and not told:
            self._tell(event, record)

    def _tell(self, event: TaskEvent, record: TaskRecord) -> None:
        self._tell_event(event, record)
        self._pulse()

    def _pulse(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    # Writing

    async def write(self, *events: TaskEvent) -> None:
        """Store events; when that fails, they never were.

        Raises:
            StoreError, SessionDeleted: They could not be stored.
        """
        keys = self._queue(events)
        try:
            await self.flush()
        except BaseException:
            for key in keys:
                self._pending.pop(key, None)
            raise

    async def write_anyway(self, *events: TaskEvent) -> LashError | None:
        """Take over what has happened, stored or not; what could not be stored is tried again by `flush`."""
        self._queue(events)
        try:
            await self.flush()
        except SessionDeleted as error:
            self._forget_store()
            return error
        except LashError as error:
            self.owing = True
            self._tell_pending()
            return error
        return None

    def add(self, event: TaskEvent) -> None:
        """Put an event behind what waits; stored by the next `flush`."""
        self._queue([event])

    def progress(self, event: TaskProgress) -> None:
        """Take over what a task says; stored by the next `flush`, the last word of each task only."""
        record = self.records().get(event.task_id)
        if record is None or record.instance != event.instance or not record.live:
            return
        self._progress[event.instance] = (secrets.token_hex(8), event)
        self._tell(event, record.evolve(progress=event.text, updated_at=event.at))

    async def flush(self) -> None:
        """Store what waits, as soon as the session has a head; then read what is new.

        Raises:
            StoreError, SessionDeleted: It could not be stored; it goes on waiting.
        """
        async with self._lock:
            if not self._primed:
                await self._read()
            self._gather_progress()
            if self.deleted:
                self._forget_store()
                return
            if self._pending:
                await self._append()
            await self._read()
            if self._rows > self._longest:
                await self._compact()

    def _queue(self, events: Sequence[TaskEvent]) -> list[str]:
        keys = [secrets.token_hex(8) for _ in events]
        self._gather_progress()  # what a task said before comes before
        self._pending.update(zip(keys, events, strict=True))
        return keys

    def _gather_progress(self) -> None:
        for key, event in self._progress.values():
            self._pending[key] = event
            self._told.add(key)
        self._progress.clear()

    async def _append(self) -> None:
        writer = await self._writer()
        if writer is None:
            self._tell_pending()
            return
        pending = dict(self._pending)
        try:
            await self.store.append(
                TASK_STREAM, [StreamEntry(key, event.to_bytes()) for key, event in pending.items()], writer=writer
            )
        except SessionMissing:
            self._tell_pending()
            return
        except SessionDeleted:
            self.deleted, self.owing = True, False
            raise
        for key in pending:
            self._pending.pop(key, None)
        self.owing = bool(self._pending)

    async def _writer(self) -> Writer | None:
        if self._incarnation is None:
            head = await self.store.head()
            if not isinstance(head, Head):
                return None
            self._incarnation = head.incarnation
        return Writer(self._incarnation, None)

    def _tell_pending(self) -> None:
        ahead = dict(self._stored)
        for key, event in self._pending.items():
            record = apply_event(ahead, event)
            if record is not None and key not in self._told:
                self._told.add(key)
                self._tell(event, record)

    def _forget_store(self) -> None:
        self._tell_pending()
        for event in self._pending.values():
            apply_event(self._stored, event)
        self._pending.clear()

    async def _compact(self) -> None:
        writer = await self._writer()
        assert writer is not None
        upto = self._cursor
        kept = retained(self._stored, self._clock(), self._retention)
        # A second compactor's entries have the same keys, and change nothing.
        entries = [
            StreamEntry(f"{upto}", TasksCompacted(upto=upto).to_bytes()),
            *(
                StreamEntry(f"{upto}/{each.instance}", TaskKept(upto=upto, record=each).to_bytes())
                for each in kept.values()
            ),
        ]
        await self.store.append(TASK_STREAM, entries, writer=writer)
        await self.store.trim(TASK_STREAM, upto, writer=writer)
        self._stored, self._rows, self._longest = kept, 0, LONGEST_STREAM + len(kept)

"""The SQLite store, watched: it tells of receipts and stands still where it is told to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lash_hookspecs.records.effects import RESPONSES, ToolReplied
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.store import Commit, Lease, Receipt, StreamEntry, Writer
from lash_store_sql.database import parse_url
from lash_store_sql.sqlite import SqliteBackend, SqliteSession
from lash_store_sql.sqlite_connection import SqliteConnection

__all__ = ["Order", "Still", "WatchedBackend", "say"]

Order = dict[str, Any]
T = TypeVar("T")


def say(**line: Any) -> None:
    """Write one line, whole."""
    os.write(1, json.dumps(line).encode() + b"\n")


async def _nothing() -> None:
    """Freeze nothing."""


class Still:
    """Where this worker stands still."""

    def __init__(self, order: Order) -> None:
        self.where: dict[str, Any] = order.get("stop") or {"at": None}
        self.freeze: Callable[[], Awaitable[None]] = _nothing
        self._seen = 0

    def is_here(self, at: str, **also: Any) -> bool:
        """Tell whether this is the place, counting those like it."""
        if self.where["at"] != at or any(self.where.get(key) != value for key, value in also.items()):
            return False
        self._seen += 1
        nth: int = self.where.get("nth", 1)
        return self._seen == nth

    def _open(self) -> bool:
        return "gate" in self.where and Path(self.where["gate"]).exists()

    def stand(self, before: str) -> None:
        """Stand still in a thread."""
        say(at=self.where["at"], before=before)
        while not self._open():
            time.sleep(0.005)

    async def stand_async(self) -> None:
        """Stand still in a coroutine."""
        say(at=self.where["at"])
        if self.where.get("frozen"):
            await self.freeze()
        while not self._open():  # noqa: ASYNC110  another process makes the file
            await asyncio.sleep(0.005)


class WatchedBackend(SqliteBackend):
    """The SQLite store; it tells of receipts and stands still between the statements of a commit."""

    def __init__(self, url: str, still: Still) -> None:
        super().__init__(parse_url(url), create=True, clock=time.time)
        self.still = still
        still.freeze = self.freeze
        self.traced = False
        self.journaled = asyncio.Event()
        self._count = 0

    def session(self, session_id: str) -> SqliteSession:
        return WatchedSession(self, session_id)

    async def freeze(self) -> None:
        """Stop this process where it holds no lock on the file: in the thread that writes, between two units.

        The thread stops itself: were another one told to, this one might begin the next unit before it is stopped.
        """
        await super().write(lambda connection: signal.pthread_kill(threading.get_ident(), signal.SIGSTOP), "nothing")

    def _queued(self, connect: Callable[[], SqliteConnection]) -> SqliteConnection:
        connection = super()._queued(connect)
        connection.set_trace_callback(self._statement)
        return connection

    def _statement(self, statement: str) -> None:
        """Called by SQLite before each statement that the writer makes, and before it sees it."""
        if not self.traced:
            return
        where, number = self.still.where, self._count
        self._count += 1
        words = " ".join(statement.split()[:3])
        if where["at"] == "statements":
            say(statement=words)
        elif where["at"] == "statement" and number == where["number"]:
            self.still.stand(words)
        elif where["at"] == "in commit" and words == "COMMIT":
            say(at="in commit")
        elif where["at"] == "torn" and words == "COMMIT":
            size = self.path.with_name(self.path.name + "-wal").stat().st_size
            say(at="torn", wal=size)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + where["bytes"], resource.RLIM_INFINITY))


class WatchedSession(SqliteSession):
    """One session of a `WatchedBackend`."""

    def __init__(self, backend: WatchedBackend, session_id: str) -> None:
        super().__init__(backend, session_id)
        self._watched = backend

    async def commit(self, commit: Commit) -> Receipt:
        still, step = self._watched.still, CommitDocument.from_bytes(commit.record).step
        if still.is_here("commit", step=step):
            await still.stand_async()
        self._watched.traced = step == "final"
        receipt = await super().commit(commit)
        self._watched.traced = False
        nodes = [
            [each.node_id, each.parent_node_id, each.kind, hashlib.sha256(each.payload).hexdigest()]
            for each in commit.nodes
        ]
        say(receipt=receipt.commit_id, revision=receipt.revision, digest=receipt.digest, step=step, nodes=nodes)
        if still.is_here("committed", step=step):
            await still.stand_async()
        return receipt

    async def append(self, stream: str, entries: Sequence[StreamEntry], *, writer: Writer) -> Sequence[int]:
        sequences = await super().append(stream, entries, writer=writer)
        for response in map(RESPONSES.validate_json, (entry.body for entry in entries)):
            item = str(response.result.output).split()[1] if isinstance(response, ToolReplied) else None
            say(journaled=response.kind, item=item)
            if item is not None and item == self._watched.still.where.get("after"):
                self._watched.journaled.set()
        return sequences

    async def release_lease(self, lease: Lease) -> None:
        if self._watched.still.is_here("release"):
            await self._watched.still.stand_async()
        await super().release_lease(lease)

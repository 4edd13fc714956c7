"""`SyncLash`: the front door for code without an event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.payloads import Message, ToolInvocation
from lash_hookspecs.records.retention import DeleteReport
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.turn import TurnLimits, TurnResult
from lash_hookspecs.records.usage import UsageRow

from lash_core.app import Agent, Lash, Session, SessionSummary, Turn
from lash_core.attachments.reading import Attachable
from lash_core.runtime.archive_export import Exported
from lash_core.runtime.archive_import import Imported
from lash_core.runtime.conflicts import ConflictPolicy
from lash_core.runtime.parked import ParkedSession
from lash_core.runtime.reading import EventCursor, SequencedEvent

__all__ = ["SyncLash", "SyncSession", "SyncTurn"]

T = TypeVar("T")


class SyncLash:
    """`lash_core.Lash` with blocking methods; its loop runs in a thread of its own.

    ::

        with SyncLash.open("sqlite:///agents.db", agent=agent) as lash:
            result = lash.session("chat-42").turn("Hello")
    """

    def __init__(self, lash: Lash, loop: _LoopThread) -> None:
        self._lash = lash
        self._loop = loop

    @classmethod
    def open(
        cls,
        url: str = "memory:",
        *,
        agent: Agent | None = None,
        host: Host | str | None = None,
        root: str | Path | None = None,
        attachments: AttachmentStore | None = None,
        create: bool = True,
    ) -> Self:
        """Open a store; see `Lash.open`.

        Raises:
            ConfigurationError: It was called inside a running event loop: use `Lash` there.
        """
        _refuse_in_a_loop()
        loop = _LoopThread()

        async def opened() -> Lash:
            lash: Lash = await Lash.open(url, agent=agent, host=host, root=root, attachments=attachments, create=create)
            return lash

        try:
            return cls(loop.run(opened), loop)
        except BaseException:
            loop.close()
            raise

    def session(
        self,
        session_id: str = "",
        create: bool | None = None,
        labels: Mapping[str, str] | None = None,
        ttl: float | None = None,
    ) -> SyncSession:
        """Open a session; see `Lash.session`."""
        return SyncSession(self._loop.run(lambda: self._lash.session(session_id, create, labels, ttl)), self._loop)

    def sessions(self, *, labels: Mapping[str, str] | None = None) -> list[SessionSummary]:
        """List sessions; see `Lash.sessions`."""

        async def listed() -> list[SessionSummary]:
            return [each async for each in self._lash.sessions(labels=labels)]

        return self._loop.run(listed)

    def interrupted(self) -> list[SessionSummary]:
        """List interrupted sessions; see `Lash.interrupted`."""
        return self._loop.run(self._lash.interrupted)

    def resume(self, parked: ParkedSession) -> SyncSession:
        """Open a parked session again; see `Lash.resume`."""
        return SyncSession(self._loop.run(lambda: self._lash.resume(parked)), self._loop)

    def delete(self, session_id: str, *, with_forks: bool = False) -> DeleteReport | None:
        """Delete a session; see `Lash.delete`."""
        return self._loop.run(lambda: self._lash.delete(session_id, with_forks=with_forks))

    def export(self, session_id: str, path: str | Path) -> Exported:
        """Write a session into a file; see `Lash.export`."""
        return self._loop.run(lambda: self._lash.export(session_id, path))

    def load(self, path: str | Path) -> Imported:
        """Store the sessions of a file; see `Lash.load`."""
        return self._loop.run(lambda: self._lash.load(path))

    def close(self) -> None:
        """Close every session, the store and the thread; may be called twice."""
        if not self._loop.closed:
            try:
                self._loop.run(self._lash.close)
            finally:
                self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SyncSession:
    """`lash_core.Session` with blocking methods."""

    def __init__(self, session: Session, loop: _LoopThread) -> None:
        self._session = session
        self._loop = loop

    @property
    def id(self) -> str:
        """The session's id."""
        return self._session.id

    @property
    def interrupted(self) -> bool:
        """Whether a turn is unfinished and nobody works on it (L14)."""
        return self._session.interrupted

    @property
    def running(self) -> bool:
        """Whether a turn runs, here or elsewhere, as last seen."""
        return self._session.running

    def turn(
        self,
        text: str,
        *,
        attachments: Sequence[Attachable] = (),
        source_key: str | None = None,
        limits: TurnLimits | None = None,
        resume: bool = False,
        on_conflict: ConflictPolicy = "raise",
    ) -> TurnResult:
        """Run one turn; see `Session.turn`."""
        return self._loop.run(
            lambda: self._session.turn(
                text,
                attachments=attachments,
                source_key=source_key,
                limits=limits,
                resume=resume,
                on_conflict=on_conflict,
            )
        )

    def stream(
        self,
        text: str,
        *,
        attachments: Sequence[Attachable] = (),
        source_key: str | None = None,
        limits: TurnLimits | None = None,
        resume: bool = False,
        on_conflict: ConflictPolicy = "raise",
    ) -> SyncTurn:
        """Begin one turn; see `Session.stream`."""

        async def begun() -> Turn:
            return self._session.stream(
                text,
                attachments=attachments,
                source_key=source_key,
                limits=limits,
                resume=resume,
                on_conflict=on_conflict,
            )

        return SyncTurn(self._loop.run(begun), self._loop)

    def attach(
        self, data: str | Path | bytes | Attachment, *, name: str | None = None, media_type: str | None = None
    ) -> AttachmentRef:
        """Store a file now; see `Session.attach`."""
        return self._loop.run(lambda: self._session.attach(data, name=name, media_type=media_type))

    def continue_turn(self) -> TurnResult:
        """Continue the interrupted turn; see `Session.continue_turn`."""

        async def continued() -> TurnResult:
            return await self._session.continue_turn().result()

        return self._loop.run(continued)

    def abandon_turn(self) -> TurnResult:
        """Give the interrupted turn up; see `Session.abandon_turn`."""
        return self._loop.run(self._session.abandon_turn)

    def messages(self) -> list[Message | ToolInvocation]:
        """Give the messages and tool results of the active path."""
        return self._loop.run(self._session.messages)

    def branch(self, node_id: str) -> None:
        """Make another node the leaf; see `Session.branch`."""
        self._loop.run(lambda: self._session.branch(node_id))

    def fork(self, session_id: str, *, at: str | None = None) -> SyncSession:
        """Make a new session that begins here; see `Session.fork`."""
        return SyncSession(self._loop.run(lambda: self._session.fork(session_id, at=at)), self._loop)

    def events(self, after: EventCursor | str | None = None) -> list[SequencedEvent]:
        """Give every committed event behind a cursor, once and in order; see `Session.events`."""

        async def replayed() -> list[SequencedEvent]:
            return [event async for event in self._session.events(after)]

        return self._loop.run(replayed)

    def update_config(self, **changes: Any) -> SessionConfig:
        """Change the stored configuration; see `Session.update_config`."""
        return self._loop.run(lambda: self._session.update_config(**changes))

    def compact(self, instructions: str = "") -> bool:
        """Let the installed rewriters shorten the history; see `Session.compact`."""
        return self._loop.run(lambda: self._session.compact(instructions))

    def park(self) -> ParkedSession:
        """Close the session and give a handle that resumes it anywhere; see `Session.park`."""
        return self._loop.run(self._session.park)

    def usage(self) -> tuple[UsageRow, ...]:
        """Give the ledger: one row per source and model."""
        return self._session.usage()

    def delete(self, *, with_forks: bool = False) -> DeleteReport | None:
        """Delete the session; see `Lash.delete`."""
        return self._loop.run(lambda: self._session.delete(with_forks=with_forks))

    def close(self) -> None:
        """Close the session; may be called twice."""
        self._loop.run(self._session.close)


class SyncTurn:
    """`lash_core.Turn` with blocking methods: iterate it for its events, ask `result` for its end."""

    def __init__(self, turn: Turn, loop: _LoopThread) -> None:
        self._turn = turn
        self._loop = loop
        self._events: AsyncIterator[Event] = aiter(turn)

    def __iter__(self) -> Iterator[Event]:
        while (event := self._loop.run(self._next)) is not None:
            yield event

    def result(self) -> TurnResult:
        """Wait for the final commit and give the result."""
        return self._loop.run(self._turn.result)

    def cancel(self) -> None:
        """End the turn as cancelled; returns when that is committed."""
        self._loop.run(self._turn.cancel)

    async def _next(self) -> Event | None:
        return await anext(self._events, None)


class _LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.closed = False
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lash-loop", daemon=True)
        self._thread.start()

    def run(self, make: Callable[[], Awaitable[T]]) -> T:
        _refuse_in_a_loop()
        if self.closed:
            raise ConfigurationError("this SyncLash was closed; open another")
        if self._pid != os.getpid():
            raise ConfigurationError("this SyncLash was opened before a fork of the process; open another in the child")

        async def awaited() -> T:
            return await make()

        coroutine: Coroutine[Any, Any, T] = awaited()
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self.closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _refuse_in_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError("SyncLash blocks, and an event loop runs in this thread: use `lash_core.Lash` here")

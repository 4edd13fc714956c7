"""Fakes of what a runtime hands its work to: files, traces, hosts, and a plugin's part of a session."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
from pydantic import JsonValue

from lash_hookspecs.errors import MissingAttachment
from lash_hookspecs.protocols.hosts import Handover, TurnRunner
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.effects import ModelCall, ToolRun
from lash_hookspecs.records.hosts import HostCapabilities, TurnOrder
from lash_hookspecs.records.traces import TraceRecord

__all__ = ["FakeAttachments", "FakeHandover", "FakeHost", "FakeSessionPlugin", "FakeRunner", "FakeSink"]


@attrs.define
class FakeAttachments:
    """An `AttachmentStore` in a dictionary.

    Attributes:
        files: The bytes, by the id of their reference.
        closed: How often it was closed.
    """

    files: dict[str, bytes] = attrs.field(factory=dict)
    closed: int = 0

    async def put(self, data: bytes, *, media_type: str | None = None, name: str | None = None) -> AttachmentRef:
        """Keep a file.

        Raises:
            InvalidInput: ``media_type`` is no media type.
        """
        ref = AttachmentRef.of(data, media_type=media_type, name=name)
        self.files[ref.id] = data
        return ref

    async def get(self, ref: AttachmentRef) -> bytes:
        """Give a file.

        Raises:
            MissingAttachment: It is not there.
        """
        if ref.id not in self.files:
            raise MissingAttachment(ref.describe(), attachment_id=ref.id, where="the fake attachment store")
        return self.files[ref.id]

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


@attrs.define
class FakeSink:
    """A `TraceSink` that keeps all records.

    Attributes:
        records: What was written, in order.
        closed: How often it was closed.
    """

    records: list[TraceRecord] = attrs.field(factory=list)
    closed: int = 0

    def write(self, record: TraceRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def close(self) -> None:
        """Count it."""
        self.closed += 1


@attrs.frozen
class FakeHandover:
    """A `Handover` that keeps what a worker says in its runner."""

    runner: FakeRunner

    @property
    def order(self) -> TurnOrder:
        """What the worker is to do."""
        return self.runner.order

    def tell(self, message: bytes) -> None:
        """Keep what the worker says."""
        self.runner.told.append(message)

    async def wish(self) -> bytes:
        """Wait for what a test puts into ``wishes``."""
        return await self.runner.wishes.get()


@attrs.define
class FakeRunner:
    """A `TurnRunner` of effects that end well at once, for tests of hosts.

    Attributes:
        effects: What is outstanding at first; each round is given once the one before has ended.
        session_id: The session.
        turn_id: The turn.
        worker: The command that carries an order out; the fake one reads it and does nothing.
        order: What a worker is told to do.
        ran: The keys of what was run, in order.
        told: What workers said, in order.
        wishes: What a worker is told while it has the turn.
        cancelled: Whether it was cancelled.
    """

    effects: list[tuple[ModelCall | ToolRun, ...]]
    session_id: str = "session"
    turn_id: str = "turn-1"
    worker: Sequence[str] = (sys.executable, "-c", "input()")
    order: TurnOrder = attrs.field(factory=lambda: TurnOrder(session_id="session", turn_id="turn-1", body=b"{}"))
    ran: list[str] = attrs.field(factory=list)
    told: list[bytes] = attrs.field(factory=list)
    wishes: asyncio.Queue[bytes] = attrs.field(factory=asyncio.Queue, repr=False)
    cancelled: bool = False
    _running: set[str] = attrs.field(factory=set, repr=False)
    _ended: asyncio.Event = attrs.field(factory=asyncio.Event, repr=False)

    @property
    def done(self) -> bool:
        """Whether everything was run, or it was cancelled."""
        return self.cancelled or not self._left()

    def outstanding(self) -> Sequence[ModelCall | ToolRun]:
        """Give what waits in this round."""
        return () if self.cancelled else [each for each in self._left() if each.key not in self._running]

    async def run(self, effect: ModelCall | ToolRun) -> None:
        """Let an effect end well; once."""
        if effect.key in self._running or effect.key in self.ran:
            raise AssertionError(f"the effect {effect.key!r} is run twice")
        self._running.add(effect.key)
        try:
            await asyncio.sleep(0)
            self.ran.append(effect.key)
        finally:
            self._running.discard(effect.key)
        if self.done:
            self._ended.set()

    async def wait(self) -> None:
        """Wait until it is done."""
        if not self.done:
            await self._ended.wait()

    @asynccontextmanager
    async def handed_over(self, *, secrets: bool = True) -> AsyncIterator[Handover]:
        """Let a worker have the turn; it has run everything when it ends without an error."""
        yield FakeHandover(self)
        self.ran += [effect.key for group in self.effects for effect in group if effect.key not in self.ran]
        self._ended.set()

    async def cancel(self) -> None:
        """End the turn."""
        self.cancelled = True
        self._ended.set()

    def _left(self) -> Sequence[ModelCall | ToolRun]:
        for group in self.effects:
            if left := [each for each in group if each.key not in self.ran]:
                return left
        return ()


@attrs.define
class FakeHost:
    """A `Host` that runs what is outstanding, together, here.

    Attributes:
        name: The host's name.
        capabilities: What it says of itself.
        turns: The turns that it has driven, in order: session and turn.
        closed: How often it was closed.
    """

    name: str = "fake"
    capabilities: HostCapabilities = attrs.field(factory=HostCapabilities)
    turns: list[tuple[str, str]] = attrs.field(factory=list)
    closed: int = 0

    async def run_turn(self, runner: TurnRunner) -> None:
        """Drive a turn until it is done."""
        self.turns.append((runner.session_id, runner.turn_id))
        while not runner.done:
            running = [asyncio.create_task(runner.run(effect)) for effect in runner.outstanding()]
            try:
                await (asyncio.gather(*running) if running else runner.wait())
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


@attrs.define
class FakeSessionPlugin:
    """A `SessionPlugin` that keeps what a test gives it.

    Attributes:
        kept: What `snapshot` gives: JSON.
        schema_version: The version of it.
        restored: What `restore` was given, in order.
        closed: How often it was closed.
    """

    kept: JsonValue = None
    schema_version: int = 1
    restored: list[tuple[int, JsonValue]] = attrs.field(factory=list)
    closed: int = 0

    def snapshot(self) -> JsonValue:
        """Give what is kept."""
        return self.kept

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        """Take up what was kept."""
        self.restored.append((schema_version, snapshot))
        if schema_version:
            self.kept = snapshot

    async def close(self) -> None:
        """Count it."""
        self.closed += 1

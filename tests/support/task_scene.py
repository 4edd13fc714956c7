"""Background tasks under test: a store with sessions, time that passes when a test says so, and hosts on both."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import attrs
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_core.hosts.task_session import LocalSessionTasks
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.protocols.tasks import TaskContext
from lash_hookspecs.records.store import Commit, Head, Writer
from lash_hookspecs.records.tasks import TASK_STREAM, TaskFilter, TaskRecord, TaskRegistration

#: Lists ended tasks too.
EVERYTHING = TaskFilter(include_terminal=True)


async def until(condition: Callable[[], object], longest: float = 20.0) -> None:
    """Wait for something that other tasks or threads bring about."""
    deadline = time.monotonic() + longest
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.002)


@attrs.define
class Time:
    """A clock that a test moves, and who sleeps by it."""

    now: int = 1_000_000_000_000
    sleepers: list[tuple[int, float, asyncio.Event]] = attrs.field(factory=list)

    def clock(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        gate = asyncio.Event()
        sleeper = (self.now + int(seconds * 1_000_000), seconds, gate)
        self.sleepers.append(sleeper)
        try:
            await gate.wait()
        finally:
            self.sleepers.remove(sleeper)

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)
        for due, _, gate in self.sleepers:
            if due <= self.now:
                gate.set()

    async def pass_by(self, seconds: float) -> None:
        """Wait until somebody sleeps that long, and wake them."""
        await until(lambda: any(each == seconds and not gate.is_set() for _, each, gate in self.sleepers))
        self.forward(seconds)


@attrs.define
class Scene:
    """A store, time, and the hosts on them; each host stands for a process of its own."""

    backend: StoreBackend
    time: Time = attrs.field(factory=Time)
    hosts: list[LocalTaskHost] = attrs.field(factory=list)

    def host(self, **changes: Any) -> LocalTaskHost:
        host = LocalTaskHost("test", **{"clock": self.time.clock, "sleep": self.time.sleep, **changes})
        self.hosts.append(host)
        return host

    def open(self, host: LocalTaskHost, session_id: str = "s") -> LocalSessionTasks:
        return host.attach(session_id, self.backend.session(session_id), database=self.backend)

    async def tasks(self, session_id: str = "s", **changes: Any) -> LocalSessionTasks:
        """Give the tasks of a session that has a first commit, on a host of their own."""
        await self.commit(session_id)
        return self.open(self.host(**changes), session_id)

    async def commit(self, session_id: str = "s") -> None:
        """Make the first commit, unless it was made."""
        store = self.backend.session(session_id)
        if not isinstance(await store.head(), Head):
            await store.commit(
                Commit(
                    session_id=session_id,
                    commit_id=secrets.token_hex(8),
                    writer=Writer(secrets.token_hex(8), 0),
                    expected_revision=None,
                    leaf=None,
                    state=b"{}",
                    record=b"{}",
                    committed_at=self.time.now,
                )
            )

    async def delete(self, session_id: str = "s") -> None:
        store = self.backend.session(session_id)
        head = await store.head()
        assert isinstance(head, Head)
        await store.delete(incarnation=head.incarnation, deleted_at=self.time.now)

    async def rows(self, session_id: str = "s") -> list[bytes]:
        """Give the bodies in the stream."""
        return [row.body for row in await self.backend.session(session_id).read(TASK_STREAM)]


@attrs.define
class Work:
    """Work that a test starts and ends."""

    begun: asyncio.Event = attrs.field(factory=asyncio.Event)
    go: asyncio.Event = attrs.field(factory=asyncio.Event)
    contexts: list[TaskContext] = attrs.field(factory=list)
    aborted: int = 0
    done: bool = False
    gives: str | None = "done"

    async def __call__(self, context: TaskContext) -> str | None:
        self.contexts.append(context)
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        self.done = True
        return self.gives


def named(task_id: str, **fields: Any) -> TaskRegistration:
    return TaskRegistration(task_id=task_id, **fields)


def states(records: Any) -> dict[str, str]:
    """Give the state of each task."""
    found: list[TaskRecord] = list(records)
    return {record.task_id: record.state for record in found}

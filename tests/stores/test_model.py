"""Any sequence of calls: each store answers as the in-memory reference does."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import LashError
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Commit, Consumed, Fork, Head, SessionQuery, StreamEntry, Writer

from tests.stores.build import commit, node
from tests.stores.conftest import Clock, jsonl, postgres, sqlite

NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(0, 3)

#: Name of the step and the numbers that choose among what is there.
STEPS = st.one_of(
    st.tuples(st.just("commit"), NAMES, st.integers(0, 5), SMALL),
    st.tuples(st.just("commit"), NAMES, st.just(0), SMALL),
    st.tuples(st.just("stale"), NAMES, SMALL, SMALL),
    st.tuples(st.just("replay"), NAMES, SMALL, SMALL),
    st.tuples(st.just("move"), NAMES, st.integers(0, 9), SMALL),
    st.tuples(st.just("fork"), NAMES, st.integers(0, 9), SMALL),
    st.tuples(st.just("append"), NAMES, SMALL, SMALL),
    st.tuples(st.just("trim"), NAMES, SMALL, SMALL),
    st.tuples(st.just("delete"), NAMES, SMALL, SMALL),
)


@attrs.define
class Script:
    """Turns steps into calls, from what the reference holds, so that both stores get the same ones."""

    reference: MemoryBackend
    made: int = 0
    lives: dict[str, int] = attrs.field(factory=dict)
    past: list[Commit] = attrs.field(factory=list)

    def name(self) -> str:
        self.made += 1
        return f"{self.made:032x}"

    def writer(self, session_id: str) -> Writer:
        return Writer(f"{session_id}-{self.lives.get(session_id, 0)}", 0)

    async def commit(self, session_id: str, back: int, fork: str | None = None, **fields: Any) -> Commit:
        source = self.reference.session(fork or session_id)
        stored = await self.reference.session(session_id).head()
        known = [held.node_id for held in await source.graph()]
        leaf = stored.leaf if isinstance(stored, Head) else None
        parent = known[-1 - back % len(known)] if known and (back or fork) else leaf
        first = node(self.name(), parent)
        second = node(self.name(), first.node_id)
        given = {
            "commit_id": self.name(),
            "writer": self.writer(session_id),
            "expected_revision": stored.revision if isinstance(stored, Head) else None,
            "nodes": [first, second],
            "fork": Fork(fork, parent) if fork else None,
            "open_turn": "turn" if back % 2 else None,
            "labels": {"back": str(back)} if back else None,
        }
        return commit(session_id, **given | fields)

    async def call(self, step: str, session_id: str, x: int, y: int) -> Callable[[StoreBackend], Awaitable[Any]]:
        """Give the call that a step stands for."""
        writer = self.writer(session_id)
        match step:
            case "append":
                entries = [StreamEntry(f"k{x}", b"%d" % y), StreamEntry(f"k{y}", b"")]
                return lambda backend: backend.session(session_id).append("s", entries, writer=writer)
            case "trim":
                return lambda backend: backend.session(session_id).trim("s", x, writer=writer)
            case "delete":
                self.lives[session_id] = self.lives.get(session_id, 0) + 1
                return lambda backend: backend.session(session_id).delete(incarnation=writer.incarnation, deleted_at=x)
        chosen = await self.chosen(step, session_id, x, y)
        self.past.append(chosen)
        return lambda backend: backend.session(chosen.session_id).commit(chosen)

    async def chosen(self, step: str, session_id: str, x: int, y: int) -> Commit:
        match step:
            case "stale":
                return await self.commit(session_id, x, expected_revision=y)
            case "replay" if self.past:
                return self.past[-1 - x % len(self.past)]
            case "move":
                held = [held.node_id for held in await self.reference.session(session_id).graph()]
                leaf = held[x % len(held)] if held else None
                return await self.commit(session_id, 0, nodes=[], leaf=leaf, consumed=(Consumed("s", y),))
            case "fork":
                return await self.commit(session_id, x, fork="abc"[y % 3])
        return await self.commit(session_id, x)


async def answer(call: Callable[[StoreBackend], Awaitable[Any]], backend: StoreBackend) -> object:
    try:
        return await call(backend)
    except LashError as error:
        return type(error), str(error)


async def held(backend: StoreBackend) -> list[object]:
    """Everything that can be read."""
    page = await backend.sessions(SessionQuery())
    stats = await backend.stats()
    seen: list[object] = [page.rows, stats.sessions, stats.nodes, stats.commits]
    for session_id in "abc":
        store = backend.session(session_id)
        head = await store.head()
        seen += [head, await store.graph(), await store.records(), await store.read("s")]
        if isinstance(head, Head) and head.leaf is not None:
            path = await store.path(head.leaf)
            middle = path[len(path) // 2].node_id
            seen += [path, await store.path(head.leaf, last=3), await store.path(head.leaf, after=middle)]
            seen.append(await store.graph(after=middle, limit=2))
    return seen


async def compare(open_store: Callable[[Path, Clock], Awaitable[StoreBackend]], steps: list[Any]) -> None:
    reference, clock = MemoryBackend(), Clock()
    script = Script(reference)
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder), clock)
        try:
            for step in steps:
                call = await script.call(*step)
                assert await answer(call, store) == await answer(call, reference)
            assert await held(store) == await held(reference)
        finally:
            await store.close()


def without_forks(steps: list[Any]) -> list[Any]:
    return [step for step in steps if step[0] != "fork"]


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_sqlite_answers_as_the_reference_does(steps: list[Any]) -> None:
    asyncio.run(compare(sqlite, steps))


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, max_size=25).map(without_forks))
def test_json_lines_answer_as_the_reference_does(steps: list[Any]) -> None:
    asyncio.run(compare(jsonl, steps))


@settings(max_examples=20, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_postgres_answers_as_the_reference_does(steps: list[Any]) -> None:
    asyncio.run(compare(postgres, steps))

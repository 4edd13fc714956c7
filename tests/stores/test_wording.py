"""What the errors of our own stores say; the conformance kit leaves the words to each store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from lash_conformance.build import INCARNATION, Author, chain, commit, holder, ident, node
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import LashError
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Fork, StreamEntry, Writer, blob_ref
from lash_store_sql.sqlite import open_sqlite

from tests.stores.examples import example


def clock() -> float:
    return 1_000.0


async def memory(folder: Path) -> StoreBackend:
    return MemoryBackend(clock=clock)


async def sqlite(folder: Path) -> StoreBackend:
    return await open_sqlite(f"sqlite:///{folder}/store.db", True, clock=clock)


async def jsonl(folder: Path) -> StoreBackend:
    backend: StoreBackend = await example("jsonl_store").open_jsonl(f"jsonl:{folder}/store", True)
    return backend


@pytest.fixture(params=[memory, sqlite, jsonl], ids=lambda store: store.__name__)
async def author(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Author]:
    backend = await request.param(tmp_path)
    yield Author(backend)
    await backend.close()


async def said(call: Awaitable[Any]) -> str:
    with pytest.raises(LashError) as caught:
        await call
    return str(caught.value)


Call = Callable[[Author], Awaitable[Any]]
GONE = blob_ref(b"gone")

#: What is asked of a session with two commits of a node each, and what the answer says.
CALLS: dict[str, Call] = {
    "this store handle is bound to session 'chat', the commit is for 'other'": lambda a: a.store.commit(
        commit("other")
    ),
    "session 'chat' was expected to be new, but it is at revision 2: somebody else committed first": lambda a: (
        a.store.commit(commit(writer=Writer(INCARNATION, 5)))
    ),
    "session 'new' was expected at revision 4, but there is none: somebody else committed first": lambda a: (
        a.backend.session("new").commit(commit("new", expected_revision=4))
    ),
    "session 'chat': commit id 'first' was used before with other content": lambda a: a.store.commit(
        a.next(commit_id="first")
    ),
    "session 'chat' was taken over (epoch 5; this writer has 4): nothing was written": lambda a: a.store.commit(
        a.next(writer=Writer(INCARNATION, 4))
    ),
    f"session 'chat': component 'tools' refers to blob {GONE}, which is not stored": lambda a: a.store.commit(
        a.next(components={"tools": GONE})
    ),
    f"session 'chat': asked for blob {GONE}, which is not stored": lambda a: a.store.get_blobs([GONE]),
    "session 'chat': leaf 'gone' is not stored": lambda a: a.store.path("gone"),
    "session 'chat': node 'one' is stored already": lambda a: a.store.commit(a.next([node("one")])),
    "there is no incarnation 'never' of session 'chat'": lambda a: a.store.delete(incarnation="never", deleted_at=1),
    "session 'new' has no commit yet": lambda a: a.backend.session("new").append(
        "inbox", [StreamEntry("a", b"")], writer=a.writer
    ),
    "session 'chat': node 'child' has the parent 'nobody', which is not stored": lambda a: a.store.path("child"),
}


@pytest.mark.parametrize(("words", "call"), CALLS.items(), ids=[words[:50] for words in CALLS])
async def test_a_refusal_says_what_happened_and_to_what(author: Author, words: str, call: Call) -> None:
    author.writer = Writer(INCARNATION, 5)
    await author.commit([node("one")], commit_id="first")
    await author.commit([node("child", "nobody")])
    assert await said(call(author)) == words


async def test_a_late_writer_is_told_that_it_is_for_ever(author: Author) -> None:
    await author.turn()
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)
    assert await said(author.store.commit(author.next())) == (
        "session 'chat' was deleted: this writer is refused for ever"
    )


async def test_a_fork_that_cannot_be_says_why(author: Author) -> None:
    await author.turn()
    if "sharing" not in author.backend.capabilities.levels:
        forked = author.backend.session("fork").commit(commit("fork", fork=Fork("chat", author.leaf)))
        assert await said(forked) == "this store cannot share a graph: copy the path instead"
        return
    missing = author.backend.session("fork").commit(commit("fork", fork=Fork("none", None)))
    assert await said(missing) == "there is no session 'none' to fork"
    assert await said(author.commit(fork=Fork("chat", None))) == (
        "session 'chat': only the first commit of a session can fork"
    )


async def test_a_lease_says_who_holds_it_and_for_how_long(author: Author) -> None:
    if "concurrent" not in author.backend.capabilities.levels:
        assert not hasattr(author.store, "take_lease")
        return
    store: Any = author.store
    await author.commit()
    await store.take_lease(holder("ann", "one"), 20)
    assert await said(store.take_lease(holder("bob", "two"), 30)) == (
        "session 'chat' is leased to ann (pid 4711 on vega) for another 20 s"
    )
    assert await said(author.turn()) == (
        "session 'chat' was taken over by ann (pid 4711 on vega) (epoch 1; this writer has 0): nothing was written"
    )


async def test_a_node_that_is_stored_twice_is_named(author: Author) -> None:
    (first, *_) = await author.turn()
    again = author.next([*chain(1), attrs.evolve(first, payload=ident().encode())])
    assert await said(author.store.commit(again)) == f"session 'chat': node {first.node_id!r} is stored already"

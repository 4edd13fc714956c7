"""Level ``retention``: hide, vacuum, gc, redact, prune, erase, expire, archives (S8, S4, L11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
from lash_conformance.build import Author, chain
from lash_hookspecs.errors import (
    InvalidInput,
    MissingBlob,
    SessionDeleted,
    SessionExists,
)
from lash_hookspecs.protocols.retention import (
    ArchivedSession,
    ArchivingBackend,
    CheckedBackend,
    RetainedBackend,
    RetainedSession,
)
from lash_hookspecs.protocols.stores import TenantedBackend
from lash_hookspecs.records.retention import (
    AUDIT_STREAM,
    ArchivedHead,
    ArchivedNode,
    ArchivedRecord,
    ArchivedRow,
    ArchivedStream,
)
from lash_hookspecs.records.store import Consumed, Head, SessionQuery, StreamEntry, Writer

LEVEL = "retention"

Sleep = Callable[[float], Awaitable[None]]

SECRET = b"the number is 4711-0815"
MARKER = b'{"redacted":true}'


def kept(author: Author) -> Any:
    """Give the handle; that it keeps what level retention demands is checked here."""
    store = author.store
    assert isinstance(store, RetainedSession)
    assert isinstance(store, ArchivedSession)
    return store


def upkeep(author: Author) -> Any:
    backend = author.backend
    assert isinstance(backend, RetainedBackend)
    assert isinstance(backend, CheckedBackend)
    assert isinstance(backend, ArchivingBackend)
    return backend


async def put_blob(author: Author, body: bytes) -> str:
    (ref,) = await author.store.put_blobs([body])
    return ref


async def contents(author: Author) -> list[Any]:
    stats = await author.backend.stats()
    page = await author.backend.sessions(SessionQuery())
    return [
        attrs.evolve(stats, bytes_on_disk=None),
        page,
        await kept(author).archive(),
        await author.store.records(),
        [await author.store.read(stream) for stream in ("log", AUDIT_STREAM)],
    ]


async def rows_of(author: Author, *others: Author) -> list[ArchivedRow]:
    family = (author, *others)
    heads = [await each.store.head() for each in family]
    rows: list[ArchivedRow] = [ArchivedHead(head=head) for head in heads if isinstance(head, Head)]
    rows += await kept(author).archive()
    for each in family:
        rows += [ArchivedRecord(session_id=each.session_id, record=row) for row in await each.store.records()]
        for name, last in (await kept(each).streams()).items():
            found = tuple(await each.store.read(name))
            rows.append(ArchivedStream(session_id=each.session_id, name=name, last=last, rows=found))
    return rows


async def test_a_family_that_is_deleted_can_be_loaded_under_another_incarnation(author: Author) -> None:
    ref = await put_blob(author, b"kept")
    trunk = await author.turn(3, components={"mode": ref}, labels={"user": "ann"}, ttl=60.0)
    fork = await author.fork("fork", trunk[1].node_id)
    await fork.turn(2)
    await author.turn(2)
    side = chain(2, trunk[0].node_id)
    await author.commit(side, leaf=author.leaf)
    await kept(author).hide([side[0].node_id])
    await author.store.append("log", [StreamEntry(f"k{n}", b"v") for n in range(3)], writer=author.writer)
    await author.commit(consumed=(Consumed("log", 1),))
    assert await kept(author).sharers() == ["chat", "fork"]
    rows = await rows_of(author, fork)
    for each in (author, fork):
        await each.store.delete(incarnation=each.writer.incarnation, deleted_at=1)
    with pytest.raises(SessionDeleted):
        await upkeep(author).load(rows)
    renewed: list[ArchivedRow] = []
    for row in rows:
        if isinstance(row, ArchivedHead):
            row = ArchivedHead(head=attrs.evolve(row.head, incarnation=f"new {row.head.session_id}"))
        renewed.append(row)
    assert await upkeep(author).load(iter(renewed)) == ["chat", "fork"]
    assert await rows_of(author, fork) == renewed
    assert (await upkeep(author).check()).findings == ()
    author.writer, fork.writer = Writer("new chat", 0), Writer("new fork", 0)
    await author.turn(1)
    await fork.turn(1)
    assert len(await author.store.path(author.leaf or "")) == 6
    assert len(await fork.store.path(fork.leaf or "")) == 5
    report = await kept(author).erase(incarnation="new chat", deleted_at=2)
    assert (report.shared_nodes, report.shared_with) == (2, ("fork",))
    assert len(await fork.store.path(fork.leaf or "")) == 5


def broken(rows: list[ArchivedRow]) -> Iterator[tuple[str, list[ArchivedRow], type[Exception]]]:
    heads = [row for row in rows if isinstance(row, ArchivedHead)]
    nodes = [row for row in rows if isinstance(row, ArchivedNode)]
    rest = rows[len(heads) + len(nodes) :]
    yield "a node before its head", [*nodes, *rows], InvalidInput
    yield "a node behind a record", [*heads, *nodes, *rest, nodes[0]], InvalidInput
    foreign = ArchivedStream(session_id="nobody", name="x", last=0, rows=())
    yield "a stream of nobody", [*rows, foreign], InvalidInput
    yield "a session twice", [*heads, *heads, *nodes], SessionExists
    lost = attrs.evolve(nodes[0], node=attrs.evolve(nodes[0].node, refs=("0" * 64,)))
    yield "a ref to nothing", [*heads, lost], MissingBlob


async def test_a_family_is_loaded_whole_or_not_at_all(author: Author) -> None:
    await author.turn(2)
    rows = await rows_of(author)
    named = [
        ArchivedHead(head=attrs.evolve(row.head, session_id="again", incarnation="new"))
        if isinstance(row, ArchivedHead)
        else attrs.evolve(row, owner="again")
        if isinstance(row, ArchivedNode)
        else attrs.evolve(row, session_id="again")
        for row in rows
    ]
    before = await contents(author)
    with pytest.raises(SessionExists):
        await upkeep(author).load(rows)
    for what, wrong, error in broken(named):
        with pytest.raises(error):
            await upkeep(author).load(wrong)
        assert await contents(author) == before, what
    assert await upkeep(author).load(named) == ["again"]


async def branched(author: Author) -> tuple[list[str], list[str]]:
    """Write a trunk of three and a side branch of two; the leaf is the trunk's."""
    trunk = [each.node_id for each in await author.turn(3)]
    side = chain(2, trunk[0])
    await author.commit(side, leaf=trunk[2])
    return trunk, [each.node_id for each in side]


# tenants


async def test_s8_retention_of_one_tenant_touches_nothing_of_another(author: Author) -> None:
    backend = author.backend
    assert isinstance(backend, TenantedBackend)
    views: list[Any] = [backend.tenant("a"), backend.tenant("b")]
    for view in views:
        writer = Author(view)
        _, side = await branched(writer)
        await put_blob(writer, b"used by nobody")
        await writer.commit(ttl=1.0)
        await kept(writer).hide([side[0]])
    left, right = views
    before = [await each.stats() for each in views]
    assert (await left.gc(grace=0)).blobs == 1
    assert (await left.vacuum(grace=0)).nodes == 2
    assert (await left.expire(now=1 << 60)).session_ids == ("chat",)
    assert attrs.evolve(await right.stats(), bytes_on_disk=None) == attrs.evolve(before[1], bytes_on_disk=None)
    assert (await right.check()).nodes == 5
    assert (await left.check()).nodes == 0
    assert (await upkeep(author).gc(grace=0)).blobs == 0
    assert len(await right.session("chat").archive()) == 5

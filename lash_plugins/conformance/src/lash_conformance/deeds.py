"""Operations that are broken off: what they do, and what must hold afterwards whether they were done or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Absent, Commit, Consumed, Deleted, Fork, Head, StreamEntry, Writer, blob_ref

from lash_conformance.build import INCARNATION, Author, chain, holder, ident
from lash_conformance.looking import everything

__all__ = ["INCARNATION", "OPERATIONS", "Operation", "go_on", "prepare"]

_BODY = b"a body that the commit brings"
_FORKED = f"{0xF0:032x}"


@attrs.frozen
class Operation:
    """Something that a store does in one step or not at all.

    Attributes:
        do: Does it, always alike.
        check: Looks whether it was done: whole, when it was.
        needs: The level of the store that it needs.
        repeatable: Whether doing it twice is doing it once.
    """

    do: Callable[[Author], Awaitable[Any]]
    check: Callable[[Author], Awaitable[bool]]
    needs: str = "core"
    repeatable: bool = True


async def prepare(author: Author) -> None:
    """Write what an operation begins from."""
    await author.commit(chain(3), labels={"before": "yes"}, open_turn="turn")
    await author.store.append("inbox", [StreamEntry(key, b"1") for key in "abc"], writer=author.writer)


def _the_commit(author: Author) -> Commit:
    """Make the commit that is broken off; the same in every process."""
    first = Node(f"{author.session_id}-first", None, 1, "message", b"{}")
    second = Node(f"{author.session_id}-second", first.node_id, 2, "tool", b"x" * 500, refs=(blob_ref(_BODY),))
    return Commit(
        session_id=author.session_id,
        commit_id=f"{author.session_id}-commit",
        writer=Writer(INCARNATION, 0),
        expected_revision=1,
        leaf=second.node_id,
        state=b"after",
        record=b"after",
        committed_at=3,
        nodes=(first, second),
        components={"part": blob_ref(_BODY)},
        blobs={blob_ref(_BODY): _BODY},
        consumed=(Consumed("inbox", 2),),
        labels={"after": "yes"},
    )


async def _commit(author: Author) -> None:
    await author.store.commit(_the_commit(author))


async def _committed(author: Author) -> bool:
    head, graph, records, (inbox,) = _parts(await everything(author))
    assert isinstance(head, Head), f"an acknowledged session is gone: {head}"
    listed = [name for name in ("before", "after") if head.labels == {name: "yes"}]
    if head.revision == 1:
        assert (head.state, head.open_turn, listed) == (b'{"v":1}', "turn", ["before"])
        assert (len(graph), len(records), [row.sequence for row in inbox]) == (3, 1, [1, 2, 3])
        return False
    following = _the_commit(author)
    assert (head.revision, head.state, head.open_turn, listed) == (2, b"after", None, ["after"])
    assert (head.leaf, head.components) == (following.leaf, following.components)
    assert list(await author.store.path(str(head.leaf))) == list(following.nodes)
    assert [record.revision for record in records] == [1, 2]
    assert [row.sequence for row in inbox] == [3]
    assert await author.store.get_blobs([blob_ref(_BODY)]) == following.blobs
    return True


async def _append(author: Author) -> None:
    entries = [StreamEntry(key, b"2") for key in ("c", "d", "e")]
    await author.store.append("inbox", entries, writer=Writer(INCARNATION, 0))


async def _appended(author: Author) -> bool:
    found = [(row.sequence, row.key, row.body) for row in await author.store.read("inbox")]
    before = [(1, "a", b"1"), (2, "b", b"1"), (3, "c", b"1")]
    is_done = len(found) > len(before)
    sequences = [sequence for sequence, _, _ in found]
    assert sequences == sorted(set(sequences))
    assert [each[1:] for each in found] == [each[1:] for each in before] + [("d", b"2"), ("e", b"2")] * is_done
    return is_done


async def _delete(author: Author) -> None:
    await author.store.delete(incarnation=INCARNATION, deleted_at=9)


async def _deleted(author: Author) -> bool:
    head, graph, records, (inbox,) = _parts(await everything(author))
    if isinstance(head, Head):
        assert (head.revision, len(graph), len(records), len(inbox)) == (1, 3, 1, 3)
        return False
    assert head == Deleted(INCARNATION, 1, 9)
    assert (len(graph), len(records), len(inbox)) == (0, 0, 0)
    return True


async def _fork(author: Author) -> None:
    head = await author.store.head()
    assert isinstance(head, Head)
    forked = Author(author.backend, f"{author.session_id}-fork", Writer(_FORKED, 0))
    node = Node(f"{author.session_id}-forked", head.leaf, 4, "message", b"{}")
    await forked.commit([node], fork=Fork(author.session_id, head.leaf), commit_id=_FORKED)


async def _forked(author: Author) -> bool:
    fork = author.backend.session(f"{author.session_id}-fork")
    head = await fork.head()
    if head == Absent():
        return False
    assert isinstance(head, Head)
    assert len(await fork.path(str(head.leaf))) == 4
    assert len(await fork.records()) == 1
    return True


async def _take(author: Author) -> None:
    store: Any = author.store
    await store.take_lease(holder("ann"), 600)


async def _taken(author: Author) -> bool:
    store: Any = author.store
    lease, head = await store.lease(), await author.store.head()
    assert isinstance(head, Head)
    assert (lease.epoch if lease else 0) == head.epoch
    return lease is not None


OPERATIONS = {
    "commit": Operation(_commit, _committed),
    "append": Operation(_append, _appended),
    "delete": Operation(_delete, _deleted),
    "fork": Operation(_fork, _forked, needs="sharing"),
    "take_lease": Operation(_take, _taken, needs="concurrent", repeatable=False),
}


def _parts(found: tuple[object, ...]) -> tuple[Any, list[Any], list[Any], list[list[Any]]]:
    return found  # type: ignore[return-value]  # rows of four kinds, in this order


async def go_on(author: Author) -> None:
    """Take the session's next commit, whatever has become of it."""
    head = await author.store.head()
    if isinstance(head, Head):
        writer = Writer(head.incarnation, head.epoch)
        following = Author(author.backend, author.session_id, writer, head.revision, head.leaf)
    else:
        following = Author(author.backend, author.session_id, Writer(ident(), 0))
    nodes = await following.turn()
    path = await author.store.path(nodes[-1].node_id)
    assert list(path[-3:]) == nodes

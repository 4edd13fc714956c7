"""Whoever asks for history that retention removed is told so, and never silently gets less (L11, T9, S4)."""

from __future__ import annotations

import pytest
from lash_conformance.build import Author
from lash_core.runtime.reading import EventCursor, replay_events
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import HistoryPruned
from lash_hookspecs.records.retention import Keep, Retention

from lash_core import Agent, Lash


async def written(store: MemoryBackend, *, keep: Retention) -> Author:
    """Write five commits, then prune."""
    author = Author(store)
    for number in range(5):
        await author.turn(
            1, record=b'{"step":"append","events":[{"type":"nodes_appended","node_ids":["%d"]}]}' % number
        )
    await store.session("chat").prune(keep)
    return author


async def seen(store: MemoryBackend, after: EventCursor | None = None) -> list[str]:
    return [str(event.cursor) async for event in replay_events(store.session("chat"), after)]


@pytest.mark.parametrize("keep", [Retention(records=Keep(last=2)), Retention(documents=Keep(last=2))])
async def test_t9_a_reader_who_missed_events_that_were_pruned_is_told_where_they_begin(keep: Retention) -> None:
    store = MemoryBackend()
    await written(store, keep=keep)
    for cursor in (None, EventCursor(1, 1), EventCursor(3, 1)):
        with pytest.raises(HistoryPruned) as caught:
            await seen(store, cursor)
        assert str(caught.value) == (
            f"some of the events after {cursor or EventCursor()} were removed by retention; "
            "go on after 4:0, from where they are all there"
        )
        assert caught.value.kept_from == 4
    assert await seen(store, EventCursor(4, 0)) == ["4:1", "5:1"]
    assert await seen(store, EventCursor(5, 1)) == []


async def test_l11_branching_to_where_no_commit_is_left_is_refused_and_names_the_nearest() -> None:
    async with Lash.open("memory:", agent=Agent()) as lash:
        chat = await lash.session("chat")
        for text in ("One.", "Two.", "Three."):
            await chat.turn(text)
        store = lash.store.session("chat")
        path = await store.graph()
        await store.prune(Retention(records=Keep(last=2)))  # type: ignore[attr-defined]  # of level retention
        with pytest.raises(HistoryPruned) as caught:
            await chat.branch(path[1].node_id)
        assert str(caught.value) == (
            f"what tools and plugins kept at node {path[1].node_id!r} was removed by retention with the commit records "
            "of that time"
        )
        await chat.branch(path[4].node_id)
        assert (await chat.turn("Another three.")).outcome == "finished"


async def test_s8_a_session_whose_documents_were_pruned_resumes_and_goes_on() -> None:
    async with Lash.open("memory:", agent=Agent()) as lash:
        chat = await lash.session("chat")
        for text in ("One.", "Two."):
            await chat.turn(text)
        await chat.close()
        keep = Retention(records=Keep(last=1), documents=Keep(last=1))
        await lash.store.session("chat").prune(keep)  # type: ignore[attr-defined]
        chat = await lash.session("chat", create=False)
        assert (await chat.turn("Three.")).outcome == "finished"
        assert chat.document.turn_index == 3

"""Model calls outside the conversation: the usage is filed under its source, once (T8)."""

from __future__ import annotations

from typing import Any

import pytest
from families import Voices, environment, ledger, opened
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import ModelError, StoreUnavailable, UnknownName
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.models import UserTurn
from lash_hookspecs.records.payloads import TextPart
from lash_hookspecs.records.sessions import CompletionRequest
from lash_hookspecs.records.turn import TurnInput
from probes import FailingBackend, calls, says

from lash_core import tool

HI = TurnInput(text="hi")
ASKED = CompletionRequest(messages=(UserTurn(text="sum up"),), source="summary", instructions="Be brief.")


async def test_a_completion_asks_the_model_and_leaves_nothing_on_the_path() -> None:
    model = Voices(s=[says("hello", input_tokens=1), says("short", input_tokens=5, cached_input_tokens=3)])
    session = await opened(environment(model, store=MemoryBackend()), "s")
    await session.turn(HI)
    path = session.path
    reply = await session.complete(ASKED)
    assert reply.parts == (TextPart(text="short"),)
    assert (model.requests[1].instructions, model.requests[1].messages) == ("Be brief.", ASKED.messages)
    assert session.path == path
    assert ledger(session) == {"turn": (1, 1), "summary": (1, 5)}


async def test_usage_before_the_first_commit_rides_that_one() -> None:
    store = MemoryBackend()
    session = await opened(environment(store=store), "s")
    await session.complete(ASKED)
    assert store.living == {}
    await session.turn(HI)
    assert ledger(session) == {"turn": (1, 1), "summary": (1, 1)}


async def test_a_completion_in_a_turn_rides_the_turns_next_commit() -> None:
    @tool(kind="read_only")
    async def sum_up(context: ToolCallContext) -> str:
        assert context.session is not None
        await context.session.complete(ASKED)
        return "short"

    store = FailingBackend()
    model = Voices(s=[calls(("sum_up", {}), input_tokens=10), says("short", input_tokens=5), says("done")])
    session = await opened(environment(model, store=store, tools=(sum_up,)), "s")
    result = await session.turn(HI)
    assert ledger(session) == {"turn": (2, 10), "summary": (1, 5)}
    assert result.usage.input_tokens == 10, "it is no part of the turn"
    assert len(store.commits) == 3


@pytest.mark.parametrize("how", ["failing", "lost"])
async def test_a_commit_that_fails_takes_no_answer_away_and_counts_once(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.turn(HI)
    getattr(store, how).add(3)
    reply = await session.complete(ASKED)
    assert reply.parts
    assert "usage of session s waits for its next commit" in caplog.text
    await session.turn(HI)
    await session.turn(HI)
    assert ledger(session) == {"turn": (3, 3), "summary": (1, 1)}
    again = await opened(environment(store=store), "s")
    assert ledger(again) == ledger(session)


async def test_a_completions_usage_is_not_taken_for_a_lost_call_of_the_turn() -> None:
    @tool(kind="read_only")
    async def sum_up(context: ToolCallContext) -> str:
        assert context.session is not None
        await context.session.complete(ASKED)
        return "short"

    store = FailingBackend()
    store.failing = {2}
    model = Voices(s=[calls(("sum_up", {})), says("short"), says("done")])
    session = await opened(environment(model, store=store, tools=(sum_up,)), "s")
    with pytest.raises(StoreUnavailable):
        await session.turn(HI)
    await session.continue_turn()
    rows = {row.source: (row.calls, row.unknown_calls) for row in session.document.usage}
    assert rows == {"turn": (2, 0), "summary": (2, 0)}
    assert len(model.requests) == 4, "what the journal holds is counted once"


async def test_a_completion_just_before_the_end_is_not_lost() -> None:
    store = FailingBackend()
    session = await opened(environment(store=store), "s")
    await session.turn(HI)
    store.failing = {3}
    await session.complete(ASKED)
    await session.close()
    assert ledger(await opened(environment(store=store), "s")) == {"turn": (1, 1), "summary": (1, 1)}


@pytest.mark.parametrize(
    ("answer", "request_", "error"),
    [
        (ModelError("no"), ASKED, ModelError),
        (says(""), ASKED.evolve(model="nobody:x"), UnknownName),
    ],
)
async def test_a_completion_that_cannot_be_had_counts_nothing(
    answer: Any, request_: CompletionRequest, error: type[Exception]
) -> None:
    session = await opened(environment(Voices(s=[answer]), store=MemoryBackend()), "s")
    with pytest.raises(error):
        await session.complete(request_)
    await session.turn(HI)
    assert set(ledger(session)) == {"turn"}

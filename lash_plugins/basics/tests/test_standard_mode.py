"""The standard mode asks, runs tools and answers."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from lash_basics.standard_mode import StandardMode
from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    BoundaryPassed,
    ExecutionMode,
    Finish,
    ModeInput,
    ModelAnswered,
    PassBoundary,
    RunTools,
    ToolsFinished,
    TurnBegan,
)
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ReasoningPart, TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_hookspecs.records.turn import TurnEnd, TurnInput
from pydantic import JsonValue

MODE = StandardMode()
FRESH: JsonValue = {"saw_results": False}
SEEN: JsonValue = {"saw_results": True}

texts = st.text(max_size=20)
calls = st.builds(ToolCall, call_id=st.uuids().map(str), tool=st.sampled_from(["read_file", "count"]))
parts = st.lists(
    st.one_of(
        st.builds(TextPart, text=texts), st.builds(ReasoningPart, text=texts), st.builds(ToolCallPart, call=calls)
    ),
    max_size=4,
).map(tuple)
reasons = st.sampled_from(["stop", "tool_calls", "length", "content_filter", "other"])
replies = st.builds(ModelReply, parts=parts, finish_reason=reasons)
inputs = st.lists(st.builds(TurnInput, text=texts), max_size=2).map(tuple)
events: st.SearchStrategy[ModeInput] = st.one_of(
    st.builds(TurnBegan, input=st.builds(TurnInput, text=texts)),
    st.builds(ModelAnswered, reply=replies),
    st.builds(ToolsFinished, results=st.just(())),
    st.builds(BoundaryPassed, inputs=inputs),
)
states = st.sampled_from([FRESH, SEEN])


def answered(state: JsonValue, *said: TextPart | ReasoningPart | ToolCallPart, reason: str = "stop") -> TurnEnd:
    reply = ModelReply.model_validate({"parts": [part.model_dump() for part in said], "finish_reason": reason})
    finish = MODE.step(state, ModelAnswered(reply)).actions[-1]
    assert isinstance(finish, Finish)
    return finish.end


def test_it_is_an_execution_mode() -> None:
    assert isinstance(MODE, ExecutionMode)
    assert (MODE.name, MODE.version) == ("standard", 1)


def test_a_turn_begins_by_asking_the_model() -> None:
    assert MODE.step(None, TurnBegan(TurnInput(text="hi"))).actions == (AskModel(),)


def test_tool_calls_are_run_behind_the_message_that_makes_them() -> None:
    call = ToolCall(call_id="1", tool="count", arguments={"path": "a"})
    reply = ModelReply(parts=(TextPart(text="I look."), ToolCallPart(call=call)), finish_reason="tool_calls")
    step = MODE.step(FRESH, ModelAnswered(reply))
    assert step.actions == (Append(Message(role="assistant", parts=reply.parts)), RunTools((call,)))


def test_results_are_committed_before_the_model_sees_them() -> None:
    step = MODE.step(FRESH, ToolsFinished((ToolResult(call_id="1", tool="count"),)))
    assert step.actions == (PassBoundary(),)
    assert MODE.step(step.state, BoundaryPassed()).actions == (AskModel(),)


def test_text_finishes_the_turn() -> None:
    assert answered(FRESH, TextPart(text="Done.")) == TurnEnd(outcome="finished", text="Done.")


def test_an_answer_that_hit_the_output_limit_stops_the_turn() -> None:
    end = answered(FRESH, TextPart(text="Once upon"), reason="length")
    assert (end.outcome, end.reason, end.text) == ("stopped", "output_limit", "Once upon")
    assert end.message == "the model reached its output limit"


def test_a_filtered_answer_stops_the_turn_and_runs_nothing() -> None:
    call = ToolCallPart(call=ToolCall(call_id="1", tool="count"))
    end = answered(FRESH, TextPart(text="I "), call, reason="content_filter")
    assert (end.outcome, end.reason, end.text) == ("stopped", "content_filter", "I ")


def test_silence_after_tool_results_is_an_end() -> None:
    assert answered(SEEN) == TurnEnd(outcome="finished", text="")


def test_silence_without_tool_results_is_a_failure_that_says_what_to_do() -> None:
    end = answered(FRESH, ReasoningPart(text="hm"))
    assert (end.outcome, end.reason) == ("failed", "model_error")
    assert end.message == (
        "the model answered nothing: neither text nor a tool call; say it in other words or choose another model"
    )


def test_input_at_a_boundary_wants_a_spoken_answer() -> None:
    step = MODE.step(SEEN, BoundaryPassed((TurnInput(text="and also this"),)))
    assert step.state == FRESH


@given(states, events)
def test_a_step_appends_and_then_does_exactly_one_thing(state: JsonValue, event: ModeInput) -> None:
    *before, last = MODE.step(state, event).actions
    assert all(isinstance(action, Append) for action in before)
    assert isinstance(last, AskModel | RunTools | PassBoundary | Finish)


@given(states, events)
def test_a_step_is_pure_and_its_state_is_small_json(state: JsonValue, event: ModeInput) -> None:
    kept = json.dumps(state)
    step = MODE.step(state, event)
    assert json.dumps(state) == kept
    assert MODE.step(json.loads(kept), event) == step
    assert len(json.dumps(step.state)) < 100


@given(states, replies)
def test_what_the_model_said_is_kept_as_it_was_said(state: JsonValue, reply: ModelReply) -> None:
    append = MODE.step(state, ModelAnswered(reply)).actions[0]
    assert isinstance(append, Append)
    assert isinstance(append.payload, Message)
    if reply.finish_reason != "content_filter":
        assert append.payload.parts == reply.parts


@given(states, replies)
def test_every_call_of_an_appended_message_is_run(state: JsonValue, reply: ModelReply) -> None:
    append, last = MODE.step(state, ModelAnswered(reply)).actions
    assert isinstance(append, Append)
    assert isinstance(append.payload, Message)
    assert append.payload.tool_calls == (last.calls if isinstance(last, RunTools) else ())

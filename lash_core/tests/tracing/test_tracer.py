"""The way from an event to a sink, and that it harms nobody."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from lash_core.tracing import MemorySink, SessionTracer, Tracer
from lash_hookspecs.records.traces import TraceContext, TraceRecord


class FullDisk(MemorySink):
    """A sink that can write nothing; what its errors say is nobody's business."""

    def write(self, record: TraceRecord) -> None:
        super().write(record)
        raise OSError(28, "No space left on device", "/home/CANARY/t.jsonl")


def test_without_a_sink_nothing_happens() -> None:
    tracer = Tracer(None, level="extended", bodies=True)
    assert (tracer.on, tracer.extended, tracer.bodies) == (False, False, False)
    assert tracer.bind(session_id="s") is tracer
    tracer.emit("event", {})
    tracer.plugin_event("mine", "seen", {})


def test_bound_context_lies_over_what_was_known() -> None:
    sink = MemorySink()
    app = TraceContext(session_id="old", metadata={"region": "eu", "tier": "a"})
    tracer = Tracer(sink, context=app).bind(session_id="s", metadata={"tier": "b"})
    tracer.bind(turn_index=1).emit("inner", {})
    tracer.emit("outer", {})
    metadata: dict[str, Any] = {"region": "eu", "tier": "b"}
    assert [each.context for each in sink.records] == [
        TraceContext(session_id="s", turn_index=1, metadata=metadata),
        TraceContext(session_id="s", metadata=metadata),
    ]


@pytest.mark.parametrize(
    ("under", "over", "result"),
    [
        ({"turn_id": "a"}, {}, {"turn_id": "a"}),
        ({}, {"turn_id": "b"}, {"turn_id": "b"}),
        ({"turn_id": "a", "plugin": "p"}, {"turn_id": "b"}, {"turn_id": "b", "plugin": "p"}),
        ({"metadata": {"x": 1}}, {}, {"metadata": {"x": 1}}),
        ({}, {"metadata": {"x": 1}}, {"metadata": {"x": 1}}),
        ({"metadata": {"x": 1, "y": 1}}, {"metadata": {"y": None}}, {"metadata": {"x": 1, "y": None}}),
    ],
)
def test_contexts_are_overlaid_field_by_field(
    under: dict[str, Any], over: dict[str, Any], result: dict[str, Any]
) -> None:
    assert TraceContext(**under).overlaid(TraceContext(**over)) == TraceContext(**result)


def test_bodies_stay_out_unless_they_are_asked_for() -> None:
    closed, opened = MemorySink(), MemorySink()
    for sink, bodies in ((closed, False), (opened, True)):
        Tracer(sink, bodies=bodies).emit("event", {"chars": 2}, {"text": "hi"})
    assert [each.bodies for each in (*closed.records, *opened.records)] == [None, {"text": "hi"}]


def test_records_are_numbered_and_timed() -> None:
    sink, now = MemorySink(), iter([5, 6])
    tracer = Tracer(sink, clock=lambda: next(now))
    tracer.emit("one", {})
    tracer.bind(plugin="p").emit("two", {"absent": None})
    assert [each.timestamp for each in sink.records] == [5, 6]
    assert sorted(each.record_id for each in sink.records) == [each.record_id for each in sink.records]
    assert len({each.record_id for each in sink.records}) == 2
    assert sink.records[1].fields == {}


def test_a_plugins_event_has_its_name_and_is_about_it() -> None:
    sink = MemorySink()
    Tracer(sink).plugin_event("mine", "cache_hit", {"key": "k\ud800"})
    [record] = sink.records
    assert (record.event, record.context.plugin) == ("plugin.mine.cache_hit", "mine")
    assert record.fields == {"key": "k\ufffd"}
    assert record.to_bytes()


def test_a_failing_sink_is_logged_once_without_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    sink = FullDisk()
    tracer = SessionTracer(sink, bodies=True)
    with caplog.at_level(logging.DEBUG, "lash"):
        for number in range(3):
            tracer.bind(turn_index=number).emit("event", {}, {"text": "CANARY"})
    assert len(sink.records) == 3
    assert [each.getMessage() for each in caplog.records] == [
        "the trace cannot be written: No space left on device; the turn goes on, and this is not said again"
    ]


def test_what_cannot_be_traced_is_logged_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    tracer = Tracer(sink)
    with caplog.at_level(logging.DEBUG, "lash"):
        tracer.plugin_event("mine", "odd", {"value": {"CANARY", "set"}})
        tracer.plugin_event("mine", "even", {})
    assert sink.events == ["plugin.mine.even"]
    [told] = caplog.records
    assert told.getMessage() == (
        "the trace cannot be written: ValidationError; the turn goes on, and this is not said again"
    )

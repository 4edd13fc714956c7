"""The fakes of files, traces, turns and parts of sessions: what they take is there to be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from lash_hookspecs.errors import InvalidInput, MissingAttachment
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.protocols.hosts import Host, TurnRunner
from lash_hookspecs.protocols.tracing import TraceSink
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.effects import ModelCall, ToolRun
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.traces import TraceRecord
from lash_hookspecs.testing import FakeAttachments, FakeHost, FakeRunner, FakeSink

ASKS = ModelCall(key="1")
RUNS = tuple(ToolRun(key=str(number), call=ToolCall(call_id=f"c{number}", tool="add")) for number in (2, 3))


async def test_files_come_back_and_missing_ones_are_told() -> None:
    files: AttachmentStore = FakeAttachments()
    ref = await files.put(b"two litres", media_type="text/plain", name="milk.txt")
    assert await files.get(ref) == b"two litres"
    with pytest.raises(MissingAttachment, match="is not in the fake attachment store"):
        await files.get(AttachmentRef.of(b"other"))
    with pytest.raises(InvalidInput):
        await files.put(b"x", media_type="no type")


def test_a_sink_keeps_what_was_written() -> None:
    sink = FakeSink()
    taken: TraceSink = sink
    record = TraceRecord(record_id="r1", timestamp=1, event="commit")
    taken.write(record)
    taken.close()
    assert (sink.records, sink.closed) == ([record], 1)


async def test_a_host_runs_each_round_of_a_turn_once() -> None:
    runner = FakeRunner([(ASKS,), RUNS])
    turn: TurnRunner = runner
    host: Host = FakeHost()
    await host.run_turn(turn)
    assert (runner.ran, runner.done) == (["1", "2", "3"], True)
    with pytest.raises(AssertionError, match="the effect '1' is run twice"):
        await turn.run(ASKS)


async def test_a_host_that_is_cancelled_leaves_the_rest_outstanding() -> None:
    runner = FakeRunner([(ASKS,), RUNS])
    run = asyncio.create_task(FakeHost().run_turn(runner))
    await asyncio.sleep(0)
    run.cancel()
    await asyncio.wait([run])
    left: Sequence[object] = runner.outstanding()
    assert run.cancelled()
    assert left == [ASKS]


async def test_a_turn_that_is_cancelled_or_handed_over_is_done() -> None:
    stopped, given = FakeRunner([(ASKS,)]), FakeRunner([(ASKS,), RUNS])
    waiting = asyncio.create_task(stopped.wait())
    await stopped.cancel()
    await waiting
    assert (stopped.done, stopped.outstanding()) == (True, ())
    async with given.handed_over() as handover:
        handover.tell(b"{}")
        given.wishes.put_nowait(b"stop")
        assert await handover.wish() == b"stop"
    assert (given.done, given.told, given.ran) == (True, [b"{}"], ["1", "2", "3"])

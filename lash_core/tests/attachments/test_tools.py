"""Files that tools return (S11, G1): kept before the result is, and a note where they stood."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import StoreUnavailable
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.models import ToolTurn
from lash_hookspecs.records.payloads import ToolInvocation
from lash_hookspecs.records.tools import ToolResult
from lash_hookspecs.toolkit import FunctionTools
from pictures import PNG, png
from probes import ProbeModel, calls, says
from script_files import plugins
from tool_probes import run_call

from lash_core import Agent, Attachment, Lash, RuntimeEnvironment, tool

CHART = AttachmentRef.of(PNG, name="chart.png")


async def result_of(
    value: Any, *, takes: tuple[str, ...] = ("",), **changes: Any
) -> tuple[ToolResult, ToolTurn, MemoryBackend]:
    """Run a tool that returns the value: what is stored, what the model sees, and the store."""

    @tool(kind="read_only")
    def draw() -> Any:
        return value

    agent = Agent(model="probe", tools=[draw])
    model = ProbeModel(calls(("draw", {})), says("done"), attachments=takes)
    backend = MemoryBackend()
    env = RuntimeEnvironment(plugins=plugins(model), store=backend, tool_sets=(), tools=agent.tools)
    session = await Lash(env.evolve(**changes), agent).session("s")
    assert (await session.turn("draw")).outcome == "finished"
    [stored] = [each.result for each in await session.messages() if isinstance(each, ToolInvocation)]
    seen = model.requests[1].messages[-1]
    assert isinstance(seen, ToolTurn)
    return stored, seen, backend


async def test_a_file_alone_is_kept_and_shown() -> None:
    stored, seen, backend = await result_of(Attachment(PNG, name="chart.png"))
    assert (stored.status, stored.output) == ("ok", "[attachment 1: chart.png (image/png, 76 bytes)]")
    assert stored.attachments == (CHART,)
    assert [(file.ref, file.data) for file in seen.files_of(seen.results[0])] == [(CHART, PNG)]
    nodes = await backend.session("s").graph()
    assert [node.refs for node in nodes if node.kind == "tool"] == [(CHART.id,)]
    assert backend.blobs[CHART.id] == PNG


async def test_files_keep_their_places_in_a_value_and_the_same_file_its_number() -> None:
    other = png(1, 1)
    value = {"before": "x", "files": [Attachment(PNG, name="chart.png"), 3, other, (PNG,)], "after": None}
    stored, seen, backend = await result_of(value)
    note = "[attachment 1: chart.png (image/png, 76 bytes)]"
    assert stored.output == {
        "before": "x",
        "files": [
            note,
            3,
            f"[attachment 2: {AttachmentRef.of(other).describe()}]",
            [f"[attachment 1: {AttachmentRef.of(PNG).describe()}]"],
        ],
        "after": None,
    }
    assert stored.attachments == (CHART, AttachmentRef.of(other))
    assert [file.data for file in seen.attachments] == [PNG, other]
    assert {ref.id for ref in stored.attachments} <= set(backend.blobs)


@pytest.mark.parametrize(
    ("value", "output", "kept"),
    [
        (b"plain text", "plain text", 0),
        ([bytearray(b"a"), b"\xff"], ["a", f"[attachment 1: {AttachmentRef.of(bytes([255])).describe()}]"], 1),
        (PNG, f"[attachment 1: {AttachmentRef.of(PNG).describe()}]", 1),
    ],
    ids=["text", "mixed", "picture"],
)
async def test_bytes_that_are_no_text_are_a_file(value: Any, output: Any, kept: int) -> None:
    stored, _seen, _backend = await result_of(value)
    assert (stored.status, stored.output, len(stored.attachments)) == ("ok", output, kept)


@pytest.mark.parametrize("value", [{"a": 1}, [1.5, None, True], "text", {"[attachment 1]": "x"}, 7])
async def test_a_value_without_files_is_what_it_was(value: Any) -> None:
    stored, seen, _backend = await result_of(value)
    assert (stored.output, stored.attachments, seen.attachments) == (value, (), ())


async def test_a_model_that_cannot_take_it_reads_that_there_was_one() -> None:
    stored, seen, _backend = await result_of([1, Attachment(PNG, name="chart.png")], takes=("text/",))
    assert seen.results[0].output == (
        '[1, "[attachment 1: chart.png (image/png, 76 bytes)]"]\n'
        "[attachment chart.png (image/png, 76 bytes) was not shown: the model cannot take it]"
    )
    assert (seen.results[0].attachments, seen.attachments) == ((), ())
    assert stored.attachments == (CHART,), "it is kept all the same"


async def test_a_file_that_is_too_large_is_said_and_the_call_is_no_failure() -> None:
    stored, _seen, backend = await result_of([Attachment(PNG, name="chart.png")], max_attachment=10)
    assert (stored.status, stored.attachments) == ("ok", ())
    assert stored.output == (
        '["[attachment 1: chart.png (image/png, 76 bytes)]"]\n[attachment 1 was not kept: attachment chart.png '
        "(image/png, 76 bytes) is too large: at most 10 bytes are taken]"
    )
    assert CHART.id not in backend.blobs


async def test_a_media_type_that_is_none_is_the_tools_failure() -> None:
    stored, _seen, _backend = await result_of(Attachment(b"\xff", media_type="png"))
    assert (stored.status, stored.error_code, stored.attachments) == ("error", "tool_failed", ())
    assert "'png' is no media type" in str(stored.output)


async def test_without_a_place_for_files_the_output_says_so() -> None:
    result = await run_call(FunctionTools([draw_chart]), "draw_chart")
    assert result.attachments == ()
    assert str(result.output).endswith("[attachment 1 was not kept: no attachments are kept here]")


async def test_a_store_that_fails_ends_the_turn_as_any_failed_write_does() -> None:
    async def keep(file: Attachment) -> AttachmentRef:
        raise StoreUnavailable("the disk is gone")

    with pytest.raises(StoreUnavailable):
        await run_call(FunctionTools([draw_chart]), "draw_chart", keep=keep)


def draw_chart() -> Attachment:
    return Attachment(PNG, name="chart.png")


async def test_a_value_of_a_class_is_json_as_before() -> None:
    @attrs.frozen
    class Unknown:
        x: int

    stored, _seen, _backend = await result_of({"x": Unknown(1)})
    assert (stored.status, stored.error_code) == ("error", "tool_failed")

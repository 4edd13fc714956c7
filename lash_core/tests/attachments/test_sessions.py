"""Files on their way between sessions, and past plugins, completions and traces (H3, L2, P4, S12, T8)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from lash_core.runtime.session_stores import SessionStoreRequest
from lash_core.stores.memory import MemoryBackend
from lash_core.tracing import MemorySink
from lash_hookspecs.errors import AttachmentUnresolved, InvalidInput, ToolError
from lash_hookspecs.markers import hookimpl
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.protocols.tools import ToolOutput
from lash_hookspecs.records.attachments import AttachmentData, AttachmentRef
from lash_hookspecs.records.models import ModelMessage, ModelRequest, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import ToolInvocation
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest
from lash_hookspecs.records.tools import ToolResult, ToolRetry
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.history import HistoryPrepared, lash_prepare_history
from lash_hookspecs.specs.offers import (
    OfferContext,
    SessionPluginOffer,
    SessionSetup,
    lash_offer_session_plugins,
)
from lash_hookspecs.specs.tools import (
    AfterToolCall,
    ProjectToolResult,
    lash_after_tool_call,
    lash_project_tool_result,
)
from lash_hookspecs.specs.turns import TurnProposed, lash_guard_turn
from pictures import PNG, png
from probes import ProbeModel, calls, says
from script_files import plugins

from lash_core import Agent, Attachment, Lash, LashRuntime, RuntimeEnvironment, SessionSpec, tool

PHOTO = AttachmentRef.of(PNG, name="photo.png")
NOTE = "[attachment 1: chart.png (image/png, 76 bytes)]"


def environment(model: ProbeModel, *more: object, **changes: Any) -> RuntimeEnvironment:
    changes.setdefault("store", MemoryBackend())
    return RuntimeEnvironment(plugins=plugins(model, *more), tool_sets=(), **changes)


def seeing(*answers: Any) -> ProbeModel:
    return ProbeModel(*answers, attachments=("",))


def lash_with(model: ProbeModel, *more: object, tools: Any = (), **changes: Any) -> Lash:
    agent = Agent(model="probe", tools=tools)
    return Lash(environment(model, *more, tools=agent.tools, **changes), agent)


def shown(request: ModelRequest) -> list[tuple[str | None, bytes | None]]:
    """What a model was shown: names and bytes."""
    return [
        (file.ref.name, file.data)
        for message in request.messages
        if isinstance(message, (UserTurn, ToolTurn))
        for file in message.attachments
    ]


def apart(backend: MemoryBackend) -> dict[str, Any]:
    """Children have a database of their own."""

    async def store(request: SessionStoreRequest) -> SessionStore:
        return backend.session(request.session_id)

    return {"session_store_factory": store}


# Other sessions


@pytest.mark.parametrize("elsewhere", [False, True], ids=["shared", "apart"])
async def test_a_child_shows_the_files_of_its_past(elsewhere: bool) -> None:
    other, model = MemoryBackend(), seeing(says("seen"), says("seen too"))
    session = await lash_with(model, **(apart(other) if elsewhere else {})).session("s")
    await session.turn("look", attachments=[Attachment(PNG, name="photo.png")])
    child = await session.runtime.create_session(SessionCreateRequest(session_id="c", start="current"))
    assert (await child.run(TurnInput(text="again"))).outcome == "finished"
    assert shown(model.requests[1]) == [("photo.png", PNG)]
    assert (PHOTO.id in other.blobs) is elsewhere


@pytest.mark.parametrize("elsewhere", [False, True], ids=["shared", "apart"])
@pytest.mark.parametrize("first", [True, False], ids=["first input", "later input"])
async def test_a_child_is_given_a_file_of_its_parent(elsewhere: bool, first: bool) -> None:
    other, model = MemoryBackend(), seeing(says("seen"))
    session = await lash_with(model, **(apart(other) if elsewhere else {})).session("s")
    ref = await session.attach(PNG, name="photo.png")
    given = TurnInput(text="look", attachments=(ref,))
    child = await session.runtime.create_session(
        SessionCreateRequest(session_id="c", first_input=given if first else None)
    )
    assert (await child.run(None if first else given)).outcome == "finished"
    assert shown(model.requests[0]) == [("photo.png", PNG)]


async def test_a_successor_begins_with_a_file_of_the_session_before_it() -> None:
    other = MemoryBackend()
    model = seeing(calls(("go_on", {})), says("seen"))
    made: list[Any] = []

    @tool(kind="idempotent")
    async def go_on() -> ToolOutput:
        first = TurnInput(text="look", attachments=(PHOTO,))
        made.append(
            await session.runtime.create_session(
                SessionCreateRequest(session_id="next", relation="handoff", first_input=first)
            )
        )
        return ToolOutput("over to the next", handoff="next")

    session = await lash_with(model, tools=[go_on], **apart(other)).session("s")
    await session.attach(PNG, name="photo.png")
    assert (await session.turn("go")).handoff == "next"
    assert PHOTO.id in other.blobs
    assert (await made[0].run()).text == "seen"
    assert shown(model.requests[1]) == [("photo.png", PNG)]


async def test_a_file_that_the_parent_does_not_have_is_refused_when_the_child_begins() -> None:
    session = await lash_with(seeing()).session("s")
    first = TurnInput(text="look", attachments=(PHOTO,))
    child = await session.runtime.create_session(SessionCreateRequest(session_id="c", first_input=first))
    with pytest.raises(InvalidInput, match=r"photo\.png .* is not stored"):
        await child.run()


async def test_an_exported_state_brings_its_files() -> None:
    @tool(kind="read_only")
    def chart() -> Attachment:
        return Attachment(png(9, 9), name="chart.png")

    first = seeing(calls(("chart", {})), says("seen"))
    session = await lash_with(first, tools=[chart]).session("s")
    await session.turn("look", attachments=[Attachment(PNG, name="photo.png")])
    state = await session.runtime.export_state()
    assert {PNG, png(9, 9)} <= set(state.blobs.values())

    model = seeing(says("seen again"))
    spec = SessionSpec(session_id="s", model="probe")
    runtime = await LashRuntime.from_environment(environment(model), spec, attrs.evolve(state, revision=None))
    await runtime.turn(TurnInput(text="and now?"), TurnLimits(), lambda event: None)
    assert shown(model.requests[0]) == [("photo.png", PNG), ("chart.png", png(9, 9))]


# Completions


async def test_a_completion_reads_the_files_of_its_messages() -> None:
    backend, model = MemoryBackend(), seeing(says("grey"))
    session = await lash_with(model, store=backend).session("s")
    ref = await session.attach(PNG, name="photo.png")
    asked = CompletionRequest(messages=(UserTurn(text="what?", attachments=(AttachmentData(ref=ref),)),))
    await session.runtime.complete(asked)
    assert shown(model.requests[0]) == [("photo.png", PNG)]


async def test_a_completion_whose_file_is_lost_asks_nobody() -> None:
    model = seeing()
    session = await lash_with(model).session("s")
    asked = CompletionRequest(messages=(UserTurn(text="what?", attachments=(AttachmentData(ref=PHOTO),)),))
    with pytest.raises(AttachmentUnresolved, match=r"photo\.png"):
        await session.runtime.complete(asked)
    assert model.requests == []


# Plugins


class Watching:
    """A plugin that sees what of files each hook is told.

    Attributes:
        seen: What, in order.
        denies: Whether it refuses turns with files.
        forgets: Whether a model is shown no more than the last message.
    """

    def __init__(self, *, denies: bool = False, forgets: bool = False) -> None:
        self.seen: list[Any] = []
        self.denies = denies
        self.forgets = forgets

    @hookimpl(specname=lash_guard_turn.__name__)
    async def guard(self, context: TurnProposed) -> Decision:
        self.seen.append(context.input.attachments)
        return Deny("no files") if self.denies and context.input.attachments else ALLOW

    @hookimpl(specname=lash_prepare_history.__name__)
    async def prepare(self, context: HistoryPrepared) -> tuple[ModelMessage, ...]:
        self.seen.extend(
            file.data for each in context.messages if isinstance(each, UserTurn) for file in each.attachments
        )
        return context.messages[-1:] if self.forgets else context.messages

    @hookimpl(specname=lash_after_tool_call.__name__)
    async def after(self, context: AfterToolCall) -> ToolResult:
        self.seen.append((context.result.output, context.result.attachments))
        return context.result

    @hookimpl(specname=lash_project_tool_result.__name__)
    async def project(self, context: ProjectToolResult) -> str:
        self.seen.append((context.output, context.result.attachments))
        return "a chart"


async def test_a_guard_sees_the_files_of_a_turn_and_a_denied_one_stores_none() -> None:
    backend, watching = MemoryBackend(), Watching(denies=True)
    session = await lash_with(seeing(), watching, store=backend).session("s")
    result = await session.turn("look", attachments=[Attachment(PNG, name="photo.png")])
    assert (result.outcome, result.reason) == ("stopped", "denied")
    assert watching.seen == [(PHOTO,)]
    assert (await backend.stats()).blobs == 0


async def test_history_is_prepared_without_bytes_and_what_is_left_out_is_not_read() -> None:
    backend, watching = MemoryBackend(), Watching(forgets=True)
    model = seeing(says("one"), says("two"))
    lash = lash_with(model, watching, store=backend, attachment_cache=0)
    session = await lash.session("s")
    await session.turn("look", attachments=[PNG])
    del backend.blobs[PHOTO.id]
    assert (await session.turn("and now?")).text == "two"
    assert [each for each in watching.seen if not isinstance(each, tuple)] == [None, None]
    assert [len(request.messages) for request in model.requests] == [1, 1]


async def test_plugins_see_notes_and_files_of_a_tool_and_what_they_show_keeps_the_files() -> None:
    @tool(kind="read_only")
    def chart() -> Attachment:
        return Attachment(PNG, name="chart.png")

    watching, model = Watching(), seeing(calls(("chart", {})), says("done"))
    session = await lash_with(model, watching, tools=[chart]).session("s")
    await session.turn("draw")
    files = (AttachmentRef.of(PNG, name="chart.png"),)
    assert watching.seen[1:] == [(NOTE, files), (NOTE, files)]
    last = model.requests[1].messages[-1]
    assert isinstance(last, ToolTurn)
    assert (last.results[0].output, shown(model.requests[1])) == ("a chart", [("chart.png", PNG)])


class Part(SessionPlugin):
    """Keeps nothing."""


class Needy:
    """A plugin whose part cannot do without attachments."""

    def __init__(self) -> None:
        self.found: frozenset[str] = frozenset()

    @hookimpl(specname=lash_offer_session_plugins.__name__)
    def offer(self, context: OfferContext) -> list[SessionPluginOffer]:
        return [SessionPluginOffer(name="needy", build=self.build, needs=("attachments",))]

    def build(self, setup: SessionSetup) -> SessionPlugin:
        self.found = setup.capabilities
        return Part()


async def test_every_session_can_keep_files() -> None:
    needy = Needy()
    await lash_with(seeing(), needy).session("s")
    assert "attachments" in needy.found


# Tools


async def test_a_tool_that_ends_its_turn_may_return_a_file() -> None:
    @tool(kind="read_only")
    def chart() -> ToolOutput:
        return ToolOutput({"chart": Attachment(PNG, name="chart.png")}, finish=True)

    session = await lash_with(seeing(calls(("chart", {}))), tools=[chart]).session("s")
    result = await session.turn("draw")
    [stored] = [each.result for each in await session.messages() if isinstance(each, ToolInvocation)]
    assert (result.outcome, stored.output, stored.control) == ("finished", {"chart": NOTE}, "finish")
    assert [ref.name for ref in stored.attachments] == ["chart.png"]


async def test_an_attempt_that_failed_leaves_no_file() -> None:
    attempts = [png(8, 8), PNG]

    @tool(kind="read_only", retry=ToolRetry(attempts=2, first_wait=0))
    def chart() -> Attachment:
        data = attempts.pop(0)
        if attempts:
            raise ToolError("try again", retryable=True)
        return Attachment(data, name="chart.png")

    backend = MemoryBackend()
    session = await lash_with(seeing(calls(("chart", {})), says("done")), tools=[chart], store=backend).session("s")
    await session.turn("draw")
    [stored] = [each.result for each in await session.messages() if isinstance(each, ToolInvocation)]
    assert (stored.output, stored.attempts) == (NOTE, 2)


# Traces


async def test_a_trace_names_files_and_never_holds_their_bytes() -> None:
    sink, model = MemorySink(), seeing(says("seen"))
    session = await lash_with(model, trace=sink, trace_bodies=True).session("s")
    await session.turn("look", attachments=[Attachment(PNG, name="photo.png")])
    [started] = [record for record in sink.records if record.event == "model_call_started"]
    bodies: Any = started.bodies
    assert bodies["messages"][0]["attachments"] == [
        {"ref": PHOTO.model_dump(mode="json", exclude_none=True), "stored": "session"}
    ]

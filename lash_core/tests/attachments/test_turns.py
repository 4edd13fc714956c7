"""Files in turns: what is stored when, what a model is shown, what is refused (T5, T6, S2, S11)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lash_core.attachments.session_store import SessionAttachments
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import InvalidInput, SessionBusy, StoreUnavailable
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.models import ModelRequest, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import AttachmentPart, Message
from lash_hookspecs.records.store import Absent, Head
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from pictures import PNG, png
from probes import FailingBackend, ProbeModel, calls, says
from script_files import plugins

from lash_core import Agent, Attachment, FolderAttachments, Lash, RuntimeEnvironment, tool

EVERYTHING = ("",)
PHOTO_NOTE = "[attachment photo.png (image/png, 76 bytes) was not shown: the model cannot take it]"
TABLE_NOTE = "[attachment a.csv (text/csv, 3 bytes) was not shown: the model cannot take it]"


def seeing(*answers: Any, takes: tuple[str, ...] = EVERYTHING) -> ProbeModel:
    return ProbeModel(*answers, attachments=takes)


def lash_with(model: ProbeModel, tools: Any = (), **changes: Any) -> Lash:
    agent = Agent(model="probe", tools=tools)
    env = RuntimeEnvironment(plugins=plugins(model), store=MemoryBackend(), tool_sets=(), tools=agent.tools)
    return Lash(env.evolve(**changes), agent)


def last_user(request: ModelRequest) -> UserTurn:
    turn = request.messages[-1]
    assert isinstance(turn, UserTurn)
    return turn


class Counting:
    """A session's store of attachments, or another one, that counts what is read."""

    def __init__(self, inner: AttachmentStore) -> None:
        self.inner = inner
        self.read: list[str] = []

    async def put(self, data: bytes, *, media_type: str | None = None, name: str | None = None) -> AttachmentRef:
        return await self.inner.put(data, media_type=media_type, name=name)

    async def get(self, ref: AttachmentRef) -> bytes:
        self.read.append(ref.id)
        return await self.inner.get(ref)

    async def close(self) -> None:
        await self.inner.close()


async def test_a_file_is_stored_with_the_message_and_shown_to_the_model() -> None:
    backend, model = FailingBackend(), seeing(says("a grey square"))
    session = await lash_with(model, store=backend).session("s")
    result = await session.turn("What is this?", attachments=[Attachment(PNG, name="photo.png")])
    assert (result.outcome, result.text) == ("finished", "a grey square")
    turn = last_user(model.requests[0])
    assert turn.text == "What is this?"
    assert [(file.ref.name, file.ref.media_type, file.data) for file in turn.attachments] == [
        ("photo.png", "image/png", PNG)
    ]
    ref = AttachmentRef.of(PNG, name="photo.png")
    first = backend.commits[0]
    assert (first.blobs[ref.id], first.nodes[0].refs) == (PNG, (ref.id,))
    [asked, _answered] = await session.messages()
    assert isinstance(asked, Message)
    assert asked.attachments == (AttachmentPart(ref=ref, stored="session"),)


async def test_a_path_bytes_a_file_and_a_reference_may_be_attached_in_one_order(tmp_path: Path) -> None:
    for name in ("notes.md", "copy.md"):
        (tmp_path / name).write_text("# Notes\n")
    model = seeing(says("ok"))
    session = await lash_with(model).session("s")
    ref = await session.attach(png(5, 5), name="kept.png")
    files: list[Any] = [tmp_path / "notes.md", b"plain", ref, Attachment(PNG, name="p.png"), str(tmp_path / "copy.md")]
    await session.turn("see", attachments=files)
    assert [(file.ref.name, file.ref.media_type) for file in last_user(model.requests[0]).attachments] == [
        ("notes.md", "text/markdown"),
        (None, "text/plain"),
        ("kept.png", "image/png"),
        ("p.png", "image/png"),
    ]


async def test_a_file_without_words_is_input_too() -> None:
    model = seeing(says("a picture"))
    session = await lash_with(model).session("s")
    assert (await session.turn("", attachments=[PNG])).outcome == "finished"
    assert last_user(model.requests[0]).text == ""
    with pytest.raises(InvalidInput, match="the text of a turn is empty"):
        await session.turn("")


async def test_later_calls_see_the_file_again_and_read_it_once(tmp_path: Path) -> None:
    store = Counting(FolderAttachments(tmp_path))
    model = seeing(says("one"), says("two"), says("three"))
    lash = lash_with(model, attachments=store)
    ref = await (await lash.session("other")).attach(PNG)
    session = await lash.session("s")
    for text, files in (("look", [ref]), ("again", []), ("and again", [])):
        await session.turn(text, attachments=files)
    assert [
        [file.data for file in request.messages[0].attachments]
        for request in model.requests
        if isinstance(request.messages[0], UserTurn)
    ] == [[PNG], [PNG], [PNG]]
    assert store.read == [ref.id], "to see that it is there; the calls had it in memory"
    await session.close()
    model.answers = [says("four"), says("five")]
    again = await lash.session("s")
    await again.turn("one more")
    await again.turn("and another")
    assert store.read == [ref.id] * 2, "by the first call of a new runtime"


async def test_what_does_not_fit_in_the_cache_is_read_for_each_call(tmp_path: Path) -> None:
    store = Counting(FolderAttachments(tmp_path))
    model = seeing(says("one"), says("two"))
    session = await lash_with(model, attachments=store, attachment_cache=10).session("s")
    await session.turn("look", attachments=[PNG])
    await session.turn("again")
    assert len(store.read) == 2


@pytest.mark.parametrize(
    ("takes", "shown", "text"),
    [
        ((), [], f"see\n{PHOTO_NOTE}\n{TABLE_NOTE}"),
        (("text/",), ["a.csv"], f"see\n{PHOTO_NOTE}"),
        (("image/png", "text/csv"), ["photo.png", "a.csv"], "see"),
    ],
    ids=["blind", "text", "both"],
)
async def test_a_model_is_shown_what_it_takes_and_a_note_for_the_rest(
    takes: tuple[str, ...], shown: list[str], text: str
) -> None:
    model = seeing(says("ok"), takes=takes)
    session = await lash_with(model).session("s")
    await session.turn("see", attachments=[Attachment(PNG, name="photo.png"), Attachment(b"a,b", name="a.csv")])
    turn = last_user(model.requests[0])
    assert (turn.text, [file.ref.name for file in turn.attachments]) == (text, shown)
    stored = (await session.messages())[0]
    assert isinstance(stored, Message)
    assert stored.text == "see", "the note is for the model alone: another one may take the file"


async def test_a_file_that_a_model_cannot_take_is_never_read(tmp_path: Path) -> None:
    model = seeing(says("ok"), says("ok"), takes=())
    session = await lash_with(model, attachments=FolderAttachments(tmp_path / "files")).session("s")
    await session.turn("see", attachments=[PNG])
    for path in (tmp_path / "files").rglob("*"):
        if path.is_file():
            path.unlink()
    assert (await session.turn("and now?")).outcome == "finished"


async def test_an_unknown_reference_is_refused_by_name_before_anything_is_written() -> None:
    model = seeing(says("ok"))
    backend = FailingBackend()
    lash = lash_with(model, store=backend)
    session = await lash.session("s")
    ref = AttachmentRef.of(PNG, name="photo.png")
    with pytest.raises(InvalidInput) as caught:
        await session.turn("see", attachments=[b"one that is there", ref])
    assert str(caught.value) == (
        f"attachment photo.png (image/png, 76 bytes) with id {ref.id} is not stored: attach its bytes first"
    )
    assert (backend.commits, model.requests, session.head) == ([], [], None)
    assert await backend.session("s").head() == Absent()
    assert await backend.session("s").lease() is None
    assert (await backend.stats()).blobs == 0
    with pytest.raises(InvalidInput):
        await session.runtime.turn(TurnInput(text="x", attachments=(ref,)), TurnLimits(), lambda event: None)
    assert (await session.turn("see")).turn_index == 1


async def test_an_unknown_reference_does_not_end_an_interrupted_turn() -> None:
    backend = FailingBackend()
    backend.failing.add(2)
    session = await lash_with(seeing(says("ok"), says("ok")), store=backend).session("s")
    with pytest.raises(StoreUnavailable):
        await session.turn("hi")
    with pytest.raises(InvalidInput):
        await session.turn("see", attachments=[AttachmentRef.of(PNG)])
    assert session.interrupted


async def test_what_a_turn_was_refused_for_is_not_stored_by_having_been_seen() -> None:
    backend = FailingBackend()
    backend.failing.add(1)
    session = await lash_with(seeing(says("ok")), store=backend).session("s")
    with pytest.raises(StoreUnavailable):
        await session.turn("see", attachments=[PNG])
    with pytest.raises(InvalidInput, match="is not stored"):
        await session.turn("see", attachments=[AttachmentRef.of(PNG)])


async def test_a_turn_beside_one_that_runs_stores_no_file() -> None:
    backend = MemoryBackend()
    entered, go = asyncio.Event(), asyncio.Event()

    async def answer(request: ModelRequest) -> Any:
        entered.set()
        await go.wait()
        return says("ok")

    session = await lash_with(seeing(answer), store=backend).session("s")
    first = session.stream("slow")
    await entered.wait()
    with pytest.raises(SessionBusy):
        await session.turn("see", attachments=[PNG])
    assert AttachmentRef.of(PNG).id not in backend.blobs
    go.set()
    assert (await first.result()).outcome == "finished"


@pytest.mark.parametrize("make", [lambda folder: folder / "none.png", lambda folder: folder], ids=["absent", "folder"])
async def test_a_path_that_cannot_be_read_is_refused_by_name(tmp_path: Path, make: Any) -> None:
    backend = MemoryBackend()
    session = await lash_with(seeing(), store=backend).session("s")
    with pytest.raises(InvalidInput, match=r"cannot be attached: (No such file|Is a) (or )?directory"):
        await session.turn("see", attachments=[make(tmp_path)])
    assert await backend.session("s").head() == Absent()


@pytest.mark.parametrize("where", ["bytes", "path", "endless", "attach"])
async def test_a_file_that_is_too_large_is_refused_before_anything_is_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "big.bin").write_bytes(bytes(101))
    backend = MemoryBackend()
    session = await lash_with(seeing(), store=backend, max_attachment=100).session("s")
    given: Any = {"path": tmp_path / "big.bin", "endless": "/dev/zero"}.get(where, bytes(101))
    with pytest.raises(InvalidInput, match=r"at most 100 bytes are taken|it has more than 100 bytes"):
        await (session.attach(given) if where == "attach" else session.turn("see", attachments=[given]))
    assert (await backend.stats()).blobs == 0
    assert await backend.session("s").head() == Absent()


async def test_what_cannot_be_attached_is_said() -> None:
    session = await lash_with(seeing()).session("s")
    with pytest.raises(InvalidInput, match="a int cannot be attached: give a path, bytes, an Attachment or its ref"):
        await session.turn("see", attachments=[3])  # type: ignore[list-item]


async def test_a_reference_that_lies_is_put_right() -> None:
    model = seeing(says("ok"))
    session = await lash_with(model).session("s")
    ref = await session.attach(PNG)
    lie = ref.evolve(media_type="text/html", size=7, name="../../x.html", width=1)
    await session.turn("see", attachments=[lie])
    assert last_user(model.requests[0]).attachments[0].ref == AttachmentRef.of(PNG, name="x.html")


@pytest.mark.parametrize("how", ["gone", "changed"])
@pytest.mark.parametrize("where", ["session", "external"])
async def test_a_file_that_cannot_be_read_fails_the_turn_typed_and_the_session_goes_on(
    tmp_path: Path, where: str, how: str
) -> None:
    backend, folder = MemoryBackend(), FolderAttachments(tmp_path)
    changes = {"attachments": folder} if where == "external" else {}
    model = seeing(says("seen"), says("seen again"), says("on the branch"))

    def process() -> Lash:  # with nothing in memory
        return lash_with(model, store=backend, **changes)

    await (await process().session("s")).turn("look", attachments=[Attachment(PNG, name="p.png")])
    ref = AttachmentRef.of(PNG)
    path = tmp_path / "sha256" / ref.id[:2] / ref.id
    if where == "external":
        path.write_bytes(b"other") if how == "changed" else path.unlink()
    elif how == "changed":
        backend.blobs[ref.id] = b"other"
    else:
        del backend.blobs[ref.id]
    session = await process().session("s")
    result = await session.turn("and now?")
    assert (result.outcome, result.reason, result.turn_index) == ("failed", "attachment_unresolved", 2)
    assert result.message.startswith("attachment p.png (image/png, 76 bytes) cannot be shown to the model: attachment ")
    assert result.message.endswith("Put it back, or go on from a node before it (`lash branch`)")
    assert len(model.requests) == 1
    head = await backend.session("s").head()
    assert isinstance(head, Head)
    assert (head.open_turn, session.interrupted) == (None, False)

    await (folder if where == "external" else SessionAttachments(backend.session("s"), "s")).put(PNG)
    assert (await session.turn("put back")).text == "seen again"


async def test_a_session_whose_file_is_lost_goes_on_from_before_it() -> None:
    backend = MemoryBackend()
    model = seeing(says("hello"), says("seen"), says("on the branch"))
    session = await lash_with(model, store=backend).session("s")
    await session.turn("hi")
    before = session.runtime.path[-1].node_id
    await session.turn("look", attachments=[PNG])
    await session.close()
    del backend.blobs[AttachmentRef.of(PNG).id]
    again = await lash_with(model, store=backend).session("s")
    assert (await again.turn("and now?")).reason == "attachment_unresolved"
    await again.branch(before)
    assert (await again.turn("without it")).text == "on the branch"


async def test_a_store_of_the_app_keeps_what_users_send_and_the_session_only_names_it(tmp_path: Path) -> None:
    backend, model = FailingBackend(), seeing(says("ok"), says("ok"))
    lash = lash_with(model, store=backend, attachments=FolderAttachments(tmp_path))
    session = await lash.session("s")
    await session.turn("see", attachments=[PNG])
    assert PNG not in backend.commits[0].blobs.values()
    assert backend.commits[0].nodes[0].refs == ()
    assert await FolderAttachments(tmp_path).get(AttachmentRef.of(PNG)) == PNG
    await session.close()
    blind = await lash_with(model, store=backend).session("s")
    result = await blind.turn("and now?")
    assert result.reason == "attachment_unresolved"
    assert "it is in a store of the app, and the session was opened without one" in result.message


async def test_a_broken_store_of_the_app_fails_the_turn_and_not_the_session(tmp_path: Path) -> None:
    class Broken(FolderAttachments):
        async def get(self, ref: AttachmentRef) -> bytes:
            raise ZeroDivisionError("by zero")

    backend, model = MemoryBackend(), seeing(says("ok"), says("ok"))
    first = lash_with(model, store=backend, attachments=FolderAttachments(tmp_path))
    await (await first.session("s")).turn("see", attachments=[PNG])
    session = await lash_with(model, store=backend, attachments=Broken(tmp_path)).session("s")
    result = await session.turn("and now?")
    assert (result.outcome, result.reason) == ("failed", "attachment_unresolved")
    assert "ZeroDivisionError: by zero" in result.message
    assert not session.interrupted


async def test_a_continued_turn_shows_the_file_again() -> None:
    backend = FailingBackend()
    backend.failing.add(2)
    session = await lash_with(seeing(says("lost")), store=backend).session("s")
    with pytest.raises(StoreUnavailable):
        await session.turn("see", attachments=[PNG])
    model = seeing(says("seen"))
    again = await lash_with(model, store=backend).session("s")
    assert (await again.continue_turn().result()).text == "seen"
    assert last_user(model.requests[0]).attachments[0].data == PNG


async def test_a_turn_with_tools_after_a_file_stays_provider_valid() -> None:
    @tool(kind="read_only")
    async def look() -> str:
        return "seen"

    model = seeing(calls(("look", {})), says("done"), says("more"))
    session = await lash_with(model, [look]).session("s")
    await session.turn("see", attachments=[PNG])
    await session.turn("and now?")
    kinds = [[type(message).__name__ for message in request.messages] for request in model.requests]
    assert kinds[-1] == ["UserTurn", "AssistantTurn", "ToolTurn", "AssistantTurn", "UserTurn"]
    assert [isinstance(message, ToolTurn) for message in model.requests[1].messages] == [False, False, True]

"""Files across processes and stores: parked and resumed, forked, from the command (S8, S12, L8)."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.models import UserTurn
from lash_process import Folder
from lash_store_sql.sqlite import open_sqlite
from pictures import PNG
from probes import ProbeModel, calls, says
from script_files import plugins

from lash_core import Agent, Attachment, Lash, RuntimeEnvironment, tool
from tests.stores.examples import example
from tests.strict_server import StrictServer

LIFE = """
import asyncio, json, sys
from pathlib import Path
from lash_core import Agent, Lash, ParkedSession
from lash_store_sql import plugin as store_plugin
from probes import ProbeModel, says
from script_files import plugins

async def main(parked):
    model = ProbeModel(says("I see them."), attachments=("",))
    manager = plugins(model, store_plugin)
    async with Lash.open("sqlite:///agents.db", agent=Agent(model="probe"), plugins=manager) as lash:
        if parked is None:
            session = await lash.session("s")
            await session.turn("See these.", attachments=[Path("photo.png"), "birds.txt"])
            print(json.dumps((await session.park()).to_json()))
        else:
            session = await lash.resume(ParkedSession.from_json(json.loads(parked)))
            await session.turn("And now?")
            print([(file.ref.name, len(file.data)) for file in model.requests[0].messages[0].attachments])

asyncio.run(main(*sys.argv[1:] or [None]))
"""


def test_a_parked_session_shows_its_files_in_another_process(folder: Folder) -> None:
    (folder.path / "photo.png").write_bytes(PNG)
    folder.write(birds__txt="Pelicans are large birds.\n")
    support = str(Path(__file__).parents[1] / "support")
    parked = folder.script(LIFE, PYTHONPATH=support)
    assert parked.code == 0, parked.err
    for name in ("photo.png", "birds.txt"):
        (folder.path / name).unlink()
    resumed = folder.script(LIFE, parked.out.strip(), PYTHONPATH=support)
    assert (resumed.code, resumed.out) == (0, f"[('photo.png', {len(PNG)}), ('birds.txt', 26)]\n"), resumed.err


async def sqlite(folder: Path) -> StoreBackend:
    return await open_sqlite(f"sqlite:///{folder}/store.db", True)


async def jsonl(folder: Path) -> StoreBackend:
    backend: StoreBackend = await example("jsonl_store").open_jsonl(f"jsonl:{folder}/store", True)
    return backend


async def memory(folder: Path) -> StoreBackend:
    return MemoryBackend()


Open = Callable[[Path], Awaitable[StoreBackend]]


@pytest.mark.parametrize("opened", [memory, sqlite, jsonl], ids=["memory", "sqlite", "jsonl, which cannot share"])
async def test_a_fork_shows_the_files_of_its_past(tmp_path: Path, opened: Open) -> None:
    @tool(kind="read_only")
    def draw() -> Attachment:
        return Attachment(PNG + b"drawn", name="chart.png")

    agent = Agent(model="probe", tools=[draw])
    model = ProbeModel(calls(("draw", {})), says("one"), says("two"), attachments=("",))
    backend = await opened(tmp_path)
    env = RuntimeEnvironment(plugins=plugins(model), store=backend, tool_sets=(), tools=agent.tools)
    lash = Lash(env, agent)
    session = await lash.session("s")
    await session.turn("look", attachments=[Attachment(PNG, name="photo.png")])
    stored = (await backend.stats()).blobs
    await session.fork("f")
    assert (await backend.stats()).blobs == stored, "kept once, whoever refers to it"
    await session.delete()
    await lash.close()
    again = await Lash(env, agent).session("f")
    assert (await again.turn("and now?")).text == "two"
    user, _asked, results, *_rest = model.requests[-1].messages
    assert isinstance(user, UserTurn)
    assert [file.data for file in user.attachments] == [PNG]
    assert not isinstance(results, UserTurn)
    assert [file.data for file in getattr(results, "attachments", ())] == [PNG + b"drawn"]
    model.answers = [says("three")]
    third = await again.fork("f of f")
    assert (await third.turn("and?")).text == "three"
    assert len(model.requests[-1].messages) == len(model.requests[-2].messages) + 2
    await backend.close()


HOSTED = """
import sys
from pathlib import Path
from lash_core import Agent, Attachment, FolderAttachments, SyncLash, tool

@tool(kind="read_only")
def draw() -> list:
    "Draw a chart."
    return ["the chart:", Attachment(Path("photo.png").read_bytes(), name="chart.png")]

agent = Agent(model="openai:local", tools=[draw])
with SyncLash.open("sqlite:///agents.db", agent=agent, attachments=FolderAttachments("files")) as lash:
    session = lash.session("s")
    ref = session.attach(Path("photo.png"))
    for text, files in (
        ("look", [ref, Attachment(b"%PDF-1.7", name="a.pdf"), b"words", Attachment(bytes([0, 255]), name="x.zip")]),
        ("call draw", []),
        ("and now?", []),
        ("again", ["photo.png"]),
        ("last", []),
    ):
        print(session.turn(text, attachments=files).outcome)
"""


def test_a_strict_service_accepts_every_request_of_a_session_with_files(folder: Folder) -> None:
    (folder.path / "photo.png").write_bytes(PNG)
    with StrictServer(key="k") as server:
        ran = folder.script(HOSTED, OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="k")
    assert (ran.code, ran.out.split()) == (0, ["finished"] * 5), ran.err
    assert [exchange.status for exchange in server.requests] == [200] * 6
    last = server.bodies[-1]["messages"]
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    shown = [part["type"] for message in last if isinstance(message["content"], list) for part in message["content"]]
    assert json.dumps(last).count(url) == 3, "sent, drawn, and sent again"
    assert shown.count("file") == 1
    assert "x.zip (application/octet-stream, 2 bytes) was not shown: the model cannot take it" in json.dumps(last[0])


def test_the_command_attaches_files_and_shows_them(folder: Folder) -> None:
    (folder.path / "photo.png").write_bytes(PNG)
    folder.write(birds__txt="Pelicans are large birds. They live near water.\n")
    ran, shown, tree = folder.lash_each(
        ["run", "Summarise this", "--attach", "birds.txt", "--attach", "photo.png", "--session", "s"],
        ["sessions", "show", "s"],
        ["sessions", "show", "s", "--json"],
    )
    names = ["birds.txt (text/plain, 48 bytes)", f"photo.png (image/png, {len(PNG)} bytes)"]
    assert (ran.code, ran.out.splitlines()[0]) == (0, f"Attached: {names[0]} and {names[1]}."), ran.err
    assert ran.out.splitlines()[2].startswith("Summary of birds.txt: Pelicans are large birds.")
    assert [line.strip() for line in shown.out.splitlines() if line.startswith("  + ")] == [
        f"+ {each}" for each in names
    ]
    parts: list[dict[str, Any]] = json.loads(tree.out)["path"][0]["parts"]
    assert [part["ref"]["id"] for part in parts if part["kind"] == "attachment"] == [
        AttachmentRef.of(b"Pelicans are large birds. They live near water.\n").id,
        AttachmentRef.of(PNG).id,
    ]


def test_a_file_that_is_not_there_ends_the_command_before_anything_is_written(folder: Folder) -> None:
    folder.write(a__txt="one\n")
    before = folder.snapshot()
    ran = folder.lash("run", "See", "--attach", "a.txt", "--attach", "none.png")
    assert (ran.code, ran.out, ran.err) == (
        2,
        "",
        "lash: 'none.png' cannot be attached: No such file or directory\n",
    )
    assert folder.snapshot() == before


def test_the_same_file_twice_is_one_and_a_turn_may_be_nothing_but_a_file(folder: Folder) -> None:
    folder.write(a__txt="one two\n")
    ran = folder.lash("run", "", "--attach", "a.txt", "--attach", "./a.txt", "--session", "s")
    assert (ran.code, ran.out) == (0, "Attached: a.txt (text/plain, 8 bytes).\n\na.txt, 1 line:\none two\n"), ran.err

"""A new field of a record is one line in one class (the third seam, G2, S1, S10).

Counted here, with a throw-away field ``mood``: a node's payload 1 line in 1 file, the head 1 in 1, an event 1 in 1. No
codec, store, runtime or door is told of it: the class is the codec, and a store sees bytes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import lash_hookspecs
import pytest
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager

RECORDS = {
    "a node's payload": ("payloads.py", "class Message(Record):", "    marker: str | None = None"),
    "the head": ("state.py", "class HeadDocument(Record):", "    turn_index: int = 0"),
    "the session's configuration": ("state.py", "class SessionConfig(Record):", '    model: str = "offline"'),
    "an event": ("events.py", "class TurnStarted(Record):", "    turn_index: int"),
}

PLACES = {
    "a node's payload": "nodes",
    "the head": "head",
    "the session's configuration": "config",
    "an event": "events",
}

#: Every store that is installed and needs no server.
STORES = [
    scheme for scheme in PluginManager.discover(builtins=BUILTINS).names("stores") if scheme in ("memory", "sqlite")
]

TURN = """
import asyncio, json, sys
from pathlib import Path
import lash_hookspecs
from lash_core import Agent, Lash
from lash_hookspecs.records.payloads import decode_payload
from lash_hookspecs.records.state import CommitDocument, HeadDocument
from lash_hookspecs.records.events import TurnStarted

async def main(folder, url):
    assert Path(lash_hookspecs.__file__).parent.parent == folder
    (folder / "script.json").write_text('[{"text": "Hello."}]')
    agent = Agent(model=f"offline:{folder / 'script.json'}")
    lash = await Lash.open(url, agent=agent)
    turn = (await lash.session("s")).stream("Hi")
    live = [event async for event in turn]
    await turn.result()
    if url != "memory:":
        await lash.close()
        lash = await Lash.open(url, agent=agent)
    again = Lash(lash.env, agent)
    session = await again.session("s", create=False)
    store = lash.store.session("s")
    head, path, records = await store.head(), await store.graph(), await store.records()
    stored = {"head": [head.state], "nodes": [node.payload for node in path], "events": [row.record for row in records]}
    shown = {
        "nodes": [getattr(message, "mood", None) for message in await session.messages()],
        "head": [getattr(session.document, "mood", None)],
        "config": [getattr(session.document.config, "mood", None)],
        "events": [getattr(event, "mood", None) for event in live if isinstance(event, TurnStarted)],
    }
    def other(body):
        return body.replace(b'"mood":"calm"', b'"mood":"kept"')
    document = HeadDocument.from_bytes(other(head.state))
    commits = [CommitDocument.from_bytes(other(row.record)) for row in records]
    import attrs
    nodes = [decode_payload(attrs.evolve(node, payload=other(node.payload))) for node in path]
    read = {
        "nodes": [getattr(payload, "mood", None) for payload in nodes],
        "head": [getattr(document, "mood", None)],
        "config": [getattr(document.config, "mood", None)],
        "events": [getattr(e, "mood", None) for c in commits for e in c.events if isinstance(e, TurnStarted)],
    }
    print(json.dumps({"written": {k: sum(b.count(b'"mood":"calm"') for b in v) for k, v in stored.items()},
                      "shown": shown, "read": read}))
    await lash.close()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def add_one_line(folder: Path, file: str, cls: str, behind: str) -> int:
    """Add the field behind another one of the class; give how many lines the package has more."""
    package = folder / "lash_hookspecs"
    shutil.copytree(Path(lash_hookspecs.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    path = package / "records" / file
    before = path.read_text(encoding="utf-8")
    head, found, body = before.partition(cls)
    assert found
    old = f"{behind}\n"
    assert old in body
    after = head + found + body.replace(old, f'{old}    mood: str = "calm"\n', 1)
    path.write_text(after, encoding="utf-8")
    return len(after.splitlines()) - len(before.splitlines())


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("record", RECORDS)
def test_a_new_field_takes_one_line_and_is_written_stored_reloaded_and_shown(
    record: str, store: str, tmp_path: Path
) -> None:
    assert add_one_line(tmp_path, *RECORDS[record]) == 1
    url = "memory:" if store == "memory" else f"{store}:///{tmp_path / 'sessions.db'}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TURN, str(tmp_path), url],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    place = PLACES[record]
    assert seen["written"]["head" if place == "config" else place] >= 1
    assert set(seen["shown"][place]) == {"calm"}
    assert set(seen["read"][place]) == {"kept"}
    assert {value for key, values in seen["shown"].items() if key != place for value in values} == {None}


def test_the_memory_store_is_among_those_that_are_tried() -> None:
    assert "memory" in STORES

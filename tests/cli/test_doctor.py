"""`lash doctor`: what is installed and configured, and which sessions would not resume here."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from lash_core.app import Lash as App
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager
from lash_hookspecs.records.sessions import SessionCreateRequest
from lash_hookspecs.records.state import CommitDocument, HeadDocument, PluginFingerprint
from lash_hookspecs.records.store import blob_ref
from lash_hookspecs.records.turn import TurnInput
from lash_hookspecs.version import HOOKSPEC_API

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


def diagnosis(lash: Lash, *flags: str, code: int = 1) -> dict[str, Any]:
    ran = lash("doctor", "--json", *flags)
    assert ran.code == code, ran.out + ran.err
    told: dict[str, Any] = json.loads(ran.out)
    return told


def findings(lash: Lash, *flags: str) -> list[tuple[str, str]]:
    return [(each["about"], each["message"]) for each in diagnosis(lash, *flags)["findings"]]


def test_a_clean_installation_has_nothing_wrong_and_nothing_is_made(lash: Lash) -> None:
    told = diagnosis(lash, code=0)
    assert told["versions"]["hook API"] == HOOKSPEC_API
    assert [(each["name"], each["state"]) for each in told["plugins"]] == [
        ("compaction", "active"),
        ("standard-mode", "active"),
        ("dummies", "active"),
    ]
    assert told["settings"]["file"] is None
    assert told["store"] == {
        "url": f"sqlite:///{Path.cwd()}/.lash/sessions.db",
        "name": None,
        "from": "default",
        "exists": False,
    }
    assert (told["sessions"], told["findings"]) == (None, [])
    assert lash("doctor", "--sessions").out.endswith("sessions checked: 0\nnothing is wrong\n")
    assert list(Path.cwd().iterdir()) == []


def test_where_settings_come_from_is_told_and_no_password(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lash.toml").write_text('[lash]\nmodel = "scripted:a"\n[lash.plugin.dummies]\nkey = "s3cret"\n')
    monkeypatch.setenv("LASH_STORE", "kept://ann:s3cret@host/db?token=s3cret")
    told = diagnosis(lash, code=0)
    file = f"{Path.cwd()}/lash.toml"
    assert told["settings"]["file"] == file
    assert told["settings"]["model"] == {"value": "scripted:a", "from": file}
    assert told["store"] == {
        "url": "kept://ann:***@host/db?token=***",
        "name": None,
        "from": "LASH_STORE",
        "exists": None,
        "name": None,
    }
    plain = lash("doctor")
    assert "store: kept://ann:***@host/db?token=*** (from LASH_STORE; not looked at)" in plain.out.splitlines()
    assert "s3cret" not in json.dumps(told) + plain.out + plain.err


def test_what_is_wrong_with_plugins_and_settings_is_found(lash: Lash, tmp_path: Path) -> None:
    manifest = tmp_path / "site/cli_dummies/lash-plugin.toml"
    manifest.write_text(manifest.read_text().replace('"0.1"', '"9.0"'))
    Path("lash.toml").write_text('[lash]\nmodel = "scripted:a"\nmode = "standrd"\nstore = "redis://h"\n')
    found = dict(findings(lash))
    file = f"{Path.cwd()}/lash.toml"
    assert found["plugin 'dummies' (lash-dummies 1.0)"] == (
        f"incompatible: needs hook API 9.0; this lash-core implements {HOOKSPEC_API}"
    )
    assert found[f"mode (from {file})"].startswith("no mode is named 'standrd'; did you mean 'standard'?")
    assert found[f"model (from {file})"].startswith("no model provider is named 'scripted'")
    assert found["store"].startswith("no store scheme is named 'redis'")
    assert lash("doctor").out.splitlines()[-1] == "4 found"


def test_settings_that_cannot_be_read_are_a_finding(lash: Lash) -> None:
    Path("lash.toml").write_text("[lash]\nmodell = 'x'\n")
    assert findings(lash) == [("settings", f"{Path.cwd()}/lash.toml: unknown key 'lash.modell'; did you mean 'model'?")]


def test_a_store_url_without_a_scheme_is_a_finding(lash: Lash) -> None:
    assert findings(lash, "--store", "agents.db") == [
        ("store", "'agents.db' is no store URL: it must begin with a scheme")
    ]
    assert len(findings(lash, "--store", "agents.db", "--sessions")) == 2


def test_without_sessions_the_store_is_not_opened(lash: Lash, dummies: ModuleType) -> None:
    diagnosis(lash, *STORE, code=0)
    assert dummies.OPENED == []
    diagnosis(lash, *STORE, "--sessions", code=0)
    assert dummies.OPENED == [("kept:one", False)]


def test_healthy_sessions_are_counted(lash: Lash) -> None:
    for name in ("s1", "s2"):
        lash("run", "one", "--session", name, *STORE)
    told = diagnosis(lash, "--sessions", *STORE, code=0)
    assert told["sessions"] == {"checked": 2, "notes": []}


def change(dummies: ModuleType, session_id: str, **changes: Any) -> Any:
    """Change what the store has as a session's head."""
    living = dummies.STORES["kept:one"].living[session_id]
    living.head = attrs.evolve(living.head, **changes)
    return living


def test_each_reason_why_a_session_would_not_resume_is_found(lash: Lash, dummies: ModuleType) -> None:
    for number in range(1, 7):
        lash("run", "one", "--session", f"s{number}", *STORE)
    heads = {name: living.head for name, living in dummies.STORES["kept:one"].living.items()}
    document = HeadDocument.from_bytes(heads["s1"].state)
    config = document.config.evolve(mode="rlm", model="openai:gpt")
    change(dummies, "s1", state=document.evolve(config=config).to_bytes())
    change(dummies, "s2", state=b'{"config": 5}')
    change(dummies, "s3", leaf="nowhere")
    change(dummies, "s4", open_turn="t")
    change(dummies, "s5", components={"mode": "sha256:none"})
    before = {name: living.head for name, living in dummies.STORES["kept:one"].living.items()}
    found = findings(lash, "--sessions", *STORE)
    assert [about for about, _ in found] == [
        "session s1",
        "session s1",
        "session s2",
        "session s3",
        "session s4",
        "session s5",
    ]
    told = [message for _, message in found]
    assert told[0].startswith("no mode is named 'rlm'")
    assert told[1].startswith("no model provider is named 'openai'")
    assert "pip install 'lash-provider-pydantic-ai'" in told[1]
    assert told[2] == "session 's2': the head cannot be read: config: Input should be an object"
    assert told[3] == "its leaf nowhere is not stored; opening it moves the leaf"
    assert told[4] == "turn 1 is interrupted; `lash turns continue` or `abandon` ends it"
    assert told[5] == "what it keeps as 'mode' is gone from the store"
    assert {name: living.head for name, living in dummies.STORES["kept:one"].living.items()} == before


@pytest.mark.parametrize(
    ("plugin", "wrote", "problem", "note"),
    [
        ("lash-dummies/dummies", "0.9", None, None),
        ("lash-dummies/dummies", "1.0", None, None),
        (
            "lash-dummies/dummies",
            "1.10",
            "version 1.10 of lash-dummies/dummies wrote its snapshot, and 1.0 is installed, which may refuse it; "
            "install the newer one",
            None,
        ),
        (
            "lash-dummies/dummies",
            "1.1rc1",
            None,
            "unknown whether plugin 'dummies' (lash-dummies 1.0) reads its snapshot: version 1.1rc1 wrote it",
        ),
        (
            "lash-dummies/dummies",
            None,
            None,
            "unknown whether plugin 'dummies' (lash-dummies 1.0) reads its snapshot: "
            "nobody wrote down which version wrote it",
        ),
        ("gone/gone", "1.0", None, "plugin gone/gone is not here; its snapshot is kept"),
    ],
)
def test_a_snapshot_of_a_newer_plugin_is_found_without_importing_it(
    lash: Lash, dummies: ModuleType, plugin: str, wrote: str | None, problem: str | None, note: str | None
) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    body = b'{"schema_version":1,"data":0}'
    dummies.STORES["kept:one"].blobs[blob_ref(body)] = body
    living = change(dummies, "s1", components={f"plugin/{plugin}/part": blob_ref(body)})
    distribution, _, name = plugin.partition("/")
    written = [PluginFingerprint(distribution=distribution, name=name, version=wrote, api="0.1")] if wrote else []
    last = next(reversed(living.records))
    document = CommitDocument(step="final", plugins=tuple(written))
    living.records[last] = attrs.evolve(living.records[last], record=document.to_bytes())
    told = diagnosis(lash, "--sessions", *STORE, code=1 if problem else 0)
    assert [each["message"] for each in told["findings"]] == ([problem] if problem else [])
    assert [each["message"] for each in told["sessions"]["notes"]] == ([note] if note else [])


def test_what_opening_a_session_would_stumble_over_is_found(lash: Lash, dummies: ModuleType) -> None:
    for number in range(1, 5):
        lash("run", "one", "--session", f"s{number}", *STORE)
    living = dummies.STORES["kept:one"].living
    _, last = (living["s1"].graph.nodes[node] for node in list(living["s1"].graph.nodes))
    living["s1"].graph.nodes[last.node_id] = attrs.evolve(last, payload=b'{"role":"assi')
    del living["s2"].graph.nodes[next(iter(living["s2"].graph.nodes))]
    commit_id, newest = living["s3"].records.popitem()
    living["s3"].records[commit_id] = attrs.evolve(newest, record=b"[]")
    found = dict(findings(lash, "--sessions", *STORE))
    assert list(found) == ["session s1", "session s2", "session s3"]
    assert found["session s1"].startswith(f"node {last.node_id} cannot be read: payload: Invalid JSON: ")
    assert found["session s2"].endswith(", which is not stored")
    assert found["session s3"] == "commit record 2 cannot be read: record: Input should be an object"


def test_progress_is_told_when_it_takes_a_while(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s1", "s2", "s3"):
        lash("run", "one", "--session", name, *STORE)
    assert lash("doctor", "--sessions", *STORE).err == ""
    ticks = itertools.count(step=0.6)
    monkeypatch.setattr("lash_core.cli.session_checks.time", _Clock(ticks))
    assert lash("doctor", "--sessions", *STORE).err == "lash: checked 2 sessions so far\n"


class _Clock:
    def __init__(self, ticks: Any) -> None:
        self._ticks = ticks

    def monotonic(self) -> float:
        return float(next(self._ticks))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def family(handoff: bool) -> None:
    """Session s1 with a child, or a successor, that has had a turn."""

    async def make() -> None:
        lash = await App.open("kept:one", plugins=PluginManager.discover(builtins=BUILTINS))
        runtime = (await lash.session("s1")).runtime
        request = SessionCreateRequest(session_id="s2", relation="handoff" if handoff else "child")
        child = await runtime.create_session(request)
        await child.runtime.turn(TurnInput(text="two"), lash.agent.limits, lambda event: None)
        await lash.close()

    asyncio.run(make())


def test_parents_and_children_are_shown_and_their_usage_is_added_up_once(lash: Lash) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    family(handoff=False)
    assert " · child of s1" in lash("sessions", "show", "s2", *STORE).out.splitlines()[0]
    shown = json.loads(lash("sessions", "show", "s2", "--json", *STORE).out)
    assert shown["parent"] == {"session_id": "s1", "relation": "child"}
    for _ in range(2):  # before the parent has it in its ledger, and after
        told = json.loads(lash("usage", "--json", *STORE).out)
        rows = {row["session"]: (row["calls"], row.get("child_of")) for row in told["rows"]}
        assert rows["s2"] == (1, "s1")
        assert rows["s1"][0] == told["total"]["calls"]
        assert (
            sum(row["calls"] for row in json.loads(lash("usage", "--by", "source", "--json", *STORE).out)["rows"])
            == (told["total"]["calls"])
        )
        table = lash("usage", *STORE).out.splitlines()
        assert table[0].endswith("CHILD OF")
        assert table[2].endswith(" s1")
        lash("run", "three", "--session", "s1", *STORE)
    assert told["total"]["calls"] == 3


def test_successors_are_shown_and_one_that_is_gone_is_found(lash: Lash, dummies: ModuleType) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    family(handoff=True)
    assert " · handed off to s2" in lash("sessions", "show", "s1", *STORE).out.splitlines()[0]
    assert " · took over from s1" in lash("sessions", "show", "s2", *STORE).out.splitlines()[0]
    assert json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["successor"] == "s2"
    diagnosis(lash, "--sessions", *STORE, code=0)
    dummies.STORES["kept:one"].living.pop("s2")
    assert findings(lash, "--sessions", *STORE) == [
        ("session s1", "it was handed off to session 's2', which is not there")
    ]

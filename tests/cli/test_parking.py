"""`lash sessions park` and `resume`: a handle on paper, and what differs when it comes back."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "durable:one")


def parked(lash: Lash, session: str = "s1") -> dict[str, Any]:
    """Run one turn and write the handle of its session to h.json."""
    lash("run", "one", "--session", session, *STORE)
    told = lash("sessions", "park", session, *STORE).out
    Path("h.json").write_text(told)
    handle: dict[str, Any] = json.loads(told)
    return handle


def upgrade(tmp_path: Path, version: str) -> None:
    """Install another version of the plugin of the tests' own."""
    metadata = tmp_path / "site/lash_dummies-1.0.dist-info/METADATA"
    metadata.write_text(f"Metadata-Version: 2.1\nName: lash-dummies\nVersion: {version}\n")


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_handle_is_one_line_of_json(lash: Lash, flags: tuple[str, ...]) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    ran = lash("sessions", "park", "s1", *STORE, *flags)
    assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 1)
    assert len(ran.out.encode()) <= 2_048
    assert json.loads(ran.out)["session_id"] == "s1"


def test_parking_keeps_the_sessions_own_model_whatever_the_settings_name(lash: Lash) -> None:
    lash("run", "one", "--session", "s1", *STORE)
    Path("lash.toml").write_text('[lash]\nmodel = "scripted:other"\n')
    handle = json.loads(lash("sessions", "park", "s1", *STORE).out)
    assert handle["model"] is None
    Path("h.json").write_text(json.dumps(handle))
    lash("sessions", "resume", "h.json", *STORE)
    assert json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)["model"] == "offline"


@pytest.mark.parametrize("file", ["h.json", "-"])
def test_nothing_differs_where_nothing_changed(lash: Lash, file: str) -> None:
    handle = parked(lash)
    ran = lash("sessions", "resume", file, *STORE, stdin=json.dumps(handle))
    assert (ran.code, ran.out) == (
        0,
        f"session s1 resumes at revision {handle['revision']}, where it was parked\nnothing differs\n",
    )
    told = json.loads(lash("sessions", "resume", file, *STORE, "--json", stdin=json.dumps(handle)).out)
    assert (told["differs"], told["head_revision"], told["interrupted"]) == (False, handle["revision"], False)
    assert lash("sessions", "resume", file, *STORE, "--strict", stdin=json.dumps(handle)).code == 0


def test_an_upgraded_plugin_is_told_until_the_next_commit(lash: Lash, tmp_path: Path) -> None:
    parked(lash)
    upgrade(tmp_path, "2.0")
    for _ in range(2):
        ran = lash("sessions", "resume", "h.json", *STORE)
        assert ran.out.splitlines()[1:] == ["plugins: changed plugin 'dummies' (lash-dummies 1.0) to 2.0"]
    told = json.loads(lash("sessions", "resume", "h.json", *STORE, "--json").out)
    assert told["differs"]
    assert [change["present"]["version"] for change in told["plugins"]["changed"]] == ["2.0"]
    refused = lash("sessions", "resume", "h.json", *STORE, "--strict", "--json")
    assert refused.code == 2
    assert json.loads(refused.out)["error"]["code"] == "plugin"
    assert "'strict' refuses: changed plugin 'dummies' (lash-dummies 1.0) to 2.0" in refused.err
    lash("run", "two", "--session", "s1", *STORE)
    after = lash("sessions", "resume", "h.json", *STORE).out.splitlines()
    assert after[1:] == ["nothing differs"]
    assert " it was parked at " in after[0]
    lines = lash("sessions", "events", "s1", "--json", *STORE).out.splitlines()
    (event,) = [told for line in lines if (told := json.loads(line)["event"])["type"] == "plugins_changed"]
    assert event["changed"] == ["lash-dummies/dummies 1.0 → 2.0"]


def test_a_healed_leaf_is_told_and_nothing_is_written(lash: Lash, dummies: ModuleType) -> None:
    handle = parked(lash)
    store = dummies.STORES["durable:one"]
    leaf = store.living["s1"].head.leaf
    store.living["s1"].graph.nodes.pop(leaf)
    ran = lash("sessions", "resume", "h.json", *STORE)
    assert ran.code == 0
    assert f"leaf {leaf} is not stored: moved to " in ran.out
    assert json.loads(lash("sessions", "resume", "h.json", *STORE, "--json").out)["healed"]["dangling"] == leaf
    assert handle["revision"] == store.living["s1"].head.revision, "looking writes nothing"


def test_a_session_without_a_durable_store_cannot_be_parked(lash: Lash) -> None:
    lash("run", "one", "--session", "s1", "--store", "kept:one")
    ran = lash("sessions", "park", "s1", "--store", "kept:one")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "lash: park needs a durable store; this session is held in memory\n"


def test_a_session_that_is_not_there_is_wrong_usage(lash: Lash) -> None:
    assert lash("sessions", "park", "s1").code == 2
    parked(lash)
    for words in (("park", "nobody"), ("resume", "h.json", "--store", "durable:other"), ("resume", "h.json")):
        store = STORE if words[0] == "park" else ()
        ran = lash("sessions", *words, *store, "--json")
        assert (ran.code, json.loads(ran.out)["error"]["code"]) == (2, "session_missing")
    assert not Path(".lash").exists()


def test_a_store_that_is_older_than_the_handle_is_wrong_usage(lash: Lash) -> None:
    Path("h.json").write_text(json.dumps(parked(lash) | {"revision": 99}))
    ran = lash("sessions", "resume", "h.json", *STORE, "--json")
    assert (ran.code, json.loads(ran.out)["error"]["code"]) == (2, "store_regressed")


def test_a_deleted_session_is_wrong_usage_even_if_its_name_is_used_again(lash: Lash) -> None:
    parked(lash)
    lash("delete", "s1", "--yes", *STORE)
    for _ in range(2):
        ran = lash("sessions", "resume", "h.json", *STORE, "--json")
        assert (ran.code, json.loads(ran.out)["error"]["code"]) == (2, "session_deleted")
        lash("run", "again", "--session", "s1", *STORE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is no JSON; `lash sessions park` prints one"),
        ("no json", "it is no JSON; `lash sessions park` prints one"),
        ("[" * 50_000, "it is no JSON; `lash sessions park` prints one"),
        ("[1]", "it is not a JSON object"),
        ('{"session_id": "s"}', "store is missing"),
        ('{"session_id": "s", "store": "x", "password": "hunter2"}', "it has no field 'password'"),
    ],
    ids=["empty", "text", "deep", "a list", "half of one", "more than one"],
)
def test_what_is_no_handle_is_wrong_usage(lash: Lash, text: str, told: str) -> None:
    Path("h.json").write_text(text)
    ran = lash("sessions", "resume", "h.json", *STORE)
    assert ran.code == 2
    assert f"this is no handle of a parked session: {told}" in ran.err
    assert "hunter2" not in ran.err


def test_a_handle_that_is_no_text_or_no_file_is_wrong_usage(lash: Lash) -> None:
    Path("h.json").write_bytes(b"\xff\xfe")
    assert lash("sessions", "resume", "h.json", *STORE).err == (
        "lash: h.json: this is no handle of a parked session: it is no text\n"
    )
    assert lash("sessions", "resume", "nowhere.json", *STORE).err == "lash: nowhere.json: No such file or directory\n"
    assert lash("sessions", "resume", "nowhere.json", *STORE).code == 2


def test_tools_that_came_and_went_are_told(lash: Lash, tmp_path: Path) -> None:
    parked(lash)
    info = tmp_path / "site/lash_basics-1.0.dist-info/entry_points.txt"
    info.write_text(f"{info.read_text()}file-tools = lash_basics.files_plugin\n")
    lines = lash("sessions", "resume", "h.json", *STORE).out.splitlines()
    assert lines[1] == "plugins: added plugin 'file-tools' (lash-basics 1.0)"
    assert lines[2].startswith("new tools: ")
    assert "read_file" in lines[2]
    lash("run", "two", "--session", "s1", *STORE)
    info.write_text(info.read_text().replace("file-tools = lash_basics.files_plugin\n", ""))
    lines = lash("sessions", "resume", "h.json", *STORE).out.splitlines()
    assert lines[1] == "plugins: removed plugin 'file-tools' (lash-basics 1.0)"
    assert lines[2].startswith("tools that are gone, what was stored of them is kept: ")

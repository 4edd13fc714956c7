"""`lash … --host NAME`: the command runs turns where it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lash_process import Folder

SCRIPT = [
    {"text": "Looking.", "tool_calls": [{"tool": "list_files", "arguments": {}}]},
    {"text": "Done."},
    {"text": "And again."},
]
FAST = "[lash.plugin.subprocess]\nseconds = 0.05\nrestarts = 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "s.json").write_text(json.dumps(SCRIPT))
    return Folder(tmp_path)


def test_a_turn_runs_where_the_option_or_the_file_says(folder: Folder) -> None:
    run = ("run", "--session", "s", "--model", "offline:s.json")
    with folder.worker() as worker:
        nowhere = worker.run(*run, "Hi", "--host", "subproces")
        assert nowhere.code == 2
        assert nowhere.err == (
            "lash: no host is named 'subproces'; did you mean 'subprocess'? On offer: embedded, subprocess.\n"
        )
        assert not (folder.path / ".lash").exists()
        ran = worker.run(*run, "Hi", "--host", "subprocess", "--trace", "t.jsonl")
        assert (ran.code, ran.out) == (0, "Done.\n"), ran.err
        folder.write(lash__toml=f'[lash]\nhost = "subprocess"\n{FAST}')
        late = worker.run(*run, "Hi", "--json")
        assert (late.code, late.document["error"]["code"]) == (1, "host")
        assert "its child process ran longer than 0.05 s and was killed" in late.err
        assert [row["session_id"] for row in worker.run("turns", "list", "--interrupted", "--json").document] == ["s"]
        continued = worker.run("turns", "continue", "s", "--model", "offline:s.json", "--host", "embedded")
        assert (continued.code, continued.out) == (0, "And again.\n"), continued.err
    scopes = {
        json.loads(line)["context"].get("scope_id") for line in (folder.path / "t.jsonl").read_text().splitlines()
    }
    assert len(scopes) == 2, "the command's own runtime and the child's"


def test_the_doctor_tells_the_host_and_names_one_that_nobody_offers(folder: Folder) -> None:
    folder.write(lash__toml='[lash]\nhost = "subproces"\n')
    with folder.worker() as worker:
        told = worker.run("doctor", "--json").document
        assert told["settings"]["host"] == {"value": "subproces", "from": str(folder.path / "lash.toml")}
        assert ["host (from " in finding["about"] for finding in told["findings"]] == [True]
        listed = worker.run("plugins", "list", "--json").document
        assert [each["name"] for each in listed if "hosts" in json.dumps(each)] == ["subprocess"]
        folder.write(lash__toml='[lash]\nhost = "subprocess"\n[lash.plugin.subprocess]\nseconds = -1\n')
        refused = worker.run("run", "Hi")
        assert refused.code == 2
        assert refused.err.endswith("lash.toml: lash.plugin.subprocess.seconds: Input should be greater than 0\n")

"""What plugins do while a command runs: what they print is not taken for its output, and what they did is explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from lash_process import LASH

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")

#: Prints in every way there is: at import and in a hook; through Python, a descriptor, a child and an old stream.
NOISY = """
import os
import subprocess
import sys
import threading

from lash_hookspecs import implements
from lash_hookspecs.specs.decisions import ALLOW
from lash_hookspecs.specs.events import lash_on_turn_committed
from lash_hookspecs.specs.persistence import lash_guard_commit

print("NOISE at import")

@implements(lash_guard_commit)
async def guard(context):
    print("NOISE in a hook")
    os.write(1, b"NOISE past Python\\n")
    subprocess.run(["echo", "NOISE of a child"])
    sys.__stdout__.write("NOISE into the stream as it was\\n")
    return ALLOW

@implements(lash_on_turn_committed)
async def committed(context):
    sys.exit(7)
"""

MANIFEST = 'requires_api = "0.1"\nhooks = ["lash_guard_commit", "lash_on_turn_committed"]\n'


def install(site: Path, name: str, module: str, manifest: str) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lash.plugins]\n{name} = {name}\n")
    (site / name).mkdir()
    (site / name / "__init__.py").write_text(module)
    (site / name / "lash-plugin.toml").write_text(manifest)


def test_what_a_plugin_prints_goes_to_stderr_and_what_it_did_into_the_document(tmp_path: Path) -> None:
    install(tmp_path, "acme_noisy", NOISY, MANIFEST)
    ran = subprocess.run(
        [*LASH, "run", "hi", "--json", "--explain-plugins", "--store", "memory:"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    for noise in ("at import", "in a hook", "past Python", "of a child", "into the stream as it was"):
        assert f"NOISE {noise}" in ran.stderr
    calls = {each["hook"]: each for each in document["plugin_calls"]}
    guard, committed = calls["lash_guard_commit"], calls["lash_on_turn_committed"]
    assert (guard["plugin"], guard["distribution"], guard["version"]) == ("acme_noisy", "acme_noisy", "1.0")
    assert (guard["calls"], guard["outcomes"], guard["reasons"]) == (2, {"allowed": 2}, [])
    assert 0 < guard["slowest_ms"] <= guard["milliseconds"]
    assert (committed["outcomes"], committed["reasons"]) == ({"failed": 1}, ["failed: it called sys.exit(7)"])


def test_a_plugin_that_is_checked_may_print_too(lash: Lash, dummies: ModuleType) -> None:
    install(Path(str(dummies.__file__)).parent.parent, "acme_loud", 'print("NOISE at import")', 'requires_api = "0.1"')
    checked = lash("plugins", "check", "acme_loud", "--json")
    assert ("NOISE" in checked.err, len(json.loads(checked.out))) == (True, 1)


@pytest.fixture
def guarded(dummies: ModuleType) -> ModuleType:
    """The dummies with a guard that denies what it is told to."""
    source = """
import asyncio
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.decisions import ALLOW, Deny
from lash_hookspecs.specs.persistence import lash_guard_commit

@implements(lash_guard_commit)
async def guard(context):
    await asyncio.sleep(0)
    return Deny("not today") if denying else ALLOW
denying = False
"""
    exec(source, vars(dummies))
    manifest = Path(str(dummies.__file__)).with_name("lash-plugin.toml")
    manifest.write_text(manifest.read_text().replace("hooks = [", 'hooks = ["lash_guard_commit", '))
    return dummies


def test_explained_plugins_are_a_table_on_stderr(lash: Lash, guarded: ModuleType) -> None:
    ran = lash("run", "Hello", "--explain-plugins", *STORE)
    assert (ran.code, ran.out) == (0, "an answer\n")
    head, row = ran.err.splitlines()[-2:]
    assert head.split() == ["PLUGIN", "DISTRIBUTION", "HOOK", "CALLS", "MS", "SLOWEST", "OUTCOME"]
    assert row.split()[:5] == ["dummies", "lash-dummies", "1.0", "lash_guard_commit", "2"]
    assert row.endswith("2 allowed")


def test_a_turn_that_a_plugin_refused_is_explained_too(lash: Lash, guarded: ModuleType) -> None:
    guarded.denying = True  # type: ignore[attr-defined]  # the fixture made it
    for more in ((), ("--json",)):
        ran = lash("run", "Hello", "--explain-plugins", *more, *STORE)
        assert ran.code == 1
        assert [line for line in ran.err.splitlines() if line.endswith("denied: not today")]


def test_without_plugins_that_are_called_that_is_said(lash: Lash) -> None:
    ran = lash("run", "Hello", "--explain-plugins", *STORE)
    assert (ran.code, ran.err.splitlines()[-1]) == (0, "lash: no plugin was called")
    assert json.loads(lash("run", "Hello", "--explain-plugins", "--json", *STORE).out)["plugin_calls"] == []


def test_calls_are_in_the_trace(lash: Lash, guarded: ModuleType) -> None:
    lash("run", "Hello", "--trace", "t.jsonl", *STORE)
    found = [json.loads(line) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    first, second = [each for each in found if each["event"] == "hook_called"]
    assert first["context"]["plugin"] == "dummies"
    duration = first["fields"].pop("duration_ms")
    assert duration > 0
    assert first["fields"] == {
        "hook": "lash_guard_commit",
        "distribution": "lash-dummies",
        "version": "1.0",
        "outcome": "allowed",
    }
    assert second["context"]["turn_id"]


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are closed in a shell's way")
def test_a_command_whose_stdout_is_closed_ends_in_peace(tmp_path: Path) -> None:
    command = f"{LASH[0]} {' '.join(LASH[1:])} run hi --session s >&-"
    ran = subprocess.run(command, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)

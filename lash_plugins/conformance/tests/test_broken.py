"""The kit is right about stores that are wrong: each breaks one clause, and just that one fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lash_plugins.conformance.tests import broken_files, broken_plain

ROOT = Path(__file__).parents[3]

#: Runs of the kit, so that several processes share the work.
GROUPS = 4

#: Tests with many or large values, and the clauses that a store has to break to be given them.
TEDIOUS = "G2 or blob_comes or surrogates or large or many_small"
VALUES = ("", "G2", "S6", "S11")

#: The strict mode of pytest-asyncio, and one loop for all tests, since making one costs more than a test.
_INI = """[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
addopts = --import-mode=importlib
"""


def run_kit(module: str, folder: Path, names: list[str], words: str) -> dict[str, dict[str, Any]]:
    """Run the kit over stores of a module; give what the report says of each, by its class."""
    path = Path(__file__).with_name(f"{module}.py")
    (folder / "pytest.ini").write_text(_INI)
    report = folder / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", folder / "pytest.ini", "--rootdir", ROOT, "--tb=short"),
            *("-p", "no:cacheprovider", "-p", "no:xdist", "--lash-patience=0.5", "--lash-report", report),
            *("-k", words, *(f"{path}::{name}" for name in names)),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout[-3_000:] + done.stderr[-3_000:]
    stores: list[dict[str, Any]] = json.loads(report.read_text())["stores"]
    return {str(store["store"]).rpartition("::")[2]: store for store in stores}


def failed(store: dict[str, Any]) -> dict[str, list[str]]:
    """Give the clauses that failed, each with its failed tests."""
    return {
        clause: [f"{each['test']}: {each['reason']}" for each in found["tests"] if each["outcome"] == "failed"]
        for clause, found in store["clauses"].items()
        if found["outcome"] == "failed"
    }


#: Some of the stores are enough for every run of the tests; `make conformance` runs them all.
@pytest.mark.parametrize("group", [0, *(pytest.param(group, marks=pytest.mark.full) for group in range(1, GROUPS))])
def test_a_store_that_breaks_one_clause_fails_just_that_one(group: int, tmp_path: Path) -> None:
    names = list(broken_plain.BREAKS)[group::GROUPS]
    whole = " or ".join(name for name in names if broken_plain.BREAKS[name] in VALUES) or "nobody"
    found = run_kit("broken_plain", tmp_path, names, f"not test_ALL and (not ({TEDIOUS}) or {whole})")
    assert list(found) == names
    told = {name: failed(found[name]) for name in names}
    print(json.dumps(told, indent=1))
    expected = {name: sorted({broken_plain.BREAKS[name]} - {""}) for name in names}
    assert {name: sorted(clauses) for name, clauses in told.items()} == expected


def test_a_store_that_loses_what_it_promised_to_keep_fails_just_that_clause(tmp_path: Path) -> None:
    names = list(broken_files.BREAKS)
    found = run_kit("broken_files", tmp_path, names, "not (test_ALL or S11 or G2 or S4 or S6)")
    told = {name: failed(found[name]) for name in names}
    print(json.dumps(told, indent=1))
    expected = {name: sorted({broken_files.BREAKS[name]} - {""}) for name in names}
    assert {name: sorted(clauses) for name, clauses in told.items()} == expected


def test_there_are_at_least_thirty_of_them() -> None:
    broken = [clause for module in (broken_plain, broken_files) for clause in module.BREAKS.values() if clause]
    assert len(broken) >= 30

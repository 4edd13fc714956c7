"""The kit is right about stores that are wrong: each breaks one clause, and just that one fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lash_plugins.conformance.tests import broken_files, broken_plain
from lash_plugins.conformance.tests.running import failed, run_kit

#: Runs of the kit, so that several processes share the work.
GROUPS = 6

#: Tests with many or large values, and the clauses that a store has to break to be given them.
TEDIOUS = "G2 or blob_comes or surrogates or large or many_small"
VALUES = ("", "G2", "S6", "S11")


#: Tests of what a store in files can lose, and of nearly everything else.
LOSSES = "S2_ or S3_ or S9_ or S13_"
REST = "not (test_ALL or S11 or G2 or S4 or S6)"


def run_stores(module: str, folder: Path, names: list[str], words: str) -> dict[str, dict[str, Any]]:
    """Run the kit over stores of a module; give what the report says of each, by its class."""
    stores = run_kit({module: names}, folder, words=words)["stores"]
    return {str(store["store"]).rpartition("::")[2]: store for store in stores}


#: Some of the stores are enough for every run of the tests; `make conformance` runs them all.
@pytest.mark.parametrize("group", [0, *(pytest.param(group, marks=pytest.mark.full) for group in range(1, GROUPS))])
def test_a_store_that_breaks_one_clause_fails_just_that_one(group: int, tmp_path: Path) -> None:
    names = list(broken_plain.BREAKS)[group::GROUPS]
    whole = " or ".join(name for name in names if broken_plain.BREAKS[name] in VALUES) or "nobody"
    found = run_stores("broken_plain", tmp_path, names, f"not test_ALL and (not ({TEDIOUS}) or {whole})")
    assert list(found) == names
    told = {name: failed(found[name]) for name in names}
    print(json.dumps(told, indent=1))
    expected = {name: sorted({broken_plain.BREAKS[name]} - {""}) for name in names}
    assert {name: sorted(clauses) for name, clauses in told.items()} == expected


@pytest.mark.parametrize("words", [LOSSES, pytest.param(REST, marks=pytest.mark.full)])
def test_a_store_that_loses_what_it_promised_to_keep_fails_just_that_clause(words: str, tmp_path: Path) -> None:
    names = list(broken_files.BREAKS)
    found = run_stores("broken_files", tmp_path, names, words)
    told = {name: failed(found[name]) for name in names}
    print(json.dumps(told, indent=1))
    expected = {name: sorted({broken_files.BREAKS[name]} - {""}) for name in names}
    assert {name: sorted(clauses) for name, clauses in told.items()} == expected


def test_there_are_at_least_thirty_of_them() -> None:
    broken = [clause for module in (broken_plain, broken_files) for clause in module.BREAKS.values() if clause]
    assert len(broken) >= 30

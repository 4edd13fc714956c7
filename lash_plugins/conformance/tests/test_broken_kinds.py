"""The kit is right about modes, providers, tools and session plugins that are wrong: just the broken clause fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lash_conformance.clauses import KINDS

from lash_plugins.conformance.tests import broken_modes, broken_providers, broken_session_plugins, broken_tools
from lash_plugins.conformance.tests.running import failed, run_kit

MODULES = {
    "mode": broken_modes,
    "provider": broken_providers,
    "tools": broken_tools,
    "session plugin": broken_session_plugins,
}

#: Runs of the kit, so that several processes share the work.
GROUPS = 3


@pytest.mark.parametrize("kind", MODULES)
def test_each_clause_is_broken_by_somebody(kind: str) -> None:
    broken = {clause for clause in MODULES[kind].BREAKS.values() if clause}
    assert broken == set(KINDS[kind].clauses)


#: Some of them are enough for every run of the tests; `make conformance` runs them all.
@pytest.mark.parametrize("group", [0, *(pytest.param(group, marks=pytest.mark.full) for group in range(1, GROUPS))])
def test_what_breaks_one_clause_fails_just_that_one(group: int, tmp_path: Path) -> None:
    chosen = {module: list(module.BREAKS)[group::GROUPS] for module in MODULES.values()}
    report = run_kit({module.__name__.rpartition(".")[2]: names for module, names in chosen.items()}, tmp_path)
    for kind, module in MODULES.items():
        found = {each[kind].rpartition("::")[2]: each for each in report[KINDS[kind].plural]}
        told = {name: failed(each) for name, each in found.items()}
        print(json.dumps(told, indent=1))
        expected = {name: sorted({module.BREAKS[name]} - {""}) for name in chosen[module]}
        assert {name: sorted(clauses) for name, clauses in told.items()} == expected

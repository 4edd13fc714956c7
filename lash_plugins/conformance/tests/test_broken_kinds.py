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


@pytest.mark.parametrize("kind", MODULES)
def test_each_clause_is_broken_by_somebody(kind: str) -> None:
    broken = {clause for clause in MODULES[kind].BREAKS.values() if clause}
    assert broken == set(KINDS[kind].clauses)


def test_what_breaks_one_clause_fails_just_that_one(tmp_path: Path) -> None:
    modules = [module.__name__.rpartition(".")[2] for module in MODULES.values()]
    report = run_kit(modules, tmp_path)
    for kind, module in MODULES.items():
        found = {each[kind].rpartition("::")[2]: each for each in report[KINDS[kind].plural]}
        told = {name: failed(each) for name, each in found.items()}
        print(json.dumps(told, indent=1))
        expected = {name: sorted({clause} - {""}) for name, clause in module.BREAKS.items()}
        assert {name: sorted(clauses) for name, clauses in told.items()} == expected

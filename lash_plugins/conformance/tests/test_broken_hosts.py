"""The kit is right about hosts that are wrong: each breaks one clause, and just that one fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lash_plugins.conformance.tests import broken_hosts

pytest.importorskip("lash_core", reason="what proves a host runs turns in the core")

ROOT = Path(__file__).parents[3]


full = pytest.mark.full


@pytest.mark.parametrize(
    ("breaks", "patience"),
    [
        (broken_hosts.BREAKS, 10),
        pytest.param(broken_hosts.LONGER, 10, marks=full),
        pytest.param(broken_hosts.PIPED, 30, marks=full),
    ],
    ids=["some", "longer", "piped"],
)
def test_a_host_that_breaks_one_clause_fails_just_that_one(
    breaks: dict[str, str], patience: int, tmp_path: Path
) -> None:
    path, report = Path(broken_hosts.__file__), tmp_path / "report.json"
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", tmp_path / "pytest.ini", "--rootdir", ROOT, "--tb=short"),
            *("-p", "no:cacheprovider", "-p", "no:xdist", f"--lash-patience={patience}", "--lash-report", report),
            *("-k", "not T6 or not (Twice or Tidy)"),  # of these a new process proves nothing more
            *(f"{path}::{name}" for name in breaks),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "LASH_TURNS": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout[-3_000:] + done.stderr[-3_000:]
    hosts = {host["host"].rpartition("::")[2]: host["clauses"] for host in json.loads(report.read_text())["hosts"]}
    failed = {
        name: [number for number, clause in clauses.items() if clause["outcome"] == "failed"]
        for name, clauses in hosts.items()
    }
    assert failed == {name: [clause] if clause else [] for name, clause in breaks.items()}, done.stdout[-9_000:]
    outcomes = {clause["outcome"] for clauses in hosts.values() for clause in clauses.values()}
    assert outcomes <= {"passed", "failed", "not run"}


def test_there_are_ten_of_them() -> None:
    assert (
        len([clause for clause in (broken_hosts.BREAKS | broken_hosts.LONGER | broken_hosts.PIPED).values() if clause])
        == 10
    )

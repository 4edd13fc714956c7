"""Runs the kit in a process of its own over modules of these tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["failed", "run_kit"]

ROOT = Path(__file__).parents[3]

#: The strict mode of pytest-asyncio, and one loop for all tests, since making one costs more than a test.
_INI = """[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
addopts = --import-mode=importlib
"""


def run_kit(classes: Mapping[str, Sequence[str]], folder: Path, *, words: str = "") -> dict[str, Any]:
    """Run the kit over classes of modules of this folder; give its report."""
    here = Path(__file__)
    tests = [f"{here.with_name(module)}.py::{name}" for module, names in classes.items() for name in names]
    (folder / "pytest.ini").write_text(_INI)
    report = folder / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", folder / "pytest.ini", "--rootdir", ROOT, "--tb=short"),
            *("-p", "no:cacheprovider", "-p", "no:xdist", "--lash-patience=0.5", "--lash-report", report),
            *("-k", words, *tests),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout[-3_000:] + done.stderr[-3_000:]
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def failed(subject: dict[str, Any]) -> dict[str, list[str]]:
    """Give the clauses that failed, each with its failed tests."""
    return {
        clause: [f"{each['test']}: {each['reason']}" for each in found["tests"] if each["outcome"] == "failed"]
        for clause, found in subject["clauses"].items()
        if found["outcome"] == "failed"
    }

"""What an author sees: names, reasons, the summary, the report, and the script of a run that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lash_conformance.clauses import CLAUSES, Clauses
from lash_conformance.suite import StoreConformance

ROOT = Path(__file__).parents[3]

MODULE = """
from functools import partial

from lash_conformance import StoreConformance
from lash_plugins.conformance.tests import broken_plain, plain_store


async def open_wrong(url, create, clock):
    return await plain_store.open_plain(url, create, clock, kind=Wrong)


class Wrong(plain_store.PlainBackend):
    Session = broken_plain.{session}


class TestMine(StoreConformance):
    levels = {levels}
    store_url = "plain:"
    open_store = staticmethod(open_wrong)
"""


def run(folder: Path, *words: str, session: str = "PlainSession", levels: str = "plain_store.LEVELS") -> Any:
    """Run the kit in a process of its own on a store of a module of its own."""
    (folder / "test_mine.py").write_text(MODULE.format(session=session, levels=levels))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *words],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
            "PYTEST_ADDOPTS": "",
            "COLUMNS": "200",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_what_is_not_claimed_is_not_run_and_never_called_passed(tmp_path: Path) -> None:
    done = run(tmp_path, "-k", "S12 or S5 or S15 or S8", "--lash-report", "report.json", levels='("core",)')
    lines = done.stdout.splitlines()
    assert "TestMine (plain:) claims core; durability none" in lines
    assert "  failed: S15 (1 failed; 3 passed)" in lines, "the store declares more than the class claims"
    assert any(line.startswith("  passed in part: S5 (3 passed; ") for line in lines)
    assert any("not run: level concurrent not declared" in line for line in lines)
    assert any(line.startswith("  not run: S1 S2 S3 S4") for line in lines)
    report = json.loads((tmp_path / "report.json").read_text())
    (store,) = report["stores"]
    assert store["claimed"] == {"levels": ["core"], "durability": "none", "tenants": False}
    assert store["declared"]["levels"] == ["concurrent", "core", "sharing"]
    assert list(store["clauses"]) == list(CLAUSES)
    assert {clause: store["clauses"][clause]["outcome"] for clause in ("S15", "S5", "S8", "S1")} == {
        "S15": "failed",
        "S5": "passed in part",
        "S8": "passed in part",
        "S1": "not run",
    }
    tests = store["clauses"]["S5"]["tests"]
    assert {each["outcome"] for each in tests} == {"passed", "not run"}
    assert all(each["seconds"] >= 0 and each["level"] for each in tests)
    assert {each["reason"] for each in tests if each["outcome"] == "not run"} == {"level concurrent not declared"}
    assert {"lash_conformance", "hook_api", "date", "python", "platform", "effort"} < set(report)


def test_a_store_that_claims_tenants_is_said_to() -> None:
    claims = {"levels": ("core",), "store_url": "mine:", "tenants": True}
    suite: Any = type("Mine", (StoreConformance,), claims)
    assert suite.lash_title() == "(mine:) claims core; durability none; tenants"
    assert suite.lash_told()["claimed"] == {"levels": ["core"], "durability": "none", "tenants": True}


def test_a_class_that_claims_nothing_is_told_what_to_say(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from lash_conformance import StoreConformance\n\n\nclass TestMine(StoreConformance):\n    store_url = 'x:'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 4
    assert (
        "TestMine does not say levels, open_store: see lash_conformance.StoreConformance" in done.stdout + done.stderr
    )


@pytest.mark.parametrize(
    "session",
    ["KeepsTheNodesOfRefusedCommits", "DeletesWhoeverIsThere"],
)
def test_the_script_of_a_run_that_failed_shows_it_again(tmp_path: Path, session: str) -> None:
    done = run(tmp_path, "-k", "test_ALL", "--lash-effort=2", session=session)
    assert done.returncode == 1, done.stdout
    (path,) = {word.rstrip(",") for word in done.stdout.split() if word.endswith("replay.py,")}
    script = Path(path).read_text()
    assert script in done.stdout
    assert script.count("\n") < 60, "it is the smallest sequence that fails"
    wrong = next(line for line in done.stdout.splitlines() if line.startswith("WrongAnswer: "))
    again = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert again.returncode == 1
    assert f"lash_conformance.replay.{wrong}" in again.stderr


def test_each_test_is_named_after_a_clause() -> None:
    with pytest.raises(TypeError, match="test_S3_cas__x is not named after a clause of a store"):
        type("Wrong", (Clauses,), {"test_S3_cas__x": lambda self: None}, level="core")
    assert {name for name in dir(StoreConformance) if name.startswith("test")} == {
        name for name in dir(StoreConformance) if hasattr(getattr(StoreConformance, name), "lash_clause")
    }


def test_importing_the_package_loads_neither_pytest_nor_a_suite() -> None:
    heavy = "{'pytest', 'hypothesis', 'lash_core'}"
    code = f"import sys, lash_conformance, lash_conformance.worker; print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"

"""Plugins and the kit know nothing of the core; `make apart` runs each plugin's whole suite where there is none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Quick tests of each plugin, and the new suites at fakes, in a process that has no core.
QUICK = (
    "lash_plugins/basics/tests/test_package.py",
    "lash_plugins/basics/tests/test_plugins.py",
    "lash_plugins/host_subprocess/tests/test_package.py",
    "lash_plugins/provider_pydantic_ai/tests/test_package.py",
    "lash_plugins/store_sql/tests",
    "tests/conformance/test_fakes.py",
)


_IMPORT = re.compile(r"^\s*(from|import)\s+lash_core\b", re.MULTILINE)


def test_no_plugin_and_no_test_of_one_imports_the_core() -> None:
    found = [path for part in ("src", "tests") for path in ROOT.glob(f"lash_plugins/*/{part}/**/*.py")]
    of_the_core = {"broken_hosts", "broken_kept"}
    files = [path for path in found if not path.match("lash_conformance/hosting/*.py") and path.stem not in of_the_core]
    assert len(files) > 100, "of the kit, the suite of hosts and what breaks the core's own things alone know it"
    wrong = [path for path in files if _IMPORT.search(path.read_text(encoding="utf-8"))]
    assert [str(path.relative_to(ROOT)) for path in wrong] == []


def test_plugins_and_the_kit_run_where_there_is_no_core(tmp_path: Path) -> None:
    settings = "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = --import-mode=importlib\n"
    (tmp_path / "pytest.ini").write_text(settings)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", tmp_path / "pytest.ini", "--rootdir", ROOT),
            *("--confcutdir", ROOT / "lash_plugins", "-p", "without_core", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-k", "not TestFakeStore or S3_"),
            *(ROOT / path for path in QUICK),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests/support"), "PYTEST_ADDOPTS": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    assert "TestFakeMode is a mode" in done.stdout

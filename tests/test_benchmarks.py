"""Every benchmark runs; what it measures is no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "benchmarks" / "run.py"
NAMES = ("commit", "reads", "disk", "writers", "parked", "listing", "plugins", "startup", "postgres")


#: Those that every run of the tests tries; `make bench` runs them all.
QUICK = ("commit", "listing")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in NAMES]
)
def test_a_benchmark_runs_with_tiny_sizes_and_tells_figures_with_goals(name: str) -> None:
    command = [sys.executable, str(RUN), "--smoke", "--json", "--only", name]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)[name]
    assert figures
    if not any(figure["unit"] for figure in figures):
        pytest.skip(figures[0]["note"])
    assert all(figure["ours"] == figure["ours"] for figure in figures if figure["unit"])
    assert name == "listing" or any(figure["goal"] for figure in figures)


def test_every_benchmark_is_run_here() -> None:
    ran = subprocess.run([sys.executable, str(RUN), "--help"], capture_output=True, text=True, check=True)
    assert ", ".join(NAMES) in " ".join(ran.stdout.split())

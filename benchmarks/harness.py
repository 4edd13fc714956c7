"""What every benchmark is made of: figures with their floors and goals, sizes, child processes, counted fsyncs."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import attrs

HERE = Path(__file__).parent
#: Where servers for tests are; the benchmarks have one of their own from there.
SUPPORT = HERE.resolve().parent / "tests" / "support"
sys.path.append(str(SUPPORT))


@attrs.frozen(kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        turns: Commits are measured at these turns of one session.
        window: Turns measured around each of them.
        path_turns: Turns of the session that is resumed, read from its end, and forked in its middle.
        disk_turns: Turns of the session whose bytes are counted.
        tries: Processes started for each figure that needs a fresh one.
        rounds: Rounds in which writers and raw writers alternate.
        seconds: How long each round lasts.
        parked: Handles held in one process.
        drawn: Handles drawn at random, each of which runs a turn in another process.
        listed: Sessions in the store that is listed.
        pages: Pages read from it.
        traced: Commits run under strace.
    """

    turns: tuple[int, ...]
    window: int
    path_turns: int
    disk_turns: int
    tries: int
    rounds: int
    seconds: float
    parked: int
    drawn: int
    listed: int
    pages: int
    traced: int


#: Tests run every benchmark with these, to see that it runs; the figures mean nothing.
SMOKE = Sizes(
    turns=(2, 4), window=2, path_turns=4, disk_turns=4, tries=1, rounds=1, seconds=0.05, parked=20, drawn=2,
    listed=30, pages=2, traced=3,
)  # fmt: skip
DEFAULT = Sizes(
    turns=(10, 100, 1000, 3000), window=200, path_turns=1000, disk_turns=3000, tries=9, rounds=3, seconds=2.0,
    parked=100_000, drawn=1000, listed=100_000, pages=300, traced=200,
)  # fmt: skip
FULL = attrs.evolve(DEFAULT, window=400, tries=21, rounds=6, seconds=4.0, listed=1_000_000, pages=1000)


@attrs.frozen
class Goal:
    """What a figure must reach: ``sign`` and a limit, for its ratio to the floor or for the figure itself."""

    sign: Literal["≤", "≥"]
    limit: float
    of: Literal["ratio", "value"] = "ratio"

    def met(self, value: float) -> bool:
        """Tell whether a value reaches it."""
        return value <= self.limit if self.sign == "≤" else value >= self.limit


@attrs.frozen(kw_only=True)
class Figure:
    """One line of a table: what was measured, beside its floor of the same run."""

    what: str
    ours: float
    unit: str
    floor: float | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The figure over its floor."""
        return self.ours / self.floor if self.floor else None

    @property
    def verdict(self) -> str:
        """``pass``, ``MISS``, or nothing where there is no goal."""
        if self.goal is None:
            return ""
        value = self.ours if self.goal.of == "value" else self.ratio
        return "pass" if value is not None and self.goal.met(value) else "MISS"

    def cells(self) -> list[str]:
        """Give the line's cells."""
        goal = self.goal
        shown = f"{goal.sign} {goal.limit:g}{f' {self.unit}' if goal.of == 'value' else ' ×'}" if goal else ""
        floor = "" if self.floor is None else _number(self.floor)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return [self.what, _number(self.ours), floor, self.unit, ratio, shown, self.verdict, self.note]


COLUMNS = ("", "Lash", "floor", "unit", "ratio", "goal", "", "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def say(text: str) -> None:
    """Tell how far it is, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def p50(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def p99(values: Sequence[float]) -> float:
    """The 99th percentile; the largest of fewer than a hundred."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def child(code: str, *arguments: object, wrapper: Sequence[str] = (), flags: Sequence[str] = ()) -> str:
    """Run Python code in a process of its own, in which benchmark modules can be imported; give its output."""
    command = [*wrapper, sys.executable, *flags, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout


def environment() -> dict[str, str]:
    """The environment of child processes."""
    paths = [str(HERE), str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def floats(text: str) -> list[float]:
    """Read the numbers that a child printed."""
    return [float(word) for word in text.split()]


def fsyncs(code: str, *arguments: object, folder: str) -> float | None:
    """Count the fsyncs of a child, ``None`` where nobody can: strace is missing or may not trace."""
    if shutil.which("strace") is None:
        return None
    counts = Path(folder, "fsyncs")
    try:
        child(code, *arguments, wrapper=["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", str(counts)])
    except subprocess.CalledProcessError:
        return None
    lines = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).*\bf(?:data)?sync$", counts.read_text(), re.MULTILINE)
    return float(sum(map(int, lines)))


def alternate(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Run several measurements in turn, so that all see the same machine."""
    results: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for found, measure in zip(results, measures, strict=True):
            found.append(measure())
    return results

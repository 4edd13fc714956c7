"""Runs benchmarks and prints their tables: ``python benchmarks/run.py [--only NAME]… [--full] [--write] [--json]``.

Each figure stands beside its floor of the same run; goals are ratios to it wherever there is one.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import sys
import time
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import attrs
from harness import COLUMNS, DEFAULT, FULL, SMOKE, Figure, Sizes, say

NAMES = ("commit", "reads", "disk", "writers", "parked", "listing", "plugins", "startup", "postgres")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
SIZES = {"smoke": SMOKE, "default": DEFAULT, "full": FULL}


def measured(name: str, sizes: Sizes) -> list[Figure]:
    """Run one benchmark."""
    say(name)
    begin = time.perf_counter()
    figures: list[Figure] = import_module(name).run(sizes)
    say(f"{name} took {time.perf_counter() - begin:.0f} s")
    return figures


def machine() -> str:
    """Say what it ran on, without naming anybody's machine."""
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GB, "
        f"Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, pydantic {metadata.version('pydantic')}, "
        f"lash-store-sql {metadata.version('lash-store-sql')}"
    )


def lines(name: str, figures: list[Figure]) -> list[str]:
    """A table in Markdown, which reads well enough in a terminal."""
    rows = [list(COLUMNS), *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    align = [str.ljust, str.rjust, str.rjust, str.ljust, str.rjust, str.rjust, str.ljust, str.ljust]
    shown = [
        "| " + " | ".join(to(cell, width) for to, cell, width in zip(align, row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = (
        "|"
        + "|".join(
            "-" * (width + 1) + (":" if to is str.rjust else "-") for to, width in zip(align, widths, strict=True)
        )
        + "|"
    )
    return [
        f"### {import_module(name).TITLE}",
        "",
        f"`python benchmarks/run.py --only {name}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.",
        "",
        shown[0],
        rule,
        *shown[1:],
        "",
    ]


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--full", action="store_true", help="longer and more of everything; a million sessions are listed"
    )
    parser.add_argument("--smoke", action="store_true", help="tiny: only whether each one runs")
    parser.add_argument("--sessions", type=int, help="how many sessions are listed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for."""
    given = options()
    sizes = SIZES["full" if given.full else "smoke" if given.smoke else "default"]
    if given.sessions:
        sizes = attrs.evolve(sizes, listed=given.sessions)
    results = {name: measured(name, sizes) for name in given.only or NAMES}
    if given.json:
        told = {
            name: [attrs.asdict(figure) | {"ratio": figure.ratio} for figure in figures]
            for name, figures in results.items()
        }
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    tables = [line for name, figures in results.items() for line in lines(name, figures)]
    print("\n".join(tables))
    misses = [figure.what for figures in results.values() for figure in figures if figure.verdict == "MISS"]
    print(f"misses: {'; '.join(misses) or 'none'}")
    if given.write:
        write(tables)


def write(tables: list[str]) -> None:
    """Put the tables into the page, each in the place of its older one; those that were not measured stay."""
    text = PAGE.read_text(encoding="utf-8")
    before, mark, old = text.partition("## Figures\n")
    intro, *known = _sections(old)
    shown = {section.partition("\n")[0]: section for section in known}
    shown |= {section.partition("\n")[0]: section for section in _sections("\n".join(tables))[1:]}
    ordered = sorted(shown, key=[f"### {import_module(name).TITLE}" for name in NAMES].index)
    page = "\n\n".join([intro.strip(), *(shown[title].strip() for title in ordered)])
    PAGE.write_text(f"{before}{mark}\n{page}\n", encoding="utf-8")


def _sections(text: str) -> list[str]:
    """Cut a text before each title; the first piece is what stands before them all."""
    first, *rest = f"\n{text}".split("\n### ")
    return [first, *(f"### {section}" for section in rest)]


if __name__ == "__main__":
    main()

"""Runs every benchmark and prints a table: ``python benchmarks/run.py [--json]``."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = ("commit", "resume", "lifecycle")


def measured(name: str) -> list[dict[str, Any]]:
    """Run one benchmark and give its rows."""
    rows: list[dict[str, Any]] = runpy.run_path(str(Path(__file__).with_name(f"{name}.py")))["main"]()
    return rows


def table(name: str, rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0])
    print(name)
    print("  " + "".join(f"{column:>22}" for column in columns))
    for row in rows:
        print("  " + "".join(f"{_cell(row[column]):>22}" for column in columns))


def _cell(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float | int) else str(value)


def main() -> None:
    results = {name: measured(name) for name in BENCHMARKS}
    if "--json" in sys.argv[1:]:
        print(json.dumps(results, indent=2))
        return
    for name, rows in results.items():
        table(name, rows)


if __name__ == "__main__":
    main()

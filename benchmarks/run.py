"""Runs every benchmark and prints a table: ``python benchmarks/run.py [--json]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import commit
import resume

BENCHMARKS: dict[str, Callable[[], list[dict[str, Any]]]] = {"commit": commit.main, "resume": resume.main}


def table(name: str, rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0])
    print(name)
    print("  " + "".join(f"{column:>22}" for column in columns))
    for row in rows:
        print("  " + "".join(f"{row[column]:>22,.2f}" for column in columns))


def main() -> None:
    results = {name: benchmark() for name, benchmark in BENCHMARKS.items()}
    if "--json" in sys.argv[1:]:
        print(json.dumps(results, indent=2))
        return
    for name, rows in results.items():
        table(name, rows)


if __name__ == "__main__":
    main()

"""The table of clauses: ``python -m lash_conformance.table`` prints it for the page about the kit."""

from __future__ import annotations

from collections.abc import Iterator

from lash_conformance.clauses import CLAUSES, Clause, clause_of
from lash_conformance.suite import StoreConformance

__all__ = ["table"]

#: The levels in the order in which a store grows.
LEVELS = ("core", "concurrent", "durable", "sharing", "retention", "migration")


def table() -> str:
    """Give a line for each clause and level: what its tests hold, and in brackets what a test needs besides."""
    lines = ["| Clause | Level | Tests |", "| --- | --- | --- |"]
    for number in CLAUSES:
        for level in LEVELS:
            sentences = [
                _sentence(name, clause) for name, clause in _tests() if (clause.number, clause.level) == (number, level)
            ]
            if sentences:
                shown = "any sequence" if number == "ALL" else f"[{number}](contract.md#{number})"
                lines.append(f"| {shown} | `{level}` | {' · '.join(sentences)} |")
    return "\n".join(lines) + "\n"


def _tests() -> Iterator[tuple[str, Clause]]:
    for name in sorted(dir(StoreConformance)):
        clause = clause_of(getattr(StoreConformance, name)) if name.startswith("test_") else None
        if clause is not None:
            yield name, clause


def _sentence(name: str, clause: Clause) -> str:
    said = name.partition("__")[2].replace("_", " ")
    return f"{said} ({', '.join(clause.needs)})" if clause.needs else said


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201  that is what it is for

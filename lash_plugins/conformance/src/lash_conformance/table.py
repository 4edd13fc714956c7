"""The tables of clauses: ``python -m lash_conformance.table`` prints them for the page about the kit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lash_conformance.clauses import KINDS, Clause, clause_of
from lash_conformance.hosting.suite import HostConformance
from lash_conformance.subject import Suite
from lash_conformance.suite import StoreConformance
from lash_conformance.suites.modes import ModeConformance
from lash_conformance.suites.providers import ProviderConformance
from lash_conformance.suites.session_plugins import SessionPluginConformance
from lash_conformance.suites.tools import ToolConformance

__all__ = ["LEVELS", "SUITES", "table"]

#: The levels of a store in the order in which it grows.
LEVELS = ("core", "concurrent", "durable", "sharing", "retention", "migration")

#: The suite of each kind.
SUITES: Mapping[str, type[Suite]] = {
    "store": StoreConformance,
    "mode": ModeConformance,
    "provider": ProviderConformance,
    "tools": ToolConformance,
    "session plugin": SessionPluginConformance,
    "host": HostConformance,
}


def table(kind: str = "store") -> str:
    """Give a line for each clause of a kind: what its tests hold, and in brackets what a test needs besides.

    A store's clauses have a line for each of its levels.
    """
    levels = LEVELS if kind == "store" else ("core",)
    lines = (
        ["| Clause | Level | Tests |", "| --- | --- | --- |"]
        if kind == "store"
        else ["| Clause | Tests |", "| --- | --- |"]
    )
    for number in KINDS[kind].clauses:
        for level in levels:
            told = [
                _sentence(name, clause)
                for name, clause in _tests(SUITES[kind])
                if (clause.number, clause.level) == (number, level)
            ]
            if told:
                cells = [_shown(number), *([f"`{level}`"] if kind == "store" else []), " · ".join(told)]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _shown(number: str) -> str:
    if number == "ALL":
        return "any sequence"
    clause, _, word = number.partition(".")
    return f"[{clause}](contract.md#{clause})" + (f" `{word}`" if word else "")


def _tests(suite: type[Suite]) -> Iterator[tuple[str, Clause]]:
    for name in sorted(dir(suite)):
        clause = clause_of(getattr(suite, name)) if name.startswith("test_") else None
        if clause is not None:
            yield name, clause


def _sentence(name: str, clause: Clause) -> str:
    said = name.partition("__")[2].replace("_", " ")
    return f"{said} ({', '.join(clause.needs)})" if clause.needs else said


if __name__ == "__main__":
    print("\n".join(table(kind) for kind in SUITES), end="")  # noqa: T201  that is what it is for

"""The tables of the documentation, and the names of the project's tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs.pages import ROOT

__all__ = ["CLAUSES", "clauses_in", "rows", "known_tests", "named_tests"]

#: The clauses of the contract.
CLAUSES = frozenset(re.findall(r"\{ #([A-Z]\d+) \}", (ROOT / "docs/contract.md").read_text(encoding="utf-8")))

_TEST = re.compile(r"`(test_\w+)`")
_CLAUSE = re.compile(r"\[([A-Z]\d+)\]\(contract\.md#([A-Z]\d+)\)")


def rows(page: Path, first: str) -> Iterator[list[str]]:
    """Give the rows of the tables whose first heading is this, cell by cell."""
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first:
            inside = True
        elif inside and not set(line) <= set("|-: "):
            yield cells


@cache
def known_tests() -> frozenset[str]:
    """Give the names of all tests, as they are written in their files."""
    files = [
        path
        for folder in ("tests", "hookspecs", "lash_core", "lash_plugins")
        for path in ROOT.glob(f"{folder}/**/test_*.py")
    ]
    files += ROOT.glob("lash_plugins/conformance/src/lash_conformance/suites/*.py")
    return frozenset(
        node.name
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def named_tests(cell: str) -> list[str]:
    """Give the tests that a cell names."""
    return _TEST.findall(cell)


def clauses_in(cell: str) -> list[str]:
    """Give the clauses that a cell points to; the text and the link must say the same."""
    found = _CLAUSE.findall(cell)
    assert all(text == link for text, link in found), cell
    return [text for text, _ in found]

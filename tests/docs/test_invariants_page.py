"""The table of invariants is whole, and what it names is there."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT
from tests.docs.tables import CLAUSES, clauses_in, known_tests, named_tests, rows

PAGE = ROOT / "docs/invariants.md"
ROWS = list(rows(PAGE, "No."))
OTHERS = list(rows(PAGE, "What may go wrong"))


def test_there_are_95_in_order() -> None:
    assert [row[0] for row in ROWS] == [str(number) for number in range(1, 96)]


@pytest.mark.parametrize("row", [*ROWS, *OTHERS], ids=lambda row: row[-2][:60])
def test_each_is_held_by_tests_that_are_there_or_says_why_it_comes_later(row: list[str]) -> None:
    told, held = row[-2:]
    assert set(clauses_in(f"{told} {held}")) <= CLAUSES
    names = named_tests(held)
    assert [name for name in names if name not in known_tests()] == []
    assert names or held.startswith("later: "), "neither a test nor a reason"


def test_what_comes_later_is_little() -> None:
    assert sum(row[-1].startswith("later: ") for row in ROWS) <= 10

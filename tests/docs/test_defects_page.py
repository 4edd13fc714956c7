"""Each failure that is ruled out has a clause of the contract and a test, and both are there."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT
from tests.docs.tables import CLAUSES, clauses_in, known_tests, named_tests, rows

ROWS = list(rows(ROOT / "docs/defects.md", "What went wrong"))


def test_each_row_says_one_failure_once() -> None:
    told = [row[0] for row in ROWS]
    assert len(told) == len(set(told)) >= 35


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_failure_has_a_clause_and_a_test_that_are_there(row: list[str]) -> None:
    _, clause, shown = row
    (number,) = clauses_in(clause)
    assert number in CLAUSES
    (test,) = named_tests(shown)
    assert test in known_tests(), f"there is no test {test}"

"""The page about the conformance kit has every clause with its tests, and every attribute of the class."""

from __future__ import annotations

import inspect

from lash_conformance.clauses import CLAUSES, clause_of
from lash_conformance.suite import StoreConformance
from lash_conformance.table import LEVELS, table

from tests.docs.pages import ROOT
from tests.docs.tables import CLAUSES as CONTRACT
from tests.docs.tables import rows

PAGE = ROOT / "docs/conformance.md"

TESTS = {
    name: clause
    for name, function in inspect.getmembers(StoreConformance, inspect.isfunction)
    if (clause := clause_of(function)) is not None
}


def test_the_table_is_the_one_that_the_kit_makes() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "put in what python -m lash_conformance.table prints"


def test_each_clause_is_one_of_the_contract_and_has_tests() -> None:
    assert set(CLAUSES) - {"ALL"} <= CONTRACT
    assert {clause.number for clause in TESTS.values()} == set(CLAUSES)
    assert {clause.level for clause in TESTS.values()} == set(LEVELS)
    assert {f"S{number}" for number in range(1, 16)} <= set(CLAUSES)


def test_each_attribute_of_the_class_is_explained() -> None:
    told = {row[0].strip("`") for row in rows(PAGE, "Attribute")}
    declared = {name for each in StoreConformance.__mro__ for name in inspect.get_annotations(each)}
    assert told == {name for name in declared if not name.startswith(("_", "lash_"))} - {"level"}


def test_each_seam_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in ("damage", "blocked", "let_pass", "make_old", "migrate", "make_newer"):
        words = ", ".join(list(inspect.signature(getattr(StoreConformance, name)).parameters)[1:])
        assert f"`{name}({words})`" in page

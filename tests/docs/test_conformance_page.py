"""The page about the conformance kit has every clause with its tests, and every attribute of the classes."""

from __future__ import annotations

import inspect
import re

import pytest
from lash_conformance.clauses import CLAUSES, KINDS, Clause, clause_of
from lash_conformance.suite import StoreConformance
from lash_conformance.table import LEVELS, SUITES, table

from tests.docs.pages import PAGES, ROOT
from tests.docs.tables import CLAUSES as CONTRACT
from tests.docs.tables import rows

PAGE = ROOT / "docs/conformance.md"

#: What stands between the headings of a table and its rows.
DELIMITER = re.compile(r"\|( *:?-+:? *\|)+")

#: What the page calls the attributes of each suite.
HEADINGS = {
    "mode": "Attribute of a mode",
    "provider": "Attribute of a provider",
    "tools": "Attribute of tools",
    "session plugin": "Attribute of a session plugin",
    "host": "Attribute of a host",
}


def clauses_of(suite: type) -> list[Clause]:
    functions = inspect.getmembers(suite, inspect.isfunction)
    return [clause for _name, function in functions if (clause := clause_of(function)) is not None]


@pytest.mark.parametrize("kind", SUITES)
def test_the_table_is_the_one_that_the_kit_makes(kind: str) -> None:
    assert len(table(kind).splitlines()) >= 2 + len(KINDS[kind].clauses)
    assert table(kind) in PAGE.read_text(encoding="utf-8"), "put in what python -m lash_conformance.table prints"


@pytest.mark.parametrize("kind", SUITES)
def test_each_clause_is_one_of_the_contract_and_has_tests(kind: str) -> None:
    known = KINDS[kind].clauses
    assert {number.partition(".")[0] for number in known} - {"ALL"} <= CONTRACT
    assert {clause.number for clause in clauses_of(SUITES[kind])} == set(known)


def test_a_store_has_clauses_of_every_level() -> None:
    assert {clause.level for clause in clauses_of(StoreConformance)} == set(LEVELS)
    assert {f"S{number}" for number in range(1, 16)} <= set(CLAUSES)


@pytest.mark.parametrize("kind", HEADINGS)
def test_each_attribute_of_a_suite_is_explained(kind: str) -> None:
    told = {row[0].strip("`").partition("(")[0] for row in rows(PAGE, HEADINGS[kind])}
    declared = {name for name in inspect.get_annotations(SUITES[kind]) if not name.startswith(("_", "lash_"))}
    assert declared <= told
    assert all(hasattr(SUITES[kind], name) or name in declared for name in told)


def test_each_attribute_of_the_class_is_explained() -> None:
    told = {row[0].strip("`") for row in rows(PAGE, "Attribute")}
    declared = {name for each in StoreConformance.__mro__ for name in inspect.get_annotations(each)}
    assert told == {name for name in declared if not name.startswith(("_", "lash_"))} - {"level"}


@pytest.mark.parametrize("name", ["damage", "blocked", "let_pass", "make_old", "migrate", "make_newer"])
def test_each_seam_is_explained_with_its_signature_here_and_in_the_docstring(name: str) -> None:
    method = getattr(StoreConformance, name)
    words = ", ".join(list(inspect.signature(method).parameters)[1:])
    is_async = "async " if inspect.iscoroutinefunction(method) else ""
    assert f"| `{is_async}{name}({words})` |" in PAGE.read_text(encoding="utf-8")
    told = inspect.getdoc(StoreConformance) or ""
    assert f"{is_async}def {name}{inspect.signature(method)}".replace("'", "") in told


def test_no_table_of_any_page_is_empty() -> None:
    tables = 0
    for page in PAGES:
        lines = [*page.read_text(encoding="utf-8").splitlines(), ""]
        for number, line in enumerate(lines):
            if DELIMITER.fullmatch(line.strip()):
                tables += 1
                assert lines[number + 1].strip().startswith("|"), f"{page.name}:{number + 1} begins an empty table"
    assert tables > len(SUITES)

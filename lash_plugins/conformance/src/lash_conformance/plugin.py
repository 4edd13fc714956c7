"""The pytest plugin: what cannot be run is said, and each clause has its place in the summary and in a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from lash_conformance.clauses import Clause, clause_of
from lash_conformance.report import Report, write_report

if TYPE_CHECKING:
    from lash_conformance.place import Opener
    from lash_conformance.processes import Nursery
    from lash_conformance.subject import Suite

pytest.register_assert_rewrite(
    "lash_conformance.suites", "lash_conformance.hosting.clauses", "lash_conformance.looking", "lash_conformance.deeds"
)


_NOT_RUN = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the kit's options."""
    group = parser.getgroup("lash-conformance", "conformance of Lash plugins")
    group.addoption("--lash-report", metavar="FILE", type=Path, help="write what was proved as JSON")
    group.addoption(
        "--lash-effort",
        metavar="N",
        type=int,
        default=1,
        help="multiply the attempts of races, kills and random sequences (1)",
    )
    group.addoption(
        "--lash-patience",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="give up after so long what a store does not do (30)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Count in the process that writes the summary, whoever runs the tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config), "lash-conformance-summary")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell each test its clause, and leave out what its author does not claim."""
    for item in items:
        clause = clause_of(getattr(item, "function", None))
        if isinstance(item, pytest.Function) and clause is not None and item.cls is not None:
            _prepare(item, clause, cast("type[Suite]", item.cls))


def _prepare(item: pytest.Function, clause: Clause, suite: type[Suite]) -> None:
    missing = [name for name in suite.lash_requires if not hasattr(suite, name)]
    if missing:
        base = next(each for each in suite.__mro__ if each.__module__.startswith("lash_conformance."))
        raise pytest.UsageError(
            f"{suite.__name__} does not say {', '.join(missing)}: see lash_conformance.{base.__name__}"
        )
    assert item.parent is not None
    about = {
        "kind": suite.lash_kind,
        "subject": item.parent.nodeid,
        "title": suite.lash_title(),
        "told": suite.lash_told(),
        "clause": clause.number,
        "level": clause.level,
    }
    item.user_properties.append(("lash_about", about))
    if reason := suite.lash_not_run(clause):
        item.stash[_NOT_RUN] = reason


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out, saying why; from here, so that the summary has one line for each reason."""
    if reason := item.stash.get(_NOT_RUN, None):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def lash_nurseries() -> Iterator[dict[Opener, Nursery]]:
    """Keep one process for each store that workers are forked from."""
    nurseries: dict[Opener, Nursery] = {}
    yield nurseries
    for nursery in nurseries.values():
        nursery.close()


class Summary:
    """Collects how each test ended, and tells it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._report = Report()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of one phase of one test."""
        self._report.add(report)

    def pytest_sessionfinish(self) -> None:
        """Write the report that was asked for."""
        path: Path | None = self._config.getoption("lash_report")
        if path is not None:
            write_report(path, self._report, effort=self._config.getoption("lash_effort"))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show each clause of each store: passed, failed, or not run and why."""
        if not self._report.subjects:
            return
        terminalreporter.section("conformance to Lash")
        for line in self._report.lines():
            terminalreporter.line(line)

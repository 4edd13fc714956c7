"""What was proved of each thing: a line for people, and a JSON document."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from lash_hookspecs.version import HOOKSPEC_API

from lash_conformance import __version__
from lash_conformance.clauses import KINDS

__all__ = ["Report", "write_report"]

Outcome = Literal["passed", "failed", "not run", "does not apply"]

_EXEMPT = "does not apply: "


@attrs.define
class Ran:
    """How one test ended.

    Attributes:
        about: What it is about: kind, subject, what is claimed of it, clause, level.
        outcome: ``passed`` only when all of it did.
        seconds: How long it took, set up and cleaned up.
        reason: Why it was not run, or in what it failed.
    """

    about: dict[str, Any]
    outcome: Outcome = "not run"
    seconds: float = 0.0
    reason: str = ""

    def add(self, report: pytest.TestReport) -> None:
        """Take one phase into account."""
        self.seconds += report.duration
        if report.failed or hasattr(report, "wasxfail"):
            self.outcome = "failed"
            self.reason = _last_line(report)
        elif report.skipped and self.outcome != "failed":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.reason = reason.removeprefix("Skipped: ").removeprefix("not run: ")
            if self.reason.startswith(_EXEMPT):
                self.outcome, self.reason = "does not apply", self.reason.removeprefix(_EXEMPT)
        elif report.when == "call" and report.passed:
            self.outcome = "passed"


@attrs.define
class Report:
    """How the tests of all subjects ended.

    Attributes:
        tests: By node id.
        declared: What each store declared when it was open.
    """

    tests: dict[str, Ran] = attrs.field(factory=dict)
    declared: dict[str, dict[str, Any]] = attrs.field(factory=dict)

    @property
    def subjects(self) -> dict[str, dict[str, Any]]:
        """The classes that were run, in the order of their tests, each with what is told of it."""
        found: dict[str, dict[str, Any]] = {}
        for ran in self.tests.values():
            found.setdefault(ran.about["subject"], ran.about)
        return found

    def add(self, report: pytest.TestReport) -> None:
        """Take one phase of one test into account; tests of others are left alone."""
        properties = dict(report.user_properties)
        about: Any = properties.get("lash_about")
        if about is None:
            return
        self.tests.setdefault(report.nodeid, Ran(about)).add(report)
        if "lash_declared" in properties:
            declared: Any = properties["lash_declared"]
            self.declared[about["subject"]] = declared

    def of(self, subject: str, clause: str) -> dict[str, Ran]:
        """Give the tests of a clause at a subject, by name."""
        return {
            node.removeprefix(subject).lstrip(":"): ran
            for node, ran in self.tests.items()
            if (ran.about["subject"], ran.about["clause"]) == (subject, clause)
        }

    def lines(self) -> Iterator[str]:
        """Tell the outcome of each clause, those alike together."""
        for subject, about in self.subjects.items():
            yield f"{subject.rpartition('::')[2]} {about['title']}"
            told: dict[str, dict[str, list[str]]] = {}
            for clause in KINDS[about["kind"]].clauses:
                ran = list(self.of(subject, clause).values())
                told.setdefault(outcome_of(ran), {}).setdefault(_counts(ran), []).append(clause)
            for outcome in ("failed", "passed", "passed in part", "not run", "does not apply"):
                for counts, clauses in told.get(outcome, {}).items():
                    if len(clauses) > 1:  # else the number reads as that of all of them
                        counts = _counts(list(self.of(subject, clauses[0]).values()), each=" each")
                    yield f"  {outcome}: {' '.join(clauses)} ({counts})"


def outcome_of(ran: list[Ran]) -> str:
    """Give the outcome of a clause; it has passed only when all of its tests were run."""
    outcomes = {each.outcome for each in ran} - {"does not apply"}
    if "failed" in outcomes:
        return "failed"
    if ran and not outcomes:
        return "does not apply"
    if outcomes == {"passed"}:
        return "passed"
    return "passed in part" if "passed" in outcomes else "not run"


def write_report(path: Path, report: Report, *, effort: int) -> None:
    """Write the JSON document; the page about the kit explains its fields."""
    document: dict[str, Any] = {
        "lash_conformance": __version__,
        "hook_api": HOOKSPEC_API,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "effort": effort,
    }
    for name, kind in KINDS.items():
        subjects = {subject: about for subject, about in report.subjects.items() if about["kind"] == name}
        document[kind.plural] = [_subject(report, subject, about) for subject, about in subjects.items()]
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _subject(report: Report, subject: str, about: dict[str, Any]) -> dict[str, Any]:
    clauses = KINDS[about["kind"]].clauses
    return {
        about["kind"]: subject,
        **about["told"],
        "declared": report.declared.get(subject),
        "clauses": {
            clause: _clause(sentence, report.of(subject, clause)) for clause, (_word, sentence) in clauses.items()
        },
    }


def _clause(title: str, tests: dict[str, Ran]) -> dict[str, Any]:
    return {
        "title": title,
        "outcome": outcome_of(list(tests.values())),
        "tests": [
            {
                "test": name,
                "level": ran.about["level"],
                "outcome": ran.outcome,
                "seconds": round(ran.seconds, 4),
                "reason": ran.reason,
            }
            for name, ran in tests.items()
        ],
    }


def _counts(ran: list[Ran], each: str = "") -> str:
    if not ran:
        return "no test was selected"
    if outcome_of(ran) == "does not apply":
        return "; ".join(dict.fromkeys(test.reason for test in ran))
    counted = [
        f"{number} {outcome}{each}"
        for outcome in ("failed", "passed")
        if (number := sum(test.outcome == outcome for test in ran))
    ]
    reasons: dict[str, int] = {}
    for test in ran:
        if test.outcome == "not run":
            reasons[test.reason] = reasons.get(test.reason, 0) + 1
    return "; ".join([*counted, *(f"{number} not run{each}: {reason}" for reason, number in reasons.items())])


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = getattr(crash, "message", None) or getattr(report, "wasxfail", "") or str(report.longrepr)
    return str(text).strip().partition("\n")[0][:300]

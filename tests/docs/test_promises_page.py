"""What plugin authors are promised is shown by a test, or said to be a policy."""

from __future__ import annotations

import pytest
from lash_hookspecs.version import api_satisfies

from tests.docs.pages import ROOT
from tests.docs.tables import known_tests, named_tests, rows
from tests.specs.gate import snapshots

PAGE = ROOT / "docs/promises.md"
PROMISES = list(rows(PAGE, "Promise"))


def test_which_versions_run_is_what_the_code_says() -> None:
    required = ["0.1", "0.2", "1.2", "1.5", "2.0"]
    told = list(rows(PAGE, "The host publishes"))
    assert len(told) == 4
    for published, *cells in told:
        runs = [api_satisfies(published.strip("`"), each) for each in required]
        assert [cell == "runs" for cell in cells] == runs


def test_whether_the_version_is_published_is_said() -> None:
    newest = snapshots()[-1]
    told = f"**The hook API is at {newest.version}, which is not published yet**"
    assert (told in PAGE.read_text(encoding="utf-8")) is not newest.published


@pytest.mark.parametrize(("promise", "shown"), PROMISES, ids=[row[0][:60] for row in PROMISES])
def test_a_promise_has_a_test_or_is_a_policy(promise: str, shown: str) -> None:
    assert shown == "a policy" or (named_tests(shown) and set(named_tests(shown)) <= known_tests()), promise

"""The spec gate: the hook API is what its snapshot says, and what was published changes by rule (P9)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import lash_core.version
import pytest
from lash_hookspecs.version import HOOKSPEC_API

from tests.docs.pages import ROOT
from tests.specs.__main__ import main
from tests.specs.changes import GIVEN, changes, next_version
from tests.specs.describe import SOURCES, Entry, described, parsed, written
from tests.specs.gate import problems, publish, snapshots, write_snapshot
from tests.specs.hook_pages import outdated, pages, write_pages

NOW = written(described().values())
FRAGMENT = "changelog.d/+new.hook-api.md"


def now(before: str = "", after: str = "") -> Mapping[str, Entry]:
    """The contract as it is, with one piece of text replaced."""
    assert not before or NOW.count(before) == 1, before
    return parsed(NOW.replace(before, after) if before else NOW)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout in which version 1.4 is published as the contract stands."""
    (tmp_path / "hookspecs/api").mkdir(parents=True)
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / FRAGMENT).write_text("Hook API 1.4: a beginning.\n")
    write_snapshot(tmp_path, version="1.4", now=now())
    publish(tmp_path, version="1.4")
    assert problems(tmp_path, version="1.4", now=now()) == []
    return tmp_path


def test_the_contract_is_what_its_snapshot_says_and_the_pages_are_what_it_says() -> None:
    assert problems() == []
    assert outdated() == []
    assert snapshots()[-1].version == HOOKSPEC_API


def test_the_core_implements_the_version_that_is_described() -> None:
    assert lash_core.version.HOOKSPEC_API == HOOKSPEC_API


def test_what_is_written_is_read_back() -> None:
    assert written(now().values()) == NOW
    assert parsed(NOW) == described()


GUARD = """\
hook lash_guard_commit
    in: specs.persistence
    signature: async (context: CommitProposed) -> Decision
    kind: guard
    since: 0.1
    deadline: 5 s
"""
TOOLS = "class toolkit.FunctionTools\n"
SERVICES = "protocol protocols.services.SessionServices\n    bases: Protocol\n"
DENY = "class specs.decisions.Deny\n    made by: attrs.frozen\n    field reason: str\n"
COUNT = "    field node_count: int\n"
FIELD = COUNT + "    field bytes: int\n"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (GUARD, GUARD + "\nhook lash_on_new\n    kind: observe\n", "additive: + hook lash_on_new (a new hook)"),
        (f"{GUARD}\n", "", "breaking: - hook lash_guard_commit (the hook is gone)"),
        (
            GUARD,
            GUARD.replace("CommitProposed", "Committed"),
            "breaking: hook lash_guard_commit signature: async (context: CommitProposed) -> Decision → "
            "async (context: Committed) -> Decision (the signature changed)",
        ),
        (
            GUARD,
            GUARD.replace("5 s", "2 s"),
            "breaking: hook lash_guard_commit deadline: 5 s → 2 s "
            "(a deadline changed; a longer one is in nobody's way)",
        ),
        (
            GUARD,
            GUARD.replace("5 s", "30 s"),
            "additive: hook lash_guard_commit deadline: 5 s → 30 s "
            "(a deadline changed; a longer one is in nobody's way)",
        ),
        (
            GUARD,
            GUARD + "    deprecated: 0.2: use lash_on_committed\n",
            "additive: hook lash_guard_commit + deprecated: 0.2: use lash_on_committed (it is told to go)",
        ),
        (
            FIELD,
            FIELD + "    field why: str = ''\n",
            "additive: class specs.persistence.CommitProposed + field why: str = '' (a new field)",
        ),
        (
            FIELD,
            FIELD + "    field why: str\n",
            "breaking: class specs.persistence.CommitProposed + field why: str "
            "(a new field without a default: who makes one must give it)",
        ),
        (FIELD, COUNT, "breaking: class specs.persistence.CommitProposed - field bytes: int (the field is gone)"),
        (
            FIELD,
            COUNT + "    field bytes: float\n",
            "breaking: class specs.persistence.CommitProposed field bytes: int → float (the field bytes changed)",
        ),
        (
            FIELD,
            COUNT + "    field bytes: int = 0\n",
            "additive: class specs.persistence.CommitProposed field bytes: int → int = 0 (a field has a default now)",
        ),
        (
            DENY,
            DENY.replace("    field", "    field code: str = ''\n    field"),
            "breaking: class specs.decisions.Deny field reason → field code, field reason "
            "(its fields are given by position, and their order changed)",
        ),
        (
            "    method tenant: (self, name: str) -> StoreBackend\n",
            "    method tenant: (self, name: str) -> StoreBackend\n    method tenants: (self) -> list[str]\n",
            "breaking: protocol protocols.stores.TenantedBackend + method tenants: (self) -> list[str] "
            "(who implements the protocol lacks the new method)",
        ),
        (
            SERVICES,
            f"{SERVICES}    method look: (self) -> str\n",
            "additive: protocol protocols.services.SessionServices + method look: (self) -> str (a new method)",
        ),
        (
            TOOLS,
            f"{TOOLS}    method names: (self) -> list[str]\n",
            "additive: class toolkit.FunctionTools + method names: (self) -> list[str] (a new method)",
        ),
        (
            "    signature: (published: str, required: str) -> bool\n",
            "    signature: (published: str, required: str, *, exact: bool=False) -> bool\n",
            "additive: function version.api_satisfies signature: (published: str, required: str) -> bool → "
            "(published: str, required: str, *, exact: bool=False) -> bool (a new parameter that may be left out)",
        ),
        (
            "    signature: (published: str, required: str) -> bool\n",
            "    signature: (published: str, required: str, exact: bool) -> bool\n",
            "breaking: function version.api_satisfies signature: (published: str, required: str) -> bool → "
            "(published: str, required: str, exact: bool) -> bool (the signature changed)",
        ),
        (
            "error errors.CommitDenied\n    bases: SessionError\n",
            "error errors.CommitDenied\n    bases: StoreError\n",
            "breaking: error errors.CommitDenied bases: SessionError → StoreError (the bases changed)",
        ),
        (
            "error errors.CommitDenied\n",
            "error errors.Other\n    bases: LashError\n\nerror errors.CommitDenied\n",
            "additive: + error errors.Other (a new error)",
        ),
    ],
)
def test_a_change_is_told_as_additive_or_breaking(before: str, after: str, line: str) -> None:
    assert line in [str(change) for change in changes(now(), now(before, after))]


@pytest.mark.parametrize(
    ("published", "line", "needed"),
    [
        ("0.1", "    field why: str = ''\n", "0.2"),
        ("0.1", "    field why: str\n", "0.2"),
        ("1.4", "", "1.4"),
        ("1.4", "    field why: str = ''\n", "1.5"),
        ("1.4", "    field why: str\n", "2.0"),
    ],
)
def test_an_additive_change_takes_a_minor_version_and_a_breaking_one_a_major(
    published: str, line: str, needed: str
) -> None:
    assert next_version(published, changes(now(), now(FIELD, FIELD + line))) == needed


def test_each_protocol_that_the_core_implements_is_one() -> None:
    assert {f"protocol {name}" for name in GIVEN} <= set(described())


def test_a_published_contract_does_not_change_without_a_version_and_a_fragment(copy: Path) -> None:
    changed = now(FIELD, FIELD + "    field why: str = ''\n")
    assert problems(copy, version="1.4", now=changed) == [
        "hook API 1.4 is published, and the contract is not what hookspecs/api/1.4.txt says. Take the change back, or "
        'bring it as 1.5: HOOKSPEC_API = "1.5" in lash_hookspecs/version.py, a fragment changelog.d/+NAME.hook-api.md '
        "that says `Hook API 1.5`, a plugin tests/frozen/api_1_5, then `make specs`.\n"
        "  additive: class specs.persistence.CommitProposed + field why: str = '' (a new field)"
    ]
    assert problems(copy, version="1.5", now=changed) == [
        "hookspecs/api/1.5.txt is not there: run `make specs` and commit what it writes",
        "no fragment changelog.d/+NAME.hook-api.md says `Hook API 1.5`: tell authors what the version brings",
    ]
    write_snapshot(copy, version="1.5", now=changed)
    (copy / FRAGMENT).write_text("Hook API 1.5: `CommitProposed.why`.\n")
    assert problems(copy, version="1.5", now=changed) == []


def test_a_breaking_change_is_not_let_in_by_a_minor_version(copy: Path) -> None:
    changed = now(FIELD, COUNT)
    write_snapshot(copy, version="1.5", now=changed)
    (copy / FRAGMENT).write_text("Hook API 1.5: less.\n")
    (told,) = problems(copy, version="1.5", now=changed)
    assert "bring it as 2.0" in told
    assert told.endswith("\n  breaking: class specs.persistence.CommitProposed - field bytes: int (the field is gone)")


def test_a_published_snapshot_is_not_written_again_and_an_edited_one_is_found(copy: Path) -> None:
    path = copy / "hookspecs/api/1.4.txt"
    before = path.read_text()
    write_snapshot(copy, version="1.4", now=now(FIELD, COUNT))
    assert path.read_text() == before
    path.write_text(before.replace(FIELD, COUNT))
    assert problems(copy, version="1.4", now=now(FIELD, COUNT)) == [
        "hookspecs/api/1.4.txt was edited after it was published: restore it with `git checkout` from the commit that "
        "published it"
    ]


def test_a_version_that_is_not_published_may_change_and_says_so(copy: Path) -> None:
    write_snapshot(copy, version="1.5", now=now())
    (copy / FRAGMENT).write_text("Hook API 1.5: more.\n")
    changed = now(FIELD, FIELD + "    field why: str = ''\n")
    assert problems(copy, version="1.5", now=changed) == [
        "the hook API is not what hookspecs/api/1.5.txt says. 1.5 is not published, so it may change: tell authors in "
        "a fragment changelog.d/+NAME.hook-api.md, run `make specs` and commit what it writes.\n"
        "  additive: class specs.persistence.CommitProposed + field why: str = '' (a new field)"
    ]
    write_snapshot(copy, version="1.5", now=changed)
    assert problems(copy, version="1.5", now=changed) == []


def test_the_version_does_not_go_back(copy: Path) -> None:
    assert problems(copy, version="1.3", now=now())[0].startswith("hook API 1.4 is published")


def test_a_line_of_the_sources_is_a_line_of_the_description(tmp_path: Path) -> None:
    sources = tmp_path / "lash_hookspecs"
    shutil.copytree(SOURCES, sources)
    path = sources / "specs/persistence.py"
    path.write_text(
        path.read_text().replace("    bytes: int\n", "    bytes: int = attrs.field(default=0, repr=False)\n")
    )
    path = sources / "errors.py"
    path.write_text(path.read_text().replace('"WriterFenced",\n', ""))
    assert [str(change) for change in changes(described(), described(sources))] == [
        "breaking: - error errors.WriterFenced (the error is gone)",
        "additive: class specs.persistence.CommitProposed field bytes: int → int = 0 (a field has a default now)",
    ]


def test_a_page_that_is_not_what_the_specification_says_is_found(tmp_path: Path) -> None:
    for path in pages():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    page, extra = tmp_path / "docs/hooks/lash_guard_turn.md", tmp_path / "docs/hooks/lash_guard_nothing.md"
    before = page.read_text()
    page.write_text(before.replace("5 s", "9 s"))
    extra.write_text("# A hook that is gone\n")
    assert outdated(tmp_path) == [
        f"docs/hooks/{name}.md is not what the specifications say: run `make specs` and commit what it writes"
        for name in ("lash_guard_turn", "lash_guard_nothing")
    ]
    write_pages(tmp_path)
    assert outdated(tmp_path) == []
    assert page.read_text() == before
    assert not extra.exists()


def test_a_hook_without_a_row_on_the_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    lines = (ROOT / "docs/hooks.md").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.startswith("| [`lash_guard_turn`]"))
    (tmp_path / "docs/hooks.md").write_text(kept, encoding="utf-8")
    with pytest.raises(LookupError) as caught:
        pages(tmp_path)
    assert str(caught.value) == (
        "docs/hooks.md has no row for lash_guard_turn: say there when it is called, by whom, and who implements it"
    )


def test_the_command_writes_checks_and_publishes(tmp_path: Path) -> None:
    for part in ("changelog.d", "docs", "hookspecs/api"):
        (tmp_path / part).mkdir(parents=True)
    shutil.copy(ROOT / "docs/hooks.md", tmp_path / "docs")
    assert main(["check"], tmp_path) == 1
    assert main([], tmp_path) == 1, "no fragment names the version"
    (tmp_path / FRAGMENT).write_text(f"Hook API {HOOKSPEC_API}: a beginning.\n")
    assert [main(words, tmp_path) for words in ([], ["check"], ["publish"], ["check"])] == [0, 0, 0, 0]
    assert [(each.version, each.published, each.whole) for each in snapshots(tmp_path)] == [(HOOKSPEC_API, True, True)]


def test_the_command_checks_without_writing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert main(["publsh"]) == 2
    assert "python -m tests.specs" in capsys.readouterr().err

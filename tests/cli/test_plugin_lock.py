"""`lash plugins lock`, `verify` and `lash --locked`: no plugin that differs is imported, and the difference is told."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Install, Lash

GUARD = """
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.decisions import ALLOW
from lash_hookspecs.specs.persistence import lash_guard_commit

@implements(lash_guard_commit)
async def guard(context):
    return ALLOW
"""
MANIFEST = 'requires_api = "0.1"\nhooks = ["lash_guard_commit"]\n'
RUN = ("run", "hello", "--store", "kept:a", "--session", "s1")


class World:
    """A folder with a settings file, and a guard that was installed from a wheel."""

    def __init__(self, install: Install) -> None:
        self.site = install.site
        self.package = self.site / install("guard", GUARD, MANIFEST)
        self.info = self.site / "guard-1.0.dist-info"
        self.lock = Path("lash-plugins.lock").absolute()
        Path("lash.toml").write_text("[lash.plugins]\n")
        self.record()

    def record(self, *more: str) -> None:
        """Write the RECORD as an installer does."""
        files = [*self.package.glob("*.*"), self.info / "METADATA", self.info / "entry_points.txt"]
        lines = [f"{file.relative_to(self.site).as_posix()},sha256={self.hash(file)},9" for file in files]
        lines += ["guard-1.0.dist-info/RECORD,,", "guard_dummy/__pycache__/__init__.cpython-311.pyc,,", *more]
        (self.info / "RECORD").write_text("\n".join(lines))

    @staticmethod
    def hash(file: Path) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()

    def update(self) -> None:
        """Install version 1.1."""
        (self.info / "METADATA").write_text("Metadata-Version: 2.1\nName: guard\nVersion: 1.1\n")
        self.record()


@pytest.fixture
def world(install: Install) -> World:
    return World(install)


def reason(lash: Lash, name: str, *options: str) -> str:
    (record,) = [each for each in json.loads(lash(*options, "plugins", "list", "--json").out) if each["name"] == name]
    return f"{record['state']}: {record['reason']}"


def test_a_lock_says_what_is_installed_and_is_the_same_each_time_and_wherever_it_was_installed(
    lash: Lash, world: World
) -> None:
    ran = lash("plugins", "lock")
    assert (ran.code, ran.out) == (0, f"locked 3 distributions in {world.lock}\n")
    text = world.lock.read_text()
    head, *entries = text.split("[[distribution]]\n")
    assert head.endswith("\nversion = 1\n\n")
    assert [entry.splitlines()[0] for entry in entries] == [
        'name = "guard"',
        'name = "lash-basics"',
        'name = "lash-dummies"',
    ]
    assert entries[0].splitlines()[1] == 'version = "1.0"'
    assert entries[0].splitlines()[2].startswith('record = "sha256:')
    assert entries[0].splitlines()[3:6] == ["plugins = [", '    "guard = guard_dummy",', "]"]
    assert entries[2].splitlines()[2].startswith('files = "sha256:')
    world.record("../../bin/guard,sha256=of-this-machine,1", "guard-1.0.dist-info/direct_url.json,sha256=x,1")
    lash("plugins", "lock")
    assert world.lock.read_text() == text
    assert lash("plugins", "verify").out == f"as locked in {world.lock}\n"
    assert lash("--locked", *RUN).code == 0


def test_the_lock_lies_beside_the_settings_file(lash: Lash, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    below = Path("below").absolute()
    below.mkdir()
    monkeypatch.chdir(below)
    document = json.loads(lash("plugins", "lock", "--json").out)
    assert document == {"lock": str(world.lock), "locked": ["guard", "lash-basics", "lash-dummies"]}


def test_without_a_lock_nothing_is_imported(lash: Lash, world: World) -> None:
    told = f"there is no lock file {world.lock}; make it with: lash plugins lock"
    assert reason(lash, "guard", "--locked") == f"failed: not as locked: {told}"
    assert lash("plugins", "verify").err == f"lash: {told}\n"
    assert lash("plugins", "verify").code == 2
    ran = lash("--locked", *RUN)
    assert (ran.code, "not as locked: there is no lock file" in ran.err) == (2, True)
    assert "guard_dummy" not in sys.modules


def test_another_version_is_refused_and_no_session_opens_without_the_guard(lash: Lash, world: World) -> None:
    lash("plugins", "lock")
    world.update()
    told = f"version 1.1 is installed, and {world.lock} has 1.0"
    assert reason(lash, "guard", "--locked") == f"failed: not as locked: {told}"
    ran = lash("--locked", *RUN)
    assert (ran.code, ran.err) == (2, f"lash: plugin 'guard' (guard 1.1) is failed: not as locked: {told}\n")
    assert "guard_dummy" not in sys.modules
    ran = lash("plugins", "verify")
    assert (ran.code, ran.out) == (1, f"guard: {told}\n")
    assert lash(*RUN).code == 0
    Path("lash.toml").write_text("[lash.plugins]\nlocked = true\n")
    assert lash(*RUN).code == 2


def test_another_build_of_the_version_is_refused(lash: Lash, world: World) -> None:
    lash("plugins", "lock")
    (world.package / "__init__.py").write_text(f"{GUARD}\n# built again\n")
    world.record()
    told = f"the contents that its RECORD lists are not those of {world.lock}"
    assert reason(lash, "guard", "--locked") == f"failed: not as locked: {told}"
    assert lash("plugins", "verify").out == f"guard: {told}\n"


def test_a_file_that_is_not_as_its_record_says_is_refused_before_it_is_run(lash: Lash, world: World) -> None:
    lash("plugins", "lock")
    (world.package / "__init__.py").write_text("raise SystemExit('run')")
    (world.package / "__init__.abi3.so").write_text("what an import would find first")
    (world.info / "entry_points.txt").touch()
    ran = lash("plugins", "verify", "--json")
    assert ran.code == 1
    assert json.loads(ran.out) == {
        "lock": str(world.lock),
        "findings": [
            {"name": "guard", "kind": "files", "told": "guard_dummy/__init__.abi3.so is not in its RECORD"},
            {"name": "guard", "kind": "files", "told": "guard_dummy/__init__.py was changed"},
        ],
    }
    ran = lash("--locked", *RUN)
    assert (ran.code, ran.err) == (
        2,
        "lash: plugin 'guard' (guard 1.0) is failed: not as locked: "
        "guard_dummy/__init__.abi3.so is not in its RECORD; guard_dummy/__init__.py was changed\n",
    )
    assert "guard_dummy" not in sys.modules


def test_an_import_that_would_find_another_copy_is_refused(
    lash: Lash, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lash("plugins", "lock")
    other = tmp_path / "other" / "guard_dummy"
    other.mkdir(parents=True)
    for name in ("__init__.py", "lash-plugin.toml"):
        (other / name).write_text((world.package / name).read_text())
    monkeypatch.syspath_prepend(str(other.parent))
    told = "it was locked by the contents that its RECORD lists, and is installed so that its files count"
    assert reason(lash, "guard", "--locked") == f"failed: not as locked: {told}"


def test_a_plugin_that_is_not_locked_is_left_out_and_told(lash: Lash, world: World, install: Install) -> None:
    lash("plugins", "lock")
    install("late", "raise SystemExit", MANIFEST)
    assert reason(lash, "late", "--locked") == f"failed: not as locked: it is not in {world.lock}"
    assert lash("--locked", *RUN).code == 0
    assert lash("plugins", "verify").out == f"late: it is not in {world.lock}\n"
    Path("lash.toml").write_text('[lash.plugins]\ndisabled = ["late"]\n')
    assert lash("plugins", "verify").code == 0


def test_a_local_plugin_is_locked_by_its_file(lash: Lash, world: World) -> None:
    local = "# /// lash-plugin\n# requires_api = '0.1'\n# ///\nraise SystemExit\n"
    Path("dice.py").write_text(local)
    Path("lash.toml").write_text('[lash.plugins]\nlocal-plugins = ["dice.py"]\n')
    lash("plugins", "lock")
    assert '[[file]]\npath = "dice.py"\nfiles = "sha256:' in world.lock.read_text()
    assert lash("plugins", "verify").code == 0
    assert f"  locked:     as {world.lock} has it\n" in lash("--locked", "plugins", "why", "dice").out
    Path("dice.py").write_text(f"{local}# changed\n")
    told = f"its files are not those of {world.lock}"
    assert lash("plugins", "verify").out == f"dice.py: {told}\n"
    assert f"  locked:     no: not as locked: {told}\n" in lash("--locked", "plugins", "why", "dice").out


def test_a_disabled_plugin_is_not_missed(lash: Lash, world: World) -> None:
    lash("plugins", "lock")
    world.update()
    Path("lash.toml").write_text('[lash.plugins]\ndisabled = ["guard"]\n')
    assert lash("--locked", *RUN).code == 0


def test_a_locked_plugin_that_is_gone_is_a_finding(lash: Lash, world: World) -> None:
    lash("plugins", "lock")
    (world.info / "entry_points.txt").unlink()
    ran = lash("plugins", "verify")
    assert (ran.code, ran.out) == (1, f"guard: it is not installed, and {world.lock} has 1.0\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version = ", "Invalid value"),
        ("version = 2", "has version 2, and this lash-core reads 1; make it anew with: lash plugins lock"),
        ("version = 1\n[[distribution]]\nname = 'x'\n", "is damaged ('files'); make it anew with: lash plugins lock"),
    ],
)
def test_a_lock_that_cannot_be_read_locks_everything_out(lash: Lash, world: World, text: str, told: str) -> None:
    world.lock.write_text(text)
    assert told in reason(lash, "guard", "--locked")
    ran = lash("plugins", "verify")
    assert (ran.code, told in ran.err) == (2, True)


def test_nothing_is_locked_while_a_plugin_is_broken(lash: Lash, world: World, install: Install) -> None:
    late = install.site / install("late", "", MANIFEST)
    for file in late.iterdir():
        file.unlink()
    late.rmdir()
    ran = lash("plugins", "lock")
    assert (ran.code, world.lock.exists()) == (2, False)
    assert "nothing was locked: late: its package 'late_dummy' cannot be found" in ran.err

"""`lash plugins`: fifty plugins and hostile ones, of which none is imported; the files that it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from many_plugins import BROKEN, install_dummies, install_hostile

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

#: Runs commands and tells what each said, and which modules were imported for all of them.
COMMANDS = """
import os, sys
if sys.argv[2:]:
    AS_NOBODY
import contextlib, io, json
from lash_core.cli.main import main
told = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    told.append([code, out.getvalue(), err.getvalue()])
print(json.dumps([told, sorted(sys.modules)]))
"""
#: From root no right can be taken, so it becomes somebody else. That user may not be let into the folders above the
#: modules', so those are opened before and reached through their descriptors.
AS_NOBODY = """
    import ctypes
    "".encode("unicode_escape")  # a module of a package that is imported already
    folders = [path for path in sys.path if os.path.isdir(path)]
    sys.path[:] = [f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_DIRECTORY)}" for path in folders]
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: or else /proc/self stays root's
"""
COMMANDS = COMMANDS.replace("    AS_NOBODY\n", AS_NOBODY)


@attrs.frozen
class Ran:
    """What a command of the process left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def run_all(folder: Path, site: Path, *commands: str, as_nobody: bool = False) -> list[Ran]:
    """Run the commands in one process, and see that it imported no plugin."""
    words = [command.split() for command in commands]
    ran = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(words), *["nobody"] * (as_nobody and os.getuid() == 0)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    told, modules = json.loads(ran.stdout)
    assert "lash_core.plugins.discovery" in modules
    assert not [
        name for name in modules if name.startswith(("dummy_", "hostile", "lash_basics", "lash_store", "lash_prov"))
    ]
    return [Ran(*each) for each in told]


def test_none_of_fifty_dummies_and_of_the_hostile_is_imported_and_each_is_told_with_a_reason(tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    install_dummies(site)
    hostile = install_hostile(site)
    switches = ("disable plugin-05", "disable plugin-06", "enable plugin-06", "show dummy-01")
    told = run_all(work, site, *(f"plugins {words}" for words in switches))
    assert (work / "lash.toml").read_text() == '[lash.plugins]\ndisabled = ["plugin-05"]\n'
    told += run_all(
        work,
        site,
        "--version",
        "plugins list",
        "plugins list --json",
        "plugins why plugin-01",
        "plugins why closed",
        "plugins order lash_offer_modes --json",
        "plugins show named-twice --json",
        "doctor",
        as_nobody=True,
    )
    assert [each.code for each in told] == [*[0] * 11, 1], [each for each in told if each.code]
    assert not [each for each in told if "\x1b" in each.out + each.err or "\0" in each.out + each.err]
    *_, table, listed, why, why_closed, order, show, doctor = told

    rows = {
        f"{row['distribution']}/{row['name']}".replace("Named-Twice", "named-twice"): row for row in listed.document
    }
    dummies = [row for identity, row in rows.items() if identity.startswith("dummy-")]
    assert len(dummies) == 50
    for number, (_, reason) in enumerate(BROKEN):
        row = rows[f"dummy-{number * 5:02}/plugin-{number * 5:02}"]
        assert row["reason"].removeprefix(f"dummy_{number * 5:02}/lash-plugin.toml: ").startswith(reason)
    assert sum(row["state"] == "active" for row in dummies) == 40
    assert {
        identity: row["reason"][: len(hostile[identity])] for identity, row in rows.items() if identity in hostile
    } == hostile
    assert len(table.out.splitlines()) == 1 + len(rows)
    assert "\\x1b[2Jescape" in table.out

    assert why.out.splitlines()[-1] == "  imported:   no, it was not imported"
    assert "Permission denied" in why_closed.out
    assert {f"dummy-{number:02}" for number in range(50) if number % 5} <= {
        each["distribution"] for each in order.document["called"]
    }
    (twice,) = show.document
    assert twice["reason"] == "its package 'hostile_gone' cannot be found"
    assert doctor.out.splitlines()[-1].endswith(" found")


@pytest.fixture
def told(lash: Lash) -> Any:
    """Run a command that must end well; what it printed."""

    def call(*arguments: str, code: int = 0) -> str:
        ran = lash(*arguments)
        assert ran.code == code, ran
        return ran.out + ran.err

    return call


def test_disable_makes_a_file_here_if_there_is_none_and_enable_takes_the_name_out_again(told: Any) -> None:
    file = Path.cwd() / "lash.toml"
    assert told("plugins", "disable", "compaction") == f"lash-basics/compaction is disabled (in {file})\n"
    assert file.read_text() == '[lash.plugins]\ndisabled = ["compaction"]\n'
    assert f"  allowed:    no: listed in [lash.plugins] disabled of {file}\n" in told("plugins", "why", "compaction")
    assert told("plugins", "disable", "compaction") == "lash-basics/compaction is disabled already\n"
    assert told("plugins", "enable", "lash-basics/compaction") == f"lash-basics/compaction is enabled (in {file})\n"
    assert file.read_text() == "[lash.plugins]\ndisabled = []\n"
    assert told("plugins", "enable", "compaction") == "lash-basics/compaction was not disabled by that list\n"


def test_the_nearest_settings_file_is_written_and_the_rest_of_it_is_left_as_it_is(told: Any, tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    before = (
        b'# a comment\r\n[project]\r\nname = "x"  # of ours\r\n\r\n[tool.lash.plugins]\r\n'
        b'disabled = [\r\n    "old", # gone\r\n]\r\n\r\n[tool.other]\r\nx=1\r\n'
    )
    project.write_bytes(before)
    project.chmod(0o640)
    told("plugins", "disable", "dummies")
    assert project.read_bytes() == before.replace(b"# gone\r\n", b'# gone\r\n    "dummies",\r\n')
    assert project.stat().st_mode & 0o777 == 0o640
    told("plugins", "enable", "dummies")
    assert project.read_bytes() == before
    assert told("plugins", "enable", "old") == f"old is no longer disabled, but it is not installed (in {project})\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pyproject.toml", "site", "work"]


def test_a_plugin_that_fails_can_be_disabled(told: Any, tmp_path: Path) -> None:
    (tmp_path / "site" / "cli_dummies" / "lash-plugin.toml").write_text("broken")
    assert "failed" in told("plugins", "list")
    told("plugins", "disable", "dummies")
    assert "failed" not in told("plugins", "list")
    assert " is enabled, but it is failed: cli_dummies/lash-plugin.toml: " in told("plugins", "enable", "dummies")


def test_a_name_that_means_none_or_several_ends_with_2_and_writes_nothing(told: Any) -> None:
    nobody = "lash: no plugin is named 'dumies'; did you mean 'dummies'? `lash plugins list` shows which there are\n"
    for command in ("show", "why", "disable", "enable"):
        assert told("plugins", command, "dumies", code=2) == nobody
    several = "lash: 'lash-basics' may be lash-basics/compaction or lash-basics/standard-mode; say which\n"
    assert told("plugins", "disable", "lash-basics", code=2) == several
    assert told("plugins", "order", "lash_guard_comit", code=2).startswith(
        "lash: no hook is named 'lash_guard_comit'; did you mean 'lash_guard_commit'? The hooks are: lash_"
    )
    assert list(Path.cwd().iterdir()) == []


def test_a_word_that_disables_others_too_is_left_to_its_author(told: Any) -> None:
    file = Path.cwd() / "lash.toml"
    file.write_text('[lash.plugins]\ndisabled = ["lash-basics"]\n')
    assert told("plugins", "enable", "compaction", code=2) == (
        f"lash: 'lash-basics' in [lash.plugins] disabled of {file} disables lash-basics/standard-mode, too; "
        "name there what is to stay disabled, as distribution/name\n"
    )


def test_a_required_plugin_that_is_missing_stops_what_works_with_plugins_and_nothing_that_mends_it(told: Any) -> None:
    file = Path.cwd() / "lash.toml"
    file.write_text('[lash.plugins]\nrequired = ["audit-log/audit"]\n')
    missing = (
        f"plugin 'audit-log/audit' is required by [lash.plugins] required of {file}, and not installed. "
        "Install it with: pip install 'audit-log'"
    )
    for arguments in (
        ("run", "Hello", "--store", "kept:one"),
        ("sessions", "list", "--store", "kept:one"),
        ("store", "check", "--store", "kept:one"),
        ("chat", "--store", "kept:one"),
    ):
        assert told(*arguments, code=2).endswith(f"lash: {missing}\n")
    assert f"! required plugins: {missing}\n" in told("doctor", code=1)
    assert told("plugins", "list").endswith(f"\nlash: {missing}\n")
    assert told("plugins", "why", "audit-log/audit", code=2) == f"lash: {missing}\n"

    file.write_text('[lash.plugins]\nrequired = ["compaction"]\n')
    assert told("run", "Hello", "--store", "kept:one").startswith("an answer\n")
    assert "as long as it is disabled, no command works with plugins\n" in told("plugins", "disable", "compaction")
    assert "Enable it with: lash plugins enable lash-basics/compaction\n" in told(
        "run", "Hello", "--store", "kept:one", code=2
    )
    told("plugins", "enable", "lash-basics/compaction")
    assert told("run", "Hello", "--store", "kept:one").startswith("an answer\n")


def test_order_tells_the_kind_who_is_called_and_who_is_not(told: Any) -> None:
    told("plugins", "disable", "standard-mode")
    assert told("plugins", "order", "lash_offer_modes") == (
        "lash_offer_modes is an offer: each is asked in this order, and all answers are taken\n"
        "no plugin's manifest names it\n"
        "not called: plugin 'standard-mode' (lash-basics 1.0) is disabled: "
        f"listed in [lash.plugins] disabled of {Path.cwd()}/lash.toml\n"
    )
    shown = told("plugins", "order", "lash_offer_stores").splitlines()
    assert shown[1].split() == ["NAME", "DISTRIBUTION", "VERSION", "WHY"]
    assert [line.split()[:2] for line in shown[2:]] == [["1", "memory-store"], ["2", "dummies"]]


def test_show_tells_what_manifest_and_metadata_say_and_of_settings_only_which_are_set(
    told: Any, tmp_path: Path
) -> None:
    Path("lash.toml").write_text('[lash.plugin.dummies]\npassword = "canary"\n')
    metadata = tmp_path / "site" / "lash_dummies-1.0.dist-info" / "METADATA"
    metadata.write_text(
        metadata.read_text() + "Summary: Not \x1b[2J for the public\nRequires-Dist: a\nRequires-Dist: b\n"
    )
    shown = told("plugins", "show", "lash-dummies")
    assert "canary" not in shown
    assert "  settings that are set: password\n" in shown
    assert "    stores: kept, durable, sqlite\n" in shown
    assert "    Summary: Not \\x1b[2J for the public\n    Requires-Dist: a, b\n" in shown


@pytest.mark.parametrize("text", ["lash = {}\n", "[lash]\nplugins = {deny = []}\n", "[lash]\nplugins.deny = []\n", "#"])
def test_whatever_a_file_looks_like_it_is_changed_rightly_or_not_at_all(told: Any, text: str) -> None:
    file = Path.cwd() / "lash.toml"
    file.write_text(text)
    if text == "lash = {}\n":
        assert told("plugins", "disable", "dummies", code=2) == (
            f"lash: {file} is written in a way that cannot be changed here; write it yourself: "
            '[lash.plugins] disabled = ["dummies"]\n'
        )
        assert file.read_text() == text
        return
    told("plugins", "disable", "dummies")
    before = tomllib.loads(text).get("lash", {"plugins": {}})["plugins"]
    assert tomllib.loads(file.read_text()) == {"lash": {"plugins": {**before, "disabled": ["dummies"]}}}


def test_the_doctor_opens_no_store_under_settings_that_it_cannot_read(told: Any, dummies: Any) -> None:
    Path("lash.toml").write_text("[lash.plugins]\ndefault-deny = 1\n")
    shown = told("doctor", "--sessions", "--store", "sqlite:///x.db", code=1)
    assert "sessions checked: 0\n" in shown
    assert shown.endswith(
        "! settings: " + str(Path.cwd() / "lash.toml") + ": lash.plugins.default-deny must be true or false\n1 found\n"
    )
    assert dummies.OPENED == []


def test_a_file_that_cannot_be_written_says_so(told: Any) -> None:
    file = Path.cwd() / "lash.toml"
    file.mkdir()
    assert told("plugins", "disable", "dummies", code=2) == f"lash: {file}: [Errno 21] Is a directory: '{file}'\n"

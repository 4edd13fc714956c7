"""`lash plugins check`: what a manifest says against what the code does, and the manifest written from the code."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Install, Lash

CODE = """
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.decisions import ALLOW
from lash_hookspecs.specs.offers import ModeOffer, ToolOffer, lash_offer_modes, lash_offer_tools
from lash_hookspecs.specs.persistence import lash_guard_commit
from pydantic import BaseModel

class Dice(BaseModel):
    sides: int = 6

@implements(lash_offer_tools)
def tools(context):
    sides = context.settings_as(Dice).sides
    return [ToolOffer(name=f"d{sides}", build=dict), ToolOffer(name="coin", build=dict)]

@implements(lash_offer_modes)
def modes(context):
    return []

@implements(lash_guard_commit)
async def guard(context):
    return ALLOW
"""
PROJECT = """
[project]
name = "lash-dice"
[project.entry-points."lash.plugins"]
dice = "dice_dummy"
"""
RIGHT = {
    "requires_api": "0.1",
    "hooks": ["lash_guard_commit", "lash_offer_modes"],
    "offers": {"tools": ["coin", "d6"]},
    "settings": {"model": "dice_dummy:Dice"},
}

Make = Callable[..., Path]


@pytest.fixture
def project(lash: Lash) -> Iterator[Make]:
    """Make a project that is not installed; the path of its manifest."""

    def make(manifest: str | None = None, *, code: str = CODE, root: str = "src", table: str = PROJECT) -> Path:
        package = Path("lash-dice", root, "dice_dummy")
        package.mkdir(parents=True)
        Path("lash-dice", "pyproject.toml").write_text(table)
        (package / "__init__.py").write_text(code)
        if manifest is not None:
            (package / "lash-plugin.toml").write_text(manifest)
        importlib.invalidate_caches()
        return package / "lash-plugin.toml"

    yield make
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_dummy") or "_own_" in name]:
        del sys.modules[name]


@pytest.mark.parametrize("root", ["src", ".", "lib"])
def test_a_project_without_a_manifest_gets_one_that_is_right(lash: Lash, project: Make, root: str) -> None:
    built = '[tool.hatch.build.targets.wheel]\npackages = ["lib/dice_dummy"]\n' if root == "lib" else ""
    file = project(root=root, table=PROJECT + built)
    ran = lash("plugins", "check", "lash-dice")
    told = f"plugin 'dice' (lash-dice): there is no manifest {file.absolute()}\n"
    assert (ran.code, ran.out) == (1, told)
    assert not file.exists()
    ran = lash("plugins", "check", "lash-dice", "--write")
    assert (ran.code, ran.out) == (0, f"plugin 'dice' (lash-dice): wrote {file.absolute()}\n")
    assert tomllib.loads(file.read_text()) == RIGHT
    ran = lash("plugins", "check", "./lash-dice/", "--write")
    assert (ran.code, ran.out) == (0, "plugin 'dice' (lash-dice): manifest and code agree\n")


def test_what_differs_is_told_and_refreshed_with_the_comments_kept(lash: Lash, project: Make) -> None:
    file = project(
        "# Dice.\n"
        'requires_api = "0.1" # the first\n'
        "hooks = [\n"
        '    "lash_offer_tools",\n'
        '    "lash_on_committed", # no more\n'
        '    "lash_guard_commit", # never without\n'
        "]\n"
        'after = ["other"]\n\n'
        "[offers] # what there is\n"
        'tools = ["d20", "coin"]\n'
        'stores = ["dice"]\n'
    )
    ran = lash("plugins", "check", "lash-dice")
    assert (ran.code, ran.out.replace("plugin 'dice' (lash-dice): ", "").splitlines()) == (
        1,
        [
            "it reads its settings by dice_dummy:Dice, but the manifest has no settings.model",
            "hook lash_offer_stores: the manifest lists it, but the plugin does not implement it",
            "hook lash_on_committed: the manifest lists it, but the plugin does not implement it",
            "hook lash_offer_modes: the plugin implements it, but the manifest does not list it",
            "lash_offer_tools offers 'coin', 'd6', but the manifest's offers.tools names 'coin', 'd20'",
        ],
    )
    assert lash("plugins", "check", "lash-dice", "--write").code == 0
    assert file.read_text() == (
        "# Dice.\n"
        'requires_api = "0.1" # the first\n'
        "hooks = [\n"
        '    "lash_offer_tools",\n'
        '    "lash_guard_commit", # never without\n'
        '    "lash_offer_modes",\n'
        "]\n"
        'after = ["other"]\n\n'
        "[offers] # what there is\n"
        'tools = ["coin", "d6"]\n\n'
        "[settings]\n"
        'model = "dice_dummy:Dice"\n'
    )
    assert lash("plugins", "check", "lash-dice").code == 0


def test_two_plugins_of_one_package_get_a_table_each(lash: Lash, project: Make) -> None:
    file = project(table=f'{PROJECT}empty = "dice_dummy.empty"\n')
    (file.parent / "empty.py").write_text("")
    ran = lash("plugins", "check", "lash-dice", "--write")
    assert ran.code == 0, ran.out
    assert tomllib.loads(file.read_text()) == {"plugin": {"dice": RIGHT, "empty": {"requires_api": "0.1"}}}


def test_a_manifest_of_one_is_not_taken_for_that_of_two(lash: Lash, project: Make) -> None:
    file = project('requires_api = "0.1"\n', table=f'{PROJECT}empty = "dice_dummy.empty"\n')
    (file.parent / "empty.py").write_text("")
    ran = lash("plugins", "check", "lash-dice", "--write", "--json")
    assert ran.code == 1
    assert [each["findings"] for each in json.loads(ran.out)] == [
        [
            f"{file.absolute()} cannot be written: {file.absolute()} describes one plugin, but there are 2: "
            f"give each a table, such as [plugin.{name}]"
        ]
        for name in ("dice", "empty")
    ]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit(3)", "it cannot be imported: it called sys.exit(3)"),
        (CODE.replace("async def", "def"), "guard() must be an async function: lash_guard_commit is a guard"),
    ],
)
def test_code_that_is_wrong_is_told_and_nothing_is_written(lash: Lash, project: Make, code: str, told: str) -> None:
    file = project(code=code)
    assert lash("plugins", "check", "lash-dice").out.splitlines()[0] == f"plugin 'dice' (lash-dice): {told}"
    forget()
    ran = lash("plugins", "check", "lash-dice", "--write")
    assert ran.code == 1
    assert ran.out == f"plugin 'dice' (lash-dice): {file.absolute()} is not written: {told}\n"
    assert not file.exists()


def test_offers_that_cannot_be_asked_for_are_told_and_kept(lash: Lash, project: Make) -> None:
    file = project(
        'requires_api = "0.1"\nhooks = ["lash_guard_commit", "lash_offer_modes"]\n[offers]\ntools = ["d6"]\n',
        code=CODE.replace("sides: int = 6", "sides: int"),
    )
    told = "lash_offer_tools failed: ConfigurationError: lash.plugin.dice.sides is missing"
    assert told in lash("plugins", "check", "lash-dice", "--write").out
    assert tomllib.loads(file.read_text())["offers"] == {"tools": ["d6"]}
    forget()
    Path("lash.toml").write_text("[lash.plugin.dice]\nsides = 20\n")
    assert lash("plugins", "check", "lash-dice", "--write").code == 0
    assert tomllib.loads(file.read_text())["offers"] == {"tools": ["coin", "d20"]}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[project]\nname = 'x'\n", 'has no plugins: there is no table [project.entry-points."lash.plugins"]'),
        ("[project", "cannot be read: "),
    ],
)
def test_a_project_without_plugins_is_wrong_usage(lash: Lash, project: Make, table: str, told: str) -> None:
    project(table=table)
    ran = lash("plugins", "check", "lash-dice")
    assert (ran.code, f"lash-dice/pyproject.toml {told}" in ran.err) == (2, True)


def test_a_folder_that_is_no_project_is_wrong_usage(lash: Lash) -> None:
    assert "pyproject.toml cannot be read" in lash("plugins", "check", ".").err


def test_an_installed_plugin_is_checked_by_name_and_all_without_one(lash: Lash, install: Install) -> None:
    package = install("dice", CODE, None)
    listed = json.loads(lash("plugins", "list", "--json").out)
    (reason,) = [each["reason"] for each in listed if each["name"] == "dice"]
    assert reason == (
        "its package 'dice_dummy' has no lash-plugin.toml; its author makes one with: lash plugins check PATH --write"
    )
    assert lash("plugins", "check", "dice").code == 1
    assert lash("plugins", "check").code == 1
    assert lash("plugins", "check", "dice", "--write").code == 0
    assert tomllib.loads(Path(install.site, package, "lash-plugin.toml").read_text()) == RIGHT
    everything = lash("plugins", "check", "--json")
    assert everything.code == 0
    assert {each["name"]: each["findings"] for each in json.loads(everything.out)} == {
        name: [] for name in ("compaction", "dice", "dummies", "standard-mode")
    }


def test_a_package_that_is_gone_does_not_keep_the_others_from_being_checked(lash: Lash, install: Install) -> None:
    shutil.rmtree(install.site / install("dice", CODE, None))
    importlib.invalidate_caches()
    ran = lash("plugins", "check")
    assert ran.code == 1
    assert "it cannot be imported: ModuleNotFoundError: No module named 'dice_dummy'" in ran.out
    assert "plugin 'dummies' (lash-dummies 1.0): manifest and code agree\n" in ran.out


def test_a_wheels_manifest_is_not_written(lash: Lash, install: Install) -> None:
    package = install("dice", CODE, None)
    (install.site / "dice-1.0.dist-info" / "RECORD").write_text(f"{package}/__init__.py,sha256=x,1\n")
    ran = lash("plugins", "check", "dice", "--write")
    assert ran.code == 1
    assert "is not written: it was installed from a wheel; write it in its project" in ran.out
    assert not Path(install.site, package, "lash-plugin.toml").exists()


def test_what_the_settings_forbid_is_not_imported_to_be_checked(lash: Lash, install: Install) -> None:
    install("dice", CODE, None)
    Path("lash.toml").write_text('[lash.plugins]\ndeny = ["dice"]\n')
    ran = lash("plugins", "check", "dice")
    assert (ran.code, "is disabled" in ran.err) == (2, True)
    assert lash("plugins", "check").code == 0
    assert "not as locked" in lash("--locked", "plugins", "check", "dummies").err
    assert "dice_dummy" not in sys.modules


@pytest.mark.usefixtures("project")
def test_a_local_plugin_is_checked_and_not_written(lash: Lash) -> None:
    head = "# /// lash-plugin\n# requires_api = '0.1'\n# ///\n"
    Path("own.py").write_text(head + CODE)
    Path("lash.toml").write_text('[lash.plugins]\nlocal-plugins = ["own.py"]\n')
    ran = lash("plugins", "check", "own", "--write")
    assert ran.code == 1
    assert "the manifest of a local plugin is the comment at the beginning of its file; write it there" in ran.out

"""A new plugin of each kind, as its author has it: made from the wheels alone, it does what its README says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fresh_environment import FreshEnvironment
from lash_core.scaffold.kinds import KINDS

from tests.docs.pages import blocks, commands, matches, run_in_terminal

#: The kind that every run of the tests tries; `make scaffold` tries them all.
QUICK = "tools"

EACH = [kind if kind == QUICK else pytest.param(kind, marks=pytest.mark.full) for kind in KINDS]

#: What shows in little time that the wheel has every file.
SHORT = {"store": ("-k", "S15 or scheme")}


@pytest.mark.parametrize("kind", EACH)
def test_a_new_plugin_is_installed_tested_shipped_and_removed(
    author: FreshEnvironment, tmp_path: Path, kind: str
) -> None:
    author.run(["pip", "install", "lash-core"], tmp_path)
    author.run(["lash", "plugins", "new", kind, "lash-acme"], tmp_path)
    package = tmp_path / "lash-acme"
    follow(package / "README.md", author)

    (wheel,) = package.glob("dist/*.whl")
    author.run(["pip", "install", "--force-reinstall", "--no-deps", wheel], tmp_path)
    shutil.rmtree(package / "src")
    author.run(["pytest", "-q", *SHORT.get(kind, ())], package)
    assert [each["state"] for each in plugins(author, tmp_path)] == ["active"]

    author.run(["pip", "uninstall", "-q", "-y", "lash-acme"], tmp_path)
    assert plugins(author, tmp_path) == []


def follow(page: Path, author: FreshEnvironment) -> None:
    """Do what the page says, in its folder; each command must succeed and show what the page shows."""
    for block in blocks(page):
        if block.language != "console":
            continue
        given = commands(block)
        for command, (output, code) in zip(given, run_in_terminal(given, page.parent, author.variables), strict=True):
            assert code == 0, f"$ {command.words}\nended with {code}:\n{output}"
            assert matches(output, command.output), f"$ {command.words}\nshows\n{output}\nand not\n{command.output}"


def plugins(author: FreshEnvironment, folder: Path) -> list[dict[str, str]]:
    """Give what `lash plugins list` tells of the new plugin."""
    found = json.loads(author.run(["lash", "plugins", "list", "--json"], folder))
    return [each for each in found if each["distribution"] == "lash-acme"]

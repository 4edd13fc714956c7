"""The workspace is declared for uv and for pip; both must say the same."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = [path.parent for path in ROOT.glob("*/pyproject.toml")] + [
    path.parent for path in ROOT.glob("lash_plugins/*/pyproject.toml")
]

each_distribution = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def manifest(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def requirement_lines(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


def installed_folders() -> list[Path]:
    lines = requirement_lines("requirements-dev.txt")
    return [(ROOT / line[3:].partition("[")[0]).resolve() for line in lines if line.startswith("-e ")]


def test_the_development_environment_holds_every_distribution() -> None:
    assert sorted(installed_folders()) == sorted(FOLDERS)


def test_each_distribution_is_installed_after_those_it_needs() -> None:
    ours = {manifest(folder)["project"]["name"] for folder in FOLDERS}
    installed: set[str] = set()
    for folder in installed_folders():
        project = manifest(folder)["project"]
        standard = project.get("optional-dependencies", {}).get("standard", [])
        assert ours.intersection(project["dependencies"] + standard) <= installed
        installed.add(project["name"])


@pytest.mark.parametrize(("group", "file"), [("test", "requirements-dev.txt"), ("check", "requirements-ci.txt")])
def test_uv_and_pip_install_the_same_tools(group: str, file: str) -> None:
    for_uv = manifest(ROOT)["dependency-groups"][group]
    for_pip = requirement_lines(file)
    assert [name for name in for_uv if not name.startswith("lash-")] == [
        line for line in for_pip if not line.startswith("-e ")
    ]


@each_distribution
def test_each_distribution_takes_its_siblings_from_the_workspace(folder: Path) -> None:
    declared = manifest(folder)
    extras = declared["project"].get("optional-dependencies", {}).get("standard", [])
    siblings = [name for name in declared["project"]["dependencies"] + extras if name.startswith("lash-")]
    sources = declared.get("tool", {}).get("uv", {}).get("sources", {})
    assert sources == {name: {"workspace": True} for name in siblings}


@each_distribution
def test_each_distribution_carries_the_licence(folder: Path) -> None:
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@each_distribution
def test_the_whole_workspace_has_one_version(folder: Path) -> None:
    assert manifest(folder)["project"]["version"] == manifest(ROOT / "hookspecs")["project"]["version"]

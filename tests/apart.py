"""Runs the test suite of each plugin in an environment that holds nothing of Lash but the contract and that plugin.

``python tests/apart.py [FOLDER …]`` builds the wheels of `lash_hookspecs` and of each plugin, unpacks the two into a
fresh environment, and links what they depend on, with pytest, from the environment that runs this: nothing is fetched
from a network. The kit's own suites stand apart from this: they compare it with the core's store.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]

#: What the suites need besides what the plugins say.
TOOLS = ("pytest", "pytest-asyncio", "hypothesis")

_INI = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = --import-mode=importlib
"""


def main() -> None:
    plugins = [Path(word).resolve() for word in sys.argv[1:]] or [
        path.parent
        for path in sorted(ROOT.glob("lash_plugins/*/pyproject.toml"))
        if path.parent.name != "conformance" and (path.parent / "tests").is_dir()
    ]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        contract = build(ROOT / "hookspecs", Path(folder))
        for plugin in plugins:
            print(f"==> {plugin.name}, with lash_hookspecs and without lash_core", flush=True)
            python = make(Path(folder) / plugin.name, [contract, build(plugin, Path(folder))])
            if run(python, plugin, Path(folder)):
                failed.append(plugin.name)
    sys.exit(f"failed without lash_core: {', '.join(failed)}" if failed else 0)


def build(project: Path, folder: Path) -> Path:
    """Build a wheel."""
    words = ["pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    before = set(folder.glob("*.whl"))
    subprocess.run([sys.executable, "-m", *words, str(project)], check=True)
    (made,) = set(folder.glob("*.whl")) - before
    return made


def make(folder: Path, wheels: list[Path]) -> Path:
    """Make an environment of wheels and of what they need; give its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
    wanted = [*TOOLS, *requirements(packages)]
    for found in closure(wanted):
        link(found, packages)
    python = folder / "bin" / "python"
    there = subprocess.run([python, "-I", "-c", "import lash_core"], capture_output=True, text=True, check=False)
    assert "No module named 'lash_core'" in there.stderr, f"{folder} has a core"
    return python


def requirements(packages: Path) -> Iterator[str]:
    """Read what unpacked wheels require."""
    for found in packages.glob("*.dist-info/METADATA"):
        for line in found.read_text(encoding="utf-8").splitlines():
            if line.startswith("Requires-Dist: "):
                yield line.removeprefix("Requires-Dist: ")


def closure(wanted: list[str]) -> list[Distribution]:
    """Give the installed distributions that requirements name, and what those need; those of Lash are left out."""
    found: dict[str, Distribution] = {}
    waiting = [(word, "") for word in wanted]
    seen = set(waiting)
    while waiting:
        word, extra = waiting.pop()
        requirement = Requirement(word)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name.startswith("lash-") or (requirement.marker and not _applies(requirement, extra)):
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            if extra == "":
                raise
            continue
        for each in found[name].requires or ():
            for one in ("", *requirement.extras):
                if (each, one) not in seen:
                    seen.add((each, one))
                    waiting.append((each, one))
    return list(found.values())


def _applies(requirement: Requirement, extra: str) -> bool:
    assert requirement.marker is not None
    return requirement.marker.evaluate({"extra": extra})


def link(found: Distribution, packages: Path) -> None:
    """Link what a distribution has put beside others; its scripts are not needed."""
    tops = {Path(file).parts[0] for file in found.files or () if Path(file).parts[0] not in ("..", "__pycache__")}
    home = Path(str(found.locate_file("")))
    for top in tops:
        if not (packages / top).exists():
            (packages / top).symlink_to(home / top)


def run(python: Path, plugin: Path, folder: Path) -> int:
    """Run a plugin's suite; give pytest's exit code."""
    (folder / "pytest.ini").write_text(_INI)
    words: list[str | Path] = [
        "-q",
        "-c",
        folder / "pytest.ini",
        "--rootdir",
        plugin,
        "--confcutdir",
        plugin,
        "-p",
        "no:cacheprovider",
    ]
    beside = folder / "beside"  # a suite imports modules of its own from lash_plugins/; nothing else is found there
    beside.mkdir(exist_ok=True)
    if not (beside / "lash_plugins").exists():
        (beside / "lash_plugins").symlink_to(ROOT / "lash_plugins")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    env["PYTHONPATH"] = str(beside)
    return subprocess.run(
        [python, "-m", "pytest", *words, plugin / "tests"], cwd=folder, env=env, check=False
    ).returncode


if __name__ == "__main__":
    main()

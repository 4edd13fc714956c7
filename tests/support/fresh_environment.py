"""An environment as a plugin's author has it: the project's wheels, no checkout, and no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

import attrs

__all__ = ["FreshEnvironment", "build_wheels", "link_third_parties"]

ROOT = Path(__file__).parents[2]

#: What an author installs, and what that needs.
DISTRIBUTIONS = ("hookspecs", "lash_core", "lash_plugins/basics", "lash_plugins/conformance", "lash_plugins/store_sql")

#: Files of the project's own distributions in an environment for its development.
_OURS = re.compile(r"_?lash[_-].*|__pycache__|.*\.pth|.*\.egg-link")

#: Seconds after which a command is taken to hang.
LONGEST = 240

#: A pip that looks nowhere but into the wheelhouse, and builds with what is there.
_PIP = """#!/bin/sh
command=$1
shift
case $command in
    install | wheel) exec {python} -m pip $command -q --no-index --find-links {wheels} --no-build-isolation "$@" ;;
    *) exec {python} -m pip $command "$@" ;;
esac
"""


def build_wheels(wheels: Path) -> None:
    """Build the wheels of the project's distributions."""
    for distribution in DISTRIBUTIONS:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)],
            cwd=ROOT / distribution,
            check=True,
            capture_output=True,
            timeout=LONGEST,
        )


def link_third_parties(folder: Path) -> None:
    """Make a folder that holds what is installed here, by links, and nothing of this project."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not _OURS.fullmatch(entry.name):
            (folder / entry.name).symlink_to(entry)


@attrs.frozen
class FreshEnvironment:
    """An environment of its own.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path, wheels: Path, third_parties: Path) -> FreshEnvironment:
        """Make one that has nothing of this project, and can install it from the wheels."""
        venv.create(folder, symlinks=True)
        made = cls(folder)
        (site,) = folder.glob("lib/*/site-packages")
        (site / "third_parties.pth").write_text(f"{third_parties}\n")
        pip = folder / "bin/pip"
        pip.write_text(_PIP.format(python=made.python, wheels=wheels))
        pip.chmod(0o755)
        # The scripts of what is linked start the interpreter that it was installed with.
        pytest = folder / "bin/pytest"
        pytest.write_text(f'#!/bin/sh\nexec {made.python} -m pytest "$@"\n')
        pytest.chmod(0o755)
        return made

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin/python"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of whoever has activated it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LASH_", "PYTHON", "PYTEST"))}
        return kept | {
            "COLUMNS": "120",
            "HOME": str(self.folder),
            "NO_COLOR": "1",
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]]),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
            "TERM": "dumb",
            "VIRTUAL_ENV": str(self.folder),
        }

    def run(self, command: Sequence[str | Path], folder: Path) -> str:
        """Run a command that succeeds, and give what it prints."""
        ran = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert ran.returncode == 0, f"{command} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

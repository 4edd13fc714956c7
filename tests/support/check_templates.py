"""Checks what `lash plugins new` writes as the project checks itself: strict types, style and format, for each kind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lash_core.scaffold import KINDS, PluginNames, files_of, write_plugin

ROOT = Path(__file__).parents[2]
SETTINGS = str(ROOT / "pyproject.toml")

#: The types come last in `make types`, so that most of what they need has been read.
TYPES = ("mypy", "--config-file", SETTINGS, "--cache-dir", str(ROOT / ".mypy_cache"))


def commands(package: str) -> list[tuple[str, ...]]:
    """Give the commands that must succeed in the folder of a plugin."""
    return [
        ("ruff", "check", "--quiet", "--no-cache", "--config", SETTINGS, "."),
        ("ruff", "format", "--quiet", "--check", "--no-cache", "--config", SETTINGS, "."),
        (*TYPES, f"src/{package}", "tests"),
    ]


def main() -> int:
    """Check each kind; the number of commands that failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        for kind in KINDS:
            names = PluginNames.of(f"lash-a-{kind}")
            folder = Path(name) / names.distribution
            write_plugin(folder, files_of(kind, names))
            for command in commands(names.package):
                ran = subprocess.run(
                    [sys.executable, "-m", *command],
                    cwd=folder,
                    env=os.environ | {"MYPYPATH": "src"},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if ran.returncode:
                    failed += 1
                    print(f"a new {kind}: {' '.join(command)}\n{ran.stdout}{ran.stderr}", file=sys.stderr)
    print(f"new plugins of {len(KINDS)} kinds: {failed or 'nothing'} to mend")
    return failed


if __name__ == "__main__":
    sys.exit(main())

"""Checks what `lash plugins new` writes as the project checks itself: strict types, style and format, for each kind.

The plugins that the documentation makes of them are checked too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lash_core.scaffold import KINDS, PluginNames, files_of, write_plugin

sys.path.insert(0, str(Path(__file__).parents[2]))  # it is run as a script

from tests.docs.pages import blocks

ROOT = Path(__file__).parents[2]
SETTINGS = str(ROOT / "pyproject.toml")

#: The types come last in `make types`, so that most of what they need has been read.
TYPES = ("mypy", "--config-file", SETTINGS, "--cache-dir", str(ROOT / ".mypy_cache"))


#: Pages that change a new plugin: its kind and its name there.
PAGES = {"ship-a-store.md": ("store", "lash-kv"), "ship-a-mode.md": ("mode", "lash-ration")}


def plugins() -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Give what is checked: a word for people, the distribution's name, and its files."""
    for kind in KINDS:
        names = PluginNames.of(f"lash-a-{kind}")
        yield f"a new {kind}", names.distribution, files_of(kind, names)
    for page, (kind, name) in PAGES.items():
        told = {
            block.value.removeprefix(f"{name}/"): block.body
            for block in blocks(ROOT / "docs" / page)
            if block.value.startswith(f"{name}/src/")
        }
        yield f"the plugin of {page}", name, {**files_of(kind, PluginNames.of(name)), **told}


def commands(told: str, distribution: str) -> list[tuple[str, ...]]:
    """Give the commands that must succeed in the folder of a plugin."""
    said_beside = ("--extend-ignore", "D") if told.endswith(".md") else ()
    return [
        ("ruff", "check", "--quiet", "--no-cache", "--config", SETTINGS, *said_beside, "."),
        ("ruff", "format", "--quiet", "--check", "--no-cache", "--config", SETTINGS, "."),
        (*TYPES, f"src/{PluginNames.of(distribution).package}", "tests"),
    ]


def main() -> int:
    """Check each plugin; the number of commands that failed."""
    failed = checked = 0
    with tempfile.TemporaryDirectory() as folder:
        for told, distribution, texts in plugins():
            checked += 1
            write_plugin(Path(folder) / distribution, texts)
            for command in commands(told, distribution):
                ran = subprocess.run(
                    [sys.executable, "-m", *command],
                    cwd=Path(folder) / distribution,
                    env=os.environ | {"MYPYPATH": "src"},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if ran.returncode:
                    failed += 1
                    print(f"{told}: {' '.join(command)}\n{ran.stdout}{ran.stderr}", file=sys.stderr)
    print(f"{checked} new plugins: {failed or 'nothing'} to mend")
    return failed


if __name__ == "__main__":
    sys.exit(main())

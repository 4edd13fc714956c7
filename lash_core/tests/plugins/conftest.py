"""A folder of installed distributions, made by each test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import lash_hookspecs.records.state
import pytest

#: Imported before `sys.path` is narrowed.
LOADED_EARLY = lash_hookspecs.records.state

MODE = """
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.offers import ModeOffer, lash_offer_modes

@implements(lash_offer_modes)
def modes(context):
    return [ModeOffer(name={name!r}, build=dict)]
"""

MODE_MANIFEST = """
requires_api = "0.1"
hooks = ["lash_offer_modes"]
[offers]
modes = ["{name}"]
"""


@attrs.frozen
class Site:
    """A folder on `sys.path` with distributions in it."""

    path: Path

    def add(
        self,
        distribution: str,
        entries: Mapping[str, str],
        files: Mapping[str, str] | None = None,
        *,
        version: str = "1.0",
    ) -> None:
        """Install a distribution: entry points, and files by path."""
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
        info.joinpath("entry_points.txt").write_text(f"[lash.plugins]\n{lines}\n")
        for name, text in (files or {}).items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()

    def add_mode(
        self, distribution: str, name: str, *, mode: str | None = None, version: str = "1.0", extra: str = ""
    ) -> str:
        """Install a healthy distribution that offers one mode; the name of its package."""
        package = f"dummy_{distribution.replace('-', '_')}"
        files = {
            f"{package}/__init__.py": MODE.format(name=mode or name),
            f"{package}/lash-plugin.toml": extra + MODE_MANIFEST.format(name=mode or name),
        }
        self.add(distribution, {name: package}, files, version=version)
        return package


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site of its own: no other distribution is seen."""
    elsewhere = [entry for entry in sys.path if entry and not any(Path(entry).glob("*.dist-info"))]
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *elsewhere])
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if name.startswith("dummy_"):
            del sys.modules[name]

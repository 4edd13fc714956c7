"""Plugins to check: those of a project's folder, which need not be installed, and installed ones."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError

from lash_core.plugins.checking import Subject
from lash_core.plugins.digests import Unlocatable, digest_of
from lash_core.plugins.installed import GROUP
from lash_core.plugins.manifest import MANIFEST, Manifest, ManifestError, package_folders, read_manifest
from lash_core.plugins.records import PluginRecord

__all__ = ["Project", "first_on_path", "installed_subject", "is_project", "read_project"]

_PROJECT = "pyproject.toml"


@attrs.frozen
class Project:
    """A project that has plugins.

    Attributes:
        roots: The folders that its packages lie in.
        subjects: Its plugins.
    """

    roots: Sequence[Path]
    subjects: Sequence[Subject]


def is_project(word: str) -> bool:
    """Tell whether a word means a project's folder, not a plugin's name."""
    return Path(word, _PROJECT).is_file() or word.startswith((".", "/"))


def read_project(folder: Path) -> Project:
    """Find the plugins of a project; imports nothing.

    Raises:
        ConfigurationError: It has none, or cannot be read.
    """
    file = folder / _PROJECT
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        entries: dict[str, str] = {name: str(value) for name, value in table["project"]["entry-points"][GROUP].items()}
    except KeyError:
        raise ConfigurationError(f'{file} has no plugins: there is no table [project.entry-points."{GROUP}"]') from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error
    roots = list(dict.fromkeys(_roots(folder.resolve(), table)))
    return Project(roots, [_of_project(folder, name, entries, roots) for name in entries])


@contextmanager
def first_on_path(roots: Sequence[Path]) -> Iterator[None]:
    """Let imports look into folders first."""
    sys.path[:0] = map(str, roots)
    try:
        yield
    finally:
        del sys.path[: len(roots)]


def installed_subject(record: PluginRecord, records: Iterable[PluginRecord]) -> Subject:
    """Give an installed or local plugin to check.

    Args:
        record: The plugin.
        records: All plugins.

    Raises:
        PluginError: The settings or the lock file forbid its import.
    """
    if record.is_barred:
        raise record.unusable("import")
    if record.origin == "local file":
        return Subject(
            name=record.name,
            label=record.label,
            value=record.value,
            manifest_file=Path(record.value),
            siblings=(record.name,),
            read=partial(_as_found, record),
            read_only="the manifest of a local plugin is the comment at the beginning of its file; write it there",
        )
    package = _package(record.value)
    same = {each.name: each.value for each in records if each.distribution == record.distribution}
    try:
        folder, read_only = package_folders(package)[0], ""
        if digest_of(record.distribution, [package]).of == "record":
            read_only = "it was installed from a wheel; write it in its project: lash plugins check PATH --write"
    except (ManifestError, Unlocatable) as error:
        folder, read_only = Path(package), str(error)
    return _subject(record.name, record.label, same, folder, read_only)


def _of_project(folder: Path, name: str, entries: Mapping[str, str], roots: Sequence[Path]) -> Subject:
    package = _package(entries[name])
    found = [root / package for root in roots if (root / package).is_dir()]
    looked = " nor ".join(map(str, roots))
    told = "" if found else f"its package {package!r} is a folder in neither {looked}"
    return _subject(name, f"plugin {name!r} ({folder})", entries, found[0] if found else roots[0] / package, told)


def _subject(name: str, label: str, entries: Mapping[str, str], folder: Path, read_only: str) -> Subject:
    siblings = tuple(each for each, value in entries.items() if _package(value) == _package(entries[name]))
    return Subject(
        name=name,
        label=label,
        value=entries[name],
        manifest_file=folder / MANIFEST,
        siblings=siblings,
        read=partial(_read, folder / MANIFEST, name, siblings),
        read_only=read_only,
    )


def _read(file: Path, name: str, siblings: Collection[str]) -> Manifest:
    if not file.is_file():
        raise ManifestError(f"there is no manifest {file}")
    return read_manifest(file, name, siblings)


def _as_found(record: PluginRecord) -> Manifest:
    if record.manifest is None:
        raise ManifestError(record.reason)
    return record.manifest


def _package(value: str) -> str:
    return re.split(r"[.:\s\[]", value.strip(), maxsplit=1)[0]


def _roots(folder: Path, table: Mapping[str, Any]) -> Iterator[Path]:
    """Give the folders that the packages may lie in: those that hatchling is told, ``src``, the project's own."""
    built: Any = table.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    for package in built.get("packages", ()):
        yield (folder / str(package)).parent
    if (folder / "src").is_dir():
        yield folder / "src"
    yield folder

"""Find plugins by entry point and by file, without importing any and without ever raising (P1, P2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from lash_core.plugins.installed import GROUP, Installed, installed
from lash_core.plugins.local import read_local
from lash_core.plugins.manifest import Manifest, ManifestError, find_manifest, read_manifest
from lash_core.plugins.records import PluginRecord

__all__ = ["discover"]

#: The most characters of an entry point's name; a table has a column of them.
_LONGEST = 100

_VALUE = re.compile(r"^\s*(?P<package>[^\W\d]\w*)(\.\w+)*\s*(:\s*\w+(\.\w+)*\s*)?$")


def discover(local_plugins: Iterable[Path] = ()) -> list[PluginRecord]:
    """Give a record of each plugin that is installed or lies in a file, in no particular order.

    Args:
        local_plugins: Files with one plugin each.
    """
    records = [record for distribution in installed() for record in _records(distribution)]
    return [*records, *read_local(local_plugins)]


def _records(distribution: Installed) -> Iterator[PluginRecord]:
    entries = {} if distribution.problem else _entries(distribution.entry_points)
    if not entries:  # it speaks of our group, so it must not pass unseen
        record = _record(distribution, distribution.name, ())
        record.settle("failed", "described", distribution.problem or f"its group {GROUP!r} names no plugin")
        yield record
    for name, values in entries.items():
        record = _record(distribution, name, values)
        record.describe(partial(_read, record, values, {name: found[0] for name, found in entries.items()}))
        yield record


def _record(distribution: Installed, name: str, values: Sequence[str]) -> PluginRecord:
    record = PluginRecord(
        distribution=distribution.name, version=distribution.version, name=name, value=values[0] if values else ""
    )
    where = f" in {distribution.folder}" if distribution.folder else ""
    what = f"entry point {f'{name} = {record.value}'!r}" if values else f"group {GROUP!r}"
    record.note("found", f"{what} of {record.distribution} {record.version}{where}")
    if distribution.shadowed:
        told = ", ".join(map(str, distribution.shadowed))
        record.note("shadowed", f"other copies of {record.distribution}, which no import finds: {told}")
    return record


def _entries(text: str) -> dict[str, list[str]]:
    """Read our group; a line that is no entry point has an empty value."""
    entries: dict[str, list[str]] = {}
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == GROUP and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            name = name.strip() if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
            entries.setdefault(name, []).append(value.strip())
    return entries


def _read(record: PluginRecord, values: Sequence[str], entries: Mapping[str, str]) -> Manifest:
    package = _package(record, values)
    record.manifest_file = find_manifest(package)
    return read_manifest(record.manifest_file, record.name, _siblings(package, entries))


def _package(record: PluginRecord, values: Sequence[str]) -> str:
    """Give the top-level package that the entry point refers to.

    Raises:
        ManifestError: The entry point is none.
    """
    if len(record.name) > _LONGEST:
        raise ManifestError(f"its entry point has a name of more than {_LONGEST} characters")
    if not record.name.isprintable() or not record.name:
        raise ManifestError(f"its entry point is named {record.name!r}, which cannot be printed")
    if len(values) > 1:
        raise ManifestError(f"its distribution has {len(values)} entry points of this name: {', '.join(values)}")
    match = _VALUE.match(record.value)
    if match is None:
        raise ManifestError(f"its entry point {record.value!r} is not of the form 'package.module[:attribute]'")
    return match["package"]


def _siblings(package: str, entries: Mapping[str, str]) -> Sequence[str]:
    return [name for name, value in entries.items() if (match := _VALUE.match(value)) and match["package"] == package]

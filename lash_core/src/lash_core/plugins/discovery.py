"""Find plugins by entry point, without importing any and without ever raising (P1, P2)."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Sequence

from lash_core.plugins.manifest import IncompatibleApi, ManifestError, read_manifest
from lash_core.plugins.records import PluginRecord

__all__ = ["GROUP", "discover"]

#: The entry-point group.
GROUP = "lash.plugins"

_VALUE = re.compile(r"^\s*(?P<package>[^\W\d]\w*)(\.\w+)*\s*(:\s*\w+(\.\w+)*\s*)?$")


def discover() -> list[PluginRecord]:
    """Give a record of each plugin that is installed, in no particular order.

    A distribution that lies on ``sys.path`` twice counts once: the copy that an import would find.
    """
    records: list[PluginRecord] = []
    for distribution in _distributions():
        try:
            records.extend(_records(distribution))
        except Exception as error:  # noqa: BLE001  broken metadata of one must not hide the others
            reason = f"its metadata cannot be read: {error}"
            name = _name(distribution)
            records.append(
                PluginRecord(distribution=name, version="?", name=name, value="", state="failed", reason=reason)
            )
    return records


def _distributions() -> Iterator[importlib.metadata.Distribution]:
    seen = set()
    for distribution in importlib.metadata.distributions():
        if not _mentions_group(distribution):
            continue
        name = _name(distribution)
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        try:  # an earlier copy may have no plugins any more: then this one is not importable
            yield importlib.metadata.distribution(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            yield distribution


def _mentions_group(distribution: importlib.metadata.Distribution) -> bool:
    try:
        return GROUP in (distribution.read_text("entry_points.txt") or "")
    except (OSError, UnicodeDecodeError):
        return False


def _name(distribution: importlib.metadata.Distribution) -> str:
    try:
        return distribution.metadata["Name"] or "(unnamed)"
    except Exception:  # noqa: BLE001  as above
        return "(unnamed)"


def _records(distribution: importlib.metadata.Distribution) -> Iterator[PluginRecord]:
    entries: dict[str, str] = {}
    for entry in distribution.entry_points.select(group=GROUP):
        entries.setdefault(entry.name, entry.value)
    for name, value in entries.items():
        record = PluginRecord(
            distribution=_name(distribution), version=str(distribution.version), name=name, value=value
        )
        _read(record, entries.items())
        yield record


def _read(record: PluginRecord, entries: Iterable[tuple[str, str]]) -> None:
    match = _VALUE.match(record.value)
    if match is None:
        record.settle("failed", f"its entry point {record.value!r} is not of the form 'package.module[:attribute]'")
        return
    package = match["package"]
    try:
        record.manifest = read_manifest(package, record.name, _siblings(package, entries))
    except IncompatibleApi as error:
        record.settle("incompatible", str(error))
    except ManifestError as error:
        record.settle("failed", str(error))


def _siblings(package: str, entries: Iterable[tuple[str, str]]) -> Sequence[str]:
    return [name for name, value in entries if (match := _VALUE.match(value)) and match["package"] == package]

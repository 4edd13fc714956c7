"""Holds the installed plugins to the lock file, before any is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import attrs
from lash_hookspecs.errors import ConfigurationError

from lash_core.plugins.digests import Unlocatable, changed_files, digest_of, file_digest
from lash_core.plugins.lockfile import Locked, read_lock
from lash_core.plugins.permission import canonical
from lash_core.plugins.records import PluginRecord, PluginSettings

__all__ = ["Finding", "differences", "hold_to_lock", "installed_state", "refuse_changed"]


@attrs.frozen
class Finding:
    """One difference between what is installed and what is locked.

    Attributes:
        name: The distribution, or the local plugin's file.
        kind: What sort of difference.
        told: What it is.
    """

    name: str
    kind: Literal["added", "changed", "files", "missing"]
    told: str


def installed_state(records: Iterable[PluginRecord], lock: Path) -> dict[str, Locked | Unlocatable]:
    """Give what would be locked now, by name; imports nothing.

    Args:
        records: Plugins, as discovery gives them.
        lock: The lock file; local plugins are named relative to it.
    """
    grouped: dict[str, list[PluginRecord]] = {}
    for record in records:
        grouped.setdefault(_name(record, lock), []).append(record)
    return {name: _state(name, group) for name, group in sorted(grouped.items())}


def differences(records: Iterable[PluginRecord], lock: Path) -> Iterator[Finding]:
    """Compare all plugins with the lock file, and the files of each with its RECORD.

    A plugin that is not locked is no finding where it is disabled.

    Raises:
        ConfigurationError: The lock file cannot be read.
    """
    records = list(records)
    locked = read_lock(lock)
    states = installed_state(records, lock)
    for name in sorted(locked.keys() - states.keys()):
        yield Finding(name, "missing", f"it is not installed, and {lock} has {locked[name].version or 'it'}")
    for name, now in states.items():
        group = [record for record in records if _name(record, lock) == name]
        if name not in locked:
            if any(record.state != "disabled" for record in group):
                yield Finding(name, "added", f"it is not in {lock}")
        elif isinstance(now, Unlocatable):
            yield Finding(name, "changed", str(now))
        elif told := locked[name].difference(now, lock):
            yield Finding(name, "changed", told)
        else:
            yield from (Finding(name, "files", each) for each in _changed(group))


def hold_to_lock(records: Iterable[PluginRecord], settings: PluginSettings) -> None:
    """Refuse every plugin that is not as locked, if the settings ask for it.

    A plugin that is locked and differs is missed: no session is opened without it, for it may be a guard.
    """
    if not settings.locked:
        return
    records, lock = list(records), settings.lock_file
    try:
        locked = read_lock(lock)
    except ConfigurationError as error:
        for record in records:
            _refuse(record, str(error), missed=True)
        return
    states = installed_state(records, lock)
    for record in records:
        name = _name(record, lock)
        now = states[name]
        if name not in locked:
            _refuse(record, f"it is not in {lock}")
        elif isinstance(now, Unlocatable):
            _refuse(record, str(now), missed=True)
        elif told := locked[name].difference(now, lock):
            _refuse(record, told, missed=True)
        else:
            record.note("locked", f"as {lock} has it")


def refuse_changed(record: PluginRecord) -> str:
    """Tell why a locked plugin is not imported: its files are not those of its RECORD. Nothing when they are."""
    found = _changed([record])
    return f"not as locked: {'; '.join(found[:3])}{' and more' if len(found) > 3 else ''}" if found else ""


def _refuse(record: PluginRecord, told: str, *, missed: bool = False) -> None:
    record.missed = missed
    record.settle("failed", "locked", f"not as locked: {told}")


def _name(record: PluginRecord, lock: Path) -> str:
    if record.origin != "local file":
        return canonical(record.distribution)
    path, folder = Path(record.value).resolve(), lock.parent.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _state(name: str, group: list[PluginRecord]) -> Locked | Unlocatable:
    first = group[0]
    try:
        if first.origin == "local file":
            return Locked(name, "", file_digest(Path(first.value)), {})
        digest = digest_of(first.distribution, _packages(group))
    except Unlocatable as error:
        return error
    except Exception as error:  # noqa: BLE001  metadata may hold anything, and discovery never raises
        return Unlocatable(f"its files cannot be read: {error}")
    return Locked(name, first.version, digest, {record.name: record.value for record in group})


def _changed(group: list[PluginRecord]) -> list[str]:
    if group[0].origin == "local file":
        return []
    try:
        return changed_files(group[0].distribution, _packages(group))
    except Exception as error:  # noqa: BLE001  as above
        return [f"its files cannot be read: {error}"]


def _packages(group: Iterable[PluginRecord]) -> set[str]:
    return {re.split(r"[.:\s]", record.value.strip(), maxsplit=1)[0] for record in group} - {""}

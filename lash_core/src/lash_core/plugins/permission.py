"""Which plugins may be imported, and which must be there: decided before any import (P3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lash_hookspecs.errors import PluginError

from lash_core.plugins.manifest import did_you_mean
from lash_core.plugins.records import PluginRecord, PluginSettings

__all__ = ["canonical", "decide", "is_required", "named_by", "requirements"]


def canonical(distribution: str) -> str:
    """Give a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def named_by(word: str, record: PluginRecord) -> bool:
    """Tell whether a word of the settings means a plugin: its name, its distribution, or ``distribution/name``."""
    distribution = canonical(record.distribution)
    before, slash, after = word.partition("/")
    return (
        word == record.name
        or canonical(word) == distribution
        or (bool(slash) and canonical(before) == distribution and after == record.name)
    )


def decide(record: PluginRecord, settings: PluginSettings) -> None:
    """Say of a plugin whether it may be imported; one that may not is disabled."""
    allowed, told = _decision(record, settings)
    if allowed:
        record.note("allowed", told)
    else:
        record.settle("disabled", "allowed", told)


def _decision(record: PluginRecord, settings: PluginSettings) -> tuple[bool, str]:
    for key, words in (("disabled", settings.disabled), ("deny", settings.deny)):
        if _listed(record, words):
            return False, f"listed in {settings.where(key)}"
    if record.origin == "app":
        return True, "the app's own parts are, unless a setting names them"
    if settings.default_deny and record.origin == "local file":
        return False, f"a local plugin is never imported under {settings.where('default-deny')}"
    if settings.default_deny or settings.allow is not None:
        return _by_list(record, settings)
    if record.origin == "local file":
        return True, f"listed in {settings.where('local-plugins')}"
    return True, "no setting forbids it"


def _by_list(record: PluginRecord, settings: PluginSettings) -> tuple[bool, str]:
    if _listed(record, settings.allow or ()):
        return True, f"listed in {settings.where('allow')}"
    because = f", and {settings.where('default-deny')} is on" if settings.default_deny else ""
    return False, f"not listed in {settings.where('allow')}{because}"


def _listed(record: PluginRecord, words: Iterable[str]) -> bool:
    return any(named_by(word, record) for word in words)


def is_required(record: PluginRecord, settings: PluginSettings) -> bool:
    """Tell whether the settings require a plugin."""
    return _listed(record, settings.required)


def requirements(records: Sequence[PluginRecord], settings: PluginSettings) -> Iterator[PluginError]:
    """Give an error for each required plugin that is missing or cannot be used, with what to do about it."""
    for word in settings.required:
        where = settings.where("required")
        found = [record for record in records if named_by(word, record)]
        if not found:
            near = did_you_mean(word, {record.name for record in records} | {record.distribution for record in records})
            yield PluginError(
                f"plugin {word!r} is required by {where}, and not installed{near or '.'} {_install(word)}", plugin=word
            )
        for record in found:
            if not record.usable:
                told = f"{record.label} is required by {where}, but {record.state}: {record.reason}"
                yield PluginError(f"{told}. {_cure(record, settings)}", plugin=record.name)


def _install(word: str) -> str:
    distribution, slash, _ = word.partition("/")
    if slash:
        return f"Install it with: pip install '{distribution}'"
    return f"Install it with: pip install '{word}', or whatever distribution ships it"


def _cure(record: PluginRecord, settings: PluginSettings) -> str:
    if _listed(record, settings.disabled):
        return f"Enable it with: lash plugins enable {record.identity}"
    if record.state == "disabled":
        return "Change that setting, or take it out of required."
    if record.state == "incompatible":
        return f"Update it or lash-core: pip install -U '{record.distribution}' lash-core"
    return "Mend or update it, or take it out of required."

"""Makes or refreshes a manifest from what a plugin's code makes; everything else in it stays, comments included."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from lash_hookspecs.version import HOOKSPEC_API, api_satisfies

from lash_core.plugins.checking import Made, Subject
from lash_core.plugins.manifest import OFFER_HOOKS, ManifestError

__all__ = ["refreshed"]


def refreshed(text: str, subject: Subject, made: Made) -> str:
    """Give the text of a manifest that says what the code makes.

    Args:
        text: What it says now; empty for none.
        subject: The plugin.
        made: What its code makes. Of kinds that could not be asked for, what stands there is kept.

    Raises:
        ManifestError: The text is no TOML, or describes one plugin where there are several.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        table = _place(document, subject)
        _set_api(table)
        _set_hooks(table, made)
        _set_offers(table, made)
        if len(made.models) == 1 and not table.get("settings", {}).get("model"):
            _below(table, "settings")["model"] = made.models[0]
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise ManifestError(f"{subject.manifest_file} cannot be changed: {error}") from error


def _place(document: Any, subject: Subject) -> Any:
    """Find the table of the plugin, or make it."""
    if "plugin" not in document and len(subject.siblings) < 2:
        return document
    if "plugin" not in document and document:
        raise ManifestError(
            f"{subject.manifest_file} describes one plugin, but there are {len(subject.siblings)}: "
            f"give each a table, such as [plugin.{subject.name}]"
        )
    return _below(_below(document, "plugin", is_super_table=True), subject.name)


def _below(table: Any, key: str, *, is_super_table: bool = False) -> Any:
    import tomlkit

    if key not in table:
        table[key] = tomlkit.table(is_super_table=is_super_table)
    return table[key]


def _set_api(table: MutableMapping[str, Any]) -> None:
    told = table.get("requires_api")
    try:
        fits = isinstance(told, str) and api_satisfies(HOOKSPEC_API, told)
    except ValueError:
        fits = False
    if not fits:
        table["requires_api"] = HOOKSPEC_API


def _set_hooks(table: MutableMapping[str, Any], made: Made) -> None:
    implied = {OFFER_HOOKS[kind] for kind, names in made.offers.items() if names}
    told = set(table.get("hooks", ()))
    _set_list(table, "hooks", (made.hooks - implied) | (made.hooks & told))


def _set_offers(table: Any, made: Made) -> None:
    kept = {kind: names for kind, names in table.get("offers", {}).items() if OFFER_HOOKS.get(kind) in made.hooks}
    wanted = {**kept, **made.offers}
    if any(wanted.values()) or "offers" in table:
        offers = _below(table, "offers")
        for kind in {*offers, *wanted}:
            _set_list(offers, kind, set(wanted.get(kind, ())))


def _set_list(table: MutableMapping[str, Any], key: str, words: Iterable[str]) -> None:
    """Make a list hold some words; those that it has already stay where they are."""
    wanted = set(words)
    listed = table.get(key, [])
    if not wanted:
        table.pop(key, None)
        return
    for word in [word for word in listed if word not in wanted]:
        listed.remove(word)
    for word in sorted(wanted - set(listed)):
        listed.append(word)
    if key not in table:
        table[key] = listed

"""``lash plugins show``, ``why`` and ``order``: what is known of plugins; none is imported for it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from lash_hookspecs.errors import UnknownName
from lash_hookspecs.markers import HookKind, hook_info

from lash_core.cli.options import Shared, common
from lash_core.cli.output import one_line, print_json, print_table, print_text
from lash_core.cli.plugin_lookup import all_plugins, find_plugins
from lash_core.plugins import PluginManager, PluginRecord
from lash_core.plugins.manifest import OFFER_HOOKS, SESSION_PLUGINS, did_you_mean

__all__ = ["order", "show", "why"]

#: What is shown of a distribution's metadata.
_FIELDS = (
    "Summary", "Author", "Author-email", "Maintainer", "Maintainer-email", "License-Expression", "License",
    "Requires-Python", "Requires-Dist", "Home-page", "Project-URL",
)  # fmt: skip

#: What is not shown twice.
_IN_LABEL = ("name", "distribution", "version", "imported")

_KINDS: dict[HookKind, str] = {
    "offer": "an offer: each is asked in this order, and all answers are taken",
    "observe": "an observer: all are told together, so the order means nothing",
    "transform": "a transform: each gets what the one before made of the value",
    "guard": "a guard: all are asked together; the first denial in this order is the one that is told",
}


@click.command()
@click.argument("name")
@common
def show(shared: Shared, name: str) -> None:
    """Show everything that the manifest and the metadata of plugin NAME say, or of those of distribution NAME."""
    tables = shared.settings().plugins.tables
    found = find_plugins(all_plugins(shared).records, name)
    documents = [_shown(record, sorted(tables.get(record.name, ()))) for record in found]
    if shared.json:
        print_json(documents)
        return
    for number, (record, document) in enumerate(zip(found, documents, strict=True)):
        print_text("\n" * bool(number) + one_line(record.label))
        _print_values({key: value for key, value in document.items() if key not in _IN_LABEL})


@click.command()
@click.argument("name")
@common
def why(shared: Shared, name: str) -> None:
    """Say step by step why plugin NAME is used or not: where it was found, and what was decided."""
    found = _found_or_required(all_plugins(shared), name)
    if shared.json:
        print_json(
            [
                {
                    **_identity(record),
                    "reasons": [{"step": reason.step, "told": reason.told} for reason in record.chain],
                }
                for record in found
            ]
        )
        return
    for number, record in enumerate(found):
        print_text("\n" * bool(number) + f"{one_line(record.label)} is {record.state}")
        for reason in record.chain:
            print_text(f"  {reason.step + ':':<11} {one_line(reason.told)}")


def _found_or_required(plugins: PluginManager, name: str) -> Sequence[PluginRecord]:
    """Find what is installed; of what is required and is not, say that."""
    try:
        return find_plugins(plugins.records, name)
    except UnknownName:
        for error in plugins.requirements():
            if error.plugin == name:
                raise error from None
        raise


@click.command()
@click.argument("hook")
@common
def order(shared: Shared, hook: str) -> None:
    """Say who is called for HOOK, in which order, and why."""
    spec = _spec(hook)
    records = all_plugins(shared).records
    implementing = [record for record in records if hook in record.hooks]
    called = [record for record in implementing if record.usable]
    missed = [record for record in implementing if not record.usable]
    offers = hook in OFFER_HOOKS.values()
    perhaps = [] if offers else [record for record in records if record.usable and record.offered(SESSION_PLUGINS)]
    if shared.json:
        print_json(
            {
                "hook": hook,
                "kind": hook_info(spec).kind,
                "called": [{**_identity(record), "why": _place(record)} for record in called],
                "not_called": [{**_identity(record), "reason": record.reason} for record in missed],
                "session_plugins": [_identity(record) for record in perhaps],
            }
        )
        return
    print_text(f"{hook} is {_KINDS[hook_info(spec).kind]}")
    rows = [
        (number, record.name, record.distribution, record.version, _place(record))
        for number, record in enumerate(called, 1)
    ]
    print_table(("", "NAME", "DISTRIBUTION", "VERSION", "WHY"), rows)
    if not called:
        print_text("no plugin's manifest names it")
    for record in missed:
        print_text(f"not called: {one_line(record.label)} is {record.state}: {one_line(record.reason)}")
    if perhaps:
        labels = ", ".join(one_line(record.label) for record in perhaps)
        print_text(f"a session plugin may handle it, too, which only an open session knows: {labels}")


def _spec(hook: str) -> Callable[..., Any]:
    from lash_hookspecs.specs import all_specs

    specs = all_specs()
    if hook not in specs:
        near = did_you_mean(hook, specs) or "."
        raise UnknownName(f"no hook is named {hook!r}{near} The hooks are: {', '.join(sorted(specs))}")
    return specs[hook]


def _place(record: PluginRecord) -> str:
    return next((reason.told for reason in record.chain if reason.step == "ordered"), "")


def _identity(record: PluginRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "state": record.state,
        "imported": record.import_ms is not None,
    }


def _shown(record: PluginRecord, settings: Sequence[str]) -> dict[str, Any]:
    manifest = record.manifest
    return {
        **_identity(record),
        "reason": record.reason,
        "origin": record.origin,
        "value": record.value,
        "manifest": str(record.manifest_file) if record.manifest_file else None,
        "requires_api": manifest.requires_api if manifest else None,
        "offers": {kind: list(names) for kind, names in manifest.offers.items()} if manifest else {},
        "hooks": sorted(record.hooks),
        "before": list(manifest.before) if manifest else [],
        "after": list(manifest.after) if manifest else [],
        "settings_model": (manifest.settings_model or None) if manifest else None,
        "settings_that_are_set": list(settings),
        "metadata": _metadata(record),
    }


def _metadata(record: PluginRecord) -> dict[str, list[str]]:
    if record.origin == "local file":
        return {}
    try:
        told = importlib.metadata.metadata(record.distribution)
        return {field: values for field in _FIELDS if (values := told.get_all(field))}
    except Exception:  # noqa: BLE001  broken metadata are told by the reason
        return {}


def _print_values(document: Mapping[str, Any], indent: str = "  ") -> None:
    for key, value in document.items():
        words = key.replace("_", " ") if indent == "  " else key
        if isinstance(value, Mapping) and value:
            print_text(f"{indent}{one_line(words)}:")
            _print_values(value, indent + "  ")
        elif value not in (None, "", [], {}):
            told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            print_text(f"{indent}{one_line(words)}: {one_line(told)}")

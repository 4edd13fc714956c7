"""``lash plugins``: what is installed, told from manifests; no plugin is imported."""

from __future__ import annotations

import click

from lash_core.cli.options import Shared, common
from lash_core.cli.output import one_line, print_json, print_table, to_stderr
from lash_core.cli.plugin_check import check_plugins
from lash_core.cli.plugin_details import order, show, why
from lash_core.cli.plugin_lock import lock_plugins, verify_plugins
from lash_core.cli.plugin_lookup import all_plugins
from lash_core.cli.plugin_new import new
from lash_core.cli.plugin_settings import config_plugin
from lash_core.cli.plugin_switches import disable, enable
from lash_core.plugins import PluginRecord

__all__ = ["plugins"]


@click.group()
@common
def plugins(shared: Shared) -> None:
    """Show the installed plugins, and say which may be used."""


@plugins.command("list")
@common
def list_plugins(shared: Shared) -> None:
    """List the installed plugins with state and reason; imports none and exits 0 whatever they are like.

    --json shows long offers in full. What is required and cannot be used is told on stderr.
    """
    found = all_plugins(shared)
    records = [record for record in found.records if record.origin != "app"]
    if shared.json:
        print_json([_document(record) for record in records])
    elif not records:
        to_stderr("no plugins are installed; the usual ones come with: pip install 'lash-core[standard]'")
    else:
        print_table(
            ("NAME", "DISTRIBUTION", "VERSION", "STATE", "OFFERS", "REASON"),
            [
                (record.name, record.distribution, record.version, record.state, _offers(record), record.reason)
                for record in records
            ],
        )
    for error in found.requirements():
        to_stderr(f"lash: {error.message}")


def _offers(record: PluginRecord) -> str:
    offers = record.manifest.offers if record.manifest else {}
    return one_line("; ".join(f"{kind}: {', '.join(names)}" for kind, names in offers.items()), 60)


def _document(record: PluginRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "state": record.state,
        "reason": record.reason,
        "offers": dict(record.manifest.offers) if record.manifest else {},
        "hooks": sorted(record.hooks),
        "requires_api": record.manifest.requires_api if record.manifest else None,
        "origin": record.origin,
        "value": record.value,
    }


for command in (
    show,
    why,
    order,
    config_plugin,
    check_plugins,
    disable,
    enable,
    lock_plugins,
    verify_plugins,
    new,
):
    plugins.add_command(command)

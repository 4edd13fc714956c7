"""``lash plugins``: what is installed, told from manifests; no plugin is imported."""

from __future__ import annotations

import click

from lash_core.cli.options import Shared, common
from lash_core.cli.output import one_line, print_json, print_table, to_stderr
from lash_core.cli.plugin_new import new
from lash_core.plugins import PluginManager, PluginRecord

__all__ = ["plugins"]


@click.group()
@common
def plugins(shared: Shared) -> None:
    """Show the installed plugins."""


plugins.add_command(new)


@plugins.command("list")
@common
def list_plugins(shared: Shared) -> None:
    """List the installed plugins with state and reason; imports none and exits 0 whatever they are like.

    --json shows long offers in full.
    """
    records = PluginManager.discover(shared.settings().plugins).records
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
        "value": record.value,
    }

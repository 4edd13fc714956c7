"""``lash store migrate``: make a store's tables, or bring them to this version (S10)."""

from __future__ import annotations

from typing import Any

import click
from lash_hookspecs.records.store import Migration

from lash_core.app.stores import migrate_backend
from lash_core.builtins import BUILTINS
from lash_core.cli.opening import run_async
from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text
from lash_core.config import locate_store, make_default_store
from lash_core.plugins import PluginManager

__all__ = ["migrate"]


@click.command()
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@common
def migrate(shared: Shared, dry_run: bool) -> None:
    """Make the store's tables, or bring them to this version.

    A PostgreSQL database is made and changed by this command alone; a SQLite file also by opening it.
    """
    settings = shared.settings()
    location = locate_store(settings)
    plugins = PluginManager.discover(settings.plugins, builtins=BUILTINS)
    if not dry_run:
        make_default_store(location)
    told = run_async(migrate_backend(plugins, location.url, dry_run), shared)
    if shared.json:
        print_json(_document(location.shown, told, dry_run))
        return
    if told is None:
        print_text(f"{location.shown}: a store of this kind has no schema")
    elif not told.steps:
        print_text(f"{location.shown}: schema version {told.version}, nothing to do")
    elif dry_run:
        print_text(f"{location.shown}: {_change(told)} would take {len(told.steps)} steps")
        for step in told.steps:
            print_text(f"{step};")
    else:
        print_text(f"{location.shown}: {_change(told)}, {len(told.steps)} steps")


def _change(told: Migration) -> str:
    before = "no schema" if told.found is None else f"schema version {told.found}"
    return f"{before} → version {told.version}"


def _document(shown: str, told: Migration | None, dry_run: bool) -> dict[str, Any]:
    return {
        "store": shown,
        "found": told.found if told else None,
        "version": told.version if told else None,
        "steps": list(told.steps) if told else [],
        "applied": bool(told and told.applied),
        "dry_run": dry_run,
    }

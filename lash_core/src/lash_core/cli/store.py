"""``lash store``: the store as a whole; its commands are joined to the group here."""

from __future__ import annotations

import click

from lash_core.cli.options import Shared, common
from lash_core.cli.store_checks import check, stats
from lash_core.cli.store_copies import backup, copy
from lash_core.cli.store_migrate import migrate
from lash_core.cli.store_retention import gc, hide, prune, vacuum

__all__ = ["store"]


@click.group()
@common
def store(shared: Shared) -> None:
    """Look after the store: migrate, check, clean up, back up, copy."""


for _command in (migrate, stats, check, hide, vacuum, gc, prune, backup, copy):
    store.add_command(_command)

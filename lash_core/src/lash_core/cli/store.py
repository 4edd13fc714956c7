"""``lash store``: the store as a whole; its commands are joined to the group here."""

from __future__ import annotations

import click

from lash_core.cli.options import Shared, common
from lash_core.cli.store_migrate import migrate

__all__ = ["store"]


@click.group()
@common
def store(shared: Shared) -> None:
    """Look after the store: migrate."""


for _command in (migrate,):
    store.add_command(_command)

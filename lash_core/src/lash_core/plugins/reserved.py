"""Names that belong to Lash itself."""

from __future__ import annotations

from collections.abc import Iterable

from lash_core.commands import COMMANDS
from lash_core.plugins.records import PluginRecord

__all__ = ["refuse_core_commands"]


def refuse_core_commands(records: Iterable[PluginRecord]) -> None:
    """Mark the plugins that offer a command which Lash has itself; what else they offer can be used."""
    for record in records:
        taken = [name for name in record.offered("commands") if name in COMMANDS]
        if taken and record.usable:
            told = ", ".join(repr(name) for name in taken)
            record.settle(
                "conflicting", "claims", f"command {told} is one of lash itself and stays so; give it another name"
            )

"""Which plugin somebody means."""

from __future__ import annotations

from collections.abc import Sequence

from lash_hookspecs.errors import PluginConflict, UnknownName

from lash_core.plugins.manifest import did_you_mean
from lash_core.plugins.records import PluginRecord

__all__ = ["find_plugin"]


def find_plugin(records: Sequence[PluginRecord], name: str) -> PluginRecord:
    """Find a plugin by ``name`` or ``distribution/name``.

    Raises:
        UnknownName: There is none.
        PluginConflict: There are two.
    """
    found = [record for record in records if name in (record.name, record.identity)]
    if not found:
        near = did_you_mean(name, {record.name for record in records})
        raise UnknownName(f"no plugin is named {name!r}{near}; `lash plugins list` shows which there are")
    if len(found) > 1:
        told = " or ".join(record.identity for record in found)
        raise PluginConflict(f"{len(found)} plugins are named {name!r}; say which: {told}", plugin=name)
    return found[0]

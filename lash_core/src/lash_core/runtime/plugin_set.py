"""The plugins that a session was committed with last, held against those that take part now (P8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs.errors import PluginError
from lash_hookspecs.records.events import PluginsChanged
from lash_hookspecs.records.state import PluginFingerprint

from lash_core.plugins.fingerprints import PluginChanges, check_policy, compare_plugins
from lash_core.runtime.reading import read_record

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["changed_plugins", "told_of"]


async def changed_plugins(session: OpenSession) -> PluginChanges:
    """Compare the plugins of the newest commit with those that take part now.

    Raises:
        PluginError: They differ, and the environment's policy is ``strict``.
        PolicyError: The environment's policy is none.
    """
    policy = check_policy(session.env.plugin_policy)
    revision = session.resident.revision
    if revision is None:
        return PluginChanges()
    records = await session.store.records(after=revision - 1, limit=1)
    if not records:  # somebody pruned it
        return PluginChanges()
    changes = compare_plugins(read_record(records[0]).plugins, session.fingerprint)
    if changes.refused_by(policy):
        raise PluginError(
            f"session {session.session_id!r} was committed with other plugins: {changes.describe()}; bring those back, "
            "or open it with plugin_policy='compatible'",
            session_id=session.session_id,
            step="open",
        )
    return changes


def told_of(changes: PluginChanges) -> PluginsChanged:
    """Give the event that the next commit stores."""
    return PluginsChanged(
        added=tuple(_named(each) for each in changes.added),
        removed=tuple(_named(each) for each in changes.removed),
        changed=tuple(
            f"{each.stored.distribution}/{each.stored.name} {each.stored.version} → {each.present.version}"
            for each in changes.changed
        ),
    )


def _named(plugin: PluginFingerprint) -> str:
    return f"{plugin.distribution}/{plugin.name} {plugin.version}"

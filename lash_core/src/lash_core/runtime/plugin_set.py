"""The plugins that take part in a session, beside those that its last commit was made with (P8)."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from lash_hookspecs.errors import ConfigurationError, PluginError
from lash_hookspecs.records.events import PluginsChanged
from lash_hookspecs.records.state import PluginFingerprint, SessionConfig
from lash_hookspecs.specs.offers import ToolOffer

from lash_core.plugins.fingerprints import PluginChanges, compare_plugins
from lash_core.runtime.reading import plugins_at

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["PluginSet"]

_log = logging.getLogger("lash.runtime")

Fingerprints = tuple[PluginFingerprint, ...]


class PluginSet:
    """Who takes part in one open session, and who did when it was committed last.

    The last commit is read once, at the opening; after that it is known from the session's own commits, and read again
    where somebody else has committed.
    """

    def __init__(self, session: OpenSession) -> None:
        """Look at a session; nothing is read or imported yet."""
        self._session = session
        self._present: tuple[tuple[str, str], Fingerprints] | None = None
        self._stored: tuple[int | None, Fingerprints] | None = None

    @cached_property
    def tool_sets(self) -> tuple[ToolOffer, ...]:
        """The plugins' sets of tools that the session has."""
        env = self._session.env
        return tuple(env.plugins.tools(env.tool_sets))

    def of(self, config: SessionConfig) -> Fingerprints:
        """Give the plugins that take part with a configuration, in the order of calls.

        The plugin of a model that cannot be used is left out: a turn says what is wrong with its model, and nothing
        else needs one.

        Raises:
            UnknownName, PluginError: The mode cannot be used.
        """
        key = (config.mode, config.model.partition(":")[0])
        if self._present is None or self._present[0] != key:
            plugins, names = self._session.env.plugins, [offer.name for offer in self.tool_sets]
            try:
                found = plugins.taking_part(mode=key[0], provider=key[1], tool_sets=names)
            except ConfigurationError:
                found = plugins.taking_part(mode=key[0], tool_sets=names)
            self._present = (key, found)
        return self._present[1]

    async def compare(self) -> PluginChanges:
        """Compare those of the last commit with those that take part now.

        Raises:
            PluginError: They differ, and the environment's policy is ``strict``.
            UnreadableData: The record of the last commit cannot be read (S9).
        """
        session = self._session
        changes = await self._changes(self.of(session.config))
        if changes.refused_by(session.env.plugin_policy):
            raise PluginError(
                f"session {session.session_id!r} was committed with other plugins than are here, which the policy "
                f"'strict' refuses: {changes.describe()}; install the same ones, or open it with 'compatible'",
                session_id=session.session_id,
                step="open",
            )
        self._warn_of_missing(changes)
        return changes

    def _warn_of_missing(self, changes: PluginChanges) -> None:
        """Say which plugins cannot be used any more: one may be a guard."""
        session = self._session
        known = {record.identity: record for record in session.env.plugins.records}
        for gone in changes.removed:
            record = known.get(_name(gone))
            if record is None or not record.usable:
                why = f"it is {record.state}: {record.reason}" if record is not None else "it is not installed"
                message = "session %s was committed with plugin %s, which takes no part now: %s"
                _log.warning(message, session.session_id, _name(gone), why)

    async def events(self, present: Fingerprints) -> tuple[PluginsChanged, ...]:
        """Give what the next commit has to say of it: nothing when it is made with the same plugins as the last."""
        changes = await self._changes(present)
        return (_event(changes),) if changes else ()

    def committed(self, present: Fingerprints) -> None:
        """Remember what the last commit, which is the session's own, was made with."""
        self._stored = (self._session.resident.revision, present)

    async def _changes(self, present: Fingerprints) -> PluginChanges:
        revision = self._session.resident.revision
        if self._stored is None or self._stored[0] != revision:
            self._stored = (revision, await plugins_at(self._session.store, revision))
        stored = self._stored[1]
        # A session always has a mode, and so a plugin: without any, nobody wrote down who took part.
        return compare_plugins(stored, present) if stored and stored != present else PluginChanges()


def _event(changes: PluginChanges) -> PluginsChanged:
    return PluginsChanged(
        added=tuple(f"{_name(each)} {each.version}" for each in changes.added),
        removed=tuple(f"{_name(each)} {each.version}" for each in changes.removed),
        changed=tuple(f"{_name(each.present)} {_difference(each.stored, each.present)}" for each in changes.changed),
        reordered=changes.reordered,
    )


def _name(plugin: PluginFingerprint) -> str:
    return f"{plugin.distribution}/{plugin.name}"


def _difference(stored: PluginFingerprint, present: PluginFingerprint) -> str:
    if stored.version == present.version:
        return f"hook API {stored.api} → {present.api}"
    return f"{stored.version} → {present.version}"

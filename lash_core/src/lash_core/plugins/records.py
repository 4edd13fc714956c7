"""What is known of a plugin, and what the settings say about plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from lash_hookspecs.errors import PluginError
from lash_hookspecs.settings import SettingsTable

from lash_core.plugins.lockfile import LOCKFILE
from lash_core.plugins.manifest import Manifest
from lash_core.version import DISTRIBUTION, core_version

__all__ = ["Builtin", "PluginRecord", "PluginSettings", "State"]

State = Literal["active", "disabled", "incompatible", "failed", "conflicting"]


@attrs.frozen(kw_only=True)
class PluginSettings:
    """The settings that are about plugins.

    Attributes:
        disabled: Plugins that are never imported, as ``name`` or ``distribution/name``.
        settled: Kind → name → the distribution that a conflict over the name goes to.
        tables: Plugin name → its own table, ``[lash.plugin.NAME]``. Kept out of reprs: it may hold secrets.
        locked: Whether nothing may be imported but what the lock file has, as it has it.
        file: The settings file, for messages; ``None`` when an app said it.
        variables: The environment variables that are about plugins' own settings. Kept out of reprs.
    """

    disabled: tuple[str, ...] = ()
    settled: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    tables: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict, repr=lambda tables: repr(sorted(tables)))
    locked: bool = False
    file: Path | None = None
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=lambda variables: repr(sorted(variables)))

    @property
    def lock_file(self) -> Path:
        """The lock file: beside the settings file, else in the current folder."""
        return (self.file.parent if self.file else Path.cwd()) / LOCKFILE

    def table(self, name: str) -> SettingsTable:
        """Give what is said to one plugin."""
        return SettingsTable(
            self.tables.get(name, {}), plugin=name, file=str(self.file or ""), variables=self.variables
        )


@attrs.frozen(kw_only=True)
class Builtin:
    """A plugin that an app hands over itself; always allowed.

    Attributes:
        name: Its name.
        target: A module or object with hook implementations, or ``package.module[:attribute]``, imported when needed.
        hooks: The hooks that it implements besides those that ``offers`` implies.
        offers: Kind → names, as in a manifest.
    """

    name: str
    target: Any
    hooks: tuple[str, ...] = ()
    offers: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)

    def record(self) -> PluginRecord:
        """Give its record; the core's distribution stands for it."""
        target = self.target
        return PluginRecord(
            distribution=DISTRIBUTION,
            version=core_version(),
            name=self.name,
            value=target if isinstance(target, str) else getattr(target, "__name__", repr(type(target))),
            manifest=Manifest(hooks=self.hooks, offers=self.offers),
        )


@attrs.define(kw_only=True)
class PluginRecord:
    """One plugin, found but perhaps never imported.

    Attributes:
        distribution: Who ships it.
        version: That distribution's version.
        name: The entry point's name.
        value: What the entry point refers to.
        manifest: What it says about itself; ``None`` when that is missing or wrong.
        state: Whether it can be used. A ``conflicting`` plugin can, except for the names in conflict.
        reason: Why the state is not ``active``.
        error: The exception that made it fail, if any.
        missed: Whether it is counted on though it cannot be used: no session that it takes part in opens without it.
    """

    distribution: str
    version: str
    name: str
    value: str
    manifest: Manifest | None = None
    state: State = "active"
    reason: str = ""
    error: BaseException | None = None
    missed: bool = False

    @property
    def identity(self) -> str:
        """``distribution/name``, unique."""
        return f"{self.distribution}/{self.name}"

    @property
    def label(self) -> str:
        """The plugin for messages: ``plugin 'redis' (lash-redis 1.2)``."""
        return f"plugin {self.name!r} ({self.distribution} {self.version})"

    @property
    def usable(self) -> bool:
        """Whether it may be imported."""
        return self.manifest is not None and self.state in ("active", "conflicting")

    @property
    def hooks(self) -> frozenset[str]:
        """The hooks that its manifest says it implements."""
        return self.manifest.all_hooks if self.manifest else frozenset()

    def offered(self, kind: str) -> tuple[str, ...]:
        """Give the names of a kind that the manifest offers."""
        return self.manifest.offers.get(kind, ()) if self.manifest else ()

    def settle(self, state: State, reason: str, error: BaseException | None = None) -> None:
        """Change the state; reasons of a plugin that has one already are kept before the new one."""
        self.state = state
        self.reason = f"{self.reason}; {reason}" if self.reason else reason
        self.error = error or self.error

    def fail(self, reason: str, *, step: str, error: BaseException | None = None) -> PluginError:
        """Mark it as failed and give the error for whoever needs it."""
        self.state, self.reason, self.error = "failed", reason, error
        return self.unusable(step)

    def unusable(self, step: str | None = None) -> PluginError:
        """Give the error for somebody who needs it although it cannot be used."""
        error = PluginError(f"{self.label} is {self.state}: {self.reason}", plugin=self.name, step=step)
        error.__cause__ = self.error
        return error

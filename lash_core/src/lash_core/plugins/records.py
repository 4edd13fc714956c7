"""What is known of a plugin, and what the settings say about plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from lash_hookspecs.errors import PluginError
from lash_hookspecs.settings import SettingsTable
from lash_hookspecs.version import HOOKSPEC_API

from lash_core.plugins.lockfile import LOCKFILE
from lash_core.plugins.manifest import IncompatibleApi, Manifest, ManifestError
from lash_core.version import DISTRIBUTION, core_version

__all__ = ["LOCAL", "Builtin", "Origin", "PluginRecord", "PluginSettings", "Reason", "State", "Step"]

State = Literal["active", "disabled", "incompatible", "failed", "conflicting"]

#: Where a plugin came from: the app itself, an installed distribution, a file that the settings name.
Origin = Literal["app", "entry point", "local file"]

#: What was decided about a plugin, in this order.
Step = Literal["found", "shadowed", "described", "compatible", "locked", "allowed", "ordered", "claims", "imported"]

#: Stands for the distribution of a plugin in a single file; no distribution can have this name.
LOCAL = "(local)"


@attrs.frozen(kw_only=True)
class PluginSettings:
    """The settings that are about plugins.

    A plugin is named in a list by ``name``, ``distribution`` or ``distribution/name``.

    Attributes:
        allow: The only installed and local plugins that may be imported; ``None`` allows all.
        deny: Plugins that are never imported.
        default_deny: Whether nothing is imported but what ``allow`` names and the app's own parts.
        required: Plugins without which no other plugin is used either.
        disabled: Plugins that are never imported; ``lash plugins disable`` writes this list.
        local_plugins: Files with one plugin each.
        locked: Whether nothing may be imported but what the lock file has, as it has it.
        table: The settings' table, for messages.
        file: The settings file, for messages; ``None`` when an app said it.
        settled: Kind → name → the distribution that a conflict over the name goes to.
        tables: Plugin name → its own table, ``[lash.plugin.NAME]``. Kept out of reprs: it may hold secrets.
        variables: The environment variables that are about plugins' own settings. Kept out of reprs.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    default_deny: bool = False
    required: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    local_plugins: tuple[Path, ...] = ()
    locked: bool = False
    table: str = "lash.plugins"
    file: Path | None = None
    settled: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    tables: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict, repr=lambda tables: repr(sorted(tables)))
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=lambda variables: repr(sorted(variables)))

    @property
    def lock_file(self) -> Path:
        """The lock file: beside the settings file, else in the current folder."""
        return (self.file.parent if self.file else Path.cwd()) / LOCKFILE

    def table_of(self, name: str) -> SettingsTable:
        """Give what is said to one plugin."""
        return SettingsTable(
            self.tables.get(name, {}), plugin=name, file=str(self.file or ""), variables=self.variables
        )

    def where(self, key: str) -> str:
        """Name a key for messages: ``[lash.plugins] deny of /home/ann/lash.toml``."""
        return f"[{self.table}] {key}{f' of {self.file}' if self.file else ''}"


@attrs.frozen
class Reason:
    """One link of the chain of reasons why a plugin is what it is.

    Attributes:
        step: What was decided.
        told: How, and why.
    """

    step: Step
    told: str


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
        record = PluginRecord(
            distribution=DISTRIBUTION,
            version=core_version(),
            name=self.name,
            value=target if isinstance(target, str) else getattr(target, "__name__", repr(type(target))),
            manifest=Manifest(hooks=self.hooks, offers=self.offers),
            origin="app",
        )
        record.note("found", "it is a part of the app")
        return record


@attrs.define(kw_only=True)
class PluginRecord:
    """One plugin, found but perhaps never imported.

    Attributes:
        distribution: Who ships it.
        version: That distribution's version.
        name: The entry point's name.
        value: What the entry point refers to; of a local file, its path.
        origin: Where it came from.
        manifest_file: The file that its manifest stands in, if there is one.
        manifest: What it says about itself; ``None`` when that is missing or wrong.
        state: Whether it can be used. A ``conflicting`` plugin can, except for the names in conflict.
        reason: Why the state is not ``active``.
        error: The exception that made it fail, if any.
        missed: Whether it is counted on though it cannot be used: no session that it takes part in opens without it.
        import_ms: How long its import took, in milliseconds; ``None`` when it was not imported.
        notes: What was decided so far; read `chain`.
    """

    distribution: str
    version: str
    name: str
    value: str
    origin: Origin = "entry point"
    manifest_file: Path | None = None
    manifest: Manifest | None = None
    state: State = "active"
    reason: str = ""
    error: BaseException | None = None
    missed: bool = False
    import_ms: float | None = None
    notes: list[Reason] = attrs.field(factory=list, repr=False)

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
    def is_barred(self) -> bool:
        """Whether the settings or the lock file forbid its import."""
        return any(reason.step in ("locked", "allowed") and reason.told.startswith("no:") for reason in self.notes)

    @property
    def hooks(self) -> frozenset[str]:
        """The hooks that its manifest says it implements."""
        return self.manifest.all_hooks if self.manifest else frozenset()

    def offered(self, kind: str) -> tuple[str, ...]:
        """Give the names of a kind that the manifest offers."""
        return self.manifest.offers.get(kind, ()) if self.manifest else ()

    @property
    def chain(self) -> tuple[Reason, ...]:
        """The reasons why it is what it is, from where it was found to whether it was imported."""
        if self.import_ms is not None:
            return (*self.notes, Reason("imported", f"yes, in {self.import_ms:.1f} ms"))
        tried = any(reason.step == "imported" for reason in self.notes)
        return tuple(self.notes) if tried else (*self.notes, Reason("imported", "no, it was not imported"))

    def note(self, step: Step, told: str) -> None:
        """Add a reason to the chain."""
        self.notes.append(Reason(step, told))

    def describe(self, read: Callable[[], Manifest]) -> None:
        """Read its manifest; whatever is wrong with it becomes its state and reason."""
        try:
            self.manifest = read()
        except IncompatibleApi as error:
            self.settle("incompatible", "compatible", str(error))
        except ManifestError as error:
            self.settle("failed", "described", str(error))
        else:
            self.note("described", f"by {self.manifest_file}")
            self.note("compatible", _compatible(self.manifest.requires_api))

    def settle(self, state: State, step: Step, reason: str) -> None:
        """Change the state; reasons of a plugin that has one already are kept before the new one."""
        self.state = state
        self.reason = f"{self.reason}; {reason}" if self.reason else reason
        self.note(step, f"no: {reason}")

    def fail(self, reason: str, *, step: str, error: BaseException | None = None) -> PluginError:
        """Mark it as failed and give the error for whoever needs it."""
        self.state, self.reason, self.error = "failed", reason, error
        self.note("imported", f"it failed at {step}: {reason}")
        return self.unusable(step)

    def unusable(self, step: str | None = None) -> PluginError:
        """Give the error for somebody who needs it although it cannot be used."""
        error = PluginError(f"{self.label} is {self.state}: {self.reason}", plugin=self.name, step=step)
        error.__cause__ = self.error
        return error


def _compatible(required: str) -> str:
    return f"needs hook API {required}; this lash-core {core_version()} implements {HOOKSPEC_API}"

"""Imports plugins, each once and only when it is needed, and asks them for their offers."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lash_hookspecs.errors import PluginConflict
from lash_hookspecs.settings import SettingsTable
from lash_hookspecs.specs.offers import OfferContext

from lash_core.plugins.calls import what_happened
from lash_core.plugins.installed import GROUP
from lash_core.plugins.local import import_local
from lash_core.plugins.locking import refuse_changed
from lash_core.plugins.manifest import OFFER_HOOKS, did_you_mean
from lash_core.plugins.offers import call_offer, compare, names_of
from lash_core.plugins.records import Builtin, PluginRecord, PluginSettings
from lash_core.plugins.registration import Invalid, Registry
from lash_core.plugins.settings_models import check_settings
from lash_core.version import HOOKSPEC_API

__all__ = ["Loader", "described"]


class Loader:
    """The plugins that were imported, and what they offer."""

    def __init__(
        self,
        records: Sequence[PluginRecord],
        targets: Mapping[str, Any],
        settings: PluginSettings,
        specs: Iterable[Callable[..., Any]] = (),
    ) -> None:
        self._records = records
        self._targets = targets
        self._settings = settings
        self._more_specs = tuple(specs)
        self._implementations: dict[str, dict[str, Callable[..., Any]]] = {}
        self._offers: dict[tuple[str, str], list[Any]] = {}
        self._tables: dict[str, SettingsTable] = {}

    @cached_property
    def registry(self) -> Registry:
        """The hook specifications; they are imported with the first plugin."""
        return Registry(self._more_specs)

    @property
    def loaded(self) -> Collection[str]:
        """The identities of the plugins that were imported."""
        return self._implementations.keys()

    def load(self, record: PluginRecord) -> dict[str, Callable[..., Any]]:
        """Import and register a plugin, once; its implementations by hook.

        Raises:
            PluginError: It cannot be used.
        """
        if not record.usable:
            raise record.unusable("import")
        if record.identity not in self._implementations:
            if self._settings.locked and record.identity not in self._targets and (told := refuse_changed(record)):
                raise record.fail(told, step="import")
            try:
                plugin = _import(record, self._targets)
                self._implementations[record.identity] = self._register(record, plugin)
            except Invalid as error:
                raise record.fail(str(error), step="register") from None
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # a plugin's sys.exit must not end the host
                raise record.fail(
                    f"it cannot be imported: {what_happened(error)}", step="import", error=error
                ) from error
            check_settings(record, self.table(record))
        return self._implementations[record.identity]

    def offers(self, record: PluginRecord, kind: str) -> list[Any]:
        """Ask a plugin for its offers of a kind, once; imports it.

        Raises:
            PluginError: It cannot be used.
        """
        key = (record.identity, kind)
        if key not in self._offers:
            function = self.load(record)[OFFER_HOOKS[kind]]
            context = OfferContext(api=HOOKSPEC_API, settings=self.table(record))
            try:
                made = call_offer(OFFER_HOOKS[kind], function, context)
                compare(kind, record.offered(kind), made)
            except Invalid as error:
                raise record.fail(str(error), step="offer") from None
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # a plugin's sys.exit must not end the host
                raise record.fail(
                    f"{OFFER_HOOKS[kind]} failed: {what_happened(error)}", step="offer", error=error
                ) from error
            self._offers[key] = made
        return self._offers[key]

    def _register(self, record: PluginRecord, plugin: object) -> dict[str, Callable[..., Any]]:
        found = self.registry.check(plugin)
        declared = record.hooks
        known = self.registry.specs
        for hook in sorted(declared ^ found.keys()):
            where = "the manifest lists it" if hook in declared else "the plugin implements it"
            lacks = "the plugin does not implement it" if hook in declared else "the manifest does not list it"
            raise Invalid(f"hook {hook}: {where}, but {lacks}{did_you_mean(hook, known) if hook not in known else ''}")
        self.registry.register(plugin, record.identity)
        return found

    def table(self, record: PluginRecord) -> SettingsTable:
        """Give what the settings say to a plugin.

        Raises:
            PluginConflict: It may be meant for another plugin of the same name.
        """
        if record.identity not in self._tables:
            self._tables[record.identity] = self._table(record)
        return self._tables[record.identity]

    def _table(self, record: PluginRecord) -> SettingsTable:
        table = self._settings.table_of(record.name)
        if table and any(other is not record and other.usable and other.name == record.name for other in self._records):
            raise PluginConflict(f"[lash.plugin.{record.name}] may be meant for either: {record.reason}")
        return table


def _import(record: PluginRecord, targets: Mapping[str, Any]) -> object:
    target = targets.get(record.identity, record.value)
    if not isinstance(target, str):
        return target
    began = time.perf_counter()
    if record.origin == "local file":
        plugin: object = import_local(Path(target))
    else:
        plugin = importlib.metadata.EntryPoint(record.name, target, GROUP).load()
    record.import_ms = (time.perf_counter() - began) * 1000
    return plugin


def described(plugin: object, number: int, settings: PluginSettings, registry: Registry) -> Builtin:
    """Make a manifest for an object that has none, by asking it."""
    name = getattr(plugin, "__name__", None) or f"{type(plugin).__name__}-{number}"
    part = Builtin(name=name.rpartition(".")[2], target=plugin)
    record = part.record()
    context = OfferContext(api=HOOKSPEC_API, settings=settings.table_of(part.name))
    try:
        found = registry.check(plugin)
        offers = {
            kind: tuple(name for offer in call_offer(hook, found[hook], context) for name in names_of(offer))
            for kind, hook in OFFER_HOOKS.items()
            if hook in found
        }
    except Invalid as error:
        raise record.fail(str(error), step="register") from None
    return Builtin(name=part.name, target=plugin, hooks=tuple(found), offers=offers)

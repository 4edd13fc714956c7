"""The plugin manager: an object that an app builds; none exists at module level."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lash_hookspecs.errors import PluginConflict, PluginError
from lash_hookspecs.markers import hook_info
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, ProviderOffer, StoreOffer, ToolOffer
from lash_hookspecs.version import HOOKSPEC_API

from lash_core.plugins.calls import Handler, may_suspend, tell, what_happened
from lash_core.plugins.claims import Claims
from lash_core.plugins.discovery import GROUP, discover
from lash_core.plugins.manifest import OFFER_HOOKS, SESSION_PLUGINS, Manifest, did_you_mean
from lash_core.plugins.offers import call_offer, compare, names_of
from lash_core.plugins.order import in_order
from lash_core.plugins.part_classes import PartClasses
from lash_core.plugins.records import Builtin, PluginRecord, PluginSettings
from lash_core.plugins.registration import Invalid, Registry
from lash_core.plugins.session_hooks import Participant, SessionHooks
from lash_core.plugins.watchdog import Watchdog
from lash_core.version import DISTRIBUTION, core_version

if TYPE_CHECKING:
    from lash_hookspecs.records.state import PluginFingerprint
    from lash_hookspecs.specs.offers import SessionSetup

__all__ = ["PluginManager"]

_log = logging.getLogger("lash.plugins")

_OFFERS = frozenset(OFFER_HOOKS.values())


class PluginManager:
    """All plugins of one app: which there are, who answers for a name, and who wants to be told what.

    Build one with `discover` or `for_tests`.

    Attributes:
        records: Every plugin, in the order of calls.
    """

    def __init__(
        self,
        records: Iterable[PluginRecord],
        targets: dict[str, Any],
        settings: PluginSettings,
        specs: Iterable[Callable[..., Any]] = (),
    ) -> None:
        self._settings = settings
        self._targets = targets
        self._more_specs = tuple(specs)
        self._loaded: dict[str, dict[str, Callable[..., Any]]] = {}
        self._offers: dict[tuple[str, str], list[Any]] = {}
        self._observers: dict[str, tuple[Handler, ...]] = {}
        self._watchdog = Watchdog()
        found = list(records)
        for record in found:
            if record.name in settings.disabled or record.identity in settings.disabled:
                record.settle("disabled", "listed in [lash.plugins] disabled")
        self.records: Sequence[PluginRecord] = tuple(in_order(found))
        self._claims = Claims(self.records, settings)
        # Told once, so that a plugin that fails later is missed rather than passed over: it may be a guard.
        self._listening = tuple(record for record in self.records if record.usable and _listens(record))

    @classmethod
    def discover(cls, settings: PluginSettings | None = None, *, builtins: Iterable[Builtin] = ()) -> PluginManager:
        """Find the installed plugins; imports none and never raises because of one.

        Args:
            settings: What the settings say about plugins.
            builtins: The app's own parts, always allowed.
        """
        parts = tuple(builtins)
        records = [_builtin_record(part) for part in parts]
        targets = {record.identity: part.target for record, part in zip(records, parts, strict=True)}
        return cls([*records, *discover()], targets, settings or PluginSettings())

    @classmethod
    def for_tests(
        cls,
        plugins: Iterable[object] = (),
        *,
        settings: PluginSettings | None = None,
        specs: Iterable[Callable[..., Any]] = (),
    ) -> PluginManager:
        """Build a manager of exactly these plugins; nothing is discovered.

        Args:
            plugins: Modules or objects with hook implementations, or `Builtin` values. What a module or object offers
                is found by asking it at once.
            settings: What the settings say about plugins.
            specs: More hook specifications, of a test's own.

        Raises:
            PluginError: One of them breaks a rule of the hook API.
        """
        settings = settings or PluginSettings()
        registry = Registry(specs)
        records: list[PluginRecord] = []
        targets: dict[str, Any] = {}
        for number, plugin in enumerate(plugins):
            part = plugin if isinstance(plugin, Builtin) else _described(plugin, number, settings, registry)
            records.append(_builtin_record(part))
            targets[records[-1].identity] = part.target
        return cls(records, targets, settings, specs)

    def store(self, scheme: str) -> StoreOffer:
        """Import the plugin of a store scheme and give its offer.

        Raises:
            UnknownName: Nobody offers it.
            PluginConflict: Two plugins do.
            PluginError: The plugin cannot be used.
        """
        offer: StoreOffer = self._offer("stores", scheme)
        return offer

    def mode(self, name: str) -> ModeOffer:
        """Import the plugin of a mode and give its offer; raises like `store`."""
        offer: ModeOffer = self._offer("modes", name)
        return offer

    def provider(self, name: str) -> ProviderOffer:
        """Import the plugin of a model provider and give its offer; raises like `store`."""
        offer: ProviderOffer = self._offer("providers", name)
        return offer

    def tools(self, names: Iterable[str] | None = None) -> list[ToolOffer]:
        """Give tool sets, importing their plugins.

        Args:
            names: The sets that are needed; without it all that can be used: one that cannot is logged and left out.

        Raises:
            UnknownName, PluginConflict, PluginError: Only for ``names``, as in `store`.
        """
        if names is not None:
            return [self._offer("tools", name) for name in names]
        offers: list[ToolOffer] = []
        for name in self._ordered_names("tools"):
            try:
                offers.append(self._offer("tools", name))
            except PluginError as error:
                _log.warning("tool set %r is left out: %s", name, error)
        return offers

    def names(self, kind: str) -> tuple[str, ...]:
        """List the names of a kind (``stores``, ``modes``, …) that plugins offer, sorted; imports nothing."""
        return self._claims.names(kind)

    async def open_session(self, setup: SessionSetup) -> SessionHooks:
        """Gather who handles what in a session, and let the plugins make their parts of it.

        Imports every plugin that wants to be called while sessions run. One that cannot be used stops the opening,
        unless it only observes: then it is logged and left out.

        Raises:
            ConfigurationError: A part needs a capability that is not there.
            PluginError: A plugin cannot be used, or cannot make its part.
        """
        return await SessionHooks.open(self._participants, setup, self._part_classes, self._watchdog)

    async def notify(self, spec: Callable[..., Any], context: object) -> None:
        """Call the module-level observers of a hook: together, isolated. Never raises because of one.

        Imports the plugins whose manifests list the hook; one that cannot be used is logged and left out.
        """
        hook = spec.__name__
        if hook not in self._observers:
            self._observers[hook] = tuple(self._find_observers(hook))
        await tell(self._observers[hook], context, hook_info(spec).deadline, self._watchdog)

    def taking_part(
        self, *, mode: str | None = None, provider: str | None = None, tool_sets: Iterable[str] = ()
    ) -> tuple[PluginFingerprint, ...]:
        """Give the plugins that a session depends on, in the order of calls (P8); imports none of them.

        These are the ones that handle hooks or make session plugins, and those that the session uses by name. The
        core's own parts are in it when they do either.

        Args:
            mode: The session's mode.
            provider: What stands before the colon of its model.
            tool_sets: Its sets of tools.

        Raises:
            UnknownName, PluginConflict, PluginError: As in `store`, for one of the names.
        """
        from lash_core.plugins.fingerprints import fingerprint_of

        asked = [("modes", mode), ("providers", provider), *(("tools", name) for name in tool_sets)]
        part = {record.identity for record in self._listening}
        part |= {self._claims.holder(kind, name).identity for kind, name in asked if name is not None}
        return tuple(fingerprint_of(record) for record in self.records if record.identity in part)

    def fingerprint(self) -> tuple[PluginFingerprint, ...]:
        """Give the plugins that were imported so far, in the order of calls."""
        from lash_core.plugins.fingerprints import fingerprint_of

        return tuple(fingerprint_of(record) for record in self.records if record.identity in self._loaded)

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._more_specs)

    @cached_property
    def _part_classes(self) -> PartClasses:
        return PartClasses(self._registry)

    @cached_property
    def _participants(self) -> tuple[Participant, ...]:
        return tuple(self._find_participants())

    def _offer(self, kind: str, name: str) -> Any:
        record = self._claims.holder(kind, name)
        return next(offer for offer in self._offers_of(record, kind) if name in names_of(offer))

    def _offers_of(self, record: PluginRecord, kind: str) -> list[Any]:
        key = (record.identity, kind)
        if key not in self._offers:
            function = self._load(record)[OFFER_HOOKS[kind]]
            context = OfferContext(api=HOOKSPEC_API, settings=self._table(record))
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

    def _table(self, record: PluginRecord) -> dict[str, object]:
        table = self._settings.tables.get(record.name)
        if table and any(other is not record and other.usable and other.name == record.name for other in self.records):
            raise PluginConflict(f"[lash.plugin.{record.name}] may be meant for either: {record.reason}")
        return dict(table or {})

    def _load(self, record: PluginRecord) -> dict[str, Callable[..., Any]]:
        """Import and register a plugin once; its implementations by hook."""
        if not record.usable:
            raise record.unusable("import")
        if record.identity not in self._loaded:
            try:
                self._loaded[record.identity] = self._register(record, _import(record, self._targets))
            except Invalid as error:
                raise record.fail(str(error), step="register") from None
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # a plugin's sys.exit must not end the host
                raise record.fail(
                    f"it cannot be imported: {what_happened(error)}", step="import", error=error
                ) from error
        return self._loaded[record.identity]

    def _register(self, record: PluginRecord, plugin: object) -> dict[str, Callable[..., Any]]:
        found = self._registry.check(plugin)
        declared = record.hooks
        known = self._registry.specs
        for hook in sorted(declared ^ found.keys()):
            where = "the manifest lists it" if hook in declared else "the plugin implements it"
            lacks = "the plugin does not implement it" if hook in declared else "the manifest does not list it"
            raise Invalid(f"hook {hook}: {where}, but {lacks}{did_you_mean(hook, known) if hook not in known else ''}")
        self._registry.register(plugin, record.identity)
        return found

    def _find_observers(self, hook: str) -> Iterable[Handler]:
        for record in self._listening:
            if hook in record.hooks:
                try:
                    yield _handler(record, hook, self._load(record)[hook])
                except PluginError as error:
                    _log.error("%s is not told of %s: %s", record.label, hook, error)

    def _find_participants(self) -> Iterable[Participant]:
        for record in self._listening:
            try:
                found = self._load(record)
                handlers = [_handler(record, hook, found[hook]) for hook in sorted(record.hooks - _OFFERS)]
                offers = self._offers_of(record, SESSION_PLUGINS) if record.offered(SESSION_PLUGINS) else []
            except PluginError as error:
                if not self._only_observes(record):
                    raise
                _log.error("%s is not told of what happens: %s", record.label, error)
            else:
                yield Participant(record, tuple(handlers), tuple(offers))

    def _only_observes(self, record: PluginRecord) -> bool:
        specs = [self._registry.specs.get(hook) for hook in record.hooks - _OFFERS]
        return not record.offered(SESSION_PLUGINS) and all(spec and hook_info(spec).kind == "observe" for spec in specs)

    def _ordered_names(self, kind: str) -> list[str]:
        return list(dict.fromkeys(name for record in self.records if record.usable for name in record.offered(kind)))


def _import(record: PluginRecord, targets: dict[str, Any]) -> object:
    target = targets.get(record.identity, record.value)
    if isinstance(target, str):
        return importlib.metadata.EntryPoint(record.name, target, GROUP).load()
    return target


def _listens(record: PluginRecord) -> bool:
    """Tell whether a plugin wants to be called while sessions run."""
    return bool(record.manifest and (record.manifest.runtime_hooks or record.offered(SESSION_PLUGINS)))


def _builtin_record(part: Builtin) -> PluginRecord:
    value = part.target if isinstance(part.target, str) else getattr(part.target, "__name__", repr(type(part.target)))
    manifest = Manifest(hooks=part.hooks, offers=part.offers)
    return PluginRecord(
        distribution=DISTRIBUTION, version=core_version(), name=part.name, value=value, manifest=manifest
    )


def _handler(record: PluginRecord, hook: str, function: Callable[..., Any]) -> Handler:
    return Handler(record.name, record.label, hook, function, may_suspend(function))


def _described(plugin: object, number: int, settings: PluginSettings, registry: Registry) -> Builtin:
    """Make a manifest for an object that has none, by asking it."""
    name = getattr(plugin, "__name__", None) or f"{type(plugin).__name__}-{number}"
    part = Builtin(name=name.rpartition(".")[2], target=plugin)
    record = _builtin_record(part)
    context = OfferContext(api=HOOKSPEC_API, settings=dict(settings.tables.get(part.name, {})))
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

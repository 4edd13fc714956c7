"""The plugin manager: an object that an app builds; none exists at module level."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lash_hookspecs.errors import PluginError
from lash_hookspecs.markers import hook_info
from lash_hookspecs.specs.offers import CommandOffer, HostOffer, ModeOffer, ProviderOffer, StoreOffer, ToolOffer

from lash_core.plugins.calls import Handler, may_suspend
from lash_core.plugins.claims import Claims
from lash_core.plugins.discovery import discover
from lash_core.plugins.hook_calls import Caller, HookCall
from lash_core.plugins.loading import Loader, described
from lash_core.plugins.locking import hold_to_lock
from lash_core.plugins.manifest import OFFER_HOOKS, SESSION_PLUGINS
from lash_core.plugins.offers import names_of
from lash_core.plugins.order import in_order
from lash_core.plugins.part_classes import PartClasses
from lash_core.plugins.permission import decide, is_required, requirements
from lash_core.plugins.records import Builtin, PluginRecord, PluginSettings
from lash_core.plugins.registration import Registry
from lash_core.plugins.reserved import refuse_core_commands
from lash_core.plugins.session_hooks import Participant, SessionHooks
from lash_core.plugins.settings_models import explain_settings
from lash_core.plugins.watchdog import Watchdog

if TYPE_CHECKING:
    from lash_hookspecs.records.state import PluginFingerprint
    from lash_hookspecs.settings import Setting
    from lash_hookspecs.specs.offers import SessionSetup

__all__ = ["PluginManager"]

_log = logging.getLogger("lash.plugins")

_OFFERS = frozenset(OFFER_HOOKS.values())


class PluginManager:
    """All plugins of one app: which there are, who answers for a name, and who wants to be told what.

    Build one with `discover` or `for_tests`.

    Attributes:
        records: Every plugin, in the order of calls.
        found: The settings and the app's parts that `discover` was given; ``None`` for a manager of exact plugins.
    """

    found: tuple[PluginSettings, tuple[Builtin, ...]] | None = None

    def __init__(
        self,
        records: Iterable[PluginRecord],
        targets: dict[str, Any],
        settings: PluginSettings,
        specs: Iterable[Callable[..., Any]] = (),
    ) -> None:
        self._watchdog = Watchdog()
        found = list(records)
        self._settings = settings
        for record in found:
            decide(record, settings)
        self.records: Sequence[PluginRecord] = tuple(in_order(found))
        self._claims = Claims(self.records, settings)
        refuse_core_commands(self.records)
        self._loader = Loader(self.records, targets, settings, specs)
        # Told once, so that a plugin that fails later is missed rather than passed over: it may be a guard.
        self._listening = tuple(record for record in self.records if _counts(record) and _listens(record))

    @classmethod
    def discover(cls, settings: PluginSettings | None = None, *, builtins: Iterable[Builtin] = ()) -> PluginManager:
        """Find the installed plugins and the local ones; imports none and never raises because of one.

        Args:
            settings: What the settings say about plugins.
            builtins: The app's own parts, always allowed.
        """
        parts = tuple(builtins)
        records = [part.record() for part in parts]
        targets = {record.identity: part.target for record, part in zip(records, parts, strict=True)}
        settings = settings or PluginSettings()
        found = discover(settings.local_plugins)
        hold_to_lock(found, settings)
        manager = cls([*records, *found], targets, settings)
        manager.found = settings, parts
        return manager

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
            part = plugin if isinstance(plugin, Builtin) else described(plugin, number, settings, registry)
            records.append(part.record())
            targets[records[-1].identity] = part.target
        return cls(records, targets, settings, specs)

    def store(self, scheme: str) -> StoreOffer:
        """Import the plugin of a store scheme and give its offer.

        Raises:
            UnknownName: Nobody offers it.
            PluginConflict: Two plugins do.
            PluginError: The plugin cannot be used, or one that the settings require cannot.
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

    def host(self, name: str) -> HostOffer:
        """Import the plugin of a host and give its offer; raises like `store`."""
        offer: HostOffer = self._offer("hosts", name)
        return offer

    def command(self, name: str) -> CommandOffer:
        """Import the plugin of a command and give its offer; raises like `store`."""
        offer: CommandOffer = self._offer("commands", name)
        return offer

    def tools(self, names: Iterable[str] | None = None) -> list[ToolOffer]:
        """Give tool sets, importing their plugins.

        Args:
            names: The sets that are needed; without it all that can be used: one that cannot is logged and left out.

        Raises:
            UnknownName, PluginConflict, PluginError: Only for ``names``, as in `store`.
        """
        self._check_required()
        if names is not None:
            return [self._offer("tools", name) for name in names]
        offers: list[ToolOffer] = []
        for name in self._ordered_names("tools"):
            try:
                offers.append(self._offer("tools", name))
            except PluginError as error:
                if any(name in record.offered("tools") and self._requires(record) for record in self.records):
                    raise
                _log.warning("tool set %r is left out: %s", name, error)
        return offers

    def settings_of(self, record: PluginRecord) -> tuple[Setting, ...]:
        """Give the values in force of a plugin's own settings; imports it if it has a model for them.

        Raises:
            PluginError: It cannot be used, or its settings are wrong.
        """
        if record.manifest and record.manifest.settings_model:
            self._loader.load(record)
        return explain_settings(record, self._loader.table(record))

    def holder(self, kind: str, name: str) -> PluginRecord:
        """Tell which plugin answers for a name; imports nothing, and raises like `store`."""
        return self._claims.holder(kind, name)

    def names(self, kind: str) -> tuple[str, ...]:
        """List the names of a kind (``stores``, ``modes``, …) that plugins offer, sorted; imports nothing."""
        return self._claims.names(kind)

    def requirements(self) -> list[PluginError]:
        """Tell which plugins the settings require that are missing or cannot be used; imports nothing.

        While there is one, no plugin's offer is given and no session is opened.
        """
        return list(requirements(self.records, self._settings))

    async def open_session(self, setup: SessionSetup, told: Callable[[HookCall], None] | None = None) -> SessionHooks:
        """Gather who handles what in a session, and let the plugins make their parts of it.

        Imports every plugin that wants to be called while sessions run. One that cannot be used stops the opening,
        unless it only observes: then it is logged and left out.

        Args:
            setup: The session.
            told: Is told of each call of a plugin for it; ``None`` times nothing.

        Raises:
            ConfigurationError: A part needs a capability that is not there.
            PluginError: A plugin cannot be used, or cannot make its part.
        """
        self._check_required()
        caller = Caller(setup.session_id, self._watchdog, told)
        return await SessionHooks.open(self._participants, setup, self._part_classes, caller)

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

    @cached_property
    def _part_classes(self) -> PartClasses:
        return PartClasses(self._loader.registry)

    @cached_property
    def _participants(self) -> tuple[Participant, ...]:
        return tuple(self._find_participants())

    def _requires(self, record: PluginRecord) -> bool:
        return is_required(record, self._settings)

    def _check_required(self) -> None:
        for error in self.requirements():
            raise error

    def _offer(self, kind: str, name: str) -> Any:
        self._check_required()
        record = self._claims.holder(kind, name)
        return next(offer for offer in self._loader.offers(record, kind) if name in names_of(offer))

    def _find_participants(self) -> Iterable[Participant]:
        for record in self._listening:
            try:
                found = self._loader.load(record)
                handlers = [_handler(record, hook, found[hook]) for hook in sorted(record.hooks - _OFFERS)]
                offers = self._loader.offers(record, SESSION_PLUGINS) if record.offered(SESSION_PLUGINS) else []
            except PluginError as error:
                if self._requires(record) or not self._only_observes(record):
                    raise
                _log.error("%s is not told of what happens: %s", record.label, error)
            else:
                yield Participant(record, tuple(handlers), tuple(offers), self._loader.table(record))

    def _only_observes(self, record: PluginRecord) -> bool:
        specs = [self._loader.registry.specs.get(hook) for hook in record.hooks - _OFFERS]
        return not record.offered(SESSION_PLUGINS) and all(spec and hook_info(spec).kind == "observe" for spec in specs)

    def _ordered_names(self, kind: str) -> list[str]:
        return list(dict.fromkeys(name for record in self.records if record.usable for name in record.offered(kind)))


def _counts(record: PluginRecord) -> bool:
    """Tell whether a plugin can be used, or should be and cannot."""
    return record.usable or (record.missed and record.state == "failed")


def _listens(record: PluginRecord) -> bool:
    """Tell whether a plugin wants to be called while sessions run."""
    return bool(record.manifest and (record.manifest.runtime_hooks or record.offered(SESSION_PLUGINS)))


def _handler(record: PluginRecord, hook: str, function: Callable[..., Any]) -> Handler:
    return Handler(record, hook, function, may_suspend(function))

"""Hooks by which a plugin offers what it has. All are ``offer`` hooks: sync, every answer is kept.

Called when something of the kind is first needed; the plugin is imported for it. A manifest's ``[offers]`` must name
what is returned here, so that conflicts are seen without importing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs

from lash_hookspecs.markers import offer
from lash_hookspecs.settings import SettingsTable, as_table

if TYPE_CHECKING:
    import click
    from pydantic import BaseModel

    from lash_hookspecs.protocols.hosts import Host
    from lash_hookspecs.protocols.models import ModelProvider
    from lash_hookspecs.protocols.modes import ExecutionMode
    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.protocols.session_plugins import SessionPlugin
    from lash_hookspecs.protocols.stores import StoreBackend
    from lash_hookspecs.protocols.tasks import TaskHost
    from lash_hookspecs.protocols.tools import ToolProvider
    from lash_hookspecs.records.state import SubagentAuthority
    from lash_hookspecs.records.store import Migration

__all__ = [
    "HostOffer",
    "CommandOffer",
    "CommandSetup",
    "ModeOffer",
    "OfferContext",
    "ProviderOffer",
    "SessionPluginOffer",
    "SessionSetup",
    "StoreOffer",
    "ToolOffer",
    "ToolSetup",
    "lash_offer_hosts",
    "lash_offer_commands",
    "lash_offer_modes",
    "lash_offer_providers",
    "lash_offer_session_plugins",
    "lash_offer_stores",
    "lash_offer_tools",
]

M = TypeVar("M", bound="BaseModel")


@attrs.frozen(kw_only=True)
class OfferContext:
    """What a plugin may know when it makes an offer.

    Attributes:
        api: The hook API version that the host implements.
        settings: The plugin's own table of the settings, as the file has it; a test may give any mapping.
    """

    api: str
    settings: SettingsTable = attrs.field(factory=SettingsTable, converter=as_table)

    def settings_as(self, model: type[M]) -> M:
        """Give the plugin's settings as its model has them; the same object each time.

        Raises:
            ConfigurationError: They are not as the model wants them.
        """
        return self.settings.read(model)


@attrs.frozen(kw_only=True)
class StoreOffer:
    """A store, chosen by the scheme of a URL.

    Attributes:
        schemes: Such as ``("sqlite",)``.
        open: Opens the URL. ``create`` tells whether a database that is not there may be made.
        migrate: Brings the URL's database to this version, makes what is missing, and says what was done; with
            ``True`` only what would be (S10). ``None`` for a store that has no schema, or none that changes.
    """

    schemes: tuple[str, ...]
    open: Callable[[str, bool], Awaitable[StoreBackend]]
    migrate: Callable[[str, bool], Awaitable[Migration]] | None = None


@attrs.frozen(kw_only=True)
class ModeOffer:
    """An execution mode, chosen by name.

    Attributes:
        name: As ``--mode`` takes it.
        build: Makes the mode; called once per session.
    """

    name: str
    build: Callable[[], ExecutionMode]


@attrs.frozen(kw_only=True)
class ProviderOffer:
    """A model provider, chosen by what stands before the colon of a model's name.

    Attributes:
        names: Such as ``("openai", "anthropic")``.
        open: Makes the provider for one of the names; called when it is first needed. Heavy imports belong in it.
    """

    names: tuple[str, ...]
    open: Callable[[str], ModelProvider]


@attrs.frozen(kw_only=True)
class HostOffer:
    """A host, chosen by name.

    Attributes:
        name: As ``--host`` takes it.
        build: Makes the host; called once for each opening of a store.
        tasks: Makes where background tasks run beside it, given what holders of tasks are called. ``None`` for a host
            whose sessions have no background tasks; a plugin that needs them is refused when a session opens (H1).
    """

    name: str
    build: Callable[[], Host]
    tasks: Callable[[str], TaskHost] | None = None


@attrs.frozen(kw_only=True)
class ToolSetup:
    """What a tool offer may know of the session that it builds for.

    Attributes:
        session_id: The session.
        root: The folder that file tools may not leave.
    """

    session_id: str
    root: Path


@attrs.frozen(kw_only=True)
class ToolOffer:
    """A set of tools.

    Attributes:
        name: The set's name, for people and settings.
        build: Makes the tools of one session.
    """

    name: str
    build: Callable[[ToolSetup], ToolProvider]


@attrs.frozen(kw_only=True)
class SessionSetup:
    """What a session plugin may know of the session that it is built for.

    Attributes:
        session_id: The session.
        parent_session_id: The session that started it, if any.
        mode: The name of its execution mode.
        root: The folder that file tools may not leave.
        capabilities: What the host and the store can do here, such as ``"tasks"``, ``"durable_store"`` or
            ``"attachments"``.
        services: The session itself; not to be used before `SessionPlugin.restore` was called.
        authority: What it may do, if it is a subagent; how deep it may start others is held to by the core.
        settings: The plugin's own table of the settings, as in `OfferContext`.
    """

    session_id: str
    parent_session_id: str | None
    mode: str
    root: Path
    capabilities: frozenset[str]
    services: SessionServices
    authority: SubagentAuthority | None = None
    settings: SettingsTable = attrs.field(factory=SettingsTable, converter=as_table)

    def settings_as(self, model: type[M]) -> M:
        """Give the plugin's settings as its model has them; as `OfferContext.settings_as`."""
        return self.settings.read(model)


@attrs.frozen(kw_only=True)
class SessionPluginOffer:
    """A part that each open session gets.

    Attributes:
        name: Tells it from the plugin's other ones, and what it keeps from what they keep; never change it.
        build: Makes the part of one session.
        needs: The capabilities that it cannot do without; a session that lacks one is not opened (H1).
    """

    name: str
    build: Callable[[SessionSetup], SessionPlugin]
    needs: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class CommandSetup:
    """What a command of a plugin may know of the ``lash`` that it is called by.

    Attributes:
        store: The URL of the store that the options or the settings name; ``None`` when nothing names one. May hold a
            password, so it stays out of reprs.
        tenant: Whose sessions in the store; empty for the default tenant.
        json: Whether ``--json`` stands before the command.
    """

    store: str | None = attrs.field(default=None, repr=False)
    tenant: str = ""
    json: bool = False


@attrs.frozen(kw_only=True)
class CommandOffer:
    """A command of the plugin's own, called as ``lash NAME``. The plugin itself depends on click.

    Attributes:
        name: As it is called; no command of Lash itself may have it.
        build: Makes the command, which may be a group; called when the command is. Import click and all else that is
            heavy in it.
    """

    name: str
    build: Callable[[CommandSetup], click.Command]


@offer(StoreOffer, since="0.1")
def lash_offer_stores(context: OfferContext) -> list[StoreOffer]:
    """Offer stores; called when a URL with a scheme of the plugin's manifest is opened.

    Example::

        @implements(lash_offer_stores)
        def stores(context: OfferContext) -> list[StoreOffer]:
            return [StoreOffer(schemes=("redis", "rediss"), open=open_redis)]
    """
    raise AssertionError("a specification is never called")


@offer(ModeOffer, since="0.1")
def lash_offer_modes(context: OfferContext) -> list[ModeOffer]:
    """Offer execution modes; called when a session opens in a mode of the plugin's manifest.

    Example::

        @implements(lash_offer_modes)
        def modes(context: OfferContext) -> list[ModeOffer]:
            return [ModeOffer(name="scripted", build=ScriptedMode)]
    """
    raise AssertionError("a specification is never called")


@offer(ProviderOffer, since="0.1")
def lash_offer_providers(context: OfferContext) -> list[ProviderOffer]:
    """Offer model providers; called when a session opens with a model of the plugin's manifest.

    Example::

        @implements(lash_offer_providers)
        def providers(context: OfferContext) -> list[ProviderOffer]:
            return [ProviderOffer(names=("echo",), open=lambda name: EchoProvider())]
    """
    raise AssertionError("a specification is never called")


@offer(HostOffer, since="0.1")
def lash_offer_hosts(context: OfferContext) -> list[HostOffer]:
    """Offer hosts; called when a store is opened with a host of the plugin's manifest.

    Example::

        @implements(lash_offer_hosts)
        def hosts(context: OfferContext) -> list[HostOffer]:
            return [HostOffer(name="one-by-one", build=OneByOne)]
    """
    raise AssertionError("a specification is never called")


@offer(ToolOffer, since="0.1")
def lash_offer_tools(context: OfferContext) -> list[ToolOffer]:
    """Offer tools; called when a session opens.

    Example::

        @implements(lash_offer_tools)
        def tools(context: OfferContext) -> list[ToolOffer]:
            return [ToolOffer(name="clock", build=lambda setup: ClockTools())]
    """
    raise AssertionError("a specification is never called")


@offer(SessionPluginOffer, since="0.1")
def lash_offer_session_plugins(context: OfferContext) -> list[SessionPluginOffer]:
    """Offer parts that live as long as an open session; called when the first session opens.

    Example::

        @implements(lash_offer_session_plugins)
        def parts(context: OfferContext) -> list[SessionPluginOffer]:
            return [SessionPluginOffer(name="budget", build=Budget)]
    """
    raise AssertionError("a specification is never called")


@offer(CommandOffer, since="0.1")
def lash_offer_commands(context: OfferContext) -> list[CommandOffer]:
    """Offer commands; called when a command of the plugin's manifest is. ``lash --help`` lists them unasked.

    Example::

        @implements(lash_offer_commands)
        def commands(context: OfferContext) -> list[CommandOffer]:
            return [CommandOffer(name="flush", build=flush_command)]
    """
    raise AssertionError("a specification is never called")

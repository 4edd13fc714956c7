"""Commands that plugins add to ``lash``: listed from manifests, imported when they are called."""

from __future__ import annotations

import click
from lash_hookspecs.errors import LashError, PluginError, UnknownName
from lash_hookspecs.specs.offers import CommandOffer, CommandSetup

from lash_core.cli.options import Shared
from lash_core.cli.output import one_line, stdout_kept
from lash_core.commands import COMMANDS
from lash_core.config import Settings
from lash_core.plugins import PluginManager, PluginRecord
from lash_core.plugins.calls import what_happened

__all__ = ["build_plugin_command", "list_plugin_commands", "write_plugin_commands"]


def list_plugin_commands(ctx: click.Context) -> list[tuple[str, str]]:
    """Give the names that plugins offer, each with who ships it or why it cannot be called; imports none.

    Raises:
        ConfigurationError: The settings cannot be read.
    """
    plugins = PluginManager.discover(_settings(ctx).plugins)
    return [(name, _shipped_by(plugins, name)) for name in plugins.names("commands") if name not in COMMANDS]


def write_plugin_commands(ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the table of plugins' commands, if there are any; wrong settings are told in its place."""
    try:
        told = list_plugin_commands(ctx)
    except LashError as error:
        with formatter.section("Commands of plugins"):
            formatter.write_text(f"not known: {one_line(str(error))}")
        return
    if told:
        with formatter.section("Commands of plugins"):
            formatter.write_dl(told)


def build_plugin_command(ctx: click.Context, name: str) -> tuple[PluginRecord | None, click.Command | None]:
    """Import the plugin that offers a command and let it build that; nothing when nobody offers it.

    Raises:
        PluginError: The plugin cannot be used, or another one claims the name as well.
    """
    settings = _settings(ctx)
    plugins = PluginManager.discover(settings.plugins)
    try:
        record = plugins.holder("commands", name)
    except UnknownName:
        return None, None
    with stdout_kept():  # the command may write to it, being imported may not
        return record, _build(record, plugins.command(name), _setup(ctx, settings))


def _build(record: PluginRecord, offer: CommandOffer, setup: CommandSetup) -> click.Command:
    failed = f"command {offer.name!r} of {record.label} cannot be built:"
    try:
        command: object = offer.build(setup)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a plugin's sys.exit is not a command that ran
        raise PluginError(f"{failed} {what_happened(error)}", plugin=record.name, step="command") from error
    if not isinstance(command, click.Command):
        raise PluginError(
            f"{failed} build() must return a click.Command, and returned a {type(command).__name__}",
            plugin=record.name,
            step="command",
        )
    return command


def _settings(ctx: click.Context) -> Settings:
    told = ctx.params
    return Shared(store=told.get("store"), tenant=told.get("tenant"), locked=bool(told.get("locked"))).settings()


def _setup(ctx: click.Context, settings: Settings) -> CommandSetup:
    return CommandSetup(store=settings.store, tenant=settings.tenant, json=bool(ctx.params.get("as_json")))


def _shipped_by(plugins: PluginManager, name: str) -> str:
    try:
        record = plugins.holder("commands", name)
    except LashError as error:
        return one_line(str(error))
    return f"{record.distribution} {record.version}"

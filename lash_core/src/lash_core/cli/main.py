"""The ``lash`` command itself: finds the subcommand, imports it, and turns what it raises into an exit code.

Start-up is a budget: nothing here imports pydantic, a store or a provider.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from lash_hookspecs.errors import LashError

from lash_core.cli.errors import report
from lash_core.cli.options import Shared, common
from lash_core.cli.output import close_stdout, prepare_streams, silence_stdout
from lash_core.commands import COMMANDS

if TYPE_CHECKING:
    from lash_core.plugins.records import PluginRecord

__all__ = ["cli", "main"]

#: Where a context keeps the plugin whose command is called.
_PLUGIN = "lash_core.cli.plugin"

#: What a command raises to say something; its text is told as it is.
_TOLD = (LashError, click.ClickException, click.Abort, click.exceptions.Exit)


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called.

    A reader of our output that has seen enough (``lash … | head``) ends the command quietly.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the options; ``--help`` and ``--version`` print here."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            silence_stdout()
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Call the subcommand."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence_stdout()
            return 0
        except Exception as error:
            plugin: PluginRecord | None = ctx.meta.get(_PLUGIN)
            if plugin is None or isinstance(error, _TOLD):
                raise
            raise LashError(
                f"command {ctx.invoked_subcommand!r} of {plugin.label} failed: {type(error).__name__}: {error}",
                plugin=plugin.name,
                step="command",
            ) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of their table, then those of plugins."""
        from lash_core.cli.plugin_commands import list_plugin_commands

        try:
            return [*COMMANDS, *(name for name, _ in list_plugin_commands(ctx))]
        except LashError:
            return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, which may be a plugin's.

        Raises:
            PluginError: It is, and the plugin cannot be used, or another plugin claims the name as well.
        """
        if cmd_name not in COMMANDS:
            from lash_core.cli.plugin_commands import build_plugin_command

            ctx.meta[_PLUGIN], command = build_plugin_command(ctx, cmd_name)
            return command
        module, attribute, _ = COMMANDS[cmd_name]
        own: click.Command = getattr(importlib.import_module(module), attribute)
        return own

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the tables of commands; imports none."""
        from lash_core.cli.plugin_commands import write_plugin_commands

        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])
        write_plugin_commands(ctx, formatter)


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from lash_core.version import HOOKSPEC_API, core_version

    click.echo(f"lash {core_version()} (hook API {HOOKSPEC_API})")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the versions."
)
@click.option("--locked", is_flag=True, help="Import no plugin that differs from lash-plugins.lock.")
@common
def cli(shared: Shared, locked: bool) -> None:
    """Durable sessions for LLM agents.

    Exit codes: 0 finished, 1 the turn stopped or failed, 2 wrong usage or settings, 3 busy or conflict, 4 waiting or
    queued, 5 store unavailable, 130 cancelled.
    """
    shared.locked = locked


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    given: list[str] = list(sys.argv[1:] if arguments is None else arguments)
    shared = Shared.guess(given)
    prepare_streams()
    try:
        answer: Any = cli.main(given, prog_name="lash", standalone_mode=False, obj=shared)
        code = answer if isinstance(answer, int) else 0
    except BaseException as error:  # noqa: BLE001  the one place where everything becomes an exit code
        code = report(error, shared)
    return close_stdout(code)

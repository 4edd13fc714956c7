"""The ``lash`` command itself: finds the subcommand, imports it, and turns what it raises into an exit code.

Start-up is a budget: nothing here imports pydantic, a store or a provider.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from lash_core.cli.errors import report
from lash_core.cli.options import Shared, common
from lash_core.cli.output import close_stdout, prepare_streams, silence_stdout

__all__ = ["cli", "main"]

#: Command → module, its attribute, and the help line that ``lash --help`` shows without importing it.
COMMANDS = {
    "run": ("lash_core.cli.run", "run", "Run one turn of a session."),
    "chat": ("lash_core.cli.chat", "chat", "Talk with a session, turn by turn."),
    "sessions": ("lash_core.cli.sessions", "sessions", "List, show, fork, park, change and delete sessions."),
    "fork": ("lash_core.cli.sessions", "fork", "Begin a new session where another one stands."),
    "branch": ("lash_core.cli.sessions", "branch", "Go back to an earlier node of a session."),
    "delete": ("lash_core.cli.sessions", "delete", "Delete a session."),
    "turns": ("lash_core.cli.turns", "turns", "List, continue and abandon interrupted turns."),
    "tasks": ("lash_core.cli.tasks", "tasks", "List, show and cancel background tasks."),
    "usage": ("lash_core.cli.usage", "usage", "Show what sessions have used."),
    "store": ("lash_core.cli.store", "store", "Look after the store: migrate, check, clean up, back up, copy."),
    "doctor": ("lash_core.cli.doctor", "doctor", "Say what is installed and configured, and what is wrong."),
    "plugins": ("lash_core.cli.plugins", "plugins", "Show the installed plugins."),
}


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

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of their table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands; imports none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from lash_hookspecs.version import HOOKSPEC_API

    from lash_core.version import core_version

    click.echo(f"lash {core_version()} (hook API {HOOKSPEC_API})")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the versions."
)
@common
def cli(shared: Shared) -> None:
    """Durable sessions for LLM agents.

    Exit codes: 0 finished, 1 the turn stopped or failed, 2 wrong usage or settings, 3 busy or conflict, 4 waiting or
    queued, 5 store unavailable, 130 cancelled.
    """


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

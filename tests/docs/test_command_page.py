"""The page about the command names everything that the command has."""

from collections.abc import Iterator

import click
import pytest
from lash_core.cli.main import cli

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/command.md").read_text(encoding="utf-8")


def commands(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    """Give every command with the words that call it; a second door to the same command is left out."""
    ctx = click.Context(group, info_name=words)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")
        elif not (words == "lash sessions" and name in ("fork", "branch", "delete")):
            yield f"{words} {name}", command


COMMANDS = dict(commands(cli, "lash"))


def section(words: str) -> str:
    start = PAGE.index(f"### `{words}")
    return PAGE[start : PAGE.find("\n#", start + 1)]


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_has_a_heading_with_its_arguments(words: str) -> None:
    arguments = [
        parameter.make_metavar(click.Context(COMMANDS[words]))
        for parameter in COMMANDS[words].params
        if isinstance(parameter, click.Argument)
    ]
    assert f"### `{' '.join([words, *arguments])}`\n" in PAGE


@pytest.mark.parametrize("words", COMMANDS)
def test_each_option_is_named_where_its_command_is(words: str) -> None:
    everywhere = PAGE[: PAGE.index("## Turns")]
    missing = [
        name
        for parameter in COMMANDS[words].params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if f"`{name}" not in section(words) and f"`{name}" not in everywhere
    ]
    assert missing == []


def test_no_heading_names_a_command_that_is_not_there() -> None:
    told = [line.split("`")[1].split() for line in PAGE.splitlines() if line.startswith("### `lash ")]
    assert sorted(" ".join(word for word in words if word.islower()) for words in told) == sorted(COMMANDS)

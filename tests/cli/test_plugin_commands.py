"""Commands that plugins add to `lash`: listed without importing, imported when called, never a core command's name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Install, Lash

MODULE = """
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.offers import CommandOffer, lash_offer_commands

def build(setup):
    import click

    @click.command()
    @click.option("--as", "mood", default="well")
    @click.pass_context
    def command(ctx, mood):
        if mood == "ill":
            raise ZeroDivisionError("by nothing")
        if mood == "shy":
            ctx.exit(4)
        if mood == "wrong":
            raise click.UsageError("it cannot be wrong")
        click.echo(f"{setup.store} {setup.tenant} {setup.json} {mood}")

    return command

def broken(setup):
    raise SystemExit(7)

@implements(lash_offer_commands)
def commands(context):
    return [
        CommandOffer(name="hail", build=build),
        CommandOffer(name="broken", build=broken),
        CommandOffer(name="nothing", build=dict),
        CommandOffer(name="run", build=build),
    ]
"""
MANIFEST = 'requires_api = "0.1"\n[offers]\ncommands = ["hail", "broken", "nothing", "run"]\n'


def test_help_lists_plugins_commands_with_their_distribution_and_imports_none(lash: Lash, install: Install) -> None:
    package = install("lash-hail", MODULE, MANIFEST)
    ran = lash("--help")
    assert ran.code == 0
    told = ran.out.partition("Commands of plugins:\n")[2].splitlines()
    assert [line.split() for line in told] == [[name, "lash-hail", "1.0"] for name in ("broken", "hail", "nothing")]
    assert package not in sys.modules
    assert "Commands of plugins" not in lash("run", "--help").out


def test_help_is_given_though_the_settings_are_wrong(lash: Lash) -> None:
    Path("lash.toml").write_text("[lash]\nmodle = 'offline'\n")
    ran = lash("--help")
    assert ran.code == 0
    assert "Commands of plugins:\n  not known: " in ran.out
    assert "unknown key 'lash.modle'" in " ".join(ran.out.split())


def test_a_command_is_told_what_stands_before_it_and_answers_as_any(lash: Lash, install: Install) -> None:
    install("lash-hail", MODULE, MANIFEST)
    assert (
        lash("--store", "kept:a", "--tenant", "acme", "--json", "hail", "--as", "fit").out == "kept:a acme True fit\n"
    )
    Path("lash.toml").write_text("[lash]\nstore = 'kept:b'\n")
    assert lash("hail").out == "kept:b  False well\n"
    assert lash("hail", "--as", "shy").code == 4
    wrong = lash("hail", "--as", "wrong")
    assert (wrong.code, wrong.err) == (2, "lash: it cannot be wrong See lash hail --help.\n")
    assert "--as" in lash("hail", "--help").out


def test_a_command_that_crashes_is_told_with_its_plugin(lash: Lash, install: Install) -> None:
    install("lash-hail", MODULE, MANIFEST)
    ran = lash("--json", "hail", "--as", "ill")
    message = "command 'hail' of plugin 'lash-hail' (lash-hail 1.0) failed: ZeroDivisionError: by nothing"
    assert (ran.code, ran.err) == (1, f"lash: {message}\n")
    assert json.loads(ran.out)["error"] == {
        "code": "lash_error",
        "message": message,
        "plugin": "lash-hail",
        "step": "command",
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "it called sys.exit(7)"),
        ("nothing", "TypeError: 'CommandSetup' object is not iterable"),
    ],
)
def test_a_command_that_cannot_be_built_is_told_with_its_plugin(
    lash: Lash, install: Install, name: str, told: str
) -> None:
    install("lash-hail", MODULE, MANIFEST)
    ran = lash(name)
    assert ran.code == 2
    assert ran.err == f"lash: command '{name}' of plugin 'lash-hail' (lash-hail 1.0) cannot be built: {told}\n"


def test_what_build_gives_must_be_a_command(lash: Lash, install: Install) -> None:
    install("lash-hail", MODULE.replace("build=dict", "build=str"), MANIFEST)
    ran = lash("nothing")
    assert ran.code == 2
    assert ran.err.endswith("cannot be built: build() must return a click.Command, and returned a str\n")


def test_a_plugin_that_cannot_be_imported_is_told(lash: Lash, install: Install) -> None:
    install("lash-hail", "1 / 0", MANIFEST)
    ran = lash("hail")
    assert ran.code == 2
    assert ran.err == (
        "lash: plugin 'lash-hail' (lash-hail 1.0) is failed: "
        "it cannot be imported: ZeroDivisionError: division by zero\n"
    )


def test_a_core_commands_name_is_refused_and_the_core_command_runs(lash: Lash, install: Install) -> None:
    package = install("lash-hail", MODULE, MANIFEST)
    listed = {each["distribution"]: each for each in json.loads(lash("plugins", "list", "--json").out)}
    assert (listed["lash-hail"]["state"], listed["lash-hail"]["reason"]) == (
        "conflicting",
        "command 'run' is one of lash itself and stays so; give it another name",
    )
    assert lash("run", "hello", "--store", "kept:a", "--session", "s1").out == "an answer\n"
    assert package not in sys.modules


def test_two_plugins_of_one_command_are_a_conflict_that_the_settings_settle(lash: Lash, install: Install) -> None:
    install("lash-hail", MODULE, MANIFEST)
    install("lash-hello", MODULE, MANIFEST)
    ran = lash("hail")
    assert ran.code == 2
    assert ran.err == (
        "lash: command 'hail' is claimed by plugin 'lash-hail' (lash-hail 1.0) and plugin 'lash-hello' "
        '(lash-hello 1.0); choose one in lash.toml: [lash.commands] hail = "lash-hail" or "lash-hello"\n'
    )
    Path("lash.toml").write_text('[lash.commands]\nhail = "lash-hello"\n')
    assert lash("hail").code == 0
    assert "lash_hail_dummy" not in sys.modules


def test_a_command_of_a_disabled_plugin_says_so(lash: Lash, install: Install) -> None:
    install("lash-hail", MODULE, MANIFEST)
    Path("lash.toml").write_text('[lash.plugins]\ndisabled = ["lash-hail"]\n')
    assert "is disabled: listed in [lash.plugins] disabled" in lash("hail").err
    assert "hail" not in lash("--help").out


def test_a_name_that_nobody_offers_is_no_command(lash: Lash) -> None:
    ran = lash("hial")
    assert (ran.code, ran.err) == (2, "lash: No such command 'hial'. See lash --help.\n")

"""A secret that enters by a URL, a variable or a setting comes out nowhere."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

import pytest
from lash_process import Folder, Ran

from tests.strict_server import Call, Reply, StrictServer

LIBRARY = """
import asyncio, json, sys
from pathlib import Path
from lash_core import Lash
from lash_core.builtins import BUILTINS
from lash_core.cli.options import Shared
from lash_core.config import load_settings, locate_store
from lash_core.plugins import PluginManager

async def main(url):
    shared = Shared(store=url)
    settings = shared.settings()
    plugins = PluginManager.discover(settings.plugins, builtins=BUILTINS)
    shown = [shared, settings, settings.plugins, locate_store(settings), plugins, list(plugins.records)]
    async with Lash.open("sqlite:///s.db?timeout=7", plugins=plugins) as lash:
        session = await lash.session("s1")
        result = await session.turn("hello")
        head = session.head
        shown += [lash, lash.env, lash.agent, lash.store, lash.store.name, session, session.runtime, result, head]
        shown += [await session.items(), session.document, [each async for each in lash.sessions()]]
        shown += [(await session.park()).to_json()]
    print(json.dumps([repr(each) + str(each) for each in shown]))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def canary() -> str:
    """A secret that occurs nowhere by chance."""
    return f"CANARY{secrets.token_hex(12)}"


def leaks(folder: Folder, canary: str, ran: Iterable[Ran], known: Iterable[str] = ()) -> list[str]:
    """Where the secret is: outputs, file names and every byte of every file but those that the test wrote."""
    found = [repr(each) for each in ran if canary in each.out + each.err]
    for name, body in folder.snapshot().items():
        if canary in name or (canary.encode() in body and name not in known):
            found.append(name)
    return found


STORES = (
    "postgresql://ann:{}@db.example/agents",
    "postgresql://ann:{}/x@db.example/agents?sslpassword={}",
    "postgresql://ann:pa?{}@db.example/agents",
    "postgresql:ann:{}@db.example/agents",
    "//ann:{}@db.example/agents",
    "ann:{}@db.example/agents",
    "sqlite://ann:{}@db.example/agents",
    "sqlite:///x.db?password={}",
    "sqlite:///x.db?api_key={}&timeout=1",
    "memory:x?token={}",
    "postgresql://db.example?password={}",
)


def test_a_password_in_a_store_url_is_in_no_error_no_traceback_and_no_file(folder: Folder, canary: str) -> None:
    commands = [
        [*command, "--store", url.format(canary, canary), *form]
        for url in STORES
        for command in (["run", "hello", "--session", "s1"], ["sessions", "list"])
        for form in (["--debug", "--json"],)
    ]
    ran = folder.lash_each(*commands)
    refused = [each for each, command in zip(ran, commands, strict=True) if not command[-3].startswith("memory:")]
    assert {each.code for each in refused} <= {2, 5}, "what cannot be is wrong usage; a server that is not there is not"
    assert all("Traceback" in each.err for each in refused)
    assert all(list(each.document) == ["error"] for each in refused)
    by_variable = folder.lash_each(["run", "hello", "--debug"], LASH_STORE=STORES[0].format(canary))
    folder.write(lash__toml=f'[lash]\nstore = "{STORES[0].format(canary)}"\n')
    by_file = folder.lash_each(["run", "hello", "--debug"], ["sessions", "list", "--debug"])
    assert {each.code for each in (*by_variable, *by_file)} == {5}
    assert leaks(folder, canary, [*ran, *by_variable, *by_file], known=["lash.toml"]) == []


def test_a_providers_key_is_in_no_row_no_file_and_no_output(folder: Folder, canary: str) -> None:
    folder.write(a__txt="one\ntwo\n")
    with StrictServer(key=canary) as server:
        server.script(
            Reply(tool_calls=[Call("count", {"path": "a.txt"})]),
            Reply(text=["Two lines."]),
            Reply(status=400, error=f"the request was bad; the header held Bearer {canary}"),
        )
        ran = [
            folder.lash(
                *("run", text, "--session", "s1", "--model", "openai:strict", "--debug", "--json"),
                OPENAI_BASE_URL=server.base_url,
                OPENAI_API_KEY=canary,
            )
            for text in ("How many lines?", "Again?")
        ]
    assert [each.code for each in ran] == [0, 1], ran
    ran += folder.lash_each(
        *(["sessions", what, "s1", "--json", "--debug"] for what in ("show", "tree")),
        ["usage", "--json"],
        ["plugins", "list", "--json"],
        OPENAI_API_KEY=canary,
    )
    assert leaks(folder, canary, ran) == []


def test_a_wrong_key_is_refused_without_being_shown(folder: Folder, canary: str) -> None:
    with StrictServer(key="another") as server:
        ran = folder.lash(
            *("run", "hello", "--session", "s1", "--model", "openai:strict", "--debug", "--json"),
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY=canary,
        )
    assert (ran.code, ran.document["outcome"]) == (1, "failed")
    assert leaks(folder, canary, [ran]) == []


def test_a_plugins_setting_is_in_no_repr_no_row_and_no_output(folder: Folder, canary: str) -> None:
    folder.write(lash__toml=f'[lash.plugin.offline]\npassword = "{canary}"\n[lash.plugin.absent]\nkey = "{canary}"\n')
    reprs = folder.script(LIBRARY, f"postgresql://ann:{canary}@db.example/agents", OPENAI_API_KEY=canary)
    assert reprs.code == 0, reprs.err
    assert len(json.loads(reprs.out)) == 19
    ran = folder.lash_each(
        ["run", "hello", "--session", "s2", "--debug", "--json"],
        ["run", "hello", "--session", "s2", "--debug", "--mode", "nope"],
        ["sessions", "show", "s2", "--json", "--debug"],
        ["plugins", "list", "--json", "--debug"],
        ["plugins", "list", "--debug"],
    )
    assert [each.code for each in ran] == [0, 2, 0, 0, 0]
    assert leaks(folder, canary, [reprs, *ran], known=["lash.toml"]) == []


def test_a_settings_file_that_is_broken_is_told_without_its_lines(folder: Folder, canary: str) -> None:
    for text in (f'[lash.plugin.offline]\npassword = "{canary}\n', f'[lash.plugins]\ndisabled = "{canary}"\n'):
        folder.write(lash__toml=text)
        ran = folder.lash_each(["run", "hello", "--debug"], ["plugins", "list", "--debug", "--json"])
        assert {each.code for each in ran} == {2}
        assert leaks(folder, canary, ran, known=["lash.toml"]) == []

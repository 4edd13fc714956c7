"""What a process imports: start-up and the offline path are budgets."""

from __future__ import annotations

import json

import pytest
from lash_process import Folder

#: Distribution's import names that are heavy, and those of the plugins.
PROVIDERS = {"pydantic_ai", "openai", "anthropic", "httpx", "lash_provider_pydantic_ai"}
DATABASES = {"sqlmodel", "sqlalchemy"}
PLUGINS = {"lash_basics", "lash_host_subprocess", "lash_store_sql", "lash_provider_pydantic_ai"}
COMMAND = """
import json, sys
from lash_core.cli.main import main
code = main(sys.argv[1:])
print("\\n" + json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def modules(folder: Folder, *arguments: str) -> set[str]:
    ran = folder.script(COMMAND, *arguments)
    code, names = json.loads(ran.out.splitlines()[-1])
    assert (ran.code, code) == (0, 0), ran.err
    assert "lash_core" in names
    return set(names)


@pytest.mark.parametrize("arguments", ["--version", "plugins list", "sessions list"])
def test_a_command_that_asks_no_model_imports_no_pydantic_no_database_library_and_no_provider(
    folder: Folder, arguments: str
) -> None:
    found = modules(folder, *arguments.split())
    assert not found & {*PROVIDERS, *DATABASES, *PLUGINS}
    if arguments != "sessions list":
        assert not {name for name in found if name.startswith("pydantic")}


def test_the_contract_for_plugin_authors_imports_no_pydantic(folder: Folder) -> None:
    ran = folder.script("import lash_hookspecs, sys; print('\\n'.join(sys.modules))")
    assert ran.code == 0, ran.err
    found = {name.partition(".")[0] for name in ran.out.split()}
    assert not {name for name in found if name.startswith("pydantic")}
    assert not found & {"lash_core", *PLUGINS}


def test_importing_the_core_imports_no_front_door_before_it_is_used(folder: Folder) -> None:
    ran = folder.script("import lash_core, sys; print('\\n'.join(sys.modules)); lash_core.Lash")
    assert ran.code == 0, ran.err
    found = {name.partition(".")[0] for name in ran.out.split()}
    assert not {name for name in found if name.startswith("pydantic")}
    assert not found & {*PROVIDERS, *DATABASES, *PLUGINS}


def test_a_turn_of_the_offline_model_imports_no_database_library_and_no_provider(folder: Folder) -> None:
    folder.write(a__txt="one\ntwo\n")
    found = modules(folder, "run", "How many lines has a.txt?", "--session", "s1")
    assert {"lash_basics", "lash_store_sql"} <= found
    assert not found & {*PROVIDERS, *DATABASES}


def test_commands_that_look_at_plugins_import_none(folder: Folder) -> None:
    commands = ["--help", "plugins list", "plugins lock", "plugins verify", "--locked plugins list", "doctor"]
    several = COMMAND.replace("main(sys.argv[1:])", "max(main(each.split()) for each in sys.argv[1:])")
    ran = folder.script(several, *commands)
    code, names = json.loads(ran.out.splitlines()[-1])
    assert (ran.code, code) == (0, 0), ran.err
    assert "lash-store-sql" in (folder.path / "lash-plugins.lock").read_text()
    assert not set(names) & {*PLUGINS, *PROVIDERS, *DATABASES}

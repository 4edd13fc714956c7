"""The command and the library on a PostgreSQL store, each step in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lash_process import Folder
from postgres_server import Server, shared_server

SUPPORT = Path(__file__).parents[1] / "support"
#: Parks the sessions whose numbers follow, or resumes those of the handles on stdin; tells of each in a line.
WORK = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from lash_store_sql.postgres.backend import open_postgres
from parked_sessions import Places

async def main():
    places = Places(await open_postgres(sys.argv[2], False))
    for argument in sys.argv[3:]:
        told = json.loads(argument)
        if isinstance(told, int):
            print(json.dumps(await places.parked(told)))
        else:
            print(json.dumps(await places.resumed(int(told["session_id"][1:]), told)))
    await places.store.close()

asyncio.run(main())
"""


@pytest.fixture
def server() -> Server:
    return shared_server()


def worked(folder: Folder, url: str, *arguments: object) -> list[dict[str, Any]]:
    ran = folder.script(WORK, SUPPORT, url, *map(json.dumps, arguments))
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_session_runs_on_postgres_from_the_first_migration_on(folder: Folder, server: Server) -> None:
    url = server.url_of(server.empty())
    early = folder.lash("run", "What files are here?", "--store", url)
    assert early.code == 5
    assert early.err == (
        f"lash: there is no store in schema 'lash' of {url}: make it with 'lash store migrate --store {url}'\n"
    )
    planned = folder.lash("store", "migrate", "--store", url, "--dry-run")
    assert planned.code == 0
    assert planned.out.splitlines()[:2] == [
        f"{url}: no schema → version 2 would take {len(planned.out.splitlines()) - 1} steps",
        'CREATE SCHEMA "lash";',
    ]
    assert folder.lash("store", "migrate", "--store", url, "--json").document["applied"]
    again = folder.lash("store", "migrate", "--store", url)
    assert (again.code, again.out) == (0, f"{url}: schema version 2, nothing to do\n")
    folder.write(a__txt="one\ntwo\n")
    first = folder.lash("run", "How many lines has a.txt?", "--session", "s1", "--store", url)
    assert (first.code, "2" in first.out) == (0, True)
    assert folder.lash("run", "And again?", "--session", "s1", "--store", url).code == 0
    (row,) = folder.lash("sessions", "list", "--store", url, "--json").document
    assert (row["session_id"], row["turns"]) == ("s1", 2)


def test_a_named_store_is_found_by_its_name_and_its_password_in_the_environment(folder: Folder, server: Server) -> None:
    name, password = server.fresh(), "s3cret: /?#@%"
    url = server.url_of(name, user="postgres:${DB_PASSWORD}")
    folder.write(lash__toml=f'[lash]\nstore = "prod"\n[lash.stores]\nprod = "{url}"\nwhole = "${{DATABASE_URL}}"\n')
    ran = folder.lash("run", "hello", "--session", "s1", DB_PASSWORD=password)
    assert ran.code == 0, ran.err
    doctor = folder.lash("doctor", "--sessions", DB_PASSWORD=password)
    assert "store: prod, postgresql://postgres:***@" in doctor.out
    whole = folder.lash("sessions", "list", "--store", "whole", "--json", DATABASE_URL=server.url_of(name))
    assert [row["session_id"] for row in whole.document] == ["s1"]
    migrated = folder.lash("store", "migrate", DB_PASSWORD=password)
    assert migrated.out == "prod: schema version 2, nothing to do\n"
    for each in (ran, doctor, whole, migrated):
        assert "s3cret" not in each.out + each.err
    unset = folder.lash("sessions", "list")
    assert (unset.code, unset.err) == (
        2,
        f"lash: {folder.path / 'lash.toml'}: lash.stores.prod: the environment has no DB_PASSWORD\n",
    )
    mistyped = folder.lash("sessions", "list", "--store", "prd", DB_PASSWORD=password)
    assert (mistyped.code, mistyped.err) == (
        2,
        "lash: --store: there is no store 'prd' among prod, whole; did you mean 'prod'?\n",
    )


def test_a_parked_session_resumes_in_another_process(folder: Folder, server: Server) -> None:
    url = server.url_of(server.fresh())
    handles = worked(folder, url, 0, 1, 2, 3)
    told = worked(folder, url, *handles)
    assert [each["answer"] for each in told] == ["answer to again:new"] * 4
    assert [each["texts"][0] for each in told] == [f"hello {number}:look,pay" for number in range(4)]
    later = worked(folder, url, *(each["handle"] for each in told))
    assert [each["answer"] for each in later] == ["answer to again:new"] * 4


def test_a_handle_of_the_command_resumes_in_another_process(folder: Folder, server: Server) -> None:
    url = server.url_of(server.fresh())
    assert folder.lash("run", "one", "--session", "s1", "--store", url).code == 0
    parked = folder.lash("sessions", "park", "s1", "--store", url)
    folder.write(h__json=parked.out)
    resumed = folder.lash("sessions", "resume", "h.json", "--store", url)
    assert resumed.code == 0, resumed.err
    assert resumed.out.endswith("nothing differs\n")
    assert folder.lash("run", "two", "--session", "s1", "--store", url).code == 0


def test_tenants_of_one_database_see_their_own_sessions(folder: Folder, server: Server) -> None:
    url = server.url_of(server.fresh())
    for tenant in ("ann", "bob"):
        assert folder.lash("run", f"I am {tenant}", "--session", "s1", "--tenant", tenant, "--store", url).code == 0
    for tenant in ("ann", "bob"):
        listed = folder.lash("sessions", "list", "--tenant", tenant, "--store", url, "--json").document
        assert [(row["session_id"], row["turns"]) for row in listed] == [("s1", 1)]
    assert folder.lash("sessions", "list", "--store", url, "--json").document == []

"""Opening a PostgreSQL database: URLs, schemas, grants, grades, and that no password gets out."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
from lash_conformance.build import INCARNATION, Author, holder
from lash_hookspecs.errors import ConfigurationError, LashError, PluginError, StoreError, StoreUnavailable
from lash_hookspecs.errors import UnsupportedSchema as Unsupported
from lash_hookspecs.records.store import Consumed, Head, SessionQuery, StreamEntry
from lash_hookspecs.specs.offers import OfferContext
from lash_store_sql.plugin import stores
from lash_store_sql.postgres import statements
from lash_store_sql.postgres.backend import PostgresBackend, migrate_postgres, open_postgres
from lash_store_sql.postgres.url import parse_url
from postgres_server import Server, private_server, shared_server

PLAIN = "p@ss:w0rd/?#%"
SECRET = quote(PLAIN, safe="")

#: What the documentation lists.
GRANTS = """
GRANT USAGE ON SCHEMA lash TO worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA lash TO worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA lash TO worker
"""


@pytest.fixture
def server() -> Server:
    return shared_server()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresBackend]:
    store = await open_postgres(url, True)
    try:
        yield store
    finally:
        await store.close()


async def everything(store: PostgresBackend) -> None:
    """Do whatever a session can."""
    author = Author(store)
    (ref,) = await author.store.put_blobs([b"tools" * 100])
    await author.turn(labels={"user": "u1"}, components={"tools": ref}, ttl=60.0)
    await author.turn(labels={"user": "u2"})
    await author.store.append("inbox", [StreamEntry("a", b"1"), StreamEntry("b", b"2")], writer=author.writer)
    await author.turn(consumed=(Consumed("inbox", 1),))
    await author.store.trim("inbox", 2, writer=author.writer)
    await author.commit(leaf=author.ids[0])
    await author.turn()
    fork = await author.fork("fork", author.ids[1])
    await fork.turn()
    handle = store.named(author.store._name)  # type: ignore[attr-defined]
    lease = await handle.take_lease(holder(), 30)
    await handle.release_lease(await handle.renew_lease(lease, 30))
    await author.store.path(str(author.leaf))
    await author.store.graph()
    await store.sessions(SessionQuery(labels={"user": "u2"}))
    assert (await store.stats()).sessions == 2
    await author.store.delete(incarnation=INCARNATION, deleted_at=1)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql:///d?timeout=soon", "postgresql:///d?timeout=soon: option 'timeout' cannot be 'soon'"),
        ("postgresql:///d?timeout=-1", "postgresql:///d?timeout=-1: option 'timeout' cannot be '-1'"),
        ("postgres:///d?pool_size=0", "postgres:///d?pool_size=0: option 'pool_size' cannot be '0'"),
        ("postgres:///d?schema=", "postgres:///d?schema=: option 'schema' cannot be ''"),
        ("postgres:///d?schema=pg_own", "postgres:///d?schema=pg_own: option 'schema' cannot be 'pg_own'"),
        (
            f"postgresql://ann:{SECRET}%zz@db/d",
            "postgresql://ann:***@db/d: a PostgreSQL URL is postgresql://user:password@host:port/database, with "
            "special characters of the password written as %XX",
        ),
    ],
)
async def test_a_url_that_cannot_be_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await open_postgres(url, True)
    assert str(caught.value) == message
    assert caught.value.__cause__ is None or PLAIN not in str(caught.value.__cause__)


@pytest.mark.parametrize("option", ["options=-csearch_path%3Dx", "dbname=other", "frobnicate=1"])
async def test_an_unknown_option_is_refused_with_the_known_ones(option: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await open_postgres(f"postgresql:///d?{option}", True)
    assert f"unknown option '{option.partition('=')[0]}'" in str(caught.value)
    assert "known are max_value, pool_size, schema, timeout, and of libpq's application_name" in str(caught.value)


@pytest.mark.parametrize("password", ["w0rd?x", "w0rd?x=1&y", "w0rd/?#", "w0rd@?w0rd=w0rd"])
async def test_a_password_that_is_not_quoted_gets_into_no_message(password: str) -> None:
    with pytest.raises(LashError) as caught:
        await open_postgres(f"postgresql://ann:{password}@/nowhere?host=/nonexistent", True)
    assert "w0rd" not in "".join(traceback.format_exception(caught.value))


def test_what_a_url_says() -> None:
    location = parse_url(f"postgres://ann:{SECRET}@db:5433/agents?timeout=2.5&sslmode=require&schema=team_a")
    assert location.url == "postgres://ann:***@db:5433/agents?timeout=2.5&sslmode=require&schema=team_a"
    assert (location.timeout, location.schema, location.pool_size) == (2.5, "team_a", 8)
    assert "sslmode=require" in location.conninfo
    assert "connect_timeout=3" in location.conninfo
    assert PLAIN not in repr(location)


async def test_no_password_gets_out(server: Server) -> None:
    url = f"postgresql://ann:{SECRET}@/lash?host=/nonexistent&password={SECRET}"
    with pytest.raises(StoreUnavailable) as caught:
        await open_postgres(url, True)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "postgresql://ann:***@/lash?host=/nonexistent&password=***" in told
    for secret in (SECRET, PLAIN, "w0rd"):
        assert secret not in told
    name = server.fresh()
    server.run(f"DROP ROLE IF EXISTS keeper_{name}", f"CREATE ROLE keeper_{name} LOGIN SUPERUSER")
    async with opened(server.url_of(name, user=f"keeper_{name}:{SECRET}")) as store:
        assert f"keeper_{name}:***@" in store.name
        assert "w0rd" not in store.name + repr(store) + store.tenant("a").name
        with pytest.raises(LashError) as refused:
            await Author(store, "\ud800").commit()
        assert "w0rd" not in "".join(traceback.format_exception(refused.value))


async def test_s10_opening_makes_no_tables(server: Server) -> None:
    url = server.url_of(server.empty())
    with pytest.raises(StoreUnavailable) as caught:
        await open_postgres(url, True)
    assert str(caught.value) == (
        f"there is no store in schema 'lash' of {url}: make it with 'lash store migrate --store {url}'"
    )
    planned = await migrate_postgres(url, True)
    assert (planned.found, planned.version, planned.applied) == (None, statements.SCHEMA_VERSION, False)
    assert planned.steps[0] == 'CREATE SCHEMA "lash"'
    with pytest.raises(StoreUnavailable):
        await open_postgres(url, True)
    done = await migrate_postgres(url, False)
    assert (done.steps, done.applied) == (planned.steps, True)
    again = await migrate_postgres(url, False)
    assert (again.found, again.steps, again.applied) == (statements.SCHEMA_VERSION, (), False)
    async with opened(url) as store:
        await everything(store)


async def test_s10_many_who_migrate_at_once_make_it_once(server: Server) -> None:
    url = server.url_of(server.empty())
    told = await asyncio.gather(*(migrate_postgres(url, False) for _ in range(4)))
    assert sorted(each.applied for each in told) == [False, False, False, True]


async def test_s10_a_newer_schema_is_refused_with_both_versions_unless_it_still_suits(server: Server) -> None:
    name = server.fresh()
    url, later = server.url_of(name), statements.SCHEMA_VERSION + 5
    server.run(f"UPDATE lash.lash_schema SET version = {later}", database=name)
    async with opened(url) as store:
        await everything(store)
    server.run("UPDATE lash.lash_schema SET oldest = version", database=name)
    for attempt in (open_postgres(url, True), migrate_postgres(url, False)):
        with pytest.raises(Unsupported) as caught:
            await attempt
        assert str(caught.value) == (
            f"{url} has schema version {later}, which needs at least version {later}; this version of lash-store-sql "
            f"reads up to {statements.SCHEMA_VERSION}: upgrade it"
        )


async def test_s10_an_older_schema_is_refused_with_what_to_do(server: Server) -> None:
    name = server.fresh()
    url = server.url_of(name)
    server.run("UPDATE lash.lash_schema SET version = 1", database=name)
    with pytest.raises(StoreUnavailable) as caught:
        await open_postgres(url, True)
    assert f"run 'lash store migrate --store {url}'" in str(caught.value)


async def test_tables_of_something_else_are_left_alone(server: Server) -> None:
    name = server.empty()
    url = server.url_of(name)
    server.run("CREATE SCHEMA lash", "CREATE TABLE lash.session (id integer)", database=name)
    for attempt in (open_postgres(url, True), migrate_postgres(url, False)):
        with pytest.raises(StoreUnavailable) as caught:
            await attempt
        assert str(caught.value) == (
            f"schema 'lash' of {url} belongs to something else: it has a table 'session' and none of ours; name "
            "another with ?schema="
        )
    elsewhere = server.url_of(name, options='schema=It\'s "ours"')
    await migrate_postgres(elsewhere, False)
    async with opened(elsewhere) as store:
        await everything(store)


async def test_two_schemas_of_one_database_know_nothing_of_each_other(server: Server) -> None:
    name = server.empty()
    urls = [server.url_of(name, options=f"schema={schema}") for schema in ("team_a", "team_b")]
    for url in urls:
        await migrate_postgres(url, False)
    async with opened(urls[0]) as first, opened(urls[1]) as second:
        await Author(first).turn()
        await Author(second).turn(1)
        assert (await first.stats()).nodes == 3
        assert (await second.stats()).nodes == 1
        lease = await first.named(Author(first).store._name).take_lease(holder(), 30)  # type: ignore[attr-defined]
        assert lease.epoch == 1
        assert await second.named(Author(second).store._name).lease() is None  # type: ignore[attr-defined]


async def test_the_grants_of_the_documentation_are_enough_and_all_are_needed() -> None:
    with private_server() as server:
        name = await asyncio.to_thread(server.fresh)
        server.run("CREATE ROLE worker LOGIN NOSUPERUSER NOCREATEDB", database=name)
        url = server.url_of(name, user="worker")
        with pytest.raises(StoreUnavailable) as caught:
            await open_postgres(url, True)
        assert "does not let its user see all tables" in str(caught.value)
        assert "the documentation of stores lists the grants" in str(caught.value)
        grants = GRANTS.strip().split(";")
        server.run(*grants, database=name)
        async with opened(url) as store:
            await everything(store)
        for table in ("node", "record", "session"):
            server.run(f"REVOKE INSERT ON lash.{table} FROM worker", database=name)
            async with opened(url) as store:
                with pytest.raises(StoreError):
                    await Author(store, table).turn()
                assert isinstance(await store.session("fork").head(), Head)
            server.run(f"GRANT INSERT ON lash.{table} TO worker", database=name)
        with pytest.raises(StoreUnavailable):
            await migrate_postgres(f"{url}&schema=other", False)


@pytest.mark.parametrize(
    ("setting", "grade"),
    [("synchronous_commit=off", "process"), ("synchronous_commit=local", "host"), ("synchronous_commit=on", "host")],
)
async def test_the_grade_is_what_the_servers_settings_give(server: Server, setting: str, grade: str) -> None:
    name = server.fresh()
    server.run(f"ALTER DATABASE {name} SET {setting}")
    async with opened(server.url_of(name)) as store:
        assert store.capabilities.durability == grade


async def test_a_server_without_fsync_keeps_nothing_beyond_our_own_end() -> None:
    with private_server(fsync="off") as server:
        async with opened(server.url_of(await asyncio.to_thread(server.fresh))) as store:
            assert store.capabilities.durability == "process"


async def test_a_server_that_has_no_room_is_waited_for() -> None:
    with private_server(max_connections="5", superuser_reserved_connections="1") as server:
        name = await asyncio.to_thread(server.fresh)
        server.run("CREATE ROLE worker LOGIN SUPERUSER", database=name)
        url = server.url_of(name, options="timeout=30&pool_size=4")
        async with opened(url) as first, opened(url) as second:
            writers = [Author(store, f"s{n}") for n, store in enumerate([first, second] * 4)]
            for _ in range(5):
                await asyncio.gather(*(writer.turn() for writer in writers))
            assert (await first.stats()).commits == 40


async def test_an_unknown_database_or_user_is_told_at_once(server: Server) -> None:
    for url in (server.url_of("nowhere"), server.url_of("postgres", user="nobody_at_all")):
        with pytest.raises(StoreUnavailable) as caught:
            await open_postgres(url, True)
        assert "does not exist" in str(caught.value)


async def test_a_closed_store_says_so(server: Server) -> None:
    store = await open_postgres(server.url_of(server.fresh()), True)
    await store.close()
    await store.close()
    with pytest.raises(StoreError) as caught:
        await store.session("chat").head()
    assert str(caught.value) == f"{store.name}: the store is closed"


async def test_without_the_driver_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    offer = next(offer for offer in stores(OfferContext(api="0.1")) if "postgresql" in offer.schemes)
    assert offer.schemes == ("postgresql", "postgres")
    assert offer.migrate is not None
    for attempt in (offer.open("postgresql:///d", False), offer.migrate("postgresql:///d", False)):
        with pytest.raises(PluginError) as caught:
            await attempt
        assert "pip install 'lash-store-sql[postgres]'" in str(caught.value)

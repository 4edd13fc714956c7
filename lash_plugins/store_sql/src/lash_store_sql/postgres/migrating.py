"""The schema of a PostgreSQL database: checked when a connection is made, made and changed only when asked to (S10)."""

from __future__ import annotations

from typing import Literal

import attrs
from lash_hookspecs.errors import StoreUnavailable, UnsupportedSchema
from lash_hookspecs.records.store import Migration

from lash_store_sql.postgres import statements
from lash_store_sql.postgres.adapting import Texts
from lash_store_sql.postgres.connection import PostgresConnection
from lash_store_sql.postgres.url import Location

__all__ = ["Server", "check_schema", "migrate_schema", "read_server"]

#: ``version`` is what was last written, ``oldest`` the oldest code that can work with it.
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_VERSIONS = "CREATE TABLE lash_schema (version INTEGER NOT NULL, oldest INTEGER NOT NULL)"

#: Whether our table is in a schema, and one that a stranger made under one of our names.
_OURS = """
    SELECT coalesce(bool_or(class.relname = 'lash_schema'), false),
        min(class.relname::text) FILTER (WHERE class.relname = ANY ($2::text[]))
    FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
    WHERE space.nspname = $1::text
"""
_TABLES = [
    "blob",
    "entry",
    "label",
    "lease",
    "migration",
    "node",
    "record",
    "segment",
    "session",
    "stream",
    "tombstone",
]


@attrs.frozen
class Server:
    """What a server says of itself.

    Attributes:
        durability: What an acknowledged commit survives, by the server's settings.
    """

    durability: Literal["process", "host", "quorum"]


def read_server(connection: PostgresConnection) -> Server:
    """Ask what an acknowledged commit survives.

    Without ``fsync`` or with ``synchronous_commit=off`` the server may lose the last ones when it or its host
    goes down, so they survive our process alone.
    """
    row = connection.execute(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'), "
        "current_setting('synchronous_standby_names')"
    ).fetchone()
    fsync, synchronous, standbys = row
    if fsync != "on" or synchronous == "off":
        return Server("process")
    return Server("quorum" if standbys and synchronous != "local" else "host")


def check_schema(connection: PostgresConnection, location: Location) -> None:
    """See that the tables are there and of a version that this code works with.

    Raises:
        StoreUnavailable: They are not there, or too old.
        UnsupportedSchema: They are too new.
    """
    found = _find(connection, location)
    if found is None:
        raise StoreUnavailable(
            f"there is no store in schema {location.schema!r} of {location.url}: make it with "
            f"'lash store migrate --store {location.url}'"
        )
    version, oldest = found
    if oldest > statements.SCHEMA_VERSION:
        raise UnsupportedSchema(
            f"{location.url} has schema version {version}, which needs at least version {oldest}; this version of "
            f"lash-store-sql reads up to {statements.SCHEMA_VERSION}: upgrade it"
        )
    if version < statements.SCHEMA_VERSION:
        raise StoreUnavailable(
            f"{location.url} has schema version {version}, this version of lash-store-sql needs "
            f"{statements.SCHEMA_VERSION}: run 'lash store migrate --store {location.url}'"
        )


def _find(connection: PostgresConnection, location: Location) -> tuple[int, int] | None:
    row = connection.execute(_OURS, (location.schema, Texts(_TABLES))).fetchone()
    ours, others = row
    if not ours and others:
        raise StoreUnavailable(
            f"schema {location.schema!r} of {location.url} belongs to something else: it has a table {others!r} and "
            "none of ours; name another with ?schema="
        )
    row = ours and connection.execute("SELECT version, oldest FROM lash_schema").fetchone()
    return (row[0], row[1]) if row else None


def migrate_schema(connection: PostgresConnection, location: Location, *, dry_run: bool) -> Migration:
    """Bring the schema to this version, in one transaction; who migrates at the same time waits.

    Raises:
        UnsupportedSchema: It is newer and cannot be worked with.
    """
    connection.begin_write()
    connection.execute("SELECT pg_advisory_xact_lock($1::bigint)", (connection.lock_number("schema"),))
    found = _find(connection, location)
    if found is not None:
        check_schema(connection, location)
    steps = () if found else tuple(_steps(connection, location))
    if not dry_run:
        for step in steps:
            connection.execute(step)
        connection.commit()
    return Migration(
        name=location.url,
        found=found[0] if found else None,
        version=max(statements.SCHEMA_VERSION, found[0] if found else 0),
        steps=steps,
        applied=bool(steps) and not dry_run,
    )


def _steps(connection: PostgresConnection, location: Location) -> list[str]:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1::text)", (location.schema,)
    ).fetchone()
    quoted = '"' + location.schema.replace('"', '""') + '"'
    version = statements.SCHEMA_VERSION
    return [
        *(() if row[0] else (f"CREATE SCHEMA {quoted}",)),
        *statements.DDL,
        _VERSIONS,
        f"INSERT INTO lash_schema (version, oldest) VALUES ({version}, {statements.COMPATIBLE_VERSION})",  # noqa: S608  both are ours
        f"INSERT INTO migration (version, applied_at) SELECT {version}, {_NOW}",
    ]

"""A connection to a PostgreSQL server, as units of work see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from types import ModuleType
from typing import Any, ClassVar, Self, cast

import psycopg
from psycopg import RawCursor
from psycopg.abc import AdaptContext
from psycopg.pq import Format, TransactionStatus

from lash_store_sql.connection import Name, Rows
from lash_store_sql.postgres import statements
from lash_store_sql.postgres.adapting import Context
from lash_store_sql.postgres.url import Location
from lash_store_sql.rows import pack_bytes

__all__ = ["PostgresConnection", "connect"]


class _Cursor(RawCursor[tuple[Any, ...]]):
    """Takes ``$1`` for the first parameter, and all results in binary."""

    def __init__(self, connection: psycopg.Connection[Any], **arguments: Any) -> None:
        super().__init__(connection, **arguments)
        self.format = Format.BINARY


class PostgresConnection(psycopg.Connection[tuple[Any, ...]]):
    """A `lash_store_sql.connection.Connection` to a PostgreSQL server.

    Attributes:
        namespace: The schema that holds the tables; part of every lock's name.
        prepared: Statements that `lash_store_sql.postgres.flight` has prepared.
    """

    sql: ClassVar[ModuleType] = statements
    pack_id = staticmethod(pack_bytes)
    namespace: str = ""
    prepared: set[str]
    shared = False
    pack = None
    IntegrityError = psycopg.IntegrityError

    def execute(  # type: ignore[override]  # the units of both databases call it so
        self, statement: str, parameters: Sequence[Any] = (), /, *, prepare: bool | None = None
    ) -> Rows:
        """Run one statement."""
        return super().execute(cast(Any, statement), parameters or None, prepare=prepare)

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Run one statement with each of several sets of parameters, in one round trip."""
        with self.cursor() as cursor:
            cursor.executemany(cast(Any, statement), parameters)

    def begin_read(self) -> None:
        """Begin a transaction that sees one state of the database."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin_write(self, name: Name | None = None) -> None:
        """Begin a transaction; wait for others that change what the name stands for.

        Its statements see what was committed when they began, hence all that was done by who was waited for.
        """
        with self.batch():
            self.queue_begin(name)

    def queue_begin(self, name: Name | None) -> None:
        """Do what `begin_write` does, within a batch."""
        self.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        if name:
            self.guard_name(name)

    def guard_name(self, name: Name) -> None:
        """Wait for others that change what a name stands for, and keep them waiting."""
        self.execute("SELECT pg_advisory_xact_lock($1::bigint)", (self.lock_number(*name),))

    def stop_commits(self) -> None:
        """Wait for commits that have begun, and let no other begin: each changes a row of this table."""
        self.execute("LOCK TABLE session IN SHARE ROW EXCLUSIVE MODE")

    def guard_graph(self, graph: int, *, alone: bool) -> None:
        """Keep nodes of a graph from being removed while this transaction builds on them."""
        shared = "" if alone else "_shared"
        self.execute(f"SELECT pg_advisory_xact_lock{shared}($1::integer, $2::integer)", (self.family, graph))

    @property
    def family(self) -> int:
        """The first half of the locks on graphs."""
        return self.lock_number("graph") >> 32

    def lock_number(self, *words: str) -> int:
        """Name a lock by 64 bits; two names that meet merely wait for each other."""
        text = "\0".join((self.namespace, *(f"{len(word)}:{word}" for word in words)))
        return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)

    def fetch_each(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Iterable[list[Any]]:
        """Run one statement with each of several sets of parameters, in one round trip."""
        with self.batch():
            asked = [self.execute(statement, each) for each in parameters]
        return [cursor.fetchall() for cursor in asked]

    def fork_positions(self, segment: int) -> Iterator[int | None]:
        """Give the place that a segment begins behind, then that of its parent, and so on."""
        return (row[0] for row in self.execute(statements.FORK_POSITIONS, (segment,)).fetchall())

    def batch(self) -> AbstractContextManager[psycopg.Pipeline]:
        """Send statements without waiting for the results of those before.

        The end of the batch waits for all of them, in one round trip; fetching before that takes one more.
        """
        return self.pipeline()

    def now(self) -> float:
        """Tell the server's time in seconds."""
        row = self.execute(statements.NOW).fetchone()
        return float(row[0])

    def stamp(self) -> int:
        """Tell the server's time in microseconds."""
        return int(self.now() * 1e6)

    def forget(self) -> None:
        """Do nothing: PostgreSQL's log is the server's own."""

    def faults(self) -> list[str]:
        """Find nothing: PostgreSQL's own checks are its administrator's."""
        return []

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or broken."""
        return self.pgconn.transaction_status != TransactionStatus.IDLE

    @classmethod
    def open(cls, location: Location) -> Self:
        """Connect; settings come in one statement."""
        connection = cls.connect(
            location.conninfo,
            autocommit=True,
            context=cast(AdaptContext, Context()),
            cursor_factory=cast(Any, _Cursor),
            prepare_threshold=2,
        )
        connection.namespace = location.schema
        connection.prepared = set()
        try:
            connection._configure(location)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, location: Location) -> None:
        # Every statement is served by an index whatever its parameters are, so none is worth a plan of its own.
        self.execute(
            "SELECT set_config('search_path', quote_ident($1), false), "
            "set_config('plan_cache_mode', 'force_generic_plan', false), set_config('lock_timeout', $2, false)",
            (location.schema, f"{max(1, round(location.timeout * 1000))}ms"),
        )


def connect(location: Location) -> PostgresConnection:
    """Connect to a server, with our settings."""
    return PostgresConnection.open(location)

"""A prepared statement that the event loop itself waits for: no thread is woken, and none wakes the loop.

It goes by libpq's own calls. A hop to a thread and back would cost a third of what the server needs for a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from lash_store_sql.postgres import statements
from lash_store_sql.postgres.adapting import dump_value, type_of
from lash_store_sql.postgres.connection import PostgresConnection

__all__ = ["ask", "finish"]

_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


async def ask(connection: PostgresConnection, statement: str, values: Sequence[Any]) -> PGresult | None:
    """Run one of our statements outside a transaction; give its result, ``None`` if it failed on the server.

    After a cancellation the connection is still at it, until `finish`.

    Raises:
        psycopg.OperationalError: The connection was lost, and what became of the statement is open.
        UnicodeError, OverflowError: A value cannot be stored.
    """
    line, name = connection.pgconn, statement.encode()
    parameters = [dump_value(value) for value in values]
    if statement not in connection.prepared:
        line.send_prepare(name, getattr(statements, statement).encode(), [type_of(value) for value in values])
        if await _answer(line) is None:
            return None
        connection.prepared.add(statement)
    line.send_query_prepared(name, parameters, [Format.BINARY] * len(parameters), Format.BINARY)
    return await _answer(line)


async def _answer(line: PGconn) -> PGresult | None:
    """Send what is left of a statement, and wait for its result."""
    loop, socket = asyncio.get_running_loop(), line.socket
    while line.flush():
        await _ready(loop.add_writer, loop.remove_writer, socket)
        line.consume_input()
    found = None
    while True:
        while line.is_busy():
            await _ready(loop.add_reader, loop.remove_reader, socket)
            line.consume_input()
        result = line.get_result()
        if result is None:
            break
        found = result
    if found is None:
        raise psycopg.OperationalError("the connection was lost")
    return found if found.status in _DONE else None


async def _ready(add: Any, remove: Any, socket: int) -> None:
    ready = asyncio.get_running_loop().create_future()
    add(socket, _wake, ready)
    try:
        await ready
    finally:
        remove(socket)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def finish(connection: PostgresConnection) -> None:
    """Wait in a thread for the end of what was asked and then abandoned."""
    connection.wait(execute(connection.pgconn))

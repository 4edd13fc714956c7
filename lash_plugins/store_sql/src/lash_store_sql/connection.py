"""What a unit of work is given: a connection that knows the SQL of its database, and the name of a session.

The units in `reading`, `listing`, `lanes` and `stored` are written against this and serve every database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from lash_store_sql.rows import PackedId

__all__ = ["UNLIMITED", "Connection", "Name", "Rows"]

#: For a ``LIMIT`` that shall not limit.
UNLIMITED = (1 << 63) - 1


class Name(NamedTuple):
    """Which session: the first two parameters of every statement that finds one.

    Attributes:
        tenant: Whose it is; the same id of another tenant is another session.
        session_id: The session.
    """

    tenant: str
    session_id: str


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """Give the next row, or ``None``."""
        ...

    def fetchall(self) -> list[Any]:
        """Give the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Give row after row."""
        ...


class Connection(Protocol):
    """A connection to one of the databases.

    Attributes:
        IntegrityError: What the driver raises when a key is there already.
    """

    @property
    def IntegrityError(self) -> type[Exception]:  # noqa: N802  the name that DB-API gives it
        """What the driver raises when a key is there already."""
        ...

    @property
    def sql(self) -> ModuleType:
        """The generated statements of the connection's database."""
        ...

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Run one statement with each of several sets of parameters."""
        ...

    def begin_read(self) -> None:
        """Begin a transaction that sees one state of the database and takes no write lock."""
        ...

    def begin_write(self, name: Name | None = None) -> None:
        """Begin a transaction that writes; what it does not `commit` is rolled back when the unit ends.

        Args:
            name: The session that is written. Where writers run beside each other, those that change what its name
                stands for (its beginning, its end, its lease) wait for each other.
        """
        ...

    @property
    def shared(self) -> bool:
        """Whether other units write in the same transaction: an error undoes them too."""
        ...

    @property
    def pack(self) -> Callable[[bytes], bytes] | None:
        """What compresses payloads and commit documents, if they are stored so."""
        ...

    def guard_graph(self, graph: int, *, alone: bool) -> None:
        """Keep nodes of a graph from being removed while this transaction builds on them.

        Args:
            graph: The graph.
            alone: For who removes nodes: nobody else builds on them meanwhile.
        """
        ...

    def guard_name(self, name: Name) -> None:
        """Let those who change what a name stands for wait, as if the transaction had begun with it."""
        ...

    def stop_commits(self) -> None:
        """Let nobody commit, in any tenant, until this transaction ends; first of all that it does."""
        ...

    def commit(self) -> None:
        """Make what was written durable."""
        ...

    def rollback(self) -> None:
        """Undo what was written."""
        ...

    def fetch_each(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Iterable[list[Any]]:
        """Run one statement with each of several sets of parameters, in one round trip; give what each found."""
        ...

    def fork_positions(self, segment: int) -> Iterator[int | None]:
        """Give the place that a segment begins behind, then that of its parent, and so on.

        Ends with ``None`` at a root, without it where a segment is missing or not younger than its parent.
        """
        ...

    def now(self) -> float:
        """Tell the time by the clock that judges leases, in seconds."""
        ...

    def stamp(self) -> int:
        """Tell the time by the clock that orders what is stored, in microseconds."""
        ...

    def pack_id(self, value: str) -> PackedId:
        """Give an id in the form in which it is stored; `rows.unpack_id` undoes it."""
        ...

    def forget(self) -> None:
        """Leave nothing of deleted rows in the database's log, as far as that can be done at once."""
        ...

    def faults(self) -> list[str]:
        """Ask the database itself what is wrong with it, as far as it can tell; nothing where it cannot."""
        ...

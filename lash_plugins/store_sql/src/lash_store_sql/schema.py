"""The tables, declared once; `lash_store_sql.generate` makes every statement and the DDL from here.

Nothing imports this module at run time but the generator, the tests and migrations.

A node's place is one integer: ``pos = segment << 32 | number``. A segment is a run of nodes that one session
appended, each the child of the one before; it begins behind ``fork_pos`` of an older segment, or at a root. So a path
is a handful of ranges of the primary key, and a fork is a row without nodes. A segment's number is always larger than
its parent's, and so is a node's position than its parent's.

Ids that are 32 lower-case hex digits are stored as 16 bytes. In SQLite other ids are text; the types tell them apart,
which is why the columns are declared ``ANY``. In PostgreSQL they are bytes of another length.

PostgreSQL has no foreign keys here: whoever writes holds the session's row, and a check per row would be paid by every
commit. Text compares by code point there (collation "C"), as in SQLite and Python.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.orm import registry
from sqlalchemy.types import UserDefinedType
from sqlmodel import Field, SQLModel

__all__ = ["COMPATIBLE_VERSION", "METADATA", "SCHEMA_VERSION"]

#: What this declaration is called. `lash_store_sql.migrations` says how older databases become it.
SCHEMA_VERSION = 2

#: The oldest version whose code works on a database of this version; stored as SQLite's ``user_version``,
#: and in PostgreSQL's table ``lash_schema``.
COMPATIBLE_VERSION = 1

_BIG = BigInteger().with_variant(Integer, "sqlite")
_TEXT = PlainText().with_variant(PlainText(collation="C"), "postgresql")
_STRICT = {"sqlite_strict": True}
_STRICT_NO_ROWID = {"sqlite_strict": True, "sqlite_with_rowid": False}
#: Leaves room in a page for the next version of a row, which then needs no new index entries.
_ROOM = {"postgresql_with": {"fillfactor": "70"}}
#: Keys that are never given twice, even after the newest row was deleted.
_STRICT_NO_REUSE = {"sqlite_strict": True, "sqlite_autoincrement": True}


class _Any(UserDefinedType[Any]):
    """Sixteen bytes or text."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Name the type in DDL."""
        return "ANY"


_ID = _Any().with_variant(BYTEA(), "postgresql")


class Table(SQLModel, registry=registry()):
    """Keeps these tables out of the application's own metadata."""


def _key() -> Any:
    """Give the column of a key that the database chooses."""
    return Field(sa_column=Column(_BIG, Identity(), primary_key=True))


def _place() -> Any:
    """Give the column of a key that we compute."""
    return Field(sa_column=Column(_BIG, primary_key=True, autoincrement=False))


def _column(type_: Any, *, null: bool = False) -> Any:
    return Field(sa_column=Column(type_, nullable=null))


def _refers(column: str, target: str) -> ForeignKeyConstraint:
    constraint = ForeignKeyConstraint([column], [target])
    constraint.ddl_if(dialect="sqlite")
    return constraint


class Session(Table, table=True):
    """The head of a living session: the one row of it that is updated.

    ``graph`` is the key of the session that began the graph. ``leaf_pos`` is where the leaf is stored, ``tail_pos``
    the newest node of the segment that this session appends to; while they are equal, the next node goes behind.
    ``stored_at`` is the store's clock (microseconds) at the last commit and never goes back. ``ttl`` is how many
    microseconds after it the session may be deleted; null for never.
    """

    __tablename__ = "session"
    __table_args__ = (UniqueConstraint("tenant", "session_id"), _STRICT_NO_REUSE | _ROOM)

    key: int = _key()
    tenant: str = _column(_TEXT)
    session_id: str = _column(_TEXT)
    incarnation: str = _column(_ID)
    graph: int = _column(_BIG)
    leaf: str | None = _column(_ID, null=True)
    leaf_pos: int | None = _column(_BIG, null=True)
    tail_pos: int | None = _column(_BIG, null=True)
    revision: int = _column(Integer)
    epoch: int = _column(_BIG)
    open_turn: str | None = _column(_TEXT, null=True)
    created_at: int = _column(_BIG)
    updated_at: int = _column(_BIG)
    stored_at: int = _column(_BIG)
    labels: str = _column(_TEXT)
    components: str = _column(_TEXT)
    state: bytes = _column(LargeBinary)
    ttl: int | None = _column(_BIG, null=True)


class Tombstone(Table, table=True):
    """What remains of a deleted incarnation; ``key`` is the key its session had."""

    __tablename__ = "tombstone"
    __table_args__ = (UniqueConstraint("tenant", "session_id", "incarnation"), _STRICT)

    key: int = _place()
    tenant: str = _column(_TEXT)
    session_id: str = _column(_TEXT)
    incarnation: str = _column(_ID)
    revision: int = _column(Integer)
    epoch: int = _column(_BIG)
    deleted_at: int = _column(_BIG)


class Lease(Table, table=True):
    """The lease and epoch of a session name; may precede the session. Released: ``holder`` is null."""

    __tablename__ = "lease"
    __table_args__ = (UniqueConstraint("tenant", "session_id"), _STRICT)

    key: int = _key()
    tenant: str = _column(_TEXT)
    session_id: str = _column(_TEXT)
    epoch: int = _column(_BIG)
    expires_at: int = _column(_BIG)
    holder: str | None = _column(_TEXT, null=True)


class Segment(Table, table=True):
    """A run of nodes; ``owner`` is the key of the session that appends, or appended, to it."""

    __tablename__ = "segment"
    __table_args__ = (_STRICT_NO_REUSE,)

    segment: int = _key()
    graph: int = Field(sa_column=Column(_BIG, nullable=False, index=True))
    owner: int = _column(_BIG)
    fork_pos: int | None = _column(_BIG, null=True)


class Node(Table, table=True):
    """A node: inserted once and never changed but for ``hidden`` and by redaction.

    ``hidden`` is 0, or when it was hidden in microseconds (1 where it came hidden). ``refs`` is the blobs' digests, one
    after another.
    """

    __tablename__ = "node"
    __table_args__ = (UniqueConstraint("graph", "node_id"), _STRICT)

    pos: int = _place()
    graph: int = _column(_BIG)
    node_id: str = _column(_ID)
    parent: str | None = _column(_ID, null=True)
    stored_at: int = _column(_BIG)
    timestamp: int = _column(_BIG)
    hidden: int = _column(_BIG)
    kind: str = _column(_TEXT)
    refs: bytes | None = _column(LargeBinary, null=True)
    payload: bytes = _column(LargeBinary)


class Record(Table, table=True):
    """A commit record; ``key = session << 32 | revision``."""

    __tablename__ = "record"
    __table_args__ = (UniqueConstraint("session", "commit_id"), _refers("session", "session.key"), _STRICT)

    key: int = _place()
    session: int = _column(_BIG)
    commit_id: str = _column(_ID)
    digest: bytes = _column(LargeBinary)
    epoch: int = _column(_BIG)
    leaf: str | None = _column(_ID, null=True)
    open_turn: str | None = _column(_TEXT, null=True)
    committed_at: int = _column(_BIG)
    components: str = _column(_TEXT)
    body: bytes = _column(LargeBinary)


class Blob(Table, table=True):
    """A content-addressed body; ``packing`` is 0 for as it is, 1 for zlib. ``ref`` is the SHA-256 of the plain body.

    ``stored_at`` is when somebody put it last, or began to refer to it, to about ten minutes; null where nobody knows.
    """

    __tablename__ = "blob"
    __table_args__ = (UniqueConstraint("tenant", "ref"), _STRICT)

    key: int = _key()
    tenant: str = _column(_TEXT)
    ref: bytes = _column(LargeBinary)
    packing: int = _column(Integer)
    body: bytes = _column(LargeBinary)
    stored_at: int | None = _column(_BIG, null=True)


class Stream(Table, table=True):
    """A side lane of a session; ``last`` is the newest sequence ever given."""

    __tablename__ = "stream"
    __table_args__ = (UniqueConstraint("session", "name"), _refers("session", "session.key"), _STRICT_NO_REUSE)

    key: int = _key()
    session: int = _column(_BIG)
    name: str = _column(_TEXT)
    last: int = _column(_BIG)


class Entry(Table, table=True):
    """An entry of a stream; ``pos = stream << 32 | sequence``."""

    __tablename__ = "entry"
    __table_args__ = (UniqueConstraint("stream", "name"), _refers("stream", "stream.key"), _STRICT)

    pos: int = _place()
    stream: int = _column(_BIG)
    name: str = _column(_TEXT)
    body: bytes = _column(LargeBinary)


class Label(Table, table=True):
    """The index of the labels that a head carries, in the order of listings."""

    __tablename__ = "label"
    __table_args__ = (Index("label_session", "session"), _refers("session", "session.key"), _STRICT_NO_ROWID)

    tenant: str = Field(sa_column=Column(_TEXT, primary_key=True))
    name: str = Field(sa_column=Column(_TEXT, primary_key=True))
    value: str = Field(sa_column=Column(_TEXT, primary_key=True))
    session_id: str = Field(sa_column=Column(_TEXT, primary_key=True))
    session: int = _column(_BIG)


class Migration(Table, table=True):
    """The versions of the schema that this database went through; not there in version 1."""

    __tablename__ = "migration"
    __table_args__ = (_STRICT,)

    version: int = _place()
    applied_at: int = _column(_BIG)


METADATA = Table.metadata

_SESSION, _NODE = METADATA.tables["session"].c, METADATA.tables["node"].c


def _index(name: str, *columns: Any, where: Any) -> None:
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


_index("session_open_turn", _SESSION.tenant, _SESSION.session_id, where=_SESSION.open_turn.is_not(None))
Index("session_graph", _SESSION.graph)

# Each of these is empty unless there is something to do, and costs other writes nothing.
_index("session_expiry", _SESSION.tenant, _SESSION.stored_at + _SESSION.ttl, where=_SESSION.ttl.is_not(None))
_index("node_hidden", _NODE.graph, where=_NODE.hidden != literal_column("0"))
_index("node_refs", _NODE.graph, where=_NODE.refs.is_not(None))

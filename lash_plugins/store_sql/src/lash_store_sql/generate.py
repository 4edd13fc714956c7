"""Writes the statements of both databases from the declaration: ``python -m lash_store_sql.generate``.

The stores run on the written modules, so they need not import SQLModel or SQLAlchemy; a test compares the two.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Integer, Table, bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from lash_store_sql.postgres.templates import TEMPLATES
from lash_store_sql.schema import COMPATIBLE_VERSION, METADATA, SCHEMA_VERSION

__all__ = ["MODULES", "render"]

_SQLITE: Dialect = sqlite.dialect(paramstyle="qmark")
_POSTGRES: Dialect = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

#: Where each database's statements are.
MODULES = {
    "sqlite": Path(__file__).with_name("statements.py"),
    "postgresql": Path(__file__).parent / "postgres" / "statements.py",
}

Upsert = Callable[[Table], Any]

session, tombstone, lease, segment, node, record, blob, stream, entry, label = (
    METADATA.tables[name]
    for name in (
        "session", "tombstone", "lease", "segment", "node", "record", "blob", "stream", "entry", "label"
    )
)  # fmt: skip


def _named(table: Table) -> Any:
    return (table.c.tenant == bindparam("tenant")) & (table.c.session_id == bindparam("session_id"))


def _add(table: Table, *, key: bool = True, without: tuple[str, ...] = ()) -> Any:
    columns = [
        column.name for column in table.columns if (key or not column.primary_key) and column.name not in without
    ]
    return insert(table).values({name: bindparam(name) for name in columns})


def _limited(query: Any) -> Any:
    return query.limit(bindparam("limit", type_=BigInteger().with_variant(Integer, "sqlite")))


def _between(table: Table, column: str = "pos") -> Any:
    return table.c[column].between(bindparam("first"), bindparam("final"))


def _identified(table: Table, **by: str) -> Any:
    where: Any = True
    for column, parameter in by.items():
        clause = table.c[column] == bindparam(parameter)
        where = clause if where is True else where & clause
    return where


def _sessions() -> Iterator[tuple[str, Any]]:
    yield "HEAD", select(
        *(session.c[name] for name in (
            "incarnation", "revision", "epoch", "leaf", "components", "state",
            "open_turn", "labels", "created_at", "updated_at", "ttl",
        ))
    ).where(_named(session))  # fmt: skip
    yield "SESSION", select(
        *(session.c[name] for name in (
            "key", "incarnation", "revision", "epoch", "graph", "leaf", "leaf_pos", "tail_pos", "stored_at",
            "components",
        ))
    ).where(_named(session))  # fmt: skip
    yield "SESSION_LOCKED", select(
        *(session.c[name] for name in (
            "key", "incarnation", "revision", "epoch", "graph", "leaf", "leaf_pos", "tail_pos", "stored_at",
            "components",
        ))
    ).where(_named(session)).with_for_update()  # fmt: skip
    yield "ADD_SESSION", _add(session, key=False, without=("ttl",)).returning(session.c.key)
    changed = (
        "leaf", "leaf_pos", "tail_pos", "revision", "epoch", "open_turn", "updated_at", "stored_at", "components",
        "state",
    )  # fmt: skip
    yield (
        "MOVE_HEAD",
        update(session).where(_identified(session, key="session")).values({name: bindparam(name) for name in changed}),
    )
    yield "BEGIN_GRAPH", update(session).where(_identified(session, key="session")).values(graph=session.c.key)
    yield "RAISE_EPOCH", update(session).where(_named(session)).values(epoch=bindparam("epoch"))
    yield "RELABEL", update(session).where(_identified(session, key="session")).values(labels=bindparam("labels"))
    yield "SET_TTL", update(session).where(_identified(session, key="session")).values(ttl=bindparam("ttl"))
    yield "DROP_SESSION", delete(session).where(_identified(session, key="session"))
    yield "SHARERS", select(session.c.key, session.c.leaf_pos).where(_identified(session, graph="graph"))
    yield "ADD_TOMBSTONE", _add(tombstone)
    yield (
        "TOMBSTONE",
        select(tombstone.c.revision).where(_named(tombstone)).where(_identified(tombstone, incarnation="incarnation")),
    )
    yield "LAST_TOMBSTONE", select(
        tombstone.c.incarnation, tombstone.c.revision, tombstone.c.deleted_at
    ).where(_named(tombstone)).order_by(tombstone.c.key.desc())  # fmt: skip
    yield "DEAD_EPOCH", select(func.max(tombstone.c.epoch)).where(_named(tombstone))


def _leases(upsert: Upsert) -> Iterator[tuple[str, Any]]:
    yield "LEASE", select(lease.c.epoch, lease.c.expires_at, lease.c.holder).where(_named(lease))
    names = ("tenant", "session_id", "epoch", "expires_at", "holder")
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    add = upsert(lease).values(values)
    fresh = {name: add.excluded[name] for name in ("epoch", "expires_at", "holder")}
    yield "SET_LEASE", add.on_conflict_do_update(index_elements=["tenant", "session_id"], set_=fresh)
    yield "DROP_LEASE", delete(lease).where(_named(lease))


def _nodes() -> Iterator[tuple[str, Any]]:
    columns = [node.c[name] for name in ("node_id", "parent", "timestamp", "kind", "payload", "hidden", "refs")]
    shown, placed = select(*columns), select(*columns, node.c.stored_at, node.c.pos)
    by_id = _identified(node, graph="graph", node_id="node_id")
    yield "ADD_NODE", _add(node)
    yield "PLACE", select(node.c.pos, node.c.stored_at).where(by_id)
    yield "NODE", shown.where(by_id)
    yield "RANGE", shown.where(_between(node)).order_by(node.c.pos)
    newer = (node.c.stored_at > bindparam("stored_at")) | (
        (node.c.stored_at == bindparam("same")) & (node.c.pos > bindparam("pos"))
    )
    visible = placed.where(_between(node)).where(node.c.hidden == bindparam("hidden"))
    yield "VISIBLE", _limited(visible.order_by(node.c.pos))
    yield "VISIBLE_AFTER", _limited(visible.where(newer).order_by(node.c.pos))
    yield "DROP_NODES", delete(node).where(_between(node))
    yield "ADD_SEGMENT", _add(segment, key=False).returning(segment.c.segment)
    yield "FORK_POS", select(segment.c.fork_pos).where(_identified(segment, segment="segment"))
    yield (
        "SEGMENTS",
        select(segment.c.segment, segment.c.owner)
        .where(_identified(segment, graph="graph"))
        .order_by(segment.c.segment),
    )
    yield "DROP_SEGMENT", delete(segment).where(_identified(segment, segment="segment"))


def _records(upsert: Upsert) -> Iterator[tuple[str, Any]]:
    yield "ADD_RECORD", _add(record)
    yield (
        "RECORD",
        select(record.c.key, record.c.digest).where(_identified(record, session="session", commit_id="commit_id")),
    )
    yield "RECORDS", _limited(
        select(
            record.c.key, record.c.commit_id, record.c.digest, record.c.epoch, record.c.leaf, record.c.open_turn,
            record.c.components, record.c.body, record.c.committed_at,
        ).where(_between(record, "key")).order_by(record.c.key)
    )  # fmt: skip
    yield "DROP_RECORDS", delete(record).where(_between(record, "key"))
    fresh = upsert(blob).values(
        {name: bindparam(name) for name in ("tenant", "ref", "packing", "body", "stored_at")}
    )  # fmt: skip
    yield (
        "ADD_BLOB",
        fresh.on_conflict_do_update(index_elements=["tenant", "ref"], set_={"stored_at": fresh.excluded.stored_at}),
    )
    yield "HAS_BLOB", select(blob.c.stored_at).where(_identified(blob, tenant="tenant", ref="ref"))
    yield (
        "TOUCH_BLOB",
        update(blob).where(_identified(blob, tenant="tenant", ref="ref")).values(stored_at=bindparam("stored_at")),
    )
    yield "BLOB", select(blob.c.packing, blob.c.body).where(_identified(blob, tenant="tenant", ref="ref"))


def _streams() -> Iterator[tuple[str, Any]]:
    yield "STREAM", select(stream.c.key, stream.c.last).where(_identified(stream, session="session", name="name"))
    yield "ADD_STREAM", _add(stream, key=False)
    yield "MOVE_STREAM", update(stream).where(_identified(stream, key="stream")).values(last=bindparam("last"))
    yield "DROP_STREAMS", delete(stream).where(_identified(stream, session="session"))
    yield "ADD_ENTRY", _add(entry)
    yield "ENTRY", select(entry.c.pos).where(_identified(entry, stream="stream", name="name"))
    yield (
        "ENTRIES",
        _limited(select(entry.c.pos, entry.c.name, entry.c.body).where(_between(entry)).order_by(entry.c.pos)),
    )
    yield "TRIM_ENTRIES", delete(entry).where(_between(entry))
    own = select(stream.c.key).where(_identified(stream, session="session"))
    yield "DROP_ENTRIES", delete(entry).where(entry.c.stream.in_(own))


def _listings() -> Iterator[tuple[str, Any]]:
    yield "ADD_LABEL", _add(label)
    yield "DROP_LABELS", delete(label).where(_identified(label, session="session"))
    joined = session.outerjoin(
        lease, (lease.c.tenant == session.c.tenant) & (lease.c.session_id == session.c.session_id)
    )
    labelled = label.join(session, session.c.key == label.c.session).outerjoin(
        lease, (lease.c.tenant == label.c.tenant) & (lease.c.session_id == label.c.session_id)
    )
    columns = [
        session.c[name] for name in (
            "session_id", "incarnation", "revision", "epoch", "leaf", "components", "state", "open_turn", "labels",
            "created_at", "updated_at", "ttl",
        )
    ] + [lease.c.epoch.label("lease_epoch"), lease.c.expires_at, lease.c.holder]  # fmt: skip
    turns = {
        "": None,
        "_OPEN": session.c.open_turn.is_not(None),
        "_IDLE": session.c.open_turn.is_(None),
    }
    for suffix, turn in turns.items():
        for prefix, source, table in (("LIST", joined, session), ("LABELLED", labelled, label)):
            query = select(*columns).select_from(source).where(table.c.tenant == bindparam("tenant"))
            if table is label:
                query = query.where(_identified(label, name="name", value="value"))
            query = query.where(table.c.session_id >= bindparam("first"))
            query = query if turn is None else query.where(turn)
            yield prefix + suffix, _limited(query.order_by(table.c.session_id))
    yield from _counts()


def _counts() -> Iterator[tuple[str, Any]]:
    """Count by tenant; a graph belongs to the tenant of the sessions that point at it."""
    own = session.c.tenant == bindparam("tenant")
    yield "COUNT_SESSIONS", select(func.count()).select_from(session).where(own)
    for name, column, of in (("NODES", node.c.graph, session.c.graph), ("COMMITS", record.c.session, session.c.key)):
        yield f"COUNT_{name}", select(func.count()).select_from(column.table).where(column.in_(select(of).where(own)))
    yield "COUNT_BLOBS", select(func.count()).select_from(blob).where(_identified(blob, tenant="tenant"))


def _upkeep() -> Iterator[tuple[str, Any]]:
    """Yield what retention, checks and archives run, none of it hot."""
    size = func.length
    living = select(session.c.graph).where(session.c.tenant == bindparam("tenant"))
    mine = _identified(session, tenant="tenant")
    leaves = select(session.c.key, session.c.session_id, session.c.leaf).where(_identified(session, graph="graph"))
    yield "LEAVES", leaves.order_by(session.c.key)
    yield "LEAVES_LOCKED", leaves.order_by(session.c.key).with_for_update()
    yield (
        "EDGES",
        select(node.c.pos, node.c.node_id, node.c.parent, node.c.hidden, size(node.c.payload))
        .where(_identified(node, graph="graph"))
        .order_by(node.c.stored_at, node.c.pos),
    )
    yield "HIDE", update(node).where(_identified(node, pos="pos")).values(hidden=bindparam("hidden"))
    yield "CUT", update(node).where(_identified(node, pos="pos")).values(parent=bindparam("parent"))
    is_hidden = node.c.hidden != literal_column("0")
    yield "HIDDEN_GRAPHS", select(node.c.graph).where(is_hidden).where(
        node.c.graph.in_(living)
    ).distinct().order_by(node.c.graph)  # fmt: skip
    yield (
        "PAYLOADS",
        select(node.c.pos, node.c.node_id, node.c.payload, node.c.refs).where(_identified(node, graph="graph")),
    )
    yield (
        "SET_PAYLOAD",
        update(node).where(_identified(node, pos="pos")).values(payload=bindparam("payload"), refs=bindparam("refs")),
    )
    yield (
        "RECORD_BODIES",
        select(record.c.key, record.c.committed_at, record.c.open_turn, record.c.components, record.c.body)
        .where(_between(record, "key"))
        .order_by(record.c.key),
    )
    yield (
        "RECORD_SIZES",
        select(record.c.key, record.c.committed_at, record.c.open_turn, size(record.c.body))
        .where(_between(record, "key"))
        .order_by(record.c.key),
    )
    changed: dict[str, Any] = {name: bindparam(name) for name in ("components", "body")}
    yield "SET_RECORD", update(record).where(_identified(record, key="record")).values(changed)
    yield "EMPTY_RECORDS", update(record).where(_between(record, "key")).values(body=bindparam("body"))
    yield (
        "ENTRY_BODIES",
        select(entry.c.pos, entry.c.body)
        .select_from(entry.join(stream, stream.c.key == entry.c.stream))
        .where(_identified(stream, session="session")),
    )
    yield "ENTRY_SIZES", select(entry.c.pos, size(entry.c.body)).where(_between(entry)).order_by(entry.c.pos.desc())
    yield "SET_ENTRY", update(entry).where(_identified(entry, pos="pos")).values(body=bindparam("body"))
    yield (
        "STREAMS",
        select(stream.c.key, stream.c.name, stream.c.last)
        .where(_identified(stream, session="session"))
        .order_by(stream.c.name),
    )
    yield (
        "SET_DOCUMENTS",
        update(session)
        .where(_identified(session, key="session"))
        .values(components=bindparam("components"), state=bindparam("state")),
    )
    yield (
        "HEAD_REFS",
        _limited(
            select(session.c.key, session.c.revision, session.c.components, session.c.state)
            .where(mine)
            .where(session.c.key > bindparam("after"))
            .order_by(session.c.key)
        ),
    )
    yield "NODE_REFS", select(node.c.refs).where(node.c.refs.is_not(None)).where(node.c.graph.in_(living))
    yield (
        "BLOBS",
        _limited(
            select(blob.c.key, blob.c.ref, blob.c.stored_at, size(blob.c.body))
            .where(_identified(blob, tenant="tenant"))
            .where(blob.c.key > bindparam("after"))
            .order_by(blob.c.key)
        ),
    )
    unknown = update(blob).where(_identified(blob, tenant="tenant")).where(blob.c.stored_at.is_(None))
    yield "STAMP_BLOBS", unknown.values(stored_at=bindparam("stored_at"))
    yield "DROP_BLOB", delete(blob).where(_identified(blob, key="blob")).where(
        func.coalesce(blob.c.stored_at, literal_column("0")) <= bindparam("upto")
    )  # fmt: skip
    yield "FORGET_BLOB", delete(blob).where(_identified(blob, tenant="tenant", ref="ref"))
    first = segment.c.segment * literal_column("4294967296")
    filled = select(node.c.pos).where(node.c.pos.between(first, first + literal_column("4294967295"))).exists()
    appended = (
        select(session.c.key)
        .where(session.c.key == segment.c.owner)
        .where(session.c.tail_pos.between(first, first + literal_column("4294967295")))
        .exists()
    )
    yield "EMPTY_SEGMENTS", select(segment.c.segment).where(segment.c.graph.in_(living)).where(~filled).where(~appended)
    over = session.c.stored_at + session.c.ttl <= bindparam("now")
    yield (
        "EXPIRED",
        select(session.c.session_id, session.c.incarnation, lease.c.expires_at, lease.c.holder)
        .select_from(
            session.outerjoin(
                lease, (lease.c.tenant == session.c.tenant) & (lease.c.session_id == session.c.session_id)
            )
        )
        .where(session.c.ttl.is_not(None))
        .where(mine)
        .where(over)
        .order_by(session.c.session_id),
    )
    yield (
        "ARCHIVE",
        _limited(
            select(
                node.c.node_id, node.c.parent, node.c.timestamp, node.c.kind, node.c.payload, node.c.hidden,
                node.c.refs, session.c.session_id, node.c.stored_at, node.c.pos,
            )
            .select_from(
                node.join(segment, segment.c.segment == node.c.pos.op(">>")(literal_column("32"))).outerjoin(
                    session, session.c.key == segment.c.owner
                )
            )
            .where(_identified(node, graph="graph"))
            .where(
                (node.c.stored_at > bindparam("stored_at"))
                | ((node.c.stored_at == bindparam("same")) & (node.c.pos > bindparam("pos")))
            )
            .order_by(node.c.stored_at, node.c.pos)
        ),
    )  # fmt: skip
    yield "SET_LEAF", update(session).where(_identified(session, key="session")).values(
        leaf=bindparam("leaf"), leaf_pos=bindparam("leaf_pos")
    )  # fmt: skip
    yield "SET_FORK", update(segment).where(_identified(segment, segment="segment")).values(
        fork_pos=bindparam("fork_pos")
    )  # fmt: skip
    yield "EXPIRY", select(session.c.stored_at, session.c.ttl).where(_named(session))
    yield "COUNT_HIDDEN", select(func.count()).select_from(node).where(is_hidden).where(node.c.graph.in_(living))
    yield "RECORD_REFS", select(record.c.components).where(_between(record, "key")).distinct()
    yield from _checks()


def _checks() -> Iterator[tuple[str, Any]]:
    """Yield what a check looks for."""
    yield "GRAPHS", select(session.c.graph).where(
        _identified(session, tenant="tenant")
    ).distinct().order_by(session.c.graph)  # fmt: skip
    yield "FORKS", select(segment.c.segment, segment.c.owner, segment.c.fork_pos).where(
        _identified(segment, graph="graph")
    )  # fmt: skip
    yield (
        "HEADS",
        _limited(
            select(
                session.c.key, session.c.session_id, session.c.revision, session.c.leaf, session.c.leaf_pos,
                session.c.labels, session.c.components, session.c.graph,
            )
            .where(_identified(session, tenant="tenant"))
            .where(session.c.key > bindparam("after"))
            .order_by(session.c.key)
        ),
    )  # fmt: skip
    yield "LEAF_POS", select(session.c.leaf_pos).where(_identified(session, key="session"))
    yield "RECORD_COMPONENTS", select(record.c.key, record.c.components).where(_between(record, "key"))
    yield "SHARING", select(session.c.session_id).where(_identified(session, graph="graph")).order_by(session.c.key)
    yield "LABELS", select(label.c.name, label.c.value, label.c.session_id).where(_identified(label, session="session"))
    yield "NEWEST_RECORD", select(func.max(record.c.key)).where(_between(record, "key"))
    yield "NEWEST_ENTRY", select(func.max(entry.c.pos)).where(_between(entry))
    yield "REFERRING", select(node.c.node_id, node.c.refs).where(_identified(node, graph="graph")).where(
        node.c.refs.is_not(None)
    )  # fmt: skip
    for name, table, column, home in (
        ("NODES", node, node.c.graph, session.c.graph),
        ("SEGMENTS", segment, segment.c.graph, session.c.graph),
        ("RECORDS", record, record.c.session, session.c.key),
        ("STREAMS", stream, stream.c.session, session.c.key),
        ("ENTRIES", entry, entry.c.stream, stream.c.key),
        ("LABELS", label, label.c.session, session.c.key),
    ):
        there = select(home).where(home == column).correlate(table).exists()
        yield f"ORPHAN_{name}", select(func.count()).select_from(table).where(~there)


def _statements(upsert: Upsert) -> Iterator[tuple[str, Any]]:
    yield from _sessions()
    yield from _leases(upsert)
    yield from _nodes()
    yield from _records(upsert)
    yield from _streams()
    yield from _listings()
    yield from _upkeep()


def _compiled(statement: Any, dialect: Dialect) -> tuple[str, list[str]]:
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    sql, parameters = " ".join(str(compiled).split()), list(compiled.positiontup or ())
    if sql.endswith(" OFFSET ?"):  # the dialect adds an offset of zero to every limit
        return sql.removesuffix(" OFFSET ?"), parameters[:-1]
    return sql, parameters


def _numbered(template: str) -> tuple[str, list[str]]:
    """Number the parameters of a statement that was written by hand."""
    parameters = list(dict.fromkeys(re.findall(r"(?<!:):([a-z_]+)", template)))
    sql = re.sub(r"(?<!:):([a-z_]+)", lambda found: f"${parameters.index(found[1]) + 1}", template)
    return " ".join(sql.split()), parameters


def _ddl(dialect: Dialect) -> Iterator[str]:
    for table in METADATA.sorted_tables:
        yield " ".join(str(CreateTable(table).compile(dialect=dialect)).split())
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield " ".join(str(CreateIndex(index).compile(dialect=dialect)).split())


def _assigned(name: str, text: str) -> Iterator[str]:
    if len(name) + len(text) < 110:
        yield f"{name} = {next(_literal(text)).strip()}"
        return
    lines = list(_literal(text))
    yield f"{name} = ("
    yield from lines
    yield ")"


def _literal(text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, 108, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        end = " " if number < len(lines) - 1 else ""
        quote = "'" if '"' in line else '"'
        yield f"    {quote}{line}{end}{quote}"


def _named_statements(database: str) -> Iterator[tuple[str, str, list[str]]]:
    dialect, upsert = (
        (_SQLITE, sqlite.insert) if database == "sqlite" else (_POSTGRES, postgresql.insert)
    )  # fmt: skip
    for name, statement in _statements(upsert):
        yield name, *_compiled(statement, dialect)
    if database == "postgresql":
        for name, template in TEMPLATES.items():
            yield name, *_numbered(template)


def _lines(database: str) -> Iterator[str]:
    title = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[database]
    yield f'"""SQL for {title}, written by ``python -m lash_store_sql.generate`` from the declaration: do not edit."""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    yield "# fmt: off"
    yield f"SCHEMA_VERSION = {SCHEMA_VERSION}"
    yield f"COMPATIBLE_VERSION = {COMPATIBLE_VERSION}"
    for name, sql, parameters in _named_statements(database):
        yield ""
        yield from textwrap.wrap(f"#: {', '.join(parameters) or 'no parameters'}", 100, subsequent_indent="#: ")
        yield from _assigned(name, sql)
    if database == "postgresql":
        yield from _orders()
    yield ""
    yield "DDL = ("
    for sql in _ddl(_SQLITE if database == "sqlite" else _POSTGRES):
        *head, final = _literal(sql)
        yield from head
        yield f"{final},"
    yield ")"


def _orders() -> Iterator[str]:
    """Say in which order the long statements take their parameters."""
    yield ""
    yield "PARAMETERS = {"
    for name, template in TEMPLATES.items():
        order = ", ".join(f'"{parameter}"' for parameter in _numbered(template)[1])
        yield f'    "{name}": ('
        yield from textwrap.wrap(f"{order},", 108, initial_indent=" " * 8, subsequent_indent=" " * 8) if order else ()
        yield "    ),"
    yield "}"


def render(database: str) -> str:
    """Give the text of the statements module of ``sqlite`` or ``postgresql``."""
    return "\n".join(_lines(database)) + "\n"


if __name__ == "__main__":
    for written, path in MODULES.items():
        path.write_text(render(written), encoding="utf-8")

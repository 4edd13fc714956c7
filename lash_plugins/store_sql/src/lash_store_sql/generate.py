"""Writes `lash_store_sql.statements` from the declaration: ``python -m lash_store_sql.generate``.

The default path runs on the written module, so it need not import SQLModel or SQLAlchemy; a test compares the two.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Integer, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.schema import CreateIndex, CreateTable

from lash_store_sql.schema import METADATA, SCHEMA_VERSION

__all__ = ["render"]

_DIALECT = sqlite.dialect(paramstyle="qmark")

session, tombstone, lease, segment, node, record, blob, stream, entry, label = (
    METADATA.tables[name]
    for name in (
        "session", "tombstone", "lease", "segment", "node", "record", "blob", "stream", "entry", "label"
    )
)  # fmt: skip


def _named(table: Table) -> Any:
    return (table.c.tenant == bindparam("tenant")) & (table.c.session_id == bindparam("session_id"))


def _add(table: Table, *, key: bool = True) -> Any:
    columns = [column.name for column in table.columns if key or not column.primary_key]
    return insert(table).values({name: bindparam(name) for name in columns})


def _limited(query: Any) -> Any:
    return query.limit(bindparam("limit", type_=Integer))


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
            "open_turn", "labels", "created_at", "updated_at",
        ))
    ).where(_named(session))  # fmt: skip
    yield "SESSION", select(
        *(session.c[name] for name in (
            "key", "incarnation", "revision", "epoch", "graph", "leaf", "leaf_pos", "tail_pos", "stored_at",
            "components",
        ))
    ).where(_named(session))  # fmt: skip
    yield "ADD_SESSION", _add(session, key=False)
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


def _leases() -> Iterator[tuple[str, Any]]:
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
        (node.c.stored_at == bindparam("stored_at")) & (node.c.pos > bindparam("pos"))
    )
    visible = placed.where(_between(node)).where(node.c.hidden == bindparam("hidden"))
    yield "VISIBLE", _limited(visible.order_by(node.c.pos))
    yield "VISIBLE_AFTER", _limited(visible.where(newer).order_by(node.c.pos))
    yield "DROP_NODES", delete(node).where(_between(node))
    yield "ADD_SEGMENT", _add(segment, key=False)
    yield "FORK_POS", select(segment.c.fork_pos).where(_identified(segment, segment="segment"))
    yield (
        "SEGMENTS",
        select(segment.c.segment, segment.c.owner)
        .where(_identified(segment, graph="graph"))
        .order_by(segment.c.segment),
    )
    yield "DROP_SEGMENT", delete(segment).where(_identified(segment, segment="segment"))


def _records() -> Iterator[tuple[str, Any]]:
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
    yield "ADD_BLOB", upsert(blob).values(
        {name: bindparam(name) for name in ("tenant", "ref", "packing", "body")}
    ).on_conflict_do_nothing()  # fmt: skip
    yield "HAS_BLOB", select(blob.c.key).where(_identified(blob, tenant="tenant", ref="ref"))
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
            "created_at", "updated_at",
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


def _compiled(statement: Any) -> tuple[str, list[str]]:
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    sql, parameters = " ".join(str(compiled).split()), list(compiled.positiontup or ())
    if sql.endswith(" OFFSET ?"):  # the dialect adds an offset of zero to every limit
        return sql.removesuffix(" OFFSET ?"), parameters[:-1]
    return sql, parameters


def _ddl() -> Iterator[str]:
    for table in METADATA.sorted_tables:
        yield " ".join(str(CreateTable(table).compile(dialect=_DIALECT)).split())
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield " ".join(str(CreateIndex(index).compile(dialect=_DIALECT)).split())


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


def _lines() -> Iterator[str]:
    yield '"""SQL for SQLite, written by ``python -m lash_store_sql.generate`` from the declaration: do not edit."""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    yield "# fmt: off"
    yield f"SCHEMA_VERSION = {SCHEMA_VERSION}"
    for group in (_sessions, _leases, _nodes, _records, _streams, _listings):
        for name, statement in group():
            sql, parameters = _compiled(statement)
            yield ""
            yield from textwrap.wrap(f"#: {', '.join(parameters) or 'no parameters'}", 100, subsequent_indent="#: ")
            yield from _assigned(name, sql)
    yield ""
    yield "DDL = ("
    for sql in _ddl():
        *head, final = _literal(sql)
        yield from head
        yield f"{final},"
    yield ")"


def render() -> str:
    """Give the text of the statements module."""
    return "\n".join(_lines()) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("statements.py").write_text(render(), encoding="utf-8")

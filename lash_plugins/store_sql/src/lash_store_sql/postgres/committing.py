"""A commit in one round trip: one statement that does everything, or gives no row.

No row means that something is not as the plain case has it. Then `lash_store_sql.committing` looks at it statement by
statement, under locks: it says in the protocol's order what is wrong, or does what the one statement leaves to it.
A commit that was sent on a connection that was lost is sent again, and finds its own record if it was stored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any

import psycopg
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Receipt, blob_ref, commit_digest

from lash_store_sql.committing import write_commit
from lash_store_sql.connection import Name
from lash_store_sql.postgres import statements
from lash_store_sql.postgres.adapting import NO_BIGINT, NO_BYTEA, NO_TEXT, Bigints, Byteas, Texts
from lash_store_sql.postgres.connection import PostgresConnection
from lash_store_sql.postgres.pool import Pool
from lash_store_sql.rows import SHIFT, dump_mapping, escaped, join_refs, pack_body, pack_bytes

__all__ = ["store_commit"]

#: A node or commit id that is there, a blob that just went, a head that cannot be read.
_NOT_PLAIN = (psycopg.IntegrityError, psycopg.errors.DivisionByZero, psycopg.errors.InvalidTextRepresentation)

#: Bytes up to which a commit is encoded and sent on the event loop.
_SMALL = 64 * 1024

_LOW = (1 << SHIFT) - 1


class _Fate(Enum):
    """What became of a commit that was sent without a thread and is not stored for certain."""

    UNTRIED = 0
    NOT_PLAIN = 1
    LOST = 2


async def store_commit(pool: Pool, name: Name, commit: Commit, max_value: int) -> Receipt:
    """Store a commit in one round trip if it is a plain one and all is as it expects; a small one without a thread."""
    deadline, sent = pool.deadline, _Fate.UNTRIED
    if commit.expected_revision is not None and sum(map(len, _bodies(commit))) <= _SMALL:
        receipt = await _send(pool, name, commit, max_value, deadline)
        if isinstance(receipt, Receipt):
            return receipt
        sent = receipt
    unit = partial(_store, name=name, commit=commit, max_value=max_value, plain=sent is not _Fate.NOT_PLAIN)
    lost = sent is _Fate.LOST
    return await pool.run(unit, "commit", name.session_id, writes=True, deadline=deadline, uncertain=lost)


async def _send(pool: Pool, name: Name, commit: Commit, max_value: int, deadline: float) -> Receipt | _Fate:
    """Store a plain commit on the event loop; what fails is looked at by the thread, which says why."""
    try:
        values = _values(name, commit, max_value)
        if values is None:
            return _Fate.NOT_PLAIN
        statement = _next_statement(commit)
        given = [values[name] for name in statements.PARAMETERS[statement]]
        result = await pool.ask(statement, given, "commit", name.session_id, deadline)
    except (UnicodeError, OverflowError):
        return _Fate.UNTRIED
    except psycopg.OperationalError:
        return _Fate.LOST
    if result is None:
        return _Fate.UNTRIED
    revision = result.get_value(0, 0) if result.ntuples else None
    if revision is None:
        return _Fate.NOT_PLAIN
    return Receipt(commit.session_id, commit.commit_id, int.from_bytes(revision, signed=True), values["digest"].hex())


def _store(connection: PostgresConnection, name: Name, commit: Commit, max_value: int, plain: bool) -> Receipt:
    if plain and (values := _values(name, commit, max_value)):
        store = _first if commit.expected_revision is None else _next
        with contextlib.suppress(*_NOT_PLAIN):
            if revision := store(connection, name, commit, values):
                return Receipt(commit.session_id, commit.commit_id, revision, values["digest"].hex())
        if connection.in_transaction:
            connection.rollback()
    return write_commit(connection, name, commit, max_value)


def _next(connection: PostgresConnection, name: Name, commit: Commit, values: Mapping[str, Any]) -> int | None:
    row = _execute(connection, _next_statement(commit), values).fetchone()
    return row[0] if row else None


def _next_statement(commit: Commit) -> str:
    return "COMMIT" + ("_CONSUMING" if commit.consumed else "") + ("" if commit.labels is None else "_LABELLING")


def _first(connection: PostgresConnection, name: Name, commit: Commit, values: Mapping[str, Any]) -> int | None:
    """Begin a session: the locks, the statement and the end of the transaction go out together."""
    with connection.batch():
        connection.queue_begin(name)
        if commit.fork:
            source = {"family": connection.family, "tenant": name.tenant, "session_id": commit.fork.session_id}
            _execute(connection, "GUARD_SOURCE", source)
        done = _execute(connection, "FIRST_COMMIT" + ("" if commit.labels is None else "_LABELLING"), values)
        connection.execute("COMMIT")
    row = done.fetchone()
    return row[0] if row else None


def _execute(connection: PostgresConnection, statement: str, values: Mapping[str, Any]) -> Any:
    order = statements.PARAMETERS[statement]
    return connection.execute(getattr(statements, statement), [values[name] for name in order], prepare=True)


def _values(name: Name, commit: Commit, max_value: int) -> dict[str, Any] | None:
    """Give the statement's parameters by name; ``None`` for a commit that is not a plain one."""
    ids = [pack_bytes(node.node_id) for node in commit.nodes]
    parents = [_pack_optional(node.parent_node_id) for node in commit.nodes]
    wanted = _wanted(commit)
    largest = max(map(len, _bodies(commit)))
    is_odd = any(body[:1] == b"\xff" for body in _bodies(commit))  # is stored with a mark
    is_run = parents[1:] == ids[:-1]
    if (
        not is_run
        or is_odd
        or wanted is None
        or largest > max_value
        or (commit.fork and commit.expected_revision is not None)
    ):
        return None
    return {
        "tenant": name.tenant,
        "session_id": name.session_id,
        "incarnation": pack_bytes(commit.writer.incarnation),
        "expected": NO_BIGINT if commit.expected_revision is None else commit.expected_revision,
        "epoch": commit.writer.epoch or 0,
        "commit_id": pack_bytes(commit.commit_id),
        "digest": bytes.fromhex(commit_digest(commit)),
        "leaf": _pack_optional(commit.leaf) or NO_BYTEA,
        "behind_leaf": _behind(commit),
        "open_turn": NO_TEXT if commit.open_turn is None else commit.open_turn,
        "committed_at": commit.committed_at,
        "components": dump_mapping(commit.components),
        "sets_ttl": commit.ttl is not None,
        "ttl": round((commit.ttl or 0) * 1_000_000) or NO_BIGINT,
        "state": commit.state,
        "record": escaped(commit.record),
        **_forked(commit),
        **_labelled(commit),
        **_placed(commit.nodes, ids, parents),
        **_packed(commit.blobs),
        "wanted": wanted,
        "known": not any(node.refs for node in commit.nodes),
        "streams": Texts(consumed.stream for consumed in commit.consumed),
        "uptos": Bigints(min(consumed.upto, _LOW) for consumed in commit.consumed),
    }


def _forked(commit: Commit) -> dict[str, Any]:
    fork = commit.fork
    return {
        "forks": fork is not None,
        "fork_session": fork.session_id if fork else NO_TEXT,
        "fork_leaf": (_pack_optional(fork.leaf) if fork else None) or NO_BYTEA,
    }


def _labelled(commit: Commit) -> dict[str, Any]:
    labels = commit.labels
    return {
        "labels": NO_TEXT if labels is None else dump_mapping(labels),
        "label_names": Texts(labels or ()),
        "label_values": Texts((labels or {}).values()),
    }


def _placed(nodes: Sequence[Node], ids: list[bytes], parents: list[bytes | None]) -> dict[str, Any]:
    return {
        "count": len(nodes),
        "parent": (parents[0] if parents else None) or NO_BYTEA,
        "node_ids": Byteas(ids),
        "parents": Byteas(parents),
        "timestamps": Bigints(node.timestamp for node in nodes),
        "hidden": Bigints(int(node.hidden) for node in nodes),
        "kinds": Texts(node.kind for node in nodes),
        "refs": Byteas(join_refs(node.refs) if node.refs else None for node in nodes),
        "payloads": Byteas(escaped(node.payload) for node in nodes),
    }


def _packed(blobs: Mapping[str, bytes]) -> dict[str, Any]:
    """Pack the blobs; in one order for all, so that two commits with the same ones do not wait for each other."""
    refs = sorted(blobs)
    packed = [pack_body(blobs[ref]) for ref in refs]
    return {
        "blobs": Byteas(bytes.fromhex(ref) for ref in refs),
        "packings": Bigints(packing for packing, _ in packed),
        "bodies": Byteas(body for _, body in packed),
    }


def _wanted(commit: Commit) -> Byteas | None:
    """Give the refs that must be stored already; ``None`` where one names no blob, or another than it comes with."""
    if any(blob_ref(body) != ref for ref, body in commit.blobs.items()):
        return None
    refs = {*commit.components.values(), *(ref for node in commit.nodes for ref in node.refs)} - commit.blobs.keys()
    try:
        return Byteas(bytes.fromhex(ref) for ref in refs)
    except ValueError:
        return None


def _behind(commit: Commit) -> object:
    """Count the nodes behind the leaf; null for a leaf that is not among them."""
    for behind, node in enumerate(reversed(commit.nodes)):
        if node.node_id == commit.leaf:
            return behind
    return NO_BIGINT


def _bodies(commit: Commit) -> Iterator[bytes]:
    yield commit.state
    yield commit.record
    yield from (node.payload for node in commit.nodes)
    yield from commit.blobs.values()


def _pack_optional(node_id: str | None) -> bytes | None:
    return None if node_id is None else pack_bytes(node_id)

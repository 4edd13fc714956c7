"""SQL for SQLite, written by ``python -m lash_store_sql.generate`` from the declaration: do not edit."""

from __future__ import annotations

# fmt: off
SCHEMA_VERSION = 1

#: tenant, session_id
HEAD = (
    "SELECT session.incarnation, session.revision, session.epoch, session.leaf, session.components, "
    "session.state, session.open_turn, session.labels, session.created_at, session.updated_at FROM session WHERE "
    "session.tenant = ? AND session.session_id = ?"
)

#: tenant, session_id
SESSION = (
    'SELECT session."key", session.incarnation, session.revision, session.epoch, session.graph, session.leaf, '
    "session.leaf_pos, session.tail_pos, session.stored_at, session.components FROM session WHERE session.tenant "
    "= ? AND session.session_id = ?"
)

#: tenant, session_id, incarnation, graph, leaf, leaf_pos, tail_pos, revision, epoch, open_turn,
#: created_at, updated_at, stored_at, labels, components, state
ADD_SESSION = (
    "INSERT INTO session (tenant, session_id, incarnation, graph, leaf, leaf_pos, tail_pos, revision, epoch, "
    "open_turn, created_at, updated_at, stored_at, labels, components, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
    "?, ?, ?, ?, ?, ?, ?)"
)

#: leaf, leaf_pos, tail_pos, revision, epoch, open_turn, updated_at, stored_at, components, state,
#: session
MOVE_HEAD = (
    "UPDATE session SET leaf=?, leaf_pos=?, tail_pos=?, revision=?, epoch=?, open_turn=?, updated_at=?, "
    'stored_at=?, components=?, state=? WHERE session."key" = ?'
)

#: session
BEGIN_GRAPH = 'UPDATE session SET graph=session."key" WHERE session."key" = ?'

#: epoch, tenant, session_id
RAISE_EPOCH = "UPDATE session SET epoch=? WHERE session.tenant = ? AND session.session_id = ?"

#: labels, session
RELABEL = 'UPDATE session SET labels=? WHERE session."key" = ?'

#: session
DROP_SESSION = 'DELETE FROM session WHERE session."key" = ?'

#: graph
SHARERS = 'SELECT session."key", session.leaf_pos FROM session WHERE session.graph = ?'

#: key, tenant, session_id, incarnation, revision, epoch, deleted_at
ADD_TOMBSTONE = (
    'INSERT INTO tombstone ("key", tenant, session_id, incarnation, revision, epoch, deleted_at) VALUES (?, ?, ?, '
    "?, ?, ?, ?)"
)

#: tenant, session_id, incarnation
TOMBSTONE = (
    "SELECT tombstone.revision FROM tombstone WHERE tombstone.tenant = ? AND tombstone.session_id = ? AND "
    "tombstone.incarnation = ?"
)

#: tenant, session_id
LAST_TOMBSTONE = (
    "SELECT tombstone.incarnation, tombstone.revision, tombstone.deleted_at FROM tombstone WHERE tombstone.tenant "
    '= ? AND tombstone.session_id = ? ORDER BY tombstone."key" DESC'
)

#: tenant, session_id
DEAD_EPOCH = (
    "SELECT max(tombstone.epoch) AS max_1 FROM tombstone WHERE tombstone.tenant = ? AND tombstone.session_id = ?"
)

#: tenant, session_id
LEASE = (
    "SELECT lease.epoch, lease.expires_at, lease.holder FROM lease WHERE lease.tenant = ? AND lease.session_id = "
    "?"
)

#: tenant, session_id, epoch, expires_at, holder
SET_LEASE = (
    "INSERT INTO lease (tenant, session_id, epoch, expires_at, holder) VALUES (?, ?, ?, ?, ?) ON CONFLICT "
    "(tenant, session_id) DO UPDATE SET epoch = excluded.epoch, expires_at = excluded.expires_at, holder = "
    "excluded.holder"
)

#: tenant, session_id
DROP_LEASE = "DELETE FROM lease WHERE lease.tenant = ? AND lease.session_id = ?"

#: pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload
ADD_NODE = (
    "INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) VALUES (?, "
    "?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

#: graph, node_id
PLACE = "SELECT node.pos, node.stored_at FROM node WHERE node.graph = ? AND node.node_id = ?"

#: graph, node_id
NODE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs FROM node "
    "WHERE node.graph = ? AND node.node_id = ?"
)

#: first, final
RANGE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs FROM node "
    "WHERE node.pos BETWEEN ? AND ? ORDER BY node.pos"
)

#: first, final, hidden, limit
VISIBLE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs, "
    "node.stored_at, node.pos FROM node WHERE node.pos BETWEEN ? AND ? AND node.hidden = ? ORDER BY node.pos "
    "LIMIT ?"
)

#: first, final, hidden, stored_at, stored_at, pos, limit
VISIBLE_AFTER = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs, "
    "node.stored_at, node.pos FROM node WHERE node.pos BETWEEN ? AND ? AND node.hidden = ? AND (node.stored_at > "
    "? OR node.stored_at = ? AND node.pos > ?) ORDER BY node.pos LIMIT ?"
)

#: first, final
DROP_NODES = "DELETE FROM node WHERE node.pos BETWEEN ? AND ?"

#: graph, owner, fork_pos
ADD_SEGMENT = "INSERT INTO segment (graph, owner, fork_pos) VALUES (?, ?, ?)"

#: segment
FORK_POS = "SELECT segment.fork_pos FROM segment WHERE segment.segment = ?"

#: graph
SEGMENTS = "SELECT segment.segment, segment.owner FROM segment WHERE segment.graph = ? ORDER BY segment.segment"

#: segment
DROP_SEGMENT = "DELETE FROM segment WHERE segment.segment = ?"

#: key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, body
ADD_RECORD = (
    'INSERT INTO record ("key", session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, '
    "body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

#: session, commit_id
RECORD = 'SELECT record."key", record.digest FROM record WHERE record.session = ? AND record.commit_id = ?'

#: first, final, limit
RECORDS = (
    'SELECT record."key", record.commit_id, record.digest, record.epoch, record.leaf, record.open_turn, '
    'record.components, record.body, record.committed_at FROM record WHERE record."key" BETWEEN ? AND ? ORDER BY '
    'record."key" LIMIT ?'
)

#: first, final
DROP_RECORDS = 'DELETE FROM record WHERE record."key" BETWEEN ? AND ?'

#: tenant, ref, packing, body
ADD_BLOB = "INSERT INTO blob (tenant, ref, packing, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"

#: tenant, ref
HAS_BLOB = 'SELECT blob."key" FROM blob WHERE blob.tenant = ? AND blob.ref = ?'

#: tenant, ref
BLOB = "SELECT blob.packing, blob.body FROM blob WHERE blob.tenant = ? AND blob.ref = ?"

#: session, name
STREAM = 'SELECT stream."key", stream.last FROM stream WHERE stream.session = ? AND stream.name = ?'

#: session, name, last
ADD_STREAM = "INSERT INTO stream (session, name, last) VALUES (?, ?, ?)"

#: last, stream
MOVE_STREAM = 'UPDATE stream SET last=? WHERE stream."key" = ?'

#: session
DROP_STREAMS = "DELETE FROM stream WHERE stream.session = ?"

#: pos, stream, name, body
ADD_ENTRY = "INSERT INTO entry (pos, stream, name, body) VALUES (?, ?, ?, ?)"

#: stream, name
ENTRY = "SELECT entry.pos FROM entry WHERE entry.stream = ? AND entry.name = ?"

#: first, final, limit
ENTRIES = (
    "SELECT entry.pos, entry.name, entry.body FROM entry WHERE entry.pos BETWEEN ? AND ? ORDER BY entry.pos LIMIT "
    "?"
)

#: first, final
TRIM_ENTRIES = "DELETE FROM entry WHERE entry.pos BETWEEN ? AND ?"

#: session
DROP_ENTRIES = (
    'DELETE FROM entry WHERE entry.stream IN (SELECT stream."key" FROM stream WHERE stream.session = ?)'
)

#: tenant, name, value, session_id, session
ADD_LABEL = "INSERT INTO label (tenant, name, value, session_id, session) VALUES (?, ?, ?, ?, ?)"

#: session
DROP_LABELS = "DELETE FROM label WHERE label.session = ?"

#: tenant, first, limit
LIST = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.tenant = ? "
    "AND session.session_id >= ? ORDER BY session.session_id LIMIT ?"
)

#: tenant, name, value, first, limit
LABELLED = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN session ON "
    'session."key" = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND lease.session_id = '
    "label.session_id WHERE label.tenant = ? AND label.name = ? AND label.value = ? AND label.session_id >= ? "
    "ORDER BY label.session_id LIMIT ?"
)

#: tenant, first, limit
LIST_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.tenant = ? "
    "AND session.session_id >= ? AND session.open_turn IS NOT NULL ORDER BY session.session_id LIMIT ?"
)

#: tenant, name, value, first, limit
LABELLED_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN session ON "
    'session."key" = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND lease.session_id = '
    "label.session_id WHERE label.tenant = ? AND label.name = ? AND label.value = ? AND label.session_id >= ? AND "
    "session.open_turn IS NOT NULL ORDER BY label.session_id LIMIT ?"
)

#: tenant, first, limit
LIST_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.tenant = ? "
    "AND session.session_id >= ? AND session.open_turn IS NULL ORDER BY session.session_id LIMIT ?"
)

#: tenant, name, value, first, limit
LABELLED_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN session ON "
    'session."key" = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND lease.session_id = '
    "label.session_id WHERE label.tenant = ? AND label.name = ? AND label.value = ? AND label.session_id >= ? AND "
    "session.open_turn IS NULL ORDER BY label.session_id LIMIT ?"
)

#: tenant
COUNT_SESSIONS = "SELECT count(*) AS count_1 FROM session WHERE session.tenant = ?"

#: tenant
COUNT_NODES = (
    "SELECT count(*) AS count_1 FROM node WHERE node.graph IN (SELECT session.graph FROM session WHERE "
    "session.tenant = ?)"
)

#: tenant
COUNT_COMMITS = (
    'SELECT count(*) AS count_1 FROM record WHERE record.session IN (SELECT session."key" FROM session WHERE '
    "session.tenant = ?)"
)

#: tenant
COUNT_BLOBS = "SELECT count(*) AS count_1 FROM blob WHERE blob.tenant = ?"

DDL = (
    'CREATE TABLE blob ( "key" INTEGER NOT NULL, tenant TEXT NOT NULL, ref BLOB NOT NULL, packing INTEGER NOT '
    'NULL, body BLOB NOT NULL, PRIMARY KEY ("key"), UNIQUE (tenant, ref) ) STRICT',
    'CREATE TABLE lease ( "key" INTEGER NOT NULL, tenant TEXT NOT NULL, session_id TEXT NOT NULL, epoch INTEGER '
    'NOT NULL, expires_at INTEGER NOT NULL, holder TEXT, PRIMARY KEY ("key"), UNIQUE (tenant, session_id) ) '
    "STRICT",
    "CREATE TABLE node ( pos INTEGER NOT NULL, graph INTEGER NOT NULL, node_id ANY NOT NULL, parent ANY, "
    "stored_at INTEGER NOT NULL, timestamp INTEGER NOT NULL, hidden INTEGER NOT NULL, kind TEXT NOT NULL, refs "
    "BLOB, payload BLOB NOT NULL, PRIMARY KEY (pos), UNIQUE (graph, node_id) ) STRICT",
    "CREATE TABLE segment ( segment INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, graph INTEGER NOT NULL, owner "
    "INTEGER NOT NULL, fork_pos INTEGER ) STRICT",
    "CREATE INDEX ix_segment_graph ON segment (graph)",
    'CREATE TABLE session ( "key" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, session_id '
    "TEXT NOT NULL, incarnation ANY NOT NULL, graph INTEGER NOT NULL, leaf ANY, leaf_pos INTEGER, tail_pos "
    "INTEGER, revision INTEGER NOT NULL, epoch INTEGER NOT NULL, open_turn TEXT, created_at INTEGER NOT NULL, "
    "updated_at INTEGER NOT NULL, stored_at INTEGER NOT NULL, labels TEXT NOT NULL, components TEXT NOT NULL, "
    "state BLOB NOT NULL, UNIQUE (tenant, session_id) ) STRICT",
    "CREATE INDEX session_graph ON session (graph)",
    "CREATE INDEX session_open_turn ON session (tenant, session_id) WHERE open_turn IS NOT NULL",
    'CREATE TABLE tombstone ( "key" INTEGER NOT NULL, tenant TEXT NOT NULL, session_id TEXT NOT NULL, incarnation '
    "ANY NOT NULL, revision INTEGER NOT NULL, epoch INTEGER NOT NULL, deleted_at INTEGER NOT NULL, PRIMARY KEY "
    '("key"), UNIQUE (tenant, session_id, incarnation) ) STRICT',
    "CREATE TABLE label ( tenant TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, session_id TEXT NOT "
    "NULL, session INTEGER NOT NULL, PRIMARY KEY (tenant, name, value, session_id), FOREIGN KEY(session) "
    'REFERENCES session ("key") ) WITHOUT ROWID, STRICT',
    "CREATE INDEX label_session ON label (session)",
    'CREATE TABLE record ( "key" INTEGER NOT NULL, session INTEGER NOT NULL, commit_id ANY NOT NULL, digest BLOB '
    "NOT NULL, epoch INTEGER NOT NULL, leaf ANY, open_turn TEXT, committed_at INTEGER NOT NULL, components TEXT "
    'NOT NULL, body BLOB NOT NULL, PRIMARY KEY ("key"), UNIQUE (session, commit_id), FOREIGN KEY(session) '
    'REFERENCES session ("key") ) STRICT',
    'CREATE TABLE stream ( "key" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, session INTEGER NOT NULL, name TEXT '
    'NOT NULL, last INTEGER NOT NULL, UNIQUE (session, name), FOREIGN KEY(session) REFERENCES session ("key") ) '
    "STRICT",
    "CREATE TABLE entry ( pos INTEGER NOT NULL, stream INTEGER NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, "
    'PRIMARY KEY (pos), UNIQUE (stream, name), FOREIGN KEY(stream) REFERENCES stream ("key") ) STRICT',
)

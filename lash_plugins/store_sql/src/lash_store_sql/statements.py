"""SQL for SQLite, written by ``python -m lash_store_sql.generate`` from the declaration: do not edit."""

from __future__ import annotations

# fmt: off
SCHEMA_VERSION = 2
COMPATIBLE_VERSION = 1

#: tenant, session_id
HEAD = (
    "SELECT session.incarnation, session.revision, session.epoch, session.leaf, session.components, "
    "session.state, session.open_turn, session.labels, session.created_at, session.updated_at, session.ttl FROM "
    "session WHERE session.tenant = ? AND session.session_id = ?"
)

#: tenant, session_id
SESSION = (
    'SELECT session."key", session.incarnation, session.revision, session.epoch, session.graph, session.leaf, '
    "session.leaf_pos, session.tail_pos, session.stored_at, session.components FROM session WHERE session.tenant "
    "= ? AND session.session_id = ?"
)

#: tenant, session_id
SESSION_LOCKED = (
    'SELECT session."key", session.incarnation, session.revision, session.epoch, session.graph, session.leaf, '
    "session.leaf_pos, session.tail_pos, session.stored_at, session.components FROM session WHERE session.tenant "
    "= ? AND session.session_id = ?"
)

#: tenant, session_id, incarnation, graph, leaf, leaf_pos, tail_pos, revision, epoch, open_turn,
#: created_at, updated_at, stored_at, labels, components, state
ADD_SESSION = (
    "INSERT INTO session (tenant, session_id, incarnation, graph, leaf, leaf_pos, tail_pos, revision, epoch, "
    "open_turn, created_at, updated_at, stored_at, labels, components, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
    '?, ?, ?, ?, ?, ?, ?) RETURNING "key"'
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

#: ttl, session
SET_TTL = 'UPDATE session SET ttl=? WHERE session."key" = ?'

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

#: first, final, hidden, stored_at, same, pos, limit
VISIBLE_AFTER = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs, "
    "node.stored_at, node.pos FROM node WHERE node.pos BETWEEN ? AND ? AND node.hidden = ? AND (node.stored_at > "
    "? OR node.stored_at = ? AND node.pos > ?) ORDER BY node.pos LIMIT ?"
)

#: first, final
DROP_NODES = "DELETE FROM node WHERE node.pos BETWEEN ? AND ?"

#: graph, owner, fork_pos
ADD_SEGMENT = "INSERT INTO segment (graph, owner, fork_pos) VALUES (?, ?, ?) RETURNING segment"

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

#: tenant, ref, packing, body, stored_at
ADD_BLOB = (
    "INSERT INTO blob (tenant, ref, packing, body, stored_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, ref) DO "
    "UPDATE SET stored_at = excluded.stored_at"
)

#: tenant, ref
HAS_BLOB = "SELECT blob.stored_at FROM blob WHERE blob.tenant = ? AND blob.ref = ?"

#: stored_at, tenant, ref
TOUCH_BLOB = "UPDATE blob SET stored_at=? WHERE blob.tenant = ? AND blob.ref = ?"

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
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session "
    "LEFT OUTER JOIN lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE "
    "session.tenant = ? AND session.session_id >= ? ORDER BY session.session_id LIMIT ?"
)

#: tenant, name, value, first, limit
LABELLED = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN "
    'session ON session."key" = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND '
    "lease.session_id = label.session_id WHERE label.tenant = ? AND label.name = ? AND label.value = ? AND "
    "label.session_id >= ? ORDER BY label.session_id LIMIT ?"
)

#: tenant, first, limit
LIST_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session "
    "LEFT OUTER JOIN lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE "
    "session.tenant = ? AND session.session_id >= ? AND session.open_turn IS NOT NULL ORDER BY session.session_id "
    "LIMIT ?"
)

#: tenant, name, value, first, limit
LABELLED_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN "
    'session ON session."key" = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND '
    "lease.session_id = label.session_id WHERE label.tenant = ? AND label.name = ? AND label.value = ? AND "
    "label.session_id >= ? AND session.open_turn IS NOT NULL ORDER BY label.session_id LIMIT ?"
)

#: tenant, first, limit
LIST_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session "
    "LEFT OUTER JOIN lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE "
    "session.tenant = ? AND session.session_id >= ? AND session.open_turn IS NULL ORDER BY session.session_id "
    "LIMIT ?"
)

#: tenant, name, value, first, limit
LABELLED_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN "
    'session ON session."key" = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND '
    "lease.session_id = label.session_id WHERE label.tenant = ? AND label.name = ? AND label.value = ? AND "
    "label.session_id >= ? AND session.open_turn IS NULL ORDER BY label.session_id LIMIT ?"
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

#: graph
LEAVES = (
    'SELECT session."key", session.session_id, session.leaf FROM session WHERE session.graph = ? ORDER BY '
    'session."key"'
)

#: graph
LEAVES_LOCKED = (
    'SELECT session."key", session.session_id, session.leaf FROM session WHERE session.graph = ? ORDER BY '
    'session."key"'
)

#: graph
EDGES = (
    "SELECT node.pos, node.node_id, node.parent, node.hidden, length(node.payload) AS length_1 FROM node WHERE "
    "node.graph = ? ORDER BY node.stored_at, node.pos"
)

#: hidden, pos
HIDE = "UPDATE node SET hidden=? WHERE node.pos = ?"

#: parent, pos
CUT = "UPDATE node SET parent=? WHERE node.pos = ?"

#: tenant
HIDDEN_GRAPHS = (
    "SELECT DISTINCT node.graph FROM node WHERE node.hidden != 0 AND node.graph IN (SELECT session.graph FROM "
    "session WHERE session.tenant = ?) ORDER BY node.graph"
)

#: graph
PAYLOADS = "SELECT node.pos, node.node_id, node.payload, node.refs FROM node WHERE node.graph = ?"

#: refs, payload, pos
SET_PAYLOAD = "UPDATE node SET refs=?, payload=? WHERE node.pos = ?"

#: first, final
RECORD_BODIES = (
    'SELECT record."key", record.committed_at, record.open_turn, record.components, record.body FROM record WHERE '
    'record."key" BETWEEN ? AND ? ORDER BY record."key"'
)

#: first, final
RECORD_SIZES = (
    'SELECT record."key", record.committed_at, record.open_turn, length(record.body) AS length_1 FROM record '
    'WHERE record."key" BETWEEN ? AND ? ORDER BY record."key"'
)

#: components, body, record
SET_RECORD = 'UPDATE record SET components=?, body=? WHERE record."key" = ?'

#: body, first, final
EMPTY_RECORDS = 'UPDATE record SET body=? WHERE record."key" BETWEEN ? AND ?'

#: session
ENTRY_BODIES = (
    'SELECT entry.pos, entry.body FROM entry JOIN stream ON stream."key" = entry.stream WHERE stream.session = ?'
)

#: first, final
ENTRY_SIZES = (
    "SELECT entry.pos, length(entry.body) AS length_1 FROM entry WHERE entry.pos BETWEEN ? AND ? ORDER BY "
    "entry.pos DESC"
)

#: body, pos
SET_ENTRY = "UPDATE entry SET body=? WHERE entry.pos = ?"

#: session
STREAMS = (
    'SELECT stream."key", stream.name, stream.last FROM stream WHERE stream.session = ? ORDER BY stream.name'
)

#: components, state, session
SET_DOCUMENTS = 'UPDATE session SET components=?, state=? WHERE session."key" = ?'

#: tenant, after, limit
HEAD_REFS = (
    'SELECT session."key", session.revision, session.components, session.state FROM session WHERE session.tenant '
    '= ? AND session."key" > ? ORDER BY session."key" LIMIT ?'
)

#: tenant
NODE_REFS = (
    "SELECT node.refs FROM node WHERE node.refs IS NOT NULL AND node.graph IN (SELECT session.graph FROM session "
    "WHERE session.tenant = ?)"
)

#: tenant, after, limit
BLOBS = (
    'SELECT blob."key", blob.ref, blob.stored_at, length(blob.body) AS length_1 FROM blob WHERE blob.tenant = ? '
    'AND blob."key" > ? ORDER BY blob."key" LIMIT ?'
)

#: stored_at, tenant
STAMP_BLOBS = "UPDATE blob SET stored_at=? WHERE blob.tenant = ? AND blob.stored_at IS NULL"

#: blob, upto
DROP_BLOB = 'DELETE FROM blob WHERE blob."key" = ? AND coalesce(blob.stored_at, 0) <= ?'

#: tenant, ref
FORGET_BLOB = "DELETE FROM blob WHERE blob.tenant = ? AND blob.ref = ?"

#: tenant
EMPTY_SEGMENTS = (
    "SELECT segment.segment FROM segment WHERE segment.graph IN (SELECT session.graph FROM session WHERE "
    "session.tenant = ?) AND NOT (EXISTS (SELECT node.pos FROM node WHERE node.pos BETWEEN segment.segment * "
    '4294967296 AND segment.segment * 4294967296 + 4294967295)) AND NOT (EXISTS (SELECT session."key" FROM '
    'session WHERE session."key" = segment.owner AND session.tail_pos BETWEEN segment.segment * 4294967296 AND '
    "segment.segment * 4294967296 + 4294967295))"
)

#: tenant, now
EXPIRED = (
    "SELECT session.session_id, session.incarnation, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.ttl IS NOT "
    "NULL AND session.tenant = ? AND session.stored_at + session.ttl <= ? ORDER BY session.session_id"
)

#: graph, stored_at, same, pos, limit
ARCHIVE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs, "
    "session.session_id, node.stored_at, node.pos FROM node JOIN segment ON segment.segment = (node.pos >> 32) "
    'LEFT OUTER JOIN session ON session."key" = segment.owner WHERE node.graph = ? AND (node.stored_at > ? OR '
    "node.stored_at = ? AND node.pos > ?) ORDER BY node.stored_at, node.pos LIMIT ?"
)

#: leaf, leaf_pos, session
SET_LEAF = 'UPDATE session SET leaf=?, leaf_pos=? WHERE session."key" = ?'

#: fork_pos, segment
SET_FORK = "UPDATE segment SET fork_pos=? WHERE segment.segment = ?"

#: tenant, session_id
EXPIRY = "SELECT session.stored_at, session.ttl FROM session WHERE session.tenant = ? AND session.session_id = ?"

#: tenant
COUNT_HIDDEN = (
    "SELECT count(*) AS count_1 FROM node WHERE node.hidden != 0 AND node.graph IN (SELECT session.graph FROM "
    "session WHERE session.tenant = ?)"
)

#: first, final
RECORD_REFS = 'SELECT DISTINCT record.components FROM record WHERE record."key" BETWEEN ? AND ?'

#: tenant
GRAPHS = "SELECT DISTINCT session.graph FROM session WHERE session.tenant = ? ORDER BY session.graph"

#: graph
FORKS = "SELECT segment.segment, segment.owner, segment.fork_pos FROM segment WHERE segment.graph = ?"

#: tenant, after, limit
HEADS = (
    'SELECT session."key", session.session_id, session.revision, session.leaf, session.leaf_pos, session.labels, '
    'session.components, session.graph FROM session WHERE session.tenant = ? AND session."key" > ? ORDER BY '
    'session."key" LIMIT ?'
)

#: session
LEAF_POS = 'SELECT session.leaf_pos FROM session WHERE session."key" = ?'

#: first, final
RECORD_COMPONENTS = 'SELECT record."key", record.components FROM record WHERE record."key" BETWEEN ? AND ?'

#: graph
SHARING = 'SELECT session.session_id FROM session WHERE session.graph = ? ORDER BY session."key"'

#: session
LABELS = "SELECT label.name, label.value, label.session_id FROM label WHERE label.session = ?"

#: first, final
NEWEST_RECORD = 'SELECT max(record."key") AS max_1 FROM record WHERE record."key" BETWEEN ? AND ?'

#: first, final
NEWEST_ENTRY = "SELECT max(entry.pos) AS max_1 FROM entry WHERE entry.pos BETWEEN ? AND ?"

#: graph
REFERRING = "SELECT node.node_id, node.refs FROM node WHERE node.graph = ? AND node.refs IS NOT NULL"

#: no parameters
ORPHAN_NODES = (
    "SELECT count(*) AS count_1 FROM node WHERE NOT (EXISTS (SELECT session.graph FROM session WHERE "
    "session.graph = node.graph))"
)

#: no parameters
ORPHAN_SEGMENTS = (
    "SELECT count(*) AS count_1 FROM segment WHERE NOT (EXISTS (SELECT session.graph FROM session WHERE "
    "session.graph = segment.graph))"
)

#: no parameters
ORPHAN_RECORDS = (
    'SELECT count(*) AS count_1 FROM record WHERE NOT (EXISTS (SELECT session."key" FROM session WHERE '
    'session."key" = record.session))'
)

#: no parameters
ORPHAN_STREAMS = (
    'SELECT count(*) AS count_1 FROM stream WHERE NOT (EXISTS (SELECT session."key" FROM session WHERE '
    'session."key" = stream.session))'
)

#: no parameters
ORPHAN_ENTRIES = (
    'SELECT count(*) AS count_1 FROM entry WHERE NOT (EXISTS (SELECT stream."key" FROM stream WHERE stream."key" '
    "= entry.stream))"
)

#: no parameters
ORPHAN_LABELS = (
    'SELECT count(*) AS count_1 FROM label WHERE NOT (EXISTS (SELECT session."key" FROM session WHERE '
    'session."key" = label.session))'
)

DDL = (
    'CREATE TABLE blob ( "key" INTEGER NOT NULL, tenant TEXT NOT NULL, ref BLOB NOT NULL, packing INTEGER NOT '
    'NULL, body BLOB NOT NULL, stored_at INTEGER, PRIMARY KEY ("key"), UNIQUE (tenant, ref) ) STRICT',
    'CREATE TABLE lease ( "key" INTEGER NOT NULL, tenant TEXT NOT NULL, session_id TEXT NOT NULL, epoch INTEGER '
    'NOT NULL, expires_at INTEGER NOT NULL, holder TEXT, PRIMARY KEY ("key"), UNIQUE (tenant, session_id) ) '
    "STRICT",
    "CREATE TABLE migration ( version INTEGER NOT NULL, applied_at INTEGER NOT NULL, PRIMARY KEY (version) ) "
    "STRICT",
    "CREATE TABLE node ( pos INTEGER NOT NULL, graph INTEGER NOT NULL, node_id ANY NOT NULL, parent ANY, "
    "stored_at INTEGER NOT NULL, timestamp INTEGER NOT NULL, hidden INTEGER NOT NULL, kind TEXT NOT NULL, refs "
    "BLOB, payload BLOB NOT NULL, PRIMARY KEY (pos), UNIQUE (graph, node_id) ) STRICT",
    "CREATE INDEX node_hidden ON node (graph) WHERE hidden != 0",
    "CREATE INDEX node_refs ON node (graph) WHERE refs IS NOT NULL",
    "CREATE TABLE segment ( segment INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, graph INTEGER NOT NULL, owner "
    "INTEGER NOT NULL, fork_pos INTEGER ) STRICT",
    "CREATE INDEX ix_segment_graph ON segment (graph)",
    'CREATE TABLE session ( "key" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, session_id '
    "TEXT NOT NULL, incarnation ANY NOT NULL, graph INTEGER NOT NULL, leaf ANY, leaf_pos INTEGER, tail_pos "
    "INTEGER, revision INTEGER NOT NULL, epoch INTEGER NOT NULL, open_turn TEXT, created_at INTEGER NOT NULL, "
    "updated_at INTEGER NOT NULL, stored_at INTEGER NOT NULL, labels TEXT NOT NULL, components TEXT NOT NULL, "
    "state BLOB NOT NULL, ttl INTEGER, UNIQUE (tenant, session_id) ) STRICT",
    "CREATE INDEX session_expiry ON session (tenant, stored_at + ttl) WHERE ttl IS NOT NULL",
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

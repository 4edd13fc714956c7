"""SQL for PostgreSQL, written by ``python -m lash_store_sql.generate`` from the declaration: do not edit."""

from __future__ import annotations

# fmt: off
SCHEMA_VERSION = 2
COMPATIBLE_VERSION = 1

#: tenant, session_id
HEAD = (
    "SELECT session.incarnation, session.revision, session.epoch, session.leaf, session.components, "
    "session.state, session.open_turn, session.labels, session.created_at, session.updated_at, session.ttl FROM "
    "session WHERE session.tenant = $1 AND session.session_id = $2"
)

#: tenant, session_id
SESSION = (
    "SELECT session.key, session.incarnation, session.revision, session.epoch, session.graph, session.leaf, "
    "session.leaf_pos, session.tail_pos, session.stored_at, session.components FROM session WHERE session.tenant "
    "= $1 AND session.session_id = $2"
)

#: tenant, session_id
SESSION_LOCKED = (
    "SELECT session.key, session.incarnation, session.revision, session.epoch, session.graph, session.leaf, "
    "session.leaf_pos, session.tail_pos, session.stored_at, session.components FROM session WHERE session.tenant "
    "= $1 AND session.session_id = $2 FOR UPDATE"
)

#: tenant, session_id, incarnation, graph, leaf, leaf_pos, tail_pos, revision, epoch, open_turn,
#: created_at, updated_at, stored_at, labels, components, state
ADD_SESSION = (
    "INSERT INTO session (tenant, session_id, incarnation, graph, leaf, leaf_pos, tail_pos, revision, epoch, "
    "open_turn, created_at, updated_at, stored_at, labels, components, state) VALUES ($1, $2, $3, $4, $5, $6, $7, "
    "$8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING session.key"
)

#: leaf, leaf_pos, tail_pos, revision, epoch, open_turn, updated_at, stored_at, components, state,
#: session
MOVE_HEAD = (
    "UPDATE session SET leaf=$1, leaf_pos=$2, tail_pos=$3, revision=$4, epoch=$5, open_turn=$6, updated_at=$7, "
    "stored_at=$8, components=$9, state=$10 WHERE session.key = $11"
)

#: session
BEGIN_GRAPH = "UPDATE session SET graph=session.key WHERE session.key = $1"

#: epoch, tenant, session_id
RAISE_EPOCH = "UPDATE session SET epoch=$1 WHERE session.tenant = $2 AND session.session_id = $3"

#: labels, session
RELABEL = "UPDATE session SET labels=$1 WHERE session.key = $2"

#: ttl, session
SET_TTL = "UPDATE session SET ttl=$1 WHERE session.key = $2"

#: session
DROP_SESSION = "DELETE FROM session WHERE session.key = $1"

#: graph
SHARERS = "SELECT session.key, session.leaf_pos FROM session WHERE session.graph = $1"

#: key, tenant, session_id, incarnation, revision, epoch, deleted_at
ADD_TOMBSTONE = (
    "INSERT INTO tombstone (key, tenant, session_id, incarnation, revision, epoch, deleted_at) VALUES ($1, $2, "
    "$3, $4, $5, $6, $7)"
)

#: tenant, session_id, incarnation
TOMBSTONE = (
    "SELECT tombstone.revision FROM tombstone WHERE tombstone.tenant = $1 AND tombstone.session_id = $2 AND "
    "tombstone.incarnation = $3"
)

#: tenant, session_id
LAST_TOMBSTONE = (
    "SELECT tombstone.incarnation, tombstone.revision, tombstone.deleted_at FROM tombstone WHERE tombstone.tenant "
    "= $1 AND tombstone.session_id = $2 ORDER BY tombstone.key DESC"
)

#: tenant, session_id
DEAD_EPOCH = (
    "SELECT max(tombstone.epoch) AS max_1 FROM tombstone WHERE tombstone.tenant = $1 AND tombstone.session_id = "
    "$2"
)

#: tenant, session_id
LEASE = (
    "SELECT lease.epoch, lease.expires_at, lease.holder FROM lease WHERE lease.tenant = $1 AND lease.session_id = "
    "$2"
)

#: tenant, session_id, epoch, expires_at, holder
SET_LEASE = (
    "INSERT INTO lease (tenant, session_id, epoch, expires_at, holder) VALUES ($1, $2, $3, $4, $5) ON CONFLICT "
    "(tenant, session_id) DO UPDATE SET epoch = excluded.epoch, expires_at = excluded.expires_at, holder = "
    "excluded.holder RETURNING lease.key"
)

#: tenant, session_id
DROP_LEASE = "DELETE FROM lease WHERE lease.tenant = $1 AND lease.session_id = $2"

#: pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload
ADD_NODE = (
    "INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) VALUES "
    "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)

#: graph, node_id
PLACE = "SELECT node.pos, node.stored_at FROM node WHERE node.graph = $1 AND node.node_id = $2"

#: graph, node_id
NODE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs FROM node "
    "WHERE node.graph = $1 AND node.node_id = $2"
)

#: first, final
RANGE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs FROM node "
    "WHERE node.pos BETWEEN $1 AND $2 ORDER BY node.pos"
)

#: first, final, hidden, limit
VISIBLE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs, "
    "node.stored_at, node.pos FROM node WHERE node.pos BETWEEN $1 AND $2 AND node.hidden = $3 ORDER BY node.pos "
    "LIMIT $4"
)

#: first, final, hidden, stored_at, same, pos, limit
VISIBLE_AFTER = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs, "
    "node.stored_at, node.pos FROM node WHERE node.pos BETWEEN $1 AND $2 AND node.hidden = $3 AND (node.stored_at "
    "> $4 OR node.stored_at = $5 AND node.pos > $6) ORDER BY node.pos LIMIT $7"
)

#: first, final
DROP_NODES = "DELETE FROM node WHERE node.pos BETWEEN $1 AND $2"

#: graph, owner, fork_pos
ADD_SEGMENT = "INSERT INTO segment (graph, owner, fork_pos) VALUES ($1, $2, $3) RETURNING segment.segment"

#: segment
FORK_POS = "SELECT segment.fork_pos FROM segment WHERE segment.segment = $1"

#: graph
SEGMENTS = "SELECT segment.segment, segment.owner FROM segment WHERE segment.graph = $1 ORDER BY segment.segment"

#: segment
DROP_SEGMENT = "DELETE FROM segment WHERE segment.segment = $1"

#: key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, body
ADD_RECORD = (
    "INSERT INTO record (key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, body) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)

#: session, commit_id
RECORD = "SELECT record.key, record.digest FROM record WHERE record.session = $1 AND record.commit_id = $2"

#: first, final, limit
RECORDS = (
    "SELECT record.key, record.commit_id, record.digest, record.epoch, record.leaf, record.open_turn, "
    "record.components, record.body, record.committed_at FROM record WHERE record.key BETWEEN $1 AND $2 ORDER BY "
    "record.key LIMIT $3"
)

#: first, final
DROP_RECORDS = "DELETE FROM record WHERE record.key BETWEEN $1 AND $2"

#: tenant, ref, packing, body, stored_at
ADD_BLOB = (
    "INSERT INTO blob (tenant, ref, packing, body, stored_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, "
    "ref) DO UPDATE SET stored_at = excluded.stored_at RETURNING blob.key"
)

#: tenant, ref
HAS_BLOB = "SELECT blob.stored_at FROM blob WHERE blob.tenant = $1 AND blob.ref = $2"

#: stored_at, tenant, ref
TOUCH_BLOB = "UPDATE blob SET stored_at=$1 WHERE blob.tenant = $2 AND blob.ref = $3"

#: tenant, ref
BLOB = "SELECT blob.packing, blob.body FROM blob WHERE blob.tenant = $1 AND blob.ref = $2"

#: session, name
STREAM = "SELECT stream.key, stream.last FROM stream WHERE stream.session = $1 AND stream.name = $2"

#: session, name, last
ADD_STREAM = "INSERT INTO stream (session, name, last) VALUES ($1, $2, $3) RETURNING stream.key"

#: last, stream
MOVE_STREAM = "UPDATE stream SET last=$1 WHERE stream.key = $2"

#: session
DROP_STREAMS = "DELETE FROM stream WHERE stream.session = $1"

#: pos, stream, name, body
ADD_ENTRY = "INSERT INTO entry (pos, stream, name, body) VALUES ($1, $2, $3, $4)"

#: stream, name
ENTRY = "SELECT entry.pos FROM entry WHERE entry.stream = $1 AND entry.name = $2"

#: first, final, limit
ENTRIES = (
    "SELECT entry.pos, entry.name, entry.body FROM entry WHERE entry.pos BETWEEN $1 AND $2 ORDER BY entry.pos "
    "LIMIT $3"
)

#: first, final
TRIM_ENTRIES = "DELETE FROM entry WHERE entry.pos BETWEEN $1 AND $2"

#: session
DROP_ENTRIES = "DELETE FROM entry WHERE entry.stream IN (SELECT stream.key FROM stream WHERE stream.session = $1)"

#: tenant, name, value, session_id, session
ADD_LABEL = "INSERT INTO label (tenant, name, value, session_id, session) VALUES ($1, $2, $3, $4, $5)"

#: session
DROP_LABELS = "DELETE FROM label WHERE label.session = $1"

#: tenant, first, limit
LIST = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session "
    "LEFT OUTER JOIN lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE "
    "session.tenant = $1 AND session.session_id >= $2 ORDER BY session.session_id LIMIT $3"
)

#: tenant, name, value, first, limit
LABELLED = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN "
    "session ON session.key = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND "
    "lease.session_id = label.session_id WHERE label.tenant = $1 AND label.name = $2 AND label.value = $3 AND "
    "label.session_id >= $4 ORDER BY label.session_id LIMIT $5"
)

#: tenant, first, limit
LIST_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session "
    "LEFT OUTER JOIN lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE "
    "session.tenant = $1 AND session.session_id >= $2 AND session.open_turn IS NOT NULL ORDER BY "
    "session.session_id LIMIT $3"
)

#: tenant, name, value, first, limit
LABELLED_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN "
    "session ON session.key = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND "
    "lease.session_id = label.session_id WHERE label.tenant = $1 AND label.name = $2 AND label.value = $3 AND "
    "label.session_id >= $4 AND session.open_turn IS NOT NULL ORDER BY label.session_id LIMIT $5"
)

#: tenant, first, limit
LIST_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session "
    "LEFT OUTER JOIN lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE "
    "session.tenant = $1 AND session.session_id >= $2 AND session.open_turn IS NULL ORDER BY session.session_id "
    "LIMIT $3"
)

#: tenant, name, value, first, limit
LABELLED_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, session.ttl, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN "
    "session ON session.key = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND "
    "lease.session_id = label.session_id WHERE label.tenant = $1 AND label.name = $2 AND label.value = $3 AND "
    "label.session_id >= $4 AND session.open_turn IS NULL ORDER BY label.session_id LIMIT $5"
)

#: tenant
COUNT_SESSIONS = "SELECT count(*) AS count_1 FROM session WHERE session.tenant = $1"

#: tenant
COUNT_NODES = (
    "SELECT count(*) AS count_1 FROM node WHERE node.graph IN (SELECT session.graph FROM session WHERE "
    "session.tenant = $1)"
)

#: tenant
COUNT_COMMITS = (
    "SELECT count(*) AS count_1 FROM record WHERE record.session IN (SELECT session.key FROM session WHERE "
    "session.tenant = $1)"
)

#: tenant
COUNT_BLOBS = "SELECT count(*) AS count_1 FROM blob WHERE blob.tenant = $1"

#: graph
LEAVES = (
    "SELECT session.key, session.session_id, session.leaf FROM session WHERE session.graph = $1 ORDER BY "
    "session.key"
)

#: graph
LEAVES_LOCKED = (
    "SELECT session.key, session.session_id, session.leaf FROM session WHERE session.graph = $1 ORDER BY "
    "session.key FOR UPDATE"
)

#: graph
EDGES = (
    "SELECT node.pos, node.node_id, node.parent, node.hidden, length(node.payload) AS length_1 FROM node WHERE "
    "node.graph = $1 ORDER BY node.stored_at, node.pos"
)

#: hidden, pos
HIDE = "UPDATE node SET hidden=$1 WHERE node.pos = $2"

#: parent, pos
CUT = "UPDATE node SET parent=$1 WHERE node.pos = $2"

#: tenant
HIDDEN_GRAPHS = (
    "SELECT DISTINCT node.graph FROM node WHERE node.hidden != 0 AND node.graph IN (SELECT session.graph FROM "
    "session WHERE session.tenant = $1) ORDER BY node.graph"
)

#: graph
PAYLOADS = "SELECT node.pos, node.node_id, node.payload, node.refs FROM node WHERE node.graph = $1"

#: refs, payload, pos
SET_PAYLOAD = "UPDATE node SET refs=$1, payload=$2 WHERE node.pos = $3"

#: first, final
RECORD_BODIES = (
    "SELECT record.key, record.committed_at, record.open_turn, record.components, record.body FROM record WHERE "
    "record.key BETWEEN $1 AND $2 ORDER BY record.key"
)

#: first, final
RECORD_SIZES = (
    "SELECT record.key, record.committed_at, record.open_turn, length(record.body) AS length_1 FROM record WHERE "
    "record.key BETWEEN $1 AND $2 ORDER BY record.key"
)

#: components, body, record
SET_RECORD = "UPDATE record SET components=$1, body=$2 WHERE record.key = $3"

#: body, first, final
EMPTY_RECORDS = "UPDATE record SET body=$1 WHERE record.key BETWEEN $2 AND $3"

#: session
ENTRY_BODIES = (
    "SELECT entry.pos, entry.body FROM entry JOIN stream ON stream.key = entry.stream WHERE stream.session = $1"
)

#: first, final
ENTRY_SIZES = (
    "SELECT entry.pos, length(entry.body) AS length_1 FROM entry WHERE entry.pos BETWEEN $1 AND $2 ORDER BY "
    "entry.pos DESC"
)

#: body, pos
SET_ENTRY = "UPDATE entry SET body=$1 WHERE entry.pos = $2"

#: session
STREAMS = "SELECT stream.key, stream.name, stream.last FROM stream WHERE stream.session = $1 ORDER BY stream.name"

#: components, state, session
SET_DOCUMENTS = "UPDATE session SET components=$1, state=$2 WHERE session.key = $3"

#: tenant, after, limit
HEAD_REFS = (
    "SELECT session.key, session.revision, session.components, session.state FROM session WHERE session.tenant = "
    "$1 AND session.key > $2 ORDER BY session.key LIMIT $3"
)

#: tenant
NODE_REFS = (
    "SELECT node.refs FROM node WHERE node.refs IS NOT NULL AND node.graph IN (SELECT session.graph FROM session "
    "WHERE session.tenant = $1)"
)

#: tenant, after, limit
BLOBS = (
    "SELECT blob.key, blob.ref, blob.stored_at, length(blob.body) AS length_1 FROM blob WHERE blob.tenant = $1 "
    "AND blob.key > $2 ORDER BY blob.key LIMIT $3"
)

#: stored_at, tenant
STAMP_BLOBS = "UPDATE blob SET stored_at=$1 WHERE blob.tenant = $2 AND blob.stored_at IS NULL"

#: blob, upto
DROP_BLOB = "DELETE FROM blob WHERE blob.key = $1 AND coalesce(blob.stored_at, 0) <= $2"

#: tenant, ref
FORGET_BLOB = "DELETE FROM blob WHERE blob.tenant = $1 AND blob.ref = $2"

#: tenant
EMPTY_SEGMENTS = (
    "SELECT segment.segment FROM segment WHERE segment.graph IN (SELECT session.graph FROM session WHERE "
    "session.tenant = $1) AND NOT (EXISTS (SELECT node.pos FROM node WHERE node.pos BETWEEN segment.segment * "
    "4294967296 AND segment.segment * 4294967296 + 4294967295)) AND NOT (EXISTS (SELECT session.key FROM session "
    "WHERE session.key = segment.owner AND session.tail_pos BETWEEN segment.segment * 4294967296 AND "
    "segment.segment * 4294967296 + 4294967295))"
)

#: tenant, now
EXPIRED = (
    "SELECT session.session_id, session.incarnation, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.ttl IS NOT "
    "NULL AND session.tenant = $1 AND session.stored_at + session.ttl <= $2 ORDER BY session.session_id"
)

#: graph, stored_at, same, pos, limit
ARCHIVE = (
    "SELECT node.node_id, node.parent, node.timestamp, node.kind, node.payload, node.hidden, node.refs, "
    "session.session_id, node.stored_at, node.pos FROM node JOIN segment ON segment.segment = (node.pos >> 32) "
    "LEFT OUTER JOIN session ON session.key = segment.owner WHERE node.graph = $1 AND (node.stored_at > $2 OR "
    "node.stored_at = $3 AND node.pos > $4) ORDER BY node.stored_at, node.pos LIMIT $5"
)

#: leaf, leaf_pos, session
SET_LEAF = "UPDATE session SET leaf=$1, leaf_pos=$2 WHERE session.key = $3"

#: fork_pos, segment
SET_FORK = "UPDATE segment SET fork_pos=$1 WHERE segment.segment = $2"

#: tenant, session_id
EXPIRY = (
    "SELECT session.stored_at, session.ttl FROM session WHERE session.tenant = $1 AND session.session_id = $2"
)

#: tenant
COUNT_HIDDEN = (
    "SELECT count(*) AS count_1 FROM node WHERE node.hidden != 0 AND node.graph IN (SELECT session.graph FROM "
    "session WHERE session.tenant = $1)"
)

#: first, final
RECORD_REFS = "SELECT DISTINCT record.components FROM record WHERE record.key BETWEEN $1 AND $2"

#: tenant
GRAPHS = "SELECT DISTINCT session.graph FROM session WHERE session.tenant = $1 ORDER BY session.graph"

#: graph
FORKS = "SELECT segment.segment, segment.owner, segment.fork_pos FROM segment WHERE segment.graph = $1"

#: tenant, after, limit
HEADS = (
    "SELECT session.key, session.session_id, session.revision, session.leaf, session.leaf_pos, session.labels, "
    "session.components, session.graph FROM session WHERE session.tenant = $1 AND session.key > $2 ORDER BY "
    "session.key LIMIT $3"
)

#: session
LEAF_POS = "SELECT session.leaf_pos FROM session WHERE session.key = $1"

#: first, final
RECORD_COMPONENTS = "SELECT record.key, record.components FROM record WHERE record.key BETWEEN $1 AND $2"

#: graph
SHARING = "SELECT session.session_id FROM session WHERE session.graph = $1 ORDER BY session.key"

#: session
LABELS = "SELECT label.name, label.value, label.session_id FROM label WHERE label.session = $1"

#: first, final
NEWEST_RECORD = "SELECT max(record.key) AS max_1 FROM record WHERE record.key BETWEEN $1 AND $2"

#: first, final
NEWEST_ENTRY = "SELECT max(entry.pos) AS max_1 FROM entry WHERE entry.pos BETWEEN $1 AND $2"

#: graph
REFERRING = "SELECT node.node_id, node.refs FROM node WHERE node.graph = $1 AND node.refs IS NOT NULL"

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
    "SELECT count(*) AS count_1 FROM record WHERE NOT (EXISTS (SELECT session.key FROM session WHERE session.key "
    "= record.session))"
)

#: no parameters
ORPHAN_STREAMS = (
    "SELECT count(*) AS count_1 FROM stream WHERE NOT (EXISTS (SELECT session.key FROM session WHERE session.key "
    "= stream.session))"
)

#: no parameters
ORPHAN_ENTRIES = (
    "SELECT count(*) AS count_1 FROM entry WHERE NOT (EXISTS (SELECT stream.key FROM stream WHERE stream.key = "
    "entry.stream))"
)

#: no parameters
ORPHAN_LABELS = (
    "SELECT count(*) AS count_1 FROM label WHERE NOT (EXISTS (SELECT session.key FROM session WHERE session.key = "
    "label.session))"
)

#: epoch, leaf, open_turn, committed_at, components, state, labels, sets_ttl, ttl, behind_leaf,
#: count, parent, tenant, session_id, incarnation, expected, known, wanted, node_ids, parents,
#: timestamps, hidden, kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record
COMMIT = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), ttl = CASE WHEN $8 "
    "THEN $9 ELSE session.ttl END, (tail_pos, leaf_pos) = ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN "
    "NULL WHEN $10::bigint IS NULL THEN session.leaf_pos ELSE tail.pos - $10::bigint END FROM ( SELECT CASE WHEN "
    "$11::bigint = 0 THEN session.tail_pos WHEN session.leaf_pos = session.tail_pos AND session.leaf = $12::bytea "
    "THEN session.tail_pos + $11::bigint ELSE (nextval('segment_segment_seq') << 32) + $11::bigint - 1 END AS pos "
    ") AS tail ) WHERE session.tenant = $13 AND session.session_id = $14 AND session.incarnation = $15 AND "
    "session.revision = $16 AND session.epoch <= $1 AND session.components::json IS NOT NULL AND ($12::bytea IS "
    "NULL OR (session.leaf = $12::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea IS NULL OR $10::bigint "
    "IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $17 OR NOT EXISTS ( SELECT FROM "
    "unnest($18::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE blob.tenant = $13 AND blob.ref "
    "= wanted.ref) ) ) AND ($11::bigint = 0 OR session.leaf_pos = session.tail_pos OR EXISTS ( SELECT FROM "
    "session AS seen WHERE seen.key = session.key AND seen.revision = $16 )) RETURNING session.key, "
    "session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), begun AS ( "
    "INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, head.key, "
    "(SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $12::bytea IS NOT NULL) FROM head "
    "WHERE $11::bigint > 0 AND ((head.tail_pos - $11::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT INTO "
    "node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT head.tail_pos - "
    "$11::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, given.timestamp, "
    "given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $19::bytea[], $20::bytea[], "
    "$21::bigint[], $22::bigint[], $23::text[], $24::bytea[], $25::bytea[] ) WITH ORDINALITY AS given (node_id, "
    "parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob (tenant, ref, packing, "
    "body, stored_at) SELECT $13, given.ref, given.packing, given.body, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint FROM head, unnest($26::bytea[], $27::bigint[], $28::bytea[]) AS given (ref, packing, body) "
    "ON CONFLICT (tenant, ref) DO UPDATE SET stored_at = excluded.stored_at WHERE coalesce(blob.stored_at, 0) < "
    "excluded.stored_at - 600000000 ), stale AS MATERIALIZED ( SELECT blob.key FROM head, blob WHERE blob.tenant "
    "= $13 AND blob.ref = ANY ($18::bytea[]) AND coalesce(blob.stored_at, 0) < (extract(epoch FROM "
    "clock_timestamp()) * 1000000)::bigint - 600000000 ), touched AS ( UPDATE blob SET stored_at = (extract(epoch "
    "FROM clock_timestamp()) * 1000000)::bigint FROM stale WHERE blob.key = stale.key RETURNING blob.key ), noted "
    "AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, "
    "body ) SELECT head.key << 32 | head.revision, head.key, $29, $30, $1, $2::bytea, $3, $4, $5, $31 FROM head ) "
    "SELECT head.revision / CASE WHEN (SELECT count(*) FROM stale) = (SELECT count(*) FROM touched) THEN 1 ELSE 0 "
    "END FROM head"
)

#: epoch, leaf, open_turn, committed_at, components, state, labels, sets_ttl, ttl, behind_leaf,
#: count, parent, tenant, session_id, incarnation, expected, known, wanted, node_ids, parents,
#: timestamps, hidden, kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record,
#: label_names, label_values
COMMIT_LABELLING = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), ttl = CASE WHEN $8 "
    "THEN $9 ELSE session.ttl END, (tail_pos, leaf_pos) = ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN "
    "NULL WHEN $10::bigint IS NULL THEN session.leaf_pos ELSE tail.pos - $10::bigint END FROM ( SELECT CASE WHEN "
    "$11::bigint = 0 THEN session.tail_pos WHEN session.leaf_pos = session.tail_pos AND session.leaf = $12::bytea "
    "THEN session.tail_pos + $11::bigint ELSE (nextval('segment_segment_seq') << 32) + $11::bigint - 1 END AS pos "
    ") AS tail ) WHERE session.tenant = $13 AND session.session_id = $14 AND session.incarnation = $15 AND "
    "session.revision = $16 AND session.epoch <= $1 AND session.components::json IS NOT NULL AND ($12::bytea IS "
    "NULL OR (session.leaf = $12::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea IS NULL OR $10::bigint "
    "IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $17 OR NOT EXISTS ( SELECT FROM "
    "unnest($18::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE blob.tenant = $13 AND blob.ref "
    "= wanted.ref) ) ) AND ($11::bigint = 0 OR session.leaf_pos = session.tail_pos OR EXISTS ( SELECT FROM "
    "session AS seen WHERE seen.key = session.key AND seen.revision = $16 )) RETURNING session.key, "
    "session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), begun AS ( "
    "INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, head.key, "
    "(SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $12::bytea IS NOT NULL) FROM head "
    "WHERE $11::bigint > 0 AND ((head.tail_pos - $11::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT INTO "
    "node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT head.tail_pos - "
    "$11::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, given.timestamp, "
    "given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $19::bytea[], $20::bytea[], "
    "$21::bigint[], $22::bigint[], $23::text[], $24::bytea[], $25::bytea[] ) WITH ORDINALITY AS given (node_id, "
    "parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob (tenant, ref, packing, "
    "body, stored_at) SELECT $13, given.ref, given.packing, given.body, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint FROM head, unnest($26::bytea[], $27::bigint[], $28::bytea[]) AS given (ref, packing, body) "
    "ON CONFLICT (tenant, ref) DO UPDATE SET stored_at = excluded.stored_at WHERE coalesce(blob.stored_at, 0) < "
    "excluded.stored_at - 600000000 ), stale AS MATERIALIZED ( SELECT blob.key FROM head, blob WHERE blob.tenant "
    "= $13 AND blob.ref = ANY ($18::bytea[]) AND coalesce(blob.stored_at, 0) < (extract(epoch FROM "
    "clock_timestamp()) * 1000000)::bigint - 600000000 ), touched AS ( UPDATE blob SET stored_at = (extract(epoch "
    "FROM clock_timestamp()) * 1000000)::bigint FROM stale WHERE blob.key = stale.key RETURNING blob.key ), noted "
    "AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, "
    "body ) SELECT head.key << 32 | head.revision, head.key, $29, $30, $1, $2::bytea, $3, $4, $5, $31 FROM head "
    "), unlabelled AS ( DELETE FROM label USING head WHERE label.session = head.key AND NOT EXISTS ( SELECT FROM "
    "unnest($32::text[], $33::text[]) AS given (name, value) WHERE given.name = label.name AND given.value = "
    "label.value ) ), labelled AS ( INSERT INTO label (tenant, name, value, session_id, session) SELECT $13, "
    "given.name, given.value, head.session_id, head.key FROM head, unnest($32::text[], $33::text[]) AS given "
    "(name, value) ON CONFLICT DO NOTHING ) SELECT head.revision / CASE WHEN (SELECT count(*) FROM stale) = "
    "(SELECT count(*) FROM touched) THEN 1 ELSE 0 END FROM head"
)

#: epoch, leaf, open_turn, committed_at, components, state, labels, sets_ttl, ttl, behind_leaf,
#: count, parent, tenant, session_id, incarnation, expected, known, wanted, node_ids, parents,
#: timestamps, hidden, kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record,
#: streams, uptos
COMMIT_CONSUMING = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), ttl = CASE WHEN $8 "
    "THEN $9 ELSE session.ttl END, (tail_pos, leaf_pos) = ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN "
    "NULL WHEN $10::bigint IS NULL THEN session.leaf_pos ELSE tail.pos - $10::bigint END FROM ( SELECT CASE WHEN "
    "$11::bigint = 0 THEN session.tail_pos WHEN session.leaf_pos = session.tail_pos AND session.leaf = $12::bytea "
    "THEN session.tail_pos + $11::bigint ELSE (nextval('segment_segment_seq') << 32) + $11::bigint - 1 END AS pos "
    ") AS tail ) WHERE session.tenant = $13 AND session.session_id = $14 AND session.incarnation = $15 AND "
    "session.revision = $16 AND session.epoch <= $1 AND session.components::json IS NOT NULL AND ($12::bytea IS "
    "NULL OR (session.leaf = $12::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea IS NULL OR $10::bigint "
    "IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $17 OR NOT EXISTS ( SELECT FROM "
    "unnest($18::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE blob.tenant = $13 AND blob.ref "
    "= wanted.ref) ) ) AND ($11::bigint = 0 OR session.leaf_pos = session.tail_pos OR EXISTS ( SELECT FROM "
    "session AS seen WHERE seen.key = session.key AND seen.revision = $16 )) RETURNING session.key, "
    "session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), begun AS ( "
    "INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, head.key, "
    "(SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $12::bytea IS NOT NULL) FROM head "
    "WHERE $11::bigint > 0 AND ((head.tail_pos - $11::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT INTO "
    "node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT head.tail_pos - "
    "$11::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, given.timestamp, "
    "given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $19::bytea[], $20::bytea[], "
    "$21::bigint[], $22::bigint[], $23::text[], $24::bytea[], $25::bytea[] ) WITH ORDINALITY AS given (node_id, "
    "parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob (tenant, ref, packing, "
    "body, stored_at) SELECT $13, given.ref, given.packing, given.body, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint FROM head, unnest($26::bytea[], $27::bigint[], $28::bytea[]) AS given (ref, packing, body) "
    "ON CONFLICT (tenant, ref) DO UPDATE SET stored_at = excluded.stored_at WHERE coalesce(blob.stored_at, 0) < "
    "excluded.stored_at - 600000000 ), stale AS MATERIALIZED ( SELECT blob.key FROM head, blob WHERE blob.tenant "
    "= $13 AND blob.ref = ANY ($18::bytea[]) AND coalesce(blob.stored_at, 0) < (extract(epoch FROM "
    "clock_timestamp()) * 1000000)::bigint - 600000000 ), touched AS ( UPDATE blob SET stored_at = (extract(epoch "
    "FROM clock_timestamp()) * 1000000)::bigint FROM stale WHERE blob.key = stale.key RETURNING blob.key ), noted "
    "AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, "
    "body ) SELECT head.key << 32 | head.revision, head.key, $29, $30, $1, $2::bytea, $3, $4, $5, $31 FROM head "
    "), consumed AS ( DELETE FROM entry USING head, stream, unnest($32::text[], $33::bigint[]) AS given (name, "
    "upto) WHERE stream.session = head.key AND stream.name = given.name AND entry.pos BETWEEN stream.key << 32 "
    "AND stream.key << 32 | least(given.upto, stream.last) ) SELECT head.revision / CASE WHEN (SELECT count(*) "
    "FROM stale) = (SELECT count(*) FROM touched) THEN 1 ELSE 0 END FROM head"
)

#: epoch, leaf, open_turn, committed_at, components, state, labels, sets_ttl, ttl, behind_leaf,
#: count, parent, tenant, session_id, incarnation, expected, known, wanted, node_ids, parents,
#: timestamps, hidden, kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record,
#: streams, uptos, label_names, label_values
COMMIT_CONSUMING_LABELLING = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), ttl = CASE WHEN $8 "
    "THEN $9 ELSE session.ttl END, (tail_pos, leaf_pos) = ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN "
    "NULL WHEN $10::bigint IS NULL THEN session.leaf_pos ELSE tail.pos - $10::bigint END FROM ( SELECT CASE WHEN "
    "$11::bigint = 0 THEN session.tail_pos WHEN session.leaf_pos = session.tail_pos AND session.leaf = $12::bytea "
    "THEN session.tail_pos + $11::bigint ELSE (nextval('segment_segment_seq') << 32) + $11::bigint - 1 END AS pos "
    ") AS tail ) WHERE session.tenant = $13 AND session.session_id = $14 AND session.incarnation = $15 AND "
    "session.revision = $16 AND session.epoch <= $1 AND session.components::json IS NOT NULL AND ($12::bytea IS "
    "NULL OR (session.leaf = $12::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea IS NULL OR $10::bigint "
    "IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $17 OR NOT EXISTS ( SELECT FROM "
    "unnest($18::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE blob.tenant = $13 AND blob.ref "
    "= wanted.ref) ) ) AND ($11::bigint = 0 OR session.leaf_pos = session.tail_pos OR EXISTS ( SELECT FROM "
    "session AS seen WHERE seen.key = session.key AND seen.revision = $16 )) RETURNING session.key, "
    "session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), begun AS ( "
    "INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, head.key, "
    "(SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $12::bytea IS NOT NULL) FROM head "
    "WHERE $11::bigint > 0 AND ((head.tail_pos - $11::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT INTO "
    "node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT head.tail_pos - "
    "$11::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, given.timestamp, "
    "given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $19::bytea[], $20::bytea[], "
    "$21::bigint[], $22::bigint[], $23::text[], $24::bytea[], $25::bytea[] ) WITH ORDINALITY AS given (node_id, "
    "parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob (tenant, ref, packing, "
    "body, stored_at) SELECT $13, given.ref, given.packing, given.body, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint FROM head, unnest($26::bytea[], $27::bigint[], $28::bytea[]) AS given (ref, packing, body) "
    "ON CONFLICT (tenant, ref) DO UPDATE SET stored_at = excluded.stored_at WHERE coalesce(blob.stored_at, 0) < "
    "excluded.stored_at - 600000000 ), stale AS MATERIALIZED ( SELECT blob.key FROM head, blob WHERE blob.tenant "
    "= $13 AND blob.ref = ANY ($18::bytea[]) AND coalesce(blob.stored_at, 0) < (extract(epoch FROM "
    "clock_timestamp()) * 1000000)::bigint - 600000000 ), touched AS ( UPDATE blob SET stored_at = (extract(epoch "
    "FROM clock_timestamp()) * 1000000)::bigint FROM stale WHERE blob.key = stale.key RETURNING blob.key ), noted "
    "AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, "
    "body ) SELECT head.key << 32 | head.revision, head.key, $29, $30, $1, $2::bytea, $3, $4, $5, $31 FROM head "
    "), consumed AS ( DELETE FROM entry USING head, stream, unnest($32::text[], $33::bigint[]) AS given (name, "
    "upto) WHERE stream.session = head.key AND stream.name = given.name AND entry.pos BETWEEN stream.key << 32 "
    "AND stream.key << 32 | least(given.upto, stream.last) ), unlabelled AS ( DELETE FROM label USING head WHERE "
    "label.session = head.key AND NOT EXISTS ( SELECT FROM unnest($34::text[], $35::text[]) AS given (name, "
    "value) WHERE given.name = label.name AND given.value = label.value ) ), labelled AS ( INSERT INTO label "
    "(tenant, name, value, session_id, session) SELECT $13, given.name, given.value, head.session_id, head.key "
    "FROM head, unnest($34::text[], $35::text[]) AS given (name, value) ON CONFLICT DO NOTHING ) SELECT "
    "head.revision / CASE WHEN (SELECT count(*) FROM stale) = (SELECT count(*) FROM touched) THEN 1 ELSE 0 END "
    "FROM head"
)

#: tenant, fork_session, fork_leaf, count, session_id, incarnation, epoch, forks, parent, leaf,
#: behind_leaf, wanted, open_turn, committed_at, labels, components, state, ttl, node_ids, parents,
#: timestamps, hidden, kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record
FIRST_COMMIT = (
    "WITH source AS ( SELECT session.graph FROM session WHERE session.tenant = $1 AND session.session_id = $2 ), "
    "place AS ( SELECT node.pos FROM node JOIN source ON node.graph = source.graph WHERE node.node_id = $3::bytea "
    "), fresh AS MATERIALIZED ( SELECT own.key, coalesce((SELECT graph FROM source), own.key) AS graph, CASE WHEN "
    "$4::bigint > 0 THEN (nextval('segment_segment_seq') << 32) + $4::bigint - 1 END AS tail_pos FROM (SELECT "
    "nextval('session_key_seq') AS key) AS own WHERE NOT EXISTS ( SELECT FROM session WHERE session.tenant = $1 "
    "AND session.session_id = $5 ) AND NOT EXISTS ( SELECT FROM tombstone WHERE tombstone.tenant = $1 AND "
    "tombstone.session_id = $5 AND tombstone.incarnation = $6 ) AND NOT EXISTS ( SELECT FROM lease WHERE "
    "lease.tenant = $1 AND lease.session_id = $5 AND lease.epoch > $7 ) AND (NOT $8 OR EXISTS (SELECT FROM "
    "source)) AND ($3::bytea IS NULL OR EXISTS (SELECT FROM place)) AND ($9::bytea IS NULL OR $9::bytea = "
    "$3::bytea) AND ($10::bytea IS NULL OR $11::bigint IS NOT NULL OR $10::bytea = $3::bytea) AND NOT EXISTS ( "
    "SELECT FROM unnest($12::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE blob.tenant = $1 "
    "AND blob.ref = wanted.ref) ) ), head AS ( INSERT INTO session ( key, tenant, session_id, incarnation, graph, "
    "leaf, leaf_pos, tail_pos, revision, epoch, open_turn, created_at, updated_at, stored_at, labels, components, "
    "state, ttl ) SELECT fresh.key, $1, $5, $6, fresh.graph, $10::bytea, CASE WHEN $10::bytea IS NULL THEN NULL "
    "WHEN $11::bigint IS NULL THEN (SELECT pos FROM place) ELSE fresh.tail_pos - $11::bigint END, fresh.tail_pos, "
    "1, $7, $13, $14, $14, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce($15, '{}'), $16, "
    "$17, $18 FROM fresh RETURNING session.key, session.graph, session.tail_pos, session.stored_at, "
    "session.revision, session.session_id ), begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) "
    "SELECT head.tail_pos >> 32, head.graph, head.key, (SELECT pos FROM place WHERE $9::bytea IS NOT NULL) FROM "
    "head WHERE $4::bigint > 0 ), added AS ( INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, "
    "hidden, kind, refs, payload) SELECT head.tail_pos - $4::bigint + given.number, head.graph, given.node_id, "
    "given.parent, head.stored_at, given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM "
    "head, unnest( $19::bytea[], $20::bytea[], $21::bigint[], $22::bigint[], $23::text[], $24::bytea[], "
    "$25::bytea[] ) WITH ORDINALITY AS given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), "
    "kept AS ( INSERT INTO blob (tenant, ref, packing, body, stored_at) SELECT $1, given.ref, given.packing, "
    "given.body, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM head, unnest($26::bytea[], "
    "$27::bigint[], $28::bytea[]) AS given (ref, packing, body) ON CONFLICT (tenant, ref) DO UPDATE SET stored_at "
    "= excluded.stored_at WHERE coalesce(blob.stored_at, 0) < excluded.stored_at - 600000000 ), stale AS "
    "MATERIALIZED ( SELECT blob.key FROM head, blob WHERE blob.tenant = $1 AND blob.ref = ANY ($12::bytea[]) AND "
    "coalesce(blob.stored_at, 0) < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 600000000 ), "
    "touched AS ( UPDATE blob SET stored_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM "
    "stale WHERE blob.key = stale.key RETURNING blob.key ), noted AS ( INSERT INTO record ( key, session, "
    "commit_id, digest, epoch, leaf, open_turn, committed_at, components, body ) SELECT head.key << 32 | "
    "head.revision, head.key, $29, $30, $7, $10::bytea, $13, $14, $16, $31 FROM head ) SELECT head.revision / "
    "CASE WHEN (SELECT count(*) FROM stale) = (SELECT count(*) FROM touched) THEN 1 ELSE 0 END FROM head"
)

#: tenant, fork_session, fork_leaf, count, session_id, incarnation, epoch, forks, parent, leaf,
#: behind_leaf, wanted, open_turn, committed_at, labels, components, state, ttl, node_ids, parents,
#: timestamps, hidden, kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record,
#: label_names, label_values
FIRST_COMMIT_LABELLING = (
    "WITH source AS ( SELECT session.graph FROM session WHERE session.tenant = $1 AND session.session_id = $2 ), "
    "place AS ( SELECT node.pos FROM node JOIN source ON node.graph = source.graph WHERE node.node_id = $3::bytea "
    "), fresh AS MATERIALIZED ( SELECT own.key, coalesce((SELECT graph FROM source), own.key) AS graph, CASE WHEN "
    "$4::bigint > 0 THEN (nextval('segment_segment_seq') << 32) + $4::bigint - 1 END AS tail_pos FROM (SELECT "
    "nextval('session_key_seq') AS key) AS own WHERE NOT EXISTS ( SELECT FROM session WHERE session.tenant = $1 "
    "AND session.session_id = $5 ) AND NOT EXISTS ( SELECT FROM tombstone WHERE tombstone.tenant = $1 AND "
    "tombstone.session_id = $5 AND tombstone.incarnation = $6 ) AND NOT EXISTS ( SELECT FROM lease WHERE "
    "lease.tenant = $1 AND lease.session_id = $5 AND lease.epoch > $7 ) AND (NOT $8 OR EXISTS (SELECT FROM "
    "source)) AND ($3::bytea IS NULL OR EXISTS (SELECT FROM place)) AND ($9::bytea IS NULL OR $9::bytea = "
    "$3::bytea) AND ($10::bytea IS NULL OR $11::bigint IS NOT NULL OR $10::bytea = $3::bytea) AND NOT EXISTS ( "
    "SELECT FROM unnest($12::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE blob.tenant = $1 "
    "AND blob.ref = wanted.ref) ) ), head AS ( INSERT INTO session ( key, tenant, session_id, incarnation, graph, "
    "leaf, leaf_pos, tail_pos, revision, epoch, open_turn, created_at, updated_at, stored_at, labels, components, "
    "state, ttl ) SELECT fresh.key, $1, $5, $6, fresh.graph, $10::bytea, CASE WHEN $10::bytea IS NULL THEN NULL "
    "WHEN $11::bigint IS NULL THEN (SELECT pos FROM place) ELSE fresh.tail_pos - $11::bigint END, fresh.tail_pos, "
    "1, $7, $13, $14, $14, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce($15, '{}'), $16, "
    "$17, $18 FROM fresh RETURNING session.key, session.graph, session.tail_pos, session.stored_at, "
    "session.revision, session.session_id ), begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) "
    "SELECT head.tail_pos >> 32, head.graph, head.key, (SELECT pos FROM place WHERE $9::bytea IS NOT NULL) FROM "
    "head WHERE $4::bigint > 0 ), added AS ( INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, "
    "hidden, kind, refs, payload) SELECT head.tail_pos - $4::bigint + given.number, head.graph, given.node_id, "
    "given.parent, head.stored_at, given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM "
    "head, unnest( $19::bytea[], $20::bytea[], $21::bigint[], $22::bigint[], $23::text[], $24::bytea[], "
    "$25::bytea[] ) WITH ORDINALITY AS given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), "
    "kept AS ( INSERT INTO blob (tenant, ref, packing, body, stored_at) SELECT $1, given.ref, given.packing, "
    "given.body, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM head, unnest($26::bytea[], "
    "$27::bigint[], $28::bytea[]) AS given (ref, packing, body) ON CONFLICT (tenant, ref) DO UPDATE SET stored_at "
    "= excluded.stored_at WHERE coalesce(blob.stored_at, 0) < excluded.stored_at - 600000000 ), stale AS "
    "MATERIALIZED ( SELECT blob.key FROM head, blob WHERE blob.tenant = $1 AND blob.ref = ANY ($12::bytea[]) AND "
    "coalesce(blob.stored_at, 0) < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 600000000 ), "
    "touched AS ( UPDATE blob SET stored_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM "
    "stale WHERE blob.key = stale.key RETURNING blob.key ), noted AS ( INSERT INTO record ( key, session, "
    "commit_id, digest, epoch, leaf, open_turn, committed_at, components, body ) SELECT head.key << 32 | "
    "head.revision, head.key, $29, $30, $7, $10::bytea, $13, $14, $16, $31 FROM head ), unlabelled AS ( DELETE "
    "FROM label USING head WHERE label.session = head.key AND NOT EXISTS ( SELECT FROM unnest($32::text[], "
    "$33::text[]) AS given (name, value) WHERE given.name = label.name AND given.value = label.value ) ), "
    "labelled AS ( INSERT INTO label (tenant, name, value, session_id, session) SELECT $1, given.name, "
    "given.value, head.session_id, head.key FROM head, unnest($32::text[], $33::text[]) AS given (name, value) ON "
    "CONFLICT DO NOTHING ) SELECT head.revision / CASE WHEN (SELECT count(*) FROM stale) = (SELECT count(*) FROM "
    "touched) THEN 1 ELSE 0 END FROM head"
)

#: tenant, session_id, ttl, holder, replacing
TAKE_LEASE = (
    "WITH known AS MATERIALIZED ( SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now, "
    "greatest( (SELECT session.epoch FROM session WHERE session.tenant = $1 AND session.session_id = $2), (SELECT "
    "lease.epoch FROM lease WHERE lease.tenant = $1 AND lease.session_id = $2), (SELECT max(tombstone.epoch) FROM "
    "tombstone WHERE tombstone.tenant = $1 AND tombstone.session_id = $2), 0 ) + 1 AS epoch ), taken AS ( INSERT "
    "INTO lease (tenant, session_id, epoch, expires_at, holder) SELECT $1, $2, known.epoch, known.now + "
    "$3::bigint, $4 FROM known ON CONFLICT (tenant, session_id) DO UPDATE SET epoch = excluded.epoch, expires_at "
    "= excluded.expires_at, holder = excluded.holder WHERE lease.holder IS NULL OR lease.expires_at <= (SELECT "
    "known.now FROM known) OR lease.epoch = $5::bigint RETURNING lease.epoch ), raised AS ( UPDATE session SET "
    "epoch = greatest(session.epoch, taken.epoch) FROM taken WHERE session.tenant = $1 AND session.session_id = "
    "$2 ) SELECT taken.epoch FROM taken"
)

#: ttl, holder, tenant, session_id, epoch
RENEW_LEASE = (
    "UPDATE lease SET expires_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1::bigint, holder "
    "= $2 WHERE lease.tenant = $3 AND lease.session_id = $4 AND lease.epoch = $5 AND NOT EXISTS (SELECT FROM "
    "session WHERE session.tenant = $3 AND session.session_id = $4 AND session.epoch > $5) RETURNING lease.epoch"
)

#: tenant, session_id, epoch
RELEASE_LEASE = (
    "UPDATE lease SET holder = NULL WHERE lease.tenant = $1 AND lease.session_id = $2 AND lease.epoch = $3"
)

#: tenant, session_id
LEASE_LEFT = (
    "SELECT lease.epoch, lease.expires_at - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
    "lease.holder FROM lease WHERE lease.tenant = $1 AND lease.session_id = $2"
)

#: segment
FORK_POSITIONS = (
    "WITH RECURSIVE chain (segment, fork_pos) AS ( SELECT segment.segment, segment.fork_pos FROM segment WHERE "
    "segment.segment = $1 UNION ALL SELECT segment.segment, segment.fork_pos FROM chain JOIN segment ON "
    "segment.segment = chain.fork_pos >> 32 WHERE segment.segment < chain.segment ) SELECT chain.fork_pos FROM "
    "chain"
)

#: no parameters
NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"

#: family, tenant, session_id
GUARD_SOURCE = (
    "SELECT pg_advisory_xact_lock_shared($1::integer, session.graph::integer) FROM session WHERE session.tenant = "
    "$2 AND session.session_id = $3"
)

PARAMETERS = {
    "COMMIT": (
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "sets_ttl", "ttl",
        "behind_leaf", "count", "parent", "tenant", "session_id", "incarnation", "expected", "known",
        "wanted", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
        "packings", "bodies", "commit_id", "digest", "record",
    ),
    "COMMIT_LABELLING": (
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "sets_ttl", "ttl",
        "behind_leaf", "count", "parent", "tenant", "session_id", "incarnation", "expected", "known",
        "wanted", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
        "packings", "bodies", "commit_id", "digest", "record", "label_names", "label_values",
    ),
    "COMMIT_CONSUMING": (
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "sets_ttl", "ttl",
        "behind_leaf", "count", "parent", "tenant", "session_id", "incarnation", "expected", "known",
        "wanted", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
        "packings", "bodies", "commit_id", "digest", "record", "streams", "uptos",
    ),
    "COMMIT_CONSUMING_LABELLING": (
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "sets_ttl", "ttl",
        "behind_leaf", "count", "parent", "tenant", "session_id", "incarnation", "expected", "known",
        "wanted", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
        "packings", "bodies", "commit_id", "digest", "record", "streams", "uptos", "label_names",
        "label_values",
    ),
    "FIRST_COMMIT": (
        "tenant", "fork_session", "fork_leaf", "count", "session_id", "incarnation", "epoch", "forks",
        "parent", "leaf", "behind_leaf", "wanted", "open_turn", "committed_at", "labels", "components",
        "state", "ttl", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
        "packings", "bodies", "commit_id", "digest", "record",
    ),
    "FIRST_COMMIT_LABELLING": (
        "tenant", "fork_session", "fork_leaf", "count", "session_id", "incarnation", "epoch", "forks",
        "parent", "leaf", "behind_leaf", "wanted", "open_turn", "committed_at", "labels", "components",
        "state", "ttl", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
        "packings", "bodies", "commit_id", "digest", "record", "label_names", "label_values",
    ),
    "TAKE_LEASE": (
        "tenant", "session_id", "ttl", "holder", "replacing",
    ),
    "RENEW_LEASE": (
        "ttl", "holder", "tenant", "session_id", "epoch",
    ),
    "RELEASE_LEASE": (
        "tenant", "session_id", "epoch",
    ),
    "LEASE_LEFT": (
        "tenant", "session_id",
    ),
    "FORK_POSITIONS": (
        "segment",
    ),
    "NOW": (
    ),
    "GUARD_SOURCE": (
        "family", "tenant", "session_id",
    ),
}

DDL = (
    'CREATE TABLE blob ( key BIGINT GENERATED BY DEFAULT AS IDENTITY, tenant TEXT COLLATE "C" NOT NULL, ref BYTEA '
    "NOT NULL, packing INTEGER NOT NULL, body BYTEA NOT NULL, stored_at BIGINT, PRIMARY KEY (key), UNIQUE "
    "(tenant, ref) )",
    'CREATE TABLE lease ( key BIGINT GENERATED BY DEFAULT AS IDENTITY, tenant TEXT COLLATE "C" NOT NULL, '
    'session_id TEXT COLLATE "C" NOT NULL, epoch BIGINT NOT NULL, expires_at BIGINT NOT NULL, holder TEXT COLLATE '
    '"C", PRIMARY KEY (key), UNIQUE (tenant, session_id) )',
    "CREATE TABLE migration ( version BIGINT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY (version) )",
    "CREATE TABLE node ( pos BIGINT NOT NULL, graph BIGINT NOT NULL, node_id BYTEA NOT NULL, parent BYTEA, "
    'stored_at BIGINT NOT NULL, timestamp BIGINT NOT NULL, hidden BIGINT NOT NULL, kind TEXT COLLATE "C" NOT '
    "NULL, refs BYTEA, payload BYTEA NOT NULL, PRIMARY KEY (pos), UNIQUE (graph, node_id) )",
    "CREATE INDEX node_hidden ON node (graph) WHERE hidden != 0",
    "CREATE INDEX node_refs ON node (graph) WHERE refs IS NOT NULL",
    "CREATE TABLE segment ( segment BIGINT GENERATED BY DEFAULT AS IDENTITY, graph BIGINT NOT NULL, owner BIGINT "
    "NOT NULL, fork_pos BIGINT, PRIMARY KEY (segment) )",
    "CREATE INDEX ix_segment_graph ON segment (graph)",
    'CREATE TABLE session ( key BIGINT GENERATED BY DEFAULT AS IDENTITY, tenant TEXT COLLATE "C" NOT NULL, '
    'session_id TEXT COLLATE "C" NOT NULL, incarnation BYTEA NOT NULL, graph BIGINT NOT NULL, leaf BYTEA, '
    "leaf_pos BIGINT, tail_pos BIGINT, revision INTEGER NOT NULL, epoch BIGINT NOT NULL, open_turn TEXT COLLATE "
    '"C", created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, stored_at BIGINT NOT NULL, labels TEXT COLLATE '
    '"C" NOT NULL, components TEXT COLLATE "C" NOT NULL, state BYTEA NOT NULL, ttl BIGINT, PRIMARY KEY (key), '
    "UNIQUE (tenant, session_id) ) WITH (fillfactor = 70)",
    "CREATE INDEX session_expiry ON session (tenant, (stored_at + ttl)) WHERE ttl IS NOT NULL",
    "CREATE INDEX session_graph ON session (graph)",
    "CREATE INDEX session_open_turn ON session (tenant, session_id) WHERE open_turn IS NOT NULL",
    'CREATE TABLE tombstone ( key BIGINT NOT NULL, tenant TEXT COLLATE "C" NOT NULL, session_id TEXT COLLATE "C" '
    "NOT NULL, incarnation BYTEA NOT NULL, revision INTEGER NOT NULL, epoch BIGINT NOT NULL, deleted_at BIGINT "
    "NOT NULL, PRIMARY KEY (key), UNIQUE (tenant, session_id, incarnation) )",
    'CREATE TABLE label ( tenant TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL, value TEXT COLLATE '
    '"C" NOT NULL, session_id TEXT COLLATE "C" NOT NULL, session BIGINT NOT NULL, PRIMARY KEY (tenant, name, '
    "value, session_id) )",
    "CREATE INDEX label_session ON label (session)",
    "CREATE TABLE record ( key BIGINT NOT NULL, session BIGINT NOT NULL, commit_id BYTEA NOT NULL, digest BYTEA "
    'NOT NULL, epoch BIGINT NOT NULL, leaf BYTEA, open_turn TEXT COLLATE "C", committed_at BIGINT NOT NULL, '
    'components TEXT COLLATE "C" NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (key), UNIQUE (session, commit_id) )',
    "CREATE TABLE stream ( key BIGINT GENERATED BY DEFAULT AS IDENTITY, session BIGINT NOT NULL, name TEXT "
    'COLLATE "C" NOT NULL, last BIGINT NOT NULL, PRIMARY KEY (key), UNIQUE (session, name) )',
    'CREATE TABLE entry ( pos BIGINT NOT NULL, stream BIGINT NOT NULL, name TEXT COLLATE "C" NOT NULL, body BYTEA '
    "NOT NULL, PRIMARY KEY (pos), UNIQUE (stream, name) )",
)

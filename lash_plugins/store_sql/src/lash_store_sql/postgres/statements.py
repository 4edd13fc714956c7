"""SQL for PostgreSQL, written by ``python -m lash_store_sql.generate`` from the declaration: do not edit."""

from __future__ import annotations

# fmt: off
SCHEMA_VERSION = 1

#: tenant, session_id
HEAD = (
    "SELECT session.incarnation, session.revision, session.epoch, session.leaf, session.components, "
    "session.state, session.open_turn, session.labels, session.created_at, session.updated_at FROM session WHERE "
    "session.tenant = $1 AND session.session_id = $2"
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

#: tenant, ref, packing, body
ADD_BLOB = (
    "INSERT INTO blob (tenant, ref, packing, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING "
    "blob.key"
)

#: tenant, ref
HAS_BLOB = "SELECT blob.key FROM blob WHERE blob.tenant = $1 AND blob.ref = $2"

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
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.tenant = $1 "
    "AND session.session_id >= $2 ORDER BY session.session_id LIMIT $3"
)

#: tenant, name, value, first, limit
LABELLED = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN session ON "
    "session.key = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND lease.session_id = "
    "label.session_id WHERE label.tenant = $1 AND label.name = $2 AND label.value = $3 AND label.session_id >= $4 "
    "ORDER BY label.session_id LIMIT $5"
)

#: tenant, first, limit
LIST_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.tenant = $1 "
    "AND session.session_id >= $2 AND session.open_turn IS NOT NULL ORDER BY session.session_id LIMIT $3"
)

#: tenant, name, value, first, limit
LABELLED_OPEN = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN session ON "
    "session.key = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND lease.session_id = "
    "label.session_id WHERE label.tenant = $1 AND label.name = $2 AND label.value = $3 AND label.session_id >= $4 "
    "AND session.open_turn IS NOT NULL ORDER BY label.session_id LIMIT $5"
)

#: tenant, first, limit
LIST_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM session LEFT OUTER JOIN "
    "lease ON lease.tenant = session.tenant AND lease.session_id = session.session_id WHERE session.tenant = $1 "
    "AND session.session_id >= $2 AND session.open_turn IS NULL ORDER BY session.session_id LIMIT $3"
)

#: tenant, name, value, first, limit
LABELLED_IDLE = (
    "SELECT session.session_id, session.incarnation, session.revision, session.epoch, session.leaf, "
    "session.components, session.state, session.open_turn, session.labels, session.created_at, "
    "session.updated_at, lease.epoch AS lease_epoch, lease.expires_at, lease.holder FROM label JOIN session ON "
    "session.key = label.session LEFT OUTER JOIN lease ON lease.tenant = label.tenant AND lease.session_id = "
    "label.session_id WHERE label.tenant = $1 AND label.name = $2 AND label.value = $3 AND label.session_id >= $4 "
    "AND session.open_turn IS NULL ORDER BY label.session_id LIMIT $5"
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

#: epoch, leaf, open_turn, committed_at, components, state, labels, behind_leaf, count, parent,
#: tenant, session_id, incarnation, expected, known, wanted, node_ids, parents, timestamps, hidden,
#: kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record
COMMIT = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), (tail_pos, leaf_pos) "
    "= ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN NULL WHEN $8::bigint IS NULL THEN session.leaf_pos "
    "ELSE tail.pos - $8::bigint END FROM ( SELECT CASE WHEN $9::bigint = 0 THEN session.tail_pos WHEN "
    "session.leaf_pos = session.tail_pos AND session.leaf = $10::bytea THEN session.tail_pos + $9::bigint ELSE "
    "(nextval('segment_segment_seq') << 32) + $9::bigint - 1 END AS pos ) AS tail ) WHERE session.tenant = $11 "
    "AND session.session_id = $12 AND session.incarnation = $13 AND session.revision = $14 AND session.epoch <= "
    "$1 AND ($10::bytea IS NULL OR (session.leaf = $10::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea "
    "IS NULL OR $8::bigint IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $15 OR NOT "
    "EXISTS ( SELECT FROM unnest($16::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE "
    "blob.tenant = $11 AND blob.ref = wanted.ref) ) ) AND ($9::bigint = 0 OR session.leaf_pos = session.tail_pos "
    "OR EXISTS ( SELECT FROM session AS seen WHERE seen.key = session.key AND seen.revision = $14 )) RETURNING "
    "session.key, session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), "
    "begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, "
    "head.key, (SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $10::bytea IS NOT NULL) "
    "FROM head WHERE $9::bigint > 0 AND ((head.tail_pos - $9::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT "
    "INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT "
    "head.tail_pos - $9::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, "
    "given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $17::bytea[], "
    "$18::bytea[], $19::bigint[], $20::integer[], $21::text[], $22::bytea[], $23::bytea[] ) WITH ORDINALITY AS "
    "given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob "
    "(tenant, ref, packing, body) SELECT $11, given.ref, given.packing, given.body FROM head, "
    "unnest($24::bytea[], $25::integer[], $26::bytea[]) AS given (ref, packing, body) ON CONFLICT DO NOTHING ), "
    "noted AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, "
    "components, body ) SELECT head.key << 32 | head.revision, head.key, $27, $28, $1, $2::bytea, $3, $4, $5, $29 "
    "FROM head ) SELECT head.revision FROM head"
)

#: epoch, leaf, open_turn, committed_at, components, state, labels, behind_leaf, count, parent,
#: tenant, session_id, incarnation, expected, known, wanted, node_ids, parents, timestamps, hidden,
#: kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record, label_names,
#: label_values
COMMIT_LABELLING = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), (tail_pos, leaf_pos) "
    "= ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN NULL WHEN $8::bigint IS NULL THEN session.leaf_pos "
    "ELSE tail.pos - $8::bigint END FROM ( SELECT CASE WHEN $9::bigint = 0 THEN session.tail_pos WHEN "
    "session.leaf_pos = session.tail_pos AND session.leaf = $10::bytea THEN session.tail_pos + $9::bigint ELSE "
    "(nextval('segment_segment_seq') << 32) + $9::bigint - 1 END AS pos ) AS tail ) WHERE session.tenant = $11 "
    "AND session.session_id = $12 AND session.incarnation = $13 AND session.revision = $14 AND session.epoch <= "
    "$1 AND ($10::bytea IS NULL OR (session.leaf = $10::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea "
    "IS NULL OR $8::bigint IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $15 OR NOT "
    "EXISTS ( SELECT FROM unnest($16::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE "
    "blob.tenant = $11 AND blob.ref = wanted.ref) ) ) AND ($9::bigint = 0 OR session.leaf_pos = session.tail_pos "
    "OR EXISTS ( SELECT FROM session AS seen WHERE seen.key = session.key AND seen.revision = $14 )) RETURNING "
    "session.key, session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), "
    "begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, "
    "head.key, (SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $10::bytea IS NOT NULL) "
    "FROM head WHERE $9::bigint > 0 AND ((head.tail_pos - $9::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT "
    "INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT "
    "head.tail_pos - $9::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, "
    "given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $17::bytea[], "
    "$18::bytea[], $19::bigint[], $20::integer[], $21::text[], $22::bytea[], $23::bytea[] ) WITH ORDINALITY AS "
    "given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob "
    "(tenant, ref, packing, body) SELECT $11, given.ref, given.packing, given.body FROM head, "
    "unnest($24::bytea[], $25::integer[], $26::bytea[]) AS given (ref, packing, body) ON CONFLICT DO NOTHING ), "
    "noted AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, "
    "components, body ) SELECT head.key << 32 | head.revision, head.key, $27, $28, $1, $2::bytea, $3, $4, $5, $29 "
    "FROM head ), unlabelled AS ( DELETE FROM label USING head WHERE label.session = head.key AND NOT EXISTS ( "
    "SELECT FROM unnest($30::text[], $31::text[]) AS given (name, value) WHERE given.name = label.name AND "
    "given.value = label.value ) ), labelled AS ( INSERT INTO label (tenant, name, value, session_id, session) "
    "SELECT $11, given.name, given.value, head.session_id, head.key FROM head, unnest($30::text[], $31::text[]) "
    "AS given (name, value) ON CONFLICT DO NOTHING ) SELECT head.revision FROM head"
)

#: epoch, leaf, open_turn, committed_at, components, state, labels, behind_leaf, count, parent,
#: tenant, session_id, incarnation, expected, known, wanted, node_ids, parents, timestamps, hidden,
#: kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record, streams, uptos
COMMIT_CONSUMING = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), (tail_pos, leaf_pos) "
    "= ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN NULL WHEN $8::bigint IS NULL THEN session.leaf_pos "
    "ELSE tail.pos - $8::bigint END FROM ( SELECT CASE WHEN $9::bigint = 0 THEN session.tail_pos WHEN "
    "session.leaf_pos = session.tail_pos AND session.leaf = $10::bytea THEN session.tail_pos + $9::bigint ELSE "
    "(nextval('segment_segment_seq') << 32) + $9::bigint - 1 END AS pos ) AS tail ) WHERE session.tenant = $11 "
    "AND session.session_id = $12 AND session.incarnation = $13 AND session.revision = $14 AND session.epoch <= "
    "$1 AND ($10::bytea IS NULL OR (session.leaf = $10::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea "
    "IS NULL OR $8::bigint IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $15 OR NOT "
    "EXISTS ( SELECT FROM unnest($16::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE "
    "blob.tenant = $11 AND blob.ref = wanted.ref) ) ) AND ($9::bigint = 0 OR session.leaf_pos = session.tail_pos "
    "OR EXISTS ( SELECT FROM session AS seen WHERE seen.key = session.key AND seen.revision = $14 )) RETURNING "
    "session.key, session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), "
    "begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, "
    "head.key, (SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $10::bytea IS NOT NULL) "
    "FROM head WHERE $9::bigint > 0 AND ((head.tail_pos - $9::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT "
    "INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT "
    "head.tail_pos - $9::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, "
    "given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $17::bytea[], "
    "$18::bytea[], $19::bigint[], $20::integer[], $21::text[], $22::bytea[], $23::bytea[] ) WITH ORDINALITY AS "
    "given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob "
    "(tenant, ref, packing, body) SELECT $11, given.ref, given.packing, given.body FROM head, "
    "unnest($24::bytea[], $25::integer[], $26::bytea[]) AS given (ref, packing, body) ON CONFLICT DO NOTHING ), "
    "noted AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, "
    "components, body ) SELECT head.key << 32 | head.revision, head.key, $27, $28, $1, $2::bytea, $3, $4, $5, $29 "
    "FROM head ), consumed AS ( DELETE FROM entry USING head, stream, unnest($30::text[], $31::bigint[]) AS given "
    "(name, upto) WHERE stream.session = head.key AND stream.name = given.name AND entry.pos BETWEEN stream.key "
    "<< 32 AND stream.key << 32 | least(given.upto, stream.last) ) SELECT head.revision FROM head"
)

#: epoch, leaf, open_turn, committed_at, components, state, labels, behind_leaf, count, parent,
#: tenant, session_id, incarnation, expected, known, wanted, node_ids, parents, timestamps, hidden,
#: kinds, refs, payloads, blobs, packings, bodies, commit_id, digest, record, streams, uptos,
#: label_names, label_values
COMMIT_CONSUMING_LABELLING = (
    "WITH head AS ( UPDATE session SET revision = session.revision + 1, epoch = $1, leaf = $2, open_turn = $3, "
    "updated_at = $4, stored_at = greatest(session.stored_at, (extract(epoch FROM clock_timestamp()) * "
    "1000000)::bigint), components = $5, state = $6, labels = coalesce($7, session.labels), (tail_pos, leaf_pos) "
    "= ( SELECT tail.pos, CASE WHEN $2::bytea IS NULL THEN NULL WHEN $8::bigint IS NULL THEN session.leaf_pos "
    "ELSE tail.pos - $8::bigint END FROM ( SELECT CASE WHEN $9::bigint = 0 THEN session.tail_pos WHEN "
    "session.leaf_pos = session.tail_pos AND session.leaf = $10::bytea THEN session.tail_pos + $9::bigint ELSE "
    "(nextval('segment_segment_seq') << 32) + $9::bigint - 1 END AS pos ) AS tail ) WHERE session.tenant = $11 "
    "AND session.session_id = $12 AND session.incarnation = $13 AND session.revision = $14 AND session.epoch <= "
    "$1 AND ($10::bytea IS NULL OR (session.leaf = $10::bytea AND session.leaf_pos IS NOT NULL)) AND ($2::bytea "
    "IS NULL OR $8::bigint IS NOT NULL OR session.leaf = $2::bytea) AND (session.components = $5 AND $15 OR NOT "
    "EXISTS ( SELECT FROM unnest($16::bytea[]) AS wanted (ref) WHERE NOT EXISTS (SELECT FROM blob WHERE "
    "blob.tenant = $11 AND blob.ref = wanted.ref) ) ) AND ($9::bigint = 0 OR session.leaf_pos = session.tail_pos "
    "OR EXISTS ( SELECT FROM session AS seen WHERE seen.key = session.key AND seen.revision = $14 )) RETURNING "
    "session.key, session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id ), "
    "begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos >> 32, head.graph, "
    "head.key, (SELECT session.leaf_pos FROM session WHERE session.key = head.key AND $10::bytea IS NOT NULL) "
    "FROM head WHERE $9::bigint > 0 AND ((head.tail_pos - $9::bigint + 1) & 4294967295) = 0 ), added AS ( INSERT "
    "INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload) SELECT "
    "head.tail_pos - $9::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at, "
    "given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM head, unnest( $17::bytea[], "
    "$18::bytea[], $19::bigint[], $20::integer[], $21::text[], $22::bytea[], $23::bytea[] ) WITH ORDINALITY AS "
    "given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT INTO blob "
    "(tenant, ref, packing, body) SELECT $11, given.ref, given.packing, given.body FROM head, "
    "unnest($24::bytea[], $25::integer[], $26::bytea[]) AS given (ref, packing, body) ON CONFLICT DO NOTHING ), "
    "noted AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, "
    "components, body ) SELECT head.key << 32 | head.revision, head.key, $27, $28, $1, $2::bytea, $3, $4, $5, $29 "
    "FROM head ), consumed AS ( DELETE FROM entry USING head, stream, unnest($30::text[], $31::bigint[]) AS given "
    "(name, upto) WHERE stream.session = head.key AND stream.name = given.name AND entry.pos BETWEEN stream.key "
    "<< 32 AND stream.key << 32 | least(given.upto, stream.last) ), unlabelled AS ( DELETE FROM label USING head "
    "WHERE label.session = head.key AND NOT EXISTS ( SELECT FROM unnest($32::text[], $33::text[]) AS given (name, "
    "value) WHERE given.name = label.name AND given.value = label.value ) ), labelled AS ( INSERT INTO label "
    "(tenant, name, value, session_id, session) SELECT $11, given.name, given.value, head.session_id, head.key "
    "FROM head, unnest($32::text[], $33::text[]) AS given (name, value) ON CONFLICT DO NOTHING ) SELECT "
    "head.revision FROM head"
)

#: tenant, fork_session, fork_leaf, count, session_id, incarnation, epoch, forks, parent, leaf,
#: behind_leaf, wanted, open_turn, committed_at, labels, components, state, node_ids, parents,
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
    "state ) SELECT fresh.key, $1, $5, $6, fresh.graph, $10::bytea, CASE WHEN $10::bytea IS NULL THEN NULL WHEN "
    "$11::bigint IS NULL THEN (SELECT pos FROM place) ELSE fresh.tail_pos - $11::bigint END, fresh.tail_pos, 1, "
    "$7, $13, $14, $14, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce($15, '{}'), $16, $17 "
    "FROM fresh RETURNING session.key, session.graph, session.tail_pos, session.stored_at, session.revision, "
    "session.session_id ), begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos "
    ">> 32, head.graph, head.key, (SELECT pos FROM place WHERE $9::bytea IS NOT NULL) FROM head WHERE $4::bigint "
    "> 0 ), added AS ( INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, "
    "payload) SELECT head.tail_pos - $4::bigint + given.number, head.graph, given.node_id, given.parent, "
    "head.stored_at, given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM head, unnest( "
    "$18::bytea[], $19::bytea[], $20::bigint[], $21::integer[], $22::text[], $23::bytea[], $24::bytea[] ) WITH "
    "ORDINALITY AS given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT "
    "INTO blob (tenant, ref, packing, body) SELECT $1, given.ref, given.packing, given.body FROM head, "
    "unnest($25::bytea[], $26::integer[], $27::bytea[]) AS given (ref, packing, body) ON CONFLICT DO NOTHING ), "
    "noted AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, "
    "components, body ) SELECT head.key << 32 | head.revision, head.key, $28, $29, $7, $10::bytea, $13, $14, $16, "
    "$30 FROM head ) SELECT head.revision FROM head"
)

#: tenant, fork_session, fork_leaf, count, session_id, incarnation, epoch, forks, parent, leaf,
#: behind_leaf, wanted, open_turn, committed_at, labels, components, state, node_ids, parents,
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
    "state ) SELECT fresh.key, $1, $5, $6, fresh.graph, $10::bytea, CASE WHEN $10::bytea IS NULL THEN NULL WHEN "
    "$11::bigint IS NULL THEN (SELECT pos FROM place) ELSE fresh.tail_pos - $11::bigint END, fresh.tail_pos, 1, "
    "$7, $13, $14, $14, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce($15, '{}'), $16, $17 "
    "FROM fresh RETURNING session.key, session.graph, session.tail_pos, session.stored_at, session.revision, "
    "session.session_id ), begun AS ( INSERT INTO segment (segment, graph, owner, fork_pos) SELECT head.tail_pos "
    ">> 32, head.graph, head.key, (SELECT pos FROM place WHERE $9::bytea IS NOT NULL) FROM head WHERE $4::bigint "
    "> 0 ), added AS ( INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, "
    "payload) SELECT head.tail_pos - $4::bigint + given.number, head.graph, given.node_id, given.parent, "
    "head.stored_at, given.timestamp, given.hidden, given.kind, given.refs, given.payload FROM head, unnest( "
    "$18::bytea[], $19::bytea[], $20::bigint[], $21::integer[], $22::text[], $23::bytea[], $24::bytea[] ) WITH "
    "ORDINALITY AS given (node_id, parent, timestamp, hidden, kind, refs, payload, number) ), kept AS ( INSERT "
    "INTO blob (tenant, ref, packing, body) SELECT $1, given.ref, given.packing, given.body FROM head, "
    "unnest($25::bytea[], $26::integer[], $27::bytea[]) AS given (ref, packing, body) ON CONFLICT DO NOTHING ), "
    "noted AS ( INSERT INTO record ( key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, "
    "components, body ) SELECT head.key << 32 | head.revision, head.key, $28, $29, $7, $10::bytea, $13, $14, $16, "
    "$30 FROM head ), unlabelled AS ( DELETE FROM label USING head WHERE label.session = head.key AND NOT EXISTS "
    "( SELECT FROM unnest($31::text[], $32::text[]) AS given (name, value) WHERE given.name = label.name AND "
    "given.value = label.value ) ), labelled AS ( INSERT INTO label (tenant, name, value, session_id, session) "
    "SELECT $1, given.name, given.value, head.session_id, head.key FROM head, unnest($31::text[], $32::text[]) AS "
    "given (name, value) ON CONFLICT DO NOTHING ) SELECT head.revision FROM head"
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
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "behind_leaf",
        "count", "parent", "tenant", "session_id", "incarnation", "expected", "known", "wanted", "node_ids",
        "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs", "packings", "bodies",
        "commit_id", "digest", "record",
    ),
    "COMMIT_LABELLING": (
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "behind_leaf",
        "count", "parent", "tenant", "session_id", "incarnation", "expected", "known", "wanted", "node_ids",
        "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs", "packings", "bodies",
        "commit_id", "digest", "record", "label_names", "label_values",
    ),
    "COMMIT_CONSUMING": (
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "behind_leaf",
        "count", "parent", "tenant", "session_id", "incarnation", "expected", "known", "wanted", "node_ids",
        "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs", "packings", "bodies",
        "commit_id", "digest", "record", "streams", "uptos",
    ),
    "COMMIT_CONSUMING_LABELLING": (
        "epoch", "leaf", "open_turn", "committed_at", "components", "state", "labels", "behind_leaf",
        "count", "parent", "tenant", "session_id", "incarnation", "expected", "known", "wanted", "node_ids",
        "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs", "packings", "bodies",
        "commit_id", "digest", "record", "streams", "uptos", "label_names", "label_values",
    ),
    "FIRST_COMMIT": (
        "tenant", "fork_session", "fork_leaf", "count", "session_id", "incarnation", "epoch", "forks",
        "parent", "leaf", "behind_leaf", "wanted", "open_turn", "committed_at", "labels", "components",
        "state", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
        "packings", "bodies", "commit_id", "digest", "record",
    ),
    "FIRST_COMMIT_LABELLING": (
        "tenant", "fork_session", "fork_leaf", "count", "session_id", "incarnation", "epoch", "forks",
        "parent", "leaf", "behind_leaf", "wanted", "open_turn", "committed_at", "labels", "components",
        "state", "node_ids", "parents", "timestamps", "hidden", "kinds", "refs", "payloads", "blobs",
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
    "NOT NULL, packing INTEGER NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (key), UNIQUE (tenant, ref) )",
    'CREATE TABLE lease ( key BIGINT GENERATED BY DEFAULT AS IDENTITY, tenant TEXT COLLATE "C" NOT NULL, '
    'session_id TEXT COLLATE "C" NOT NULL, epoch BIGINT NOT NULL, expires_at BIGINT NOT NULL, holder TEXT COLLATE '
    '"C", PRIMARY KEY (key), UNIQUE (tenant, session_id) )',
    "CREATE TABLE node ( pos BIGINT NOT NULL, graph BIGINT NOT NULL, node_id BYTEA NOT NULL, parent BYTEA, "
    'stored_at BIGINT NOT NULL, timestamp BIGINT NOT NULL, hidden INTEGER NOT NULL, kind TEXT COLLATE "C" NOT '
    "NULL, refs BYTEA, payload BYTEA NOT NULL, PRIMARY KEY (pos), UNIQUE (graph, node_id) )",
    "CREATE TABLE segment ( segment BIGINT GENERATED BY DEFAULT AS IDENTITY, graph BIGINT NOT NULL, owner BIGINT "
    "NOT NULL, fork_pos BIGINT, PRIMARY KEY (segment) )",
    "CREATE INDEX ix_segment_graph ON segment (graph)",
    'CREATE TABLE session ( key BIGINT GENERATED BY DEFAULT AS IDENTITY, tenant TEXT COLLATE "C" NOT NULL, '
    'session_id TEXT COLLATE "C" NOT NULL, incarnation BYTEA NOT NULL, graph BIGINT NOT NULL, leaf BYTEA, '
    "leaf_pos BIGINT, tail_pos BIGINT, revision INTEGER NOT NULL, epoch BIGINT NOT NULL, open_turn TEXT COLLATE "
    '"C", created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, stored_at BIGINT NOT NULL, labels TEXT COLLATE '
    '"C" NOT NULL, components TEXT COLLATE "C" NOT NULL, state BYTEA NOT NULL, PRIMARY KEY (key), UNIQUE (tenant, '
    "session_id) ) WITH (fillfactor = 70)",
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

"""The statements that only PostgreSQL has, written by hand: a whole commit, or a whole lease, in one round trip.

Nothing imports this module at run time: `lash_store_sql.generate` numbers the parameters (``:name`` becomes ``$n``)
and writes the result beside what it makes of the declaration.

A commit is one statement. Its head, an UPDATE or an INSERT of one row, decides: where it finds something other than
it expects it gives no row, and the other parts, which all read from it, change nothing. Under READ COMMITTED the
UPDATE waits for whoever holds the row and then looks again, so it is the compare-and-swap.

The subqueries see what was there when the statement began. Where one asks for the session's own leaf, ``seen`` makes
sure that this is still the row that the UPDATE found.

A head whose components cannot be read is not written over either (S9): the cast to ``json`` fails.

What is not the plain case (a branch, a move of the leaf elsewhere, several runs of nodes) gives no row either:
places of other sessions' nodes are looked up under locks, in `lash_store_sql.committing`.
"""

from __future__ import annotations

from lash_store_sql.blobs import REFRESH

__all__ = ["TEMPLATES"]

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

#: Microseconds for which it is not noted again that a blob is needed; see `lash_store_sql.blobs`.
_REFRESH = REFRESH * 1_000_000

_BLOBS_ARE_THERE = """
    NOT EXISTS (
        SELECT FROM unnest(:wanted::bytea[]) AS wanted (ref)
        WHERE NOT EXISTS (SELECT FROM blob WHERE blob.tenant = :tenant AND blob.ref = wanted.ref)
    )
"""

#: The session is there and as expected; its nodes go behind its leaf, in place where that is the segment's end.
_MOVED = f"""
head AS (
    UPDATE session SET
        revision = session.revision + 1, epoch = :epoch, leaf = :leaf, open_turn = :open_turn,
        updated_at = :committed_at, stored_at = greatest(session.stored_at, {_NOW}),
        components = :components, state = :state, labels = coalesce(:labels, session.labels),
        ttl = CASE WHEN :sets_ttl THEN :ttl ELSE session.ttl END,
        (tail_pos, leaf_pos) = (
            SELECT tail.pos, CASE
                WHEN :leaf::bytea IS NULL THEN NULL
                WHEN :behind_leaf::bigint IS NULL THEN session.leaf_pos
                ELSE tail.pos - :behind_leaf::bigint
            END
            FROM (
                SELECT CASE
                    WHEN :count::bigint = 0 THEN session.tail_pos
                    WHEN session.leaf_pos = session.tail_pos AND session.leaf = :parent::bytea
                        THEN session.tail_pos + :count::bigint
                    ELSE (nextval('segment_segment_seq') << 32) + :count::bigint - 1
                END AS pos
            ) AS tail
        )
    WHERE session.tenant = :tenant AND session.session_id = :session_id
        AND session.incarnation = :incarnation AND session.revision = :expected AND session.epoch <= :epoch
        AND session.components::json IS NOT NULL
        AND (:parent::bytea IS NULL OR (session.leaf = :parent::bytea AND session.leaf_pos IS NOT NULL))
        AND (:leaf::bytea IS NULL OR :behind_leaf::bigint IS NOT NULL OR session.leaf = :leaf::bytea)
        AND (session.components = :components AND :known OR {_BLOBS_ARE_THERE})
        AND (:count::bigint = 0 OR session.leaf_pos = session.tail_pos OR EXISTS (
            SELECT FROM session AS seen WHERE seen.key = session.key AND seen.revision = :expected
        ))
    RETURNING session.key, session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id
),
begun AS (
    INSERT INTO segment (segment, graph, owner, fork_pos)
    SELECT head.tail_pos >> 32, head.graph, head.key,
        (SELECT session.leaf_pos FROM session WHERE session.key = head.key AND :parent::bytea IS NOT NULL)
    FROM head
    WHERE :count::bigint > 0 AND ((head.tail_pos - :count::bigint + 1) & 4294967295) = 0
)"""

#: There is no session of the name: the commit is its first, perhaps a fork.
_BEGUN = f"""
source AS (
    SELECT session.graph FROM session
    WHERE session.tenant = :tenant AND session.session_id = :fork_session
),
place AS (
    SELECT node.pos FROM node JOIN source ON node.graph = source.graph WHERE node.node_id = :fork_leaf::bytea
),
fresh AS MATERIALIZED (
    SELECT own.key, coalesce((SELECT graph FROM source), own.key) AS graph,
        CASE WHEN :count::bigint > 0 THEN (nextval('segment_segment_seq') << 32) + :count::bigint - 1 END AS tail_pos
    FROM (SELECT nextval('session_key_seq') AS key) AS own
    WHERE NOT EXISTS (
            SELECT FROM session WHERE session.tenant = :tenant AND session.session_id = :session_id
        ) AND NOT EXISTS (
            SELECT FROM tombstone WHERE tombstone.tenant = :tenant AND tombstone.session_id = :session_id
                AND tombstone.incarnation = :incarnation
        ) AND NOT EXISTS (
            SELECT FROM lease WHERE lease.tenant = :tenant AND lease.session_id = :session_id AND lease.epoch > :epoch
        )
        AND (NOT :forks OR EXISTS (SELECT FROM source))
        AND (:fork_leaf::bytea IS NULL OR EXISTS (SELECT FROM place))
        AND (:parent::bytea IS NULL OR :parent::bytea = :fork_leaf::bytea)
        AND (:leaf::bytea IS NULL OR :behind_leaf::bigint IS NOT NULL OR :leaf::bytea = :fork_leaf::bytea)
        AND {_BLOBS_ARE_THERE}
),
head AS (
    INSERT INTO session (
        key, tenant, session_id, incarnation, graph, leaf, leaf_pos, tail_pos, revision, epoch, open_turn,
        created_at, updated_at, stored_at, labels, components, state, ttl
    )
    SELECT fresh.key, :tenant, :session_id, :incarnation, fresh.graph, :leaf::bytea,
        CASE
            WHEN :leaf::bytea IS NULL THEN NULL
            WHEN :behind_leaf::bigint IS NULL THEN (SELECT pos FROM place)
            ELSE fresh.tail_pos - :behind_leaf::bigint
        END,
        fresh.tail_pos, 1, :epoch, :open_turn, :committed_at, :committed_at, {_NOW},
        coalesce(:labels, '{{}}'), :components, :state, :ttl
    FROM fresh
    RETURNING session.key, session.graph, session.tail_pos, session.stored_at, session.revision, session.session_id
),
begun AS (
    INSERT INTO segment (segment, graph, owner, fork_pos)
    SELECT head.tail_pos >> 32, head.graph, head.key, (SELECT pos FROM place WHERE :parent::bytea IS NOT NULL)
    FROM head WHERE :count::bigint > 0
)"""

_REST = f""",
added AS (
    INSERT INTO node (pos, graph, node_id, parent, stored_at, timestamp, hidden, kind, refs, payload)
    SELECT head.tail_pos - :count::bigint + given.number, head.graph, given.node_id, given.parent, head.stored_at,
        given.timestamp, given.hidden, given.kind, given.refs, given.payload
    FROM head, unnest(
        :node_ids::bytea[], :parents::bytea[], :timestamps::bigint[], :hidden::bigint[], :kinds::text[],
        :refs::bytea[], :payloads::bytea[]
    ) WITH ORDINALITY AS given (node_id, parent, timestamp, hidden, kind, refs, payload, number)
),
kept AS (
    INSERT INTO blob (tenant, ref, packing, body, stored_at)
    SELECT :tenant, given.ref, given.packing, given.body, {_NOW}
    FROM head, unnest(:blobs::bytea[], :packings::bigint[], :bodies::bytea[]) AS given (ref, packing, body)
    ON CONFLICT (tenant, ref) DO UPDATE SET stored_at = excluded.stored_at
        WHERE coalesce(blob.stored_at, 0) < excluded.stored_at - {_REFRESH}
),
stale AS MATERIALIZED (
    SELECT blob.key FROM head, blob
    WHERE blob.tenant = :tenant AND blob.ref = ANY (:wanted::bytea[])
        AND coalesce(blob.stored_at, 0) < {_NOW} - {_REFRESH}
),
touched AS (
    UPDATE blob SET stored_at = {_NOW} FROM stale WHERE blob.key = stale.key RETURNING blob.key
),
noted AS (
    INSERT INTO record (
        key, session, commit_id, digest, epoch, leaf, open_turn, committed_at, components, body
    )
    SELECT head.key << 32 | head.revision, head.key, :commit_id, :digest, :epoch, :leaf::bytea, :open_turn,
        :committed_at, :components, :record
    FROM head
)"""

_CONSUMED = """,
consumed AS (
    DELETE FROM entry
    USING head, stream, unnest(:streams::text[], :uptos::bigint[]) AS given (name, upto)
    WHERE stream.session = head.key AND stream.name = given.name
        AND entry.pos BETWEEN stream.key << 32 AND stream.key << 32 | least(given.upto, stream.last)
)"""

_LABELLED = """,
unlabelled AS (
    DELETE FROM label USING head
    WHERE label.session = head.key AND NOT EXISTS (
        SELECT FROM unnest(:label_names::text[], :label_values::text[]) AS given (name, value)
        WHERE given.name = label.name AND given.value = label.value
    )
),
labelled AS (
    INSERT INTO label (tenant, name, value, session_id, session)
    SELECT :tenant, given.name, given.value, head.session_id, head.key
    FROM head, unnest(:label_names::text[], :label_values::text[]) AS given (name, value)
    ON CONFLICT DO NOTHING
)"""

#: A blob that was collected just when the commit began to need it: the statement fails, and is looked at in steps.
_RESULT = """
SELECT head.revision
    / CASE WHEN (SELECT count(*) FROM stale) = (SELECT count(*) FROM touched) THEN 1 ELSE 0 END
FROM head"""

_LIVING = "session.tenant = :tenant AND session.session_id = :session_id"
_LEASED = "lease.tenant = :tenant AND lease.session_id = :session_id"

#: Runs behind the lock of the name, in the same round trip. No row: somebody holds the lease.
_TAKE_LEASE = f"""
WITH known AS MATERIALIZED (
    SELECT {_NOW} AS now, greatest(
        (SELECT session.epoch FROM session WHERE {_LIVING}),
        (SELECT lease.epoch FROM lease WHERE {_LEASED}),
        (SELECT max(tombstone.epoch) FROM tombstone
            WHERE tombstone.tenant = :tenant AND tombstone.session_id = :session_id),
        0
    ) + 1 AS epoch
),
taken AS (
    INSERT INTO lease (tenant, session_id, epoch, expires_at, holder)
    SELECT :tenant, :session_id, known.epoch, known.now + :ttl::bigint, :holder FROM known
    ON CONFLICT (tenant, session_id) DO UPDATE
        SET epoch = excluded.epoch, expires_at = excluded.expires_at, holder = excluded.holder
        WHERE lease.holder IS NULL OR lease.expires_at <= (SELECT known.now FROM known)
            OR lease.epoch = :replacing::bigint
    RETURNING lease.epoch
),
raised AS (
    UPDATE session SET epoch = greatest(session.epoch, taken.epoch) FROM taken WHERE {_LIVING}
)
SELECT taken.epoch FROM taken
"""

#: No row: somebody else has taken the lease, or the session was deleted.
_RENEW_LEASE = f"""
UPDATE lease SET expires_at = {_NOW} + :ttl::bigint, holder = :holder
WHERE {_LEASED} AND lease.epoch = :epoch
    AND NOT EXISTS (SELECT FROM session WHERE {_LIVING} AND session.epoch > :epoch)
RETURNING lease.epoch
"""

_RELEASE_LEASE = f"UPDATE lease SET holder = NULL WHERE {_LEASED} AND lease.epoch = :epoch"

_LEASE_LEFT = f"SELECT lease.epoch, lease.expires_at - {_NOW}, lease.holder FROM lease WHERE {_LEASED}"

#: The place that a segment begins behind, then its parent's, and so on; a number is always above its parent's.
_FORK_POSITIONS = """
WITH RECURSIVE chain (segment, fork_pos) AS (
    SELECT segment.segment, segment.fork_pos FROM segment WHERE segment.segment = :segment
    UNION ALL
    SELECT segment.segment, segment.fork_pos
    FROM chain JOIN segment ON segment.segment = chain.fork_pos >> 32
    WHERE segment.segment < chain.segment
)
SELECT chain.fork_pos FROM chain
"""

TEMPLATES = {
    **{
        f"{name}{consumes}{labels}": f"WITH {head}{_REST}{consumed}{labelled} {_RESULT}"
        for name, head in (("COMMIT", _MOVED), ("FIRST_COMMIT", _BEGUN))
        for consumes, consumed in (("", ""), ("_CONSUMING", _CONSUMED))
        for labels, labelled in (("", ""), ("_LABELLING", _LABELLED))
        if not (name == "FIRST_COMMIT" and consumes)
    },
    "TAKE_LEASE": _TAKE_LEASE,
    "RENEW_LEASE": _RENEW_LEASE,
    "RELEASE_LEASE": _RELEASE_LEASE,
    "LEASE_LEFT": _LEASE_LEFT,
    "FORK_POSITIONS": _FORK_POSITIONS,
    "NOW": "SELECT extract(epoch FROM clock_timestamp())::float8",
    #: Waits until nobody removes nodes of the graph that a session shares.
    "GUARD_SOURCE": """
        SELECT pg_advisory_xact_lock_shared(:family::integer, session.graph::integer) FROM session
        WHERE session.tenant = :tenant AND session.session_id = :session_id
    """,
}

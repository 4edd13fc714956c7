"""What becomes of a turn's tail when somebody else committed first (T7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

from lash_hookspecs.errors import ConfigurationError, ConflictBranched, HeadRevisionConflict, LashError, WriterFenced
from lash_hookspecs.records.events import TailKept
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import kind_of, refs_of
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.store import Commit, Head, Writer
from lash_hookspecs.records.usage import UsageRow, merge_ledger

from lash_core.runtime.child_usage import report
from lash_core.runtime.resident import KEPT, read_document
from lash_core.runtime.rewriting import new_node_id

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession
    from lash_core.runtime.turn_run import Tail, TurnRun

__all__ = ["CONFLICTS", "ConflictPolicy", "check_conflict_policy", "kept_as_branch"]

#: ``raise`` gives the tail up; ``branch`` keeps it beside the winner's path.
ConflictPolicy = Literal["raise", "branch"]

#: What ends a turn because somebody else committed first, or took the session over.
CONFLICTS = (HeadRevisionConflict, WriterFenced)

#: Commits of others that may come between before the tail is given up.
_TRIES = 50


def check_conflict_policy(policy: str) -> ConflictPolicy:
    """Read what a caller wants of a conflict.

    Raises:
        ConfigurationError: There is no such policy.
    """
    if policy in get_args(ConflictPolicy):
        return cast(ConflictPolicy, policy)
    if policy == "queue":
        raise ConfigurationError(
            "on_conflict='queue' needs input that waits for the next turn, which this version has not: use 'raise' or "
            "'branch'"
        )
    raise ConfigurationError(f"on_conflict cannot be {policy!r}: it must be 'raise' or 'branch'")


async def kept_as_branch(session: OpenSession, run: TurnRun, conflict: LashError) -> LashError:
    """Commit what a turn had made since its last commit beside the winner's path, which stays as it is.

    The commit carries the epoch that it finds and moves neither leaf nor components, so whoever works on the session
    goes on behind it (`ResidentSession.commit`).

    Returns:
        The error to raise: `ConflictBranched`, or the conflict itself when there is nothing to keep, or nowhere.

    Raises:
        StoreError: The store cannot take it.
    """
    tail, base = run.tail(), session.resident.graph.leaf
    if not tail.payloads:
        return conflict
    nodes = _nodes(session, tail, base)
    usage = session.resident.release_turn_usage() or tail.usage
    reported = await report(session, _commit_id(nodes), usage)
    for attempt in range(_TRIES):
        head = await session.store.head()
        if not isinstance(head, Head) or head.incarnation != session.resident.writer.incarnation:
            return conflict
        try:
            await session.store.commit(_beside(session, run, head, nodes, usage))
        except CONFLICTS:
            await session.env.sleep(0.001 * 2 ** min(attempt, 5))
            continue
        reported.tell()
        await session.refresh()
        return ConflictBranched(session_id=session.session_id, leaf=nodes[-1].node_id, conflict=conflict)
    return conflict


def _nodes(session: OpenSession, tail: Tail, base: str | None) -> tuple[Node, ...]:
    """Make nodes with ids of their own: whoever continues the turn makes those that the turn would have made."""
    now, parent, nodes = session.env.clock(), base, []
    for payload in tail.payloads:
        node_id = new_node_id(session)
        nodes.append(Node(node_id, parent, now, kind_of(payload), payload.to_bytes(), refs=refs_of(payload)))
        parent = node_id
    return tuple(nodes)


def _beside(
    session: OpenSession, run: TurnRun, head: Head, nodes: tuple[Node, ...], usage: tuple[UsageRow, ...]
) -> Commit:
    document = read_document(head)
    leaf = nodes[-1].node_id
    record = CommitDocument(
        step=KEPT,
        turn_id=run.turn_id,
        usage=merge_ledger((), usage),
        events=(TailKept(turn_id=run.turn_id, leaf=leaf),),
    )
    return Commit(
        session_id=session.session_id,
        commit_id=_commit_id(nodes),
        writer=Writer(head.incarnation, head.epoch),
        expected_revision=head.revision,
        leaf=head.leaf,
        state=document.evolve(usage=merge_ledger(document.usage, usage)).to_bytes(),
        record=record.to_bytes(),
        committed_at=session.env.clock(),
        nodes=nodes,
        components=head.components,
        open_turn=head.open_turn,
    )


def _commit_id(nodes: tuple[Node, ...]) -> str:
    return f"{KEPT}-{nodes[-1].node_id}"

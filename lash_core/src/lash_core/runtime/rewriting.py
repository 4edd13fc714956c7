"""A path replaced by another one: a branch; the old one stays in the graph (G1)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from lash_hookspecs.errors import ConfigurationError, PolicyError
from lash_hookspecs.records.events import HistoryRewritten
from lash_hookspecs.records.payloads import Message, Payload
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history

from lash_core.runtime.opened import OpenSession
from lash_core.runtime.policy import DEFAULT_CONTEXT_WINDOW
from lash_core.runtime.resident import Change

__all__ = ["new_node_id", "rewrite_history", "window_of"]


async def rewrite_history(
    session: OpenSession, trigger: str, instructions: str, context_window: int, keep_turns: int | None = None
) -> bool:
    """Ask the rewriters for another path and commit it, under the lease; ``False`` when nothing changes.

    Raises:
        PluginError: A rewriter failed; the path is as it was.
    """
    before = tuple(HistoryEntry(item.payload, item.node.node_id) for item in session.resident.conversation.items)
    context = HistoryRewrite(
        session=session.services,
        session_id=session.session_id,
        trigger="window_shrink" if trigger == "window_shrink" else "manual",
        instructions=instructions,
        context_window=context_window,
        entries=before,
        keep_turns=keep_turns,
    )
    after: tuple[HistoryEntry, ...] = await session.parts.hooks.transform(lash_rewrite_history, context)
    kept = _kept(before, after)
    if kept == len(before) == len(after):
        return False
    old_leaf = session.resident.graph.leaf
    branch_point = before[kept - 1].node_id if kept else None
    payloads = [(new_node_id(session), _copy(entry)) for entry in after[kept:]]
    await session.commit(
        Change(
            step="rewrite",
            document=session.document,
            leaf=branch_point,
            moves_leaf=True,
            payloads=payloads,
            events=(HistoryRewritten(trigger=trigger, kept=kept, added=len(payloads), abandoned=old_leaf),),
        )
    )
    return True


async def window_of(session: OpenSession) -> int:
    """Give the context size for a rewrite; the one that is set, or assumed, when the model cannot be used here.

    Raises:
        PolicyError: The size that is set or told cannot be.
    """
    try:
        policy = await session.policy()
    except PolicyError:
        raise
    except ConfigurationError:
        return session.config.context_window or DEFAULT_CONTEXT_WINDOW
    policy.warn_if_assumed()
    return policy.context_window


def new_node_id(session: OpenSession) -> str:
    """Make the id of a node that belongs to no turn: 32 hex digits that sort by time."""
    return f"{session.env.clock() // 1_000:012x}{secrets.token_hex(10)}"


def _kept(before: Sequence[HistoryEntry], after: Sequence[HistoryEntry]) -> int:
    kept = 0
    for old, new in zip(before, after, strict=False):
        if old.node_id != new.node_id or old.payload != new.payload:
            break
        kept += 1
    return kept


def _copy(entry: HistoryEntry) -> Payload:
    """Store a payload again: a message keeps its id, so that whoever knows it finds it again (G5)."""
    payload = entry.payload
    if isinstance(payload, Message) and entry.node_id is not None and payload.id is None:
        return payload.evolve(id=entry.node_id)
    return payload

"""A path replaced by another one: a branch; the old one stays in the graph (G1)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import Literal

from lash_hookspecs.errors import ConfigurationError, InvalidInput, PolicyError
from lash_hookspecs.records.events import HistoryRewritten
from lash_hookspecs.records.payloads import Message, Payload
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history

from lash_core.runtime.opened import OpenSession
from lash_core.runtime.policy import DEFAULT_CONTEXT_WINDOW
from lash_core.runtime.resident import Change
from lash_core.runtime.text import clean_payload

__all__ = ["Trigger", "new_node_id", "rewrite_history", "rewritten", "window_of"]

#: Why a path is rewritten; see `HistoryRewrite`.
Trigger = Literal["manual", "window_shrink"]


async def rewrite_history(
    session: OpenSession, instructions: str, context_window: int, keep_turns: int | None = None
) -> bool:
    """Ask the rewriters for another path and commit it, under the lease; ``False`` when nothing changes.

    Raises:
        PluginError: A rewriter failed; the path is as it was.
    """
    change = await rewritten(session, "manual", instructions, context_window, keep_turns)
    if change is None:
        return False
    await session.commit(change)
    return True


async def rewritten(
    session: OpenSession, trigger: Trigger, instructions: str, context_window: int, keep_turns: int | None = None
) -> Change | None:
    """Ask the rewriters for another path; the change that makes it the active one, ``None`` when nothing changes.

    Raises:
        PluginError: A rewriter failed, or its path cannot be stored or be sent to a model.
    """
    before = tuple(HistoryEntry(item.payload, item.node.node_id) for item in session.resident.conversation.items)
    if not session.parts.hooks.handles(lash_rewrite_history):
        return None
    context = HistoryRewrite(
        session=session.services,
        session_id=session.session_id,
        trigger=trigger,
        instructions=instructions,
        context_window=context_window,
        entries=before,
        keep_turns=keep_turns,
    )
    after = await session.parts.hooks.transform(lash_rewrite_history, context, partial(_wrong, before))
    kept = _kept(before, after)
    if kept == len(before) == len(after):
        return None
    payloads = [(new_node_id(session), clean_payload(_copy(entry))) for entry in after[kept:]]
    return Change(
        step="rewrite",
        document=session.document,
        leaf=before[kept - 1].node_id if kept else None,
        moves_leaf=True,
        payloads=payloads,
        events=(
            HistoryRewritten(trigger=trigger, kept=kept, added=len(payloads), abandoned=session.resident.graph.leaf),
        ),
    )


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


def _wrong(before: Sequence[HistoryEntry], after: Sequence[HistoryEntry]) -> str:
    try:
        for entry in after[_kept(before, after) :]:
            clean_payload(_copy(entry))
    except InvalidInput as error:
        return f"made a history that is refused: {error}"
    return ""


def _copy(entry: HistoryEntry) -> Payload:
    """Store a payload again: a message keeps its id, so that whoever knows it finds it again (G5)."""
    payload = entry.payload
    if isinstance(payload, Message) and entry.node_id is not None and payload.id is None:
        return payload.evolve(id=entry.node_id)
    return payload

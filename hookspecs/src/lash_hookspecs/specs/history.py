"""Hooks on what a model is shown of the past.

Preparing makes a view for one model call and stores nothing. Rewriting makes a new path: the old one stays in the
graph as a branch, and no node is ever changed (G1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import transform

if TYPE_CHECKING:
    from typing import Literal

    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.models import ModelMessage
    from lash_hookspecs.records.payloads import Payload

__all__ = ["HistoryEntry", "HistoryPrepared", "HistoryRewrite", "lash_prepare_history", "lash_rewrite_history"]


@attrs.frozen(kw_only=True)
class HistoryPrepared:
    """A model is about to be asked.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn; empty outside one.
        context_window: Tokens that the model can take.
        messages: What it will be shown; provider-valid.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    context_window: int
    messages: tuple[ModelMessage, ...]


@attrs.frozen
class HistoryEntry:
    """One place on a path.

    Attributes:
        payload: What stands there.
        node_id: The stored node; ``None`` for an entry that a rewriter made.
    """

    payload: Payload
    node_id: str | None = None


@attrs.frozen(kw_only=True)
class HistoryRewrite:
    """The path may be replaced by another one.

    Attributes:
        session: The session.
        session_id: Its id.
        trigger: ``manual`` when somebody asked, ``window_shrink`` when the context window became smaller.
        instructions: What whoever asked wants, in words; may be empty.
        context_window: Tokens that the model can take.
        entries: The path as plugins before this one want it, root first.
        keep_turns: How many of the last turns are to stay as they are; ``None`` leaves it to the rewriter.
    """

    session: SessionServices
    session_id: str
    trigger: Literal["manual", "window_shrink"]
    instructions: str
    context_window: int
    entries: tuple[HistoryEntry, ...]
    keep_turns: int | None = None


@transform("messages", result=tuple, items="lash_hookspecs.records.models:ModelMessage", since="0.1", deadline=30.0)
async def lash_prepare_history(context: HistoryPrepared) -> tuple[ModelMessage, ...]:
    """Called before each model call of a turn; gives what that call shows, and stores nothing.

    The result must be provider-valid: each call answered once, right behind the message that made it. One that is not
    is refused like an error, which ends the turn as ``failed`` (``plugin_error``).

    Example::

        @implements(lash_prepare_history)
        async def last_ten(context: HistoryPrepared) -> tuple[ModelMessage, ...]:
            users = [at for at, message in enumerate(context.messages) if message.role == "user"]
            return context.messages[users[-10] :] if len(users) > 10 else context.messages
    """
    raise AssertionError("a specification is never called")


@transform("entries", result=tuple, items=HistoryEntry, since="0.1", deadline=300.0)
async def lash_rewrite_history(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
    """Called when a path may be rewritten; the entries that come back become the new path.

    Entries at the beginning that are as before keep their nodes; from the first other one on, all are appended as a
    new branch. A message that is kept behind it is stored again under its own id (``Message.id``). An error leaves
    the path as it is.

    Example::

        @implements(lash_rewrite_history)
        async def forget_tools(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
            return tuple(entry for entry in context.entries if isinstance(entry.payload, Message))
    """
    raise AssertionError("a specification is never called")

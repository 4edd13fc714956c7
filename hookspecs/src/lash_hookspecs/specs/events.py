"""Hooks that are told what happened. All are ``observe`` hooks: async, isolated, in no order.

An observer's error is logged with the plugin's name and goes no further. Each is called at most once per event; the
at-least-once door is the stored events of a session (T11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import observe

if TYPE_CHECKING:
    from lash_hookspecs.records.store import Receipt
    from lash_hookspecs.records.turn import TurnEnd, TurnResult

__all__ = [
    "SessionRestored",
    "TurnCommitted",
    "TurnFinalized",
    "lash_on_session_restored",
    "lash_on_turn_committed",
    "lash_on_turn_finalized",
]


@attrs.frozen(kw_only=True)
class SessionRestored:
    """A runtime was built for a session.

    Attributes:
        session_id: The session.
        revision: Its stored revision; ``None`` when it was never committed.
        turn_index: Turns begun so far.
        interrupted: Whether a turn is unfinished and nobody works on it (L14).
    """

    session_id: str
    revision: int | None
    turn_index: int
    interrupted: bool


@attrs.frozen(kw_only=True)
class TurnFinalized:
    """A turn has its outcome, which is not durable yet.

    Attributes:
        session_id: The session.
        turn_id: The turn.
        turn_index: Its number, from 1.
        end: How it ended.
    """

    session_id: str
    turn_id: str
    turn_index: int
    end: TurnEnd


@attrs.frozen(kw_only=True)
class TurnCommitted:
    """A turn's final commit is durable.

    Attributes:
        session_id: The session.
        turn_id: The turn.
        result: What the caller gets.
        receipt: The store's receipt.
    """

    session_id: str
    turn_id: str
    result: TurnResult
    receipt: Receipt


@observe(since="0.1")
async def lash_on_session_restored(context: SessionRestored) -> None:
    """Called at the end of every opening of a session, a new one's included.

    Example::

        @implements(lash_on_session_restored)
        async def restored(context: SessionRestored) -> None:
            print(context.session_id, context.revision)
    """


@observe(since="0.1")
async def lash_on_turn_finalized(context: TurnFinalized) -> None:
    """Called before the final commit of a turn (T11).

    Example::

        @implements(lash_on_turn_finalized)
        async def finalized(context: TurnFinalized) -> None:
            print(context.end.outcome)
    """


@observe(since="0.1")
async def lash_on_turn_committed(context: TurnCommitted) -> None:
    """Called after the final commit of a turn is durable (T11).

    Example::

        @implements(lash_on_turn_committed)
        async def committed(context: TurnCommitted) -> None:
            print(context.receipt.revision)
    """

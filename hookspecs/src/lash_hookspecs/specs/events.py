"""Hooks that are told what happened. All are ``observe`` hooks: async, isolated, in no order.

An observer's error is logged with the plugin's name and goes no further. Each is called at most once per event; the
at-least-once door is the stored events of a session (T11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import observe

if TYPE_CHECKING:
    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.state import SessionConfig
    from lash_hookspecs.records.store import Receipt
    from lash_hookspecs.records.turn import TurnEnd, TurnResult

__all__ = [
    "SessionClosed",
    "SessionConfigChanged",
    "SessionRestored",
    "TurnCommitted",
    "TurnFinalized",
    "TurnPhase",
    "lash_on_config_changed",
    "lash_on_session_closed",
    "lash_on_session_restored",
    "lash_on_turn_committed",
    "lash_on_turn_finalized",
    "lash_on_turn_phase",
]


@attrs.frozen(kw_only=True)
class SessionRestored:
    """A runtime was built for a session.

    Attributes:
        session_id: The session.
        revision: Its stored revision; ``None`` when it was never committed.
        turn_index: Turns begun so far.
        interrupted: Whether a turn is unfinished and nobody works on it (L14).
        session: The session.
    """

    session_id: str
    revision: int | None
    turn_index: int
    interrupted: bool
    session: SessionServices


@attrs.frozen(kw_only=True)
class TurnFinalized:
    """A turn has its outcome, which is not durable yet.

    Attributes:
        session_id: The session.
        turn_id: The turn.
        turn_index: Its number, from 1.
        end: How it ended.
        session: The session.
    """

    session_id: str
    turn_id: str
    turn_index: int
    end: TurnEnd
    session: SessionServices


@attrs.frozen(kw_only=True)
class TurnCommitted:
    """A turn's final commit is durable.

    Attributes:
        session_id: The session.
        turn_id: The turn.
        result: What the caller gets.
        receipt: The store's receipt.
        session: The session.
    """

    session_id: str
    turn_id: str
    result: TurnResult
    receipt: Receipt
    session: SessionServices


@attrs.frozen(kw_only=True)
class TurnPhase:
    """A turn reached a point on its way; for tests and probes.

    Attributes:
        session_id: The session.
        turn_id: The turn.
        phase: ``began``, ``committed``, ``model_call``, ``model_replied``, ``tool_call``, ``tool_replied``,
            ``boundary``, ``finalized``, ``ended``.
        detail: The effect's key, or the tool's name.
    """

    session_id: str
    turn_id: str
    phase: str
    detail: str = ""


@attrs.frozen(kw_only=True)
class SessionConfigChanged:
    """A session has another configuration, durably.

    Attributes:
        session_id: The session.
        previous: As it was.
        current: As it is.
        session: The session.
    """

    session_id: str
    previous: SessionConfig
    current: SessionConfig
    session: SessionServices


@attrs.frozen(kw_only=True)
class SessionClosed:
    """A runtime gave a session up.

    Attributes:
        session_id: The session.
        parked: Whether a handle was made.
    """

    session_id: str
    parked: bool


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


@observe(since="0.1")
async def lash_on_config_changed(context: SessionConfigChanged) -> None:
    """Called after a changed configuration is durable; not when nothing changed.

    Example::

        @implements(lash_on_config_changed)
        async def changed(context: SessionConfigChanged) -> None:
            print(context.previous.model, context.current.model)
    """


@observe(since="0.1")
async def lash_on_session_closed(context: SessionClosed) -> None:
    """Called when a runtime is parked or closed, once.

    Example::

        @implements(lash_on_session_closed)
        async def closed(context: SessionClosed) -> None:
            print(context.session_id, context.parked)
    """


@observe(since="0.1")
async def lash_on_turn_phase(context: TurnPhase) -> None:
    """Called at every point of a turn, and waited for: a probe for tests, not for work.

    Example::

        @implements(lash_on_turn_phase)
        async def probe(context: TurnPhase) -> None:
            print(context.phase, context.detail)
    """

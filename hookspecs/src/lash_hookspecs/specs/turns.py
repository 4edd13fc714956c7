"""Hooks at the steps of a turn.

A guard may stop a turn; a transform may put messages and nodes beside what is there already. A message of a plugin
has the role ``user`` or ``system``; it is stored like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import guard, transform

if TYPE_CHECKING:
    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.payloads import Message, PluginNode
    from lash_hookspecs.records.turn import TurnEnd, TurnInput
    from lash_hookspecs.specs.decisions import Decision

__all__ = [
    "BoundaryProposed",
    "BoundaryReached",
    "TurnAdditions",
    "TurnBegins",
    "TurnEnds",
    "TurnProposed",
    "lash_after_turn",
    "lash_at_boundary",
    "lash_before_turn",
    "lash_guard_boundary",
    "lash_guard_turn",
]


@attrs.frozen(kw_only=True)
class TurnAdditions:
    """What plugins put on the path besides what the turn itself does.

    Attributes:
        messages: For the model; of role ``user`` or ``system``.
        nodes: For plugins and apps; no model sees them.
    """

    messages: tuple[Message, ...] = ()
    nodes: tuple[PluginNode, ...] = ()

    def adding(self, *messages: Message) -> TurnAdditions:
        """Give these with more messages behind."""
        return attrs.evolve(self, messages=(*self.messages, *messages))


@attrs.frozen(kw_only=True)
class TurnProposed:
    """Somebody wants a turn; nothing is written yet.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_index: The number that the turn would have, from 1.
        input: What the user says.
    """

    session: SessionServices
    session_id: str
    turn_index: int
    input: TurnInput


@attrs.frozen(kw_only=True)
class TurnBegins:
    """A turn is about to begin: the user's message will be committed with what is added.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        turn_index: Its number, from 1.
        input: What the user says.
        additions: What plugins before this one have added; it stands behind the user's message.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    turn_index: int
    input: TurnInput
    additions: TurnAdditions


@attrs.frozen(kw_only=True)
class BoundaryProposed:
    """A turn is at a boundary: the results of a batch of tools are about to be committed.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        turn_index: Its number, from 1.
        model_calls: Model calls so far.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    turn_index: int
    model_calls: int


@attrs.frozen(kw_only=True)
class BoundaryReached:
    """A turn is at a boundary, and goes on; the next model call sees what is added.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        turn_index: Its number, from 1.
        additions: What plugins before this one have added.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    turn_index: int
    additions: TurnAdditions


@attrs.frozen(kw_only=True)
class TurnEnds:
    """A turn has its end, which its final commit makes durable together with what is added.

    Attributes:
        session: The session.
        session_id: Its id.
        turn_id: The turn.
        turn_index: Its number, from 1.
        end: How it ended.
        additions: What plugins before this one have added; the next turn's model calls see the messages.
    """

    session: SessionServices
    session_id: str
    turn_id: str
    turn_index: int
    end: TurnEnd
    additions: TurnAdditions


@guard(since="0.1")
async def lash_guard_turn(context: TurnProposed) -> Decision:
    """Called before a turn begins. A denial ends it as ``stopped`` (``denied``) and nothing is written.

    Example::

        @implements(lash_guard_turn)
        async def office_hours(context: TurnProposed) -> Decision:
            return ALLOW if is_open() else Deny("ask again in the morning")
    """
    raise AssertionError("a specification is never called")


@transform("additions", result=TurnAdditions, since="0.1")
async def lash_before_turn(context: TurnBegins) -> TurnAdditions:
    """Called once when a turn begins, before anything of it is written; not when it is continued.

    An error refuses the turn: nothing is written.

    Example::

        @implements(lash_before_turn)
        async def tell_the_date(context: TurnBegins) -> TurnAdditions:
            said = Message(role="system", parts=(TextPart(text=f"Today is {date.today()}."),))
            return context.additions.adding(said)
    """
    raise AssertionError("a specification is never called")


@guard(since="0.1")
async def lash_guard_boundary(context: BoundaryProposed) -> Decision:
    """Called at each boundary. A denial ends the turn as ``stopped`` (``denied``); what was done is committed.

    Example::

        @implements(lash_guard_boundary)
        async def spend_little(context: BoundaryProposed) -> Decision:
            return ALLOW if context.model_calls < 5 else Deny("five calls must do")
    """
    raise AssertionError("a specification is never called")


@transform("additions", result=TurnAdditions, since="0.1")
async def lash_at_boundary(context: BoundaryReached) -> TurnAdditions:
    """Called at each boundary that no guard has denied; what is added is committed with it.

    An error ends the turn as ``failed`` (``plugin_error``); what was done is committed.

    Example::

        @implements(lash_at_boundary)
        async def remind(context: BoundaryReached) -> TurnAdditions:
            hint = Message(role="user", parts=(TextPart(text="Remember to be brief."),))
            return context.additions.adding(hint)
    """
    raise AssertionError("a specification is never called")


@transform("additions", result=TurnAdditions, since="0.1")
async def lash_after_turn(context: TurnEnds) -> TurnAdditions:
    """Called when a turn has its end, whatever it is, before the final commit.

    An error makes a finished turn ``failed`` (``plugin_error``); what was done is committed.

    Example::

        @implements(lash_after_turn)
        async def keep_score(context: TurnEnds) -> TurnAdditions:
            node = PluginNode(plugin="score", type="turn", body={"outcome": context.end.outcome})
            return attrs.evolve(context.additions, nodes=(*context.additions.nodes, node))
    """
    raise AssertionError("a specification is never called")

"""What plugins may say at the steps of a turn (P4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.records.payloads import Payload
from lash_hookspecs.records.turn import TurnEnd, TurnInput
from lash_hookspecs.specs.turns import (
    BoundaryProposed,
    BoundaryReached,
    TurnAdditions,
    TurnBegins,
    TurnEnds,
    TurnProposed,
    lash_after_turn,
    lash_at_boundary,
    lash_before_turn,
    lash_guard_boundary,
    lash_guard_turn,
)

from lash_core.machine.turn_machine import TurnMachine
from lash_core.plugins.session_hooks import Denial
from lash_core.runtime.text import clean_payload

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["at_beginning", "at_boundary", "at_end", "may_begin"]

_NOTHING = TurnAdditions()


async def may_begin(session: OpenSession, turn_input: TurnInput, turn_index: int) -> Denial | None:
    """Ask the guards of a turn; nothing is written yet."""
    hooks = session.parts.hooks
    if not hooks.handles(lash_guard_turn):
        return None
    return await hooks.guard(
        lash_guard_turn,
        TurnProposed(session=session.services, session_id=session.session_id, turn_index=turn_index, input=turn_input),
    )


async def at_beginning(session: OpenSession, turn_input: TurnInput, turn_id: str, turn_index: int) -> TurnAdditions:
    """Give what plugins put behind the user's message.

    Raises:
        PluginError: One failed; names it.
    """
    hooks = session.parts.hooks
    if not hooks.handles(lash_before_turn):
        return _NOTHING
    return await hooks.transform(
        lash_before_turn,
        TurnBegins(
            session=session.services,
            session_id=session.session_id,
            turn_id=turn_id,
            turn_index=turn_index,
            input=turn_input,
            additions=_NOTHING,
        ),
        _wrong,
    )


async def at_boundary(session: OpenSession, machine: TurnMachine) -> tuple[Denial | None, TurnAdditions]:
    """Ask the guards of a boundary, and give what plugins add to it.

    Raises:
        PluginError: One failed; names it.
    """
    hooks = session.parts.hooks
    if hooks.handles(lash_guard_boundary):
        proposed = BoundaryProposed(
            session=session.services,
            session_id=session.session_id,
            turn_id=machine.turn_id,
            turn_index=machine.turn_index,
            model_calls=machine.model_calls,
        )
        denial = await hooks.guard(lash_guard_boundary, proposed)
        if denial is not None:
            return denial, _NOTHING
    if not hooks.handles(lash_at_boundary):
        return None, _NOTHING
    reached = BoundaryReached(
        session=session.services,
        session_id=session.session_id,
        turn_id=machine.turn_id,
        turn_index=machine.turn_index,
        additions=_NOTHING,
    )
    return None, await hooks.transform(lash_at_boundary, reached, _wrong)


async def at_end(session: OpenSession, machine: TurnMachine, end: TurnEnd) -> TurnAdditions:
    """Give what plugins add to the final commit.

    Raises:
        PluginError: One failed; names it.
    """
    hooks = session.parts.hooks
    if not hooks.handles(lash_after_turn):
        return _NOTHING
    return await hooks.transform(
        lash_after_turn,
        TurnEnds(
            session=session.services,
            session_id=session.session_id,
            turn_id=machine.turn_id,
            turn_index=machine.turn_index,
            end=end,
            additions=_NOTHING,
        ),
        _wrong,
    )


def _wrong(additions: TurnAdditions) -> str:
    """Hold what a plugin adds to what it may add: an assistant's words are the model's alone."""
    if any(message.role == "assistant" for message in additions.messages):
        return "added a message of role 'assistant'; it may be 'user' or 'system'"
    payloads: tuple[Payload, ...] = (*additions.messages, *additions.nodes)
    try:
        for payload in payloads:
            clean_payload(payload)
    except InvalidInput as error:
        return f"added what is refused: {error}"
    return ""

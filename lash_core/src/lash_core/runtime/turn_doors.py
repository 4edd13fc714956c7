"""Turns as a caller asks for them: begun, continued, abandoned, passed on to who took over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from lash_hookspecs.errors import LashError, TurnError
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult

from lash_core.runtime.conflicts import ConflictPolicy
from lash_core.runtime.handover import Wish
from lash_core.runtime.lease import HeldLease
from lash_core.runtime.listening import heard_by
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.orders import Order
from lash_core.runtime.resident import Change
from lash_core.runtime.turns import Emit, abandon, asking, begin, carry_out, continue_turn, drive, refused

__all__ = ["abandon_interrupted", "cancel", "continue_interrupted", "run_order", "run_turn"]


async def run_turn(
    session: OpenSession,
    turn_input: TurnInput,
    limits: TurnLimits,
    emit: Emit,
    *,
    resume: bool,
    files: Mapping[str, bytes] | None = None,
    on_conflict: ConflictPolicy = "raise",
) -> TurnResult | None:
    """Run a turn; ``None``, and only the interrupted one is ended, when the session was handed off.

    Raises:
        InvalidInput: An attachment is neither stored nor among the files; nothing was written.
    """
    emit = heard_by(emit)
    async with session.slot:
        await session.refuse_if_not_as_specified()
        if _is_handed_off(session):
            if session.document.open_turn is not None or session.document.successor is None:
                async with session.leased() as lease:
                    await _end_interrupted(session, lease, emit, resume, on_conflict)
                    await _link(session)
            return None
        asked = await asking(session, limits, turn_input.overrides)
        accepted = await session.files.accept(turn_input.attachments, files)
        turn_input = turn_input.evolve(attachments=tuple(part.ref for part in accepted.parts))
        denied = await refused(session, turn_input)
        if denied is not None:
            return denied
        async with session.leased() as lease:
            await _end_interrupted(session, lease, emit, resume, on_conflict)
            if _is_handed_off(session):  # the interrupted one was continued, and handed off
                return None
            run = await begin(session, turn_input, accepted, limits, asked, emit)
            return await drive(session, run, lease, limits, on_conflict)


async def continue_interrupted(session: OpenSession, emit: Emit, on_conflict: ConflictPolicy) -> TurnResult:
    """Continue the interrupted turn.

    Raises:
        TurnError: There is none, or it was begun by a version that this one cannot continue.
    """
    async with session.slot:
        await session.refuse_if_not_as_specified()
        _refuse_uninterrupted(session)
        async with session.leased() as lease:
            return await continue_turn(session, lease, heard_by(emit), on_conflict)


async def run_order(session: OpenSession, order: Order, emit: Emit, wish: asyncio.Future[Wish]) -> TurnResult | None:
    """Run a turn that another process has handed over; ``None`` when it has ended already.

    Raises:
        SessionBusy: Another worker has it.
    """
    async with session.slot:
        await session.refuse_if_not_as_specified()
        if not _is_open(session, order):
            return None
        async with session.leased(order.epoch) as lease:
            if not _is_open(session, order):
                return None
            untouched = lease is None or lease.replaced == order.epoch
            return await carry_out(session, lease, heard_by(emit), order.on_conflict, wish, untouched=untouched)


def _is_open(session: OpenSession, order: Order) -> bool:
    open_turn = session.document.open_turn
    return open_turn is not None and open_turn.turn_id == order.turn_id


async def abandon_interrupted(session: OpenSession) -> TurnResult:
    """Give the interrupted turn up.

    Raises:
        TurnError: There is none.
    """
    async with session.slot:
        await session.refuse_if_not_as_specified()
        _refuse_uninterrupted(session)
        async with session.leased():
            return await abandon(session, lambda event: None)


async def cancel(session: OpenSession) -> None:
    """Cancel the turn that runs here; returns when that is committed, or at once to what the turn itself runs."""
    slot = session.slot
    slot.cancelled = slot.taken
    if slot.is_held_here:
        if session.run is not None:
            session.run.begin_cancelling()
        return
    try:
        if session.run is not None:
            await session.run.cancel()
    except LashError:
        await slot.wait()
        raise
    await slot.wait()


def _is_handed_off(session: OpenSession) -> bool:
    return session.successor is not None


async def _link(session: OpenSession) -> None:
    """Commit that the session was handed off, if no commit says so yet."""
    if session.successor not in (None, session.document.successor):
        await session.commit(Change(step="handoff", document=session.document))


def _refuse_uninterrupted(session: OpenSession) -> None:
    if session.document.open_turn is None:
        raise TurnError(f"session {session.session_id!r} has no interrupted turn", session_id=session.session_id)


async def _end_interrupted(
    session: OpenSession, lease: HeldLease | None, emit: Emit, resume: bool, on_conflict: ConflictPolicy
) -> None:
    """Continue the interrupted turn, if there is one, or abandon it (L14)."""
    if session.document.open_turn is None:
        return
    if resume:
        await continue_turn(session, lease, emit, on_conflict)
    else:
        await abandon(session, emit)

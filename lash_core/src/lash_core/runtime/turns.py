"""How a turn of a session begins, is driven, is taken up again, and is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
from lash_hookspecs.errors import ConfigurationError, TurnError, UnreadableData
from lash_hookspecs.records.events import Event, Notice, TurnContinued, TurnStarted
from lash_hookspecs.records.payloads import Message, Payload, TextPart
from lash_hookspecs.records.turn import OpenTurn, TurnInput, TurnLimits, TurnOverrides, TurnResult

from lash_core.attachments.files import Accepted
from lash_core.graph.conversation import repair
from lash_core.machine.turn_machine import TurnContext, TurnMachine
from lash_core.runtime.asking import Asked
from lash_core.runtime.conflicts import CONFLICTS, ConflictPolicy, kept_as_branch
from lash_core.runtime.handover import Wish
from lash_core.runtime.interrupted import ABANDONED, Rebuilt, rebuild, rebuild_to_abandon
from lash_core.runtime.lease import HeldLease
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.policy import check_config
from lash_core.runtime.resident import Change
from lash_core.runtime.turn_hooks import at_beginning, may_begin
from lash_core.runtime.turn_run import TurnRun, new_turn_id

__all__ = ["Emit", "abandon", "begin", "carry_out", "continue_turn", "drive", "rebuilt_turn", "refused"]

Emit = Callable[[Event], None]


async def refused(session: OpenSession, turn_input: TurnInput) -> TurnResult | None:
    """Ask the guards of a turn; the result of one that is denied, and nothing is written."""
    turn_index = session.document.turn_index + 1
    denial = await may_begin(session, turn_input, turn_index)
    if denial is None:
        return None
    return TurnResult(
        session_id=session.session_id,
        turn_index=turn_index,
        outcome="stopped",
        reason="denied",
        message=f"{denial.plugin}: {denial.reason}",
        head_revision=session.resident.revision or 0,
    )


async def begin(
    session: OpenSession, turn_input: TurnInput, accepted: Accepted, limits: TurnLimits, asked: Asked, emit: Emit
) -> TurnRun:
    """Commit the user's message with its files; the turn is ready to be driven."""
    now = session.env.clock()
    turn_id, turn_index = new_turn_id(now), session.document.turn_index + 1
    asked = attrs.evolve(asked, turn_id=turn_id, turn_index=turn_index)
    _greet(session, asked, emit)
    added = await at_beginning(session, turn_input, turn_id, turn_index)
    machine = TurnMachine.begin(
        session.parts.mode, turn_input, turn_id, turn_index, context_of(session), limits, session.parts.session_state
    )
    machine.add((*added.messages, *added.nodes))
    message = Message(
        role="user",
        parts=(TextPart(text=turn_input.text), *accepted.parts),
        source_key=turn_input.source_key,
        turn_index=turn_index,
    )
    mended = repair(session.resident.conversation)
    payloads: list[tuple[str, Payload]] = [
        (f"{turn_id}{0xFFFF0000 + number:08x}", result) for number, result in enumerate(mended)
    ]
    payloads.append((f"{turn_id}{0:08x}", message))
    payloads.extend(machine.produced().payloads)
    started = TurnStarted(turn_id=turn_id, turn_index=turn_index)
    open_turn = OpenTurn(
        turn_id=turn_id,
        turn_index=turn_index,
        started_at=now,
        machine=machine.snapshot(),
        overrides=turn_input.overrides,
    )
    session.resident.tracer.bind(turn_id=turn_id, turn_index=turn_index).turn_started(asked.policy.config, turn_input)
    document = session.document.evolve(
        config=session.config, turn_index=turn_index, open_turn=open_turn, first_input=None
    )
    await session.files.store_outside(accepted)
    await session.commit(
        Change(step="input", document=document, payloads=payloads, events=(started,), blobs=accepted.blobs)
    )
    emit(started)
    run = _turn_run(session, Rebuilt(machine, journaled=0, unknown_calls=0), asked, emit, now)
    await run.began()
    return run


async def drive(
    session: OpenSession,
    run: TurnRun,
    lease: HeldLease | None,
    limits: TurnLimits,
    on_conflict: ConflictPolicy,
    wish: asyncio.Future[Wish] | None = None,
) -> TurnResult:
    """Let the host run a turn to its end.

    Args:
        session: The session.
        run: The turn.
        lease: What it writes under.
        limits: How long it may take.
        on_conflict: What becomes of its tail when somebody else commits first.
        wish: Comes when somebody in another process wants it to end.

    Raises:
        ConflictBranched: Somebody else committed first, and what the turn had made is kept, as ``on_conflict`` says.
        TurnError: The host gave it up; it is interrupted, or failed, as the environment's termination policy says.
    """
    session.run, run.lease, run.on_conflict = run, lease, on_conflict
    if lease is not None:
        lease.keep(run.fail)
    enders = [asyncio.create_task(_stop_after(run, limits.seconds))] if limits.seconds else []
    if wish is not None:
        enders.append(asyncio.create_task(_stop_at(run, wish)))
    try:
        await run.settle()
        if session.slot.cancelled:
            await run.cancel()
        if not run.done:
            await session.env.host.run_turn(run)
        if run.result is None and session.env.termination.unfinished == "failed":
            await run.stop("failed", "host_error", f"host {session.env.host.name!r} gave the turn up")
    except CONFLICTS as conflict:
        if on_conflict == "branch" and conflict is not run.worker_error:  # that one has kept what there was to keep
            raise await kept_as_branch(session, run, conflict) from conflict
        raise
    finally:
        session.run = None
        for ender in enders:
            ender.cancel()
        await asyncio.gather(*enders, return_exceptions=True)
    if run.result is None:
        raise TurnError(
            f"host {session.env.host.name!r} returned before the turn was done; it is interrupted and can be continued",
            session_id=session.session_id,
        )
    return run.result


async def continue_turn(
    session: OpenSession, lease: HeldLease | None, emit: Emit, on_conflict: ConflictPolicy
) -> TurnResult:
    """Take the interrupted turn up: what is finished is not repeated (T6)."""
    run = await _taken_up(session, _known_here(session, await rebuilt_turn(session)), emit)
    emit(TurnContinued(turn_id=run.turn_id, turn_index=run.turn_index))
    await run.note_lost()
    return await drive(session, run, lease, _open_turn(session).machine.limits, on_conflict)


async def carry_out(
    session: OpenSession,
    lease: HeldLease | None,
    emit: Emit,
    on_conflict: ConflictPolicy,
    wish: asyncio.Future[Wish],
    *,
    untouched: bool,
) -> TurnResult:
    """Run a turn that another process has handed over.

    Args:
        session: The session.
        lease: Taken over from that process.
        emit: Takes events.
        on_conflict: What becomes of the tail when somebody else commits first.
        wish: Comes when somebody wants the turn to end.
        untouched: Whether nobody had the session in between, so that nothing was lost.
    """
    rebuilt = await rebuilt_turn(session)
    run = await _taken_up(session, rebuilt.as_handed_over() if untouched else rebuilt, emit)
    if not untouched:
        await run.note_lost()
    return await drive(session, run, lease, _open_turn(session).machine.limits, on_conflict, wish)


async def rebuilt_turn(session: OpenSession) -> Rebuilt:
    """Rebuild the unfinished turn's machine from what is stored, in order to go on with it."""
    return await rebuild(
        session.store, _open_turn(session), session.parts.mode, context_of(session), session.parts.tools.ensure
    )


async def _taken_up(session: OpenSession, rebuilt: Rebuilt, emit: Emit) -> TurnRun:
    open_turn = _open_turn(session)
    asked = await asking(session, open_turn.machine.limits, open_turn.overrides)
    asked = attrs.evolve(asked, turn_id=open_turn.turn_id, turn_index=open_turn.turn_index)
    session.resident.tracer.bind(turn_id=open_turn.turn_id, turn_index=open_turn.turn_index).turn_started(
        asked.policy.config
    )
    return _turn_run(session, rebuilt, asked, emit, open_turn.started_at)


async def abandon(session: OpenSession, emit: Emit) -> TurnResult:
    """Give the interrupted turn up: its unanswered calls get marked results, and it ends as stopped."""
    open_turn = _open_turn(session)
    context = context_of(session)
    try:
        rebuilt = await rebuild(session.store, open_turn, session.parts.mode, context)
    except (TurnError, UnreadableData):
        rebuilt = await rebuild_to_abandon(session.store, open_turn, context)
    run = _turn_run(session, _known_here(session, rebuilt), None, emit, open_turn.started_at)
    await run.stop("stopped", "abandoned", ABANDONED.message)
    assert run.result is not None
    return run.result


async def asking(session: OpenSession, limits: TurnLimits, overrides: TurnOverrides | None) -> Asked:
    """Find out what a turn asks its model with; nothing is written.

    Raises:
        UnknownName, ConfigurationError: The model or the limits cannot be used.
        PolicyError: An override cannot be.
    """
    model = overrides.model if overrides else None
    policy = await session.policy(check_config(session.config.evolve(model=model)) if model is not None else None)
    config = policy.config
    if limits.cost is not None and not policy.model_info.reports_cost:
        raise ConfigurationError(
            f"a cost limit needs a model that reports its cost; {config.model!r} does not: limit tokens or model calls "
            "instead",
            session_id=session.session_id,
        )
    provider = session.env.providers.get(config.model.partition(":")[0])
    return Asked(provider=provider, policy=policy, turn_id="", turn_index=0, overrides=overrides)


def context_of(session: OpenSession) -> TurnContext:
    """Give what a turn's machine looks up."""
    return TurnContext(
        tools=session.parts.tools.specs,
        call_ids=session.resident.conversation.call_ids,
        mode_options=session.config.mode_options,
        offered=session.parts.tools.offered,
    )


def _greet(session: OpenSession, asked: Asked, emit: Emit) -> None:
    model = asked.policy.config.model
    notice = asked.policy.model_info.notice
    if notice and not any(row.model == model for row in session.document.usage):
        emit(Notice(text=notice))


def _turn_run(session: OpenSession, rebuilt: Rebuilt, asked: Asked | None, emit: Emit, started_at: int) -> TurnRun:
    return TurnRun(
        session=session,
        machine=rebuilt.machine,
        asked=asked,
        emit=emit,
        started_at=started_at,
        journaled=rebuilt.journaled,
        unknown_calls=rebuilt.unknown_calls,
    )


def _known_here(session: OpenSession, rebuilt: Rebuilt) -> Rebuilt:
    """Leave out calls whose response this runtime has had, though no commit holds it: their usage is known (T7)."""
    known = sum(row.calls for row in session.resident.unflushed if row.source == "turn")
    return attrs.evolve(rebuilt, unknown_calls=max(0, rebuilt.unknown_calls - known))


def _open_turn(session: OpenSession) -> OpenTurn:
    open_turn = session.document.open_turn
    if open_turn is None:
        raise TurnError(
            f"the interrupted turn of session {session.session_id!r} was ended by somebody else meanwhile",
            session_id=session.session_id,
        )
    return open_turn


async def _stop_at(run: TurnRun, wish: asyncio.Future[Wish]) -> None:
    wanted = await wish
    await run.stop(wanted.outcome, wanted.reason, wanted.message)


async def _stop_after(run: TurnRun, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await run.stop("stopped", "time_limit", f"the turn reached its time limit of {seconds:g} s")

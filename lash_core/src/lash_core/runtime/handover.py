"""A turn that a worker in another process has, and how it comes back (H4, H5)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import attrs
from lash_hookspecs.errors import ConfigurationError, LashError
from lash_hookspecs.records.events import EVENTS, TurnContinued, TurnEnded
from lash_hookspecs.records.hosts import TurnOrder
from lash_hookspecs.records.traces import TraceRecord
from lash_hookspecs.records.turn import StopReason, TurnOutcome, TurnResult
from lash_hookspecs.records.usage import TokenUsage, add_usage
from pydantic import ValidationError

from lash_core.runtime.conflicts import ConflictPolicy
from lash_core.runtime.lease import HeldLease, take_lease
from lash_core.runtime.orders import Order
from lash_core.runtime.reading import read_record
from lash_core.runtime.telling import error_of

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession
    from lash_core.runtime.turn_run import TurnRun

__all__ = ["Handed", "Wish", "handed_over"]

_log = logging.getLogger("lash.runtime")


@attrs.frozen
class Wish:
    """Somebody wants a turn to end.

    Attributes:
        outcome: How.
        reason: Why, for programs.
        message: The same for people.
    """

    outcome: TurnOutcome
    reason: StopReason
    message: str

    def to_bytes(self) -> bytes:
        """Encode as a message to a worker."""
        return json.dumps({"stop": attrs.asdict(self)}).encode()

    @classmethod
    def from_bytes(cls, message: bytes) -> Wish | None:
        """Read a message to a worker; ``None`` for one of a later version, which is no wish."""
        told = json.loads(message).get("stop")
        return cls(**told) if told else None


class Handed:
    """A `lash_hookspecs.protocols.hosts.Handover`."""

    def __init__(self, order: TurnOrder, run: TurnRun, session: OpenSession) -> None:
        """Hand a turn over."""
        self._order = order
        self._run = run
        self._session = session
        self._wanted = asyncio.Event()
        self.wanted: Wish | None = None
        self.error: LashError | None = None
        self.heard_end = False

    @property
    def order(self) -> TurnOrder:
        """What the worker is to do."""
        return self._order

    def want(self, wish: Wish) -> None:
        """Let the worker know that the turn should end; the first wish counts."""
        if self.wanted is None:
            self.wanted = wish
            self._wanted.set()

    async def wish(self) -> bytes:
        """Wait for a message to the worker."""
        await self._wanted.wait()
        assert self.wanted is not None
        return self.wanted.to_bytes()

    def tell(self, message: bytes) -> None:
        """Take what the worker says."""
        try:
            self._hear(json.loads(message))
        except (ValueError, TypeError, AttributeError, ValidationError) as error:
            _log.warning("what the worker of session %s says is no message: %s", self._run.session_id, error)

    def _hear(self, told: dict[str, Any]) -> None:
        if "event" in told:
            event = EVENTS.validate_python(told["event"])
            self.heard_end = self.heard_end or isinstance(event, TurnEnded)
            self._run.emit(event)
        elif "trace" in told and self._session.env.trace is not None:
            record = TraceRecord.model_validate(told["trace"])
            try:
                self._session.env.trace.write(record)
            except Exception as error:  # noqa: BLE001  the sink is a stranger's
                self._session.resident.tracer.tell(error)
        elif "error" in told:
            self.error = error_of(told["error"])


@contextlib.asynccontextmanager
async def handed_over(
    run: TurnRun,
    session: OpenSession,
    lease: HeldLease | None,
    on_conflict: ConflictPolicy,
    *,
    secrets: bool,
) -> AsyncIterator[Handed]:
    """Let a worker have a turn, and take it back; see `TurnRunner.handed_over`."""
    order = Order.of(
        session.env,
        session.spec,
        turn_id=run.turn_id,
        epoch=lease.epoch if lease is not None else None,
        on_conflict=on_conflict,
        secrets=secrets,
    )
    body = order.to_bytes()
    most = session.env.host.capabilities.max_payload
    if most is not None and len(body) > most:
        raise ConfigurationError(
            f"the order of the turn has {len(body):,} bytes, host {session.env.host.name!r} carries {most:,}",
            session_id=run.session_id,
        )
    if lease is not None:
        await lease.rest()
    handed = Handed(TurnOrder(session_id=run.session_id, turn_id=run.turn_id, body=body), run, session)
    before = session.resident.revision or 0
    used = session.document.open_turn.machine.usage if session.document.open_turn else TokenUsage()
    run.handover = handed
    try:
        yield handed
        await _take_back(run, session, lease, handed, before, used)
    finally:
        run.handover = None
    wanted = handed.wanted
    if wanted is not None and run.result is None:  # the worker did not live to heed it
        await run.stop(wanted.outcome, wanted.reason, wanted.message)


async def _take_back(
    run: TurnRun, session: OpenSession, lease: HeldLease | None, handed: Handed, before: int, used: TokenUsage
) -> None:
    result = await _ended(run, session, before, used)
    if result is None and handed.error is not None:
        run.worker_error = handed.error
        raise handed.error
    if result is None and lease is not None:
        later = await take_lease(session.session_id, session.store, session.holder, session.env)
        assert later is not None
        untouched = later.replaced == lease.epoch
        lease.go_on_as(later)
        session.resident.epoch = lease.epoch
        lease.keep(run.fail)
        result = await _ended(run, session, before, used)  # whoever had it may have ended it until then
    else:
        untouched = True
    if result is not None:
        await run.ended_elsewhere(result, told=handed.heard_end)
        return
    await run.go_on(untouched=untouched)
    if not untouched:
        run.emit(TurnContinued(turn_id=run.turn_id, turn_index=run.turn_index))


async def _ended(run: TurnRun, session: OpenSession, before: int, used: TokenUsage) -> TurnResult | None:
    """Read what has become of the turn; its result if it has had its final commit."""
    await session.refresh()
    open_turn = session.document.open_turn
    if session.resident.head is not None and open_turn is not None and open_turn.turn_id == run.turn_id:
        return None
    for record in await session.store.records(after=before):
        document = read_record(record)
        if document.turn_id == run.turn_id:
            for row in document.usage:
                used = add_usage(used, row.usage) if row.source == "turn" else used
        for event in document.events:
            if isinstance(event, TurnEnded) and event.turn_id == run.turn_id:
                return TurnResult(
                    session_id=session.session_id,
                    turn_index=event.turn_index,
                    outcome=event.outcome,
                    text=event.text,
                    usage=used,
                    head_revision=record.revision,
                    reason=event.reason,
                    message=event.message,
                    handoff=event.handoff,
                )
    await session.refuse_if_not_as_specified()
    raise LashError(f"turn {run.turn_id} of session {session.session_id!r} is gone", session_id=session.session_id)

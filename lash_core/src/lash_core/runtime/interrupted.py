"""An interrupted turn, rebuilt from the head and the effect journal (T1, T6, L14)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

import attrs
from lash_hookspecs.errors import TurnError, UnreadableData
from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    ExecutionMode,
    Finish,
    ModeInput,
    ModelAnswered,
    ModeStep,
    RunTools,
    ToolsFinished,
)
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.effects import RESPONSES, ModelCall, Response
from lash_hookspecs.records.payloads import Message
from lash_hookspecs.records.store import StreamRow
from lash_hookspecs.records.turn import OpenTurn, TurnEnd, TurnLimits
from pydantic import JsonValue, ValidationError

from lash_core.machine.turn_machine import MACHINE_VERSION, TurnContext, TurnMachine
from lash_core.runtime.turn_run import JOURNAL, LOST, STARTED, called_tools

__all__ = ["ABANDONED", "Rebuilt", "rebuild", "rebuild_to_abandon"]

#: How an abandoned turn ends.
ABANDONED = TurnEnd(outcome="stopped", reason="abandoned", message="the turn was interrupted and then abandoned")


@attrs.frozen
class Rebuilt:
    """A turn's machine as its dead process left it.

    Attributes:
        machine: Fed with everything that the journal holds.
        journaled: The journal's last sequence; 0 when it is empty.
        unknown_calls: Model calls that were out when a process died: whether a response came, nobody knows (T8).
        noted_calls: Those of them that the journal says were made again.
    """

    machine: TurnMachine
    journaled: int
    unknown_calls: int
    noted_calls: int = 0

    @classmethod
    def of(cls, machine: TurnMachine, rows: Sequence[StreamRow]) -> Rebuilt:
        """Count what is out after the replay, and what was out when earlier processes took the turn up."""
        out = sum(isinstance(effect, ModelCall) for effect in machine.outstanding())
        lost = sum(LOST in row.key for row in rows if row.key.startswith(machine.turn_id))
        return cls(machine, rows[-1].sequence if rows else 0, out + lost, lost)

    def as_handed_over(self) -> Rebuilt:
        """Give it as a process left it that did not die: nothing was out."""
        return attrs.evolve(self, unknown_calls=self.noted_calls)


async def rebuild(
    store: SessionStore,
    open_turn: OpenTurn,
    mode: ExecutionMode,
    context: TurnContext,
    ensure: Callable[[set[str]], Awaitable[None]] | None = None,
) -> Rebuilt:
    """Rebuild a turn in order to continue it.

    Args:
        store: The session's store.
        open_turn: The turn.
        mode: The session's mode.
        context: What the machine looks up.
        ensure: Looks up tools that nobody lists: to go on, the machine must know the kinds of those that it calls.

    Raises:
        TurnError: Another version began it.
        UnreadableData: The journal cannot be read.
    """
    machine = TurnMachine(mode, open_turn.machine, open_turn.turn_id, open_turn.turn_index, context)
    rows = await store.read(JOURNAL)
    journal = [_entry(row) for row in rows]
    if ensure is not None:
        await ensure(called_tools(response for _, response in journal))
    machine.replay(journal)
    return Rebuilt.of(machine, rows)


async def rebuild_to_abandon(store: SessionStore, open_turn: OpenTurn, context: TurnContext) -> Rebuilt:
    """Rebuild as much as any version can of a turn that cannot be continued, in order to end it.

    What the model said and what tools answered is kept; what cannot be read is left out. So is the whole journal when
    the mode that wrote it asked for other effects than this replay does: then what is committed remains.
    """
    rows = await store.read(JOURNAL)
    try:
        machine = _replay_to_abandon(open_turn, context, list(_readable(rows)))
    except TurnError:
        machine = _replay_to_abandon(open_turn, context, [])
    return Rebuilt.of(machine, rows)


def _replay_to_abandon(
    open_turn: OpenTurn, context: TurnContext, journal: Sequence[tuple[str, Response]]
) -> TurnMachine:
    snapshot = open_turn.machine.evolve(version=MACHINE_VERSION, limits=TurnLimits(model_calls=None))
    last_step = _LastStep(snapshot.mode, snapshot.mode_version)
    machine = TurnMachine(last_step, snapshot, open_turn.turn_id, open_turn.turn_index, context)
    machine.replay(journal)
    return machine


@attrs.frozen
class _LastStep:
    """Stands for a mode that is not the one that began the turn: it records what was said, and ends."""

    name: str
    version: int

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        if isinstance(event, ModelAnswered):
            message = Message(role="assistant", parts=event.reply.parts)
            last = RunTools(message.tool_calls) if message.tool_calls else Finish(ABANDONED)
            return ModeStep(state, (Append(message), last))
        if isinstance(event, ToolsFinished):
            return ModeStep(state, (Finish(ABANDONED),))
        return ModeStep(state, (AskModel(),))  # its answer may be in the journal


def _entry(row: StreamRow) -> tuple[str, Response]:
    try:
        return row.key.removesuffix(STARTED), RESPONSES.validate_json(row.body)
    except ValidationError as error:
        reason = str(error.errors(include_url=False, include_input=False)[0]["msg"])
        raise UnreadableData(row=f"entry {row.key} of stream {JOURNAL!r}", reason=reason) from error


def _readable(rows: Sequence[StreamRow]) -> Iterator[tuple[str, Response]]:
    for row in rows:
        try:
            yield _entry(row)
        except UnreadableData:
            continue

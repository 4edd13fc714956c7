"""A turn: what goes in, what is kept while it runs, what comes out."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, JsonValue

from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.effects import Effect
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.usage import TokenUsage

__all__ = [
    "MachineSnapshot",
    "OpenTurn",
    "PendingStep",
    "StopReason",
    "TurnEnd",
    "TurnInput",
    "TurnLimits",
    "TurnOutcome",
    "TurnOverrides",
    "TurnResult",
]

#: ``stopped`` ended before the model was done (a limit, an abandonment); ``failed`` by an error.
TurnOutcome = Literal["finished", "stopped", "failed", "cancelled", "waiting", "queued"]

StopReason = Literal[
    "model_call_limit",
    "token_limit",
    "cost_limit",
    "time_limit",
    "output_limit",
    "content_filter",
    "model_error",
    "attachment_unresolved",
    "mode_error",
    "plugin_error",
    "host_error",
    "host_limit",
    "denied",
    "tool_stopped",
    "cancelled",
    "abandoned",
]


class TurnLimits(Record):
    """What one turn may use; reaching a limit ends it in a committed outcome (T12). ``None`` is no limit.

    Attributes:
        model_calls: Calls of the model.
        tokens: Input plus output tokens.
        cost: US dollars, as the provider reports them; refused for a model that reports none.
        seconds: Wall-clock time, counted anew when the turn is continued.
    """

    model_calls: int | None = Field(default=100, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    cost: Decimal | None = Field(default=None, gt=0)
    seconds: float | None = Field(default=None, gt=0)


class TurnOverrides(Record):
    """What one turn does otherwise than its session.

    Attributes:
        model: ``provider:model`` for this turn.
        model_settings: Passed to the provider, over the session's own.
        prompt: The turn's own prompt layer; the last word in the system prompt.
    """

    model: str | None = None
    model_settings: dict[str, JsonValue] | None = None
    prompt: PromptLayer | None = None


class TurnInput(Record):
    """What a caller says in a turn.

    Attributes:
        text: The user's words.
        source_key: The caller's own key for this input (T10).
        attachments: Files that belong to it; each must be stored, or come with the turn.
        mode_options: Given to the mode for this turn, over the session's own.
        overrides: What the turn does otherwise than its session.
    """

    text: str
    source_key: str | None = None
    attachments: tuple[AttachmentRef, ...] = ()
    mode_options: dict[str, JsonValue] | None = None
    overrides: TurnOverrides | None = None


class TurnEnd(Record):
    """How a turn ended.

    Attributes:
        outcome: How.
        text: The final answer; what there is of it when the turn did not finish.
        reason: Why it did not finish.
        message: The same for people.
        handoff: The session that takes over, if the turn handed off.
    """

    outcome: TurnOutcome
    text: str = ""
    reason: StopReason | None = None
    message: str = ""
    handoff: str | None = None


class PendingStep(Record):
    """A step that a mode takes only once the commit that holds this is durable.

    Attributes:
        kind: What the mode is told.
        inputs: What the user said.
    """

    kind: Literal["turn_began", "boundary_passed"]
    inputs: tuple[TurnInput, ...] = ()


class MachineSnapshot(Record):
    """The turn machine as a commit leaves it: with the journal since then it is rebuilt anywhere (T1).

    Attributes:
        version: The machine's version; another one's turn is continued only if it says it can.
        mode: The execution mode's name.
        mode_version: The mode's version.
        mode_state: The mode's own state, of this turn.
        session_state: What the mode keeps from turn to turn.
        next_effect: Number of the next effect key.
        next_node: Number of the next node id.
        waiting: Effects that are out.
        pending: The step that follows the commit.
        model_calls: Calls of the model so far.
        usage: Usage of the turn so far.
        limits: The turn's limits.
    """

    version: int
    mode: str
    mode_version: int
    mode_state: JsonValue = None
    session_state: JsonValue = None
    next_effect: int = 1
    next_node: int = 1
    waiting: tuple[Effect, ...] = ()
    pending: PendingStep | None = None
    model_calls: int = 0
    usage: TokenUsage = TokenUsage()
    limits: TurnLimits = TurnLimits()


class OpenTurn(Record):
    """A turn that is not finished, as the head keeps it.

    Attributes:
        turn_id: Its id; a prefix of the ids of its nodes.
        turn_index: Its number in the session, from 1.
        started_at: Microseconds since 1970-01-01 UTC.
        machine: Where it stands.
        overrides: What it does otherwise than its session.
    """

    turn_id: str
    turn_index: int
    started_at: int
    machine: MachineSnapshot
    overrides: TurnOverrides | None = None


class TurnResult(Record):
    """What a caller gets.

    Attributes:
        session_id: The session.
        turn_index: The turn's number, from 1.
        outcome: How it ended.
        text: The final answer.
        usage: Usage of the turn.
        head_revision: The session's revision after it.
        reason: Why it did not finish, for programs.
        message: The same for people.
        handoff: The session that takes over, if the turn handed off.
    """

    session_id: str
    turn_index: int
    outcome: TurnOutcome
    text: str = ""
    usage: TokenUsage = TokenUsage()
    head_revision: int = 0
    reason: StopReason | None = None
    message: str = ""
    handoff: str | None = None

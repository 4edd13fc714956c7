"""What an execution mode implements: a pure step.

A mode decides what happens next; the turn machine gives it ids, keys, journal and cancellation, and a host runs what
is asked for. A mode does no I/O, keeps nothing between calls but the state that it returns, and never sees a clock.

The same state and event give the same step, in any process and whatever the object was used for before: a turn is
continued from any of its states by an object that was never asked before.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol, runtime_checkable

import attrs
from pydantic import JsonValue

from lash_hookspecs.protocols.tools import ToolProvider
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ModeEvent
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolSpec
from lash_hookspecs.records.turn import TurnEnd, TurnInput

__all__ = [
    "Action",
    "Append",
    "AskModel",
    "BoundaryPassed",
    "ExecutionMode",
    "KEEP",
    "Finish",
    "Keep",
    "ModeInput",
    "ModePrompt",
    "ModeStep",
    "ModeTools",
    "ModelAnswered",
    "PassBoundary",
    "RestorableMode",
    "RunTools",
    "ToolsFinished",
    "TurnBegan",
]


@attrs.frozen
class TurnBegan:
    """A turn begins; the user's message is on the path already.

    Attributes:
        input: What the user said.
        tools: What can be called in this turn.
        session_state: What the mode kept in the turns before; ``None`` in the first one.
        options: The session's mode options with the turn's own over them.
    """

    input: TurnInput
    tools: tuple[ToolSpec, ...] = ()
    session_state: JsonValue = None
    options: Mapping[str, JsonValue] = attrs.field(factory=dict)


@attrs.frozen
class ModelAnswered:
    """The model answered an `AskModel`. Call ids are unique already."""

    reply: ModelReply


@attrs.frozen
class ToolsFinished:
    """Every call of a `RunTools` has ended; results are on the path and in the order of the calls."""

    results: tuple[ToolResult, ...]


@attrs.frozen
class BoundaryPassed:
    """What was appended is committed, and input that arrived meanwhile is on the path."""

    inputs: tuple[TurnInput, ...] = ()


ModeInput = TurnBegan | ModelAnswered | ToolsFinished | BoundaryPassed


@attrs.frozen
class Append:
    """Put a message or an event of the mode on the path. An assistant message without parts is left out."""

    payload: Message | ModeEvent


@attrs.frozen
class AskModel:
    """Send the active path to the model; answered by `ModelAnswered`."""

    tools: bool = True


@attrs.frozen
class RunTools:
    """Run calls, parallel ones together and serial ones behind them; answered by `ToolsFinished`.

    The results become tool nodes by themselves. ``recorded`` tells whether a message that this step appends holds
    the calls; if not, each node keeps its own call.
    """

    calls: tuple[ToolCall, ...]
    recorded: bool = True


@attrs.frozen
class PassBoundary:
    """Commit what was appended and let input in; answered by `BoundaryPassed`."""


@attrs.frozen
class Finish:
    """End the turn; what was appended goes into its final commit."""

    end: TurnEnd


Action = Append | AskModel | RunTools | PassBoundary | Finish


class Keep(Enum):
    """Says that a session state stays as it is; its one value is `KEEP`."""

    KEEP = "keep"


#: Leaves the session state as it is.
KEEP = Keep.KEEP


@attrs.frozen
class ModeStep:
    """What a mode answers: its new state and what is to be done.

    Attributes:
        state: JSON; stored at each boundary and given to the next step.
        actions: Any number of `Append`, then exactly one of `AskModel`, `RunTools`, `PassBoundary`, `Finish`.
        session_state: JSON that outlives the turn, such as the variables of a mode that runs code: stored with each
            commit, rewound by a branch, given to the next `TurnBegan`. `KEEP` leaves it as it is.
    """

    state: JsonValue
    actions: tuple[Action, ...]
    session_state: JsonValue | Keep = KEEP


@runtime_checkable
class ExecutionMode(Protocol):
    """How a turn is conducted (P11).

    Attributes:
        name: The mode's name, as ``--mode`` takes it.
        version: Grows when a turn begun by an older one cannot be continued.
    """

    @property
    def name(self) -> str:
        """The mode's name, as ``--mode`` takes it."""
        ...

    @property
    def version(self) -> int:
        """Grows when a turn begun by an older one cannot be continued."""
        ...

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        """Take one step. The state is ``None`` for `TurnBegan`, which begins each turn.

        What is given stays as it was. A call that an appended message holds must be run by the same step, and a message
        that arrived at a boundary keeps the turn going. A call that failed is a result: the model reads it.

        Raises:
            TypeError: The event is of a kind that this version does not know.
        """
        ...


@runtime_checkable
class RestorableMode(Protocol):
    """What a mode has besides when it can read the session state of older versions of itself."""

    def restore(self, version: int, session_state: JsonValue) -> JsonValue:
        """Bring a stored session state up to this version; called once when a session opens.

        Asked for states of its own version too, which come back as they are; what is given stays as it was.

        A mode without it is given the state of its own version only, and an older one is refused. Whatever it raises
        fails the opening, naming the mode (L5).
        """
        ...


@runtime_checkable
class ModeTools(Protocol):
    """A mode with tools of its own; nobody else in the session may have one of their names."""

    def tools(self) -> ToolProvider:
        """Give the tools; asked once per session."""
        ...


@runtime_checkable
class ModePrompt(Protocol):
    """A mode that has something to say in the system prompt; everybody else comes after it."""

    def prompt(self) -> PromptLayer:
        """Give the mode's layer; the same one as long as nothing has changed."""
        ...

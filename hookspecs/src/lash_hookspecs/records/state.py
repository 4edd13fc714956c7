"""The runtime's own documents in a head and in a commit record; a store keeps them as bytes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from lash_hookspecs.records.events import StoredEvent
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.tools import ToolAccess
from lash_hookspecs.records.turn import OpenTurn, TurnInput
from lash_hookspecs.records.usage import UsageRow

__all__ = [
    "CommitDocument",
    "ForkPoint",
    "HeadDocument",
    "ParentLink",
    "PluginFingerprint",
    "SessionConfig",
    "SubagentAuthority",
]


class SessionConfig(Record):
    """How a session's turns are run, as it is stored.

    Attributes:
        model: ``provider`` or ``provider:model``.
        mode: The execution mode's name.
        instructions: The system prompt.
        model_settings: Passed to the provider; kept out of reprs, they may hold a credential.
        context_window: Tokens that the caller says the model can take; ``None`` to ask the provider (L3).
        mode_options: Given to the mode at the beginning of each turn.
        tool_access: Which tools it may have at all.
    """

    model: str = "offline"
    mode: str = "standard"
    instructions: str = ""
    model_settings: dict[str, JsonValue] = Field(default_factory=dict, repr=False)
    context_window: int | None = None
    mode_options: dict[str, JsonValue] = Field(default_factory=dict)
    tool_access: ToolAccess = ToolAccess()


class SubagentAuthority(Record):
    """What a subagent may do (H3).

    Attributes:
        agent_name: Who it is.
        capability: What it may do, in the words of who granted it.
        depth: How many sessions stand above it.
        max_depth: The deepest that one of its own may be.
    """

    agent_name: str
    capability: str | None = None
    depth: int = 1
    max_depth: int = 5


class ParentLink(Record):
    """Where a session comes from (H3).

    Attributes:
        session_id: The parent, or the one that handed off.
        relation: Which of the two.
        usage_source: What its usage is filed under in the parent's ledger.
        authority: For a subagent.
        incarnation: Which life of the parent's name; a later one owes nothing to this session.
    """

    session_id: str
    relation: Literal["child", "handoff"]
    usage_source: str = "child"
    authority: SubagentAuthority | None = None
    incarnation: str | None = None


class ForkPoint(Record):
    """As what the session was seen that another one began at; its later commits are no part of that one's past.

    Attributes:
        incarnation: Its incarnation then.
        revision: Its revision then.
    """

    incarnation: str
    revision: int


class HeadDocument(Record):
    """What the head says besides the store's own columns.

    Attributes:
        config: The session's configuration.
        turn_index: Turns begun so far.
        usage: The whole ledger, one row per source and model.
        open_turn: The turn that is not finished.
        forked_from: The session in whose history this one begins.
        fork_point: What that session was then.
        parent: Where a child or a successor comes from.
        successor: The session that took over from this one.
        first_input: What the first turn is about, until that turn begins.
    """

    config: SessionConfig = SessionConfig()
    turn_index: int = 0
    usage: tuple[UsageRow, ...] = ()
    open_turn: OpenTurn | None = None
    forked_from: str | None = None
    fork_point: ForkPoint | None = None
    parent: ParentLink | None = None
    successor: str | None = None
    first_input: TurnInput | None = None


class PluginFingerprint(Record):
    """A plugin that took part in a commit (P8)."""

    distribution: str
    version: str
    name: str
    api: str


class CommitDocument(Record):
    """What one commit says besides its nodes.

    Attributes:
        step: What it was for: ``input``, ``boundary``, ``final`` and ``abandon`` are a turn's; besides, ``append``,
            ``background``, ``branch``, ``close``, ``completion``, ``config``, ``create``, ``fork``, ``handoff``,
            ``kept``, ``park``, ``relink``, ``rewrite``, ``state``.
        turn_id: The turn it belongs to, if any.
        turn_index: That turn's number.
        usage: Usage deltas of this commit (T8).
        events: Its events, in order; their cursor is (revision, position).
        plugins: The ordered plugin set that took part (P8).
        writer: Who wrote it, for people; said by the first commit of a runtime under an epoch (S5).
    """

    step: str
    turn_id: str | None = None
    turn_index: int | None = None
    usage: tuple[UsageRow, ...] = ()
    events: tuple[StoredEvent, ...] = ()
    plugins: tuple[PluginFingerprint, ...] = ()
    writer: str | None = None

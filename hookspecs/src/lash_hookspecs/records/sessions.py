"""Sessions as others see them: a read view, where a child comes from, what may be asked of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
from pydantic import Field, JsonValue

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.models import ModelMessage
from lash_hookspecs.records.payloads import Message, Payload
from lash_hookspecs.records.state import ParentLink, SessionConfig
from lash_hookspecs.records.turn import TurnInput
from lash_hookspecs.records.usage import UsageRow

__all__ = ["CompletionRequest", "SessionCreateRequest", "SessionReadView", "SessionStart"]

#: Where the conversation of a new child begins: nowhere, where its parent stands, where another session stands, or
#: with an exported state.
SessionStart = Literal["empty", "current", "existing", "state"]


@attrs.frozen(kw_only=True)
class SessionReadView:
    """A session at one moment, for readers; it never changes.

    Attributes:
        session_id: The session.
        config: Its configuration.
        revision: Its stored revision; ``None`` when it was never committed.
        turn_index: Turns begun so far.
        nodes: The nodes of the active path, root first.
        payloads: Their payloads, in the same order; nodes of unknown kinds are left out of both.
        usage: The ledger.
        parent: Where it comes from, if it is a child or a successor.
    """

    session_id: str
    config: SessionConfig
    revision: int | None
    turn_index: int
    nodes: Sequence[Node]
    payloads: Sequence[Payload]
    usage: tuple[UsageRow, ...]
    parent: ParentLink | None = None

    @property
    def messages(self) -> list[Message]:
        """The messages of the active path, oldest first."""
        return [payload for payload in self.payloads if isinstance(payload, Message)]


class CompletionRequest(Record):
    """One model call outside the conversation: nothing of it goes on the path, its usage goes into the ledger.

    Attributes:
        messages: What is sent; provider-valid.
        instructions: The system prompt.
        model: ``provider:model``; the session's own by default.
        settings: Passed to the provider.
        source: What the usage is filed under (T8).
    """

    messages: tuple[ModelMessage, ...]
    instructions: str = ""
    model: str | None = None
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    source: str = "completion"


@attrs.frozen(kw_only=True)
class SessionCreateRequest:
    """A session that another one starts.

    Attributes:
        session_id: Empty for a fresh one.
        relation: ``child`` works for its parent; ``handoff`` takes over from it; ``root`` is nobody's.
        start: Where its conversation begins.
        source: For ``existing``, the session whose path it shares.
        state: For ``state``, what `LashRuntime.export_state` gave.
        model: ``provider:model``; by default that of the start, which is the parent's own for ``empty``.
        mode: The execution mode; that of the start by default.
        instructions: The system prompt; that of the start by default.
        inherit_plugins: Whether tool state and plugin snapshots of the start are taken over: of the parent as it is
            now for ``empty`` and ``current``.
        tools: The only tools it may call; ``None`` for all. Never more than its parent may.
        hidden_tools: Tools that it never sees.
        agent_name: Who it is, for a subagent. A session that a subagent starts is one, named or not.
        capability: What a subagent may do, in the words of who grants it; the parent's by default.
        max_depth: How deep subagents may start each other; the parent's limit wins when it is smaller.
        first_input: What its first turn is about; kept in the session until that turn begins.
        labels: Its labels.
        usage_source: What its usage is filed under in the parent's ledger (T8).
    """

    session_id: str = ""
    relation: Literal["root", "child", "handoff"] = "child"
    start: SessionStart = "empty"
    source: str | None = None
    state: object | None = None
    model: str | None = None
    mode: str | None = None
    instructions: str | None = None
    inherit_plugins: bool = True
    tools: tuple[str, ...] | None = None
    hidden_tools: tuple[str, ...] = ()
    agent_name: str | None = None
    capability: str | None = None
    max_depth: int | None = None
    first_input: TurnInput | None = None
    labels: Mapping[str, str] | None = None
    usage_source: str = "child"

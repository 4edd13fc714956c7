"""The runtime's own documents in a head and in a commit record; a store keeps them as bytes."""

from __future__ import annotations

from pydantic import Field, JsonValue

from lash_hookspecs.records.events import StoredEvent
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.turn import OpenTurn
from lash_hookspecs.records.usage import UsageRow

__all__ = ["CommitDocument", "HeadDocument", "PluginFingerprint", "SessionConfig"]


class SessionConfig(Record):
    """How a session's turns are run, as it is stored.

    Attributes:
        model: ``provider`` or ``provider:model``.
        mode: The execution mode's name.
        instructions: The system prompt.
        model_settings: Passed to the provider.
    """

    model: str = "offline"
    mode: str = "standard"
    instructions: str = ""
    model_settings: dict[str, JsonValue] = Field(default_factory=dict)


class HeadDocument(Record):
    """What the head says besides the store's own columns.

    Attributes:
        config: The session's configuration.
        turn_index: Turns begun so far.
        usage: The whole ledger, one row per source and model.
        open_turn: The turn that is not finished.
        forked_from: The session that this one was forked from.
    """

    config: SessionConfig = SessionConfig()
    turn_index: int = 0
    usage: tuple[UsageRow, ...] = ()
    open_turn: OpenTurn | None = None
    forked_from: str | None = None


class PluginFingerprint(Record):
    """A plugin that took part in a commit (P8)."""

    distribution: str
    version: str
    name: str
    api: str


class CommitDocument(Record):
    """What one commit says besides its nodes.

    Attributes:
        step: What it was for: ``create``, ``input``, ``boundary``, ``final``, ``abandon``, ``branch``, ``fork``.
        turn_id: The turn it belongs to, if any.
        turn_index: That turn's number.
        usage: Usage deltas of this commit (T8).
        events: Its events, in order; their cursor is (revision, position).
        plugins: The ordered plugin set that took part (P8).
    """

    step: str
    turn_id: str | None = None
    turn_index: int | None = None
    usage: tuple[UsageRow, ...] = ()
    events: tuple[StoredEvent, ...] = ()
    plugins: tuple[PluginFingerprint, ...] = ()

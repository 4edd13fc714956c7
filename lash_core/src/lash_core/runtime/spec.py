"""What a caller sets for a session, and what a parked one leaves behind: data."""

from __future__ import annotations

from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError, SessionDeleted, SessionMissing, StoreRegressed
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.store import Absent, Deleted, Head
from pydantic import JsonValue

__all__ = ["ParkedSession", "SessionSpec"]


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What a caller sets for a session; ``None`` keeps what is stored, else the default (L3).

    Attributes:
        session_id: The session; empty for a fresh one (L2).
        create: ``None`` opens or creates, ``True`` must be new, ``False`` must exist.
        labels: For a new session.
        model: ``provider`` or ``provider:model``.
        mode: The execution mode; a session keeps the one that it began with (P11).
        instructions: The system prompt.
        model_settings: Passed to the provider.
    """

    session_id: str = ""
    create: bool | None = None
    labels: dict[str, str] | None = None
    model: str | None = None
    mode: str | None = None
    instructions: str | None = None
    model_settings: dict[str, JsonValue] | None = None

    def over(self, config: SessionConfig) -> SessionConfig:
        """Lay what was set over a configuration."""
        fields = ("model", "mode", "instructions", "model_settings")
        changes = {name: getattr(self, name) for name in fields if getattr(self, name) is not None}
        return config.evolve(**changes)


@attrs.frozen(kw_only=True)
class ParkedSession:
    """A session at rest, as data (L7): it resumes in another process.

    Attributes:
        session_id: The session.
        store: The store's name or redacted URL; the resuming environment supplies the store itself.
        revision: The stored revision; ``None`` when nothing was ever committed.
        epoch: The stored epoch.
        model: The model that the caller had set, if any.
        mode: The mode that the caller had set, if any.
    """

    session_id: str
    store: str
    revision: int | None = None
    epoch: int = 0
    model: str | None = None
    mode: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the handle as a JSON object."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ParkedSession:
        """Read a handle.

        Raises:
            ConfigurationError: The object is no handle.
        """
        try:
            return cls(**document)
        except TypeError as error:
            raise ConfigurationError(f"this is no handle of a parked session: {error}") from error

    def check(self, found: Absent | Deleted | Head, store: str) -> None:
        """Compare the handle with the head that a store has (L8).

        Raises:
            SessionMissing: The handle has a revision and the store has no such session.
            SessionDeleted: The session was deleted.
            StoreRegressed: The store is older than the handle.
        """
        who = f"session {self.session_id!r}"
        if isinstance(found, Deleted):
            raise SessionDeleted(f"{who} was deleted", session_id=self.session_id)
        if isinstance(found, Absent) and self.revision is not None:
            raise SessionMissing(
                f"{who} is not in {store}, though the handle has revision {self.revision}; is this the right store?",
                session_id=self.session_id,
            )
        if isinstance(found, Head) and found.revision < (self.revision or 0):
            raise StoreRegressed(
                f"{who} is at revision {found.revision} in {store}, the handle at {self.revision}: the store is older "
                "than the handle",
                session_id=self.session_id,
            )

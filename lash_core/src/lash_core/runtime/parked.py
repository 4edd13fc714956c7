"""What a parked session leaves behind: a handle, as data (L7)."""

from __future__ import annotations

import json
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError, InvalidInput, SessionDeleted, SessionMissing, StoreRegressed
from lash_hookspecs.records.store import Absent, Deleted, Head

from lash_core.runtime.policy import SessionSpec

__all__ = ["MAX_HANDLE", "ParkedSession", "check_parked"]

#: The most bytes of JSON that a handle has.
MAX_HANDLE = 2_048

#: The longest name of a store that a handle keeps; it is for people.
_MAX_STORE = 400


@attrs.frozen(kw_only=True)
class ParkedSession:
    """A session at rest, as data (L7): it resumes in another process.

    It holds no credentials and no settings of the provider; those are stored with the session, or brought by whoever
    resumes it.

    Attributes:
        session_id: The session.
        store: The store's name or redacted URL, for people; the resuming environment supplies the store itself.
        revision: The stored revision; ``None`` when nothing was ever committed.
        epoch: The stored epoch.
        incarnation: Which life of the session's name; ``None`` when nothing was ever committed.
        model: The model that the caller had set, if any.
        mode: The mode that the caller had set, if any.
        context_window: The context size that the caller had set, if any.
    """

    session_id: str
    store: str
    revision: int | None = None
    epoch: int = 0
    incarnation: str | None = None
    model: str | None = None
    mode: str | None = None
    context_window: int | None = None

    @classmethod
    def of(cls, spec: SessionSpec, store: str, head: Head | None, epoch: int) -> ParkedSession:
        """Make the handle of a session.

        Raises:
            ConfigurationError: It would have more than `MAX_HANDLE` bytes.
        """
        parked = cls(
            session_id=spec.session_id,
            store=store if len(store) <= _MAX_STORE else f"…{store[-_MAX_STORE:]}",
            revision=head.revision if head else None,
            epoch=max(epoch, head.epoch if head else 0),
            incarnation=head.incarnation if head else None,
            model=spec.model,
            mode=spec.mode,
            context_window=spec.context_window,
        )
        size = len(json.dumps(parked.to_json(), ensure_ascii=False).encode())
        if size > MAX_HANDLE:
            raise ConfigurationError(
                f"the handle of session {spec.session_id!r} would have {size:,} bytes, and {MAX_HANDLE:,} are allowed; "
                "shorten the name of the model or of the mode",
                session_id=spec.session_id,
            )
        return parked

    def spec(self) -> SessionSpec:
        """Give what the caller had set."""
        return SessionSpec(
            session_id=self.session_id, model=self.model, mode=self.mode, context_window=self.context_window
        )

    def to_json(self) -> dict[str, Any]:
        """Give the handle as a JSON object."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, document: object) -> ParkedSession:
        """Read a handle.

        Raises:
            ConfigurationError: It is no handle; says what is wrong with it.
        """
        if not isinstance(document, dict):
            raise ConfigurationError("this is no handle of a parked session: it is not a JSON object")
        fields = attrs.fields_dict(cls)
        for name, value in document.items():
            if name not in fields:
                raise ConfigurationError(f"this is no handle of a parked session: it has no field {name!r}")
            kind = int if name in ("revision", "epoch", "context_window") else str
            needed = name in ("session_id", "store", "epoch")
            if not (isinstance(value, kind) and not isinstance(value, bool)) and (value is not None or needed):
                raise ConfigurationError(f"this is no handle of a parked session: {name} is {value!r}")
        for name in ("session_id", "store"):
            if not document.get(name):
                raise ConfigurationError(f"this is no handle of a parked session: {name} is missing")
        return cls(**document)

    def check(self, found: Absent | Deleted | Head, store: str) -> None:
        """Compare the handle with the head that a store has (L8).

        Raises:
            SessionMissing: The handle has a revision and the store has no such session.
            SessionDeleted: The session was deleted, even if another one has its name now.
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
        if not isinstance(found, Head):
            return
        if self.incarnation is not None and found.incarnation != self.incarnation:
            raise SessionDeleted(
                f"{who} was deleted; the one that has its name now is another", session_id=self.session_id
            )
        if found.revision < (self.revision or 0):
            raise StoreRegressed(
                f"{who} is at revision {found.revision} in {store}, the handle at {self.revision}: the store is older "
                "than the handle",
                session_id=self.session_id,
            )


def check_parked(parked: ParkedSession) -> None:
    """See that what is to be resumed is a handle.

    Raises:
        InvalidInput: It is something else.
    """
    if not isinstance(parked, ParkedSession):
        raise InvalidInput(
            f"what is resumed is a ParkedSession, not {type(parked).__name__}; ParkedSession.from_json reads one"
        )

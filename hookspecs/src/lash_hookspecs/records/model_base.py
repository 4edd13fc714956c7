"""The base of every record that is sent or stored as JSON."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

__all__ = ["Record"]


class Record(BaseModel):
    """A frozen JSON document.

    Unknown fields are ignored when reading, so that a version reads what a later one wrote (S10); what is stored
    is never written again, so nothing is lost by it.
    """

    # A process needs a few of the records that it imports: each is built when it is first used.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings", defer_build=True)

    def to_bytes(self) -> bytes:
        """Encode as UTF-8 JSON; fields that are ``None`` are left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode from UTF-8 JSON.

        Raises:
            pydantic.ValidationError: The document does not fit; a reader of stored rows turns it into
                `UnreadableData`.
        """
        return cls.model_validate_json(data)

    def evolve(self, **changes: Any) -> Self:
        """Give a copy with some fields changed."""
        return self.model_copy(update=changes)

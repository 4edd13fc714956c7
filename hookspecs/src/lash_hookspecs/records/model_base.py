"""The base of every record that is sent or stored as JSON."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

__all__ = ["Record", "clean_json", "clean_text"]


class Record(BaseModel):
    """A frozen JSON document.

    Unknown fields are ignored when reading, so that a version reads what a later one wrote (S10); what is stored
    is never written again, so nothing is lost by it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")

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


def clean_text(text: str) -> str:
    """Replace what JSON cannot carry (lone surrogates) by U+FFFD; used on text from models and tools (G2)."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_json(value: Any) -> Any:
    """Do `clean_text` to every text of a JSON value, keys included."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_json(key): clean_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    return value

"""What JSON cannot carry, replaced where strangers' values enter (G2)."""

from __future__ import annotations

from typing import Any

__all__ = ["clean_json", "clean_text"]

#: Python reads no integer of more than 4,300 decimal digits from text; this many bits always fit.
_MOST_BITS = 14_000


def clean_text(text: str) -> str:
    """Replace what JSON cannot carry (lone surrogates) by U+FFFD; used on text from models and tools."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_json(value: Any) -> Any:
    """Do `clean_text` to every text of a JSON value; an integer that no reader takes becomes a hexadecimal text."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_json(key): clean_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return hex(value)
    return value

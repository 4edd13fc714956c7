"""Whether the arguments of a call fit the tool's schema (T2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lash_hookspecs.records.tools import ToolCall
from pydantic import JsonValue

__all__ = ["what_does_not_fit"]


def what_does_not_fit(schema: Mapping[str, JsonValue], call: ToolCall) -> str | None:
    """Say, for the model, what is wrong with a call's arguments; raises whatever a schema that is none makes it."""
    if isinstance(call.arguments, str):
        return f"The arguments of {call.tool!r} must be a JSON object; got: {call.arguments[:200]}"
    from jsonschema import Draft202012Validator  # 60 ms, and only needed once a tool is called

    validator: Any = Draft202012Validator(dict(schema))
    errors = sorted(validator.iter_errors(call.arguments), key=lambda error: list(map(str, error.absolute_path)))
    if not errors:
        return None
    told = "; ".join(
        f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}" for error in errors[:3]
    )
    return f"The arguments of {call.tool!r} do not fit its schema: {told}"

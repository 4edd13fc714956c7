"""What must be JSON, a JSON schema, or free of secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lash_hookspecs.records.tools import ToolSpec

__all__ = ["check_fits", "check_json", "check_schema", "check_words", "secrets_shown", "through_json"]


def check_json(value: Any, what: str) -> None:
    """Fail unless a value is JSON: what comes back of it is what it was, of the same types."""
    try:
        text = json.dumps(value, allow_nan=False)
        back = json.loads(text)
        text.encode()
        json.dumps(value, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise AssertionError(f"{what} is no JSON: {type(error).__name__}: {error}: {value!r}") from error
    assert _shape(back) == _shape(value), f"{what} does not come back from JSON as it was: {value!r} became {back!r}"


def through_json(value: Any) -> Any:
    """Store a value and read it back; what is no JSON comes back as it can."""
    return json.loads(json.dumps(value, default=str))


def check_schema(spec: ToolSpec) -> None:
    """Fail unless the schema of a tool is a JSON schema of an object."""
    schema = spec.input_schema
    if schema is None:
        return
    check_json(schema, f"the schema of {spec.name!r}")
    assert schema.get("type", "object") == "object", f"the schema of {spec.name!r} is of {schema['type']!r}, no object"
    for where, part in _parts(schema, "the schema"):
        told = part.get("type")
        known = {"object", "array", "string", "number", "integer", "boolean", "null"}
        kinds = told if isinstance(told, list) else [told] if told is not None else []
        assert set(kinds) <= known, f"{spec.name!r}: {where} has the type {told!r}, which JSON schema does not know"
        wanted = part.get("required", [])
        assert isinstance(wanted, list), f"{spec.name!r}: {where} has no list under 'required', but {wanted!r}"
        if "properties" in part:
            missing = set(wanted) - set(part["properties"])
            assert not missing, f"{spec.name!r}: {where} requires {sorted(missing)}, which it does not describe"


def check_fits(spec: ToolSpec, arguments: Mapping[str, Any]) -> None:
    """Fail unless arguments have what a tool's schema requires, and nothing that it does not know."""
    schema: Any = spec.input_schema or {}
    missing = set(schema.get("required", [])) - set(arguments)
    assert not missing, f"the call of {spec.name!r} lacks {sorted(missing)}, which its schema requires"
    if schema.get("additionalProperties") is False:
        unknown = set(arguments) - set(schema.get("properties", {}))
        assert not unknown, f"the call of {spec.name!r} has {sorted(unknown)}, which its schema does not know"


def check_words(error: BaseException, what: str) -> None:
    """Fail unless an error is one that a model can be told: no signal to the process, and with words."""
    assert isinstance(error, Exception), f"{what} raises {type(error).__name__}, which would end whoever calls it"
    assert str(error).strip(), f"{what} raises {type(error).__name__} without a word"


def secrets_shown(shown: object, secrets: tuple[str, ...]) -> list[str]:
    """Give the secrets that a thing shows: in its text, its repr, its traceback's chain."""
    texts = list(_texts(shown))
    return [secret for secret in secrets if any(secret in text for text in texts)]


def _texts(shown: object) -> Iterator[str]:
    seen: set[int] = set()
    waiting: list[object] = [shown]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield from (str(each), repr(each))
        if isinstance(each, BaseException):
            yield repr(each.args)
            waiting += [each.__cause__, None if each.__suppress_context__ else each.__context__]


def _shape(value: Any) -> Any:
    """Tell values apart that are equal and yet not the same JSON: lists and tuples, ones and trues."""
    if isinstance(value, dict):
        return ("object", {key: _shape(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return (type(value).__name__, [_shape(item) for item in value])
    return (type(value).__name__, value)


def _parts(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give a schema and those within it."""
    assert isinstance(schema, dict | bool), f"{where} is {schema!r}"
    if isinstance(schema, bool):
        return
    yield where, schema
    for name in ("properties", "$defs"):
        for key, part in schema.get(name, {}).items():
            yield from _parts(part, f"{where}.{name}.{key}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from _parts(schema[name], f"{where}.{name}")
    for name in ("anyOf", "allOf", "oneOf"):
        for at, part in enumerate(schema.get(name, [])):
            yield from _parts(part, f"{where}.{name}[{at}]")

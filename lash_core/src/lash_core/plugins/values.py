"""What a hook may answer, and what is said of an answer that it may not (P7)."""

from __future__ import annotations

import importlib
import reprlib
import types
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from lash_hookspecs.markers import JSON, HookInfo, TypeRef
from lash_hookspecs.specs.decisions import Allow, Deny

__all__ = ["wrong_answer", "wrong_items"]


def wrong_answer(info: HookInfo, answer: object) -> str:
    """Tell what is wrong with the answer of a hook; nothing when it is right."""
    if info.kind == "transform":
        return _wrong_value(info, answer)
    if info.kind == "offer":
        return wrong_items(info, answer)
    if info.kind == "observe":
        return "" if answer is None else f"must return nothing, and returned {reprlib.repr(answer)}"
    if isinstance(answer, Allow) or (isinstance(answer, Deny) and isinstance(answer.reason, str)):
        return ""
    return f"must answer Allow or Deny, not {reprlib.repr(answer)}"


def _wrong_value(info: HookInfo, value: object) -> str:
    if not isinstance(value, _types(info.result)):
        return f"must return {_described(info.result, info.items)}, and returned {reprlib.repr(value)}"
    if info.items and isinstance(value, tuple):
        allowed = _types(info.items)
        for item in value:
            if not isinstance(item, allowed):
                return f"must return {_described(info.result, info.items)}, and it holds {reprlib.repr(item)}"
    return ""


def wrong_items(info: HookInfo, answer: object) -> str:
    """Tell what is wrong with the answer of an offer; nothing when it is right."""
    expected = (info.item,) if info.item is not None else (object,)
    if not isinstance(answer, list | tuple):
        return f"must return a list of {_names(expected)}, and returned {reprlib.repr(answer)}"
    for item in answer:
        if not isinstance(item, _types(expected)):
            return f"must return a list of {_names(expected)}, and it holds {reprlib.repr(item)}"
    return ""


@cache
def _types(references: tuple[TypeRef, ...]) -> tuple[type, ...]:
    return tuple(kind for reference in references for kind in _flat(_found(reference)))


def _found(reference: TypeRef) -> Any:
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _flat(annotation: Any) -> list[type]:
    """Give the classes that a union is made of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _flat(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in _flat(part)]
    return [annotation]


def _described(result: tuple[TypeRef, ...], items: tuple[TypeRef, ...]) -> str:
    return f"{_names(result)} of {_names(items)}" if items else _names(result)


def _names(references: tuple[TypeRef, ...]) -> str:
    if references == JSON:
        return "a JSON value"
    names = [each.rpartition(":")[2] if isinstance(each, str) else each.__name__ for each in references]
    return " or ".join("None" if name == "NoneType" else name for name in names)

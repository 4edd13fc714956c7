"""What a handler of a hook must be and may answer (P6, P7)."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

from lash_hookspecs.markers import TypeRef, handled_hook, hook_info
from lash_hookspecs.specs.decisions import Allow, Deny

__all__ = ["check_answer", "check_colour", "handlers_of"]

Spec = Callable[..., Any]


def handlers_of(part: object) -> dict[str, Spec]:
    """Give the methods of a session plugin that handle a hook, by name, each with its specification."""
    found = {name: handled_hook(inspect.getattr_static(part, name)) for name in dir(type(part))}
    return {name: spec for name, spec in found.items() if spec is not None}


def check_colour(method: Callable[..., Any], spec: Spec, name: str) -> None:
    """Fail unless a method has the colour and the one argument of its hook."""
    wanted = "sync" if hook_info(spec).kind == "offer" else "async"
    colour = "async" if inspect.iscoroutinefunction(method) else "sync"
    assert colour == wanted, f"{name}() is {colour}, and {spec.__name__} is {wanted}"
    names = list(inspect.signature(method).parameters)
    assert names == ["context"], f"{name}() takes {names}, and {spec.__name__} gives it one argument, 'context'"


def check_answer(spec: Spec, answer: object, name: str) -> None:
    """Fail unless an answer is what a hook takes."""
    info = hook_info(spec)
    if info.kind == "observe":
        assert answer is None, f"{name}() observes, and returned {answer!r}"
    elif info.kind == "guard":
        assert isinstance(answer, Allow | Deny), f"{name}() must return ALLOW or Deny(reason), and returned {answer!r}"
        assert isinstance(answer, Allow) or answer.reason.strip(), f"{name}() denies without a reason"
    elif info.kind == "offer":
        assert isinstance(answer, list | tuple), f"{name}() must return a list, and returned {answer!r}"
        _check_items(answer, (info.item or object,), name)
    else:
        allowed = _classes(info.result)
        assert isinstance(answer, allowed), f"{name}() must return what {info.field!r} becomes, and returned {answer!r}"
        if info.items and isinstance(answer, tuple):
            _check_items(answer, info.items, name)


def _check_items(answer: list[Any] | tuple[Any, ...], items: tuple[TypeRef, ...], name: str) -> None:
    allowed = _classes(items)
    for item in answer:
        assert isinstance(item, allowed), f"{name}() returned what holds {item!r}"


def _classes(references: tuple[TypeRef, ...]) -> tuple[type, ...]:
    return tuple(each for reference in references for each in _flat(_found(reference)))


def _found(reference: TypeRef) -> Any:
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _flat(annotation: Any) -> list[type]:
    """Give the classes that a union is made of."""
    if get_origin(annotation) is Annotated:
        return _flat(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for part in get_args(annotation) for each in _flat(part)]
    return [annotation]

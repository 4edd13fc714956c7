"""What a plugin is given is its own: records are frozen, but the dicts and lists in them are not."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, overload

import attrs

__all__ = ["OwnCopies", "own"]

T = TypeVar("T")
Copier = Callable[[Any], Any]

#: Annotations of fields in which nothing is looked for, as attrs classes write them down.
_PLAIN_WORDS = frozenset(
    ("str", "int", "float", "bool", "bytes", "None", "frozenset[str]", "Path", "Receipt", "SessionServices")
)


def own(value: Any) -> Any:
    """Give a value with dicts and lists of its own; the very same one where there are none in it.

    Looks into dicts, lists, tuples, attrs classes and pydantic models; what else there is, such as a session's
    services, is handed on.
    """
    kind = type(value)
    copier = _copiers.get(kind)
    if copier is None:
        copier = _copiers[kind] = _copier_of(kind)
    return copier(value)


def _same(value: Any) -> Any:
    return value


def _dict(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: own(item) for key, item in value.items()}


def _list(value: list[Any]) -> list[Any]:
    return [own(item) for item in value]


def _tuple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    owned = tuple(map(own, value))
    return value if all(map(_is, owned, value)) else owned


def _is(one: object, other: object) -> bool:
    return one is other


_copiers: dict[type, Copier] = {str: _same, int: _same, bool: _same, dict: _dict, list: _list, tuple: _tuple, set: set}


def _copier_of(kind: type) -> Copier:
    if attrs.has(kind):
        return _of_fields(_attrs_fields(kind), attrs.evolve)
    if hasattr(kind, "model_fields"):
        return _of_fields(_model_fields(kind, set()), lambda value, **changes: value.model_copy(update=changes))
    return _same


def _of_fields(names: tuple[str, ...], evolve: Callable[..., Any]) -> Copier:
    if not names:
        return _same

    def copy(value: Any) -> Any:
        changes = {}
        for name in names:
            before = getattr(value, name)
            after = own(before)
            if after is not before:
                changes[name] = after
        return evolve(value, **changes) if changes else value

    return copy


def _attrs_fields(kind: type) -> tuple[str, ...]:
    """Give the fields that may hold something that can be changed; types are words there, for a type checker only."""
    words = {each.name: str(each.type) for each in attrs.fields(kind) if each.init}
    return tuple(name for name, word in words.items() if not _PLAIN_WORDS.issuperset(word.split(" | ")))


def _model_fields(kind: Any, seen: set[type]) -> tuple[str, ...]:
    seen.add(kind)
    return tuple(name for name, field in kind.model_fields.items() if _may_change(field.annotation, seen))


def _may_change(annotation: Any, seen: set[type]) -> bool:
    """Tell whether a value of that type may hold a dict or a list; in doubt it may."""
    if annotation in (str, int, float, bool, bytes, type(None), Ellipsis) or get_origin(annotation) is Literal:
        return False
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation in seen or bool(_model_fields(annotation, seen))
    if get_origin(annotation) in (tuple, Annotated, Union, types.UnionType):
        return any(_may_change(each, seen) for each in get_args(annotation) if not _is_metadata(each))
    return True


def _is_metadata(argument: object) -> bool:
    """Tell what stands behind the type in an ``Annotated``."""
    return not isinstance(argument, type) and get_origin(argument) is None and argument is not Ellipsis


class OwnCopies(Sequence[T]):
    """A sequence of values, each of which is copied as `own` does when somebody looks at it."""

    def __init__(self, values: Sequence[T]) -> None:
        self._values = values

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(map(own, self._values[index]))
        value: T = own(self._values[index])
        return value

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[T]:
        return map(own, self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self._values) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self._values))

    def __repr__(self) -> str:
        return repr(tuple(self._values))

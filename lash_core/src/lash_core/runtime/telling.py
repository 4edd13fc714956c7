"""Errors as JSON, for another process; they come back as what they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lash_hookspecs.errors import LashError, TurnError

__all__ = ["document_of", "error_of"]


def document_of(error: BaseException) -> dict[str, Any]:
    """Tell an error; of what it carries besides its message only what JSON has.

    What is no error of Lash becomes a `TurnError` that names its kind.
    """
    if not isinstance(error, LashError):
        error = TurnError(f"unforeseen {type(error).__name__}: {error}")
    return {"code": error.code, **{name: _plain(value) for name, value in vars(error).items()}}


def error_of(document: Mapping[str, Any]) -> LashError:
    """Make the error that was told; a `TurnError` if its kind is not known here."""
    told = dict(document)
    code = told.pop("code", "")
    kind = next((each for each in _kinds(LashError) if each.code == code), TurnError)
    error = kind.__new__(kind)
    LashError.__init__(error, str(told.pop("message", "")))
    vars(error).update({name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})
    return error


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
        return list(value)
    return None


def _kinds(kind: type[LashError]) -> Iterator[type[LashError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)

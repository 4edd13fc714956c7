"""How values go to PostgreSQL and come back: each in binary, and of one type whatever its content is.

A statement is prepared once for each combination of its parameters' types. The driver's own choice depends on the
value: the smallest integer that holds it, the type of a list's first element, none for a NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, ClassVar, cast

import psycopg
from psycopg.adapt import AdaptersMap, Buffer, Dumper, Loader
from psycopg.pq import Format

__all__ = ["NO_BIGINT", "NO_BYTEA", "NO_TEXT", "Bigints", "Byteas", "Context", "Texts", "dump_value", "type_of"]

_BOOL, _BIGINT, _BYTEA, _TEXT = 16, 20, 17, 25
_BIGINTS, _BYTEAS, _TEXTS = 1016, 1001, 1009

_ESCAPED = re.compile("\1[\1\2]")

_bigint = Struct("!q").pack
_length = Struct("!i").pack
_head = Struct("!iii").pack
_dimension = Struct("!ii").pack


class Bigints(list[int]):
    """An array of integers."""


class Byteas(list["bytes | None"]):
    """An array of byte strings."""


class Texts(list[str]):
    """An array of texts."""


class _NoBigint:
    """NULL, of type bigint."""


class _NoBytea:
    """NULL, of type bytea."""


class _NoText:
    """NULL, of type text."""


NO_BIGINT, NO_BYTEA, NO_TEXT = _NoBigint(), _NoBytea(), _NoText()


def _dump_text(text: str) -> bytes:
    r"""Escape what no text in PostgreSQL may hold.

    ``\0`` goes as ``\1\1`` and ``\1`` as ``\1\2``: what is sent sorts as what it stands for.
    """
    if "\0" in text or "\1" in text:
        text = text.replace("\1", "\1\2").replace("\0", "\1\1")
    return text.encode()


def _dump_bigint(number: int) -> bytes:
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"{number} is not an integer of 64 bits")
    return _bigint(number)


def _dump_array(element: int, items: Sequence[bytes | None]) -> bytes:
    """Write a one-dimensional array; see ``array_recv`` in PostgreSQL's source."""
    if not items:
        return _head(0, 0, element)
    parts = [_head(1, int(None in items), element), _dimension(len(items), 1)]
    for item in items:
        parts += (_length(-1),) if item is None else (_length(len(item)), item)
    return b"".join(parts)


class _Binary(Dumper):
    """Writes values of one type in binary."""

    format = Format.BINARY
    write: ClassVar[staticmethod[[Any], bytes | None]]

    def dump(self, obj: object) -> bytes | None:
        return self.write(obj)


class _TextLoader(Loader):
    """Undoes `_dump_text`."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        return _ESCAPED.sub(lambda found: "\0" if found[0] == "\1\1" else "\1", text) if "\1" in text else text


#: How each type of value goes, and what PostgreSQL calls it.
_FORMS: dict[type, tuple[int, Callable[[Any], bytes | None]]] = {
    str: (_TEXT, _dump_text),
    int: (_BIGINT, _dump_bigint),
    bytes: (_BYTEA, lambda body: body),
    bool: (_BOOL, lambda flag: b"\1" if flag else b"\0"),
    Bigints: (_BIGINTS, lambda items: _dump_array(_BIGINT, [_dump_bigint(item) for item in items])),
    Byteas: (_BYTEAS, lambda items: _dump_array(_BYTEA, items)),
    Texts: (_TEXTS, lambda items: _dump_array(_TEXT, [_dump_text(item) for item in items])),
    _NoBigint: (_BIGINT, lambda _: None),
    _NoBytea: (_BYTEA, lambda _: None),
    _NoText: (_TEXT, lambda _: None),
}


def dump_value(value: object) -> bytes | None:
    """Write a value in binary, as the dumpers do."""
    return _form(value)[1](value)


def type_of(value: object) -> int:
    """Give the type that a value is sent as."""
    return _form(value)[0]


def _form(value: object) -> tuple[int, Callable[[Any], bytes | None]]:
    cls = type(value)
    return _FORMS.get(cls) or next(_FORMS[known] for known in cls.__mro__ if known in _FORMS)


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    for cls, (oid, dump) in _FORMS.items():
        if cls not in (bytes, bool):  # the driver's own are as good
            dumper = type("_Dumper", (_Binary,), {"oid": oid, "write": staticmethod(dump)})
            adapters.register_dumper(cls, dumper)
    adapters.register_loader("text", _TextLoader)
    return adapters


class Context:
    """Hands the adapters to a new connection."""

    adapters: ClassVar[AdaptersMap] = _adapters()
    connection: ClassVar[Any] = cast(Any, None)

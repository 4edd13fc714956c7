"""How values go to PostgreSQL and come back: each in binary, and of one type whatever its content is.

A statement is prepared once for each combination of its parameters' types. The driver's own choice depends on the
value: the smallest integer that holds it, the type of a list's first element, none for a NULL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct
from typing import Any, ClassVar, cast

import psycopg
from psycopg.adapt import AdaptersMap, Buffer, Dumper, Loader
from psycopg.pq import Format

__all__ = ["NO_BIGINT", "NO_BYTEA", "NO_TEXT", "Bigints", "Byteas", "Context", "Texts"]

_BIGINT, _BYTEA, _TEXT = 20, 17, 25
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
    format = Format.BINARY


class _TextDumper(_Binary):
    oid = _TEXT

    def dump(self, obj: str) -> bytes:
        return _dump_text(obj)


class _BigintDumper(_Binary):
    oid = _BIGINT

    def dump(self, obj: int) -> bytes:
        return _dump_bigint(obj)


class _BigintsDumper(_Binary):
    oid = _BIGINTS

    def dump(self, obj: Bigints) -> bytes:
        return _dump_array(_BIGINT, [_dump_bigint(item) for item in obj])


class _ByteasDumper(_Binary):
    oid = _BYTEAS

    def dump(self, obj: Byteas) -> bytes:
        return _dump_array(_BYTEA, obj)


class _TextsDumper(_Binary):
    oid = _TEXTS

    def dump(self, obj: Texts) -> bytes:
        return _dump_array(_TEXT, [_dump_text(item) for item in obj])


class _NullDumper(_Binary):
    def dump(self, obj: object) -> None:
        return None


class _NoBigintDumper(_NullDumper):
    oid = _BIGINT


class _NoByteaDumper(_NullDumper):
    oid = _BYTEA


class _NoTextDumper(_NullDumper):
    oid = _TEXT


class _TextLoader(Loader):
    """Undoes `_dump_text`."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        return _ESCAPED.sub(lambda found: "\0" if found[0] == "\1\1" else "\1", text) if "\1" in text else text


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    dumpers: dict[type, type[Dumper]] = {
        str: _TextDumper,
        int: _BigintDumper,
        Bigints: _BigintsDumper,
        Byteas: _ByteasDumper,
        Texts: _TextsDumper,
        _NoBigint: _NoBigintDumper,
        _NoBytea: _NoByteaDumper,
        _NoText: _NoTextDumper,
    }
    for cls, dumper in dumpers.items():
        adapters.register_dumper(cls, dumper)
    adapters.register_loader("text", _TextLoader)
    return adapters


class Context:
    """Hands the adapters to a new connection."""

    adapters: ClassVar[AdaptersMap] = _adapters()
    connection: ClassVar[Any] = cast(Any, None)

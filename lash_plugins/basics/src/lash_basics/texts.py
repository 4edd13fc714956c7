"""Reading text files piece by piece, whatever they hold."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

import attrs

__all__ = ["BINARY_PROBE", "SCAN_LIMIT", "Counts", "count_text", "is_binary", "iter_lines"]

#: Bytes looked at to tell text from binary.
BINARY_PROBE = 8192

#: Bytes of one file that a call looks at; what lies behind is said to be left out.
SCAN_LIMIT = 256 * 1024 * 1024

_CHUNK = 1 << 20

#: Characters of one line that are kept.
_LINE_LIMIT = 1 << 16

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@attrs.frozen
class Counts:
    """What is in a text; ``complete`` is false when the file went beyond `SCAN_LIMIT`."""

    lines: int
    words: int
    characters: int
    complete: bool


def is_binary(head: bytes) -> bool:
    """Tell by its first bytes whether a file is no text: a NUL that no byte order mark explains."""
    return b"\0" in head and not any(head.startswith(mark) for mark, _codec in _BOMS)


def iter_lines(file: BinaryIO) -> Iterator[str]:
    """Give the lines of a file without their ends; a line is cut after 65,536 characters."""
    rest = ""
    for piece in _pieces(file):
        lines = (rest + piece).split("\n")
        rest = lines.pop()[: 2 * _LINE_LIMIT]
        for line in lines:
            yield line.removesuffix("\r")[:_LINE_LIMIT]
    if rest:
        yield rest[:_LINE_LIMIT]


def count_text(file: BinaryIO) -> Counts:
    """Count lines, words and characters; a last line without an end counts as a line."""
    newlines = words = characters = 0
    in_word = False
    last = "\n"
    for piece in _pieces(file):
        newlines += piece.count("\n")
        characters += len(piece)
        words += len(piece.split()) - (in_word and not piece[0].isspace())
        in_word = not piece[-1].isspace()
        last = piece[-1]
    return Counts(newlines + (last != "\n"), words, characters, file.tell() < SCAN_LIMIT)


def _pieces(file: BinaryIO) -> Iterator[str]:
    """Decode the file from its start; what is no UTF-8 (or marked UTF-16) becomes U+FFFD."""
    file.seek(0)
    chunk = file.read(_CHUNK)
    codec = next((codec for mark, codec in _BOMS if chunk.startswith(mark)), "utf-8")
    decoder = codecs.getincrementaldecoder(codec)("replace")
    seen = 0
    while chunk:
        seen += len(chunk)
        if piece := decoder.decode(chunk):
            yield piece
        chunk = file.read(_CHUNK) if seen < SCAN_LIMIT else b""
    if piece := decoder.decode(b"", True):
        yield piece

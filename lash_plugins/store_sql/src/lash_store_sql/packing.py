"""Payloads and documents that are stored compressed, with a dictionary that comes with this package.

What is stored begins with a byte that no UTF-8 text has, and a number: how it is packed, which names the dictionary,
too. A number is never given to another dictionary, so what one version wrote every later one reads. The dictionary was
trained on the project's own text, not on anybody's sessions: what is deleted or redacted is in no dictionary.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from lash_hookspecs.errors import ConfigurationError

from lash_store_sql.rows import RowError, escaped

__all__ = ["INSTALL", "compressor", "unpack"]

#: What to do about a missing library.
INSTALL = "install it with: pip install 'lash-store-sql[zstd]'"

_PLAIN, _FIRST = 0, 1
_DICTIONARIES = {_FIRST: "dictionary_1.txt"}
_LEVEL = 3
#: Below this, what is saved is less than what unpacking costs.
_SMALL = 96

#: Objects of the library serve one thread at a time.
_mine = threading.local()


def compressor() -> Callable[[bytes], bytes]:
    """Give what packs bodies for a store with compression.

    Raises:
        ConfigurationError: The library is not installed.
    """
    compress = (
        _library()
        .ZstdCompressor(level=_LEVEL, dict_data=_dictionary(_FIRST), write_checksum=False, write_dict_id=False)
        .compress
    )

    def pack(body: bytes) -> bytes:
        if len(body) >= _SMALL:
            packed = compress(body)
            if len(packed) + 2 < len(body):
                return b"\xff%c%b" % (_FIRST, packed)
        return escaped(body)

    return pack


def unpack(stored: bytes, row: str) -> bytes:
    """Undo what `compressor` did; to be called with what begins with the byte 255.

    Raises:
        RowError: It cannot be undone.
        ConfigurationError: The library is not installed.
    """
    number = stored[1] if len(stored) > 1 else -1
    if number == _PLAIN:
        return stored[2:]
    if number not in _DICTIONARIES:
        raise RowError(row, f"packing {number} is of a later version")
    known = _mine.__dict__.setdefault("decompressors", {})
    if number not in known:
        known[number] = _library().ZstdDecompressor(dict_data=_dictionary(number))
    try:
        body: bytes = known[number].decompress(stored[2:])
    except _library().ZstdError as error:
        raise RowError(row, str(error)) from error
    return body


def _dictionary(number: int) -> Any:
    text = files("lash_store_sql").joinpath(_DICTIONARIES[number]).read_bytes()  # in Base64
    dictionary = _library().ZstdCompressionDict(base64.b64decode(text))
    if number == _FIRST:
        dictionary.precompute_compress(level=_LEVEL)
    return dictionary


def _library() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise ConfigurationError(
            f"the store is compressed with zstd, and zstandard is not installed: {INSTALL}"
        ) from error
    return zstandard

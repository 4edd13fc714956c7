"""Files that a user sends, a tool returns and a model sees: named by their content.

What a reference says of identity, length and (where the bytes show it) media type and size in pixels comes from the
bytes, never from whoever sent them.
"""

from __future__ import annotations

import base64
import re
import struct
import unicodedata
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.store import blob_ref
from lash_hookspecs.records.text import clean_text

__all__ = [
    "OCTETS",
    "TEXT_TYPES",
    "AttachmentData",
    "AttachmentRef",
    "Stored",
    "guess_media_type",
    "is_text",
    "media_type_in",
    "not_shown",
    "takes",
]

#: The media type of bytes of which nothing is known.
OCTETS = "application/octet-stream"

#: Prefixes of the media types that are shown to a model as text.
TEXT_TYPES = ("text/", "application/json", "application/toml", "application/xml", "application/yaml")

#: Where the bytes are: among the blobs of the session's own store, or in the `AttachmentStore` of the app.
Stored = Literal["session", "external"]

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
_MAX_NAME = 200


class AttachmentRef(Record):
    """A file, named by its content; make it with `of`.

    Attributes:
        id: Lower-case hex SHA-256 of the bytes, as `lash_hookspecs.records.store.blob_ref` gives it.
        media_type: Such as ``image/png``; ``application/octet-stream`` when nothing is known.
        size: Bytes.
        name: What it is called, for people and models; never a path.
        width: Pixels, of an image whose header tells it.
        height: Pixels, of an image whose header tells it.
    """

    id: str = Field(pattern=r"^[0-9a-f]{64}$")
    media_type: str = OCTETS
    size: int = Field(ge=0)
    name: str | None = None
    width: int | None = None
    height: int | None = None

    @classmethod
    def of(cls, data: bytes, *, media_type: str | None = None, name: str | None = None) -> AttachmentRef:
        """Name bytes.

        Args:
            data: The whole file.
            media_type: Counts where the bytes themselves do not show what they are.
            name: What the file is called; of a path only the last part is kept.

        Raises:
            InvalidInput: ``media_type`` is no media type.
        """
        found = media_type_in(data)
        width, height = _dimensions(data, found)
        return cls(
            id=blob_ref(data),
            media_type=found or _given(media_type),
            size=len(data),
            name=_plain_name(name),
            width=width,
            height=height,
        )

    def describe(self) -> str:
        """Say what it is, for people and models: ``chart.png (image/png, 1,234 bytes)``."""
        unit = "byte" if self.size == 1 else "bytes"
        return f"{self.name or self.id[:12]} ({self.media_type}, {self.size:,} {unit})"


def _decoded(value: object) -> object:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode("ascii")


class AttachmentData(Record):
    """A file in a model request.

    Attributes:
        ref: The file.
        stored: Where its bytes are.
        data: Its bytes, base64 in JSON; ``None`` until the runtime has read them, just before the call.
    """

    ref: AttachmentRef
    stored: Stored = "session"
    data: Annotated[
        bytes | None,
        BeforeValidator(_decoded),
        PlainSerializer(_encoded, return_type=str | None, when_used="json-unless-none"),
    ] = Field(default=None, repr=False)


def not_shown(ref: AttachmentRef) -> str:
    """Give the note that stands for a file that a model cannot take."""
    return f"[attachment {ref.describe()} was not shown: the model cannot take it]"


def takes(prefixes: tuple[str, ...], media_type: str) -> bool:
    """Tell whether a media type begins with one of the prefixes; the empty prefix takes everything."""
    return media_type.startswith(prefixes)


def is_text(media_type: str) -> bool:
    """Tell whether a file of this type is shown to a model as text."""
    return media_type.startswith(TEXT_TYPES) or media_type.endswith(("+json", "+xml"))


def guess_media_type(data: bytes, name: str | None) -> str | None:
    """Guess what a file is of which nobody said it: UTF-8 text, by its name where that tells more.

    The same on every machine; ``None`` for everything else.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    suffix = (name or "").rpartition(".")[2].lower()
    return _TEXT_SUFFIXES.get(suffix, "text/plain")


_TEXT_SUFFIXES = {
    "css": "text/css",
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "json": "application/json",
    "markdown": "text/markdown",
    "md": "text/markdown",
    "svg": "image/svg+xml",
    "toml": "application/toml",
    "tsv": "text/tab-separated-values",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}


def media_type_in(data: bytes) -> str | None:
    """Recognise PNG, JPEG, GIF, WEBP, BMP and PDF by their first bytes; ``None`` for everything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    if data.startswith(b"BM") and len(data) >= 26 and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    return None


#: Lengths of the header behind the first 14 bytes of a bitmap; a text that begins with "BM" has none of them.
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})

#: What the bytes themselves show: a file that is said to be one of these and is not, is not.
_SHOWN_BY_BYTES = frozenset(
    {"image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp", "image/bmp", "application/pdf"}
)


def _given(media_type: str | None) -> str:
    if media_type is None:
        return OCTETS
    plain = media_type.partition(";")[0].strip().lower()
    if len(plain) > 127 or not _MEDIA_TYPE.fullmatch(plain):
        raise InvalidInput(f"{media_type[:127]!r} is no media type; write one such as 'text/plain', or none")
    return OCTETS if plain in _SHOWN_BY_BYTES else plain


def _plain_name(name: str | None) -> str | None:
    """Keep what is safe to print, and to use as the name of a file: the last part of a path, without controls."""
    last = re.split(r"[/\\]", clean_text(name or "").rstrip("/\\"))[-1]
    shown = "".join(each for each in last if unicodedata.category(each) not in ("Cc", "Cf", "Zl", "Zp")).strip()
    return None if shown in ("", ".", "..") else shown[:_MAX_NAME]


def _dimensions(data: bytes, media_type: str | None) -> tuple[int | None, int | None]:
    read = _READERS.get(media_type or "")
    try:
        width, height = read(data) if read else (0, 0)
    except (struct.error, IndexError):  # cut off: the header does not tell
        width = height = 0
    return (width, height) if width > 0 and height > 0 else (None, None)


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)
    return width, abs(height)


def _webp(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header (ISO/IEC 10918-1, B.2.2)."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return 0, 0


_READERS: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "image/bmp": _bmp,
    "image/gif": _gif,
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
}

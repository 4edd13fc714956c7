"""Small files of every kind that is recognised."""

from __future__ import annotations

import struct
import zlib

__all__ = ["BMP", "GIF", "JPEG", "PDF", "PNG", "WEBP_LOSSLESS", "WEBP_LOSSY", "WEBP_WIDE", "png"]


def png(width: int, height: int, shade: int = 0) -> bytes:
    """Make a whole grey PNG that any viewer opens."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\0" + bytes([shade]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows, 0)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PNG = png(3, 2)
GIF = b"GIF89a" + struct.pack("<HH", 7, 5) + b"\0\0\0;"
BMP = b"BM" + bytes(12) + struct.pack("<Iii", 40, 11, -13) + bytes(28)
JPEG = (
    b"\xff\xd8"
    + (b"\xff\xe0" + struct.pack(">H", 16) + bytes(14))
    + b"\xff"  # a fill byte
    + (b"\xff\xc2" + struct.pack(">HBHH", 11, 8, 17, 19) + bytes(4))
    + b"\xff\xd9"
)
WEBP_LOSSY = b"RIFF" + bytes(4) + b"WEBPVP8 " + bytes(10) + struct.pack("<HH", 23, 29)
WEBP_LOSSLESS = b"RIFF" + bytes(4) + b"WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 30 | 36 << 14)
WEBP_WIDE = b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + (40).to_bytes(3, "little") + (42).to_bytes(3, "little")
PDF = b"%PDF-1.7\n%\xe2\xe3\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"

"""Files as an app or a command names them: a path, bytes, or a file that is stored already."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentRef

__all__ = ["Attachable", "read_attachment", "read_file"]

#: What may be attached.
Attachable = str | Path | bytes | Attachment | AttachmentRef


async def read_attachment(given: str | Path | bytes | Attachment, limit: int) -> Attachment:
    """Give a file with its bytes.

    Raises:
        InvalidInput: A path names nothing that can be read, or there are more than ``limit`` bytes.
    """
    if isinstance(given, (str, Path)):
        return await asyncio.to_thread(read_file, Path(given), limit)
    if isinstance(given, bytes):
        return Attachment(given)
    if isinstance(given, Attachment):
        return given
    raise InvalidInput(f"a {type(given).__name__} cannot be attached: give a path, bytes, an Attachment or its ref")


def read_file(path: Path, limit: int) -> Attachment:
    """Read a file; its name goes along, its folder does not.

    Raises:
        InvalidInput: It cannot be read, or has more than ``limit`` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)  # a device may have no end
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise InvalidInput(f"{os.fspath(path)!r} cannot be attached: {reason}") from error
    if len(data) > limit:
        raise InvalidInput(f"{os.fspath(path)!r} cannot be attached: it has more than {limit:,} bytes")
    return Attachment(data, name=path.name)

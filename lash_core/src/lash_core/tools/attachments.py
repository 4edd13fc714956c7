"""Files that tools return: kept in the session's store, with a note where they stood in the output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.tools import ToolResult

__all__ = ["Keep", "keep_attachments", "set_aside"]

#: Stores a file durably and names it.
Keep = Callable[[Attachment], Awaitable[AttachmentRef]]


def set_aside(value: Any, files: dict[str, Attachment]) -> Any:
    """Take the files out of what a tool returned; ``[attachment 1: chart.png (…)]`` stands in the place of the first.

    Args:
        value: JSON in which `Attachment` objects may stand; bytes count as one.
        files: Gets the files by id, in the order of their numbers.

    Raises:
        InvalidInput: A media type that the tool gave is none.
    """
    if isinstance(value, bytes):
        value = Attachment(value)
    if isinstance(value, Attachment):
        ref = value.ref()
        files.setdefault(ref.id, value)
        return f"[attachment {list(files).index(ref.id) + 1}: {ref.describe()}]"
    if isinstance(value, Mapping):
        return {key: set_aside(item, files) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [set_aside(item, files) for item in value]
    return value


async def keep_attachments(result: ToolResult, files: Mapping[str, Attachment], keep: Keep | None) -> ToolResult:
    """Store what a tool returned beside its output; the output says so of a file that cannot be kept.

    Raises:
        StoreError: The store failed: the turn cannot go on.
    """
    refs: list[AttachmentRef] = []
    notes: list[str] = []
    for number, file in enumerate(files.values(), 1):
        try:
            if keep is None:
                raise InvalidInput("no attachments are kept here")
            refs.append(await keep(file))
        except InvalidInput as error:
            notes.append(f"[attachment {number} was not kept: {error.message}]")
    output = result.output
    if notes:
        output = "\n".join([result.text, *notes])
    return result.evolve(output=output, attachments=tuple(refs))

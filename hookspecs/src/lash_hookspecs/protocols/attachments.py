"""What keeps attachments."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lash_hookspecs.records.attachments import AttachmentRef

__all__ = ["AttachmentStore"]


@runtime_checkable
class AttachmentStore(Protocol):
    """Files by content: the same bytes are kept once, and are never changed."""

    async def put(self, data: bytes, *, media_type: str | None = None, name: str | None = None) -> AttachmentRef:
        """Keep a file durably and name it, with `AttachmentRef.of`; keeping it again changes nothing.

        Raises:
            InvalidInput: ``media_type`` is no media type.
            StoreError: It cannot be kept.
        """
        ...

    async def get(self, ref: AttachmentRef) -> bytes:
        """Give the bytes of a file, whoever put it.

        Raises:
            MissingAttachment: It is not there.
            UnreadableData: What is there are other bytes.
        """
        ...

    async def close(self) -> None:
        """Give back what was opened; may be called twice."""
        ...

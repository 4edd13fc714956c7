"""Attachments among the blobs of the session's own store: a node keeps them as long as it lives."""

from __future__ import annotations

from lash_hookspecs.errors import MissingAttachment, MissingBlob, UnreadableData
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.store import blob_ref

__all__ = ["SessionAttachments", "checked"]


class SessionAttachments:
    """An `lash_hookspecs.protocols.attachments.AttachmentStore` in a session's store.

    The store keeps a blob as long as a node refers to it; one that no node refers to is garbage after a while (S8).
    """

    def __init__(self, store: SessionStore, session_id: str) -> None:
        """Keep attachments in a session's store; the session need not exist yet."""
        self._store = store
        self._session_id = session_id

    async def put(self, data: bytes, *, media_type: str | None = None, name: str | None = None) -> AttachmentRef:
        """Keep a file."""
        ref = AttachmentRef.of(data, media_type=media_type, name=name)
        await self._store.put_blobs([data])
        return ref

    async def get(self, ref: AttachmentRef) -> bytes:
        """Give the bytes of a file.

        Raises:
            MissingAttachment: The store has no such blob.
            UnreadableData: What the store has are other bytes.
        """
        try:
            bodies = await self._store.get_blobs([ref.id])
        except MissingBlob as error:
            raise MissingAttachment(
                ref.describe(),
                attachment_id=ref.id,
                where=f"the store of session {self._session_id!r}",
                session_id=self._session_id,
            ) from error
        return checked(bodies[ref.id], ref)

    async def close(self) -> None:
        """Do nothing: the store belongs to somebody else."""


def checked(data: bytes, ref: AttachmentRef) -> bytes:
    """Give the bytes if they are the ones that the reference names.

    Raises:
        UnreadableData: They are others.
    """
    if blob_ref(data) != ref.id:
        raise UnreadableData(row=f"attachment {ref.describe()}", reason=f"its bytes are not those of {ref.id}")
    return data

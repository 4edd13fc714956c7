"""Attachments in a folder of the file system.

The layout is ``ROOT/sha256/ab/<id>``, with ``ab`` the first two digits of the id; a path is made of nothing else, so no
name of a file ever becomes one. Everything below the root is opened from the open folder above it and never through a
symbolic link.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from lash_hookspecs.errors import MissingAttachment, StoreError, StoreFull, StoreUnavailable, UnreadableData
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.store import blob_ref

from lash_core.attachments.session_store import checked

__all__ = ["FolderAttachments"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ID = re.compile(r"[0-9a-f]{64}")


class FolderAttachments:
    """An `lash_hookspecs.protocols.attachments.AttachmentStore` in a folder; any number of processes may share it.

    A file appears under its name only when it is whole and on the disk. Nobody else may read what is written here.
    """

    def __init__(self, path: str | Path) -> None:
        """Use a folder; it is made with the first file."""
        self.path = Path(path).absolute()

    async def put(self, data: bytes, *, media_type: str | None = None, name: str | None = None) -> AttachmentRef:
        """Keep a file; one that is there already is looked at, and mended if its bytes have changed.

        Raises:
            InvalidInput: ``media_type`` is no media type.
            StoreUnavailable: The folder cannot be written.
            StoreFull: The disk is full.
        """
        ref = AttachmentRef.of(data, media_type=media_type, name=name)
        await asyncio.to_thread(self._put, ref, data)
        return ref

    async def get(self, ref: AttachmentRef) -> bytes:
        """Give the bytes of a file.

        Raises:
            MissingAttachment: It is not there.
            UnreadableData: It is no regular file, or holds other bytes.
            StoreUnavailable: The folder cannot be read.
        """
        return await asyncio.to_thread(self._get, ref)

    async def close(self) -> None:
        """Do nothing: no file is left open."""

    def _put(self, ref: AttachmentRef, data: bytes) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._shelf(ref.id, make=True) as shelf:
                if not _holds(shelf, ref.id, data):
                    _write(shelf, ref.id, data)
        except OSError as error:
            raise self._failed(error) from error

    def _get(self, ref: AttachmentRef) -> bytes:
        try:
            if not _ID.fullmatch(ref.id):
                raise FileNotFoundError(errno.ENOENT, "no such id")
            with self._shelf(ref.id, make=False) as shelf:
                data = _read(shelf, ref.id)
        except FileNotFoundError as error:
            raise MissingAttachment(ref.describe(), attachment_id=ref.id, where=str(self.path)) from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
                reason = "a link or something else stands where the file should be"
                raise UnreadableData(row=f"attachment {ref.describe()}", reason=reason) from error
            raise self._failed(error) from error
        return checked(data, ref)

    @contextlib.contextmanager
    def _shelf(self, identity: str, *, make: bool) -> Iterator[int]:
        """Open the folder that a file belongs in."""
        with contextlib.ExitStack() as opened:
            # The root may be reached through links: it is the owner's choice where it is.
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, folder)
            for step in ("sha256", identity[:2]):
                if make:
                    _make_folder(folder, step)
                folder = os.open(step, _FOLDER, dir_fd=folder)
                opened.callback(os.close, folder)
            yield folder

    def _failed(self, error: OSError) -> StoreError:
        kind = StoreFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreUnavailable
        return kind(f"attachments in {self.path}: {error.strerror}")


def _make_folder(parent: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)  # a new name is durable only with its folder


def _holds(shelf: int, identity: str, data: bytes) -> bool:
    try:
        return blob_ref(_read(shelf, identity, limit=len(data) + 1)) == identity
    except OSError:
        return False  # absent, or something that is no file: the rename takes its place


def _read(shelf: int, identity: str, limit: int = -1) -> bytes:
    descriptor = os.open(identity, _READ, dir_fd=shelf)  # never waits, whatever stands there
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EISDIR, "no regular file")
        return file.read(limit)


def _write(shelf: int, identity: str, data: bytes) -> None:
    fresh = f".{identity}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(fresh, _WRITE, 0o600, dir_fd=shelf), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, identity, src_dir_fd=shelf, dst_dir_fd=shelf)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=shelf)
        raise
    os.fsync(shelf)

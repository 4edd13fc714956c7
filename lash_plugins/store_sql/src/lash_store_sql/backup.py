"""A copy of a SQLite file at one moment, while others write to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from lash_hookspecs.errors import StoreUnavailable

from lash_store_sql.database import connect
from lash_store_sql.faults import translate

__all__ = ["copy_file"]

#: Pages that are copied between two words of progress.
_PAGES = 2048


def copy_file(source: Path, target: Path, progress: Callable[[int, int], None]) -> int:
    """Copy a database into a new file that only its owner can read; give its size in bytes.

    It is written beside the target and gets its name when it is whole and on the disk.

    Raises:
        StoreUnavailable: The target is there, or cannot be written.
        StoreFull: The disk is full.
    """
    if target.exists() or target.is_symlink():
        raise StoreUnavailable(f"{target} is there already: a backup is written into a new file")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _copy(source, unfinished, progress)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.link(unfinished, target)
        _sync(target.parent)
    except FileExistsError as error:
        raise StoreUnavailable(f"{target} is there already: a backup is written into a new file") from error
    except OSError as error:
        raise StoreUnavailable(f"cannot write {target}: {error.strerror}") from error
    finally:
        for left in (
            unfinished,
            *(unfinished.with_name(unfinished.name + end) for end in ("-wal", "-shm", "-journal")),
        ):
            with contextlib.suppress(OSError):
                left.unlink()
    return target.stat().st_size


def _copy(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    with contextlib.closing(connect(source, writes=False)) as reader:
        # A transaction that is open keeps the backup to one moment; without, every foreign write begins it anew.
        reader.begin_read()
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        try:
            with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as writer:
                writer.execute("PRAGMA synchronous=OFF")  # synced once, when it is whole
                reader.backup(writer, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total))
        except sqlite3.Error as error:
            raise translate(error, target, "backup", None) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""LMDB: an environment for each folder and process, transactions on it, its errors in the words of the contract."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import lmdb
from lash_hookspecs.errors import StoreBusy, StoreFull, StoreUnavailable

__all__ = ["Database", "Transaction"]

#: What the store may grow to: address space that LMDB reserves, not memory and not disk.
MAP_SIZE = 1 << 38

#: How many may read at once, in all processes.
READERS = 1024

#: Seconds between two looks at a lock that another process holds.
LOOK = 0.002


@attrs.frozen
class Transaction:
    """What is read, or read and written, at one moment: rows in the order of their keys."""

    _txn: lmdb.Transaction[bytes]
    _crash_point: Callable[[str], None]

    @property
    def id(self) -> int:
        return self._txn.id()

    def get(self, key: bytes) -> bytes | None:
        return self._txn.get(key)

    def put(self, key: bytes, row: bytes) -> None:
        self._txn.put(key, row)
        self._crash_point(f"{key[:1]!r} is put, the transaction is open")

    def delete(self, key: bytes) -> None:
        self._txn.delete(key)
        self._crash_point(f"{key[:1]!r} is deleted, the transaction is open")

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give the rows whose keys begin so, from ``prefix + start`` on; nothing may be written meanwhile."""
        with self._txn.cursor() as cursor:
            if cursor.set_range(prefix + start):
                for key, row in cursor:
                    if not key.startswith(prefix):
                        return
                    yield key, row

    def keys(self, prefix: bytes) -> list[bytes]:
        with self._txn.cursor() as cursor:
            found: list[bytes] = []
            if cursor.set_range(prefix):
                for key in cursor.iternext(values=False):
                    if not key.startswith(prefix):
                        break
                    found.append(key)
            return found

    def last(self, prefix: bytes) -> bytes | None:
        """Give the last key that begins so and ends with a number."""
        with self._txn.cursor() as cursor:
            found = cursor.set_range(prefix + b"\xff" * 9)
            key = cursor.key() if (cursor.prev() if found else cursor.last()) else b""
            return key if key.startswith(prefix) else None

    def drop(self, prefix: bytes) -> None:
        """Delete the rows whose keys begin so."""
        for key in self.keys(prefix):
            self.delete(key)


@attrs.define(eq=False)
class _Shared:
    """An environment: LMDB wants each folder opened once in a process, and closed when nobody is within."""

    env: lmdb.Environment
    users: int = 0
    writing: threading.Lock = attrs.field(factory=threading.Lock)


_shared: dict[Path, _Shared] = {}
_guard = threading.Lock()


class Database:
    """One opening of a folder; every method blocks, and is called in a thread."""

    def __init__(self, place: str, create: bool, timeout: float, crash_point: Callable[[str], None]) -> None:
        """Open a folder.

        Args:
            place: The folder.
            create: Whether it may be made.
            timeout: Seconds for which another writer is waited for.
            crash_point: Called between any two steps of a write.

        Raises:
            StoreUnavailable: It is not there and may not be made, or cannot be used.
        """
        self.place = Path(place).absolute()
        self._timeout, self._crash_point, self._closed = timeout, crash_point, False
        with _told(self.place), _guard:
            self._key = self.place.resolve()
            if self._key not in _shared:
                _shared[self._key] = _Shared(_open(self.place, create))
            self._shared = _shared[self._key]
            self._shared.users += 1

    def close(self) -> None:
        """Give back what was opened; may be called twice. The environment is closed when its last user is gone."""
        with _guard:
            closed, self._closed = self._closed, True
        if not closed:
            self._leave()

    def size(self) -> int:
        with _told(self.place):
            return (self.place / "data.mdb").stat().st_blocks * 512

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """See the store as it is at one moment; waits for nobody."""
        with self._within(), self._shared.env.begin() as txn:
            yield Transaction(txn, self._crash_point)

    @contextmanager
    def writing(self, *, dry_run: bool = False) -> Iterator[Transaction]:
        """Change the store: all of it when the block ends, durably, or nothing if it raises or is a dry run."""
        with self._within(), self._alone():
            txn = self._shared.env.begin(write=True)
            try:
                yield Transaction(txn, self._crash_point)
                self._crash_point("all is put, the transaction is open")
                if not dry_run:
                    txn.commit()
            finally:
                txn.abort()  # does nothing after a commit
            self._crash_point("the transaction is committed")

    @contextmanager
    def _within(self) -> Iterator[None]:
        with _guard:
            if self._closed:
                raise StoreUnavailable(f"the store at {self.place} was closed")
            self._shared.users += 1
        try:
            with _told(self.place):
                yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with _guard:
            self._shared.users -= 1
            if not self._shared.users:
                del _shared[self._key]
                self._shared.env.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the one writer. LMDB has a lock for that, but waits for it without end: so there is one before it."""
        deadline = time.monotonic() + self._timeout
        if not self._shared.writing.acquire(timeout=self._timeout):
            raise self._busy()
        try:
            with (self.place / "writer.lock").open("a") as lock:
                while not _locked(lock.fileno()):
                    if time.monotonic() > deadline:
                        raise self._busy()
                    time.sleep(LOOK)
                yield
        finally:
            self._shared.writing.release()

    def _busy(self) -> StoreBusy:
        return StoreBusy(f"{self.place}: others have been writing for {self._timeout} seconds", retry_after=1.0)


def _open(place: Path, create: bool) -> lmdb.Environment:
    if not (place / "data.mdb").exists():
        if not create:
            raise StoreUnavailable(f"there is no store at {place}")
        return _make(place)
    if not os.access(place, os.W_OK):  # what cannot be written can still be read
        return lmdb.open(str(place), readonly=True, lock=False, create=False, map_size=MAP_SIZE)
    env = lmdb.open(str(place), map_size=MAP_SIZE, max_readers=READERS)
    env.reader_check()  # forgets readers that were killed
    return env


def _make(place: Path) -> lmdb.Environment:
    missing = [folder for folder in (place, *place.parents) if not folder.exists()]
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    env = lmdb.open(str(place), map_size=MAP_SIZE, max_readers=READERS, mode=0o600)
    for folder in {place, *(folder.parent for folder in missing)}:  # a new name is durable only with its folder
        _sync(folder)
    return env


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Tell of what LMDB and the system refuse in the words of the contract."""
    try:
        yield
    except (lmdb.MapFullError, lmdb.DiskError) as error:
        raise StoreFull(f"{place}: {error}") from error
    except (lmdb.Error, OSError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space" in str(error)
        raise (StoreFull if full else StoreUnavailable)(f"{place}: {error}") from error

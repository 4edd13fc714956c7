"""Taking turns between the processes that write to a file.

SQLite lets whoever tries at the right moment have its write lock, and the others try again: some of them starve, and
all of them sleep while the lock is free. So writers queue for a lock on a file beside the database first, where the
kernel wakes the next one. The queue only makes it fast and fair: SQLite's own lock is what keeps writers apart, and one
who cannot queue, or who writes with another program, does without.

It is a record lock of the process, which a child does not inherit and which is gone when the process is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from pathlib import Path

__all__ = ["Turns"]


class Turns:
    """One process's place in the queue.

    Args:
        path: The file that is locked; made when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._useless = False
        self._mine = False
        self._waiter: _Waiter | None = None

    def enter(self, patience: float) -> bool:
        """Wait for the turn; ``False`` when it did not come.

        Args:
            patience: Seconds; with none, nobody is waited for.
        """
        if self._mine or self._useless or (self._file is None and not self._opened()):
            return True
        assert self._file is not None
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                self._useless = True
                return True
            if patience <= 0:
                return False
            if self._waiter is None:
                self._waiter = _Waiter(self._file)
            if not self._waiter.wait(patience):
                return False
        self._mine = True
        return True

    def leave(self) -> None:
        """Let the next one have it."""
        if self._mine and self._file is not None:
            self._mine = False
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give back what was opened."""
        self._useless = True
        self.leave()
        if self._file is not None and self._waiter is None:
            os.close(self._file)
        elif self._waiter is not None:
            self._waiter.end()
        self._file = None

    def _opened(self) -> bool:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.fchmod(self._file, 0o600)
        except OSError:
            self._useless = True
        return self._file is not None


class _Waiter:
    """A thread that waits for the lock: the kernel's wait has no end of its own.

    One who has lost patience leaves it waiting; it gives back what nobody wants any more.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._wanted = threading.Semaphore(0)
        self._got = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._asking = self._waiting = self._ended = False
        threading.Thread(target=self._wait, name="lash-turn", daemon=True).start()

    def wait(self, patience: float) -> bool:
        with self._lock:
            self._asking = True
            if not self._waiting:
                self._waiting = True
                self._wanted.release()
        if self._got.acquire(timeout=patience):
            return True
        with self._lock:
            self._asking = False
            return self._got.acquire(blocking=False)

    def end(self) -> None:
        with self._lock:
            self._ended = True
        self._wanted.release()

    def _wait(self) -> None:
        while True:
            self._wanted.acquire()
            if self._ended:
                break
            with contextlib.suppress(OSError):  # a deadlock that the kernel sees where there is none: go on without
                fcntl.lockf(self._file, fcntl.LOCK_EX)
            with self._lock:
                self._waiting = False
                if self._asking and not self._ended:
                    self._asking = False
                    self._got.release()
                else:
                    with contextlib.suppress(OSError):
                        fcntl.lockf(self._file, fcntl.LOCK_UN)
        os.close(self._file)

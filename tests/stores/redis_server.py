"""A Redis server of our own, on a Unix socket, that can be killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

__all__ = ["EXECUTABLE", "RedisServer"]

EXECUTABLE = shutil.which("redis-server")

#: Seconds for a start; far more than it takes.
_DEADLINE = 30.0


class RedisServer:
    """Keeps each write in its append-only file, synced before the answer, so that SIGKILL loses nothing."""

    def __init__(self) -> None:
        # A socket's path has to be short, and pytest's folders are not.
        self._folder = tempfile.TemporaryDirectory(prefix="lash-redis-")
        self.address = Path(self._folder.name) / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def restart(self) -> None:
        """Start it on what it has stored; return when it takes connections and has read its file."""
        assert EXECUTABLE is not None
        options = {
            "port": "0",
            "unixsocket": str(self.address),
            "dir": self._folder.name,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([EXECUTABLE, *words], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _DEADLINE
        while self._ping() != b"+PONG\r\n":
            assert self._process.poll() is None, f"redis-server ended with {self._process.returncode}"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it with SIGKILL; return when it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill it and forget what it stored."""
        self.kill()
        self._folder.cleanup()

    def _ping(self) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.address))
                client.sendall(b"PING\r\n")
                return client.recv(64)
        except OSError:
            return b""

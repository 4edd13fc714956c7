"""A socket between a client and a PostgreSQL server: counts round trips, and cuts the line when it is told to."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

__all__ = ["Proxy", "proxied"]

_NAME = ".s.PGSQL.5432"

#: What a client says to get what there is already; alone, it has no answer when all was sent.
_FLUSH = b"H\0\0\0\4"


class Proxy:
    """Passes on what a client and a server say.

    Attributes:
        trips: How often a client spoke after the server had.
        cuts: How often the line was cut.
    """

    def __init__(self, folder: str, target: str) -> None:
        self.folder = folder
        self.trips = 0
        self.cuts = 0
        self._target = target
        self._cutting = False
        self.lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/{_NAME}")
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut_next_answer(self) -> None:
        """Let what a client says next reach the server, and the answer nobody; then the line is dead."""
        self._cutting = True

    def close(self) -> None:
        """Take no more clients, and wait for the lines to end."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{self._target}/{_NAME}")
                line = _Line(self, client, server)
                for work in (line.up, line.down):
                    self._start(work)

    def spoke(self) -> None:
        """Note a trip."""
        with self.lock:
            self.trips += 1

    def cuts_now(self) -> bool:
        """Tell once that the line is to be cut."""
        with self.lock:
            cutting, self._cutting = self._cutting, False
            self.cuts += cutting
            return cutting


class _Line:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._answered, self._dead = True, False
        self._left = 2

    def up(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(1 << 16):
                if self._answered and data != _FLUSH:
                    self._answered = False
                    self._proxy.spoke()
                    self._dead = self._dead or self._proxy.cuts_now()
                self._server.sendall(data)
        self._end()

    def down(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 16):
                self._answered = True
                if self._dead:
                    break
                self._client.sendall(data)
        self._end()

    def _end(self) -> None:
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        with self._proxy.lock:
            self._left -= 1
        if not self._left:
            self._client.close()
            self._server.close()


@contextlib.contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    """Give a proxy before the server of a URL, and the URL through it."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    with tempfile.TemporaryDirectory(prefix="lash-px-", dir="/tmp") as folder:
        proxy = Proxy(folder, options["host"])
        options["host"] = folder
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in options.items())
        try:
            yield proxy, urlunsplit(parts._replace(query=query))
        finally:
            proxy.close()
            Path(f"{folder}/{_NAME}").unlink()

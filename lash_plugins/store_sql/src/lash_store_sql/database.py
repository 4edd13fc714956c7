"""Opening a SQLite file: the URL, the file's permissions, the connection's settings and the schema."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import attrs
from lash_hookspecs.errors import ConfigurationError, StoreUnavailable, UnsupportedSchema, redact_url

from lash_store_sql import statements as sql
from lash_store_sql.migrations import STEPS, Step
from lash_store_sql.sqlite_connection import SqliteConnection

__all__ = ["Location", "connect", "make_file", "parse_url", "prepare", "read_version"]

#: SQLite's ``application_id`` of our files: ``LASH`` in ASCII.
APPLICATION_ID = 0x4C415348
#: A page of half the size has twice as much room at its end into which the next node does not fit.
PAGE_SIZE = 16384

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
        compression: ``zstd`` to store payloads and commit documents compressed from now on.
        synchronous: ``full`` makes a commit durable before it is acknowledged; ``normal`` leaves the last ones to the
            next checkpoint: they survive the process, not the machine.
        max_value: The largest value in bytes.
    """

    path: Path
    url: str
    timeout: float = 10.0
    synchronous: Literal["full", "normal"] = "full"
    compression: Literal["zstd"] | None = None
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


def _synchronous(text: str) -> str:
    if text not in ("full", "normal"):
        raise ValueError(text)
    return text


def _compression(text: str) -> str | None:
    if text not in ("zstd", "none"):
        raise ValueError(text)
    return None if text == "none" else text


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "timeout": _seconds,
    "max_value": _count,
    "synchronous": _synchronous,
    "compression": _compression,
}


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
        connection.execute(f"PRAGMA synchronous={location.synchronous}")
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
    """Write the schema into an empty database; check that of another, and bring an older one to this version.

    Raises:
        StoreUnavailable: The database is of something else, or empty and may not be made; or it is older and cannot be
            written.
        UnsupportedSchema: Its schema is newer than this code.
    """
    version = _version(connection, path)
    if version is None and not create:
        raise StoreUnavailable(f"there is no store at {path}: the database is empty")
    if version is None:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode=WAL")
    if version is None or version < sql.SCHEMA_VERSION:
        _write_schema(connection, path)


def _write_schema(connection: SqliteConnection, path: Path) -> None:
    """Write what is missing in one transaction; somebody else may have done it meanwhile."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection, path)
        steps = [Step(sql.SCHEMA_VERSION, sql.COMPATIBLE_VERSION, sql.DDL)] if version is None else STEPS
        if version is None:
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        for step in steps:
            if version is None or step.version > version:
                _take_step(connection, step)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
        raise StoreUnavailable(
            f"{path} has an older schema than version {sql.SCHEMA_VERSION} and cannot be written, so it cannot be "
            "migrated: open it once where it can be, or open a copy"
        ) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _take_step(connection: SqliteConnection, step: Step) -> None:
    for statement in step.sqlite:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO migration (version, applied_at) VALUES (?, ?)", (step.version, time.time_ns() // 1000)
    )
    connection.execute(f"PRAGMA user_version={step.compatible}")


def read_version(path: Path) -> int | None:
    """Read the schema version of a file; ``None`` where there is no database yet.

    Raises:
        StoreUnavailable, UnsupportedSchema: As `prepare`.
    """
    if not _exists(path) or not path.stat().st_size:
        return None
    connection = connect(path, writes=False)
    try:
        return _version(connection, path)
    finally:
        connection.close()


@contextlib.contextmanager
def _one_state(connection: SqliteConnection) -> Iterator[None]:
    """Read one state of the database, though somebody makes it meanwhile."""
    own = not connection.in_transaction
    if own:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if own and connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: SqliteConnection, path: Path) -> int | None:
    """Give the version of the schema; ``None`` for an empty database."""
    with _one_state(connection):
        ((application,),) = connection.execute("PRAGMA application_id")
        ((compatible,),) = connection.execute("PRAGMA user_version")
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if application != APPLICATION_ID:
        if tables or compatible:
            raise StoreUnavailable(f"cannot open {path}: it is a SQLite database of something else")
        return None
    if compatible > sql.SCHEMA_VERSION:
        raise UnsupportedSchema(
            f"{path} has schema version {compatible}; this version of lash-store-sql reads up to {sql.SCHEMA_VERSION}: "
            "upgrade it"
        )
    (known,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'migration'").fetchone()
    if not known:
        return 1  # the first version had no such table
    try:
        (version,) = connection.execute("SELECT max(version) FROM migration").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return sql.SCHEMA_VERSION  # damaged: nothing is migrated, and what is still whole can be read and checked
    return int(version or 1)

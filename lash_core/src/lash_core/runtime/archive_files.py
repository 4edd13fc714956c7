"""The files that archives are written to and read from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lash_hookspecs.errors import ConfigurationError

__all__ = ["new_file", "readable_file"]


@contextlib.contextmanager
def new_file(path: str | Path) -> Iterator[IO[bytes]]:
    """Make a file that only its owner can read; it is gone again if it does not become whole.

    Raises:
        ConfigurationError: It is there already, or cannot be written.
    """
    target = Path(path)
    try:
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{target}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def readable_file(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file that is read twice.

    Raises:
        ConfigurationError: It cannot be.
    """
    try:
        file = Path(path).open("rb")  # noqa: SIM115  what goes wrong later is another error
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    with file:
        if not file.seekable():
            raise ConfigurationError(f"{path}: it can be read only once; make a file of it first")
        yield file

"""``lash-plugins.lock``: which plugins were there when somebody looked at them, as text that a review can read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError

from lash_core.plugins.digests import Digest
from lash_core.settings_file import write_whole

__all__ = ["LOCKFILE", "Locked", "read_lock", "write_lock"]

#: The file's name; it lies beside the settings file.
LOCKFILE = "lash-plugins.lock"

_VERSION = 1
_HEAD = f"""\
# The plugins that may be imported under --locked. Written by `lash plugins lock`, compared by `lash plugins verify`.
version = {_VERSION}
"""


@attrs.frozen
class Locked:
    """What ships plugins: an installed distribution, or a local plugin's file.

    Attributes:
        name: The distribution's name; of a local plugin the file's path, relative to the lock file where it lies below.
        version: The distribution's version; empty for a file.
        digest: What it is made of.
        plugins: Name → entry point; empty for a file.
    """

    name: str
    version: str
    digest: Digest
    plugins: Mapping[str, str]

    def difference(self, now: Locked, lock: Path) -> str:
        """Tell in what the installed one differs from this one of the lock file; nothing when it does not."""
        if now.version != self.version:
            return f"version {now.version} is installed, and {lock} has {self.version}"
        if dict(now.plugins) != dict(self.plugins):
            return f"its entry points are {_listed(now.plugins)}, and {lock} has {_listed(self.plugins)}"
        if now.digest.of != self.digest.of:
            return f"it was locked by {_HOW[self.digest.of]}, and is installed so that {_HOW[now.digest.of]} count"
        if now.digest != self.digest:
            return f"{_HOW[now.digest.of]} are not those of {lock}"
        return ""


_HOW = {"record": "the contents that its RECORD lists", "files": "its files"}


def write_lock(path: Path, locked: Iterable[Locked]) -> None:
    """Write a lock file whole or not at all; sorted, so that equal sets make equal files.

    Raises:
        ConfigurationError: It cannot be written.
    """
    ordered = sorted(locked, key=lambda each: (each.version == "", each.name))
    text = "\n".join([_HEAD, *map(_entry, ordered)])
    try:
        write_whole(path, text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from error


def read_lock(path: Path) -> dict[str, Locked]:
    """Read a lock file: name → what was locked.

    Raises:
        ConfigurationError: There is none, or it is not one that this version reads.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"there is no lock file {path}; make it with: lash plugins lock") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    told = table.get("version")
    if told != _VERSION:
        raise ConfigurationError(
            f"{path} has version {told!r}, and this lash-core reads {_VERSION}; make it anew with: lash plugins lock"
        )
    try:
        return {each.name: each for each in map(_read, [*table.get("distribution", []), *table.get("file", [])])}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path} is damaged ({error}); make it anew with: lash plugins lock") from error


def _entry(locked: Locked) -> str:
    if not locked.version:
        return f"[[file]]\npath = {_text(locked.name)}\nfiles = {_text(locked.digest.value)}\n"
    lines = [f"    {_text(f'{name} = {value}')},\n" for name, value in sorted(locked.plugins.items())]
    return (
        f"[[distribution]]\nname = {_text(locked.name)}\nversion = {_text(locked.version)}\n"
        f"{locked.digest.of} = {_text(locked.digest.value)}\nplugins = [\n{''.join(lines)}]\n"
    )


def _read(table: Mapping[str, Any]) -> Locked:
    of = "record" if "record" in table else "files"
    plugins = dict(each.split(" = ", 1) for each in table.get("plugins", []))
    return Locked(
        str(table["name"] if "name" in table else table["path"]),
        str(table.get("version", "")),
        Digest(of, str(table[of])),  # type: ignore[arg-type]  # one of the two words
        plugins,
    )


def _text(text: str) -> str:
    """Write a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(plugins: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(plugins.items())) or "none"

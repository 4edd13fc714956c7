"""Changes to a settings file that leave everything else in it as it is, comments and line ends included."""

from __future__ import annotations

import copy
import os
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lash_hookspecs.errors import ConfigurationError

__all__ = ["write_plugin_list", "write_whole"]


def write_plugin_list(file: Path, key: str, words: Sequence[str]) -> None:
    """Set a list of ``[lash.plugins]`` (``[tool.lash.plugins]`` in a ``pyproject.toml``).

    Args:
        file: The file; it is made if it is not there.
        key: Which list.
        words: What it is to hold; words that it holds already keep their comments.

    Raises:
        ConfigurationError: The file cannot be read or written, or cannot be changed without harm.
    """
    tables = ("tool", "lash", "plugins") if file.name == "pyproject.toml" else ("lash", "plugins")
    try:
        old = file.read_bytes().decode("utf-8") if file.exists() else ""
        new = _changed(old, tables, key, words)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
    if new is None:
        asked = ", ".join(f'"{word}"' for word in words)
        raise ConfigurationError(
            f"{file} is written in a way that cannot be changed here; write it yourself: "
            f"[{'.'.join(tables)}] {key} = [{asked}]"
        )
    try:
        write_whole(file.resolve(), new)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror or error}") from error


def _changed(old: str, tables: Sequence[str], key: str, words: Sequence[str]) -> str | None:
    """Give the text with the list changed and nothing else; ``None`` when that cannot be done."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    document: Any = tomlkit.parse(old)
    try:
        table = document
        for name in tables:
            if name not in table:
                table[name] = tomlkit.table(is_super_table=name != tables[-1])
            table = table[name]
        _update(table.setdefault(key, []), words)
        new = tomlkit.dumps(document)
        return new if tomllib.loads(new) == _expected(old, tables, key, words) else None
    except (TOMLKitError, ValueError):
        return None


def _update(listed: list[str], words: Sequence[str]) -> None:
    """Change a list in place, so that the comments in it stay."""
    for word in [word for word in listed if word not in words]:
        listed.remove(word)
    listed += [word for word in words if word not in listed]


def _expected(old: str, tables: Sequence[str], key: str, words: Sequence[str]) -> dict[str, Any]:
    data = copy.deepcopy(tomllib.loads(old))
    table = data
    for name in tables:
        table = table.setdefault(name, {})
    table[key] = list(words)
    return data


def write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all, with the permissions that it had.

    Raises:
        OSError: It cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    made = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode("utf-8"))
        if file.exists():
            made.chmod(file.stat().st_mode & 0o7777)
        else:
            umask = os.umask(0)
            os.umask(umask)
            made.chmod(0o666 & ~umask)
        made.replace(file)
    except BaseException:
        made.unlink(missing_ok=True)
        raise

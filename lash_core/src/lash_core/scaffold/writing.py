"""Templates, and how a folder is made of them: whole or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.version import HOOKSPEC_API

from lash_core.scaffold.kinds import KINDS
from lash_core.scaffold.names import PluginNames

__all__ = ["files_of", "write_plugin"]

#: Ends the name of a template, so that no tool takes it for what it makes.
_SUFFIX = ".in"

_PLACEHOLDER = re.compile(r"@(\w+)@")


def files_of(kind: str, names: PluginNames) -> dict[str, str]:
    """Give the files of a new plugin, by their paths in its folder, sorted."""
    words = _words(kind, names)
    templates = files("lash_core.scaffold") / "templates"
    found = {
        _filled(path.removesuffix(_SUFFIX), words): _filled(text, words)
        for folder in ("common", kind)
        for path, text in _templates(templates / folder)
    }
    return dict(sorted(found.items()))


def write_plugin(folder: Path, texts: Mapping[str, str]) -> None:
    """Make a folder with these files; it appears with all of them or not at all.

    Args:
        folder: Must not be there, unless it is an empty folder; the one that it lies in must be.
        texts: Path in the folder → content.

    Raises:
        ConfigurationError: It is there, or cannot be made.
    """
    _check_free(folder)
    fresh = folder.parent / f".{folder.name}-{secrets.token_hex(4)}"
    try:
        for path, text in texts.items():
            target = fresh / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        os.rename(fresh, folder)  # noqa: PTH104  takes the place of an empty folder, and of nothing else
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_free(folder: Path) -> None:
    if not folder.parent.is_dir():
        raise ConfigurationError(f"there is no folder {folder.parent}")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigurationError(f"{folder} is there already, and is no folder: nothing was written")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is there already, and is not empty: nothing was written")


def _templates(folder: Traversable, path: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        below = f"{path}{entry.name}"
        if entry.is_dir():
            yield from _templates(entry, f"{below}/")
        elif entry.name.endswith(_SUFFIX):
            yield below, entry.read_text(encoding="utf-8")


def _words(kind: str, names: PluginNames) -> dict[str, str]:
    return {
        "api": HOOKSPEC_API,
        "dist": names.distribution,
        "ident": names.identifier,
        "name": names.short,
        "needs": json.dumps(sorted([*KINDS[kind].needs, "lash-hookspecs"])),
        "noun": KINDS[kind].noun,
        "package": names.package,
        "Title": names.title,
    }


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: words[match[1]], text)

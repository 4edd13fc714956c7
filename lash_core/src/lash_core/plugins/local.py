"""Plugins in a single file: the manifest is a comment in it, which can be read without importing it (P2).

::

    # /// lash-plugin
    # requires_api = "0.1"
    # [offers]
    # tools = ["dice"]
    # ///

The block is as in inline script metadata (PEP 723, whose type is ``script``); the plugin's name is the file's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

from lash_core.plugins.manifest import IncompatibleApi, Manifest, ManifestError, parse_toml, read_text
from lash_core.plugins.records import LOCAL, PluginRecord

__all__ = ["import_local", "read_local"]

#: The most bytes that a file may have: it is read whole.
_LARGEST = 1 << 20

_BEGIN, _END = "# /// lash-plugin", "# ///"


def read_local(files: Iterable[Path]) -> Iterator[PluginRecord]:
    """Give a record of each file; imports none and never raises."""
    seen: dict[str, Path] = {}
    for path in dict.fromkeys(files):
        record = PluginRecord(distribution=LOCAL, version="?", name=path.stem, value=str(path), origin="local file")
        record.note("found", f"file {path}")
        earlier = seen.setdefault(record.name, path)
        if earlier == path:
            record.describe(partial(_read, record, path))
        else:
            reason = f"two local plugins are named {record.name!r}: {earlier} and {path}; rename one"
            record.settle("failed", "described", reason)
        yield record


def import_local(path: Path) -> ModuleType:
    """Import a local plugin, once per process.

    Raises:
        Exception: Whatever its code raises.
    """
    name = f"_lash_local_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file; its name must end in .py")
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _read(record: PluginRecord, path: Path) -> Manifest:
    record.manifest_file = path
    try:
        text = read_text(path, _LARGEST)
        record.version = f"0+{hashlib.sha256(text.encode()).hexdigest()[:12]}"  # so that a changed file is told
        return Manifest.parse(parse_toml(_block(text)))
    except IncompatibleApi:
        raise
    except (OSError, ValueError, RecursionError, ManifestError) as error:
        raise ManifestError(f"{path}: {error}") from error


def _block(text: str) -> str:
    """Give the manifest, which stands before any code.

    Raises:
        ManifestError: There is none, or it has no end.
    """
    block: list[str] | None = None
    for line in map(str.rstrip, text.splitlines()):
        if line and not line.startswith("#"):
            break
        if block is None:
            block = [] if line == _BEGIN else None
        elif line == _END:
            return "\n".join(block)
        else:
            block.append(line.removeprefix("#").removeprefix(" "))
    if block is None:
        raise ManifestError(f"it does not begin with a manifest: comment lines from {_BEGIN!r} to {_END!r}")
    raise ManifestError(f"its manifest does not end with a line {_END!r}")

"""What an installed plugin is made of, told without importing it.

A wheel's RECORD lists every file with its hash. Its digest is taken over those lines that the wheel itself brought, so
it is the same wherever and by whatever installer the wheel was installed. An editable install has no such list of its
code: then the files of its packages count.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal

import attrs

__all__ = ["Digest", "Unlocatable", "changed_files", "digest_of", "file_digest"]

#: What installers add to a wheel's own files.
_INSTALLERS = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json")
_CACHE = "__pycache__"


class Unlocatable(Exception):
    """The code of a plugin cannot be found; the text is the reason."""


@attrs.frozen
class Digest:
    """A digest, and of what.

    Attributes:
        of: ``record`` for the contents that a RECORD lists, ``files`` for files as they are.
        value: ``sha256:…``.
    """

    of: Literal["record", "files"]
    value: str


def digest_of(distribution: str, packages: Collection[str]) -> Digest:
    """Take the digest of an installed distribution; imports nothing.

    Args:
        distribution: Its name.
        packages: The top-level packages or modules that its plugins are in.

    Raises:
        Unlocatable: The distribution or one of the packages is not there, or cannot be read.
    """
    try:
        record = _record(distribution)
        if _covers(record, packages):
            return Digest("record", _hashed(f"{path},{told}" for path, (told, _) in record.items()))
        return Digest("files", _hashed(f"{path},{_hash(file)}" for path, file in _files(packages)))
    except (OSError, importlib.metadata.PackageNotFoundError) as error:
        raise Unlocatable(f"its files cannot be read: {error}") from error


def file_digest(path: Path) -> Digest:
    """Take the digest of a file.

    Raises:
        Unlocatable: It cannot be read.
    """
    try:
        return Digest("files", f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
    except OSError as error:
        raise Unlocatable(f"it cannot be read: {error}") from error


def changed_files(distribution: str, packages: Collection[str]) -> list[str]:
    """Compare the files of a distribution with its RECORD, where that lists its packages.

    Returns:
        What differs, for people: ``lash_dice/__init__.py was changed``; sorted.
    """
    record = _record(distribution)
    if not _covers(record, packages):
        return []
    found = [
        f"{path} {'was changed' if file.is_file() else 'is missing'}"
        for path, (told, file) in record.items()
        if not file.is_file() or _hash(file) != told
    ]
    known = {file for _, file in record.values()}
    found += [f"{path} is not in its RECORD" for path, file in _files(packages) if file not in known]
    return sorted(found)


def _record(distribution: str) -> dict[str, tuple[str, Path]]:
    """Give what a RECORD lists of the wheel's own files: path → hash and place; sorted."""
    installed = importlib.metadata.distribution(distribution)
    listed: dict[str, tuple[str, Path]] = {}
    for row in csv.reader((installed.read_text("RECORD") or "").splitlines()):
        path, told = (*row, "", "")[:2]
        folder, _, name = path.rpartition("/")
        added = folder.endswith(".dist-info") and "/" not in folder and name in _INSTALLERS
        if told and not added and not path.startswith(("..", "/")) and _CACHE not in path.split("/"):
            listed[path] = told, Path(str(installed.locate_file(path))).resolve()
    return dict(sorted(listed.items()))


def _covers(record: dict[str, tuple[str, Path]], packages: Collection[str]) -> bool:
    """Tell whether the code that an import would find is the one that the RECORD lists."""
    listed = {file for _, file in record.values()}
    return bool(listed) and all(any(file in listed for _, file in _files([package])) for package in packages)


def _files(packages: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Give the files that an import of the packages can read: path from where the package lies, and place; sorted.

    Raises:
        Unlocatable: A package is not there.
    """
    for package in sorted(packages):
        try:
            spec = importlib.util.find_spec(package)
        except Exception as error:  # any finder on sys.meta_path may raise anything
            raise Unlocatable(f"its package {package!r} cannot be found: {error}") from error
        if spec is None:
            raise Unlocatable(f"its package {package!r} cannot be found")
        folders = spec.submodule_search_locations
        if folders is None:
            file = Path(spec.origin or "")
            yield file.name, file.resolve()
        for folder in folders or ():
            root = Path(folder)
            for file in sorted(root.rglob("*")):
                if file.is_file() and _CACHE not in file.relative_to(root).parts:
                    yield f"{package}/{file.relative_to(root).as_posix()}", file.resolve()


def _hash(file: Path) -> str:
    """Give the hash of a file as a RECORD has it."""
    digest = hashlib.sha256(file.read_bytes()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _hashed(lines: Iterable[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

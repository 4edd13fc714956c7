"""The distributions that have plugins: each once, whatever its metadata are like (P1)."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import attrs

from lash_core.plugins.permission import canonical

__all__ = ["GROUP", "Installed", "installed"]

#: The entry-point group.
GROUP = "lash.plugins"

_ENTRY_POINTS = "entry_points.txt"
_LARGEST = 1 << 20  # bytes
_NAME = re.compile(r"[a-z0-9]|[a-z0-9][a-z0-9._-]*[a-z0-9]", re.IGNORECASE)
_VERSION = re.compile(r"[a-z0-9.!+_-]{1,100}", re.IGNORECASE)
_SECTION = re.compile(rb"^[ \t]*\[[ \t]*" + re.escape(GROUP.encode()) + rb"[ \t]*\]", re.MULTILINE)
_FOLDER = re.compile(r"(?P<name>[^-]+)(-(?P<version>[^-]+).*)?\.(dist|egg)-info")


@attrs.define(slots=False)
class Installed:
    """A distribution that has plugins.

    Attributes:
        distribution: What Python knows of it; every question to it may raise anything.
        folder: Where its metadata lie, if that is a folder.
        shadowed: Where other copies of it lie, which no import finds.
    """

    distribution: importlib.metadata.Distribution
    folder: Path | None
    shadowed: list[Path] = attrs.field(factory=list)

    @property
    def key(self) -> str:
        """Its name for comparisons; from the folder's name where possible, which needs no file to be read."""
        return canonical(self._folder[0] or self._told("Name") or f"(unnamed {id(self)})")

    @cached_property
    def name(self) -> str:
        """Its name; one that its metadata tell wrongly or not at all is told by the folder."""
        return (not self.problem and self._told("Name")) or canonical(self._folder[0]) or "(unnamed)"

    @property
    def version(self) -> str:
        """Its version, as with `name`."""
        told = self._told("Version")
        return told if _VERSION.fullmatch(told) else self._folder[1] or "?"

    @cached_property
    def entry_points(self) -> str:
        """The text of its entry points.

        Raises:
            ValueError: They are not UTF-8, or too many.
        """
        if len(self._bytes) > _LARGEST:
            raise ValueError(f"{_ENTRY_POINTS} has more than {_LARGEST:,} bytes")
        return self._bytes.decode("utf-8")

    @property
    def has_plugins(self) -> bool:
        """Whether its entry points have our group, even where they are no text."""
        return _SECTION.search(self._bytes) is not None

    @cached_property
    def problem(self) -> str:
        """What is wrong with its metadata; empty when nothing is."""
        try:
            _ = self._metadata, self.entry_points
        except Exception as error:  # noqa: BLE001  as above
            return f"its metadata cannot be read: {error}"
        told = self._told("Name")
        if not told:
            return "its metadata cannot be read: they name no distribution"
        if not _NAME.fullmatch(told):
            return f"its metadata name it {told!r}, which is no name of a distribution"
        if self._folder[0] and canonical(self._folder[0]) != canonical(told):
            return f"its metadata name it {told!r}, but lie in {str(self.folder)!r}"
        return ""

    @cached_property
    def _folder(self) -> tuple[str, str]:
        """Name and version as the folder's name tells them, empty where it does not."""
        found = _FOLDER.fullmatch(self.folder.name) if self.folder else None
        return (found["name"], found["version"] or "") if found else ("", "")

    @cached_property
    def _bytes(self) -> bytes:
        """Its entry points as they are stored, up to a bound; empty when there are none that may be read."""
        try:
            if self.folder is None:
                return (self.distribution.read_text(_ENTRY_POINTS) or "").encode("utf-8", "surrogateescape")
            with (self.folder / _ENTRY_POINTS).open("rb") as file:
                return file.read(_LARGEST + 1)
        except Exception:  # noqa: BLE001  as above
            return b""

    @cached_property
    def _metadata(self) -> importlib.metadata.PackageMetadata:
        return self.distribution.metadata  # it is read anew at each question

    def _told(self, key: str) -> str:
        try:
            told: list[str] = self._metadata.get_all(key) or [""]
            return told[0]
        except Exception:  # noqa: BLE001  as above
            return ""


def installed() -> list[Installed]:
    """Give the distributions that have plugins, in no particular order.

    One that lies on ``sys.path`` twice counts once: the copy that an import would find, even if that one has no
    plugins any more.
    """
    first: dict[str, Installed] = {}
    for found in _all():
        earlier = first.setdefault(found.key, found)
        if found.folder is not None and found.folder not in (earlier.folder, *earlier.shadowed):
            earlier.shadowed.append(found.folder)
    return [found for found in first.values() if found.has_plugins]


def _all() -> Iterator[Installed]:
    for distribution in importlib.metadata.distributions():
        # The standard library tells the place in no public way; another finder's distribution may have none.
        folder = getattr(distribution, "_path", None)
        if not isinstance(folder, Path):
            yield Installed(distribution, None)
        elif not folder.name.startswith("~"):  # what pip leaves behind of one that it replaced
            yield Installed(distribution, folder)

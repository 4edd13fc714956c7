"""Which file is meant: by path, name, stem, part of a name, or nearly so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

import attrs

from lash_basics.extractive.language import extensions_of
from lash_basics.extractive.prose import suffix_of

__all__ = ["FileIndex", "Match"]

_PREFERRED = {suffix: rank for rank, suffix in enumerate(("md", "rst", "txt", "adoc", "py", "toml"))}


@attrs.frozen
class Match:
    """What a mention may mean.

    Attributes:
        paths: Files, the likeliest first.
        sure: Whether the name was the file's own, not a guess.
    """

    paths: tuple[str, ...] = ()
    sure: bool = True


class FileIndex:
    """The files that a session can see."""

    def __init__(self, files: Iterable[tuple[str, int]], total: int | None = None) -> None:
        self.sizes = dict(files)
        self.paths = sorted(self.sizes)
        self.total = len(self.paths) if total is None else total
        self.folders = sorted({parent for path in self.paths for parent in _parents(path)})

    def of_kind(self, kind: str | None, folder: str = "") -> list[str]:
        """Give the files of a kind, below a folder."""
        below = [path for path in self.paths if not folder or path.startswith(f"{folder}/")]
        if kind is None:
            return below
        if kind == "test":
            return [path for path in below if re.search(r"(?:^|/)test_|_test\.|(?:^|/)tests?/", path)]
        return [path for path in below if suffix_of(path) in extensions_of(kind)]

    def folder(self, mention: str) -> str | None:
        """Give the folder that is meant, if any."""
        wanted = mention.strip().strip("/").removeprefix("./").casefold()
        named = [folder for folder in self.folders if folder.casefold() == wanted]
        named += [folder for folder in self.folders if folder.casefold().endswith(f"/{wanted}")]
        return named[0] if named else None

    def file(self, mention: str) -> Match:
        """Give the files that are meant."""
        wanted = mention.strip().removeprefix("./").casefold()
        if not wanted:
            return Match()
        for test in _exact_tests(wanted):
            found = [path for path in self.paths if test(path.casefold())]
            if found:
                return Match(_by_likelihood(found))
        holding = self._holding(wanted)
        if holding:
            return Match(holding, sure=len(holding) == 1)
        return Match(self._near(wanted), sure=False)

    def _holding(self, wanted: str) -> tuple[str, ...]:
        """Give the files whose path holds every word of a name: "getting started" means docs/getting-started.md."""
        words = [word for word in re.split(r"[^\w.]+", wanted) if word]
        if len(wanted) < 3 or not words or any(len(word) < 2 for word in words):
            return ()
        return _by_likelihood([path for path in self.paths if all(word in path.casefold() for word in words)])

    def _near(self, wanted: str) -> tuple[str, ...]:
        names = {form: path for path in reversed(self.paths) for form in _forms(path.casefold())}
        near = difflib.get_close_matches(_plain(wanted), names, n=3, cutoff=0.78) if len(wanted) >= 4 else []
        return tuple(dict.fromkeys(names[form] for form in near))


def _exact_tests(wanted: str) -> list[Callable[[str], bool]]:
    plain = _plain(wanted)
    return [
        lambda path: path == wanted,
        lambda path: path.endswith(f"/{wanted}"),
        lambda path: _without_suffix(path) == wanted,
        lambda path: _plain(_stem(path)) == plain,
        lambda path: _plain(path.rpartition("/")[2]) == plain,
        lambda path: f"/{_without_suffix(path)}".endswith(f"/{wanted}"),
    ]


def _forms(path: str) -> tuple[str, ...]:
    name = path.rpartition("/")[2]
    return (_plain(name), _plain(_stem(path)), _plain(path))


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _without_suffix(path: str) -> str:
    return path[: len(path) - len(path.rpartition("/")[2])] + _stem(path)


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _by_likelihood(paths: list[str]) -> tuple[str, ...]:
    def key(path: str) -> tuple[int, int, str]:
        return path.count("/"), _PREFERRED.get(suffix_of(path), len(_PREFERRED)), path

    return tuple(sorted(paths, key=key))

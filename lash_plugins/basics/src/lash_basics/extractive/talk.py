"""What an answer is composed from: the conversation, the files in sight, and what "it" means."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from lash_basics.extractive.conversation import Exchange
from lash_basics.extractive.desk import Desk
from lash_basics.extractive.intents import Target
from lash_basics.extractive.language import extensions_of, joined, plural
from lash_basics.extractive.lookup import FileIndex
from lash_basics.extractive.prose import suffix_of
from lash_basics.extractive.targets import files_in, is_path

__all__ = ["Answer", "CannotTell", "Meant", "Talk"]

_BULLET = re.compile(r"^(?:[-•]|\d+\.) (?P<name>[^\s:(]+(?: [^\s:(—]+)*?)/?(?:,? \(|: |, line| — |$)", re.MULTILINE)
_TEXTUAL = frozenset(
    [
        "md",
        "markdown",
        "rst",
        "txt",
        "text",
        "adoc",
        "org",
        "py",
        "toml",
        "json",
        "yaml",
        "yml",
        "csv",
        "log",
        "html",
        "cfg",
        "ini",
    ]
)


class CannotTell(Exception):
    """Why there is no answer, in words for the user."""


@attrs.frozen
class Answer:
    """A part of an answer.

    Attributes:
        text: What is said.
        files: What it is about, for "it" and "them" in a part that follows.
        kept: The part that is meant by "save it"; the text without what introduces it.
    """

    text: str
    files: tuple[str, ...] = ()
    kept: str | None = None


@attrs.frozen
class Meant:
    """What a target means.

    Attributes:
        paths: The files.
        note: What was assumed, in a sentence; empty when nothing was.
    """

    paths: tuple[str, ...]
    note: str = ""

    def noted(self, text: str) -> str:
        """Put what was assumed before a text."""
        return f"{self.note}\n{text}" if self.note else text


class Talk:
    """One answer in the making."""

    def __init__(self, earlier: Sequence[Exchange], desk: Desk) -> None:
        self.earlier = list(earlier)
        self.desk = desk
        self.parts: list[Answer] = []
        self._index: FileIndex | None = None

    @property
    def index(self) -> FileIndex:
        """All files in sight; asked for once."""
        if self._index is None:
            self._index = FileIndex(*self.desk.find())
        return self._index

    @property
    def last_answer(self) -> str | None:
        """What was answered last."""
        if self.parts:
            return self.parts[-1].kept if self.parts[-1].kept is not None else self.parts[-1].text
        return next((exchange.answer for exchange in reversed(self.earlier) if exchange.answer), None)

    def files(self, kind: str | None, folder: str = "") -> list[str]:
        """Give the files of a kind below a folder, also when there are more than one listing holds."""
        if self.index.total <= len(self.index.paths) or kind in (None, "test"):
            return self.index.of_kind(kind, folder)
        below = f"{folder}/**/" if folder else ""
        listings = [self.desk.find(f"{below}*.{extension}")[0] for extension in extensions_of(kind or "")]
        return sorted({path for listing in listings for path, _size in listing})

    def documents(self, kind: str, folder: str = "") -> list[str]:
        """Give the files of a kind; "the docs" are what is in the folder of that name, if there is one."""
        if not folder and kind in ("docs", "doc", "documentation", "documents"):
            home = self.index.folder("docs") or self.index.folder("doc") or self.index.folder("documentation")
            if home and self.files("docs", home):
                return self.files("docs", home)
        return self.files(kind, folder)

    def folder(self, name: str) -> str:
        """Give the folder of that name.

        Raises:
            CannotTell: There is none.
        """
        folder = self.index.folder(name)
        if folder is None:
            known = f" The folders are {joined(f'{one}/' for one in self.index.folders)}." if self.index.folders else ""
            raise CannotTell(f"There is no folder {name} here.{known}")
        return folder

    def meant(self, target: Target) -> Meant:
        """Give the files that a target means.

        Raises:
            CannotTell: There are none; the message says so.
        """
        if target.ordinals:
            return self._nth(target.ordinals)
        if target.pronoun == "many":
            return Meant(tuple(self._named_before() or self._nothing_before()))
        if target.pronoun == "one" or target.is_empty:
            return Meant((self.focus() or self._nothing_before()[0],))
        if target.kind:
            return self._of_kind(target)
        if target.project:
            return Meant(tuple(self.index.paths))
        if target.folder and not target.mentions:
            return Meant(tuple(self.files(None, self.folder(target.folder))))
        return self._mentioned(target.mentions, target.folder)

    def focus(self) -> str | None:
        """Give the file that "it" means: what was written or read last, else the first that was named."""
        for part in reversed(self.parts):
            if part.files:
                return part.files[0]
        for exchange in reversed(self.earlier):
            used = _used(exchange)
            if used and (len(used) == 1 or exchange.calls[-1][0].tool == "write_text"):
                return used[-1]
            named = _named(exchange)
            if named or used:
                return (named or used)[0]
        return None

    def read_last(self) -> str | None:
        """Give the file that the last answer was about, if it was one file."""
        if self.parts:
            return self.parts[-1].files[0] if len(self.parts[-1].files) == 1 else None
        used = next((_used(exchange) or _named(exchange) for exchange in reversed(self.earlier) if exchange.calls), [])
        return used[0] if len(used) == 1 else None

    def _named_before(self) -> list[str]:
        for part in reversed(self.parts):
            if part.files:
                return list(part.files)
        for exchange in reversed(self.earlier):
            named = _named(exchange) or _used(exchange)
            if named:
                return named[:10]
        return []

    def _nth(self, ordinals: Sequence[int]) -> Meant:
        named = self._named_before() or self._nothing_before()
        if max(abs(number) for number in ordinals) > len(named):
            raise CannotTell(f"My last answer names only {plural(len(named), 'file')}: {joined(named)}.")
        return Meant(tuple(named[number - 1 if number > 0 else number] for number in ordinals))

    def _nothing_before(self) -> list[str]:
        raise CannotTell("I do not know which file you mean; please name it, or ask me to list the files.")

    def _of_kind(self, target: Target) -> Meant:
        folder = self.folder(target.folder) if target.folder else ""
        found = self.documents(target.kind or "", folder)
        if not found:
            where = f" in {folder}/" if folder else " here"
            raise CannotTell(f"There are no {kind_name(target.kind or '')}{where}.")
        return Meant(tuple(found))

    def _mentioned(self, mentions: Sequence[str], folder: str | None) -> Meant:
        paths: list[str] = []
        notes: list[str] = []
        for mention in mentions:
            found, note = self._one(mention, folder)
            paths += found
            notes += [note] if note else []
        return Meant(tuple(dict.fromkeys(paths)), " ".join(notes))

    def _one(self, mention: str, folder: str | None) -> tuple[list[str], str]:
        if mention.startswith(("/", ".", "~")) or "/." in mention:
            return [mention], ""  # hidden or outside, perhaps: the tool says it best
        exact = self.index.file(mention)
        if not (exact.paths and exact.sure):
            home = self.index.folder(mention)
            if home is not None and self.files(None, home):
                return self.files("docs", home) or self.files(None, home), ""
        if not exact.paths and self.index.total > len(self.index.paths):
            exact = FileIndex(self.desk.find(mention)[0]).file(mention)
        paths = [path for path in exact.paths if not folder or path.startswith(f"{folder}/")] or list(exact.paths)
        if not paths:
            raise CannotTell(self.no_such_file(mention))
        return paths[:1], _assumed(mention, paths, sure=exact.sure)

    def no_such_file(self, mention: str) -> str:
        """Say that there is no such file, and what there is."""
        near = self.index.of_kind(f".{suffix_of(mention)}") if suffix_of(mention) else []
        shown = near or [path for path in self.index.paths if "/" not in path] or self.index.paths
        if not shown:
            return f"There is no file {mention} here; the folder is empty."
        return f"There is no file {mention} here. There is {joined(shown, most=8)}."

    def readable(self, paths: Sequence[str]) -> list[str]:
        """Leave out files that are not likely to be text, unless nothing else is left."""
        return [path for path in paths if suffix_of(path) in _TEXTUAL] or list(paths)


def kind_name(kind: str) -> str:
    """Say a kind of files: ``markdown files``, ``.ini files``, ``documents``."""
    known = {
        "docs": "documents",
        "doc": "documents",
        "documents": "documents",
        "document": "documents",
        "md": "markdown files",
        "logs": "log files",
    }
    if kind in known:
        return known[kind]
    return {"py": "python files", "csv": "CSV files", "json": "JSON files", "documentation": "documents"}.get(
        kind, f"{kind} files"
    )


def _assumed(mention: str, paths: Sequence[str], *, sure: bool) -> str:
    if not sure:
        also = f" ({joined(paths[1:4], 'or')} would fit too)" if len(paths) > 1 else ""
        return f'I take "{mention}" to mean {paths[0]}{also}.'
    if len(paths) > 1:
        return f"There are {len(paths)} files of that name; I take {paths[0]} (not {joined(paths[1:4], 'or')})."
    return ""


def _used(exchange: Exchange) -> list[str]:
    """Give the files that were read, counted or written for an answer."""
    used = [
        str(call.arguments.get("path"))
        for call, result in exchange.calls
        if result.status == "ok"
        and call.tool in ("read_file", "count", "write_text")
        and isinstance(call.arguments, dict)
    ]
    return list(dict.fromkeys(used))


def _named(exchange: Exchange) -> list[str]:
    """Give the files that an answer names, in its order: those of its list, else those of its sentences."""
    answer = exchange.answer or ""
    known = _known(exchange)
    bullets = [found.group("name") for found in _BULLET.finditer(answer)]
    listed = [name for name in bullets if name in known or is_path(name)]
    if listed:
        return list(dict.fromkeys(listed))
    named = [name for name in files_in(answer) if name in known]
    return list(dict.fromkeys(named or [name for name in files_in(answer) if is_path(name)][:5]))


def _known(exchange: Exchange) -> frozenset[str]:
    """Give the paths that the tools spoke of."""
    known = set(_used(exchange))
    for _call, result in exchange.calls:
        if isinstance(result.output, str) and result.tool in ("list_files", "find_files", "search_text"):
            known.update(re.split(r"  \d+ bytes?$|:\d+: ", line)[0].rstrip("/") for line in result.output.split("\n"))
    return frozenset(known)

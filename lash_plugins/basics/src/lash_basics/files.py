"""The file tools: list, read, find, search, count and write the files of one folder."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import BinaryIO

from lash_hookspecs import FunctionTools, tool
from lash_hookspecs.errors import ToolError
from lash_hookspecs.records.text import clean_text

from lash_basics.folder import Entry, Folder
from lash_basics.patterns import matcher
from lash_basics.texts import BINARY_PROBE, count_text, is_binary, iter_lines

__all__ = ["FileTools", "file_tools"]

#: Names in one listing.
MAX_NAMES = 300

#: Files and folders that one call looks at.
MAX_WALK = 50_000

#: Lines and characters in one answer of read_file, and characters of one line.
MAX_LINES = 1000
MAX_CHARACTERS = 24_000
MAX_LINE = 2000

#: Matches in one answer of search_text, and characters of each.
MAX_MATCHES = 200
MAX_MATCH = 300

#: Bytes that write_text takes.
MAX_WRITE = 4 * 1024 * 1024


def file_tools(root: Path) -> FunctionTools:
    """Make the file tools of one folder."""
    files = FileTools(Folder(root))
    return FunctionTools(
        [files.list_files, files.read_file, files.find_files, files.search_text, files.count, files.write_text]
    )


class FileTools:
    """The functions behind the tools; what they answer is text."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @tool(kind="read_only")
    def list_files(self, path: str = ".", pattern: str = "*") -> str:
        """List what is directly in a folder: folders (with a trailing slash), then files with their sizes.

        Args:
            path: The folder, relative to the session's folder.
            pattern: Show only names that match, such as *.md
        """
        matches = matcher(pattern).fullmatch
        entries = [entry for entry in self.folder.entries(path) if matches(entry.path.rpartition("/")[2])]
        folders = sum(entry.is_folder for entry in entries)
        shown = self.folder.entry(path).path
        return _listing(f"{_name(shown)}: {_tally(folders, len(entries) - folders)}", entries, "pattern")

    @tool(kind="read_only")
    def find_files(self, pattern: str = "*") -> str:
        """Find files in the folder and all folders below it, by name or path.

        Args:
            pattern: Such as *.md, docs/**/*.txt or config; without wildcards, every name that contains it.
        """
        matches = matcher(pattern).fullmatch
        walked = list(itertools.islice(self.folder.walk(), MAX_WALK))
        found = sorted((entry for entry in walked if matches(entry.path) and not entry.is_folder), key=lambda e: e.path)
        listing = _listing(f"{_plural(len(found), 'file')} for {pattern}", found, "pattern")
        if len(walked) == MAX_WALK:
            listing += f"\n[the search ended after {MAX_WALK} files; there may be more]"
        return listing

    @tool(kind="read_only")
    def read_file(self, path: str, start_line: int = 1, max_lines: int = 400) -> str:
        """Read a text file, or some lines of it. The first line of the answer says which lines follow.

        Args:
            path: The file, relative to the session's folder.
            start_line: The first line to show, from 1; a negative one counts from the end: -10 shows the last ten.
            max_lines: How many lines to show, at most 1000.
        """
        with self.folder.open(path) as file:
            if is_binary(file.read(BINARY_PROBE)):
                return f"{_name(path)} is a binary file, not text; its bytes are not shown"
            total = sum(1 for _line in iter_lines(file)) if start_line < 0 else 0
            first = max(1, total + start_line + 1) if start_line < 0 else max(1, start_line)
            return _excerpt(_name(path), file, first, min(max(1, max_lines), MAX_LINES))

    @tool(kind="read_only")
    def search_text(self, text: str, path: str = ".", ignore_case: bool = False) -> str:
        """Search the text files of a folder, or one file, for a piece of text. Answers lines as path:line: text.

        Args:
            text: What to look for, literally; within one line.
            path: A folder or a file, relative to the session's folder.
            ignore_case: Whether upper and lower case are the same.
        """
        wanted = text.casefold() if ignore_case else text
        if not wanted.strip() or "\n" in wanted:
            raise ToolError("text must be something within one line; search for one line of it")
        found: list[str] = []
        files = 0
        matches = 0
        for entry in itertools.islice(self.folder.walk(path), MAX_WALK):
            lines = [] if entry.is_folder else self._matches(entry.path, wanted, ignore_case)
            files += bool(lines)
            matches += len(lines)
            found += lines[: MAX_MATCHES - len(found)]
        head = f"{_plural(matches, 'line', 'lines')} in {_plural(files, 'file')} hold {_quoted(text)}"
        note = [f"[{matches - len(found)} more; give a path to search in]"] if matches > len(found) else []
        return "\n".join([head, *found, *note])

    @tool(kind="read_only")
    def count(self, path: str) -> str:
        """Count the lines, words, characters and bytes of a file, or the files below a folder.

        Args:
            path: The file or folder, relative to the session's folder.
        """
        entry = self.folder.entry(path)
        if entry.is_folder:
            return self._count_folder(entry)
        with self.folder.open(path) as file:
            if is_binary(file.read(BINARY_PROBE)):
                return f"{_name(path)}: a binary file of {_plural(entry.size, 'byte')}"
            counts = count_text(file)
        counted = ", ".join(
            [
                _plural(counts.lines, "line"),
                _plural(counts.words, "word"),
                _plural(counts.characters, "character"),
                _plural(entry.size, "byte"),
            ]
        )
        return f"{_name(path)}: {counted}" + ("" if counts.complete else " [too big: only its beginning was counted]")

    @tool(kind="side_effecting")
    def write_text(self, path: str, text: str) -> str:
        """Write a text file, replacing the one that is there; missing folders are made.

        Args:
            path: The file, relative to the session's folder.
            text: Its whole new content.
        """
        data = clean_text(text).encode()
        if len(data) > MAX_WRITE:
            raise ToolError(f"the text has {len(data)} bytes, more than the {MAX_WRITE} that can be written; split it")
        shown, replaced = self.folder.write(path, data)
        lines = text.count("\n") + (not text.endswith("\n") and bool(text))
        verb = "replaced" if replaced else "wrote"
        return f"{verb} {_name(shown)}: {_plural(lines, 'line')}, {_plural(len(data), 'byte')}"

    def _matches(self, path: str, wanted: str, ignore_case: bool) -> list[str]:
        try:
            with self.folder.open(path) as file:
                if is_binary(file.read(BINARY_PROBE)):
                    return []
                return [
                    f"{_name(path)}:{number}: {_clip(line.strip(), MAX_MATCH)}"
                    for number, line in enumerate(iter_lines(file), 1)
                    if wanted in (line.casefold() if ignore_case else line)
                ]
        except ToolError:  # not readable, or removed meanwhile
            return []

    def _count_folder(self, folder: Entry) -> str:
        walked = list(itertools.islice(self.folder.walk(folder.path), MAX_WALK))
        folders = sum(entry.is_folder for entry in walked)
        tally = _tally(folders, len(walked) - folders)
        return f"{_name(folder.path)}: {tally}, {_plural(sum(entry.size for entry in walked), 'byte')}"


def _listing(head: str, entries: list[Entry], narrow: str) -> str:
    lines = [
        f"{_name(entry.path)}/" if entry.is_folder else f"{_name(entry.path)}  {_plural(entry.size, 'byte')}"
        for entry in entries[:MAX_NAMES]
    ]
    more = len(entries) - len(lines)
    note = [f"[{more} more are not shown; give a {narrow} to see fewer]"] if more else []
    return "\n".join([head, *lines, *note])


def _excerpt(shown: str, file: BinaryIO, first: int, most: int) -> str:
    kept: list[str] = []
    room = MAX_CHARACTERS
    total = 0
    for line in iter_lines(file):
        total += 1
        if total >= first and len(kept) < most and total == first + len(kept):
            clipped = _clip(clean_text(line), MAX_LINE)
            room -= len(clipped) + 1
            if room >= 0 or not kept:
                kept.append(clipped)
    if not total:
        return f"{shown} is empty"
    if not kept:
        raise ToolError(f"{shown} has only {_plural(total, 'line')}; start_line {first} is behind its end")
    last = first + len(kept) - 1
    note = [f"[{_plural(total - last, 'more line')}: read on with start_line={last + 1}]"] if last < total else []
    return "\n".join([f"{shown}: lines {first}-{last} of {total}", *kept, *note])


def _clip(line: str, most: int) -> str:
    return line if len(line) <= most else f"{line[:most]}… [{len(line) - most} more characters]"


def _name(path: str) -> str:
    """Show a path on one line, whatever the file system allows in it."""
    return "".join(c if c.isprintable() else "�" for c in clean_text(path))


def _quoted(text: str) -> str:
    return f'"{_clip(text, 80)}"'


def _plural(number: int, noun: str, plural: str | None = None) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {plural or noun + 's'}"


def _tally(folders: int, files: int) -> str:
    return f"{_plural(folders, 'folder')}, {_plural(files, 'file')}"

"""The file tools as functions that answer at once.

An answer is composed by plain code that asks for what it needs. What was not asked yet is collected in `NeedTools`,
sent as tool calls, and the same code runs again when the results are in the conversation: all its state is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import attrs
from lash_hookspecs.records.tools import ToolResult
from pydantic import JsonValue

from lash_basics.extractive.conversation import Exchange

__all__ = ["Desk", "FileText", "Hit", "MissingTool", "NeedTools", "Outcome"]

#: Rounds of tool calls before one answer; then what is known must do.
MAX_ROUNDS = 10

#: Pieces of one file that are read for one answer.
MAX_PIECES = 6

Call = tuple[str, dict[str, JsonValue]]


class NeedTools(Exception):
    """What must be asked before the answer can be composed."""

    def __init__(self, calls: Sequence[Call]) -> None:
        super().__init__(f"{len(calls)} tool calls")
        self.calls = list(calls)


class MissingTool(Exception):
    """A tool that is not offered."""

    def __init__(self, tool: str) -> None:
        super().__init__(tool)
        self.tool = tool


@attrs.frozen
class Outcome:
    """What a call brought.

    Attributes:
        status: As in `ToolResult`.
        text: The output as text.
        partial: Whether the text is an extract of a longer output.
    """

    status: str
    text: str
    partial: bool = False

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.status == "ok"


@attrs.frozen
class FileText:
    """Lines of a file.

    Attributes:
        path: The file.
        first: Number of the first line.
        lines: The lines.
        total: Lines of the whole file.
        note: Why there are no lines, in a sentence; empty when there are.
        found: Whether there is such a file.
    """

    path: str
    first: int = 1
    lines: tuple[str, ...] = ()
    total: int = 0
    note: str = ""
    found: bool = True

    @property
    def text(self) -> str:
        """The lines, joined."""
        return "\n".join(self.lines)

    @property
    def complete(self) -> bool:
        """Whether these are all lines of the file."""
        return self.first == 1 and len(self.lines) >= self.total


@attrs.frozen
class Hit:
    """A line that a search found."""

    path: str
    line: int
    text: str


_READ_HEAD = re.compile(r"^(.*): lines (\d+)-(\d+) of (\d+)$")
_HIT = re.compile(r"^(.+?):(\d+): (.*)$")
_SIZED = re.compile(r"^(.*?)  (\d+) bytes?$")


class Desk:
    """The tools, with what they said since the last answer."""

    def __init__(self, exchange: Exchange, offered: frozenset[str]) -> None:
        self._offered = offered
        self.files = exchange.files
        self._rounds = exchange.rounds
        self._known: dict[str, list[ToolResult]] = {}
        for call, result in exchange.calls:
            self._known.setdefault(_key(call.tool, call.arguments), []).append(result)

    def ask(self, *calls: Call) -> list[Outcome]:
        """Give what the calls brought.

        Raises:
            NeedTools: Some were not asked yet.
            MissingTool: A tool is not offered.
        """
        for tool, _arguments in calls:
            if tool not in self._offered:
                raise MissingTool(tool)
        missing = [call for call in calls if self._must_ask(call)]
        if missing and self._rounds < MAX_ROUNDS:
            raise NeedTools(missing)
        return [self._outcome(call) for call in calls]

    def list_folder(self, path: str = ".") -> tuple[list[str], str]:
        """Give the names in a folder (folders end with a slash), or why there are none."""
        outcome = self.ask(("list_files", {"path": path}))[0]
        if not outcome.ok:
            return [], outcome.text
        return [name for name, _size in _entries(outcome.text)], ""

    def find(self, pattern: str = "*") -> tuple[list[tuple[str, int]], int]:
        """Find files: paths with sizes, and how many there are in all."""
        outcome = self.ask(("find_files", {"pattern": pattern}))[0]
        if not outcome.ok:
            return [], 0
        entries = _entries(outcome.text)
        head = re.match(r"(\d+) files?", outcome.text)
        return entries, int(head.group(1)) if head else len(entries)

    def read_lines(self, path: str, start: int = 1, most: int = 400) -> FileText:
        """Read some lines of a file."""
        return _file_text(path, self.ask(_reading(path, start, most))[0])

    def read_all(self, paths: Sequence[str]) -> list[FileText]:
        """Read whole files, together; of a long one the first pieces."""
        texts = [_file_text(path, outcome) for path, outcome in zip(paths, self._ask_readings(paths), strict=True)]
        for _piece in range(1, MAX_PIECES):
            open_ends = [text for text in texts if _open_end(text)]
            if not open_ends or self._rounds >= MAX_ROUNDS:
                break
            calls = [_reading(text.path, text.first + len(text.lines), 1000) for text in open_ends]
            more = dict(zip((text.path for text in open_ends), self.ask(*calls), strict=True))
            texts = [_extended(text, more[text.path]) if text in open_ends else text for text in texts]
        return texts

    def search(self, text: str, path: str = ".", *, ignore_case: bool = False) -> list[Hit]:
        """Search one text."""
        return self.search_all([text], path, ignore_case=ignore_case)[0]

    def search_all(self, texts: Sequence[str], path: str = ".", *, ignore_case: bool = True) -> list[list[Hit]]:
        """Search several texts, together."""
        calls: list[Call] = [
            ("search_text", {"text": text, "path": path, "ignore_case": ignore_case}) for text in texts
        ]
        return [_hits(outcome) for outcome in self.ask(*calls)]

    def count(self, paths: Sequence[str]) -> list[dict[str, int]]:
        """Count in files: unit (``line``, ``word`` …) to number; empty for what cannot be counted."""
        calls: list[Call] = [("count", {"path": path}) for path in paths]
        return [_numbers(outcome) for outcome in self.ask(*calls)]

    def write(self, path: str, text: str) -> Outcome:
        """Write a file."""
        return self.ask(("write_text", {"path": path, "text": text}))[0]

    def _ask_readings(self, paths: Sequence[str]) -> list[Outcome]:
        return self.ask(*(_reading(path, 1, 1000) for path in paths))

    def _must_ask(self, call: Call) -> bool:
        results = self._known.get(_key(*call), [])
        again = call[0] != "write_text" and all(result.status == "interrupted" for result in results)
        return not results or (again and len(results) < 2)

    def _outcome(self, call: Call) -> Outcome:
        results = self._known.get(_key(*call))
        if not results:
            return Outcome("error", "there was no more room to ask for it")
        last = results[-1]
        text = last.output if isinstance(last.output, str) else json.dumps(last.output, ensure_ascii=False)
        return Outcome(last.status, text, last.spilled is not None)


def _key(tool: str, arguments: dict[str, JsonValue] | str) -> str:
    return f"{tool} {json.dumps(arguments, sort_keys=True)}"


def _reading(path: str, start: int, most: int) -> Call:
    return "read_file", {"path": path, "start_line": start, "max_lines": most}


def _entries(text: str) -> list[tuple[str, int]]:
    entries = []
    for line in text.split("\n")[1:]:
        sized = _SIZED.match(line)
        if sized:
            entries.append((sized.group(1), int(sized.group(2))))
        elif line.endswith("/"):
            entries.append((line, 0))
    return entries


def _file_text(path: str, outcome: Outcome) -> FileText:
    if not outcome.ok:
        return FileText(path, note=outcome.text, found=False)
    head, _newline, body = outcome.text.partition("\n")
    said = _READ_HEAD.match(head)
    if said is None:
        return FileText(path, note=outcome.text)
    first, last, total = (int(said.group(number)) for number in (2, 3, 4))
    lines = body.split("\n")[: last - first + 1]
    return FileText(path, first, tuple(lines), total)


def _open_end(text: FileText) -> bool:
    return not text.note and text.first + len(text.lines) <= text.total


def _extended(text: FileText, outcome: Outcome) -> FileText:
    more = _file_text(text.path, outcome)
    return attrs.evolve(text, lines=text.lines + more.lines, total=text.total if more.lines else len(text.lines))


def _hits(outcome: Outcome) -> list[Hit]:
    if not outcome.ok:
        return []
    found = (_HIT.match(line) for line in outcome.text.split("\n")[1:])
    return [Hit(hit.group(1), int(hit.group(2)), hit.group(3)) for hit in found if hit]


def _numbers(outcome: Outcome) -> dict[str, int]:
    if not outcome.ok:
        return {}
    said = outcome.text.rpartition(": ")[2]
    return {unit: int(number) for number, unit in re.findall(r"(\d+) (line|word|character|byte|file|folder)s?\b", said)}

"""The sentences of a document: headings, code, tables, badges and lists are not prose."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import attrs

__all__ = [
    "Block",
    "Sentence",
    "blocks_of",
    "cleaned",
    "headings_of",
    "located_sentences",
    "prose_of",
    "sentences_in",
    "suffix_of",
]

_CODE_SUFFIXES = frozenset(
    [
        "py",
        "pyi",
        "js",
        "jsx",
        "mjs",
        "ts",
        "tsx",
        "go",
        "rs",
        "java",
        "kt",
        "c",
        "h",
        "cc",
        "cpp",
        "hpp",
        "cs",
        "rb",
        "php",
        "swift",
        "scala",
        "lua",
    ]
)
_MARKED_UP = frozenset(("md", "markdown", "rst", "adoc", "txt", "text", "org", ""))

_FENCE = re.compile(r"^\s*(```+|~~~+)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.+?)\s*#*$")
_UNDERLINE = re.compile(r"^(=+|-+|~+|\^+|\++|\*+)\s*$")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)]|[a-z]\))\s+")
_TABLE = re.compile(r"^\s*\||^\s*[-:|+= ]{5,}$|\S\s*\|\s*\S.*\|")
_BADGES = re.compile(r"^\s*(?:\[?!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])?\]?(?:\([^)]*\)|\[[^\]]*\])?\s*)+$")
_DIRECTIVE = re.compile(r"^\s*\.\.(?:\s|$)")
_HTML = re.compile(r"^\s*<[/!a-zA-Z][^>]*>\s*$|^\s*<!--|^\s*<(?:img|br|p|div|a|h\d|table|td|tr|details|summary)\b")
_FIELD = re.compile(r"^\s*:\w+[^:]*:(?:\s|$)")
_REFERENCE = re.compile(r"^\s*\[[^\]]+\]:\s*\S+")


@attrs.frozen
class Block:
    """A piece of a document.

    Attributes:
        kind: ``paragraph``, ``item``, ``code``, ``heading`` or ``row``.
        text: Its text; the lines of a paragraph or item are kept.
        line: Its first line, from 1.
        heading: The headings above it, joined.
    """

    kind: str
    text: str
    line: int
    heading: str = ""


@attrs.frozen
class Sentence:
    """A sentence.

    Attributes:
        text: Without markup.
        line: The line on which it begins.
        place: Its number in the document, from 0.
        opens: Whether it opens a paragraph.
        heading: The headings above it.
        path: The file it is from.
    """

    text: str
    line: int
    place: int
    opens: bool = False
    heading: str = ""
    path: str = ""


def suffix_of(path: str) -> str:
    """Give the extension of a path, in lower case, without the dot."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def prose_of(text: str, path: str = "") -> list[Sentence]:
    """Give the sentences of a document; of lists only where there is nothing else, of code its comments."""
    suffix = suffix_of(path)
    if suffix in _CODE_SUFFIXES:
        blocks = list(_comments(text, suffix))
    elif suffix in _MARKED_UP:
        blocks = blocks_of(text)
    else:
        return []
    prose = _sentences([block for block in blocks if block.kind == "paragraph"], path)
    return prose or _sentences([block for block in blocks if block.kind == "item"], path)


def _sentences(blocks: list[Block], path: str) -> list[Sentence]:
    found: list[Sentence] = []
    for block in blocks:
        for at, (offset, sentence) in enumerate(_split(block.text)):
            clean = cleaned(sentence)
            if len(clean.split()) >= 3 or block.kind == "item":
                line = block.line + block.text.count("\n", 0, offset)
                found.append(Sentence(clean, line, len(found), at == 0, block.heading, path))
    return found


def headings_of(text: str) -> list[tuple[int, str]]:
    """Give a document's headings with their lines."""
    return [(block.line, block.text) for block in blocks_of(text) if block.kind == "heading"]


def blocks_of(text: str) -> list[Block]:
    """Cut Markdown, reStructuredText or plain text into blocks."""
    return _Reader(text.split("\n")).run()


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.blocks: list[Block] = []
        self.kept: list[str] = []
        self.kept_kind = "paragraph"
        self.first = 1
        self.levels: dict[int, str] = {}
        self.underlines = ["=", "-"]

    def run(self) -> list[Block]:
        at = self._behind_front_matter()
        while at < len(self.lines):
            at = self._step(at)
        self._flush()
        return self.blocks

    def _behind_front_matter(self) -> int:
        if self.lines and self.lines[0].strip() == "---":
            for at, line in enumerate(self.lines[1:60], 1):
                if line.strip() in ("---", "..."):
                    return at + 1
        return 0

    def _step(self, at: int) -> int:
        line = self.lines[at]
        if not line.strip():
            self._flush()
            return at + 1
        fence = _FENCE.match(line)
        if fence:
            return self._code(at, fence.group(1)[:3])
        heading = _HEADING.match(line)
        if heading:
            return self._heading(at, len(heading.group(1)), heading.group(2))
        if self._is_underlined(at):
            return self._heading(at, self._level(self.lines[at + 1].strip()[0]), line.strip()) + 1
        if _DIRECTIVE.match(line) or _FIELD.match(line):
            return self._indented_end(at)
        if not self.kept and line.startswith(("    ", "\t")) and not (self.blocks and self.blocks[-1].kind == "item"):
            return self._indented_code(at)
        self._text(at, line)
        return at + 1

    def _text(self, at: int, line: str) -> None:
        if _TABLE.search(line) and not _ITEM.match(line):
            self._flush()
            self._add("row", line.strip(), at + 1)
        elif _BADGES.match(line) or _HTML.match(line) or _REFERENCE.match(line) or _UNDERLINE.match(line.strip()):
            self._flush()
        elif _ITEM.match(line):
            self._flush()
            self._keep(at, _ITEM.sub("", line), "item")
        else:
            self._keep(at, re.sub(r"^\s*>\s?", "", line).strip(), self.kept_kind if self.kept else "paragraph")

    def _keep(self, at: int, line: str, kind: str) -> None:
        if not self.kept:
            self.first = at + 1
            self.kept_kind = kind
        self.kept.append(line)

    def _flush(self) -> None:
        if self.kept:
            self._add(self.kept_kind, "\n".join(self.kept), self.first)
            self.kept = []

    def _add(self, kind: str, text: str, line: int) -> None:
        heading = " / ".join(self.levels[level] for level in sorted(self.levels))
        self.blocks.append(Block(kind, text, line, heading))

    def _heading(self, at: int, level: int, text: str) -> int:
        self._flush()
        self.levels = {known: title for known, title in self.levels.items() if known < level}
        self._add("heading", cleaned(text), at + 1)
        self.levels[level] = cleaned(text)
        return at + 1

    def _is_underlined(self, at: int) -> bool:
        if self.kept or at + 1 >= len(self.lines) or not self.lines[at][:1].strip():
            return False
        under = self.lines[at + 1].strip()
        return bool(_UNDERLINE.match(under)) and len(under) >= min(3, len(self.lines[at].strip()))

    def _level(self, mark: str) -> int:
        if mark not in self.underlines:
            self.underlines.append(mark)
        return self.underlines.index(mark) + 1

    def _code(self, at: int, fence: str) -> int:
        self._flush()
        end = at + 1
        while end < len(self.lines) and not self.lines[end].strip().startswith(fence):
            end += 1
        self._add("code", "\n".join(self.lines[at + 1 : end]), min(at + 2, len(self.lines)))
        return end + 1

    def _indented_code(self, at: int) -> int:
        end = self._indented_end(at)
        self._add("code", "\n".join(line.strip() for line in self.lines[at:end]).rstrip(), at + 1)
        return end

    def _indented_end(self, at: int) -> int:
        self._flush()
        end = at + 1
        while end < len(self.lines) and (not self.lines[end].strip() or self.lines[end].startswith(("  ", "\t"))):
            end += 1
        return end


_COMMENT = re.compile(r"^\s*(?:#|//+|/\*+|\*(?!/))[!/]?\s?(.*?)(?:\*/)?\s*$")


def _comments(text: str, suffix: str) -> Iterator[Block]:
    if suffix in ("py", "pyi"):
        try:
            yield from _docstrings(ast.parse(text))
            return
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    kept: list[str] = []
    lines = text.split("\n")
    for at, line in enumerate([*lines, ""]):
        comment = _COMMENT.match(line)
        if comment and comment.group(1) and not line.startswith("#!"):
            kept.append(comment.group(1))
        elif kept:
            yield Block("paragraph", "\n".join(kept), at - len(kept) + 1)
            kept = []


def _docstrings(tree: ast.Module) -> Iterator[Block]:
    for node in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))]:
        first = node.body[0] if node.body else None
        documentation = ast.get_docstring(node)
        if documentation and first:
            for block in blocks_of(documentation):
                yield attrs.evolve(block, line=block.line + first.lineno - 1)


_ABBREVIATIONS = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|fig|no|nr|dr|mr|mrs|ms|prof|st|al|ca|sec|min|max|"
    r"ver|vol|pp?)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_STOP = re.compile(r"[.!?…][\"”\u2019')\]*_`]*(?=\s)")


def sentences_in(text: str) -> list[str]:
    """Cut a paragraph into sentences, without markup."""
    return [clean for _offset, sentence in _split(text) if (clean := cleaned(sentence))]


def located_sentences(block: Block) -> list[tuple[int, str]]:
    """Cut a block into sentences, each with the line on which it begins."""
    return [
        (block.line + block.text.count("\n", 0, offset), clean)
        for offset, sentence in _split(block.text)
        if (clean := cleaned(sentence))
    ]


def _split(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for stop in _STOP.finditer(text):
        following = text[stop.end() :].lstrip()
        if stop.group()[0] == "." and (
            _ABBREVIATIONS.search(text[start : stop.start() + 1]) or following[:1].islower()
        ):
            continue
        yield start, text[start : stop.end()]
        start = stop.end() + 1
    if text[start:].strip():
        yield start, text[start:]


_MARKUP = (
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), ""),
    (re.compile(r"!\[[^\]]*\]\[[^\]]*\]"), ""),
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\[[^\]]*\]"), r"\1"),
    (re.compile(r":[\w:+.-]+:`~?([^`<]+?)\s*(?:<[^>]*>)?`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^>`]*>`_{1,2}"), r"\1"),
    (re.compile(r"`([^`]+)`_{1,2}"), r"\1"),
    (re.compile(r"``([^`]+)``"), r"`\1`"),
    (re.compile(r"\*\*(.+?)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?!\w)"), r"\1"),
    (re.compile(r"(?<!\w)__?([^_\s](?:[^_]*[^_\s])?)__?(?!\w)"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^>]*>"), ""),
    (re.compile(r"\\([*_`#\[\]])"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def cleaned(text: str) -> str:
    """Take the markup of Markdown, reStructuredText and HTML off a piece of text."""
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text.strip()

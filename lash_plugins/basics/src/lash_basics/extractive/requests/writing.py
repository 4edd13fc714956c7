"""Requests to write: "save your last answer as x.md"."""

from __future__ import annotations

import re
from collections.abc import Callable

from lash_basics.extractive.intents import (
    Cannot,
    Count,
    Extreme,
    Intent,
    ListFiles,
    Occurrences,
    Outline,
    Read,
    Recall,
    Search,
    Summarise,
    Write,
)
from lash_basics.extractive.requests.phrases import IGNORE_CASE
from lash_basics.extractive.targets import FILE, is_path, target_of

__all__ = ["read_writing"]


_PATH = rf"(?P<path>\"[^\"]+\"|'[^']+'|`[^`]+`|{FILE}|[\w.-]+)"

_INTO = (
    r"(?:to|in|into|as|under|inside|at)(?: (?:the|a|an))?(?: new)?(?: (?:file|document|"
    r"text file))?(?: (?:called|named))?"
)

_WRITE_TO = re.compile(
    rf"^(?P<verb>write|save|store|put|dump|export|output|record|append|add)(?: down)?:? (?P<what>.+) {_INTO} {_PATH}$",
    IGNORE_CASE,
)

_WRITE_WITH = re.compile(
    rf"^(?:create|make|write|add|save|generate)(?: me)?(?: (?:a|an|the|new|text|markdown|empty|"
    rf"short))*(?: (?:file|note|document))?(?: (?:called|named|to|at|in))? {_PATH}"
    r"(?:,? (?:with|containing|that (?:says|contains|holds)|saying|which says|holding|whose (?:text|"
    r"content) is|and (?:write|put))(?: (?:the|this|a))?(?: (?:text|contents?|words?|line|body|"
    r"sentence|message))?:? ?(?P<what>.+?)(?: (?:in|into|to|inside) (?:it|there))?)?$",
    IGNORE_CASE,
)

_WRITE_COLON = re.compile(
    rf"^(?:write|save|put)(?: this| the following)?(?: text)? {_INTO} {_PATH}: ?(?P<what>.+)$", IGNORE_CASE
)

_COPY = re.compile(rf"^copy (?P<what>{FILE}|\w+) (?:to|as|into) {_PATH}$", IGNORE_CASE)

_SAVE_WHERE = re.compile(
    r"^(?:save|store|write down|export) (?:it|that|this|(?:your|the) .*(?:answer|summary|list|reply|result))$",
    IGNORE_CASE,
)

_THAT = re.compile(r"^(?:it|that|this|them|those|the same|(?:all )?(?:of )?(?:it|that))$", IGNORE_CASE)

_CREATIVE = re.compile(
    r"\b(?:poem|story|song|essay|haiku|joke|letter|e-?mail|novel|blog post|article|limerick|function|"
    r"program|code|script|class|test|tests|unit tests|report|translation|review)\b",
    IGNORE_CASE,
)


def read_writing(text: str, understand_one: Callable[[str], Intent]) -> Intent | None:
    """Read a request to write; ``understand_one`` reads what is to be written, such as a summary."""
    copy = _COPY.match(text)
    if copy:
        return Write(path=_unquoted(copy.group("path")), source=Read(target=target_of(copy.group("what"))))
    if _SAVE_WHERE.match(text):
        return Write(path="")
    for pattern in (_WRITE_COLON, _WRITE_TO, _WRITE_WITH):
        found = pattern.match(text)
        if found and _is_written_path(found.group("path"), text):
            appends = text.lower().startswith(("append", "add "))
            return _written(
                _unquoted(found.group("path")), found.group("what") or "", append=appends, understand_one=understand_one
            )
    if re.match(r"^(?:write|create|compose|generate|draft)\b", text, IGNORE_CASE):
        return Cannot(deed="write texts of my own")
    return None


def _is_written_path(path: str, text: str) -> bool:
    return is_path(_unquoted(path)) or bool(re.search(r"\b(?:file|document|named|called)\b", text, IGNORE_CASE))


def _written(path: str, what: str, *, append: bool, understand_one: Callable[[str], Intent]) -> Intent:
    what = re.sub(
        r"^(?:the (?:text|words?|line|sentence|content|following)|text|a line|this)[: ]+(?=[\"'“`\w])",
        "",
        what.strip(),
        flags=IGNORE_CASE,
    )
    quoted = re.fullmatch(r"\"(.*)\"|“(.*)”|'(.*)'|`(.*)`", what, re.DOTALL)
    if quoted:
        return Write(path=path, text=next(group for group in quoted.groups() if group is not None), append=append)
    if not what:
        return Write(path=path, text="", append=append)
    target = target_of(what)
    if _THAT.match(what) or target.answer:
        return Write(path=path, append=append)
    source = understand_one(re.sub(r"^(?:a|the) (?:list|names?) of\s+", "list ", what, flags=IGNORE_CASE))
    if isinstance(source, Summarise | ListFiles | Count | Outline | Recall | Extreme | Occurrences | Search):
        return Write(path=path, source=source, append=append)
    if isinstance(source, Read) and not source.target.is_empty:
        return Write(path=path, source=source, append=append)
    contents = re.match(r"^(?:the )?(?:contents?|text|copy) of (.+)$", what, IGNORE_CASE)
    if contents:
        return Write(path=path, source=Read(target=target_of(contents.group(1))), append=append)
    if re.match(r"^(?:a|an|the|some|me)\b", what, IGNORE_CASE) and _CREATIVE.search(what):
        return Cannot(deed="write texts of my own")
    return Write(path=path, text=what, append=append)


def _unquoted(text: str) -> str:
    return text.strip("\"'`")

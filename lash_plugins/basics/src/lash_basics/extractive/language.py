"""Words: numbers, stems, stop words, kinds of files, and how lists are said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = [
    "KINDS",
    "NUMBER",
    "STOP_WORDS",
    "extensions_of",
    "joined",
    "kind_in",
    "number_in",
    "ordinal_in",
    "plural",
    "quoted_in",
    "stem",
    "words_of",
]


def _listed(text: str) -> list[str]:
    return text.split()


_NUMBERS = _listed("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
    """)
_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]

#: A number in digits or in words, as part of a pattern.
NUMBER = (
    r"(?:\d{1,6}|"
    + "|".join(_NUMBERS)
    + r"|a few|a couple of|a couple|couple of|a single|single|half a dozen|a dozen|an?)"
)

_SPECIAL = {"a": 1, "an": 1, "a single": 1, "single": 1, "a few": 3, "half a dozen": 6, "a dozen": 12}

STOP_WORDS = frozenset(
    _listed("""
    a about above after again all also am an and any anybody anyone anything are as at be because been before
    being between both but by can cannot could did do does doing done down each either else for from further get
    give had has have having he her here hers him his how i if in into is it its itself just let like many may
    me might more most much must my need no nor not of off on once one only or other our out over own please
    same say says shall she should so some such tell than that the their them then there these they this those
    through to too under until up us use very was we were what when where which while who whom whose why will
    with within without would you your file files folder folders document documents docs text here project repo
    repository mean means work works using used information info thing things explain explained describe
    described according want know find show
    """)
)

_DOCUMENTS = ("md", "markdown", "rst", "txt", "adoc", "org")
_CODE = tuple(
    _listed("""
    py pyi js jsx ts tsx go rs java kt c h cc cpp hpp cs rb php swift scala sh bash lua pl r jl sql
    """)
)

#: What people call files, and the extensions that they mean by it.
KINDS: dict[str, tuple[str, ...]] = {
    "markdown": ("md", "markdown"),
    "md": ("md", "markdown"),
    "python": ("py", "pyi"),
    "py": ("py",),
    "restructuredtext": ("rst",),
    "documentation": _DOCUMENTS,
    "documents": _DOCUMENTS,
    "document": _DOCUMENTS,
    "docs": _DOCUMENTS,
    "doc": _DOCUMENTS,
    "text": ("txt", "text"),
    "source code": _CODE,
    "source": _CODE,
    "code": _CODE,
    "csv": ("csv", "tsv"),
    "json": ("json", "jsonl"),
    "yaml": ("yaml", "yml"),
    "yml": ("yaml", "yml"),
    "toml": ("toml",),
    "log": ("log",),
    "logs": ("log",),
    "html": ("html", "htm"),
    "xml": ("xml",),
    "javascript": ("js", "jsx", "mjs"),
    "typescript": ("ts", "tsx"),
    "css": ("css", "scss"),
    "shell": ("sh", "bash"),
    "rust": ("rs",),
    "go": ("go",),
    "java": ("java",),
    "sql": ("sql",),
    "c++": ("cpp", "cc", "hpp"),
    "configuration": ("toml", "ini", "cfg", "yaml", "yml", "conf"),
    "config": ("toml", "ini", "cfg", "yaml", "yml", "conf"),
    "data": ("csv", "tsv", "json", "jsonl", "xml", "parquet"),
    "image": ("png", "jpg", "jpeg", "gif", "svg", "webp"),
    "pdf": ("pdf",),
}

_STANDALONE = "docs|documents|documentation|logs"
_KIND = re.compile(
    r"(?<![\w/.])(?:(" + "|".join(sorted(map(re.escape, KINDS), key=len, reverse=True)) + r")[- ]files?"
    r"|(markdown|python|javascript|typescript|csv|json|yaml|toml|html|shell)s?(?=\s*$|\s+(?:in|here|there|docs)\b)"
    rf"|(?:all|every|each|the|any|those|these|which|what|project) (?:of )?(?:the )?({_STANDALONE}|document|doc)"
    rf"|^({_STANDALONE})$"
    r"|(?:\*?\.)([A-Za-z0-9]{1,8})[- ]files?)(?![\w/])",
    re.IGNORECASE,
)


def kind_in(text: str) -> str | None:
    """Find the kind of files that a phrase names, such as ``markdown`` or ``.ini``."""
    found = _KIND.search(text)
    if not found:
        return None
    extension = found.group(5)
    if extension:
        return f".{extension.lower()}"
    return next(group.lower() for group in found.groups()[:4] if group)


def extensions_of(kind: str) -> tuple[str, ...]:
    """Give the extensions of a kind that `kind_in` found."""
    return (kind[1:],) if kind.startswith(".") else KINDS.get(kind, ())


def number_in(text: str) -> int | None:
    """Read a number that is written as `NUMBER` matches it."""
    text = text.lower().strip()
    if text.isdecimal():
        return int(text)
    if "couple" in text:
        return 2
    return _SPECIAL.get(text, _NUMBERS.index(text) if text in _NUMBERS else None)


def ordinal_in(text: str) -> int | None:
    """Read an ordinal: 1 for the first, -1 for the last."""
    found = re.search(r"\b(" + "|".join(_ORDINALS) + r"|last|(\d{1,3})(?:st|nd|rd|th))\b", text, re.IGNORECASE)
    if not found:
        return None
    if found.group(2):
        return int(found.group(2))
    word = found.group(1).lower()
    return -1 if word == "last" else _ORDINALS.index(word) + 1


_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|`([^`]+)`|(?<!\w)'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)")


def quoted_in(text: str) -> list[str]:
    """Give what stands in quotation marks or backticks."""
    return [next(group for group in found.groups() if group) for found in _QUOTED.finditer(text)]


def words_of(text: str) -> list[str]:
    """Give the words of a text in lower case; names with ``_`` or inner dots stay whole."""
    return re.findall(r"[^\W_]+(?:[_.'\u2019-][^\W_]+)*", text.lower())


def stem(word: str) -> str:
    """Cut the commonest English endings, so that "leases" meets "lease" and "installing" meets "install"."""
    word = word.removesuffix("'s").removesuffix("\u2019s")
    if not word.isalpha():
        return word
    for ending, rest in (
        ("ations", "at"),
        ("ation", "at"),
        ("ies", "y"),
        ("ied", "y"),
        ("ing", ""),
        ("ers", ""),
        ("er", ""),
        ("ed", ""),
        ("es", ""),
        ("s", ""),
        ("e", ""),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith(("ss", "us")):
            return word[: -len(ending)] + rest
    return word


def plural(number: int, noun: str) -> str:
    """Say a number of things: ``1 line``, ``12 lines``."""
    if number == 1:
        return f"1 {noun}"
    return (
        f"{number} {noun[:-1] + 'ies' if noun.endswith('y') else noun + ('es' if noun.endswith(('s', 'ch')) else 's')}"
    )


def joined(items: Iterable[str], word: str = "and", most: int = 12) -> str:
    """Join names as in a sentence; more than ``most`` are counted."""
    names: Sequence[str] = list(items)
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"

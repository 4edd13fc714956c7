"""What the patterns of all kinds of requests share."""

from __future__ import annotations

import re

from lash_basics.extractive.intents import Target
from lash_basics.extractive.language import kind_in, quoted_in
from lash_basics.extractive.targets import target_of

__all__ = [
    "COUNTED",
    "DEALS",
    "DEFINES",
    "HOLDS",
    "IGNORE_CASE",
    "LINK_END",
    "VERB",
    "bare_phrase",
    "is_quoted",
    "kind_and_scope",
    "scope_of",
    "singular_of",
    "target_or_any",
    "units_in",
    "without_links",
]


IGNORE_CASE = re.IGNORECASE

VERB = (
    r"(?:list|show|read|count|summari[sz]e|write|save|store|find|search|tell|how many|what|which|where|give|print|"
    r"display|put|append|repeat|copy)"
)

COUNTED = (
    r"(?:lines?(?: of (?:code|text))?|words?|characters?|chars?|letters?|bytes?|sentences?|"
    r"paragraphs?|rows?|columns?|headings?|sections?|functions?|classes|methods?|files?|documents?|"
    r"folders?|directories|subfolders)"
)

_LINK = re.compile(
    r"^(?:(?:are|is|there|in|inside|within|does|do|did|has|have|of|contained|got|we|you|i|can you see|"
    r"altogether|total|on|for|it|the lot)\b\s*)+(?=\S)",
    IGNORE_CASE,
)

LINK_END = re.compile(
    r"\s*\b(?:have|has|contain|contains|got|in total|altogether|there|total|long|overall|hold|holds|"
    r"all together|include)$",
    IGNORE_CASE,
)


def kind_and_scope(rest: str, kind: str | None) -> Target:
    """Read a kind of files and a folder."""
    scope = re.search(
        r"\b(?:in|inside|under|below|within)\s+(?:the\s+)?(?:folder\s+|"
        r"directory\s+)?(?P<name>[\w@+./-]+)(?:\s+(?:folder|directory))?(?:\s+(?:altogether|"
        r"in total))?$",
        rest,
        IGNORE_CASE,
    )
    name = scope.group("name").strip("/") if scope else ""
    if re.fullmatch(r"(?:this|the|here|there|total|it|folder|directory|project|repo|all|)", name, IGNORE_CASE):
        name = ""
    return Target(kind=kind, folder=name or None)


def units_in(text: str) -> tuple[str, ...]:
    """Read what is to be counted."""
    names = {
        "char": "character",
        "letter": "character",
        "document": "file",
        "directorie": "folder",
        "subfolder": "folder",
        "classe": "class",
        "section": "heading",
    }
    found = (re.sub(r"s$", "", word) if word != "classes" else "class" for word in re.findall(COUNTED, text.lower()))
    bare = (word.split()[0].rstrip("s") if word.startswith("line") else word for word in found)
    return tuple(dict.fromkeys(names.get(word, word) for word in bare))


def without_links(phrase: str) -> str:
    """Take the words off a phrase that link it to a count: "are there in the guide" means the guide."""
    before = None
    while phrase != before:
        before = phrase
        phrase = LINK_END.sub("", _LINK.sub("", phrase.strip()))
    return "" if re.fullmatch(r"(?:are|is|there|in|of|does|do|has|have|here)?", phrase, IGNORE_CASE) else phrase


def singular_of(noun: str) -> str:
    """Give the singular of a noun."""
    for plural, singular in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if noun.lower().endswith(plural) and not noun.lower().endswith("ss"):
            return noun[: -len(plural)] + singular
    return noun


HOLDS = (
    r"(?:holds?|contains?|mentions?|includes?|has|have|having|uses?|references?|refers? to|says?|"
    r"imports?|calls?|containing|mentioning|holding|using|including|with|lists?|names?|quotes?)"
)

DEALS = (
    r"(?:talks? about|deals? with|describes?|explains?|covers?|discuss(?:es)?|is about|are about|"
    r"tells?(?: me| us)?(?: about)?|documents?|about|is on|writes? about|speaks? (?:of|about))"
)

DEFINES = r"(?:defines?|declares?|implements?|defining|implementing)"


def target_or_any(where: str | None) -> Target:
    """Read a target that may be missing."""
    return target_of(where) if where else Target()


def scope_of(text: str) -> Target:
    """Read the files that a question is limited to."""
    if re.search(r"of (?:them|these|those)", text, IGNORE_CASE):
        return Target(pronoun="many")
    return kind_and_scope(text, kind_in(text))


def is_quoted(phrase: str) -> bool:
    """Tell whether a phrase has quotation marks."""
    return bool(quoted_in(phrase))


def bare_phrase(phrase: str) -> str:
    """Take what introduces a searched text off it, and its quotation marks."""
    quoted = quoted_in(phrase)
    if quoted:
        return quoted[0]
    phrase = re.sub(
        r"^(?:(?:the|a|an|any|some) )?(?:exact )?(?:words?|phrase|text|string|token|name|term|"
        r"sentence|function|class|variable|constant|method|module|keyword|expression|identifier|key|"
        r"value|setting|option|line) (?=\S)",
        "",
        phrase.strip(),
        flags=IGNORE_CASE,
    )
    return re.sub(r"\s+(?:anywhere|somewhere|here|in it|in them|at all)$", "", phrase, flags=IGNORE_CASE).strip(" .,;:")

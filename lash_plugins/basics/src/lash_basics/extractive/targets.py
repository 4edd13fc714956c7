"""Reading what a request is about: file names, kinds, folders, "it", "the second one"."""

from __future__ import annotations

import re

from lash_basics.extractive.intents import Target
from lash_basics.extractive.language import kind_in, ordinal_in, quoted_in

__all__ = ["FILE", "WELL_KNOWN", "files_in", "is_path", "target_of"]

WELL_KNOWN = r"readme|license|licence|changelog|changes|contributing|makefile|dockerfile|authors|notice|todo|copying"

#: A file or path in running text.
FILE = (
    r"(?:(?<![\w.~/-])(?:"
    r"(?:~|\.{1,2})?/[\w@+.~-]+(?:/[\w@+.~-]*)*"  # /etc/passwd, ../x, ~/x
    r"|\.[A-Za-z][\w.-]*(?:/[\w@+.-]+)*"  # .env
    r"|(?:[\w@+.-]+/)+[\w@+.-]*[\w@+-]"  # docs/guide
    r"|(?:[\w@+.-]+/)+"  # docs/
    r"|[\w@+-][\w@+.-]*\.(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{1,10}"  # notes.txt
    r")(?![\w/]))"
)

_FILE = re.compile(FILE)
_NOT_FILES = frozenset(("e.g", "i.e", "etc", "and/or", "either/or", "he/she", "yes/no", "a.m", "p.m", "vs", "tl", "dr"))

_PRONOUN = re.compile(
    r"^(?:(?P<many>them|those|these|they|both|all of (?:them|those|these)|both of them|each of them|each one|each|"
    r"(?:those|these|the same|both) (?:files|documents|ones|two|three))|"
    r"(?P<one>it|its|that|this|that one|this one|there|in it|in there|in that|"
    r"(?:that|this|the|the same|said) (?:file|document|one|script|page|text|log|table)|(?:that|"
    r"this) \w+ file|the same|same))"
    r"(?: (?:contents?|text))?$",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\b(?:your|the|that|this|its)(?: (?:last|latest|previous|first|above|whole|full))* (?:answer|"
    r"reply|response|summary|result|results|output|list)\b(?! (?:of|with)\b)"
    r"|\bwhat you (?:just )?(?:said|wrote|told me|answered)\b|\byour (?:last )?message\b|\bthe above\b",
    re.IGNORECASE,
)
_PROJECT = re.compile(
    r"^(?:(?:all|everything|all of it|anything)(?: (?:in )?here)?|(?:the contents of )?(?:this|the|"
    r"our|my|your|whole|entire|current|it|these|all)?(?: whole| entire| current)? ?"
    r"(?:project|repo|repository|folder|directory|workspace|codebase|code base|package|library|stuff|"
    r"thing|place)s?(?: here)?|here|"
    r"(?:this|the) (?:project|repo|repository|folder|directory)(?:'s)? (?:files|contents?))$",
    re.IGNORECASE,
)
_ALL_FILES = re.compile(
    r"^(?:all|every|each|all of|each of|every one of|any)(?: of)?(?: the| these| my| our)?(?: single)? files?"
    r"(?: (?:here|in here|in (?:this|the) (?:folder|directory|project|repo|repository)|separately|individually))?$",
    re.IGNORECASE,
)
_FOLDER = re.compile(
    r"\b(?:in|inside|under|below|within|from|of)\s+(?:the\s+|my\s+|our\s+)?(?:(?:folder|directory|subfolder|dir)\s+)?"
    r"[`'\"]?(?P<name>[\w@+.-][\w@+./-]*)[`'\"]?(?:\s+(?:folder|directory|subfolder|dir))?(?:\s+folder)?$",
    re.IGNORECASE,
)
_IS_FOLDER = re.compile(
    r"^(?:the |my )?[`'\"]?(?P<name>[\w@+.-][\w@+./-]*)[`'\"]? (?:folder|directory|subfolder|dir)$|"
    r"^(?:the )?(?:folder|directory|subfolder) [`'\"]?(?P<named>[\w@+.-][\w@+./-]*?)[`'\"]?$",
    re.IGNORECASE,
)
_HERE = re.compile(
    r"\s+(?:in (?:here|this (?:folder|directory|project|repo|repository)|the (?:current )?(?:folder|"
    r"directory|project|repo|repository))|here|there|right here|around)$",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"^(?:(?:all of|all|any of|any|some of|each of|every one of|each|every|the|a|an|my|our|your|this|"
    r"that|of|for|about|in|on|from|"
    r"content|contents|text|full|whole|entire|complete|file|document|named|called|source)\s+)+|"
    r"\s+(?:files?|documents?|for me|please|now|again|here|in full|completely|entirely|exactly|have|"
    r"has|got|contain|contains|too|as well|instead|say|says)$",
    re.IGNORECASE,
)
_EACH = re.compile(r"\b(?:each|every|all|separately|individually|one by one|per file)\b", re.IGNORECASE)
_ORDINAL = re.compile(
    r"^(?:the |number |no\. ?|#)?(?:\w+(?: one| file| document| result| hit| match| entry| item)?|"
    r"\d+)(?: (?:of them|in (?:the|your) list|on the list|you (?:listed|named|mentioned|found)))?$",
    re.IGNORECASE,
)


def files_in(text: str) -> list[str]:
    """Give the file names and paths that stand in a text."""
    quoted = [part for part in quoted_in(text) if is_path(part)]
    plain = (found.rstrip(".") for found in _FILE.findall(text))
    names = [*quoted, *(name for name in plain if name.lower() not in _NOT_FILES)]
    return list(dict.fromkeys(name for name in names if not any(name != other and name in other for other in quoted)))


def is_path(text: str) -> bool:
    """Tell whether a text looks like a file's name or path."""
    name = text.strip()
    if re.fullmatch(WELL_KNOWN, name, re.IGNORECASE):
        return True
    return len(name) < 120 and bool(re.fullmatch(rf"(?:[\w@+ ()-]+ )?{FILE}|{FILE}", name))


def target_of(phrase: str) -> Target:
    """Read a noun phrase."""
    phrase = phrase.strip(" \t,;:?!")
    each = bool(_EACH.search(phrase))
    pronoun = _PRONOUN.match(phrase)
    if pronoun and not ordinal_in(phrase):
        return Target(pronoun="many" if pronoun.group("many") else "one", each=each)
    if _PROJECT.match(phrase):
        return Target(project=True)
    if _ALL_FILES.match(phrase):
        return Target(project=True, each=True)
    if not files_in(phrase):
        if _ANSWER.search(phrase):
            return Target(answer=True)
        ordinals = _ordinals(phrase)
        if ordinals:
            return Target(ordinals=ordinals)
    return _named(_HERE.sub("", phrase), each)


def _ordinals(phrase: str) -> tuple[int, ...]:
    parts = re.split(r"\s*(?:,|\band\b)\s*", phrase)
    found = []
    for part in parts:
        number = ordinal_in(part) if _ORDINAL.match(part) else None
        hash_number = re.fullmatch(r"(?:number |no\. ?|#|nr\. ?)(\d{1,3})", part, re.IGNORECASE)
        if hash_number:
            number = int(hash_number.group(1))
        if number is None:
            return ()
        found.append(number)
    return tuple(found)


def _named(phrase: str, each: bool) -> Target:
    folder = None
    scoped = _FOLDER.search(phrase)
    if scoped and (phrase[: scoped.start()].strip() or not files_in(phrase)):
        name = scoped.group("name").strip("/")
        if not re.fullmatch(r"the|this|that|it|them|all|every|each|any|full|total|detail", name, re.IGNORECASE):
            rest = phrase[: scoped.start()].strip()
            is_scope = (
                not rest or bool(kind_in(rest)) or bool(re.search(r"files?|documents?|everything|anything|all$", rest))
            )
            if is_scope and not re.search(r"\.\w{1,5}$", name):
                folder, phrase = name, rest
    named = _IS_FOLDER.match(phrase)
    if named:
        return Target(folder=(named.group("name") or named.group("named")).strip("/"), each=each)
    kind = kind_in(phrase)
    if kind:
        return Target(kind=kind, folder=folder, each=each)
    return Target(mentions=_mentions(phrase), folder=folder, each=each)


def _mentions(phrase: str) -> tuple[str, ...]:
    files = files_in(phrase)
    if files:
        known = re.findall(rf"\b(?:{WELL_KNOWN})\b(?!\.\w)(?!/)", re.sub(FILE, " ", phrase), re.IGNORECASE)
        return (*files, *known)
    quoted = quoted_in(phrase)
    if quoted:
        return tuple(quoted)
    parts = (_unfilled(part) for part in re.split(r"\s*(?:,|\band\b|&)\s*", phrase))
    return tuple(part for part in parts if part)


def _unfilled(phrase: str) -> str:
    before = None
    phrase = phrase.strip()
    while phrase != before:
        before = phrase
        phrase = _FILLER.sub("", phrase).strip()
    return "" if re.fullmatch(_ONLY_FILLER, phrase, re.IGNORECASE) else phrase


_ONLY_FILLER = (
    r"(?:the|a|an|all|any|every|each|files?|documents?|contents?|here|there|it|of|in|to|for|some|"
    r"everything|are|is|you|see)?"
)

"""Requests to count: "how many words has notes.txt?"."""

from __future__ import annotations

import re

from lash_basics.extractive.intents import Count, Extreme, Intent, ListFiles, Occurrences, Search, Target
from lash_basics.extractive.language import kind_in
from lash_basics.extractive.requests.phrases import (
    COUNTED,
    IGNORE_CASE,
    LINK_END,
    bare_phrase,
    is_quoted,
    kind_and_scope,
    scope_of,
    singular_of,
    units_in,
    without_links,
)
from lash_basics.extractive.targets import is_path, target_of

__all__ = ["read_count", "read_extreme"]


_HOW_MANY = re.compile(
    r"^(?:how many|(?:give me |what(?:'s| is) |tell me )?the (?:total )?number of|number of|"
    r"count(?: up)?(?: all)?(?: the)?(?: number of)?|(?:what(?:'s| is) |"
    r"give me )?(?:the )?(?P<of>word|line|character|byte|file|sentence)s?[ -]?counts?(?: (?:of|for|"
    r"in))?|what(?:'s| is) the (?P<total>total) (?:number|count) of)\s*(?P<rest>.*)$",
    IGNORE_CASE,
)

_OCCURS = re.compile(
    r"^(?:how (?:many times|often)(?: (?:does|do|is|are|has|did))?(?: the (?:word|phrase|text|term|"
    r"name|string))? (?P<phrase>.+?) (?:occurs?|appears?|mentioned|used|shows? up|comes? up|come up|"
    r"there|found|written|named|said|been used)(?: (?:in|within|inside|across|"
    r"throughout) (?P<scope>.+))?|"
    r"(?:how many|count|number of)(?: all)?(?: the)? (?:occurrences|mentions|matches|hits|instances|"
    r"appearances)(?: of| for)(?: the (?:word|phrase|text|"
    r"term))? (?P<what>.+?)(?: (?:are there )?(?:in|within|across) (?P<where>.+))?)$",
    IGNORE_CASE,
)

_HOW_LONG = re.compile(
    r"^(?:how (?P<how>long|big|large|heavy) (?:is|are)|what(?:'s| is) the (?P<what>size|length) of|"
    r"(?P<short>size|length) of)\s+(?P<rest>.+)$",
    IGNORE_CASE,
)


def read_count(text: str) -> Intent | None:
    """Read a request to count."""
    occurs = _OCCURS.match(text)
    if occurs:
        phrase = occurs.group("phrase") or occurs.group("what")
        scope = occurs.group("scope") or occurs.group("where") or ""
        return Occurrences(phrase=bare_phrase(phrase), target=target_of(scope) if scope else Target())
    long = _HOW_LONG.match(text)
    if long and (not re.match(r"(?:it take|the lease)", long.group("rest"), IGNORE_CASE)):
        is_size = (long.group("how") or "").lower() in ("big", "large", "heavy") or (
            long.group("what") or long.group("short") or ""
        ).lower() == "size"
        target = target_of(LINK_END.sub("", long.group("rest")))
        if not target.mentions or any(is_path(name) for name in target.mentions) or len(target.mentions[0].split()) < 3:
            return Count(units=("byte",) if is_size else ("line", "word"), target=target)
    found = _HOW_MANY.match(text)
    if not found:
        return None
    return _counted(text, found)


def _counted(text: str, found: re.Match[str]) -> Intent | None:
    rest = found.group("rest").strip()
    if found.group("of"):
        return Count(units=(found.group("of").lower(),), target=target_of(without_links(rest)))
    listed = re.match(rf"^((?:{COUNTED}|\s|,|and|or|/|&|how many|the)+)(?=\s|$)(.*)$", rest, IGNORE_CASE)
    units = units_in(listed.group(1)) if listed else ()
    kind = kind_in(rest) or ("test" if re.match(r"tests? files?\b", rest, IGNORE_CASE) else None)
    if listed and "of code" in listed.group(1).lower() and not without_links(listed.group(2)):
        return Count(units=units, target=Target(kind="code"))
    if units and units != ("file",) and listed:
        if units == ("folder",):
            return ListFiles(target=scope_of(listed.group(2)), count_only=True, folders=True)
        return Count(units=units, target=target_of(without_links(listed.group(2))))
    holding = re.match(
        r"^(?P<scope>.*?\bfiles?)(?: (?:are there )?(?:that|which))? (?:mention|contain|hold|use|"
        r"include|have|import|reference)(?:s|ing)? (?P<phrase>.+)$",
        rest,
        IGNORE_CASE,
    )
    if holding and not re.match(r"^(?:in|there|we|you|are)\b", holding.group("phrase"), IGNORE_CASE):
        return Search(
            phrase=bare_phrase(holding.group("phrase")),
            target=scope_of(holding.group("scope")),
            literal=is_quoted(holding.group("phrase")),
        )
    if units == ("file",) or kind or re.match(r"^(?:\S+ )?(?:files?|documents?)\b", rest, IGNORE_CASE):
        return ListFiles(target=kind_and_scope(rest, kind), count_only=True, deep=True)
    noun = re.match(
        r"^(?:the )?(?P<noun>[\w\"'-]+(?: [\w\"'-]+)??)(?: (?:messages?|entries|calls|"
        r"statements))?(?: (?:are|is|there|does|do|has|have|in))+ ?(?P<scope>.*)$",
        rest,
        IGNORE_CASE,
    )
    if noun and noun.group("scope") and not re.match(r"(?:i|we|you)\b", noun.group("scope"), IGNORE_CASE):
        return Occurrences(
            phrase=singular_of(bare_phrase(noun.group("noun"))),
            target=target_of(without_links(noun.group("scope"))),
            noun=noun.group("noun"),
        )
    if not rest or re.match(r"^count\b", text, IGNORE_CASE):
        return Count(units=("line", "word", "character", "byte"), target=target_of(without_links(rest)))
    return None


_EXTREME = re.compile(
    r"\b(?P<which>longest|biggest|largest|shortest|smallest|most (?:lines|words)|fewest (?:lines|words))\b", IGNORE_CASE
)


def read_extreme(text: str) -> Intent | None:
    """Read a question for the longest or smallest file."""
    found = _EXTREME.search(text)
    if not found or not re.search(r"\b(?:files?|documents?|docs?|scripts?|modules?|one|here)\b", text, IGNORE_CASE):
        return None
    which = found.group("which").lower()
    unit = "word" if "words" in which else "line" if which in ("longest", "shortest") or "lines" in which else "byte"
    kind = kind_in(text.replace(found.group(), "").replace("  ", " "))
    most = which not in ("shortest", "smallest") and "fewest" not in which
    return Extreme(unit=unit, most=most, target=kind_and_scope(text, kind))

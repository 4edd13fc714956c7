"""Requests to search: "which file holds XK-4711?"."""

from __future__ import annotations

import re

from lash_basics.extractive.intents import Find, Intent, Search, Target
from lash_basics.extractive.requests.phrases import (
    DEALS,
    DEFINES,
    HOLDS,
    IGNORE_CASE,
    bare_phrase,
    is_quoted,
    scope_of,
    singular_of,
    target_or_any,
)
from lash_basics.extractive.targets import target_of

__all__ = ["read_search"]


_FILES = (
    r"(?:files?|documents?|docs?|ones?|modules?|scripts?|pages?|of them|of these(?: files)?|"
    r"of those(?: files)?|of the files)"
)

_WHICH = re.compile(
    rf"^(?:(?:in )?(?:which|what)|(?:list|show|find|give|get|name)(?: me)?(?: all)?(?: the)?|all|the|"
    rf"any|is there (?:a|any)|are there any|do any)\s*(?P<scope>(?:[\w.*+-]+ )?{_FILES}(?: (?:in|"
    rf"under) [\w./-]+)?)(?: here)?,?(?: (?:that|which|where))?(?: (?:actually|also|all|does|do|"
    rf"it))?\s+"
    rf"(?:(?P<holds>{HOLDS})|(?P<deals>{DEALS})|(?P<defines>{DEFINES}))\s+(?P<phrase>.+)$",
    IGNORE_CASE,
)

_IN_WHICH = re.compile(
    rf"^in (?:which|what) (?P<scope>{_FILES}|folder|place)(?:s)? (?:is|are|was|were|does|do|"
    rf"can i (?:find|read about)|will i find|did) (?P<phrase>.+?)(?: (?P<how>mentioned|defined|used|"
    rf"described|explained|appear|occur|contained|declared|implemented|set|written|found|documented|"
    rf"named))?$",
    IGNORE_CASE,
)

_WHICH_DOES = re.compile(
    r"^(?:(?:in )?(?:which|what) (?:file|module|script)|where) (?:does|do|did) .+? (?:define|declare|"
    r"implement|set) (?P<phrase>.+)$",
    IGNORE_CASE,
)

_WHERE = re.compile(
    r"^(?:where|on (?:which|what) lines?|at (?:which|what) lines?)(?:'s| is| are| was| were| does| do|"
    r" did| can i (?:find|read)| has| have)? (?P<phrase>.+?) (?:get )?(?P<how>mentioned|defined|used|"
    r"described|explained|documented|set|configured|written|appears?|occurs?|declared|implemented|"
    r"stands?|comes? up|referenced|called|imported|stated|discussed|found|been used|named|"
    r"introduced)(?: (?:in|within|inside) (?P<where>.+))?$",
    IGNORE_CASE,
)

_GREP = re.compile(
    r"^(?:search|grep|look|scan|rg|check)(?: (?:through|in|inside))?(?: (?P<first>.+?))? (?:for|"
    r"after)(?: the (?:word|phrase|text|term|string))? (?P<phrase>.+?)(?: (?:in|within|inside|under|"
    r"through|across) (?P<where>(?:the |all |my )?(?:[\w./-]+)(?: (?:files?|folder|directory))?))?$|"
    r"^(?:grep|search|rg) (?P<grep>\"[^\"]+\"|'[^']+'|\S+)(?: (?:in )?(?P<there>\S+))?$",
    IGNORE_CASE,
)

_LINES_WITH = re.compile(
    r"^(?:(?:show|give|list|print|find|get)(?: me)?|which|what|are there)?(?: all)?(?: the|"
    r" any)? ?lines? (?:are there )?(?:(?:that|which) )?(?:contain|with|mention|containing|mentioning|"
    r"matching|match|hold|holding|having|have|include|including|about)s?(?: the (?:word|phrase|"
    r"text))? (?P<phrase>.+?)(?: (?:in|from|of) (?P<where>.+))?$",
    IGNORE_CASE,
)

_MENTIONS = re.compile(
    r"^(?:find|list|show)(?: me)?(?: all)?(?: of)?(?: the)? (?:mentions|occurrences|uses|usages|"
    r"places|references|lines|instances|matches)(?: (?:of|to|for|where|that (?:mention|use)|"
    r"with))(?: the (?:word|phrase|text|term))? (?P<phrase>.+?)(?: (?:is|are) (?:used|mentioned|"
    r"defined|called))?(?: (?:in|within) (?P<where>.+))?$",
    IGNORE_CASE,
)

_DOES = re.compile(
    r"^(?:does|do|did|is|are|has|have) (?P<where>.+?) (?:mention(?:s)?|contain(?:s)?|include(?:s)?|"
    r"say anything about|say something about|talk about|use|uses|import|define|hold|"
    r"reference)(?: the (?:word|phrase|text|term))? (?P<phrase>.+)$|"
    r"^(?:is|are|does|do) (?:the (?:word|phrase|text|term) )?(?P<what>.+?) (?:mentioned|used|defined|"
    r"appear|occur|contained|found|documented|described)(?: (?:anywhere|somewhere|in any (?:file|"
    r"document)|here|in (?P<scope>.+)))?$|"
    r"^does (?:any (?:file|document|of them)|anything(?: here)?|anyone) (?:mention|contain|use|define|"
    r"hold|say) (?P<anything>.+)$",
    IGNORE_CASE,
)

_TODOS = re.compile(
    r"^(?:(?:are there|list|show(?: me)?|find|what|which|give me|any|all|where are)\s*)+(?:any |all |"
    r"the |are |open )*(?P<mark>todo|fixme|xxx|hack)s?(?: (?:comments?|items?|notes?|entries|left|"
    r"there|here))*(?: (?:in|of) (?P<where>.+))?$",
    IGNORE_CASE,
)

_WHO = re.compile(
    r"^(?:who|what)(?: else)? (?:mentions|uses|imports|calls|references|"
    r"defines) (?P<phrase>.+?)(?: in (?P<where>.+))?$",
    IGNORE_CASE,
)

_ERRORS = re.compile(
    r"^(?:(?:show(?: me)?|list|find|give me|are there|what are|which|any|print|"
    r"see)\s+)+(?:me )?(?:any |all |the |only )*(?P<phrase>errors?|warnings?|exceptions?|"
    r"failures?)(?: (?:messages?|lines?|entries|there|are|occurred|happened))*(?: (?:in|from|"
    r"of) (?P<where>.+))?$",
    IGNORE_CASE,
)


def read_search(text: str) -> Intent | None:
    """Read a question for files that hold a text."""
    which = _WHICH.match(text)
    if which and not (
        which.group("holds")
        and re.fullmatch(
            r"we|you|i|there|it|the most .*|the fewest .*|(?:their |the )?sizes?", which.group("phrase"), IGNORE_CASE
        )
    ):
        phrase = which.group("phrase")
        named = re.match(r"^(?:the )?(?:names?|extensions?) (?:like |of )?(.+)$", phrase, IGNORE_CASE)
        if named:
            return Find(name=bare_phrase(named.group(1)))
        return Search(
            phrase=bare_phrase(phrase),
            target=scope_of(which.group("scope")),
            literal=is_quoted(phrase),
            definition=bool(which.group("defines")),
            topic=bool(which.group("deals")),
        )
    owned = _WHICH_DOES.match(text)
    if owned:
        return Search(phrase=bare_phrase(owned.group("phrase")), literal=is_quoted(text), definition=True)
    inside = _IN_WHICH.match(text) or _WHERE.match(text)
    if inside:
        how = (inside.group("how") or "").lower()
        where = inside.groupdict().get("where") or ""
        return Search(
            phrase=bare_phrase(inside.group("phrase")),
            target=target_of(where) if where else Target(),
            literal=is_quoted(inside.group("phrase")),
            definition=how in ("defined", "declared", "implemented", "set", "introduced"),
            topic=how in ("described", "explained", "documented", "discussed"),
        )
    return _grep(text)


def _grep(text: str) -> Intent | None:
    todos = _TODOS.match(text)
    if todos:
        return Search(phrase=todos.group("mark").upper(), target=target_or_any(todos.group("where")), literal=True)
    errors = _ERRORS.match(text)
    if errors:
        return Search(phrase=singular_of(errors.group("phrase")), target=target_or_any(errors.group("where")))
    for pattern in (_MENTIONS, _LINES_WITH, _WHO):
        found = pattern.match(text)
        if found:
            phrase = found.group("phrase")
            return Search(
                phrase=bare_phrase(phrase), target=target_or_any(found.group("where")), literal=is_quoted(phrase)
            )
    grep = _GREP.match(text)
    if grep:
        phrase = grep.group("phrase") or grep.group("grep")
        where = grep.group("first") or grep.group("where") or grep.group("there")
        files = re.match(r"^(?:a |the )?files? (?:named|called) (.+)$", phrase, IGNORE_CASE)
        if files:
            return Find(name=bare_phrase(files.group(1)))
        if where and re.fullmatch(
            r"(?:me|the files?|all(?: the)? files|files|everything|it|here|everywhere)", where, IGNORE_CASE
        ):
            where = None
        return Search(phrase=bare_phrase(phrase), target=target_or_any(where), literal=is_quoted(phrase))
    does = _DOES.match(text)
    if does:
        phrase = does.group("phrase") or does.group("what") or does.group("anything")
        where = does.group("where") or does.group("scope")
        if where and re.fullmatch(
            r"(?:any|any (?:file|document|of them|of these|of the files).*|there|it anywhere|anything|"
            r"these files|the files)",
            where,
            IGNORE_CASE,
        ):
            where = None
        return Search(phrase=bare_phrase(phrase), target=target_or_any(where), literal=is_quoted(phrase), yes_no=True)
    return None

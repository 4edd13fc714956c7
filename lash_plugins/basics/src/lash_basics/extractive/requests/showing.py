"""Requests to list, find and read files, and for what they are made of."""

from __future__ import annotations

import re

from lash_basics.extractive.intents import Find, Intent, ListFiles, Named, Outline, Question, Read, Search, Target
from lash_basics.extractive.language import NUMBER, kind_in, number_in, ordinal_in
from lash_basics.extractive.requests.phrases import (
    DEALS,
    DEFINES,
    HOLDS,
    IGNORE_CASE,
    bare_phrase,
    is_quoted,
    kind_and_scope,
    without_links,
)
from lash_basics.extractive.targets import is_path, target_of

__all__ = ["read_finding", "read_listing", "read_outline", "read_showing"]


_LISTS = re.compile(
    r"^(?:(?:ls|dir|tree)(?: (?P<ls>.*))?|"
    r"(?:list|enumerate|name)(?: me)?(?: out)?(?: (?P<list>.*))?|"
    r"(?:what|which)(?P<what> .*?)?\b(?:files|documents|docs|folders|directories|subfolders|file)\b(?P<after>.*)|"
    r"(?:show|give|tell|print|display)(?: me)?(?: a list of| all| a)?(?P<show>.*?\b(?:files|documents|"
    r"folders|directories|file list|directory listing|folder structure|file tree|listing|docs)\b.*)|"
    r"(?:are|is) there (?P<any>(?:any|some|a|an|more|other)\b.*\b(?:files?|documents?|docs|folders?)\b.*)|"
    r"do (?:we|you|i) have (?P<have>(?:any|some)\b.*\b(?:files?|documents?|docs|folders?)\b.*)|"
    r"find(?: me)?(?: all)?(?P<find>(?: the)? \S+ files\b.*)|"
    r"(?:all )?(?P<bare>(?:the )?(?:\S+ )?files)(?: here| please)?|"
    r"what(?:'s| is| do (?:we|you) have| have we got| can you see| do you see| is there|'s there|"
    r" exists)(?P<here> (?:all )?(?:in )?(?:here|there|around|(?:in )?(?:this|the|the current|my|"
    r"our) (?:folder|directory|project|repo|repository|workspace)))?)$",
    IGNORE_CASE,
)

_IN_FOLDER = re.compile(
    r"^what(?:'s| is| are| do we have| stuff is) (?:in|inside|under|there in) (?P<what>.+)$", IGNORE_CASE
)

_OUTLINE = re.compile(
    r"^(?:(?:list|show|give|print|what|which|tell|get|extract)(?: me)?(?:'s| is|"
    r" are)?(?: all)?(?: of)?(?: the| an)?) ?(?P<what>headings?|sections?|chapters|outline|structure|"
    r"table of contents|toc|titles?|functions?|classes|methods|functions and classes|"
    r"classes and functions|definitions|columns?(?: names)?|fields|column headers|headers?|keys|"
    r"top-level keys|imports)(?: (?:does|do|are (?:there|defined)|is|exist|defined|there))*(?: (?:in|"
    r"of|from|for|does|has|inside))* ?(?P<rest>.*?)(?: (?:have|has|define|contain|import|there))?$",
    IGNORE_CASE,
)

_FINDS = re.compile(
    r"^(?:find|locate|look up|get)(?: me)?(?: all)?(?: the| a| any)? ?(?:files?|documents?) (?:named|"
    r"called|matching|like|with (?:the )?(?:name|extension|ending|suffix)|whose names? (?:is|are|"
    r"contains?|matches|ends? (?:with|in))|ending (?:with|in)) (?P<named>.+)$|"
    r"^(?:find|locate|where(?:'s| is| are| can i find| do i find| lives?)|what is the path (?:of|to)|"
    r"give me the path (?:of|to)|path of)(?: me)?(?: all)?(?: the| a| an| my)? ?(?:files? )?(?:named |"
    r"called )?(?P<name>.+)$|"
    r"^(?:is|are) there (?:a|an|any)\b(?: files?| documents?| folders?)? ?(?:named|"
    r"called)? ?(?P<there>.+?)(?: (?:here|anywhere|somewhere|in (?:here|this folder|the folder)))?$|"
    r"^does (?:a |an |the )?(?:file )?(?:named |called )?(?P<exists>.+?) exist(?: here)?$|^do (?:we|"
    r"you|i) have (?:a |an |any )?(?:file (?:named|called) )?(?P<have>.+?)(?: file)?(?: here)?$|"
    r"^(?:which|what) files? (?:are|is) (?:named|called) (?P<called>.+)$|^(?:which|what) folder (?:is|"
    r"holds|contains) (?P<infolder>.+?)(?: in)?$",
    IGNORE_CASE,
)

_READS = re.compile(
    r"^(?:show|read|cat|print|display|open|view|dump|output|give|quote|type|see|less|more|"
    r"tell)(?: me)?(?: out| aloud| to me| back)?(?: all(?: of)?)? (?P<what>.+)$|"
    r"^what does (?P<say>.+?) (?:say|contain|look like|hold|have in it)$|^what(?:'s| is| stands|"
    r" are) (?:written )?in (?P<in>.+)$|"
    r"^(?:what(?:'s| is| are) )?the (?:full )?(?:contents?|text) of (?P<of>.+)$|"
    r"^(?:the )?contents? of (?P<contents>.+)$",
    IGNORE_CASE,
)

_HEAD = re.compile(
    rf"(?:the |its |only |just )*\b(?P<end>first|last|top|bottom|final|"
    rf"initial) (?:(?P<number>{NUMBER}) )?(?P<plural>lines?)\b(?: (?:of|from|in))?\s*",
    IGNORE_CASE,
)

_RANGE = re.compile(
    r"(?:the )?\blines? (?P<from>\d+)(?:\s*(?:-|\u2013|to|through|until|up to|till|"
    r"and)\s*(?P<to>\d+))?\b(?: (?:of|from|in))?\s*",
    IGNORE_CASE,
)

_NTH = re.compile(
    r"(?:the |its )?\b(?P<nth>(?:second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|"
    r"nd|rd|th))) line\b(?: (?:of|from|in))?\s*",
    IGNORE_CASE,
)

_HEAD_TAIL = re.compile(r"^(?P<which>head|tail)(?: -n)?(?: -?(?P<number>\d+))?(?: of)? (?P<what>.+)$", IGNORE_CASE)


def read_listing(text: str) -> Intent | None:
    """Read a request to list files."""
    if re.search(
        r"\b(?:first|last|top|bottom)\b.*\blines?\b|^(?:show|give|print|list)(?: me)? lines?\b", text, IGNORE_CASE
    ):
        return None
    found = _LISTS.match(text)
    if not found:
        inside = _IN_FOLDER.match(text)
        return _contents(inside.group("what")) if inside else None
    if text.lower().startswith("list") and re.search(r"\b(?:questions|requests)\b", text, IGNORE_CASE):
        return None
    groups = found.groupdict()
    phrase = next(
        (groups[name] for name in ("ls", "list", "show", "any", "have", "find", "bare") if groups[name]), None
    )
    if phrase is None and groups["after"] is not None:
        phrase = " ".join(f"{groups['what'] or ''} files {groups['after']}".split())
        if re.search(rf"\b(?:{HOLDS}|{DEALS}|{DEFINES})\s+\S", groups["after"], IGNORE_CASE):
            return None
    return _listing(text, (phrase or "").strip())


def _listing(text: str, phrase: str) -> Intent | None:
    sizes = bool(re.search(r"\bsizes?\b|\bhow (?:big|large)\b", text, IGNORE_CASE))
    deep = bool(
        re.search(
            r"\b(?:recursive(?:ly)?|all files|every file|subfolders|sub-folders|all the files|tree|"
            r"everything|in all folders)\b",
            text,
            IGNORE_CASE,
        )
    )
    folders = bool(re.search(r"\b(?:folders|directories|subfolders)\b", text, IGNORE_CASE)) and not re.search(
        r"\bfiles\b", text, IGNORE_CASE
    )
    phrase = re.sub(
        r"\b(?:and|with)\s+(?:their\s+|the\s+|its\s+)?sizes?\b|\brecursive(?:ly)?\b|\bsizes? of\b",
        "",
        phrase,
        flags=IGNORE_CASE,
    )
    phrase = re.sub(
        r"\s+(?:are|is|do|does|can|exist|have|has)\b(?:\s+(?:there|here|you|we|i|see|got|have|exist|"
        r"any|it|available|lying around))*(?=\s+(?:in|under|inside)\b|$)",
        "",
        f" {phrase}",
        flags=IGNORE_CASE,
    )
    phrase = re.sub(
        r"^\s*(?:any|some|of|all|the|me|more|other|a list of|list of|names of|tree)\s+", "", phrase, flags=IGNORE_CASE
    ).strip()
    phrase = re.sub(r"^(?:the |all |any )+", "", phrase, flags=IGNORE_CASE)
    if "*" in phrase:
        pattern = re.search(r"\S*\*\S*", phrase)
        return Find(name=pattern.group() if pattern else phrase)
    kind = kind_in(phrase)
    if kind is None and re.fullmatch(r"docs|documents|documentation|logs", phrase, IGNORE_CASE):
        kind = phrase.lower()
    if re.match(r"tests? files?\b", phrase, IGNORE_CASE):
        kind = "test"
    plain = re.fullmatch(
        r"(?:the )?(?:files?|folders?|directories|subfolders|documents|contents?|everything|file list|"
        r"directory listing|listing|folder structure|file tree|file names|filenames|tree|it|stuff|"
        r"-\w+)?(?: (?:here|there|and folders|and directories|in here))*",
        phrase,
        IGNORE_CASE,
    )
    if (
        kind
        or plain
        or re.search(r"\b(?:files|folders|directories|subfolders|everything|documents)\b", phrase, IGNORE_CASE)
    ):
        return ListFiles(target=kind_and_scope(phrase, kind), sizes=sizes, deep=deep, folders=folders)
    contents = re.match(r"^(?:contents? of|what(?:'s| is) in|files (?:in|of))\s+(.+)$", phrase, IGNORE_CASE)
    target = target_of(contents.group(1) if contents else phrase)
    if target.mentions and re.match(r"^(?:is|are|do) ", text, IGNORE_CASE):
        return Find(name=target.mentions[0])
    if target.project or target.folder or target.pronoun or target.mentions:
        return ListFiles(target=target, sizes=sizes, deep=deep, folders=folders)
    return None


def _contents(phrase: str) -> Intent | None:
    target = target_of(phrase)
    if target.project or target.folder:
        return ListFiles(target=target)
    if target.kind:
        return ListFiles(target=target, deep=True)
    return Read(target=target)


def read_outline(text: str) -> Intent | None:
    """Read a request for headings, definitions or columns."""
    found = _OUTLINE.match(text)
    if not found:
        return None
    what = found.group("what").lower()
    if re.match(r"(?:which|what)\b", text, IGNORE_CASE) and what in ("function", "class", "heading", "section"):
        return None
    if what.startswith(("title", "header", "key", "structure")) and not found.group("rest"):
        return None
    if re.search(r"\b(?:folder|project|repo|directory)\b", found.group("rest"), IGNORE_CASE) and what == "structure":
        return ListFiles(target=Target(project=True), deep=True)
    return Outline(target=target_of(without_links(found.group("rest"))), what=what)


def read_finding(text: str) -> Intent | None:
    """Read a question where a file is."""
    if "*" in text and re.match(r"^(?:find|list|show|locate|which|what|where|are|is)\b", text, IGNORE_CASE):
        pattern = re.search(r"[\w./*?-]*\*[\w./*?-]*", text)
        if pattern:
            return Find(name=pattern.group())
    found = _FINDS.match(text)
    if not found:
        return None
    groups = {name: value for name, value in found.groupdict().items() if value}
    key, value = next(iter(groups.items()))
    within = re.match(r"^(?P<phrase>.+?) in (?P<where>.+)$", value)
    if key == "name" and within and text.lower().startswith("find"):
        return Search(
            phrase=bare_phrase(within.group("phrase")),
            target=target_of(within.group("where")),
            literal=is_quoted(value),
        )
    about = re.match(
        r"^(?:everything|anything|something|all|more|out|information|info) (?:about|on|regarding) (.+)$",
        value,
        IGNORE_CASE,
    )
    if about:
        return Question(text=about.group(1))
    if key == "name" and re.match(r"^(?:out|the answer|about|words?|phrase|text|string)\b", value, IGNORE_CASE):
        return Search(phrase=bare_phrase(re.sub(r"^(?:out|about)\s+", "", value)), literal=is_quoted(value))
    bare = bare_phrase(value).removesuffix(" file").removesuffix(" folder")
    if key in ("named", "exists", "called") or is_path(bare):
        return Find(name=re.sub(r"^(?:the |a )", "", bare))
    if kind_in(value):
        return ListFiles(target=kind_and_scope(value, kind_in(value)), deep=True)
    if key in ("there", "have") and len(bare.split()) > 3:
        return None
    return Named(name=re.sub(r"^(?:the |a |an |my )", "", bare), question=text, wants="place")


def read_showing(text: str) -> Intent | None:
    """Read a request to show a file or some of its lines."""
    command = _HEAD_TAIL.match(text)
    if command:
        number = int(command.group("number") or 10)
        return Read(
            target=target_of(command.group("what")),
            first=-number if command.group("which").lower() == "tail" else 1,
            lines=number,
        )
    if re.search(r"\b(?:say|says|tell us|mention)\b.*\babout\b", text, IGNORE_CASE):
        return None
    ranged = _ranged(text)
    if ranged:
        return ranged
    found = _READS.match(text)
    if not found:
        return None
    phrase = next(group for group in found.groups() if group)
    if re.match(
        r"^(?:about|a joke|a story|the time|the weather|how|why|when|what|who|whether|if|more about|an example)\b",
        phrase,
        IGNORE_CASE,
    ):
        return None
    target = target_of(phrase)
    if (
        target.kind
        and re.search(r"\bfiles\b", text, IGNORE_CASE)
        and not re.match(r"^(?:read|cat|print|open)", text, IGNORE_CASE)
    ):
        return ListFiles(target=target, deep=True)
    if target.project:
        return ListFiles(target=target)
    if target.mentions and not any(map(is_path, target.mentions)) and len(" ".join(target.mentions).split()) > 4:
        return None
    return None if target.is_empty else Read(target=target)


def _ranged(text: str) -> Intent | None:
    found = _HEAD.search(text) or _RANGE.search(text) or _NTH.search(text)
    if not found or re.match(r"^(?:how many|count|which|where|summ)", text, IGNORE_CASE):
        return None
    rest = (text[: found.start()] + " " + text[found.end() :]).strip()
    rest = re.sub(
        r"^(?:show|read|cat|print|display|open|view|give|quote|what(?:'s| is| are| does| do)?|tell|"
        r"list)?\b(?: me\b)?(?: out\b)?(?: (?:of|from|in|on|the|is|are|does)\b)*\s*",
        "",
        rest,
        flags=IGNORE_CASE,
    )
    rest = re.sub(r"\s+(?:say|says|is|are|look like|contain)$", "", rest, flags=IGNORE_CASE)
    groups = found.groupdict()
    target = target_of(rest)
    if groups.get("end"):
        number = number_in(groups["number"] or "") or (1 if groups["plural"].lower() == "line" else 10)
        at_end = groups["end"].lower() in ("last", "bottom", "final")
        return Read(target=target, first=-number if at_end else 1, lines=number)
    first = int(groups["from"]) if groups.get("from") else ordinal_in(groups.get("nth") or "") or 1
    last = int(groups.get("to") or first)
    return Read(target=target, first=max(1, min(first, last)), lines=abs(last - first) + 1)

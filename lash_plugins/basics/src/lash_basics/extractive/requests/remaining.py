"""What is left when no other pattern fits: "and notes.txt?", questions, and what cannot be done."""

from __future__ import annotations

import re

from lash_basics.extractive.intents import Again, Cannot, Count, Intent, Named, Question, Read, Target, Unknown
from lash_basics.extractive.language import words_of
from lash_basics.extractive.requests.phrases import COUNTED, IGNORE_CASE, VERB, units_in
from lash_basics.extractive.targets import FILE, WELL_KNOWN, files_in, target_of

__all__ = ["read_again", "read_cannot", "read_remaining"]


_CANNOT = (
    (r"^(?:delete|remove|erase|rm|trash)\b", "delete files"),
    (r"^(?:rename|move|mv)\b", "rename or move files"),
    (r"^(?:run|execute|compile|build|install|start|launch|test|debug|deploy|pip|npm|git)\b", "run programs"),
    (
        r"^(?:translate|rewrite|rephrase|proofread|correct|improve|edit|fix|change|replace|refactor|"
        r"update|format|convert|sort|merge)\b",
        "rewrite or edit texts",
    ),
    (
        r"^(?:download|fetch|browse|google|search the (?:web|internet)|look up .* online|open https?:|"
        r"visit)\b|\bhttps?://",
        "reach the network",
    ),
    (
        r"^(?:email|send|mail|call|book|order|buy|play|draw|sing|paint|remind|schedule|post|tweet)\b",
        "act outside of this folder",
    ),
    (
        r"^(?:(?:tell|give|say)(?: me)? )?(?:a |another )?(?:joke|poem|story|riddle|song|haiku)\b|"
        r"^(?:invent|imagine|compose|brainstorm|think of|suggest|recommend)\b",
        "invent things",
    ),
    (
        r"^(?:what(?:'s| is| are)? (?:the )?(?:time|date|day|weather)|what (?:day|time|year) is it)\b",
        "know the time or the weather",
    ),
    (
        r"^(?:what(?:'s| is)|calculate|compute|how much is)? ?-?[\d.]+(?:\s*(?:[-+*/^x\u00d7\u00f7%]|plus|minus|"
        r"times|divided by)\s*-?[\d.]+)+ ?=?$",
        "calculate",
    ),
    (r"^(?:compare|contrast)\b|\bdifferences? between\b", "compare texts"),
)

_CANNOTS = [(re.compile(pattern, IGNORE_CASE), deed) for pattern, deed in _CANNOT]

_AGAIN = re.compile(
    r"^(?:(?:and )?(?:what|how) about|(?:do )?(?:the )?same (?:for|with|in)|likewise (?:for|with)|"
    r"and for|and in|and of|and from|for|also for|and)\s+(?P<what>.+)$",
    IGNORE_CASE,
)

_MORE_UNITS = re.compile(
    rf"^(?:and |how many |what about |how about |the |in |its )*(?P<units>{COUNTED}(?:(?:,| and|"
    rf" or) (?:the )?{COUNTED})*)$",
    IGNORE_CASE,
)

_ASKS = re.compile(
    r"^(?:what|who|when|where|why|how|which|whose|is|are|was|were|does|do|did|can|could|should|would|"
    r"will|may|must|has|have|according|in|under)\b",
    IGNORE_CASE,
)


def read_cannot(text: str) -> Intent | None:
    """Read what this model cannot do."""
    for pattern, deed in _CANNOTS:
        if pattern.search(text):
            return Cannot(deed=deed)
    return None


def read_again(text: str) -> Intent | None:
    """Read a wish to do the last thing for something else."""
    units = _MORE_UNITS.match(text)
    if units and not re.fullmatch(r"(?:the )?(?:files?|documents?|folders?|directories)", text, IGNORE_CASE):
        return Count(units=units_in(units.group("units")), target=Target())
    found = _AGAIN.match(text)
    if not found or re.match(rf"^(?:{VERB}|does|do|is|are)\b", found.group("what"), IGNORE_CASE):
        return None
    return Again(target=target_of(found.group("what")), phrase=found.group("what"))


def read_remaining(text: str, question: bool, raw: str) -> Intent:
    """Read what no other reader understood."""
    target = target_of(text)
    if re.match(r"^(?:and|or|now)\b", raw, IGNORE_CASE) and not _ASKS.match(text) and len(text.split()) <= 5:
        return Again(target=target, phrase=text)
    if target.pronoun or target.ordinals:
        return Read(target=target)
    if (
        not _ASKS.match(text)
        and len(text.split()) <= 3
        and (files_in(text) or re.fullmatch(rf"(?:the )?(?:{WELL_KNOWN})(?: file)?", text, IGNORE_CASE))
    ):
        return Read(target=target)
    if question or _ASKS.match(text) or re.search(r"\babout\b", text, IGNORE_CASE):
        return _question(text)
    if len(words_of(text)) <= 4 and not re.match(r"^(?:i|you|we|it|please|let)\b", text, IGNORE_CASE):
        return Named(name=text, question=text, wants="text")
    return Unknown(text=raw)


_SAYS = re.compile(
    r"^(?:what|where|does|do|can you see what|which)(?: does| do| did| is)? (?P<where>.+?) (?:say|"
    r"says|tells?(?: us| me)?|writes?|explains?|states?|mentions?|describes?|said|has to say|"
    r"have to say)(?: anything| something)? (?:about|on|regarding|of|concerning) (?P<topic>.+)$|"
    r"^(?:according to|based on|as per|per) (?P<source>.+?), ?(?P<asked>.+)$|"
    r"^(?:in|from) (?P<inside>"
    + FILE
    + r"|(?:the )?(?:readme|changelog|license|docs|documentation)),? (?P<question>.+)$|"
    r"^(?P<all>.+?),? (?:according to|in|from|based on) (?:the )?(?P<last>" + FILE + r"|readme|changelog|license)$",
    IGNORE_CASE,
)


def _question(text: str) -> Intent:
    found = _SAYS.match(text)
    if not found:
        return Question(text=text, target=Target(mentions=tuple(files_in(text))))
    where = found.group("where") or found.group("source") or found.group("inside") or found.group("last")
    topic = found.group("topic") or found.group("asked") or found.group("question") or found.group("all")
    target = target_of(where)
    if re.fullmatch(r"(?:the )?(?:project|files?|you|it all|this project|they)", where, IGNORE_CASE):
        target = Target()
    return Question(text=topic, target=target)

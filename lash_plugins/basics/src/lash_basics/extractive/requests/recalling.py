"""Requests about the conversation: "what was my first question?"."""

from __future__ import annotations

import re

from lash_basics.extractive.intents import Intent, Recall, Remember
from lash_basics.extractive.language import NUMBER, number_in, ordinal_in
from lash_basics.extractive.requests.phrases import IGNORE_CASE

__all__ = ["read_recall"]


_MY = re.compile(
    r"^(?:what|which)(?: was| is|'s| were)? my (?P<which>.*?) ?(?:question|message|request|prompt|query|input)s?$|"
    r"^what did i (?:(?P<adverb>first|last|just|originally) )?(?:ask|say|want|request|tell|type|"
    r"write)(?: (?:you|to you|from you|to know))?(?: (?P<when>.*))?$|"
    r"^(?:repeat|show)(?: me)? my (?P<shown>.*?) ?(?:question|message|request)$",
    IGNORE_CASE,
)

_YOUR = re.compile(
    r"^what (?:did|have) you (?:just |already )?(?:sa(?:y|id)|answer(?:ed)?|tell|told|repl(?:y|ied)|"
    r"wr(?:ite|itten|ote)|found|find)(?: (?:me|to me))?(?: (?:to|about|on|"
    r"regarding) (?P<about>(?!me\b|that\b).+?))?(?: (?P<when>before|earlier|first|last|just now|"
    r"previously|at first|a moment ago|before that|in the beginning))?$|"
    r"^what (?:was|is) your (?P<which>.*?) ?(?:answer|reply|response|message)$|"
    r"^(?:repeat|say)(?: (?:that|it|yourself|your (?:last |previous )?(?P<again>answer|"
    r"reply)))(?: again| once more)?$|^(?:come again|again|once more|repeat)$",
    IGNORE_CASE,
)

_ASKED = re.compile(
    r"^how many (?:questions|things|messages|requests)(?: have| did)? (?:i|we)\b.*$",
    IGNORE_CASE,
)

_ALL = re.compile(
    r"^(?:list|show|what (?:are|were)|repeat|give me|summari[sz]e|"
    r"recap)(?: me)?(?: all)?(?: of)? (?:my (?:questions|requests|messages)|(?:our|this|"
    r"the) (?:conversation|chat|discussion|session|talk)(?: so far)?)$|"
    r"^what (?:have we|did we|have i|were we) (?:talk(?:ed|ing)? about|discuss(?:ed|ing)?|ask(?:ed)?|"
    r"do(?:ne)?|say|said)(?: .*)?$|^what have i asked.*$|^what happened so far$",
    IGNORE_CASE,
)

_REMEMBER = re.compile(
    r"^(?:remember|note|keep in mind|memori[sz]e|don't forget|do not forget)(?: that| this:?|:)? (?P<fact>.{3,})$|"
    r"^(?P<stated>(?:my [\w' ]+ (?:is|are|was)|i am called|call me|i(?:'m| am) (?!looking|interested|"
    r"trying|asking|not)\w+|the (?:secret|password|code ?word|magic word|secret word|secret number|"
    r"code) is) .*|my name'?s .+)$",
    IGNORE_CASE,
)

_FACT = re.compile(
    r"^(?:what|who|when|where|which|how)\b.*\b(?:my|i|me)\b.*\b(?:name|favou?rite|called|told|"
    r"asked you to remember|remember|said|mentioned|birthday|age|live)\b.*$|"
    r"^what(?:'s| is| was| are) my .+$|^who am i$|^do you (?:remember|know) (?:what|who|my|which) .+$|"
    r"^what (?:\w+ )*(?:did|should) (?:i|you) (?:ask you to |tell you to )?(?:remember|keep in mind|"
    r"note).*$|^what(?:'s| is| was) the (?:secret|code ?word|magic word|secret word|password|"
    r"secret number)$",
    IGNORE_CASE,
)


def read_recall(text: str) -> Intent | None:
    """Read a question about what was said, or something to remember."""
    if _ASKED.match(text):
        return Recall(who="count")
    if _ALL.match(text):
        return Recall(who="both")
    mine = _MY.match(text)
    if mine:
        said = " ".join(group for group in mine.groups() if group)
        return Recall(who="user", which=_which(said))
    yours = _YOUR.match(text)
    if yours:
        said = " ".join(yours.group(name) or "" for name in ("when", "which"))
        return Recall(who="model", which=_which(said), about=yours.group("about") or "")
    if _FACT.match(text):
        return Recall(who="fact", about=text)
    told = _REMEMBER.match(text)
    if told:
        return Remember(fact=told.group("fact") or told.group("stated"))
    return None


def _which(said: str) -> int:
    if re.search(r"second[- ](?:to[- ])?last|before (?:that|the last)|one before", said, IGNORE_CASE):
        return -2
    ago = re.search(rf"({NUMBER}) (?:questions?|messages?|requests?|turns?) ago", said, IGNORE_CASE)
    if ago:
        return -(number_in(ago.group(1)) or 1)
    if re.search(r"\bfirst|beginning|start|origin", said, IGNORE_CASE):
        return 1
    return ordinal_in(said) or -1

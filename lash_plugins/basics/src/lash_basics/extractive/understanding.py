"""From what a user wrote to what the user wants. Patterns only: nothing here looks at files or at the conversation."""

from __future__ import annotations

import re
from collections.abc import Callable

from lash_basics.extractive.intents import Intent, SmallTalk, Summarise, Target
from lash_basics.extractive.requests.counting import read_count, read_extreme
from lash_basics.extractive.requests.phrases import IGNORE_CASE, VERB
from lash_basics.extractive.requests.recalling import read_recall
from lash_basics.extractive.requests.remaining import read_again, read_cannot, read_remaining
from lash_basics.extractive.requests.searching import read_search
from lash_basics.extractive.requests.showing import read_finding, read_listing, read_outline, read_showing
from lash_basics.extractive.requests.summarising import read_reshape, read_summary, shape_of
from lash_basics.extractive.requests.writing import read_writing
from lash_basics.extractive.targets import FILE

__all__ = ["MAX_REQUEST", "understand", "understand_one"]


def understand(text: str) -> list[Intent]:
    """Read a message: one intent for each of the requests in it, at least one."""
    pasted = _PASTED.match(text.strip())
    if pasted:
        _rest, sentences, words, bullets = shape_of(" ".join(pasted.group("asked").split()))
        return [
            Summarise(target=Target(), text=pasted.group("text"), sentences=sentences, words=words, bullets=bullets)
        ]
    return [understand_one(part) for part in _parts(" ".join(text[:MAX_REQUEST].split()))]


#: Characters of a message that are read as requests; what is longer is text, not a request.
MAX_REQUEST = 2000

#: A text to summarise, in the message itself: "Summarise this in one sentence: …".
_PASTED = re.compile(
    r"(?P<asked>[^:\n]{0,80}\b(?:summ[ae]r\w+|sum up|shorten|condense|tl;?dr)\b[^:\n]{0,80}):\s*(?P<text>\S.{60,})$",
    re.IGNORECASE | re.DOTALL,
)

_SPLIT = re.compile(
    rf"\s*(?:,?\s+and then\s+|,?\s+then\s+|,\s+and\s+|\s+and also\s+|\s+and\s+|;\s*|[.?!]\s+(?:then\s+|"
    rf"and\s+|also\s+|after that,?\s+)?)"
    rf"(?=(?:please\s+)?{VERB}\s+\S)",
    IGNORE_CASE,
)

_ASKS_SOMETHING = re.compile(
    rf"(?:please |can you |could you )*(?:{VERB}|do|does|is|are|how|who|when|why|open|in)\b", IGNORE_CASE
)


def _parts(text: str) -> list[str]:
    """Cut at "and then", "and save …" and between sentences, where the next part begins with a verb."""
    parts: list[str] = []
    start = 0
    for cut in _SPLIT.finditer(text):
        before, behind = text[start : cut.start()], text[cut.end() :]
        if not before.strip() or _inside_quotes(text, cut.start()) or not _stands_alone(before, cut.group(), behind):
            continue
        parts.append(before)
        start = cut.end()
    return [part for part in [*parts, text[start:]] if part.strip()] or [""]


def _inside_quotes(text: str, at: int) -> bool:
    return any(text[:at].count(mark) % 2 for mark in ('"', "`")) or bool(
        re.search(r"(?<!\w)'[^']*$", text[:at]) and "'" in text[at:]
    )


def _stands_alone(before: str, link: str, behind: str) -> bool:
    """Whether the part before a link is a request of its own: "search for read and write files" is one."""
    if re.match(r"(?:write|save|put|append|create)\b", before, IGNORE_CASE) and not re.search(
        rf"{FILE}|\b(?:to|as|into)\b", before, IGNORE_CASE
    ):
        return False
    if "and" in link.lower() and re.match(r"how many \w+$", before, IGNORE_CASE):
        return False
    return not link.strip().isalpha() or bool(_ASKS_SOMETHING.match(before))


_POLITE = re.compile(
    r"^(?:please|pls|kindly|hey|hi|hello|ok(?:ay)?|alright|well|now|then|so|but|and|also|great|good|"
    r"nice|thanks|thank you|sorry|no|yes|actually|(?:first|next|finally)(?=,)|"
    r"(?:can|could|would|will) you(?: please| kindly)?(?: be so kind (?:as )?to)?|i(?:'d|"
    r" would) like (?:you )?to(?: know| see)?|i want (?:you )?to(?: know| see)?|"
    r"i need (?:you )?to(?: know| see)?|i wonder|do you know|please tell me|can you tell me|"
    r"let me know|let me see|help me|go ahead and|just|quickly|"
    r"tell me(?! (?:about|more|a joke))|give me an answer:?|say)\b[\s,.!:]+(?=\S)",
    IGNORE_CASE,
)

_POLITE_END = re.compile(
    r"[\s,]+(?:please|pls|for me|thanks|thank you|thx|now|then|right now|if you can|too|as well|exactly)[\s.!?]*$",
    IGNORE_CASE,
)


def understand_one(text: str) -> Intent:
    """Read one request."""
    raw = text.strip()
    small = _small_talk(raw)
    if small:
        return small
    asked = raw
    before = None
    while asked != before:
        before = asked
        asked = _POLITE_END.sub("", _POLITE.sub("", asked)).strip()
    question = asked.rstrip().endswith("?")
    asked = asked.rstrip(" ?!.") or raw
    for read in _READERS:
        intent = read(asked)
        if intent is not None:
            return intent
    return read_remaining(asked, question, raw)


_SMALL = (
    (
        "greeting",
        r"(?:hi|hello|hey|hiya|good (?:morning|day|evening|afternoon)|greetings|howdy|moin|"
        r"hallo)(?: there| lash| everyone)?",
    ),
    (
        "thanks",
        r"(?:many |ok(?:ay)?,? |great,? )?(?:thanks?|thank you|thx|cheers)(?: a lot| very much| so much|"
        r" again)?(?:,? (?:that.*|great.*|bye))?",
    ),
    ("bye", r"(?:good ?bye|bye(?: bye)?|see you(?: later)?|that(?:'s| is) all|quit|exit)"),
    ("wellbeing", r"how (?:are|do) you(?: do(?:ing)?)?(?: today)?|how is it going|what'?s up"),
    (
        "identity",
        r"(?:who|what) are you|what(?:'s| is) your name|(?:which|what)(?: kind of| sort of)? (?:model|llm|"
        r"ai)(?: are you| is this| do you use)?|are you (?:an? )?(?:ai|human|llm|real|real model|bot|gpt|"
        r"chatgpt|claude).*|introduce yourself",
    ),
    (
        "help",
        r"help(?: me)?|what can (?:you|i) (?:do|ask|ask you|say)(?: here| for me)?|what do you (?:do|know|"
        r"understand|support)|how (?:can|do) (?:you help(?: me)?|i use (?:you|this))|\?|commands|usage|"
        r"examples|what are your (?:capabilities|tools|abilities)|(?:which|what) tools do you have|"
        r"list your tools",
    ),
    (
        "yes",
        r"(?:ok(?:ay)?|yes|yep|sure|fine|great|good|nice|perfect|cool|wow|well done|very good|no|nope|"
        r"nothing|never mind|got it|i see|understood|right|test|testing|ping)",
    ),
)

_SMALL_TALK = [(topic, re.compile(pattern, IGNORE_CASE)) for topic, pattern in _SMALL]


def _small_talk(text: str) -> Intent | None:
    plain = text.strip(" .!?,;:)(") or text
    plain = re.sub(r"^(?:please|hi|hello|hey|so|and)[,!.\s]+(?=\w)", "", plain, flags=IGNORE_CASE) or plain
    for topic, pattern in _SMALL_TALK:
        if pattern.fullmatch(plain):
            return SmallTalk(topic=topic)
    return None


_READERS: tuple[Callable[[str], Intent | None], ...] = (
    read_recall,
    lambda text: read_writing(text, understand_one),
    read_reshape,
    read_cannot,
    read_count,
    read_extreme,
    read_search,
    read_outline,
    read_summary,
    read_again,
    read_listing,
    read_showing,
    read_finding,
)

"""Requests for summaries, and for the last answer in another size."""

from __future__ import annotations

import re
from typing import Literal

import attrs

from lash_basics.extractive.intents import Intent, Named, Reshape, Summarise, Target
from lash_basics.extractive.language import NUMBER, number_in
from lash_basics.extractive.requests.phrases import IGNORE_CASE
from lash_basics.extractive.targets import WELL_KNOWN, files_in, target_of

__all__ = ["read_reshape", "read_summary", "shape_of"]


_UNIT = r"(?:sentence|line|bullet point|bullet|key point|main point|point|statement|phrase|paragraph|takeaway)s?"

_SIZE = re.compile(
    rf"(?:,|:)?\s*\b(?:in|with|using|to|as|into|of|at)?\s*(?:at most|up to|no more than|only|just|"
    rf"about|around|exactly|max(?:imum|imally)?|roughly|the)?\s*\b(?P<number>{NUMBER})[- ](?:short|"
    rf"brief|concise|simple|key|main|bullet|clear|single|most important|important|or so|"
    rf"plain)?[- ]?(?P<unit>{_UNIT})\b(?: (?:at most|or less|or fewer|max|long|only|each|per file|"
    rf"for each(?: \w+)?))?",
    IGNORE_CASE,
)

_WORDS = re.compile(
    rf"\s*\b(?:in|to|using|with|of)\s+(?:at most|up to|no more than|only|just|about|around|under|"
    rf"less than|max(?:imum)?|fewer than|not more than|roughly)?\s*(?P<number>{NUMBER}|"
    rf"\d+) words?\b(?: or less| or fewer| at most| max)?",
    IGNORE_CASE,
)

_BULLETS = re.compile(
    r"\s*\b(?:as|in|with|using)(?: a)?(?: few| some)? (?:bullet ?points|bullets|bullet list|"
    r"bulleted list|list of points|points)\b",
    IGNORE_CASE,
)

_BRIEF = re.compile(
    r"\s*(?<![\w./-])(?:very )?(?:briefly|shortly|in short|in brief|concisely|in a nutshell|quickly|"
    r"short|brief|concise|quick)(?![\w/-]|\.\w)",
    IGNORE_CASE,
)

_LONG = re.compile(
    r"\s*(?<![\w./-])(?:in (?:more |great |some )?detail|in depth|at length|thoroughly|detailed|"
    r"comprehensive|long|longer|extensive)(?![\w/-]|\.\w)",
    IGNORE_CASE,
)

_SUMMARY = re.compile(
    r"(?<![\w./-])(?:summ?[ae]r+(?:i[sz]e|i[sz]ing|y|ies|i[sz]ation)?s?|sum(?:s)? (?:\w+ )?up|"
    r"tl;? ?dr|overview|gist|synopsis|recap|digest|condense|abstract|boil down|key points?|"
    r"main points?|"
    r"main ideas?|essence|most important (?:points?|things?|facts?)|key takeaways?|takeaways?|"
    r"highlights)(?![\w/-]|\.\w)",
    IGNORE_CASE,
)

_SUMMARY_FRAME = re.compile(
    r"^(?:give|write|make|provide|create|produce|prepare|show|get|do|i want|i need|what(?:'s| is|"
    r" are)|can i (?:get|have))?\b(?: me| us)?(?: with)?\s*(?:\b(?:a|an|the|your|"
    r"its)\b)?\s*(?:\b(?:of|for)\b)?\s*",
    IGNORE_CASE,
)

_ABOUT = re.compile(
    r"^(?:what(?:'s| is| are) (?P<thing>.+?) (?:all )?about$|what(?:'s| is) (?P<purpose>(?:this|"
    r"the) (?:project|repo|repository|folder|package|library|codebase|directory|thing|code))(?: for|"
    r" good for)?$|"
    r"what does (?P<doing>.+?) do$|what(?:'s| is| are) (?:in )?the (?:purpose|point|goal|aim|topic|"
    r"subject|idea)s? of (?P<goal>.+)$|"
    r"(?:describe|explain|introduce)(?: to me| me)? (?P<described>.+)$|(?:tell me|say|"
    r"talk)(?: something| more)? about (?P<told>.+)$|what (?:can|could|do) you (?:tell me|say|"
    r"know) about (?P<known>.+)$|what(?:'s| is) (?P<gist>.+?) (?:good )?for$)",
    IGNORE_CASE,
)


def shape_of(text: str) -> tuple[str, int | None, int | None, bool]:
    """Take the size that is asked for out of a request: what is left, sentences, words, bullets."""
    sentences = words = None
    bullets = False
    in_words = _WORDS.search(text)
    if in_words:
        words = number_in(in_words.group("number"))
        text = text[: in_words.start()] + text[in_words.end() :]
    size = _SIZE.search(text)
    if size:
        sentences = number_in(size.group("number"))
        unit = size.group("unit").lower()
        bullets = "bullet" in size.group(0).lower() or "point" in unit
        if unit.startswith("paragraph"):
            sentences = (sentences or 1) * 4
        text = text[: size.start()] + " " + text[size.end() :]
    for pattern, number in ((_BRIEF, 2), (_LONG, 8)):
        if pattern.search(text):
            sentences = sentences or number
            text = pattern.sub("", text, count=1)
    if _BULLETS.search(text):
        bullets = True
        text = _BULLETS.sub("", text)
    return " ".join(text.split()), sentences, words, bullets


_SHORTER = re.compile(
    r"\b(?:shorter|briefer|too long|more (?:briefly|concisely|concise|succinct)|less (?:text|detail|"
    r"words)|shorten(?: (?:it|that|this))?)\b",
    IGNORE_CASE,
)

_LONGER = re.compile(
    r"\b(?:longer|more detail(?:s|ed)?|in (?:more )?detail|elaborate|too short|expand(?: on (?:it|"
    r"that|this))?|tell me more|say more|more sentences)\b",
    IGNORE_CASE,
)

_GO_ON = re.compile(
    r"^(?:go on|continue|next|more|read on|keep (?:going|reading)|show(?: me)? more|"
    r"(?:show(?: me)? )?the (?:rest|next (?:lines|part|page))|and then)$",
    IGNORE_CASE,
)

_ONLY_SIZE = re.compile(
    r"^(?:make|say|do|put|rewrite|rephrase|write|give|repeat|try|keep|phrase|cut|shrink|"
    r"reduce)?(?: me)?\s*(?:it|that|this|the same|again|down|to|now|rather|instead|(?:your|the|"
    r"that) (?:last )?(?:answer|summary|reply))*\s*(?:but |only |just |even |much |a (?:bit|little) |"
    r"still |with |about |for )*$",
    IGNORE_CASE,
)


def read_reshape(text: str) -> Intent | None:
    """Read a wish for the last answer in another size."""
    if _GO_ON.match(text):
        return Reshape(change="go on")
    rest, sentences, words, bullets = shape_of(text)
    sizes: tuple[tuple[re.Pattern[str], Literal["shorter", "longer"]], ...] = (
        (_SHORTER, "shorter"),
        (_LONGER, "longer"),
    )
    for pattern, change in sizes:
        if pattern.search(text) and _ONLY_SIZE.match(pattern.sub("", _SIZE.sub("", text)).strip()):
            wanted = sentences if _SIZE.search(text) else None
            return Reshape(change=change, sentences=wanted, words=words, bullets=bullets)
    if (sentences or words or bullets) and _ONLY_SIZE.match(rest):
        return Reshape(change="exactly", sentences=sentences, words=words, bullets=bullets)
    return None


def read_summary(text: str) -> Intent | None:
    """Read a request for a summary."""
    asks = bool(_SUMMARY.search(text)) or bool(
        re.match(rf"^(?:give|write|get|tell)(?: me)? {NUMBER}[- ](?:sentence|line)", text, IGNORE_CASE)
    )
    if not asks or re.match(r"^(?:which|where|find|search|how many|does|is)\b", text, IGNORE_CASE):
        return _about(text)
    rest, sentences, words, bullets = shape_of(text)
    bullets = bullets or bool(re.search(r"\bpoints\b|takeaways|highlights", text, IGNORE_CASE))
    rest = _SUMMARY.sub(" ", rest, count=1)
    before, _of, behind = rest.partition(" of ") if re.search(r"\s+of\s+", rest) else ("", "", rest)
    phrase = behind if not before.strip() or _SUMMARY_FRAME.fullmatch(f"{before.strip()} ") else rest
    phrase = _SUMMARY_FRAME.sub("", " ".join(phrase.split())).strip(" ,:")
    phrase = re.sub(
        r"^(?:of|for|about|on|from|what|is in|is written in|me|us|up|over|please)\s+", "", phrase, flags=IGNORE_CASE
    )
    phrase = re.sub(r"\s+(?:up|please|says?|each)$", "", phrase, flags=IGNORE_CASE)
    target = (
        target_of(phrase)
        if phrase and not re.fullmatch(r"(?:please|up|me|of|is|are|the|a)", phrase, IGNORE_CASE)
        else Target()
    )
    if re.search(r"\b(?:each|every|separately|individually|one by one|per file)\b", text, IGNORE_CASE):
        target = attrs.evolve(target, each=True)
    return Summarise(target=target, sentences=sentences, words=words, bullets=bullets)


def _about(text: str) -> Intent | None:
    rest, sentences, words, bullets = shape_of(text)
    found = _ABOUT.match(rest.strip(" ,"))
    if not found:
        return None
    phrase = next(group for group in found.groups() if group)
    target = target_of(phrase)
    if target.pronoun or target.project or target.ordinals or target.kind or target.folder or target.answer:
        return Summarise(target=target, sentences=sentences, words=words, bullets=bullets)
    if files_in(phrase) or re.search(rf"\b(?:{WELL_KNOWN})\b", phrase, IGNORE_CASE):
        return Summarise(target=target, sentences=sentences, words=words, bullets=bullets)
    return Named(name=" ".join(target.mentions) or phrase, question=text, wants="summary")

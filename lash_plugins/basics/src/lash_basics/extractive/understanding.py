"""From what a user wrote to what the user wants. Patterns only: nothing here looks at files or at the conversation."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from lash_basics.extractive.intents import (
    Again,
    Cannot,
    Count,
    Extreme,
    Find,
    Intent,
    ListFiles,
    Named,
    Occurrences,
    Outline,
    Question,
    Read,
    Recall,
    Remember,
    Reshape,
    Search,
    SmallTalk,
    Summarise,
    Target,
    Unknown,
    Write,
)
from lash_basics.extractive.language import NUMBER, kind_in, number_in, ordinal_in, quoted_in, words_of
from lash_basics.extractive.targets import FILE, WELL_KNOWN, files_in, is_path, target_of

__all__ = ["understand"]

_I = re.IGNORECASE


def understand(text: str) -> list[Intent]:
    """Read a message: one intent for each of the requests in it, at least one."""
    pasted = _PASTED.match(text.strip())
    if pasted:
        _rest, sentences, words, bullets = _shape(" ".join(pasted.group("asked").split()))
        return [
            Summarise(target=Target(), text=pasted.group("text"), sentences=sentences, words=words, bullets=bullets)
        ]
    return [_intent(part) for part in _parts(" ".join(text[:MAX_REQUEST].split()))]


#: Characters of a message that are read as requests; what is longer is text, not a request.
MAX_REQUEST = 2000

#: A text to summarise, in the message itself: "Summarise this in one sentence: …".
_PASTED = re.compile(
    r"(?P<asked>[^:\n]{0,80}\b(?:summ[ae]r\w+|sum up|shorten|condense|tl;?dr)\b[^:\n]{0,80}):\s*(?P<text>\S.{60,})$",
    re.IGNORECASE | re.DOTALL,
)


_VERB = (
    r"(?:list|show|read|count|summari[sz]e|write|save|store|find|search|tell|how many|what|which|where|give|print|"
    r"display|put|append|repeat|copy)"
)
_SPLIT = re.compile(
    rf"\s*(?:,?\s+and then\s+|,?\s+then\s+|,\s+and\s+|\s+and also\s+|\s+and\s+|;\s*|[.?!]\s+(?:then\s+|"
    rf"and\s+|also\s+|after that,?\s+)?)"
    rf"(?=(?:please\s+)?{_VERB}\s+\S)",
    _I,
)


_ASKS_SOMETHING = re.compile(
    rf"(?:please |can you |could you )*(?:{_VERB}|do|does|is|are|how|who|when|why|open|in)\b", _I
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
    if re.match(r"(?:write|save|put|append|create)\b", before, _I) and not re.search(
        rf"{FILE}|\b(?:to|as|into)\b", before, _I
    ):
        return False
    if "and" in link.lower() and re.match(r"how many \w+$", before, _I):
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
    _I,
)
_POLITE_END = re.compile(
    r"[\s,]+(?:please|pls|for me|thanks|thank you|thx|now|then|right now|if you can|too|as well|exactly)[\s.!?]*$", _I
)


def _intent(text: str) -> Intent:
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
    return _remaining(asked, question, raw)


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
_SMALL_TALK = [(topic, re.compile(pattern, _I)) for topic, pattern in _SMALL]


def _small_talk(text: str) -> Intent | None:
    plain = text.strip(" .!?,;:)(") or text
    plain = re.sub(r"^(?:please|hi|hello|hey|so|and)[,!.\s]+(?=\w)", "", plain, flags=_I) or plain
    for topic, pattern in _SMALL_TALK:
        if pattern.fullmatch(plain):
            return SmallTalk(topic=topic)
    return None


# -- writing ----------------------------------------------------------------------------------------------------------

_PATH = rf"(?P<path>\"[^\"]+\"|'[^']+'|`[^`]+`|{FILE}|[\w.-]+)"
_INTO = (
    r"(?:to|in|into|as|under|inside|at)(?: (?:the|a|an))?(?: new)?(?: (?:file|document|"
    r"text file))?(?: (?:called|named))?"
)
_WRITE_TO = re.compile(
    rf"^(?P<verb>write|save|store|put|dump|export|output|record|append|add)(?: down)?:? (?P<what>.+) {_INTO} {_PATH}$",
    _I,
)
_WRITE_WITH = re.compile(
    rf"^(?:create|make|write|add|save|generate)(?: me)?(?: (?:a|an|the|new|text|markdown|empty|"
    rf"short))*(?: (?:file|note|document))?(?: (?:called|named|to|at|in))? {_PATH}"
    r"(?:,? (?:with|containing|that (?:says|contains|holds)|saying|which says|holding|whose (?:text|"
    r"content) is|and (?:write|put))(?: (?:the|this|a))?(?: (?:text|contents?|words?|line|body|"
    r"sentence|message))?:? ?(?P<what>.+?)(?: (?:in|into|to|inside) (?:it|there))?)?$",
    _I,
)
_WRITE_COLON = re.compile(
    rf"^(?:write|save|put)(?: this| the following)?(?: text)? {_INTO} {_PATH}: ?(?P<what>.+)$", _I
)
_COPY = re.compile(rf"^copy (?P<what>{FILE}|\w+) (?:to|as|into) {_PATH}$", _I)
_SAVE_WHERE = re.compile(
    r"^(?:save|store|write down|export) (?:it|that|this|(?:your|the) .*(?:answer|summary|list|reply|result))$", _I
)
_THAT = re.compile(r"^(?:it|that|this|them|those|the same|(?:all )?(?:of )?(?:it|that))$", _I)
_CREATIVE = re.compile(
    r"\b(?:poem|story|song|essay|haiku|joke|letter|e-?mail|novel|blog post|article|limerick|function|"
    r"program|code|script|class|test|tests|unit tests|report|translation|review)\b",
    _I,
)


def _write(text: str) -> Intent | None:
    copy = _COPY.match(text)
    if copy:
        return Write(path=_unquoted(copy.group("path")), source=Read(target=target_of(copy.group("what"))))
    if _SAVE_WHERE.match(text):
        return Write(path="")
    for pattern in (_WRITE_COLON, _WRITE_TO, _WRITE_WITH):
        found = pattern.match(text)
        if found and _is_written_path(found.group("path"), text):
            appends = text.lower().startswith(("append", "add "))
            return _written(_unquoted(found.group("path")), found.group("what") or "", append=appends)
    if re.match(r"^(?:write|create|compose|generate|draft)\b", text, _I):
        return Cannot(deed="write texts of my own")
    return None


def _is_written_path(path: str, text: str) -> bool:
    return is_path(_unquoted(path)) or bool(re.search(r"\b(?:file|document|named|called)\b", text, _I))


def _written(path: str, what: str, *, append: bool) -> Intent:
    what = re.sub(
        r"^(?:the (?:text|words?|line|sentence|content|following)|text|a line|this)[: ]+(?=[\"'“`\w])",
        "",
        what.strip(),
        flags=_I,
    )
    quoted = re.fullmatch(r"\"(.*)\"|“(.*)”|'(.*)'|`(.*)`", what, re.DOTALL)
    if quoted:
        return Write(path=path, text=next(group for group in quoted.groups() if group is not None), append=append)
    if not what:
        return Write(path=path, text="", append=append)
    target = target_of(what)
    if _THAT.match(what) or target.answer:
        return Write(path=path, append=append)
    source = _intent(re.sub(r"^(?:a|the) (?:list|names?) of\s+", "list ", what, flags=_I))
    if isinstance(source, Summarise | ListFiles | Count | Outline | Recall | Extreme | Occurrences | Search):
        return Write(path=path, source=source, append=append)
    if isinstance(source, Read) and not source.target.is_empty:
        return Write(path=path, source=source, append=append)
    contents = re.match(r"^(?:the )?(?:contents?|text|copy) of (.+)$", what, _I)
    if contents:
        return Write(path=path, source=Read(target=target_of(contents.group(1))), append=append)
    if re.match(r"^(?:a|an|the|some|me)\b", what, _I) and _CREATIVE.search(what):
        return Cannot(deed="write texts of my own")
    return Write(path=path, text=what, append=append)


def _unquoted(text: str) -> str:
    return text.strip("\"'`")


# -- the conversation -------------------------------------------------------------------------------------------------

_MY = re.compile(
    r"^(?:what|which)(?: was| is|'s| were)? my (?P<which>.*?) ?(?:question|message|request|prompt|query|input)s?$|"
    r"^what did i (?:(?P<adverb>first|last|just|originally) )?(?:ask|say|want|request|tell|type|"
    r"write)(?: (?:you|to you|from you|to know))?(?: (?P<when>.*))?$|"
    r"^(?:repeat|show)(?: me)? my (?P<shown>.*?) ?(?:question|message|request)$",
    _I,
)
_YOUR = re.compile(
    r"^what (?:did|have) you (?:just |already )?(?:sa(?:y|id)|answer(?:ed)?|tell|told|repl(?:y|ied)|"
    r"wr(?:ite|itten|ote)|found|find)(?: (?:me|to me))?(?: (?:to|about|on|"
    r"regarding) (?P<about>(?!me\b|that\b).+?))?(?: (?P<when>before|earlier|first|last|just now|"
    r"previously|at first|a moment ago|before that|in the beginning))?$|"
    r"^what (?:was|is) your (?P<which>.*?) ?(?:answer|reply|response|message)$|"
    r"^(?:repeat|say)(?: (?:that|it|yourself|your (?:last |previous )?(?P<again>answer|"
    r"reply)))(?: again| once more)?$|^(?:come again|again|once more|repeat)$",
    _I,
)
_ASKED = re.compile(
    r"^how many (?:questions|things|messages|requests)(?: have| did)? (?:i|we)\b.*$",
    _I,
)
_ALL = re.compile(
    r"^(?:list|show|what (?:are|were)|repeat|give me|summari[sz]e|"
    r"recap)(?: me)?(?: all)?(?: of)? (?:my (?:questions|requests|messages)|(?:our|this|"
    r"the) (?:conversation|chat|discussion|session|talk)(?: so far)?)$|"
    r"^what (?:have we|did we|have i|were we) (?:talk(?:ed|ing)? about|discuss(?:ed|ing)?|ask(?:ed)?|"
    r"do(?:ne)?|say|said)(?: .*)?$|^what have i asked.*$|^what happened so far$",
    _I,
)
_REMEMBER = re.compile(
    r"^(?:remember|note|keep in mind|memori[sz]e|don't forget|do not forget)(?: that| this:?|:)? (?P<fact>.{3,})$|"
    r"^(?P<stated>(?:my [\w' ]+ (?:is|are|was)|i am called|call me|i(?:'m| am) (?!looking|interested|"
    r"trying|asking|not)\w+|the (?:secret|password|code ?word|magic word|secret word|secret number|"
    r"code) is) .*|my name'?s .+)$",
    _I,
)
_FACT = re.compile(
    r"^(?:what|who|when|where|which|how)\b.*\b(?:my|i|me)\b.*\b(?:name|favou?rite|called|told|"
    r"asked you to remember|remember|said|mentioned|birthday|age|live)\b.*$|"
    r"^what(?:'s| is| was| are) my .+$|^who am i$|^do you (?:remember|know) (?:what|who|my|which) .+$|"
    r"^what (?:\w+ )*(?:did|should) (?:i|you) (?:ask you to |tell you to )?(?:remember|keep in mind|"
    r"note).*$|^what(?:'s| is| was) the (?:secret|code ?word|magic word|secret word|password|"
    r"secret number)$",
    _I,
)


def _recall(text: str) -> Intent | None:
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
    if re.search(r"second[- ](?:to[- ])?last|before (?:that|the last)|one before", said, _I):
        return -2
    ago = re.search(rf"({NUMBER}) (?:questions?|messages?|requests?|turns?) ago", said, _I)
    if ago:
        return -(number_in(ago.group(1)) or 1)
    if re.search(r"\bfirst|beginning|start|origin", said, _I):
        return 1
    return ordinal_in(said) or -1


# -- shapes of summaries ----------------------------------------------------------------------------------------------

_UNIT = r"(?:sentence|line|bullet point|bullet|key point|main point|point|statement|phrase|paragraph|takeaway)s?"
_SIZE = re.compile(
    rf"(?:,|:)?\s*\b(?:in|with|using|to|as|into|of|at)?\s*(?:at most|up to|no more than|only|just|"
    rf"about|around|exactly|max(?:imum|imally)?|roughly|the)?\s*\b(?P<number>{NUMBER})[- ](?:short|"
    rf"brief|concise|simple|key|main|bullet|clear|single|most important|important|or so|"
    rf"plain)?[- ]?(?P<unit>{_UNIT})\b(?: (?:at most|or less|or fewer|max|long|only|each|per file|"
    rf"for each(?: \w+)?))?",
    _I,
)
_WORDS = re.compile(
    rf"\s*\b(?:in|to|using|with|of)\s+(?:at most|up to|no more than|only|just|about|around|under|"
    rf"less than|max(?:imum)?|fewer than|not more than|roughly)?\s*(?P<number>{NUMBER}|"
    rf"\d+) words?\b(?: or less| or fewer| at most| max)?",
    _I,
)
_BULLETS = re.compile(
    r"\s*\b(?:as|in|with|using)(?: a)?(?: few| some)? (?:bullet ?points|bullets|bullet list|"
    r"bulleted list|list of points|points)\b",
    _I,
)
_BRIEF = re.compile(
    r"\s*(?<![\w./-])(?:very )?(?:briefly|shortly|in short|in brief|concisely|in a nutshell|quickly|"
    r"short|brief|concise|quick)(?![\w/-]|\.\w)",
    _I,
)
_LONG = re.compile(
    r"\s*(?<![\w./-])(?:in (?:more |great |some )?detail|in depth|at length|thoroughly|detailed|"
    r"comprehensive|long|longer|extensive)(?![\w/-]|\.\w)",
    _I,
)

_SUMMARY = re.compile(
    r"(?<![\w./-])(?:summ?[ae]r+(?:i[sz]e|i[sz]ing|y|ies|i[sz]ation)?s?|sum(?:s)? (?:\w+ )?up|"
    r"tl;? ?dr|overview|gist|synopsis|recap|digest|condense|abstract|boil down|key points?|"
    r"main points?|"
    r"main ideas?|essence|most important (?:points?|things?|facts?)|key takeaways?|takeaways?|"
    r"highlights)(?![\w/-]|\.\w)",
    _I,
)
_SUMMARY_FRAME = re.compile(
    r"^(?:give|write|make|provide|create|produce|prepare|show|get|do|i want|i need|what(?:'s| is|"
    r" are)|can i (?:get|have))?\b(?: me| us)?(?: with)?\s*(?:\b(?:a|an|the|your|"
    r"its)\b)?\s*(?:\b(?:of|for)\b)?\s*",
    _I,
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
    _I,
)


def _shape(text: str) -> tuple[str, int | None, int | None, bool]:
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
    _I,
)
_LONGER = re.compile(
    r"\b(?:longer|more detail(?:s|ed)?|in (?:more )?detail|elaborate|too short|expand(?: on (?:it|"
    r"that|this))?|tell me more|say more|more sentences)\b",
    _I,
)
_GO_ON = re.compile(
    r"^(?:go on|continue|next|more|read on|keep (?:going|reading)|show(?: me)? more|"
    r"(?:show(?: me)? )?the (?:rest|next (?:lines|part|page))|and then)$",
    _I,
)
_ONLY_SIZE = re.compile(
    r"^(?:make|say|do|put|rewrite|rephrase|write|give|repeat|try|keep|phrase|cut|shrink|"
    r"reduce)?(?: me)?\s*(?:it|that|this|the same|again|down|to|now|rather|instead|(?:your|the|"
    r"that) (?:last )?(?:answer|summary|reply))*\s*(?:but |only |just |even |much |a (?:bit|little) |"
    r"still |with |about |for )*$",
    _I,
)


def _reshape(text: str) -> Intent | None:
    if _GO_ON.match(text):
        return Reshape(change="go on")
    rest, sentences, words, bullets = _shape(text)
    for pattern, change in ((_SHORTER, "shorter"), (_LONGER, "longer")):
        if pattern.search(text) and _ONLY_SIZE.match(pattern.sub("", _SIZE.sub("", text)).strip()):
            wanted = sentences if _SIZE.search(text) else None
            return Reshape(change=change, sentences=wanted, words=words, bullets=bullets)
    if (sentences or words or bullets) and _ONLY_SIZE.match(rest):
        return Reshape(change="exactly", sentences=sentences, words=words, bullets=bullets)
    return None


def _summarise(text: str) -> Intent | None:
    asks = bool(_SUMMARY.search(text)) or bool(
        re.match(rf"^(?:give|write|get|tell)(?: me)? {NUMBER}[- ](?:sentence|line)", text, _I)
    )
    if not asks or re.match(r"^(?:which|where|find|search|how many|does|is)\b", text, _I):
        return _about(text)
    rest, sentences, words, bullets = _shape(text)
    bullets = bullets or bool(re.search(r"\bpoints\b|takeaways|highlights", text, _I))
    rest = _SUMMARY.sub(" ", rest, count=1)
    before, _of, behind = rest.partition(" of ") if re.search(r"\s+of\s+", rest) else ("", "", rest)
    phrase = behind if not before.strip() or _SUMMARY_FRAME.fullmatch(f"{before.strip()} ") else rest
    phrase = _SUMMARY_FRAME.sub("", " ".join(phrase.split())).strip(" ,:")
    phrase = re.sub(r"^(?:of|for|about|on|from|what|is in|is written in|me|us|up|over|please)\s+", "", phrase, flags=_I)
    phrase = re.sub(r"\s+(?:up|please|says?|each)$", "", phrase, flags=_I)
    target = (
        target_of(phrase) if phrase and not re.fullmatch(r"(?:please|up|me|of|is|are|the|a)", phrase, _I) else Target()
    )
    if re.search(r"\b(?:each|every|separately|individually|one by one|per file)\b", text, _I):
        target = attrs.evolve(target, each=True)
    return Summarise(target=target, sentences=sentences, words=words, bullets=bullets)


def _about(text: str) -> Intent | None:
    rest, sentences, words, bullets = _shape(text)
    found = _ABOUT.match(rest.strip(" ,"))
    if not found:
        return None
    phrase = next(group for group in found.groups() if group)
    target = target_of(phrase)
    if target.pronoun or target.project or target.ordinals or target.kind or target.folder or target.answer:
        return Summarise(target=target, sentences=sentences, words=words, bullets=bullets)
    if files_in(phrase) or re.search(rf"\b(?:{WELL_KNOWN})\b", phrase, _I):
        return Summarise(target=target, sentences=sentences, words=words, bullets=bullets)
    return Named(name=" ".join(target.mentions) or phrase, question=text, wants="summary")


# -- counting ---------------------------------------------------------------------------------------------------------

_COUNTED = (
    r"(?:lines?(?: of (?:code|text))?|words?|characters?|chars?|letters?|bytes?|sentences?|"
    r"paragraphs?|rows?|columns?|headings?|sections?|functions?|classes|methods?|files?|documents?|"
    r"folders?|directories|subfolders)"
)
_HOW_MANY = re.compile(
    r"^(?:how many|(?:give me |what(?:'s| is) |tell me )?the (?:total )?number of|number of|"
    r"count(?: up)?(?: all)?(?: the)?(?: number of)?|(?:what(?:'s| is) |"
    r"give me )?(?:the )?(?P<of>word|line|character|byte|file|sentence)s?[ -]?counts?(?: (?:of|for|"
    r"in))?|what(?:'s| is) the (?P<total>total) (?:number|count) of)\s*(?P<rest>.*)$",
    _I,
)
_OCCURS = re.compile(
    r"^(?:how (?:many times|often)(?: (?:does|do|is|are|has|did))?(?: the (?:word|phrase|text|term|"
    r"name|string))? (?P<phrase>.+?) (?:occurs?|appears?|mentioned|used|shows? up|comes? up|come up|"
    r"there|found|written|named|said|been used)(?: (?:in|within|inside|across|"
    r"throughout) (?P<scope>.+))?|"
    r"(?:how many|count|number of)(?: all)?(?: the)? (?:occurrences|mentions|matches|hits|instances|"
    r"appearances)(?: of| for)(?: the (?:word|phrase|text|"
    r"term))? (?P<what>.+?)(?: (?:are there )?(?:in|within|across) (?P<where>.+))?)$",
    _I,
)
_HOW_LONG = re.compile(
    r"^(?:how (?P<how>long|big|large|heavy) (?:is|are)|what(?:'s| is) the (?P<what>size|length) of|"
    r"(?P<short>size|length) of)\s+(?P<rest>.+)$",
    _I,
)
_LINK = re.compile(
    r"^(?:(?:are|is|there|in|inside|within|does|do|did|has|have|of|contained|got|we|you|i|can you see|"
    r"altogether|total|on|for|it|the lot)\b\s*)+(?=\S)",
    _I,
)
_LINK_END = re.compile(
    r"\s*\b(?:have|has|contain|contains|got|in total|altogether|there|total|long|overall|hold|holds|"
    r"all together|include)$",
    _I,
)


def _count(text: str) -> Intent | None:
    occurs = _OCCURS.match(text)
    if occurs:
        phrase = occurs.group("phrase") or occurs.group("what")
        scope = occurs.group("scope") or occurs.group("where") or ""
        return Occurrences(phrase=_bare(phrase), target=target_of(scope) if scope else Target())
    long = _HOW_LONG.match(text)
    if long and (not re.match(r"(?:it take|the lease)", long.group("rest"), _I)):
        is_size = (long.group("how") or "").lower() in ("big", "large", "heavy") or (
            long.group("what") or long.group("short") or ""
        ).lower() == "size"
        target = target_of(_LINK_END.sub("", long.group("rest")))
        if not target.mentions or any(is_path(name) for name in target.mentions) or len(target.mentions[0].split()) < 3:
            return Count(units=("byte",) if is_size else ("line", "word"), target=target)
    found = _HOW_MANY.match(text)
    if not found:
        return None
    return _counted(text, found)


def _counted(text: str, found: re.Match[str]) -> Intent | None:
    rest = found.group("rest").strip()
    if found.group("of"):
        return Count(units=(found.group("of").lower(),), target=target_of(_trimmed(rest)))
    listed = re.match(rf"^((?:{_COUNTED}|\s|,|and|or|/|&|how many|the)+)(?=\s|$)(.*)$", rest, _I)
    units = _units(listed.group(1)) if listed else ()
    kind = kind_in(rest) or ("test" if re.match(r"tests? files?\b", rest, _I) else None)
    if listed and "of code" in listed.group(1).lower() and not _trimmed(listed.group(2)):
        return Count(units=units, target=Target(kind="code"))
    if units and units != ("file",) and listed:
        if units == ("folder",):
            return ListFiles(target=_scope(listed.group(2)), count_only=True, folders=True)
        return Count(units=units, target=target_of(_trimmed(listed.group(2))))
    holding = re.match(
        r"^(?P<scope>.*?\bfiles?)(?: (?:are there )?(?:that|which))? (?:mention|contain|hold|use|"
        r"include|have|import|reference)(?:s|ing)? (?P<phrase>.+)$",
        rest,
        _I,
    )
    if holding and not re.match(r"^(?:in|there|we|you|are)\b", holding.group("phrase"), _I):
        return Search(
            phrase=_bare(holding.group("phrase")),
            target=_scope(holding.group("scope")),
            literal=_is_quoted(holding.group("phrase")),
        )
    if units == ("file",) or kind or re.match(r"^(?:\S+ )?(?:files?|documents?)\b", rest, _I):
        return ListFiles(target=_kind_and_scope(rest, kind), count_only=True, deep=True)
    noun = re.match(
        r"^(?:the )?(?P<noun>[\w\"'-]+(?: [\w\"'-]+)??)(?: (?:messages?|entries|calls|"
        r"statements))?(?: (?:are|is|there|does|do|has|have|in))+ ?(?P<scope>.*)$",
        rest,
        _I,
    )
    if noun and noun.group("scope") and not re.match(r"(?:i|we|you)\b", noun.group("scope"), _I):
        return Occurrences(
            phrase=_singular(_bare(noun.group("noun"))),
            target=target_of(_trimmed(noun.group("scope"))),
            noun=noun.group("noun"),
        )
    if not rest or re.match(r"^count\b", text, _I):
        return Count(units=("line", "word", "character", "byte"), target=target_of(_trimmed(rest)))
    return None


def _kind_and_scope(rest: str, kind: str | None) -> Target:
    scope = re.search(
        r"\b(?:in|inside|under|below|within)\s+(?:the\s+)?(?:folder\s+|"
        r"directory\s+)?(?P<name>[\w@+./-]+)(?:\s+(?:folder|directory))?(?:\s+(?:altogether|"
        r"in total))?$",
        rest,
        _I,
    )
    name = scope.group("name").strip("/") if scope else ""
    if re.fullmatch(r"(?:this|the|here|there|total|it|folder|directory|project|repo|all|)", name, _I):
        name = ""
    return Target(kind=kind, folder=name or None)


def _units(text: str) -> tuple[str, ...]:
    names = {
        "char": "character",
        "letter": "character",
        "document": "file",
        "directorie": "folder",
        "subfolder": "folder",
        "classe": "class",
        "section": "heading",
    }
    found = (re.sub(r"s$", "", word) if word != "classes" else "class" for word in re.findall(_COUNTED, text.lower()))
    bare = (word.split()[0].rstrip("s") if word.startswith("line") else word for word in found)
    return tuple(dict.fromkeys(names.get(word, word) for word in bare))


def _trimmed(phrase: str) -> str:
    before = None
    while phrase != before:
        before = phrase
        phrase = _LINK_END.sub("", _LINK.sub("", phrase.strip()))
    return "" if re.fullmatch(r"(?:are|is|there|in|of|does|do|has|have|here)?", phrase, _I) else phrase


def _singular(noun: str) -> str:
    for plural, singular in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if noun.lower().endswith(plural) and not noun.lower().endswith("ss"):
            return noun[: -len(plural)] + singular
    return noun


_EXTREME = re.compile(
    r"\b(?P<which>longest|biggest|largest|shortest|smallest|most (?:lines|words)|fewest (?:lines|words))\b", _I
)


def _extreme(text: str) -> Intent | None:
    found = _EXTREME.search(text)
    if not found or not re.search(r"\b(?:files?|documents?|docs?|scripts?|modules?|one|here)\b", text, _I):
        return None
    which = found.group("which").lower()
    unit = "word" if "words" in which else "line" if which in ("longest", "shortest") or "lines" in which else "byte"
    kind = kind_in(text.replace(found.group(), "").replace("  ", " "))
    most = which not in ("shortest", "smallest") and "fewest" not in which
    return Extreme(unit=unit, most=most, target=_kind_and_scope(text, kind))


# -- searching --------------------------------------------------------------------------------------------------------

_HOLDS = (
    r"(?:holds?|contains?|mentions?|includes?|has|have|having|uses?|references?|refers? to|says?|"
    r"imports?|calls?|containing|mentioning|holding|using|including|with|lists?|names?|quotes?)"
)
_DEALS = (
    r"(?:talks? about|deals? with|describes?|explains?|covers?|discuss(?:es)?|is about|are about|"
    r"tells?(?: me| us)?(?: about)?|documents?|about|is on|writes? about|speaks? (?:of|about))"
)
_DEFINES = r"(?:defines?|declares?|implements?|defining|implementing)"
_FILES = (
    r"(?:files?|documents?|docs?|ones?|modules?|scripts?|pages?|of them|of these(?: files)?|"
    r"of those(?: files)?|of the files)"
)
_WHICH = re.compile(
    rf"^(?:(?:in )?(?:which|what)|(?:list|show|find|give|get|name)(?: me)?(?: all)?(?: the)?|all|the|"
    rf"any|is there (?:a|any)|are there any|do any)\s*(?P<scope>(?:[\w.*+-]+ )?{_FILES}(?: (?:in|"
    rf"under) [\w./-]+)?)(?: here)?,?(?: (?:that|which|where))?(?: (?:actually|also|all|does|do|"
    rf"it))?\s+"
    rf"(?:(?P<holds>{_HOLDS})|(?P<deals>{_DEALS})|(?P<defines>{_DEFINES}))\s+(?P<phrase>.+)$",
    _I,
)
_IN_WHICH = re.compile(
    rf"^in (?:which|what) (?P<scope>{_FILES}|folder|place)(?:s)? (?:is|are|was|were|does|do|"
    rf"can i (?:find|read about)|will i find|did) (?P<phrase>.+?)(?: (?P<how>mentioned|defined|used|"
    rf"described|explained|appear|occur|contained|declared|implemented|set|written|found|documented|"
    rf"named))?$",
    _I,
)
_WHICH_DOES = re.compile(
    r"^(?:(?:in )?(?:which|what) (?:file|module|script)|where) (?:does|do|did) .+? (?:define|declare|"
    r"implement|set) (?P<phrase>.+)$",
    _I,
)
_WHERE = re.compile(
    r"^(?:where|on (?:which|what) lines?|at (?:which|what) lines?)(?:'s| is| are| was| were| does| do|"
    r" did| can i (?:find|read)| has| have)? (?P<phrase>.+?) (?:get )?(?P<how>mentioned|defined|used|"
    r"described|explained|documented|set|configured|written|appears?|occurs?|declared|implemented|"
    r"stands?|comes? up|referenced|called|imported|stated|discussed|found|been used|named|"
    r"introduced)(?: (?:in|within|inside) (?P<where>.+))?$",
    _I,
)
_GREP = re.compile(
    r"^(?:search|grep|look|scan|rg|check)(?: (?:through|in|inside))?(?: (?P<first>.+?))? (?:for|"
    r"after)(?: the (?:word|phrase|text|term|string))? (?P<phrase>.+?)(?: (?:in|within|inside|under|"
    r"through|across) (?P<where>(?:the |all |my )?(?:[\w./-]+)(?: (?:files?|folder|directory))?))?$|"
    r"^(?:grep|search|rg) (?P<grep>\"[^\"]+\"|'[^']+'|\S+)(?: (?:in )?(?P<there>\S+))?$",
    _I,
)
_LINES_WITH = re.compile(
    r"^(?:(?:show|give|list|print|find|get)(?: me)?|which|what|are there)?(?: all)?(?: the|"
    r" any)? ?lines? (?:are there )?(?:(?:that|which) )?(?:contain|with|mention|containing|mentioning|"
    r"matching|match|hold|holding|having|have|include|including|about)s?(?: the (?:word|phrase|"
    r"text))? (?P<phrase>.+?)(?: (?:in|from|of) (?P<where>.+))?$",
    _I,
)
_MENTIONS = re.compile(
    r"^(?:find|list|show)(?: me)?(?: all)?(?: of)?(?: the)? (?:mentions|occurrences|uses|usages|"
    r"places|references|lines|instances|matches)(?: (?:of|to|for|where|that (?:mention|use)|"
    r"with))(?: the (?:word|phrase|text|term))? (?P<phrase>.+?)(?: (?:is|are) (?:used|mentioned|"
    r"defined|called))?(?: (?:in|within) (?P<where>.+))?$",
    _I,
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
    _I,
)
_TODOS = re.compile(
    r"^(?:(?:are there|list|show(?: me)?|find|what|which|give me|any|all|where are)\s*)+(?:any |all |"
    r"the |are |open )*(?P<mark>todo|fixme|xxx|hack)s?(?: (?:comments?|items?|notes?|entries|left|"
    r"there|here))*(?: (?:in|of) (?P<where>.+))?$",
    _I,
)
_WHO = re.compile(
    r"^(?:who|what)(?: else)? (?:mentions|uses|imports|calls|references|"
    r"defines) (?P<phrase>.+?)(?: in (?P<where>.+))?$",
    _I,
)
_ERRORS = re.compile(
    r"^(?:(?:show(?: me)?|list|find|give me|are there|what are|which|any|print|"
    r"see)\s+)+(?:me )?(?:any |all |the |only )*(?P<phrase>errors?|warnings?|exceptions?|"
    r"failures?)(?: (?:messages?|lines?|entries|there|are|occurred|happened))*(?: (?:in|from|"
    r"of) (?P<where>.+))?$",
    _I,
)


def _search(text: str) -> Intent | None:
    which = _WHICH.match(text)
    if which and not (
        which.group("holds")
        and re.fullmatch(
            r"we|you|i|there|it|the most .*|the fewest .*|(?:their |the )?sizes?", which.group("phrase"), _I
        )
    ):
        phrase = which.group("phrase")
        named = re.match(r"^(?:the )?(?:names?|extensions?) (?:like |of )?(.+)$", phrase, _I)
        if named:
            return Find(name=_bare(named.group(1)))
        return Search(
            phrase=_bare(phrase),
            target=_scope(which.group("scope")),
            literal=_is_quoted(phrase),
            definition=bool(which.group("defines")),
            topic=bool(which.group("deals")),
        )
    owned = _WHICH_DOES.match(text)
    if owned:
        return Search(phrase=_bare(owned.group("phrase")), literal=_is_quoted(text), definition=True)
    inside = _IN_WHICH.match(text) or _WHERE.match(text)
    if inside:
        how = (inside.group("how") or "").lower()
        where = inside.groupdict().get("where") or ""
        return Search(
            phrase=_bare(inside.group("phrase")),
            target=target_of(where) if where else Target(),
            literal=_is_quoted(inside.group("phrase")),
            definition=how in ("defined", "declared", "implemented", "set", "introduced"),
            topic=how in ("described", "explained", "documented", "discussed"),
        )
    return _grep(text)


def _grep(text: str) -> Intent | None:
    todos = _TODOS.match(text)
    if todos:
        return Search(phrase=todos.group("mark").upper(), target=_maybe(todos.group("where")), literal=True)
    errors = _ERRORS.match(text)
    if errors:
        return Search(phrase=_singular(errors.group("phrase")), target=_maybe(errors.group("where")))
    for pattern in (_MENTIONS, _LINES_WITH, _WHO):
        found = pattern.match(text)
        if found:
            phrase = found.group("phrase")
            return Search(phrase=_bare(phrase), target=_maybe(found.group("where")), literal=_is_quoted(phrase))
    grep = _GREP.match(text)
    if grep:
        phrase = grep.group("phrase") or grep.group("grep")
        where = grep.group("first") or grep.group("where") or grep.group("there")
        files = re.match(r"^(?:a |the )?files? (?:named|called) (.+)$", phrase, _I)
        if files:
            return Find(name=_bare(files.group(1)))
        if where and re.fullmatch(
            r"(?:me|the files?|all(?: the)? files|files|everything|it|here|everywhere)", where, _I
        ):
            where = None
        return Search(phrase=_bare(phrase), target=_maybe(where), literal=_is_quoted(phrase))
    does = _DOES.match(text)
    if does:
        phrase = does.group("phrase") or does.group("what") or does.group("anything")
        where = does.group("where") or does.group("scope")
        if where and re.fullmatch(
            r"(?:any|any (?:file|document|of them|of these|of the files).*|there|it anywhere|anything|"
            r"these files|the files)",
            where,
            _I,
        ):
            where = None
        return Search(phrase=_bare(phrase), target=_maybe(where), literal=_is_quoted(phrase), yes_no=True)
    return None


def _maybe(where: str | None) -> Target:
    return target_of(where) if where else Target()


def _scope(text: str) -> Target:
    if re.search(r"of (?:them|these|those)", text, _I):
        return Target(pronoun="many")
    return _kind_and_scope(text, kind_in(text))


def _is_quoted(phrase: str) -> bool:
    return bool(quoted_in(phrase))


def _bare(phrase: str) -> str:
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
        flags=_I,
    )
    return re.sub(r"\s+(?:anywhere|somewhere|here|in it|in them|at all)$", "", phrase, flags=_I).strip(" .,;:")


# -- listing, finding, reading ----------------------------------------------------------------------------------------

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
    _I,
)
_IN_FOLDER = re.compile(r"^what(?:'s| is| are| do we have| stuff is) (?:in|inside|under|there in) (?P<what>.+)$", _I)
_OUTLINE = re.compile(
    r"^(?:(?:list|show|give|print|what|which|tell|get|extract)(?: me)?(?:'s| is|"
    r" are)?(?: all)?(?: of)?(?: the| an)?) ?(?P<what>headings?|sections?|chapters|outline|structure|"
    r"table of contents|toc|titles?|functions?|classes|methods|functions and classes|"
    r"classes and functions|definitions|columns?(?: names)?|fields|column headers|headers?|keys|"
    r"top-level keys|imports)(?: (?:does|do|are (?:there|defined)|is|exist|defined|there))*(?: (?:in|"
    r"of|from|for|does|has|inside))* ?(?P<rest>.*?)(?: (?:have|has|define|contain|import|there))?$",
    _I,
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
    _I,
)
_READS = re.compile(
    r"^(?:show|read|cat|print|display|open|view|dump|output|give|quote|type|see|less|more|"
    r"tell)(?: me)?(?: out| aloud| to me| back)?(?: all(?: of)?)? (?P<what>.+)$|"
    r"^what does (?P<say>.+?) (?:say|contain|look like|hold|have in it)$|^what(?:'s| is| stands|"
    r" are) (?:written )?in (?P<in>.+)$|"
    r"^(?:what(?:'s| is| are) )?the (?:full )?(?:contents?|text) of (?P<of>.+)$|"
    r"^(?:the )?contents? of (?P<contents>.+)$",
    _I,
)
_HEAD = re.compile(
    rf"(?:the |its |only |just )*\b(?P<end>first|last|top|bottom|final|"
    rf"initial) (?:(?P<number>{NUMBER}) )?(?P<plural>lines?)\b(?: (?:of|from|in))?\s*",
    _I,
)
_RANGE = re.compile(
    r"(?:the )?\blines? (?P<from>\d+)(?:\s*(?:-|–|to|through|until|up to|till|"
    r"and)\s*(?P<to>\d+))?\b(?: (?:of|from|in))?\s*",
    _I,
)
_NTH = re.compile(
    r"(?:the |its )?\b(?P<nth>(?:second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|"
    r"nd|rd|th))) line\b(?: (?:of|from|in))?\s*",
    _I,
)
_HEAD_TAIL = re.compile(r"^(?P<which>head|tail)(?: -n)?(?: -?(?P<number>\d+))?(?: of)? (?P<what>.+)$", _I)


def _list(text: str) -> Intent | None:
    if re.search(r"\b(?:first|last|top|bottom)\b.*\blines?\b|^(?:show|give|print|list)(?: me)? lines?\b", text, _I):
        return None
    found = _LISTS.match(text)
    if not found:
        inside = _IN_FOLDER.match(text)
        return _contents(inside.group("what")) if inside else None
    if text.lower().startswith("list") and re.search(r"\b(?:questions|requests)\b", text, _I):
        return None
    groups = found.groupdict()
    phrase = next(
        (groups[name] for name in ("ls", "list", "show", "any", "have", "find", "bare") if groups[name]), None
    )
    if phrase is None and groups["after"] is not None:
        phrase = " ".join(f"{groups['what'] or ''} files {groups['after']}".split())
        if re.search(rf"\b(?:{_HOLDS}|{_DEALS}|{_DEFINES})\s+\S", groups["after"], _I):
            return None
    return _listing(text, (phrase or "").strip())


def _listing(text: str, phrase: str) -> Intent | None:
    sizes = bool(re.search(r"\bsizes?\b|\bhow (?:big|large)\b", text, _I))
    deep = bool(
        re.search(
            r"\b(?:recursive(?:ly)?|all files|every file|subfolders|sub-folders|all the files|tree|"
            r"everything|in all folders)\b",
            text,
            _I,
        )
    )
    folders = bool(re.search(r"\b(?:folders|directories|subfolders)\b", text, _I)) and not re.search(
        r"\bfiles\b", text, _I
    )
    phrase = re.sub(
        r"\b(?:and|with)\s+(?:their\s+|the\s+|its\s+)?sizes?\b|\brecursive(?:ly)?\b|\bsizes? of\b", "", phrase, flags=_I
    )
    phrase = re.sub(
        r"\s+(?:are|is|do|does|can|exist|have|has)\b(?:\s+(?:there|here|you|we|i|see|got|have|exist|"
        r"any|it|available|lying around))*(?=\s+(?:in|under|inside)\b|$)",
        "",
        f" {phrase}",
        flags=_I,
    )
    phrase = re.sub(
        r"^\s*(?:any|some|of|all|the|me|more|other|a list of|list of|names of|tree)\s+", "", phrase, flags=_I
    ).strip()
    phrase = re.sub(r"^(?:the |all |any )+", "", phrase, flags=_I)
    if "*" in phrase:
        pattern = re.search(r"\S*\*\S*", phrase)
        return Find(name=pattern.group() if pattern else phrase)
    kind = kind_in(phrase)
    if kind is None and re.fullmatch(r"docs|documents|documentation|logs", phrase, _I):
        kind = phrase.lower()
    if re.match(r"tests? files?\b", phrase, _I):
        kind = "test"
    plain = re.fullmatch(
        r"(?:the )?(?:files?|folders?|directories|subfolders|documents|contents?|everything|file list|"
        r"directory listing|listing|folder structure|file tree|file names|filenames|tree|it|stuff|"
        r"-\w+)?(?: (?:here|there|and folders|and directories|in here))*",
        phrase,
        _I,
    )
    if kind or plain or re.search(r"\b(?:files|folders|directories|subfolders|everything|documents)\b", phrase, _I):
        return ListFiles(target=_kind_and_scope(phrase, kind), sizes=sizes, deep=deep, folders=folders)
    contents = re.match(r"^(?:contents? of|what(?:'s| is) in|files (?:in|of))\s+(.+)$", phrase, _I)
    target = target_of(contents.group(1) if contents else phrase)
    if target.mentions and re.match(r"^(?:is|are|do) ", text, _I):
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


def _outline(text: str) -> Intent | None:
    found = _OUTLINE.match(text)
    if not found:
        return None
    what = found.group("what").lower()
    if re.match(r"(?:which|what)\b", text, _I) and what in ("function", "class", "heading", "section"):
        return None
    if what.startswith(("title", "header", "key", "structure")) and not found.group("rest"):
        return None
    if re.search(r"\b(?:folder|project|repo|directory)\b", found.group("rest"), _I) and what == "structure":
        return ListFiles(target=Target(project=True), deep=True)
    return Outline(target=target_of(_trimmed(found.group("rest"))), what=what)


def _find(text: str) -> Intent | None:
    if "*" in text and re.match(r"^(?:find|list|show|locate|which|what|where|are|is)\b", text, _I):
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
            phrase=_bare(within.group("phrase")), target=target_of(within.group("where")), literal=_is_quoted(value)
        )
    about = re.match(
        r"^(?:everything|anything|something|all|more|out|information|info) (?:about|on|regarding) (.+)$", value, _I
    )
    if about:
        return Question(text=about.group(1))
    if key == "name" and re.match(r"^(?:out|the answer|about|words?|phrase|text|string)\b", value, _I):
        return Search(phrase=_bare(re.sub(r"^(?:out|about)\s+", "", value)), literal=_is_quoted(value))
    bare = _bare(value).removesuffix(" file").removesuffix(" folder")
    if key in ("named", "exists", "called") or is_path(bare):
        return Find(name=re.sub(r"^(?:the |a )", "", bare))
    if kind_in(value):
        return ListFiles(target=_kind_and_scope(value, kind_in(value)), deep=True)
    if key in ("there", "have") and len(bare.split()) > 3:
        return None
    return Named(name=re.sub(r"^(?:the |a |an |my )", "", bare), question=text, wants="place")


def _read(text: str) -> Intent | None:
    command = _HEAD_TAIL.match(text)
    if command:
        number = int(command.group("number") or 10)
        return Read(
            target=target_of(command.group("what")),
            first=-number if command.group("which").lower() == "tail" else 1,
            lines=number,
        )
    if re.search(r"\b(?:say|says|tell us|mention)\b.*\babout\b", text, _I):
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
        _I,
    ):
        return None
    target = target_of(phrase)
    if target.kind and re.search(r"\bfiles\b", text, _I) and not re.match(r"^(?:read|cat|print|open)", text, _I):
        return ListFiles(target=target, deep=True)
    if target.project:
        return ListFiles(target=target)
    if target.mentions and not any(map(is_path, target.mentions)) and len(" ".join(target.mentions).split()) > 4:
        return None
    return None if target.is_empty else Read(target=target)


def _ranged(text: str) -> Intent | None:
    found = _HEAD.search(text) or _RANGE.search(text) or _NTH.search(text)
    if not found or re.match(r"^(?:how many|count|which|where|summ)", text, _I):
        return None
    rest = (text[: found.start()] + " " + text[found.end() :]).strip()
    rest = re.sub(
        r"^(?:show|read|cat|print|display|open|view|give|quote|what(?:'s| is| are| does| do)?|tell|"
        r"list)?\b(?: me\b)?(?: out\b)?(?: (?:of|from|in|on|the|is|are|does)\b)*\s*",
        "",
        rest,
        flags=_I,
    )
    rest = re.sub(r"\s+(?:say|says|is|are|look like|contain)$", "", rest, flags=_I)
    groups = found.groupdict()
    target = target_of(rest)
    if groups.get("end"):
        number = number_in(groups["number"] or "") or (1 if groups["plural"].lower() == "line" else 10)
        at_end = groups["end"].lower() in ("last", "bottom", "final")
        return Read(target=target, first=-number if at_end else 1, lines=number)
    first = int(groups["from"]) if groups.get("from") else ordinal_in(groups.get("nth") or "") or 1
    last = int(groups.get("to") or first)
    return Read(target=target, first=max(1, min(first, last)), lines=abs(last - first) + 1)


# -- the rest ---------------------------------------------------------------------------------------------------------

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
        r"^(?:what(?:'s| is)|calculate|compute|how much is)? ?-?[\d.]+(?:\s*(?:[-+*/^x×÷%]|plus|minus|"
        r"times|divided by)\s*-?[\d.]+)+ ?=?$",
        "calculate",
    ),
    (r"^(?:compare|contrast)\b|\bdifferences? between\b", "compare texts"),
)
_CANNOTS = [(re.compile(pattern, _I), deed) for pattern, deed in _CANNOT]
_AGAIN = re.compile(
    r"^(?:(?:and )?(?:what|how) about|(?:do )?(?:the )?same (?:for|with|in)|likewise (?:for|with)|"
    r"and for|and in|and of|and from|for|also for|and)\s+(?P<what>.+)$",
    _I,
)
_MORE_UNITS = re.compile(
    rf"^(?:and |how many |what about |how about |the |in |its )*(?P<units>{_COUNTED}(?:(?:,| and|"
    rf" or) (?:the )?{_COUNTED})*)$",
    _I,
)
_ASKS = re.compile(
    r"^(?:what|who|when|where|why|how|which|whose|is|are|was|were|does|do|did|can|could|should|would|"
    r"will|may|must|has|have|according|in|under)\b",
    _I,
)


def _cannot(text: str) -> Intent | None:
    for pattern, deed in _CANNOTS:
        if pattern.search(text):
            return Cannot(deed=deed)
    return None


def _again(text: str) -> Intent | None:
    units = _MORE_UNITS.match(text)
    if units and not re.fullmatch(r"(?:the )?(?:files?|documents?|folders?|directories)", text, _I):
        return Count(units=_units(units.group("units")), target=Target())
    found = _AGAIN.match(text)
    if not found or re.match(rf"^(?:{_VERB}|does|do|is|are)\b", found.group("what"), _I):
        return None
    return Again(target=target_of(found.group("what")), phrase=found.group("what"))


def _remaining(text: str, question: bool, raw: str) -> Intent:
    target = target_of(text)
    if re.match(r"^(?:and|or|now)\b", raw, _I) and not _ASKS.match(text) and len(text.split()) <= 5:
        return Again(target=target, phrase=text)
    if target.pronoun or target.ordinals:
        return Read(target=target)
    if (
        not _ASKS.match(text)
        and len(text.split()) <= 3
        and (files_in(text) or re.fullmatch(rf"(?:the )?(?:{WELL_KNOWN})(?: file)?", text, _I))
    ):
        return Read(target=target)
    if question or _ASKS.match(text) or re.search(r"\babout\b", text, _I):
        return _question(text)
    if len(words_of(text)) <= 4 and not re.match(r"^(?:i|you|we|it|please|let)\b", text, _I):
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
    _I,
)


def _question(text: str) -> Intent:
    found = _SAYS.match(text)
    if not found:
        return Question(text=text, target=Target(mentions=tuple(files_in(text))))
    where = found.group("where") or found.group("source") or found.group("inside") or found.group("last")
    topic = found.group("topic") or found.group("asked") or found.group("question") or found.group("all")
    target = target_of(where)
    if re.fullmatch(r"(?:the )?(?:project|files?|you|it all|this project|they)", where, _I):
        target = Target()
    return Question(text=topic, target=target)


_READERS: tuple[Callable[[str], Intent | None], ...] = (
    _recall,
    _write,
    _reshape,
    _cannot,
    _count,
    _extreme,
    _search,
    _outline,
    _summarise,
    _again,
    _list,
    _read,
    _find,
)

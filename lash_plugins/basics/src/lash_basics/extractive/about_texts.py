"""Answers from what is written in files: searches, summaries, answers to questions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import attrs

from lash_basics.extractive.centrality import central_sentences
from lash_basics.extractive.desk import FileText, Hit
from lash_basics.extractive.intents import Question, Search, Summarise, Target
from lash_basics.extractive.language import STOP_WORDS, joined, plural, stem, words_of
from lash_basics.extractive.lookup import FileIndex
from lash_basics.extractive.prose import (
    Block,
    Sentence,
    blocks_of,
    cleaned,
    located_sentences,
    prose_of,
    sentences_in,
    suffix_of,
)
from lash_basics.extractive.talk import Answer, CannotTell, Talk

__all__ = ["answer_from", "answer_question", "central_text", "search", "summarise", "summarise_text"]

#: Files that one summary or one answer reads.
MAX_FILES = 24

_FOUND = "This is what I found:\n"

#: Characters of a line or sentence that is quoted.
MAX_QUOTE = 240


def search(intent: Search, talk: Talk) -> Answer:
    """Answer which files hold a text."""
    if not intent.phrase:
        raise CannotTell("Tell me what to look for, such as: which file mentions timeout?")
    paths = _scope_of(intent.target, talk)
    for phrase, ignore_case in _attempts(intent):
        hits = _hits(phrase, paths, talk, ignore_case=ignore_case)
        if hits:
            return _found(intent, phrase, hits)
    if not intent.literal:
        related = _question(Question(text=intent.phrase, target=intent.target), talk)
        if related:
            nearest = related.text.removeprefix(_FOUND)
            return attrs.evolve(
                related, text=f'No file says "{intent.phrase}" in these words. The nearest I found:\n{nearest}'
            )
    where = f" in {joined(paths, most=4)}" if paths else " here"
    lead = "No, " if intent.yes_no else ""
    said = f'{lead}"{intent.phrase}" is not {"mentioned" if intent.yes_no else "found"}{where}.'
    return Answer(said if lead else f'No file{where} holds "{intent.phrase}".', tuple(paths or ()))


def _attempts(intent: Search) -> Iterable[tuple[str, bool]]:
    yield intent.phrase, False
    yield intent.phrase, True
    bare = re.sub(r"^(?:the|a|an|my|our|any|some|how to|to)\s+", "", intent.phrase, flags=re.IGNORECASE)
    if not intent.literal and bare != intent.phrase:
        yield bare, True
    words = [word for word in words_of(intent.phrase) if word not in STOP_WORDS]
    if not intent.literal and len(words) == 1 and stem(words[0]) != intent.phrase.lower():
        yield stem(words[0]), True


def _scope_of(target: Target, talk: Talk) -> list[str] | None:
    """Give the files and folders to search in; ``None`` for everything."""
    if target.is_empty or target.project:
        return None
    if target.folder and not target.kind:
        return [talk.folder(target.folder)]
    if len(target.mentions) == 1:
        folder = talk.index.folder(target.mentions[0])
        if folder and not (talk.index.file(target.mentions[0]).sure and talk.index.file(target.mentions[0]).paths):
            return [folder]
    return list(talk.meant(target).paths)


def _hits(phrase: str, paths: list[str] | None, talk: Talk, *, ignore_case: bool) -> list[Hit]:
    if paths is not None and len(paths) <= 5:
        return [hit for path in paths for hit in talk.desk.search(phrase, path, ignore_case=ignore_case)]
    hits = talk.desk.search(phrase, ignore_case=ignore_case)
    return hits if paths is None else [hit for hit in hits if hit.path in paths]


def _found(intent: Search, phrase: str, hits: Sequence[Hit]) -> Answer:
    if intent.definition:
        defining = [hit for hit in hits if _defines(hit.text, phrase)]
        hits = defining or hits
    by_file: dict[str, list[Hit]] = {}
    for hit in hits:
        by_file.setdefault(hit.path, []).append(hit)
    yes = "Yes. " if intent.yes_no else ""
    if len(by_file) == 1:
        return _found_in_one(yes, phrase, next(iter(by_file)), list(hits))
    order = sorted(by_file, key=lambda path: (-len(by_file[path]), path)) if intent.topic else sorted(by_file)
    lines = [
        f"- {path}, line {found[0].line}{_and_more(found)}: {_quote(found[0].text)}"
        for path in order[:25]
        for found in [by_file[path]]
    ]
    tail = [f"… and {len(order) - 25} more files."] if len(order) > 25 else []
    said = f'{yes}{len(by_file)} files hold "{phrase}":'
    return Answer("\n".join([said, *lines, *tail]), tuple(order))


def _and_more(found: Sequence[Hit]) -> str:
    return f" (and {plural(len(found) - 1, 'more line')})" if len(found) > 1 else ""


def _found_in_one(yes: str, phrase: str, path: str, hits: Sequence[Hit]) -> Answer:
    if len(hits) == 1:
        return Answer(f'{yes}{path} holds "{phrase}", on line {hits[0].line}: {_quote(hits[0].text)}', (path,))
    lines = [f"- line {hit.line}: {_quote(hit.text)}" for hit in hits[:15]]
    tail = [f"… and {len(hits) - 15} more lines."] if len(hits) > 15 else []
    return Answer("\n".join([f'{yes}{path} holds "{phrase}" on {len(hits)} lines:', *lines, *tail]), (path,))


def _defines(line: str, name: str) -> bool:
    word = re.escape(name)
    keyword = r"(?:def|class|function|func|fn|struct|enum|trait|interface|const|let|var|type|val)"
    return bool(
        re.search(
            rf"\b{keyword}\s+{word}\b|^\s*[\"']?{word}[\"']?\s*(?::[^=]*)?=(?!=)|^\s*[\"']?{word}[\"']?\s*:", line
        )
    )


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE]}…"


# -- summaries --------------------------------------------------------------------------------------------------------


def summarise(intent: Summarise, talk: Talk) -> Answer:
    """Summarise files, or the last answer."""
    if intent.text is not None:
        body = _laid_out(intent, _chosen(intent, prose_of(intent.text)))
        return Answer(body or "There are no sentences in that text that I could choose from.", kept=body or None)
    if intent.target.answer or (intent.target.pronoun == "one" and talk.focus() is None and talk.last_answer):
        return _summary_of_answer(intent, talk)
    if (intent.target.project and not intent.target.each) or (intent.target.is_empty and talk.read_last() is None):
        return _summary_of_project(intent, talk)
    meant = talk.meant(intent.target)
    paths = talk.readable(meant.paths)
    if len(paths) == 1:
        said = summarise_text(intent, talk.desk.read_all(paths)[0])
        return attrs.evolve(said, text=meant.noted(said.text))
    said = _summary_of_many(intent, paths, talk)
    return attrs.evolve(said, text=meant.noted(said.text))


def _summary_of_answer(intent: Summarise, talk: Talk) -> Answer:
    text = talk.last_answer or ""
    if not text:
        raise CannotTell("I have not said anything yet that I could summarise.")
    chosen = _chosen(intent, prose_of(text) or [Sentence(part, 1, at) for at, part in enumerate(sentences_in(text))])
    short = _laid_out(intent, chosen) or text
    return Answer(short, kept=short)


def summarise_text(intent: Summarise, text: FileText) -> Answer:
    """Summarise one text.

    Raises:
        CannotTell: It has no lines.
    """
    if not text.lines:
        raise CannotTell(_sentence(text.note))
    sentences = prose_of(text.text, text.path)
    if not sentences:
        return Answer(_described(text), (text.path,))
    chosen = _chosen(intent, sentences)
    body = _laid_out(intent, chosen)
    wanted = intent.sentences or 0
    short = (
        f" ({text.path} has no more than {plural(len(chosen), 'sentence')} that can stand alone.)"
        if len(chosen) < wanted
        else ""
    )
    lead = f"Summary of {text.path}:" + ("\n" if intent.bullets else " ")
    return Answer(f"{lead}{body}{short}", (text.path,), kept=body)


def _summary_of_many(intent: Summarise, paths: Sequence[str], talk: Talk) -> Answer:
    used = list(paths)[:MAX_FILES]
    texts = [text for text in talk.desk.read_all(used) if text.lines]
    left_out = (
        f"\n({plural(len(paths) - len(used), 'more file')} left out: I read {MAX_FILES} at most.)"
        if len(paths) > len(used)
        else ""
    )
    if intent.sentences is not None and not intent.target.each:
        pooled = [sentence for text in texts for sentence in prose_of(text.text, text.path)]
        body = _laid_out(intent, _chosen(intent, pooled))
        if body:
            lead = f"Summary of {joined(used, most=6)}:" + ("\n" if intent.bullets else " ")
            return Answer(f"{lead}{body}{left_out}", tuple(used), kept=body)
    each = attrs.evolve(intent, sentences=intent.sentences or 1, bullets=False)
    lines = [f"- {text.path}: {_one_liner(each, text)}" for text in texts]
    if not lines:
        raise CannotTell(f"None of {joined(used, most=6)} could be read as text.")
    body = "\n".join(lines)
    return Answer(f"Here is what the {len(lines)} files say, in short:\n{body}{left_out}", tuple(used), kept=body)


def _one_liner(intent: Summarise, text: FileText) -> str:
    sentences = prose_of(text.text, text.path)
    if not sentences:
        return _described(text).removeprefix(f"{text.path} ")
    return " ".join(sentence.text for sentence in _chosen(intent, sentences))


def _summary_of_project(intent: Summarise, talk: Talk) -> Answer:
    index = talk.index
    if not index.paths:
        raise CannotTell("There are no files here.")
    readme = [path for path in index.paths if re.match(r"(?:.*/)?readme(?:\.\w+)?$", path, re.IGNORECASE)]
    documents = sorted(readme, key=lambda path: (path.count("/"), path)) or index.of_kind("docs")
    tail = _stock(index)
    for text in talk.desk.read_all(documents[:3]):
        sentences = prose_of(text.text, text.path)
        if sentences:
            body = _laid_out(intent, _chosen(intent, sentences))
            lead = f"From {text.path}:" + ("\n" if intent.bullets else " ")
            return Answer(f"{lead}{body}" + ("" if intent.sentences else f"\n{tail}"), (text.path,), kept=body)
    return Answer(f"No document here says what this is about. {tail}", tuple(index.paths[:1]))


def _stock(index: FileIndex) -> str:
    kinds: dict[str, int] = {}
    for path in index.paths:
        kinds[suffix_of(path) or "no extension"] = kinds.get(suffix_of(path) or "no extension", 0) + 1
    common = sorted(kinds, key=lambda kind: (-kinds[kind], kind))[:5]
    parts = [
        f"{kinds[kind]} with no extension" if kind == "no extension" else f"{kinds[kind]} .{kind}" for kind in common
    ]
    others = "" if len(kinds) <= 5 else " and others"
    return (
        f"There {'is' if index.total == 1 else 'are'} {plural(index.total, 'file')} here ({', '.join(parts)}{others})."
    )


def _chosen(intent: Summarise, sentences: Sequence[Sentence]) -> list[Sentence]:
    if intent.words is None:
        return central_sentences(sentences, max(1, intent.sentences or 3))
    ranked = [central_sentences(sentences, number) for number in range(1, min(12, len(sentences)) + 1)]
    fitting = [chosen for chosen in ranked if sum(len(one.text.split()) for one in chosen) <= (intent.words or 0)]
    if fitting:
        return fitting[-1]
    shortest = min(sentences, key=lambda sentence: (len(sentence.text.split()) < 4, len(sentence.text.split())))
    words = shortest.text.split()[: intent.words]
    return [attrs.evolve(shortest, text=" ".join(words) + ("…" if len(words) < len(shortest.text.split()) else ""))]


def _laid_out(intent: Summarise, chosen: Sequence[Sentence]) -> str:
    if intent.bullets:
        return "\n".join(f"- {sentence.text}" for sentence in chosen)
    return " ".join(sentence.text for sentence in chosen)


def central_text(text: str, sentences: int) -> str:
    """Give the most central sentences of a text."""
    return " ".join(sentence.text for sentence in central_sentences(prose_of(text), sentences)) or text


def _described(text: FileText) -> str:
    """Say what a file without prose holds."""
    suffix = suffix_of(text.path)
    filled = [line for line in text.lines if line.strip()]
    if not filled:
        return f"{text.path} is empty."
    if suffix in ("csv", "tsv"):
        delimiter = max(",;\t|", key=filled[0].count)
        columns = [name.strip().strip('"') for name in filled[0].split(delimiter)]
        return (
            f"{text.path} is a table of {plural(len(filled) - 1, 'row')} with "
            f"{plural(len(columns), 'column')}: {joined(columns, most=20)}."
        )
    if suffix == "log":
        return _described_log(text, filled)
    names = re.findall(r"^\s*(?:async )?(?:def|class|function|func|fn|struct)\s+(\w+)", text.text, re.MULTILINE)
    if names:
        return f"{text.path} has {plural(text.total, 'line')} and defines {joined(dict.fromkeys(names), most=10)}."
    keys = re.findall(r"^\s{0,4}[\"']?([A-Za-z][\w.-]*)[\"']?\s*[:=]|^\[+([\w.\" -]+)\]+", text.text, re.MULTILINE)
    if keys and suffix in ("json", "toml", "yaml", "yml", "ini", "cfg", "conf", "env"):
        named = dict.fromkeys(key or table for key, table in keys)
        return f"{text.path} has {plural(text.total, 'line')} and sets {joined(named, most=12)}."
    return (
        f"{text.path} has {plural(text.total, 'line')} and no sentences to choose from; it begins: {_quote(filled[0])}"
    )


def _described_log(text: FileText, filled: Sequence[str]) -> str:
    levels = ("ERROR", "CRITICAL", "WARNING", "WARN", "INFO", "DEBUG")
    counts = {level: sum(bool(re.search(rf"\b{level}\b", line)) for line in filled) for level in levels}
    said = joined(f"{number} {level}" for level, number in counts.items() if number)
    levels_said = f", of them {said}" if said else ""
    return (
        f"{text.path} has {plural(text.total, 'line')}{levels_said}. It begins: {_quote(filled[0])} It "
        f"ends: {_quote(filled[-1])}"
    )


# -- questions --------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Passage:
    path: str
    line: int
    text: str
    around: str
    kind: str


def answer_question(intent: Question, talk: Talk) -> Answer:
    """Answer a question with the most relevant sentences."""
    found = _question(intent, talk)
    if found:
        return found
    words = _key_words(intent.text)
    about = joined((f'"{word}"' for word in words), "or") if words else "that"
    where = f"in {joined(intent.target.mentions)}" if intent.target.mentions else "in the files here"
    return Answer(
        f"I found nothing about {about} {where}. I am the offline model: I can only say what the files say. "
        "Name a file or other words, and I look again."
    )


def _question(intent: Question, talk: Talk) -> Answer | None:
    words = _key_words(intent.text)
    if not words:
        return None
    paths = _relevant_files(words, intent.target, talk)
    if not paths:
        return None
    return answer_from(intent.text, [text for text in talk.desk.read_all(paths) if text.lines])


def answer_from(question: str, texts: Sequence[FileText]) -> Answer | None:
    """Answer with the most relevant sentences of texts; ``None`` when they say nothing about it."""
    words = _key_words(question)
    best = _best_passages([passage for text in texts for passage in _passages(text)], words)
    if not best:
        return None
    quotes = _quotes(best)
    files = tuple(dict.fromkeys(passage.path for passage in best))
    if len(quotes) == 1:
        return Answer(quotes[0], files)
    return Answer(_FOUND + "\n".join(f"- {quote}" for quote in quotes), files)


def _quotes(best: Sequence[_Passage]) -> list[str]:
    """Say passages with file and line, file by file, in the order of the text; neighbours are joined."""
    rank = {path: at for at, path in reversed(list(enumerate(passage.path for passage in best)))}
    quotes: list[str] = []
    before: _Passage | None = None
    for passage in sorted(best, key=lambda one: (rank[one.path], one.line)):
        near = before is not None and before.path == passage.path and passage.line - before.line <= 3
        if near and quotes:
            quotes[-1] += ("\n" if passage.kind == "code" else " ") + _said(passage)
        else:
            lead = f"{passage.path}, line {passage.line}:"
            quotes.append(f"{lead}\n{_said(passage)}" if passage.kind == "code" else f"{lead} {_said(passage)}")
        before = passage
    return quotes


def _said(passage: _Passage) -> str:
    if passage.kind == "code":
        lines = passage.text.strip("\n").split("\n")
        return "\n".join(f"    {line}" for line in lines[:12]) + ("\n    …" if len(lines) > 12 else "")
    return _quote(passage.text)


_MEANING = {"install": ("setup", "pip"), "licence": ("license",), "author": ("written",), "usage": ("use", "usage")}


def _key_words(text: str) -> list[str]:
    plain = (re.sub(r"['\u2019](?:s|re|ve|ll|d|m)$", "", word) for word in words_of(text))
    words = [word for word in plain if word not in STOP_WORDS and (len(word) > 1 or word.isdigit())]
    return list(dict.fromkeys(words))[:6]


def _relevant_files(words: Sequence[str], target: Target, talk: Talk) -> list[str]:
    if not target.is_empty and not target.project:
        paths = talk.readable(talk.meant(target).paths)
        if len(paths) <= 4:
            return paths
        allowed: set[str] | None = set(paths)
    else:
        allowed = None
    # A stem may differ from what is written ("retry", "retries"): the search needs what they share.
    stems = list(dict.fromkeys(_shared_start(word, stem(word)) for word in words))
    found = talk.desk.search_all(stems)
    scores: dict[str, float] = {}
    total = max(1, len({hit.path for hits in found for hit in hits}))
    for hits in found:
        files = {hit.path for hit in hits}
        for path in files:
            number = sum(hit.path == path for hit in hits)
            scores[path] = scores.get(path, 0) + (1 + math.log(number)) * (0.3 + math.log(1 + total / len(files)))
    covered = {path: sum(any(hit.path == path for hit in hits) for hits in found) for path in scores}
    ranked = sorted(
        (path for path in scores if allowed is None or path in allowed),
        key=lambda path: (-covered[path], -scores[path] * _liking(path, stems), path),
    )
    return ranked[:4]


def _shared_start(word: str, other: str) -> str:
    length = next((at for at, (one, two) in enumerate(zip(word, other, strict=False)) if one != two), None)
    return word[: min(len(word), len(other))] if length is None else word[:length]


def _liking(path: str, stems: Sequence[str]) -> float:
    named = 1.5 if any(one in path.lower() for one in stems) else 1.0
    return named * {"md": 1.4, "rst": 1.4, "txt": 1.2, "log": 0.6, "csv": 0.6, "json": 0.6}.get(suffix_of(path), 1.0)


def _passages(text: FileText) -> list[_Passage]:
    suffix = suffix_of(text.path)
    if suffix not in ("md", "markdown", "rst", "txt", "text", "adoc", ""):
        prose = [
            _Passage(text.path, one.line, one.text, one.heading, "sentence") for one in prose_of(text.text, text.path)
        ]
        lines = [
            _Passage(text.path, number, line.strip(), "", "line")
            for number, line in enumerate(text.lines, text.first)
            if line.strip()
        ]
        return prose + lines
    passages = []
    before = ""
    for block in blocks_of(text.text):
        passages += _block_passages(text.path, block, before)
        before = block.text if block.kind == "paragraph" else before if block.kind == "code" else ""
    return passages


def _block_passages(path: str, block: Block, before: str) -> list[_Passage]:
    if block.kind == "heading":
        return []
    if block.kind in ("code", "row"):
        text = block.text if block.kind == "code" else cleaned(block.text)
        return [_Passage(path, block.line, text, f"{block.heading} {before[-200:]}", block.kind)]
    if block.kind == "item":
        return [_Passage(path, block.line, cleaned(block.text), block.heading, "item")]
    located = located_sentences(block)
    passages = []
    for at, (line, sentence) in enumerate(located):
        if sentence.endswith("?"):  # what follows a question answers it
            sentence = " ".join(text for _line, text in located[at : at + 3])
        passages.append(_Passage(path, line, sentence, block.heading, "sentence"))
    return passages


def _best_passages(passages: Sequence[_Passage], words: Sequence[str]) -> list[_Passage]:
    stems = {stem(word) for word in words}
    synonyms = {other: stem(word) for word in words for other in _MEANING.get(word, ())}
    bags = [{stem(word) for word in words_of(passage.text)} for passage in passages]
    heads = [{stem(word) for word in words_of(f"{passage.around} {passage.path}")} for passage in passages]
    for bag, passage in zip(bags, passages, strict=True):
        bag.update(meaning for other, meaning in synonyms.items() if other in passage.text.lower())
    weight = {one: math.log(1 + len(bags) / (1 + sum(one in bag for bag in bags))) for one in stems}
    scores = []
    for bag, head, passage in zip(bags, heads, passages, strict=True):
        inside = sum(weight[one] for one in stems & bag)
        above = sum(weight[one] for one in stems & (head - bag))
        scores.append((inside + 0.5 * above) * _bearing(passage) if inside or above > 0 else 0.0)
    best = max(scores, default=0.0)
    if best <= 0:
        return []
    ranked = sorted(range(len(passages)), key=lambda at: (-scores[at], at))
    kept: list[_Passage] = []
    for at in ranked:
        if scores[at] < 0.62 * best or len(kept) == 3:
            break
        if all(passages[at].text != other.text for other in kept):
            kept.append(passages[at])
    return kept


def _bearing(passage: _Passage) -> float:
    """How well a passage can answer: prose best, a bare line least."""
    words = len(passage.text.split())
    bearing = {"sentence": 1.0, "item": 0.95, "code": 0.8, "row": 0.7, "line": 0.6}[passage.kind]
    if passage.text.endswith((":", "?")):
        bearing *= 0.6
    return bearing * (0.6 if words < 3 and passage.kind != "code" else 1.0)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."

"""Answers about the files that the user attached: text is read, anything else is named."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lash_hookspecs.records.attachments import AttachmentData, is_text
from lash_hookspecs.records.text import clean_text

from lash_basics.extractive.about_texts import answer_from, summarise_text
from lash_basics.extractive.desk import FileText
from lash_basics.extractive.intents import Count, Intent, Named, Question, Read, Summarise, Target, Unknown
from lash_basics.extractive.language import joined, plural
from lash_basics.extractive.talk import Answer

__all__ = ["answer", "listed"]

#: Lines that are shown of an attached text.
MAX_LINES = 40

#: Words that mean what is attached, without a name.
_ATTACHED = re.compile(
    r"(?:(?:the|this|that|these|those|my|all|each|every|attached|enclosed)\s+)*"
    r"(?:attach(?:ment|ed)s?|files?|documents?|texts?|images?|pictures?|photos?|screenshots?|charts?|pdfs?|tables?|it|this)",
    re.IGNORECASE,
)


def listed(files: Sequence[AttachmentData]) -> str:
    """Say what is attached, before the answer; nothing when nothing is."""
    return f"Attached: {joined(file.ref.describe() for file in files)}.\n\n" if files else ""


def answer(intent: Intent, files: Sequence[AttachmentData]) -> Answer | None:
    """Answer what is asked about attached files; ``None`` when something else is meant.

    Raises:
        CannotTell: A text is empty.
    """
    meant = _meant(intent, files)
    if not meant:
        return None
    texts = [_text(file) for file in meant if file.data is not None and is_text(file.ref.media_type)]
    if not texts:
        names = joined(file.ref.name or file.ref.id[:12] for file in meant)
        return Answer(f"I cannot see what is in {names}: I am the offline model, and I read nothing but text.")
    match intent:
        case Summarise():
            parts = [summarise_text(intent, text) for text in texts]
            return Answer(
                "\n".join(part.text for part in parts), kept="\n".join(part.kept or part.text for part in parts)
            )
        case Count():
            return Answer("\n".join(_counted(intent, text) for text in texts))
        case Question(text=asked, target=target):
            found = answer_from(asked, texts)
            return found if found or (target.is_empty and not _named(asked, files)) else _shown(texts)
        case Named(question=asked):
            return answer_from(asked, texts) or _shown(texts)
        case _:
            return _shown(texts)


def _meant(intent: Intent, files: Sequence[AttachmentData]) -> list[AttachmentData]:
    """Give the attached files that a request is about."""
    match intent:
        case Summarise(text=None, target=target) | Count(target=target) | Read(target=target):
            return _of_target(target, files)
        case Question(text=asked, target=target):
            return _named(asked, files) or _of_target(target, files)
        case Named(name=name):
            generic = not name.strip() or _ATTACHED.fullmatch(name.strip())
            return _named(name, files) or (list(files) if generic else [])
        case Unknown(text=asked):
            return _named(asked, files)
        case _:
            return []


def _of_target(target: Target, files: Sequence[AttachmentData]) -> list[AttachmentData]:
    if target.is_empty or target.pronoun:
        return list(files)
    named = [file for mention in target.mentions for file in _named(mention, files)]
    if not named and target.mentions and all(_ATTACHED.fullmatch(mention.strip()) for mention in target.mentions):
        return list(files)
    return list({file.ref.id: file for file in named}.values())


def _named(text: str, files: Sequence[AttachmentData]) -> list[AttachmentData]:
    said = text.lower()
    return [file for file in files if file.ref.name and file.ref.name.lower() in said]


def _text(file: AttachmentData) -> FileText:
    lines = tuple(clean_text((file.data or b"").decode("utf-8", "replace")).splitlines())
    note = "" if lines else f"{file.ref.name or 'the attachment'} is empty"
    return FileText(file.ref.name or "the attachment", lines=lines, total=len(lines), note=note)


def _shown(texts: Sequence[FileText]) -> Answer:
    parts = []
    for text in texts:
        left = len(text.lines) - MAX_LINES
        tail = [f"… and {plural(left, 'more line')}."] if left > 0 else []
        parts.append("\n".join([f"{text.path}, {plural(text.total, 'line')}:", *text.lines[:MAX_LINES], *tail]))
    return Answer("\n\n".join(parts), kept="\n".join(text.text for text in texts))


def _counted(intent: Count, text: FileText) -> str:
    sizes = {"line": text.total, "word": len(text.text.split()), "character": len(text.text)}
    wanted = [unit.rstrip("s") for unit in intent.units if unit.rstrip("s") in sizes] or list(sizes)
    return f"{text.path} has {joined(plural(sizes[unit], unit) for unit in wanted)}."

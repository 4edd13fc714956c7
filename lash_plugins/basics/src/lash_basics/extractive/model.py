"""From a request to a reply."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
from lash_hookspecs.records.models import AssistantTurn, ModelReply, ModelRequest
from lash_hookspecs.records.payloads import TextPart, ToolCallPart
from lash_hookspecs.records.tools import ToolCall

from lash_basics.extractive import about_attachments, about_files, about_talk, about_texts
from lash_basics.extractive.conversation import exchanges_of
from lash_basics.extractive.desk import Call, Desk, MissingTool, NeedTools
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
from lash_basics.extractive.talk import Answer, CannotTell, Talk
from lash_basics.extractive.targets import files_in
from lash_basics.extractive.understanding import understand

__all__ = ["MODEL", "reply_to"]

#: The model's name in its replies.
MODEL = "offline"


def reply_to(request: ModelRequest) -> ModelReply:
    """Answer a request, with tool calls or with text; the same request is always answered alike."""
    exchanges = exchanges_of(request.messages)
    if not exchanges or exchanges[-1].answer is not None:
        return _text("What would you like to know about the files here?")
    *earlier, current = exchanges
    talk = Talk(earlier, Desk(current, frozenset(tool.name for tool in request.tools)))
    attached = about_attachments.listed(current.files)
    try:
        return _text(attached + _answer(list(dict.fromkeys(current.questions)), talk))
    except NeedTools as need:
        return _calls(need.calls, sum(isinstance(message, AssistantTurn) for message in request.messages))
    except MissingTool as missing:
        return _text(
            f"{attached}I cannot do that here: I would need the tool {missing.tool}, and it is not offered in this "
            'session. The file tools come with lash-basics; an app names them: Agent(tool_sets=["files"]).'
        )


def _answer(questions: list[str], talk: Talk) -> str:
    for question in questions:
        for intent in understand(question):
            talk.parts.append(_part(intent, talk))
    return "\n\n".join(part.text for part in talk.parts)


def _part(intent: Intent, talk: Talk) -> Answer:
    try:
        return about_attachments.answer(intent, talk.desk.files) or _handle(intent, talk)
    except CannotTell as reason:
        return _subject(intent, talk) or Answer(str(reason))


def _subject(intent: Intent, talk: Talk) -> Answer | None:
    """Answer about a name that is no file's, but perhaps a subject: "what does the licence say?"."""
    if not isinstance(intent, Read | Summarise) or not intent.target.mentions:
        return None
    if any(map(files_in, intent.target.mentions)):
        return None
    found = about_texts.answer_question(Question(text=" ".join(intent.target.mentions)), talk)
    return found if found.files else None


_HANDLERS: dict[type, Callable[[Any, Talk], Answer]] = {
    Cannot: about_talk.cannot,
    Count: about_files.count,
    Extreme: about_files.extreme,
    Find: about_files.find,
    ListFiles: about_files.list_files,
    Occurrences: about_files.occurrences,
    Outline: about_files.outline,
    Question: about_texts.answer_question,
    Read: about_files.read,
    Recall: about_talk.recall,
    Remember: about_talk.remember,
    Search: about_texts.search,
    SmallTalk: about_talk.small_talk,
    Summarise: about_texts.summarise,
    Unknown: about_talk.unknown,
}


def _handle(intent: Intent, talk: Talk) -> Answer:
    match intent:
        case Named():
            return _named(intent, talk)
        case Reshape():
            return _reshape(intent, talk)
        case Again():
            return _again(intent, talk)
        case Write():
            source = _handle(intent.source, talk) if intent.source is not None else None
            return about_talk.write_file(intent, source, talk)
        case _:
            return _HANDLERS[type(intent)](intent, talk)


def _named(intent: Named, talk: Talk) -> Answer:
    """Answer about a name that may be a file's, a folder's, or a subject's."""
    found = talk.index.file(intent.name)
    is_file = bool(found.paths) and found.sure
    folder = None if is_file else talk.index.folder(intent.name)
    if intent.wants == "place":
        if is_file or folder:
            return about_files.find(Find(name=intent.name), talk)
        return about_texts.search(Search(phrase=intent.name), talk)
    target = Target(folder=folder) if folder else Target(mentions=(intent.name,))
    if intent.wants == "summary" and (is_file or folder):
        return about_texts.summarise(Summarise(target=target), talk)
    if is_file or folder or (found.paths and intent.wants == "text" and " " not in intent.name):
        return about_files.read(Read(target=target), talk)
    question = about_texts.answer_question(Question(text=intent.question), talk)
    if question.files or intent.wants == "summary":
        return question
    return about_talk.unknown(Unknown(text=intent.name), talk)


def _reshape(intent: Reshape, talk: Talk) -> Answer:
    """Give the last answer in another size."""
    if intent.change == "go on":
        return _read_on(talk)
    last = _last_intent(talk)
    wanted = _wanted_sentences(intent, last)
    target = last.target if isinstance(last, Summarise) else Target(answer=True)
    if isinstance(last, Summarise) and not (target.project or target.answer) and target.kind is None:
        target = (
            Target(pronoun="many" if len(talk.meant(target).paths) > 1 else "one") if not target.mentions else target
        )
    if last is None and talk.last_answer is None:
        raise CannotTell("There is nothing yet that I could make shorter or longer; name a file.")
    bullets = intent.bullets or (isinstance(last, Summarise) and last.bullets)
    shaped = Summarise(target=target, sentences=wanted, words=intent.words, bullets=bullets)
    return about_texts.summarise(shaped, talk)


def _wanted_sentences(intent: Reshape, last: Intent | None) -> int | None:
    if intent.sentences is not None or intent.words is not None:
        return intent.sentences
    before = (last.sentences or 3) if isinstance(last, Summarise) else 2
    if intent.change == "shorter":
        return max(1, before // 2)
    return before * 2 if intent.change == "longer" else before


def _read_on(talk: Talk) -> Answer:
    path = talk.focus()
    last = total = 0
    for exchange in reversed(talk.earlier):
        for call, result in exchange.calls:
            if call.tool == "read_file" and isinstance(call.arguments, dict) and call.arguments.get("path") == path:
                head = re.match(r".*: lines \d+-(\d+) of (\d+)", str(result.output))
                last, total = (max(last, int(head.group(1))), int(head.group(2))) if head else (last, total)
        if last:
            break
    if path is None or not last:
        raise CannotTell("There is nothing to go on with; name a file to read.")
    if last >= total:
        return Answer(f"That was all: {path} ends at line {total}.", (path,))
    return about_files.read(Read(target=Target(mentions=(path,)), first=last + 1), talk)


def _again(intent: Again, talk: Talk) -> Answer:
    """Do the last thing for something else."""
    last = _last_intent(talk)
    match last:
        case Summarise() | Count() | Read() | Outline() | Occurrences() | ListFiles() | Extreme():
            return _handle(attrs.evolve(last, target=intent.target), talk)
        case Search():
            return _handle(attrs.evolve(last, phrase=intent.phrase), talk)
        case Find() | Named():
            return _handle(Named(name=intent.phrase, question=intent.phrase, wants="place"), talk)
        case Question():
            return _handle(Question(text=intent.phrase, target=last.target), talk)
        case _:
            return _handle(Named(name=intent.phrase, question=intent.phrase), talk)


def _last_intent(talk: Talk) -> Intent | None:
    """Give the last request that was about something, seen through requests that only changed its size or place."""
    for exchange in reversed(talk.earlier):
        for intent in reversed([intent for question in exchange.questions for intent in understand(question)]):
            if not isinstance(intent, Reshape | Again | SmallTalk | Recall | Write | Unknown | Cannot):
                return intent
    return None


def _text(text: str) -> ModelReply:
    return ModelReply(parts=(TextPart(text=text),), model=MODEL)


def _calls(calls: list[Call], index: int) -> ModelReply:
    parts = tuple(
        ToolCallPart(call=ToolCall(call_id=f"call_{index}_{at}", tool=tool, arguments=arguments))
        for at, (tool, arguments) in enumerate(calls)
    )
    return ModelReply(parts=parts, finish_reason="tool_calls", model=MODEL)

"""Answers about the conversation and about the model itself, and writing to files."""

from __future__ import annotations

import re

from lash_basics.extractive.conversation import Exchange
from lash_basics.extractive.intents import (
    Cannot,
    ListFiles,
    Read,
    Recall,
    Remember,
    SmallTalk,
    Summarise,
    Unknown,
    Write,
)
from lash_basics.extractive.language import STOP_WORDS, plural, stem, words_of
from lash_basics.extractive.prose import sentences_in
from lash_basics.extractive.talk import Answer, CannotTell, Talk

__all__ = ["cannot", "recall", "remember", "small_talk", "unknown", "write_file"]

EXAMPLES = (
    "what files are here?",
    "summarise README.md in three sentences",
    "which file mentions timeout?",
    "how many words has notes.txt?",
    "show me the first 10 lines of README.md",
    "save your last answer as notes/summary.md",
)

_HELP = (
    "I am the offline model: I list, read, find, search, count and summarise the files of this "
    "folder, write text to a file, "
    "and remember what was said here. I extract and count; I do not think."
)

_SMALL = {
    "greeting": "Hello! Ask me about the files here, for example: what files are here?",
    "thanks": "You are welcome.",
    "bye": "Goodbye.",
    "wellbeing": "I am well, thank you. What would you like to know about the files here?",
    "identity": f"{_HELP} For anything else, choose a real model with --model provider:name.",
    "yes": "All right. What would you like to know about the files here?",
}


def small_talk(intent: SmallTalk, _talk: Talk) -> Answer:
    """Answer a greeting and the like."""
    if intent.topic == "help":
        return Answer("\n".join([_HELP, "For example:", *(f"- {example}" for example in EXAMPLES)]))
    return Answer(_SMALL[intent.topic])


def cannot(intent: Cannot, _talk: Talk) -> Answer:
    """Say what cannot be done."""
    return Answer(
        f"I cannot {intent.deed}: I am the offline model, and I only list, read, find, search, count and summarise "
        "files, and write text to a file. Choose a real model with --model provider:name for more."
    )


def unknown(intent: Unknown, _talk: Talk) -> Answer:
    """Say honestly that a request was not understood."""
    said = intent.text if len(intent.text) <= 120 else f"{intent.text[:120]}…"
    lead = f'I do not understand "{said}". ' if said.strip() else ""
    examples = "\n".join(f"- {example}" for example in EXAMPLES)
    return Answer(f"{lead}I am the offline model and only work with the files here. You could ask:\n{examples}")


def remember(intent: Remember, _talk: Talk) -> Answer:
    """Acknowledge a fact; it stays in the conversation."""
    return Answer(f"Noted: {intent.fact}. Ask me for it later in this session.")


def recall(intent: Recall, talk: Talk) -> Answer:
    """Answer what was said before."""
    if intent.who == "fact":
        return _fact(intent.about, talk.earlier)
    asked = [question for exchange in talk.earlier for question in exchange.questions]
    if intent.who == "count":
        return Answer(f"You have asked {plural(len(asked), 'question')} before this one.")
    if not asked:
        return Answer("This is the first thing you said to me in this session.")
    if intent.who == "both":
        lines = [f"{number}. {question}" for number, question in enumerate(asked, 1)]
        return Answer("\n".join(["You asked:", *lines]))
    if intent.who == "user":
        return Answer(f'{_ordinal(intent.which)} question was: "{_nth(asked, intent.which, "question")}"')
    answers = [exchange.answer for exchange in talk.earlier if exchange.answer]
    if intent.about:
        return _said_about(intent.about, answers)
    if not answers:
        return Answer("I have not answered anything yet.")
    said = _nth(answers, intent.which, "answer")
    return Answer(f"I said:\n{said}", kept=said)


def _nth(items: list[str], which: int, noun: str) -> str:
    if abs(which) > len(items):
        raise CannotTell(f"There {'is' if len(items) == 1 else 'are'} only {plural(len(items), noun)} so far.")
    return items[which - 1 if which > 0 else which]


def _ordinal(which: int) -> str:
    names = {1: "Your first", -1: "Your last", -2: "Your last but one", 2: "Your second", 3: "Your third"}
    return names.get(which, f"Your {abs(which)}th")


def _said_about(about: str, answers: list[str]) -> Answer:
    wanted = {stem(word) for word in words_of(about) if word not in STOP_WORDS} or {stem(w) for w in words_of(about)}
    for said in reversed(answers):
        lines = [part for line in said.split("\n") for part in sentences_in(line)]
        fitting = [part for part in lines if wanted & {stem(word) for word in words_of(part)}]
        whole = [part for part in fitting if part.endswith((".", "!"))]
        if fitting:
            return Answer("I said: " + " ".join((whole or fitting)[:3]))
    return Answer(f"I have not said anything about {about} yet.")


def _fact(question: str, earlier: list[Exchange]) -> Answer:
    wanted = {stem(word) for word in words_of(question) if word not in STOP_WORDS}
    generic = {"remember", stem("remember"), "mind", "keep", "ask", "told", "note"}
    best: tuple[int, str] = (0, "")
    for exchange in earlier:
        for said in exchange.questions:
            for part in sentences_in(said):
                if part.endswith("?"):
                    continue
                overlap = len((wanted - generic) & {stem(word) for word in words_of(part)})
                stated = bool(re.match(r"(?:please )?(?:remember|note|keep in mind|memori)", part, re.IGNORECASE))
                score = 2 * overlap + (stated and (overlap > 0 or not wanted - generic))
                if score and score >= best[0]:
                    best = (score, part)
    if best[1]:
        return Answer(f'You said: "{best[1].rstrip()}"')
    return Answer("You have not told me that in this session.")


def write_file(intent: Write, source: Answer | None, talk: Talk) -> Answer:
    """Write a file, and say what was done."""
    if not intent.path:
        raise CannotTell("Tell me the name of the file, such as: save your last answer as notes/summary.md")
    text = _text_to_write(intent, source, talk)
    if intent.append:
        text = _appended(intent.path, text, talk)
    outcome = talk.desk.write(intent.path, text)
    if outcome.ok:
        what = _what(intent, text)
        replaced = " It replaced what was there." if outcome.text.startswith("replaced") and not intent.append else ""
        size = plural(len(text.encode()), "byte")
        said = (
            f"I added {what} to {intent.path}."
            if intent.append
            else f"I wrote {what} to {intent.path} ({size}).{replaced}"
        )
        return Answer(said, (intent.path,))
    if outcome.status == "outcome_unknown":
        return _looked_again(intent.path, text, talk)
    raise CannotTell(f"I could not write {intent.path}: {outcome.text}")


def _text_to_write(intent: Write, source: Answer | None, talk: Talk) -> str:
    if intent.text is not None:
        return intent.text
    said = (source.kept if source.kept is not None else source.text) if source else talk.last_answer
    if said is None:
        raise CannotTell(f"I have not said anything yet that I could save as {intent.path}.")
    return said if said.endswith("\n") else f"{said}\n"


def _appended(path: str, text: str, talk: Talk) -> str:
    before = talk.desk.read_all([path])[0]
    if before.lines and not before.complete:
        raise CannotTell(f"{path} is too long for me to append to.")
    if not before.lines:
        return text
    old = before.text if before.text.endswith("\n") else f"{before.text}\n"
    return f"{old}{text}" if text.endswith("\n") else f"{old}{text}\n"


def _what(intent: Write, text: str) -> str:
    if intent.text is not None:
        return "an empty text" if not text else f'"{intent.text}"' if len(intent.text) <= 60 else "the text"
    known = {Summarise: "the summary", ListFiles: "the list", Read: "the text"}
    return "my answer" if intent.source is None else known.get(type(intent.source), "the answer")


def _looked_again(path: str, text: str, talk: Talk) -> Answer:
    found = talk.desk.read_all([path])[0]
    if found.text.rstrip("\n") == text.rstrip("\n") and found.found:
        return Answer(f"The writing was interrupted, but {path} holds the text: it is done.", (path,))
    return Answer(
        f"The writing of {path} was interrupted, and the file does not hold the text. Ask me again to write it."
    )

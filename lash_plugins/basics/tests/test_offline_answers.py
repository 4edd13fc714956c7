"""What people ask of a folder, and the essence of the answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Each row is a conversation over the project folder; what the last answer holds, and (behind "!") what it must not.
PELICAN = [
    (["what files are here?"], ["3 folders and 4 files", "- README.md", "- docs/", "!.env"]),
    (["ls"], ["- notes.txt"]),
    (["Could you please list all the files in this folder?"], ["- src/app/queue.py", "!.env"]),
    (["list the markdown files"], ["3 markdown files", "docs/guide.md", "!notes.txt"]),
    (["list docs"], ["docs/api.md", "docs/faq.txt", "!README.md"]),
    (["what's in the docs folder?"], ["3 files in docs/", "docs/guide.md"]),
    (["which python files are there?"], ["2 python files", "src/app/queue.py"]),
    (["list src"], ["src/app/queue.py"]),
    (["are there any csv files?"], ["sales.csv"]),
    (["are there any rust files?"], ["There are no rust files here."]),
    (["list all files with sizes"], ["config.toml (37 bytes)"]),
    (["show me notes.txt"], ["notes.txt (2 lines):\n\nBuy milk\nCall Ann"]),
    (["cat NOTES.TXT"], ["Buy milk"]),
    (["show me the notes"], ["Buy milk"]),
    (["what does notes.txt say?"], ["Buy milk"]),
    (["what is in src/app/queue.py?"], ["MAX_RETRIES = 3"]),
    (
        ["read the first 2 lines of app.log"],
        ["logs/app.log, lines 1 to 2 of 5", "1 INFO started\n2 ERROR disk full", "!WARNING"],
    ),
    (["show me the last line of logs/app.log"], ["line 5 of 5", "5 INFO stopped", "!ERROR"]),
    (["lines 3 to 4 of app.log"], ["3 WARNING slow\n4 ERROR", "!started"]),
    (["first line of README.md"], ["# Pelican", "!Installation"]),
    (["read redme.md"], ['I take "redme.md" to mean README.md.', "# Pelican"]),
    (["read nothing-like-it.md"], ["There is no file nothing-like-it.md here.", "README.md"]),
    (["show me .env"], [".env is hidden", "!password"]),
    (["read /etc/passwd"], ["outside of the session's folder", "!root:"]),
    (["read ../../secret.txt"], ["outside of the session's folder"]),
    (["find files named *.md"], ["3 files match *.md", "docs/api.md"]),
    (["where is queue.py?"], ["src/app/queue.py is in the folder src/app/."]),
    (["Where is config.toml?"], ["config.toml is at the top of this folder."]),
    (["is there a license file?"], ["No, there is no file named license here."]),
    (["does guide.md exist?"], ["docs/guide.md is in the folder docs/."]),
    (["which file holds XK-4711?"], ['docs/guide.md holds "XK-4711", on line 12']),
    (['which file contains the phrase "hands them to workers"?'], ["README.md holds", "on line 5"]),
    (["Which files mention worker?"], ["README.md", "docs/guide.md", "logs/app.log", "!sales.csv"]),
    (["where is retry_after mentioned?"], ["2 files hold", "config.toml, line 3", "docs/guide.md, line 8"]),
    (["where is Queue defined?"], ["src/app/queue.py", "line 9: class Queue:"]),
    (["search for timeout in the logs folder"], ["logs/app.log", "line 4"]),
    (["does README mention docker?"], ['No, "docker" is not mentioned in README.md.']),
    (["is sqlite mentioned anywhere?"], ["Yes.", "README.md", "src/app/queue.py"]),
    (["which file holds ZZ-0000?"], ['No file here holds "ZZ-0000".']),
    (["are there any TODOs?"], ["src/app/queue.py", "line 13"]),
    (["show me the errors in app.log"], ["disk full", "timeout of worker 7", "!slow"]),
    (["how many lines has README.md?"], ["README.md has 24 lines."]),
    (["How many words does notes.txt contain?"], ["notes.txt has 7 words."]),
    (["how many words and characters are in notes.txt"], ["7 words and 36 characters"]),
    (["word count of the notes"], ["7 words"]),
    (["how many files are there?"], ["There are 10 files here"]),
    (["how many python files?"], ["There are 2 python files here"]),
    (["how many files are in docs?"], ["There are 3 files in docs/"]),
    (["how many lines do all the python files have?"], ["Together, the 2 files have 15 lines."]),
    (["how many rows does sales.csv have?"], ["sales.csv has 3 rows."]),
    (["what columns does sales.csv have?"], ["date, region and amount"]),
    (["how many errors are in app.log?"], ['"error" occurs twice in logs/app.log']),
    (["how many times does lease appear in the guide?"], ["docs/guide.md", "3 times"]),
    (["how big is config.toml?"], ["config.toml has 37 bytes."]),
    (["which is the largest file?"], ["The largest file is README.md"]),
    (["what is the longest python file?"], ["src/app/queue.py with 14 lines"]),
    (
        ["Summarise README.md in three sentences"],
        ["Summary of README.md: Pelican is a small job queue for Python services.", "!img.example", "!pip install"],
    ),
    (["give me a two-sentence summary of the docs"], ["A lease says which worker may run a job."]),
    (["what is this project about?"], ["From README.md: Pelican is a small job queue", "There are 10 files here"]),
    (["summarise all of the docs"], ["- docs/api.md: ", "- docs/faq.txt: ", "- docs/guide.md: "]),
    (["summarise every markdown file"], ["- README.md: ", "- docs/api.md: ", "- docs/guide.md: ", "!faq"]),
    (
        ["Please summarize the guide in 1 sentence."],
        ["Summary of docs/guide.md: A lease says which worker may run a job."],
    ),
    (["tl;dr of readme"], ["Pelican is a small job queue"]),
    (["give me the key points of the guide"], ["- A lease says"]),
    (["explain src/app/queue.py"], ["a crash never loses a job"]),
    (["summarise sales.csv"], ["a table of 3 rows with 3 columns"]),
    (["summarise app.log"], ["2 ERROR, 1 WARNING and 2 INFO"]),
    (["what are the headings of README.md?"], ["Installation (line 8)", "License"]),
    (["list the classes in queue.py"], ["Queue (line 9)"]),
    (["how do I install this?"], ["README.md, line 10", "pip install pelican-queue"]),
    (["what does the guide say about leases?"], ["docs/guide.md, line 3", "Leases expire after 30 seconds"]),
    (["how often is a failed job retried?"], ["docs/guide.md, line 8", "retried three times"]),
    (["can I use it on Windows?"], ["docs/faq.txt", "Not yet."]),
    (["what does the license say?"], ["README.md", "MIT licence"]),
    (["what is MAX_RETRIES?"], ["src/app/queue.py, line 6: MAX_RETRIES = 3"]),
    (["what is the capital of France?"], ["I found nothing about", "offline model"]),
    (["hello"], ["Hello!"]),
    (["thank you!"], ["You are welcome."]),
    (["what can you do?"], ["I am the offline model", "- what files are here?"]),
    (["write me a poem about cats"], ["I cannot write texts of my own"]),
    (["delete notes.txt"], ["I cannot delete files"]),
    (["what is 2 + 2?"], ["I cannot calculate"]),
    (["flurb the wug immediately over there"], ["I do not understand"]),
    ([""], ["I am the offline model"]),
    (["list the markdown files", "summarise the second one"], ["Summary of docs/api.md:"]),
    (["list the markdown files", "read the last one"], ["docs/guide.md", "# Guide"]),
    (["list the markdown files", "read the seventh one"], ["names only 3 files"]),
    (["which file holds XK-4711?", "how many lines has that file?"], ["docs/guide.md has 12 lines."]),
    (
        ["which file holds XK-4711?", "hello", "summarise it in one sentence"],
        ["Summary of docs/guide.md: A lease says"],
    ),
    (["how many lines has notes.txt?", "and how many words?"], ["notes.txt has 7 words."]),
    (["how many lines has notes.txt?", "and the guide?"], ["docs/guide.md has 12 lines."]),
    (["how many lines has notes.txt?", "what about config.toml?"], ["config.toml has 3 lines."]),
    (["where is retry_after mentioned?", "and XK-4711?"], ["docs/guide.md holds"]),
    (
        ["Summarise README.md in three sentences", "shorter"],
        ["Summary of README.md: Pelican is a small job queue for Python services."],
    ),
    (["summarise the guide in one sentence", "in two sentences please"], ["A lease says which worker may run a job. "]),
    (["how do I install this?", "what was my first question?"], ['"how do I install this?"']),
    (["hello", "how do I install this?", "what did I ask before?"], ["how do I install this?"]),
    (["how many lines has notes.txt?", "what did you say before?"], ["I said:\nnotes.txt has 2 lines."]),
    (["hello", "thanks", "how many questions have I asked?"], ["2 questions"]),
    (["what did you say before?"], ["first thing you said"]),
    (["read it"], ["I do not know which file you mean"]),
    (["my name is Ann", "ls", "what is my name?"], ["my name is Ann"]),
    (["Remember the number 42", "what number did I ask you to remember?"], ["42"]),
    (["read notes.txt", "go on"], ["That was all: notes.txt ends at line 2."]),
    (["read api and faq", "summarise them in two sentences"], ["Summary of docs/api.md and docs/faq.txt:"]),
]


@pytest.mark.parametrize(("said", "expected"), PELICAN, ids=lambda value: " | ".join(value)[:70])
def test_a_project_folder_is_answered_from(
    said: list[str], expected: list[str], pelican: Path, chat: Callable[..., Any]
) -> None:
    check(chat(pelican), said, expected)


NOTES = [
    (["what do we have here?"], ["1 folder and 2 files", "meeting notes.txt"]),
    (["show me meeting notes.txt"], ["The meeting was on Monday."]),
    (["when was the meeting?"], ["meeting notes.txt", "Monday"]),
    (["who writes the release notes?"], ["Eva writes the release notes."]),
    (["which file mentions ginger?"], ["recipes/soup.md", "line 3"]),
    (["where is the hotel?"], ["trip.md", "Aare"]),
    (["list recipes"], ["recipes/bread.md", "recipes/soup.md"]),
    (["summarise the recipes"], ["recipes/bread.md", "recipes/soup.md"]),
    (["how long does the dough rest?"], ["recipes/bread.md", "twelve hours"]),
    (["what is the trip about"], ["Summary of trip.md", "The train leaves at nine."]),
    (["how many words has bread?"], ["recipes/bread.md has"]),
    (["what is this project about?"], ["From meeting notes.txt: The meeting", "There are 4 files here"]),
]


@pytest.mark.parametrize(("said", "expected"), NOTES, ids=lambda value: " | ".join(value)[:70])
def test_a_folder_of_notes_is_answered_from(
    said: list[str], expected: list[str], notes: Path, chat: Callable[..., Any]
) -> None:
    check(chat(notes), said, expected)


def check(conversation: Any, said: list[str], expected: list[str]) -> None:
    answer = [conversation.say(text) for text in said][-1]
    for essence in expected:
        if essence.startswith("!"):
            assert essence[1:] not in answer
        else:
            assert essence in answer


WRITTEN = [
    (["write 'hello' to out.txt"], "out.txt", "hello"),
    (['create a file todo.txt with the text "buy bread"'], "todo.txt", "buy bread"),
    (
        ["how many lines has notes.txt?", "save your last answer as notes/summary.md"],
        "notes/summary.md",
        "notes.txt has 2 lines.\n",
    ),
    (["summarise the guide in one sentence and save it as s.md"], "s.md", "A lease says which worker may run a job.\n"),
    (["write a one-sentence summary of docs/guide.md to s.txt"], "s.txt", "A lease says which worker may run a job.\n"),
    (["save the list of python files to py.txt"], "py.txt", "src/app/__init__.py\nsrc/app/queue.py\n"),
    (["write 'one' to a.txt", "append 'two' to a.txt"], "a.txt", "one\ntwo\n"),
    (["copy notes.txt to copy.txt"], "copy.txt", "Buy milk\nCall Ann about the release\n"),
]


@pytest.mark.parametrize(("said", "path", "text"), WRITTEN, ids=[row[0][-1] for row in WRITTEN])
def test_a_request_to_write_leaves_the_file(
    said: list[str], path: str, text: str, pelican: Path, chat: Callable[..., Any]
) -> None:
    conversation = chat(pelican)
    answer = [conversation.say(request) for request in said][-1]
    assert (pelican / path).read_text() == text
    assert path in answer


def test_a_summary_has_the_sentences_that_were_asked_for(pelican: Path, chat: Callable[..., Any]) -> None:
    answer = chat(pelican).say("Summarise README.md in three sentences")
    assert answer.count(". ") + answer.endswith(".") == 3


def test_two_requests_in_one_message_are_both_answered(pelican: Path, chat: Callable[..., Any]) -> None:
    answer = chat(pelican).say('Which files mention "retry_after" and how many lines has README.md?')
    assert "config.toml, line 3" in answer
    assert "README.md has 24 lines." in answer


def test_a_long_file_is_read_to_its_end_for_a_summary(tmp_path: Path, chat: Callable[..., Any]) -> None:
    lines = [f"The entry number {number} tells nothing that matters here." for number in range(2500)]
    (tmp_path / "long.txt").write_text("\n".join([*lines, "", "Zebras wander quietly through unrelated valleys."]))
    conversation = chat(tmp_path)
    conversation.say("summarise long.txt")
    starts = [call.arguments["start_line"] for call in conversation.calls if call.tool == "read_file"]
    assert starts[0] == 1
    assert len(starts) > 2


def test_no_request_takes_more_than_a_few_rounds(pelican: Path, chat: Callable[..., Any]) -> None:
    for said, _expected in PELICAN:
        conversation = chat(pelican)
        for text in said:
            conversation.say(text)
            assert conversation.model_calls <= 6, text

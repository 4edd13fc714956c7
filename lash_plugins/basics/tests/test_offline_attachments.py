"""What the offline model makes of attached files: it names each, and reads those that are text."""

from __future__ import annotations

from pathlib import Path

import pytest
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentData
from lash_hookspecs.records.models import UserTurn

from .conftest import Chat

PNG = Attachment(b"\x89PNG\r\n\x1a\n", name="photo.png")
BIRDS = Attachment(
    b"Pelicans are large birds. They live near water. Their bills are long.\n"
    b"A pelican weighs nine kilograms on average. Many people like pelicans very much.\n",
    name="birds.txt",
)


def asked(tmp_path: Path, text: str, *files: Attachment) -> str:
    chat = Chat(tmp_path)
    data = tuple(AttachmentData(ref=file.ref(), data=file.data) for file in files)
    return chat.say_turn(UserTurn(text=text, attachments=data))


@pytest.mark.parametrize("text", ["Describe this picture", "What is in the attached image?", "Read photo.png", ""])
def test_a_picture_is_named_and_not_guessed_at(tmp_path: Path, text: str) -> None:
    assert asked(tmp_path, text, PNG) == (
        "Attached: photo.png (image/png, 8 bytes).\n\n"
        "I cannot see what is in photo.png: I am the offline model, and I read nothing but text."
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Summarise this in one sentence", "Summary of birds.txt: Pelicans are large birds."),
        ("How much does a pelican weigh?", "birds.txt, line 2: A pelican weighs nine kilograms on average."),
        ("What does birds.txt say about water?", "birds.txt, line 1: They live near water."),
        ("How many words does it have?", "birds.txt has 25 words."),
    ],
)
def test_a_text_is_read_beside_a_picture(tmp_path: Path, text: str, answer: str) -> None:
    said = asked(tmp_path, text, BIRDS, PNG)
    assert said == f"Attached: birds.txt (text/plain, 151 bytes) and photo.png (image/png, 8 bytes).\n\n{answer}"


def test_a_text_without_words_beside_it_is_shown(tmp_path: Path) -> None:
    said = asked(tmp_path, "", Attachment(b"one\ntwo\n", name="n.txt"))
    assert said == "Attached: n.txt (text/plain, 8 bytes).\n\nn.txt, 2 lines:\none\ntwo"


def test_a_long_text_is_shown_up_to_a_limit(tmp_path: Path) -> None:
    said = asked(tmp_path, "read it", Attachment(b"line\n" * 50, name="n.txt"))
    assert said.endswith("line\n… and 10 more lines.")


def test_what_is_asked_about_the_folder_is_answered_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "here.md").write_text("# Here\n")
    said = asked(tmp_path, "what files are here?", BIRDS)
    assert said.startswith("Attached: birds.txt (text/plain, 151 bytes).\n\n")
    assert "here.md" in said
    assert "Pelicans" not in said


def test_an_attached_file_belongs_to_its_own_message(tmp_path: Path) -> None:
    chat = Chat(tmp_path)
    data = AttachmentData(ref=BIRDS.ref(), data=BIRDS.data)
    chat.say_turn(UserTurn(text="Summarise this", attachments=(data,)))
    assert "Attached" not in chat.say("hello")

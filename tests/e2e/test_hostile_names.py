"""Session ids and names that mean harm: served as data or refused with exit 2, and nothing beside the store."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from lash_hookspecs.errors import InvalidInput, InvalidSessionId
from lash_process import Folder

from lash_core import Lash

SERVED = {
    "a path upwards": "../../etc/x",
    "an absolute path": "/etc/x",
    "emoji": "👩‍🚀🛰️",
    "an option": "-rf",
    "bidirectional controls": "abc\u202ecod.exe\u2066",
    "SQL": "x'; DROP TABLE node; --",
    "a wildcard": "%_*",
    "dots": "..",
    "a URL": "sqlite:///other.db",
    "512 bytes": "é" * 256,
}
REFUSED = {
    "NUL": ("a\0b", r"session id 'a\x00b' holds a control character; use printable text"),
    "newline": ("a\nb", r"session id 'a\nb' holds a control character; use printable text"),
    "escape": ("\x1b[2J", r"session id '\x1b[2J' holds a control character; use printable text"),
    "C1": ("a\x9bb", r"session id 'a\x9bb' holds a control character; use printable text"),
    "10 kB": ("x" * 10_240, f"session id '{'x' * 60}…' has 10,240 bytes; at most 512 are allowed"),
    "513 bytes": ("x" * 513, f"session id '{'x' * 60}…' has 513 bytes; at most 512 are allowed"),
    "surrogate": ("a\udc80", r"session id 'a\udc80' holds a lone surrogate, which UTF-8 cannot carry"),
}
STORE_FILES = {
    ".lash",
    ".lash/.gitignore",
    *(f".lash/sessions.db{end}" for end in ("", "-wal", "-shm", "-turns")),
}


def outside(folder: Folder) -> dict[str, bytes]:
    """Everything around the folder but its store."""
    everything = Folder(folder.path.parent).snapshot()
    return {name: body for name, body in everything.items() if name.removeprefix("work/") not in STORE_FILES}


def test_each_hostile_id_that_is_served_names_its_own_session_and_nothing_outside_the_store(folder: Folder) -> None:
    folder.write(a__txt="text")
    before = outside(folder)
    runs = folder.lash_each(*(["run", "hello", f"--session={each}", "--json"] for each in SERVED.values()))
    for session_id, ran in zip(SERVED.values(), runs, strict=True):
        assert (ran.code, ran.document["session_id"]) == (0, session_id), ran.err
        assert ran.out.isascii(), "no control reaches a terminal"
    listed, table = folder.lash_each(["sessions", "list", "--json"], ["sessions", "list"])
    assert {row["session_id"] for row in listed.document} == set(SERVED.values())
    assert {row["turns"] for row in listed.document} == {1}
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", table.out)
    assert r"abc\u202ecod.exe\u2066" in table.out
    assert outside(folder) == before


def test_an_id_that_looks_like_an_option_is_shown_and_deleted_behind_two_dashes(folder: Folder) -> None:
    ran = folder.lash_each(
        ["run", "hello", "--session", "-rf"],
        ["sessions", "show", "-rf"],
        ["sessions", "show", "--json", "--", "-rf"],
        ["delete", "--yes", "--", "-rf"],
        ["sessions", "list", "--json"],
    )
    assert [each.code for each in ran] == [0, 2, 0, 0, 0]
    assert ran[1].err == "lash: No such option '-r'. See lash sessions show --help.\n"
    assert ran[2].document["session_id"] == "-rf"
    assert ran[3].out.splitlines()[0] == "deleted session -rf"
    assert ran[4].document == []


def test_an_empty_id_gets_a_fresh_one_that_is_said(folder: Folder) -> None:
    ran = folder.lash("run", "hello", "--session", "", "--json")
    session_id = ran.document["session_id"]
    assert str(uuid.UUID(session_id)) == session_id
    assert f"lash: new session {session_id}" in ran.paragraphs


def test_an_id_that_no_store_could_keep_is_refused_and_no_store_is_made(folder: Folder) -> None:
    runs = folder.lash_each(*(["run", "hello", f"--session={each}"] for each, _words in REFUSED.values()))
    for (_id, words), ran in zip(REFUSED.values(), runs, strict=True):
        assert (ran.code, ran.out, ran.err) == (2, "", f"lash: {words}\n")
    alone = folder.lash("run", "hello", "--session", "a\nb")
    assert (alone.code, alone.out, alone.err) == (2, "", f"lash: {REFUSED['newline'][1]}\n")
    assert folder.snapshot() == {}


@pytest.mark.parametrize("url", ["memory:", "sqlite:///x.db"])
async def test_the_library_serves_and_refuses_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Lash.open(url) as lash:
        for session_id in SERVED.values():
            session = await lash.session(session_id, create=True)
            assert (await session.turn("hello")).session_id == session_id
        for session_id, words in REFUSED.values():
            with pytest.raises(InvalidSessionId) as refused:
                await lash.session(session_id)
            assert str(refused.value) == words
        parent = await lash.session("..")
        for session_id, words in REFUSED.values():
            with pytest.raises(InvalidSessionId) as refused:
                await parent.fork(session_id)
            assert str(refused.value) == words
        assert {each.session_id async for each in lash.sessions()} == set(SERVED.values())
    assert set(Folder(tmp_path).snapshot()) <= {"x.db", "x.db-turns"}


async def test_labels_and_texts_that_cannot_be_stored_are_refused_before_anything_is_written() -> None:
    async with Lash.open() as lash:
        session = await lash.session("s1", labels={"a'; --": "\u202e\0"})
        for text in ("", " \n", "a\ud800"):
            with pytest.raises(InvalidInput):
                await session.turn(text)
        assert [each async for each in lash.sessions()] == []
        await session.turn("hello \0 \x1b[2J \u202e")
        assert [dict(each.labels) async for each in lash.sessions()] == [{"a'; --": "\u202e\0"}]


UNKNOWN = (
    (("run", "x", "--mode", "nope"), "no mode is named 'nope'. On offer: standard."),
    (
        ("run", "x", "--store", "nope:x"),
        "no store scheme is named 'nope'. On offer: memory, postgres, postgresql, sqlite.",
    ),
    (
        ("run", "x", "--store", "nowhere"),
        "'nowhere' is no store URL: it must begin with a scheme, such as sqlite:///file.db "
        "(known: memory, postgres, postgresql, sqlite)",
    ),
    (("run", "x", "--root", "nope"), "--root: the root '{work}/nope' is not a folder"),
    (("sessions", "show", "nope"), "session 'nope' does not exist; `lash sessions list` shows which there are"),
    (
        ("delete", "nope", "--yes"),
        "session 'nope' does not exist: there is no store at {work}/.lash/sessions.db; "
        "`lash sessions list` shows which there are",
    ),
)


def test_an_unknown_name_exits_2_with_one_paragraph_and_leaves_nothing(folder: Folder) -> None:
    runs = folder.lash_each(*([*each, "--session=s1"] if each[0] == "run" else each for each, _words in UNKNOWN))
    for (_arguments, words), ran in zip(UNKNOWN, runs, strict=True):
        assert (ran.code, ran.out, ran.err) == (2, "", f"lash: {words.format(work=folder.path)}\n")
    assert folder.snapshot() == {}


def test_an_unknown_model_exits_2_names_the_nearest_one_and_leaves_nothing(folder: Folder) -> None:
    ran = folder.lash("run", "x", "--session", "s1", "--model", "opnai:gpt")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("lash: no model provider is named 'opnai'; did you mean 'openai'? On offer: ")
    assert len(ran.paragraphs) == 1
    assert folder.snapshot() == {}


@pytest.mark.parametrize("name", ["what?timeout=abc", "100%25 #x&ü🛰️"])
def test_a_folder_with_a_hostile_name_holds_its_store(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / name)
    (folder.path / "below").mkdir(parents=True)
    assert folder.lash("run", "hello", "--session", "s1").code == 0
    below = Folder(folder.path / "below")
    assert below.lash("run", "hello", "--session", "s1", "--json").document["turn_index"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert set(folder.snapshot()) <= {"below", *STORE_FILES}
    (folder.path / "lash.toml").write_text('[lash]\nstore = "sqlite:///own.db"\n')
    assert below.lash("run", "hello", "--session", "s1", "--json").document["turn_index"] == 1
    assert (folder.path / "own.db").exists()

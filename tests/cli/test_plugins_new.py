"""`lash plugins new`: which names can be, and that a folder is made whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lash_core.scaffold.kinds import KINDS
from lash_core.scaffold.names import PluginNames
from lash_core.scaffold.writing import files_of, write_plugin


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("../lash-acme", "it is a name and no path; --into DIR says where its folder is made"),
        ("Lash_Acme", "begins with a letter; did you mean 'lash-acme'?"),
        ("lash--acme", "begins with a letter; did you mean 'lash-acme'?"),
        ("1acme", "lower-case letters, digits and single hyphens, and begins with a letter"),
        ("ácme", "begins with a letter; did you mean 'cme'?"),
        ("lash-2d", "what it offers is called '2d', which does not begin with a letter"),
        ("lash-class", "'class' is a word of the Python language, which no module can have as its name"),
        ("json", "it would hide the module 'json' of Python's own library; 'lash-json' would not"),
        ("lash-core", "that is a part of Lash itself"),
        ("lash-" + "x" * 60, "it has 65 characters, and 60 are the most"),
        ("lash-taken", "the import name 'lash_taken' is taken by something that is installed here"),
        ("lash-scripted", "'scripted' is there already (lash-dummies 1.0), and nobody could tell the two apart"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_reason(
    lash: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/lash_taken.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    ran = lash("plugins", "new", "provider", name)
    assert (ran.code, ran.out) == (2, "")
    assert reason in ran.err
    assert list(Path().iterdir()) == []


def test_a_name_without_the_prefix_is_taken_with_advice(lash: Any) -> None:
    ran = lash("plugins", "new", "tools", "acme-notes")
    assert (ran.code, ran.err) == (
        0,
        "lash: people look for plugins by the prefix 'lash-': consider 'lash-acme-notes'\n",
    )
    assert 'tools = ["acme-notes"]' in Path("acme-notes/src/acme_notes/lash-plugin.toml").read_text()
    assert "def acme_notes_note(" in Path("acme-notes/src/acme_notes/notes.py").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_json_tells_what_was_written(lash: Any, kind: str) -> None:
    ran = lash("plugins", "new", kind, "lash-acme", "--into", ".", "--json")
    told = json.loads(ran.out)
    folder = Path(told.pop("folder"))
    files = told.pop("files")
    assert told == {
        "kind": kind,
        "distribution": "lash-acme",
        "package": "lash_acme",
        "offers": {KINDS[kind].offers: ["acme"]},
    }
    assert folder == Path("lash-acme").absolute()
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(files)
    assert [path for path in folder.rglob("*") if path.is_file() and "@" in path.name] == []
    assert list(Path().iterdir()) == [Path("lash-acme")]


def test_an_empty_folder_is_filled_and_any_other_is_left_alone(lash: Any) -> None:
    Path("lash-acme").mkdir()
    assert lash("plugins", "new", "mode", "lash-acme").code == 0
    before = sorted(Path("lash-acme").rglob("*"))
    ran = lash("plugins", "new", "mode", "lash-acme")
    assert (ran.code, ran.err) == (2, "lash: lash-acme is there already, and is not empty: nothing was written\n")
    assert sorted(Path("lash-acme").rglob("*")) == before

    Path("lash-file").write_text("kept")
    ran = lash("plugins", "new", "mode", "lash-file")
    assert (ran.code, ran.err) == (2, "lash: lash-file is there already, and is no folder: nothing was written\n")
    ran = lash("plugins", "new", "mode", "lash-acme", "--into", "nowhere")
    assert (ran.code, ran.err) == (2, "lash: there is no folder nowhere\n")


def test_a_folder_that_cannot_be_made_whole_is_not_there(tmp_path: Path) -> None:
    """Stopped in the middle, by an error or by the user, it leaves nothing; the next attempt makes it."""
    names = PluginNames.of("lash-acme")
    texts = files_of("mode", names)

    class Stopped(dict[str, str]):
        def items(self) -> Any:
            yield from list(super().items())[:3]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_plugin(tmp_path / "lash-acme", Stopped(texts))
    assert list(tmp_path.iterdir()) == []
    write_plugin(tmp_path / "lash-acme", texts)
    assert list(tmp_path.iterdir()) == [tmp_path / "lash-acme"]

"""The file tools stay inside their folder, never block, and tell the model what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lash_basics import files
from lash_basics.files import file_tools
from lash_basics.folder import Folder
from lash_hookspecs.errors import ToolError
from lash_hookspecs.protocols.tools import ToolCallContext, ToolProvider
from lash_hookspecs.records.tools import ToolCall


def run(root: Path, tool: str, **arguments: Any) -> str:
    call = ToolCall(call_id="c", tool=tool, arguments=arguments)
    context = ToolCallContext(session_id="s", turn_id="t", call=call, idempotency_key="k")
    output = asyncio.run(file_tools(root).run(context))
    assert isinstance(output, str)
    return output


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with files, beside a secret."""
    inside = tmp_path / "inside"
    (inside / "docs").mkdir(parents=True)
    (inside / "a.txt").write_text("one\ntwo\nthree\n")
    (inside / "docs" / "b.md").write_text("# Title\n\nTwo words.\n")
    (inside / ".hidden").write_text("secret")
    (inside / ".git").mkdir()
    (inside / ".git" / "config").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "key.txt").write_text("secret")
    return inside


def test_the_tools_say_what_a_repetition_would_do(root: Path) -> None:
    tools = file_tools(root)
    assert isinstance(tools, ToolProvider)
    assert {spec.name: spec.kind for spec in tools.specs()} == {
        "list_files": "read_only",
        "read_file": "read_only",
        "find_files": "read_only",
        "search_text": "read_only",
        "count": "read_only",
        "write_text": "side_effecting",
    }
    for spec in tools.specs():
        properties: Any = (spec.input_schema or {})["properties"]
        assert spec.description
        assert all("description" in field for field in properties.values())


READING = [("read_file", {}), ("count", {}), ("list_files", {}), ("search_text", {"text": "secret"})]
ESCAPES = [
    "../secret.txt",
    "docs/../../secret.txt",
    "/etc/passwd",
    "./../vault/key.txt",
    "..",
    "link-out",
    "folder-out/key.txt",
    "folder-out",
    "absolute-out",
    "docs/deep-out",
    "chain",
    "loop",
]


@pytest.fixture
def trapped(root: Path) -> Path:
    """The folder with links that lead out."""
    (root / "link-out").symlink_to("../secret.txt")
    (root / "folder-out").symlink_to("../vault", target_is_directory=True)
    (root / "absolute-out").symlink_to(root.parent / "secret.txt")
    (root / "docs" / "deep-out").symlink_to("../../vault")
    (root / "chain").symlink_to("folder-out/key.txt")
    (root / "loop").symlink_to("loop")
    return root


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize(("tool", "more"), READING, ids=[tool for tool, _more in READING])
def test_nothing_outside_is_read(trapped: Path, tool: str, more: dict[str, Any], path: str) -> None:
    with pytest.raises(ToolError):
        run(trapped, tool, path=path, **more)


@pytest.mark.parametrize("path", [*ESCAPES, "../new.txt", "folder-out/new.txt", "docs/../../new.txt", "/tmp/new.txt"])
def test_nothing_outside_is_written(trapped: Path, path: str) -> None:
    before = sorted((name, name.read_bytes()) for name in trapped.parent.rglob("*") if name.is_file())
    with pytest.raises(ToolError):
        run(trapped, "write_text", path=path, text="changed")
    assert sorted((name, name.read_bytes()) for name in trapped.parent.rglob("*") if name.is_file()) == before


def test_searches_and_listings_pass_over_links_that_lead_out(trapped: Path) -> None:
    assert run(trapped, "search_text", text="secret") == '0 lines in 0 files hold "secret"'
    assert run(trapped, "find_files", pattern="key") == "0 files for key"
    assert run(trapped, "list_files") == ".: 1 folder, 1 file\ndocs/\na.txt  14 bytes"


@pytest.mark.parametrize("path", [".hidden", ".git/config", "docs/../.hidden", "./.git/config", ".git"])
def test_hidden_names_are_refused(root: Path, path: str) -> None:
    with pytest.raises(ToolError) as caught:
        run(root, "read_file", path=path)
    assert str(caught.value) == f"{path} is hidden: names that begin with a dot are not shown, read or written"
    with pytest.raises(ToolError):
        run(root, "write_text", path=path, text="x")


def test_a_link_to_a_hidden_file_is_refused(root: Path) -> None:
    (root / "open").symlink_to(".hidden")
    with pytest.raises(ToolError, match="hidden"):
        run(root, "read_file", path="open")


def test_links_inside_are_followed(root: Path) -> None:
    (root / "manual").symlink_to("docs")
    (root / "docs" / "up.txt").symlink_to("../a.txt")
    (root / "absolute").symlink_to(root / "docs" / "b.md")
    assert "# Title" in run(root, "read_file", path="manual/b.md")
    assert "one" in run(root, "read_file", path="manual/up.txt")
    assert "# Title" in run(root, "read_file", path="absolute")


def test_an_absolute_path_inside_is_taken(root: Path) -> None:
    assert "one" in run(root, "read_file", path=str(root.resolve() / "a.txt"))


def test_pipes_sockets_and_devices_are_refused_without_blocking(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root)  # the name of a socket must be short
        try:
            listener.bind("sock")
        finally:
            os.chdir(here)
        for name in ("pipe", "sock"):
            for tool, more in [*READING, ("write_text", {"text": "x"})]:
                with pytest.raises(ToolError):
                    run(root, tool, path=name, **more)
    assert "pipe" not in run(root, "list_files")


def test_a_folder_that_is_swapped_for_a_link_never_leads_out(root: Path) -> None:
    """One thread swaps a folder for a link that leads out, another reads: it sees the right file or an error."""
    target = root / "swap"
    target.mkdir()
    (target / "key.txt").write_text("harmless")
    (root.parent / "outward").symlink_to(root.parent / "vault")
    folder = Folder(root)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            target.rename(root.parent / "parked")
            (root.parent / "outward").rename(target)
            target.rename(root.parent / "outward")
            (root.parent / "parked").rename(target)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _attempt in range(3000):
            try:
                with folder.open("swap/key.txt") as file:
                    seen.add(file.read())
            except ToolError:
                seen.add(b"refused")
    finally:
        stop.set()
        thread.join()
    assert b"secret" not in seen


segments = st.sampled_from(["..", ".", "", "docs", "a.txt", "folder-out", "link-out", "vault", "secret.txt", "chain"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(segments, max_size=6), st.booleans())
def test_no_path_reads_the_secret(trapped: Path, parts: list[str], absolute: bool) -> None:
    path = ("/" if absolute else "") + "/".join(parts)
    with contextlib.suppress(ToolError):
        assert "secret" not in run(trapped, "read_file", path=path).removeprefix(path)


def test_a_name_that_is_nearly_right_is_corrected(root: Path) -> None:
    with pytest.raises(ToolError) as caught:
        run(root, "read_file", path="docs/bb.md")
    assert str(caught.value) == "docs/bb.md does not exist; did you mean b.md?"
    with pytest.raises(ToolError) as caught:
        run(root, "read_file", path="zzzz")
    assert str(caught.value) == "zzzz does not exist; use find_files or list_files to see what there is"


def test_a_folder_is_not_read_as_a_file_nor_a_file_listed(root: Path) -> None:
    with pytest.raises(ToolError, match=r"^docs is a folder; use list_files to see what is in it$"):
        run(root, "read_file", path="docs")
    with pytest.raises(ToolError, match=r"^a\.txt is a file, not a folder; use read_file to see it$"):
        run(root, "list_files", path="a.txt")


def test_lines_are_read_from_any_place(root: Path) -> None:
    assert run(root, "read_file", path="a.txt") == "a.txt: lines 1-3 of 3\none\ntwo\nthree"
    assert run(root, "read_file", path="a.txt", start_line=2, max_lines=1) == (
        "a.txt: lines 2-2 of 3\ntwo\n[1 more line: read on with start_line=3]"
    )
    assert run(root, "read_file", path="a.txt", start_line=-1) == "a.txt: lines 3-3 of 3\nthree"
    with pytest.raises(ToolError, match="has only 3 lines; start_line 9 is behind its end"):
        run(root, "read_file", path="a.txt", start_line=9)


def test_a_big_file_is_answered_in_pieces_that_join(root: Path) -> None:
    lines = [f"line number {number} of a long file" for number in range(1, 4001)]
    (root / "big.txt").write_text("\n".join(lines) + "\n")
    read: list[str] = []
    while len(read) < 4000:
        output = run(root, "read_file", path="big.txt", start_line=len(read) + 1, max_lines=1000)
        assert len(output) < files.MAX_CHARACTERS + 200
        read += [line for line in output.split("\n")[1:] if not line.startswith("[")]
    assert read == lines


def test_a_line_without_end_is_cut(root: Path) -> None:
    (root / "wide.json").write_text("x" * 500_000)
    assert len(run(root, "read_file", path="wide.json")) < 3000


def test_binary_files_are_said_to_be_binary(root: Path) -> None:
    (root / "photo.png").write_bytes(b"\x89PNG\0\0\0")
    assert run(root, "read_file", path="photo.png") == "photo.png is a binary file, not text; its bytes are not shown"
    assert run(root, "count", path="photo.png") == "photo.png: a binary file of 7 bytes"


def test_utf16_and_latin1_are_read_as_text(root: Path) -> None:
    (root / "wide.txt").write_bytes("Grüße\n".encode("utf-16"))
    (root / "old.txt").write_bytes("Grüße\n".encode("latin-1"))
    assert run(root, "read_file", path="wide.txt").endswith("Grüße")
    assert run(root, "read_file", path="old.txt").endswith("Gr��e")


def test_long_listings_are_bounded_and_say_how_to_go_on(root: Path) -> None:
    many = root / "many"
    many.mkdir()
    for number in range(400):
        (many / f"{number:03}.txt").touch()
    listing = run(root, "list_files", path="many").split("\n")
    assert listing[0] == "many: 0 folders, 400 files"
    assert listing[1] == "many/000.txt  0 bytes"
    assert listing[-1] == "[100 more are not shown; give a pattern to see fewer]"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.md", ["docs/b.md"]),
        ("docs/*.md", ["docs/b.md"]),
        ("**/*.md", ["docs/b.md"]),
        ("DOCS/**", ["docs/b.md"]),
        ("a", ["a.txt"]),
        ("?.txt", ["a.txt"]),
        ("[ab].*", ["a.txt", "docs/b.md"]),
        ("*.py", []),
    ],
)
def test_files_are_found_by_pattern(root: Path, pattern: str, found: list[str]) -> None:
    lines = run(root, "find_files", pattern=pattern).split("\n")[1:]
    assert [line.split("  ")[0] for line in lines] == found


def test_text_is_found_literally_with_path_and_line(root: Path) -> None:
    assert run(root, "search_text", text="two") == '1 line in 1 file hold "two"\na.txt:2: two'
    assert run(root, "search_text", text="TWO", ignore_case=True).split("\n")[1:] == [
        "a.txt:2: two",
        "docs/b.md:3: Two words.",
    ]
    assert run(root, "search_text", text="t.o") == '0 lines in 0 files hold "t.o"'
    assert run(root, "search_text", text="Two", path="docs").split("\n")[1:] == ["docs/b.md:3: Two words."]
    with pytest.raises(ToolError, match="within one line"):
        run(root, "search_text", text="one\ntwo")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_counted_and_kept(root: Path, text: str) -> None:
    run(root, "write_text", path="w/x.txt", text=text)
    assert (root / "w" / "x.txt").read_bytes() == text.encode()
    if "\0" not in text and not text.startswith("\ufeff"):
        said = run(root, "count", path="w/x.txt")
        assert f"{len(text.split())} word" in said
        assert f"{len(text)} character" in said
    assert [path.name for path in (root / "w").iterdir()] == ["x.txt"]


def test_writing_keeps_the_mode_and_replaces_in_one_step(root: Path) -> None:
    (root / "a.txt").chmod(0o640)
    inode = (root / "a.txt").stat().st_ino
    assert run(root, "write_text", path="a.txt", text="new\n") == "replaced a.txt: 1 line, 4 bytes"
    assert (root / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (root / "a.txt").stat().st_ino != inode
    assert run(root, "write_text", path="x/y/z.txt", text="deep") == "wrote x/y/z.txt: 1 line, 4 bytes"


def test_a_folder_is_counted(root: Path) -> None:
    assert run(root, "count", path=".") == ".: 1 folder, 2 files, 34 bytes"


def test_names_that_break_lines_are_shown_on_one(root: Path) -> None:
    (root / "evil\nname.txt").write_text("x")
    assert "evil�name.txt" in run(root, "list_files")

"""Stores and folders that fight back: no database, no permission, no space, links that lead out of the root."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lash_process import Folder
from lash_store_sql.database import PAGE_SIZE
from script_files import call, script

#: Runs the command as a user who is not root. That user may not be let into the folders above the interpreter's or the
#: sources', so the module path is opened before and reached through its descriptors.
AS_NOBODY = """
import ctypes, os, sys
if os.getuid() == 0:
    folders = [path for path in sys.path if os.path.isdir(path)]
    sys.path[:] = [f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_DIRECTORY)}" for path in folders]
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: or else /proc/self stays root's
from lash_core.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
#: Runs the command with a limit on the size of files, as a full disk would be.
LIMITED = """
import resource, signal, sys
from lash_core.cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def public() -> Iterator[Folder]:
    """A folder that every user can reach, which no folder of pytest's is; its own rights are the test's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Folder(Path(name).resolve())
        Path(name).chmod(0o700)


@pytest.mark.parametrize("body", [b"not a database, but a text of more than one hundred bytes" * 4, b"x", b"\0" * 8192])
def test_a_file_that_is_no_database_exits_5_and_is_left_alone(folder: Folder, body: bytes) -> None:
    (folder.path / "x.db").write_bytes(body)
    ran = folder.lash_each(
        ["run", "hello", "--session", "s1", "--store", "sqlite:///x.db"],
        ["sessions", "list", "--store", "sqlite:///x.db"],
    )
    for each in ran:
        words = f"lash: cannot open {folder.path / 'x.db'}: it is not a SQLite database\n"
        assert (each.code, each.out, each.err) == (5, "", words)
    assert folder.snapshot() == {"x.db": body}


def test_a_folder_as_a_store_and_a_damaged_page_exit_5_with_one_paragraph(folder: Folder) -> None:
    (folder.path / "d.db").mkdir()
    (ran,) = folder.lash_each(["run", "hello", "--session", "s1", "--store", "sqlite:///d.db"])
    assert (ran.code, ran.err) == (5, f"lash: cannot open {folder.path / 'd.db'}: it is a directory\n")
    assert folder.lash("run", "hello", "--session", "s1", "--store", "sqlite:///x.db").code == 0
    path = folder.path / "x.db"
    with path.open("r+b") as file:
        file.seek(PAGE_SIZE)
        file.write(os.urandom(path.stat().st_size - PAGE_SIZE))
    (ran,) = folder.lash_each(["run", "hello", "--session", "s1", "--store", "sqlite:///x.db"])
    assert (ran.code, ran.out, len(ran.paragraphs)) == (5, "", 1)
    assert "Traceback" not in ran.err


def test_a_folder_that_may_not_be_written_exits_5_for_a_user_who_is_not_root(public: Folder) -> None:
    public.path.chmod(0o555)
    ran = public.script(AS_NOBODY, "run", "hello", "--session", "s1")
    store = public.path / ".lash" / "sessions.db"
    assert (ran.code, ran.out, ran.err) == (
        5,
        "",
        f"lash: the default store {store} cannot be made: Permission denied; "
        "go to a folder that you can write to, or name a store with --store\n",
    )
    ran = public.script(AS_NOBODY, "run", "hello", "--session", "s1", "--store", "sqlite:///x.db")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err == f"lash: cannot make {public.path / 'x.db'}: Permission denied\n"
    assert public.snapshot() == {}


def test_a_folder_below_one_that_may_not_be_entered_exits_5_for_a_user_who_is_not_root(public: Folder) -> None:
    inner = Folder(public.path / "closed" / "inner")
    inner.path.mkdir(parents=True)
    inner.path.chmod(0o777)
    inner.path.parent.chmod(0o700)
    ran = inner.script(AS_NOBODY, "run", "hello", "--session", "s1")
    if os.getuid() == 0:
        store = inner.path / ".lash" / "sessions.db"
        assert ran.err == f"lash: cannot open the default store {store}: permission denied\n"
        assert (ran.code, ran.out) == (5, "")


def test_a_store_of_somebody_else_is_private_to_its_owner(public: Folder) -> None:
    assert public.lash("run", "hello", "--session", "s1").code == 0
    if os.getuid() != 0:  # then there is nobody else to be; what remains to be seen is the mode
        assert (public.path / ".lash").stat().st_mode & 0o077 == 0
        return
    for arguments in (("run", "again", "--session", "s1"), ("sessions", "list"), ("sessions", "show", "s1")):
        ran = public.script(AS_NOBODY, *arguments)
        words = f"lash: cannot open the default store {public.path / '.lash' / 'sessions.db'}: permission denied\n"
        assert ran.err == words
        assert (ran.code, ran.out) == (5, ""), arguments


def test_a_store_that_may_only_be_read_is_shown_and_takes_no_turn(public: Folder) -> None:
    assert public.lash("run", "hello", "--session", "s1", "--store", "sqlite:///x.db").code == 0
    (public.path / "x.db").chmod(0o444)
    public.path.chmod(0o555)
    shown = public.script(AS_NOBODY, "sessions", "show", "s1", "--json", "--store", "sqlite:///x.db")
    assert shown.code == 0, shown.err
    assert shown.document["turns"] == 1
    before = public.snapshot()
    ran = public.script(AS_NOBODY, "run", "again", "--session", "s1", "--store", "sqlite:///x.db")
    words = f"lash: cannot write to {public.path / 'x.db'}: it is read-only\n"
    assert (ran.code, ran.out, ran.err) == (5, "", words)
    assert public.snapshot() == before


def test_a_disk_that_fills_up_in_the_middle_of_a_session_exits_5_and_the_session_goes_on_when_there_is_space(
    folder: Folder,
) -> None:
    store = ("--session", "s1", "--store", "sqlite:///x.db", "--json")
    big = f"hello {'x' * 100_000}"
    assert folder.lash("run", "hello", *store).code == 0
    full = folder.script(LIMITED, 90_000, "run", big, *store)  # the message alone needs more, in the log
    words = f"no space is left for {folder.path / 'x.db'}: nothing was written"
    assert (full.code, full.err) == (5, f"lash: {words}\n")
    assert full.document == {"error": {"code": "store_full", "message": words, **where(full.document)}}
    shown = folder.lash("sessions", "show", "s1", "--json", "--store", "sqlite:///x.db").document
    assert (shown["status"], shown["turns"], shown["head_revision"]) == ("idle", 1, 2)
    assert folder.lash("run", big, *store).document["turn_index"] == 2
    assert sqlite3.connect(folder.path / "x.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def where(document: dict[str, dict[str, str]]) -> dict[str, str]:
    """What an error may say besides: the step and the session."""
    return {name: told for name, told in document["error"].items() if name in ("step", "session_id")}


def test_a_disk_that_fills_up_in_the_middle_of_a_turn_leaves_it_interrupted_and_it_is_continued(
    folder: Folder,
) -> None:
    folder.write(big__txt="words and words\n" * 60_000)
    model = script(
        folder.path,
        {"text": "I look.", "tool_calls": [call("read_file", path="big.txt")]},
        {"text": "y" * 300_000, "tool_calls": [call("list_files")]},
        {"text": "Seen."},
    )
    store = ("--session", "s1", "--store", "sqlite:///x.db")
    assert folder.lash("run", "hello", *store).code == 0
    limit = (folder.path / "x.db").stat().st_size + 250_000
    full = folder.script(LIMITED, limit, "run", "Look", *store, "--model", model)
    assert (full.code, full.out) == (5, "")
    assert full.paragraphs[-1] == f"lash: no space is left for {folder.path / 'x.db'}: nothing was written"
    (row,) = folder.lash("turns", "list", "--interrupted", "--json", "--store", "sqlite:///x.db").document
    assert (row["session_id"], row["turn_index"]) == ("s1", 2)
    done = folder.lash("turns", "continue", "s1", "--json", "--store", "sqlite:///x.db", "--model", model)
    assert (done.code, done.document["text"], done.document["turn_index"]) == (0, "Seen.", 2)


@pytest.mark.parametrize("free", [1, 100_000])
def test_a_small_disk_that_is_really_full_exits_5_with_one_paragraph(folder: Folder, free: int) -> None:
    disk = folder.path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "none", disk], check=False).returncode:
        return  # only a system's owner can mount; the limits on sizes above are for everybody
    try:
        store = ("--session", "s1", "--store", "sqlite:///disk/x.db")
        assert folder.lash("run", "hello", *store).code == 0
        left = os.statvfs(disk)
        filler = disk / "filler"
        filler.write_bytes(b"x" * max(0, left.f_bavail * left.f_bsize - free))
        full = folder.lash("run", f"hello {'x' * 120_000}", *store)
        words = f"lash: no space is left for {disk / 'x.db'}: nothing was written\n"
        assert (full.code, full.out, full.err) == (5, "", words)
        filler.unlink()
        ran = folder.lash("run", "hello again", *store, "--json")
        assert (ran.code, ran.document["turn_index"]) == (0, 2)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_file_tools_never_leave_the_root_whatever_the_model_asks_for(folder: Folder) -> None:
    outside = folder.path.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("the secret of the outside\n")
    root = folder.path / "root"
    root.mkdir()
    (root / "inside.txt").write_text("inside\n")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "door").symlink_to(outside)
    (root / "up").symlink_to("..")
    asked = [
        *(call("read_file", path=path) for path in ("link.txt", "door/secret.txt", "up/../outside/secret.txt")),
        *(call("read_file", path=path) for path in ("../../outside/secret.txt", str(outside / "secret.txt"))),
        *(call("write_text", path=path, text="owned") for path in ("link.txt", "door/new.txt", "../new.txt")),
        call("write_text", path=str(outside / "new.txt"), text="owned"),
        *(call("list_files", path=path) for path in ("door", "..", "/")),
        *(call("search_text", text="secret of the outside"), call("find_files", pattern="../*")),
    ]
    model = script(folder.path, {"text": "I try.", "tool_calls": asked}, {"text": "Done."})
    before = Folder(outside).snapshot()
    ran = folder.lash("run", "Leave", "--session", "s1", "--root", "root", "--model", model, "--json")
    assert (ran.code, ran.document["text"]) == (0, "Done.")
    path = folder.lash("sessions", "show", "s1", "--json").document["path"]
    results = [node["result"] for node in path if node["kind"] == "tool"]
    assert len(results) == len(asked)
    assert "secret of the outside\\n" not in json.dumps([each["output"] for each in results])
    reading = [each for each in results if each["tool"] in ("read_file", "write_text", "list_files")]
    assert {each["status"] for each in reading} == {"error"}
    assert Folder(outside).snapshot() == before
    assert not (folder.path / "new.txt").exists()
    assert (root / "link.txt").is_symlink()


def test_a_request_for_a_file_outside_is_answered_by_the_offline_model_without_its_text(folder: Folder) -> None:
    (folder.path.parent / "secret.txt").write_text("the secret of the outside\n")
    for text in ("Read ../secret.txt", f"Summarise {folder.path.parent / 'secret.txt'}"):
        ran = folder.lash("run", text, "--session", "s1", "--json")
        assert ran.code == 0
        assert "secret of the outside" not in ran.out


def test_file_tools_leave_the_sessions_own_store_alone_since_closing_it_would_drop_its_locks(folder: Folder) -> None:
    names = ("x.db", "x.db-wal", "x.db-shm")
    asked = [
        *(call("read_file", path=name) for name in names),
        *(call("count", path=name) for name in names),
        *(call("write_text", path=name, text="owned") for name in names),
    ]
    model = script(folder.path, {"text": "I try.", "tool_calls": asked}, {"text": "Done."})
    store = ("--session", "s1", "--store", "sqlite:///x.db", "--json")
    ran = folder.lash("run", "Read the store", *store, "--model", model)
    assert (ran.code, ran.document["text"]) == (0, "Done.")
    path = folder.lash("sessions", "show", "s1", *store[2:]).document["path"]
    outputs = [node["result"]["output"] for node in path if node["kind"] == "tool"]
    words = "{} is in use by this process itself (the session's store, perhaps); it is not opened"
    assert outputs == [words.format(call["arguments"]["path"]) for call in asked]

"""The `lash` command and scripts that use the library, as processes of their own, in a folder of the test's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import attrs

__all__ = ["LASH", "Folder", "Ran"]

LASH = (sys.executable, "-m", "lash_core.cli")
SEVERAL = """
import contextlib, io, json, sys
from lash_core.cli.main import main

ended = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    ended.append({"code": code, "out": out.getvalue(), "err": err.getvalue()})
print(json.dumps(ended))
"""
#: Seconds after which a process is taken to hang.
LONGEST = 120

_OURS = ("LASH_", "OPENAI_", "ANTHROPIC_", "COVERAGE")


@attrs.frozen
class Ran:
    """A process that ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def paragraphs(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()


@attrs.frozen
class Folder:
    """A folder to run the command in.

    Attributes:
        path: The folder.
        extra: More environment variables.
    """

    path: Path
    extra: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a process gets: no setting of whoever runs the tests; each warning is an error."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return {**kept, "PYTHONWARNINGS": "error", **self.extra}

    def write(self, **files: str) -> None:
        """Write text files; ``__`` in a name stands for the dot."""
        for name, text in files.items():
            (self.path / name.replace("__", ".")).write_text(text, encoding="utf-8")

    def lash(self, *arguments: str, **more: str) -> Ran:
        """Run the command to its end; ``more`` are variables."""
        return self.finish(self.start(*LASH, *arguments, **more))

    def lash_each(self, *commands: Sequence[str], **more: str) -> list[Ran]:
        """Run several commands, one after the other in one process; quicker than a process each."""
        ran = self.script(SEVERAL, json.dumps(commands), **more)
        assert (ran.code, ran.err) == (0, ""), ran.err
        return [Ran(**each) for each in ran.document]

    def script(self, code: str, *arguments: object, **more: str) -> Ran:
        """Run a Python script to its end."""
        return self.finish(self.start(sys.executable, "-c", code, *map(str, arguments), **more))

    def start(
        self, *command: str, stdout: int | IO[Any] = subprocess.PIPE, stdin: int = subprocess.DEVNULL, **more: str
    ) -> subprocess.Popen[str]:
        """Begin a process in the folder."""
        return subprocess.Popen(
            command,
            cwd=self.path,
            env={**self.environment, **more},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> Ran:
        """Wait for a process."""
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"the process hangs; it said {out!r} and {err!r}") from None
        return Ran(process.returncode, out or "", err or "")

    def snapshot(self) -> dict[str, bytes]:
        """Every file below the folder with its bytes; links as what they point at, folders as nothing."""
        found = {}
        for path in sorted(self.path.rglob("*")):
            name = str(path.relative_to(self.path))
            if path.is_symlink():
                found[name] = os.fsencode(path.readlink())
            else:
                found[name] = path.read_bytes() if path.is_file() else b""
        return found

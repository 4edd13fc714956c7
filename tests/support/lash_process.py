"""The `lash` command and scripts that use the library, as processes of their own, in a folder of the test's."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import attrs

__all__ = ["LASH", "Folder", "Ran", "Worker"]

LASH = (sys.executable, "-m", "lash_core.cli")
#: Runs each command that it is told on stdin, and tells what became of it on stdout.
WORKER = """
import contextlib, io, json
from lash_core.cli.main import main

commands = open(0, closefd=False)  # the command prepares sys.stdin for itself
for line in commands:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(json.loads(line))
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
commands.close()
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
class Worker:
    """A process that runs commands when it is told to."""

    process: subprocess.Popen[str]

    def begin(self, *arguments: str) -> None:
        """Tell it a command; do not wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()

    def end(self) -> Ran:
        """Wait for the command."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], LONGEST)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"the process ended: {Folder.finish(self.process)}"
        return Ran(**json.loads(line))

    def run(self, *arguments: str) -> Ran:
        """Tell it a command and wait."""
        self.begin(*arguments)
        return self.end()


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
        return self.finish(self.start(*LASH, *arguments, more=more))

    def lash_each(self, *commands: Sequence[str], **more: str) -> list[Ran]:
        """Run several commands, one after the other in one process; quicker than a process each."""
        with self.worker(**more) as worker:
            return [worker.run(*command) for command in commands]

    @contextmanager
    def worker(self, **more: str) -> Iterator[Worker]:
        """Have a process that runs commands when it is told to."""
        process = self.start(sys.executable, "-c", WORKER, stdin=subprocess.PIPE, more=more)
        try:
            yield Worker(process)
        except BaseException:
            process.kill()
            raise
        finally:
            ended = self.finish(process)
        assert (ended.code, ended.err) == (0, ""), ended.err

    def script(self, code: str, *arguments: object, **more: str) -> Ran:
        """Run a Python script to its end."""
        return self.finish(self.start(sys.executable, "-c", code, *map(str, arguments), more=more))

    def start(
        self,
        *command: str,
        stdout: int | IO[Any] = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
        more: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Begin a process in the folder."""
        return subprocess.Popen(
            command,
            cwd=self.path,
            env={**self.environment, **(more or {})},
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

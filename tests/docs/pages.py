"""The pages of the documentation, and what a reader would do with the blocks on them.

A block is run unless the line before it says otherwise; what it says is invisible on the page:

``<!-- file: notes.txt -->``
    The block is the text of a file, which the reader is told to make.
``<!-- not run: the reason -->``
    The block is not run.
``<!-- run instead: command -->``
    The first command of the block is replaced, because it would change the environment or need the network.
``<!-- with: README.md docs -->``
    Anywhere on the page: the reader stands in a folder that holds these parts of the checkout.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("lash_plugins/*/README.md"),
    ]
)

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
#: A comment that says what to do with the next block, or with the page.
DIRECTIVE = re.compile(r"<!-- (?P<word>file|not run|run instead|with): (?P<value>.+?) -->")
_WITH = re.compile(r"<!-- with: (?P<names>.+?) -->")
_END = "-- end of command"


@attrs.frozen
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence.
        body: Its lines.
        line: Where it begins, from 1.
        directive: ``file``, ``not run``, ``run instead``, or nothing.
        value: What the directive says.
    """

    language: str
    body: str
    line: int
    directive: str = ""
    value: str = ""


@attrs.frozen
class Command:
    """A command of a console block and what the page says it prints."""

    words: str
    output: str


def blocks(page: Path) -> Iterator[Block]:
    """Give the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        told = DIRECTIVE.fullmatch(before.rstrip().rpartition("\n")[2].strip())
        indent = len(match["indent"])
        body = "".join(line[indent:] for line in match["body"].splitlines(keepends=True))
        directive, value = (told["word"], told["value"]) if told else ("", "")
        yield Block(match["language"], body, before.count("\n") + 1, directive, value)


def commands(block: Block) -> list[Command]:
    """Split a console block at its prompts; a line that ends in a backslash goes on in the next one."""
    found: list[Command] = []
    open_line = False
    for line in block.body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif open_line:
            found[-1] = Command(f"{found[-1].words}\n{line}", "")
        else:
            found[-1] = attrs.evolve(found[-1], output=f"{found[-1].output}{line}\n")
        open_line = not found[-1].output and line.endswith("\\")
    if block.directive == "run instead":
        found[0] = attrs.evolve(found[0], words=block.value)
    return found


def prepare(page: Path, folder: Path) -> None:
    """Copy the parts of the checkout that the page says its reader stands in."""
    told = _WITH.search(page.read_text(encoding="utf-8"))
    for name in told["names"].split() if told else ():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)


def run_in_terminal(
    given: list[Command], folder: Path, environment: Mapping[str, str] | None = None
) -> list[tuple[str, int]]:
    """Run commands in one shell, on a terminal of 120 columns; what each shows, and its exit code.

    Args:
        given: The commands.
        folder: Where the shell begins.
        environment: Its variables; without them those of a reader who has this environment.
    """
    steps = [f"{command.words}\n__code=$?; printf '\\n{_END} %s\\n' $__code; (exit $__code)\n" for command in given]
    reader, writer = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-c", "".join(steps)],
        cwd=folder,
        env=_environment(folder) if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        start_new_session=True,
    )
    os.close(writer)
    shown = b""
    try:
        while piece := _read(reader):
            shown += piece
    finally:
        os.close(reader)
        shell.wait(timeout=60)
    parts = re.split(rf"\n{_END} (\d+)\n", shown.decode().replace("\r\n", "\n"))
    return [(output, int(code)) for output, code in zip(parts[0::2], parts[1::2], strict=False)]


def matches(shown: str, promised: str) -> bool:
    """Compare what was shown with what the page shows; ``…`` there stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in _trimmed(promised).split("…"))
    return re.fullmatch(pattern, _trimmed(shown), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 65536)
    except OSError:  # Linux says so when the last writer has gone
        return b""


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LASH_", "PYTEST_"))}
    return kept | {
        "COLUMNS": "120",
        "HOME": str(folder),
        "NO_COLOR": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder / "site"),
        "TERM": "dumb",
    }

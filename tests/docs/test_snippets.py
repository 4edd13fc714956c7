"""Each block of the documentation is run, as its reader would, and shows what the page says."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Block, Command, blocks, commands, matches, prepare, run_in_terminal

RUNNABLE = ("console", "python")


def has_snippets(page: Path) -> bool:
    return any(block.language in RUNNABLE and block.directive != "not run" for block in blocks(page))


def check(block: Block, given: list[Command], folder: Path, page: Path) -> None:
    shown = run_in_terminal(given, folder)
    for number, (command, (output, code)) in enumerate(zip(given, shown, strict=True)):
        where = f"{page.relative_to(ROOT)}:{block.line}: $ {command.words}"
        asked_for = number + 1 < len(given) and given[number + 1].words == "echo $?"
        assert code == 0 or asked_for, f"{where}\nended with {code}:\n{output}"
        assert block.language == "python" or matches(output, command.output), (
            f"{where}\n--- the page shows\n{command.output}\n--- it shows\n{output}"
        )


@pytest.mark.parametrize(
    "page", [page for page in PAGES if has_snippets(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_snippets_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    prepare(page, folder)
    for block in blocks(page):
        if block.directive == "file":
            path = folder / block.value
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")
        elif block.directive == "not run" or block.language not in RUNNABLE:
            continue
        elif block.language == "console":
            check(block, commands(block), folder, page)
        else:
            (folder / "snippet.py").write_text(block.body, encoding="utf-8")
            check(block, [Command("python snippet.py && rm snippet.py", "")], folder, page)

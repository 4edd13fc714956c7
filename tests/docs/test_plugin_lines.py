"""The page on the architecture says how much code the plugin system is; this counts it."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.tables import rows

PLUGINS = ROOT / "lash_core/src/lash_core/plugins"
TABLE = {cells[0].strip("`"): cells[1] for cells in rows(ROOT / "docs/architecture.md", "File")}

#: Discovery, order and calls: what is to stay small.
CORE = ("discovery.py", "installed.py", "order.py", "calls.py", "session_hooks.py", "values.py")
#: Lines of code that these may have. More is the wrong design, not a wrong bound.
MOST = 650
#: Lines by which a file may differ from what the page says.
SPARE = 25

_NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of_code(path: Path) -> int:
    """Count the lines with code: no blank ones, no comments, no docstrings."""
    source = path.read_text(encoding="utf-8")
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(found)


def test_discovery_order_and_calls_are_about_600_lines() -> None:
    counted = {name: lines_of_code(PLUGINS / name) for name in CORE}
    assert sum(counted.values()) <= MOST, counted


@pytest.mark.parametrize("name", [name for name in TABLE if name.endswith(".py")])
def test_a_file_has_about_as_many_lines_as_the_page_says(name: str) -> None:
    assert abs(lines_of_code(PLUGINS / name) - int(TABLE[name])) <= SPARE, (
        f"docs/architecture.md says {TABLE[name]} lines of {name}; it has {lines_of_code(PLUGINS / name)}"
    )


def test_the_page_names_each_file_of_the_core_of_it_and_their_sum() -> None:
    assert set(CORE) <= TABLE.keys()
    told = sum(int(TABLE[name]) for name in CORE)
    assert int(TABLE["*in all*"]) == told

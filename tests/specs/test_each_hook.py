"""Each hook is called in a session, with the context that its specification names; each has a test of what it does."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path

import pytest
from lash_hookspecs.specs import all_specs

from tests.docs.pages import ROOT
from tests.specs.hook_tests import HOOK_TESTS
from tests.specs.scene import Heard, play

each_hook = pytest.mark.parametrize("hook", sorted(all_specs()))


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    return asyncio.run(play(tmp_path_factory.mktemp("scene")))


@each_hook
def test_a_session_calls_the_hook_with_its_context(hook: str, heard: Heard) -> None:
    assert hook in heard, f"no step of the scene calls {hook}: add one to `play` in tests/specs/scene.py"
    expected = inspect.signature(all_specs()[hook]).parameters["context"].annotation
    assert {type(context).__name__ for context in heard[hook]} == {expected}


@each_hook
def test_the_hook_has_a_test_of_what_it_does(hook: str) -> None:
    assert hook in HOOK_TESTS, f"{hook} has no test of its own: write one, and name it in tests/specs/hook_tests.py"
    file, name = HOOK_TESTS[hook].split("::")
    source = Path(ROOT / file).read_text(encoding="utf-8")
    functions = [
        each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert name in {each.name for each in functions}, f"{file} has no {name}"
    assert hook in source, f"{file} does not name {hook}"


def test_no_test_is_named_for_a_hook_that_is_not_there() -> None:
    assert sorted(HOOK_TESTS) == sorted(all_specs())

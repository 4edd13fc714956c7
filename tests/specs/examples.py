"""The example of each hook's specification, with the imports that it needs: what a page shows, and what a test runs."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from lash_hookspecs.specs import all_specs

from tests.specs.describe import described

__all__ = ["YOURS", "example", "import_lines", "yours_in"]

#: Names in examples that stand for what their reader has.
YOURS = frozenset(
    {
        "Budget",
        "ClockTools",
        "EchoProvider",
        "OneByOne",
        "ScriptedMode",
        "flush_command",
        "is_open",
        "open_redis",
    }
)

#: Where names come from that are not the contract's.
_ELSEWHERE = {"BaseModel": "pydantic", "JsonValue": "pydantic", "date": "datetime"}
_MODULES = ("attrs", "asyncio")


def example(hook: str) -> str:
    """Give the example of a hook, as it stands in the specification."""
    text = inspect.getdoc(all_specs()[hook]) or ""
    _, found, code = text.partition("Example::\n")
    if not found:
        raise LookupError(f"the docstring of {hook} has no `Example::`")
    return textwrap.dedent(code).strip() + "\n"


def import_lines(hook: str) -> str:
    """Give the lines that import what an example uses, in the order that a formatter would give them.

    Raises:
        LookupError: It uses a name that nobody defines.
    """
    needed: dict[str, list[str]] = {}
    for name in sorted(_free_names(example(hook)) - YOURS):
        needed.setdefault(_home(name, all_specs()[hook]), []).append(name)
    plain = [f"import {name}\n" for name in needed.pop("", [])]
    origins = sorted(needed, key=lambda origin: (origin != "datetime", origin))
    return "".join([*plain, *(_import_line(origin, needed[origin]) for origin in origins)])


def yours_in(hook: str) -> list[str]:
    """Give the names in an example that stand for what its reader has."""
    return sorted(_free_names(example(hook)) & YOURS)


def _import_line(origin: str, names: list[str]) -> str:
    line = f"from {origin} import {', '.join(sorted(names, key=_as_sorted))}\n"
    if len(line) <= 121:
        return line
    return f"from {origin} import (\n{''.join(f'    {name},{chr(10)}' for name in sorted(names, key=_as_sorted))})\n"


def _as_sorted(name: str) -> tuple[int, str]:
    """Constants, classes, functions: the order of import sorters."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _free_names(code: str) -> frozenset[str]:
    """Give the names that code reads and neither defines nor finds among the built-in ones."""
    tree = ast.parse(code)
    read = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    made = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}
    made |= {each.arg for each in ast.walk(tree) if isinstance(each, ast.arg)}
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    made |= {each.name for each in ast.walk(tree) if isinstance(each, kinds)}
    for each in ast.walk(tree):
        if isinstance(each, ast.Import | ast.ImportFrom):
            made |= {alias.asname or alias.name for alias in each.names}
    return frozenset(read - made - set(dir(builtins)))


def _home(name: str, spec: Callable[..., Any]) -> str:
    """Give the module that a name is imported from; empty for a module."""
    if name in _MODULES:
        return ""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    homes = _homes().get(name, ())
    if name == spec.__name__ or spec.__module__ in homes:
        return spec.__module__
    if len(homes) != 1:
        raise LookupError(
            f"the example of {spec.__name__} uses {name!r}, which {f'{homes} define' if homes else 'nobody defines'}: "
            "define it there, or list it in tests/specs/examples.py as what the reader has"
        )
    return homes[0]


@cache
def _homes() -> Mapping[str, tuple[str, ...]]:
    """Give the modules that define each name of the contract; the package itself, where it hands a name on."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in described().values():
        module, _, name = entry.name.rpartition(".")
        if entry.kind == "hook":
            name, module = entry.name, entry.facts["in"]
        if entry.kind == "name":
            found[name] = ("lash_hookspecs",)
        elif found.get(name) != ("lash_hookspecs",):
            found[name] = (*found.get(name, ()), f"lash_hookspecs.{module}")
    return found

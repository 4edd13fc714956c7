"""The page about hooks has every hook, with its kind, its caller and who implements it."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

import attrs
import pytest
from lash_hookspecs.markers import hook_info
from lash_hookspecs.specs import all_specs

from tests.docs.pages import ROOT
from tests.docs.tables import rows
from tests.specs.hook_pages import NONE, implementers, linked_name

PAGE = ROOT / "docs/hooks.md"


def words(cell: str) -> list[str]:
    return [linked_name(each.strip()).strip("`") for each in cell.split(",")]


HOOKS = {words(hook)[0]: rest for hook, *rest in rows(PAGE, "Hook") if len(rest) == 4}


def code_of(path: str) -> Any:
    """Import what a dotted path below `lash_core` names."""
    module, found = "lash_core", importlib.import_module("lash_core")
    target: Any = found
    for word in path.split("."):
        if isinstance(target, ModuleType):
            try:
                target = importlib.import_module(f"{module}.{word}")
                module = f"{module}.{word}"
                continue
            except ModuleNotFoundError:
                pass
        target = inspect.getattr_static(target, word)
    return target


def test_the_table_has_each_hook_once_and_no_other() -> None:
    listed = [words(row[0])[0] for row in rows(PAGE, "Hook") if len(row) == 5]
    assert sorted(listed) == sorted(all_specs())


@pytest.mark.parametrize("hook", sorted(all_specs()))
def test_a_hook_has_its_kind_its_caller_and_its_implementers(hook: str) -> None:
    kind, _, caller, implementer = HOOKS[hook]
    assert kind == hook_info(all_specs()[hook]).kind
    (path,) = words(caller)
    source = inspect.getsource(code_of(path))
    is_named = hook in source or f'"{hook.removeprefix("lash_offer_")}"' in source or "session_plugins" in hook
    assert is_named, f"{path} does not call {hook}"
    assert ([] if implementer == NONE else words(implementer)) == implementers()[hook]


@pytest.mark.parametrize("hook", sorted(all_specs()))
def test_what_to_import_is_said_of_every_hook(hook: str) -> None:
    (told,) = [row for row in rows(PAGE, "To implement") if words(row[0]) == [hook]]
    spec = all_specs()[hook]
    context = inspect.signature(spec).parameters["context"].annotation
    answer = inspect.signature(spec).return_annotation
    module = importlib.import_module(f"lash_hookspecs.specs.{words(told[1])[0]}")
    assert module.__name__ == spec.__module__
    assert words(told[2]) == [context]
    assert words(told[3]) == [field.name for field in attrs.fields(getattr(module, context))]
    assert told[4].strip("`") == ("nothing" if answer == "None" else answer)


def test_what_happens_on_an_error_is_said_of_every_hook_in_a_turn() -> None:
    told = [word for row in rows(PAGE, "Hook") if len(row) == 3 for word in words(row[0])]
    silent = ("lash_offer_", "lash_on_")
    assert sorted(name for name in all_specs() if not name.startswith(silent)) == sorted(
        name for name in told if name in all_specs()
    )

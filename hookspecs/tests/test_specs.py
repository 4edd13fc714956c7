"""What each hook specification must be; a new one is held to it without a test of its own."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import attrs
import lash_hookspecs.specs
import pytest
from lash_hookspecs.markers import hook_info
from lash_hookspecs.specs import MODULES, all_specs

SPECS = all_specs()

each_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def context_of(spec: Callable[..., Any]) -> Any:
    return vars(sys.modules[spec.__module__])[inspect.signature(spec).parameters["context"].annotation]


def test_each_file_with_specifications_is_listed() -> None:
    found = {
        module.name
        for module in pkgutil.iter_modules(lash_hookspecs.specs.__path__)
        if any(
            name.startswith("lash_") for name in vars(importlib.import_module(f"lash_hookspecs.specs.{module.name}"))
        )
    }
    assert found == set(MODULES)


def test_the_specifications_import_no_pydantic() -> None:
    code = "import sys; from lash_hookspecs.specs import all_specs; all_specs(); print('pydantic' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


@each_spec
def test_it_takes_one_frozen_context(spec: Callable[..., Any]) -> None:
    assert list(inspect.signature(spec).parameters) == ["context"]
    context = context_of(spec)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        object.__new__(context).anything = 1
    assert all(field.kw_only for field in attrs.fields(context))


@each_spec
def test_its_kind_has_its_colour_its_deadline_and_its_name(spec: Callable[..., Any]) -> None:
    info = hook_info(spec)
    assert inspect.iscoroutinefunction(spec) is (info.kind != "offer")
    assert (info.deadline is None) is (info.kind == "offer")
    assert info.since
    returned = str(inspect.signature(spec).return_annotation)
    assert {"observe": returned == "None", "guard": returned == "Decision"}.get(info.kind, True)


@each_spec
def test_it_says_when_it_is_called_with_an_example(spec: Callable[..., Any]) -> None:
    text = inspect.getdoc(spec) or ""
    assert "alled" in text.partition("\n\n")[0]
    assert f"Example::\n\n    @implements({spec.__name__})\n" in text


@each_spec
def test_its_docstring_says_its_kind_its_deadline_and_since_when_it_is_there(spec: Callable[..., Any]) -> None:
    info = hook_info(spec)
    kind = f"transform of ``context.{info.field}``" if info.kind == "transform" else info.kind
    deadline = "none" if info.kind == "offer" else f"{info.deadline:g} s"
    line = f"\n\nKind: {kind}. Deadline: {deadline}. Since: {info.since}.\n\nExample::\n"
    assert line in (inspect.getdoc(spec) or "")


@each_spec
def test_the_type_in_its_marker_is_the_one_of_its_annotation(spec: Callable[..., Any]) -> None:
    info = hook_info(spec)
    returned = str(inspect.signature(spec).return_annotation)
    if info.kind == "offer":
        assert returned == f"list[{name_of(info.item)}]"
    elif info.kind == "transform":
        assert info.field in attrs.fields_dict(context_of(spec))
        assert returned == str(attrs.fields_dict(context_of(spec))[info.field].type)
        if info.items:
            assert returned == f"tuple[{name_of(info.items[0])}, ...]"
        elif len(info.result) == 1:
            assert returned == name_of(info.result[0])


def name_of(reference: Any) -> str:
    if isinstance(reference, str):
        module, _, name = reference.partition(":")
        getattr(importlib.import_module(module), name)
        return name
    return str(reference.__name__)

"""`context_for`: what an author calls a handler with."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Callable
from typing import Any

import attrs
import lash_hookspecs.records
import pydantic
import pytest
from lash_hookspecs.records.tools import ToolSpec
from lash_hookspecs.specs import all_specs
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.persistence import CommitProposed, lash_guard_commit
from lash_hookspecs.specs.tools import lash_guard_tool_call
from lash_hookspecs.specs.turns import lash_guard_turn
from lash_hookspecs.testing import FakeSession, context_for

SPECS = all_specs()


def names_of_types() -> dict[str, Any]:
    """Give every name that a context's annotation may use; the session is a fake one."""
    names: dict[str, Any] = {**vars(typing), "JsonValue": pydantic.JsonValue}
    for module in pkgutil.iter_modules(lash_hookspecs.records.__path__):
        names |= vars(importlib.import_module(f"lash_hookspecs.records.{module.name}"))
    return names | {"SessionServices": FakeSession}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_each_hook_has_a_context_whose_fields_are_what_they_say(spec: Callable[..., Any]) -> None:
    context = context_for(spec)
    own = vars(sys.modules[spec.__module__])
    hints = typing.get_type_hints(type(context), names_of_types() | own, names_of_types())
    settings = pydantic.ConfigDict(arbitrary_types_allowed=True)
    for field in attrs.fields(type(context)):
        hint = hints[field.name]
        is_model = isinstance(hint, type) and issubclass(hint, pydantic.BaseModel)
        adapter = pydantic.TypeAdapter(hint, config=None if is_model else settings)
        adapter.validate_python(getattr(context, field.name), strict=True)


async def test_a_handler_is_called_with_the_field_that_matters() -> None:
    async def small_enough(context: CommitProposed) -> Decision:
        return ALLOW if context.bytes < 100 else Deny("over a hundred bytes")

    assert await small_enough(context_for(lash_guard_commit, bytes=80)) == ALLOW
    assert await small_enough(context_for(lash_guard_commit, bytes=800)) == Deny("over a hundred bytes")


def test_what_belongs_together_stays_together() -> None:
    named = context_for(lash_guard_turn, session_id="chat-42")
    assert (named.session_id, named.session.session_id) == ("chat-42", "chat-42")
    assert context_for(lash_guard_turn, session=FakeSession("chat-43")).session_id == "chat-43"
    delete = context_for(lash_guard_tool_call, spec=ToolSpec(name="delete"))
    assert delete.plan.call.tool == "delete"


def test_a_field_that_there_is_not_is_named() -> None:
    with pytest.raises(TypeError) as caught:
        context_for(lash_guard_commit, byte=80)
    assert str(caught.value) == (
        "lash_guard_commit: CommitProposed has no field 'byte'; it has session, session_id, step, node_count, bytes"
    )
    with pytest.raises(TypeError, match="is not a Lash hook specification"):
        context_for(print)


def test_nobody_imports_the_fakes_by_importing_the_contract() -> None:
    code = (
        "import sys, lash_hookspecs; from lash_hookspecs.specs import all_specs; all_specs();"
        "print([name for name in sys.modules if name.startswith('lash_hookspecs.testing')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"

"""Who knows pluggy needs nothing else: a hook is implemented by its name, and held to the same rules (P5, P6)."""

from __future__ import annotations

import types
from typing import Any

import pluggy
import pytest
from hook_kinds import setup
from lash_core.plugins import PluginManager
from lash_hookspecs.errors import PluginError
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.offers import ModeOffer, OfferContext
from lash_hookspecs.specs.persistence import CommitProposed, lash_guard_commit
from lash_hookspecs.testing import context_for

hookimpl = pluggy.HookimplMarker("lash")


def plugin(function: Any, name: str = "") -> types.ModuleType:
    module = types.ModuleType("mine")
    vars(module)[name or function.__name__] = function
    return module


def refused(module: types.ModuleType) -> str:
    with pytest.raises(PluginError) as caught:
        PluginManager.for_tests([module])
    return str(caught.value).partition(" is failed: ")[2]


async def test_a_function_named_like_its_hook_implements_it() -> None:
    @hookimpl
    async def lash_guard_commit(context: CommitProposed) -> Decision:
        return ALLOW if context.bytes < 100 else Deny("too much")

    hooks = await PluginManager.for_tests([plugin(lash_guard_commit)]).open_session(setup())
    assert await hooks.guard(GUARD, context_for(GUARD, bytes=80)) is None
    denial = await hooks.guard(GUARD, context_for(GUARD, bytes=800))
    assert denial is not None
    assert denial.reason == "too much"


GUARD = lash_guard_commit


def test_a_method_of_an_object_implements_it_too() -> None:
    class Plugin:
        @hookimpl
        def lash_offer_modes(self, context: OfferContext) -> list[ModeOffer]:
            return [ModeOffer(name="fast", build=lambda: NotImplemented)]

    assert PluginManager.for_tests([Plugin()]).mode("fast").name == "fast"


def test_a_name_that_is_no_hook_is_refused_even_where_pluggy_would_pass_over_it() -> None:
    @hookimpl(optionalhook=True)
    async def lash_guard_comit(context: CommitProposed) -> Decision:
        return ALLOW

    assert refused(plugin(lash_guard_comit)) == (
        "lash_guard_comit() implements hook 'lash_guard_comit', which does not exist; did you mean 'lash_guard_commit'?"
    )


def test_a_signature_and_a_colour_that_are_not_the_hooks_are_refused() -> None:
    async def two(context: CommitProposed, step: str) -> Decision:
        return ALLOW

    def plain(context: CommitProposed) -> Decision:
        return ALLOW

    async def yields(context: CommitProposed) -> Any:
        yield ALLOW

    assert refused(plugin(hookimpl(two), "lash_guard_commit")) == (
        "lash_guard_commit(context: 'CommitProposed', step: 'str') -> 'Decision' cannot implement "
        "lash_guard_commit(context): it must take exactly that"
    )
    for function in (plain, yields):
        assert refused(plugin(hookimpl(function), "lash_guard_commit")) == (
            "lash_guard_commit() must be an async function: lash_guard_commit is a guard"
        )


def test_a_function_that_is_named_like_a_hook_and_not_marked_is_refused() -> None:
    async def lash_guard_commit(context: CommitProposed) -> Decision:
        return ALLOW

    assert refused(plugin(lash_guard_commit)) == (
        "lash_guard_commit() is named like a hook and implements none; mark it with @implements(lash_guard_commit)"
    )


def test_a_specification_that_a_plugin_imports_is_none_of_its_functions() -> None:
    (record,) = PluginManager.for_tests([plugin(GUARD)]).records
    assert (record.state, record.hooks) == ("active", frozenset())

"""The example in each specification is run: registered as a plugin's, and called with a context of a real session."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from lash_core.plugins import PluginManager
from lash_core.plugins.manifest import OFFER_HOOKS
from lash_core.plugins.session_hooks import SessionHooks
from lash_hookspecs.markers import hook_info
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.specs import all_specs
from lash_hookspecs.specs.offers import SessionSetup

from tests.specs.examples import YOURS, example, import_lines, yours_in
from tests.specs.scene import Heard, play

SETUP = SessionSetup(
    session_id="s1",
    parent_session_id=None,
    mode="scene",
    root=Path(),
    capabilities=frozenset(),
    services=cast(SessionServices, object()),
)

each_hook = pytest.mark.parametrize("hook", sorted(all_specs()))


class Yours:
    """What stands for a reader's own thing: can be called, and is there."""

    def __call__(self, *given: object, **named: object) -> Yours:
        return self


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    return asyncio.run(play(tmp_path_factory.mktemp("scene")))


def module_of(hook: str) -> types.ModuleType:
    """Run an example with its imports; the plugin that it makes."""
    module = types.ModuleType(f"example_of_{hook}")
    vars(module).update(dict.fromkeys(yours_in(hook), Yours()))
    code = compile(import_lines(hook) + example(hook), f"<example of {hook}>", "exec", dont_inherit=True)
    exec(code, vars(module))
    return module


async def call(hooks: SessionHooks, hook: str, context: Any) -> None:
    """Call a hook as its kind is called; raises where the answer is not one."""
    ways: dict[str, Callable[..., Awaitable[Any]]] = {
        "observe": hooks.notify,
        "transform": hooks.transform,
        "guard": hooks.guard,
    }
    spec = all_specs()[hook]
    if hook_info(spec).kind == "offer":
        hooks.collect(spec, context)
    else:
        await ways[hook_info(spec).kind](spec, context)


@each_hook
async def test_the_example_is_accepted_and_answers_what_its_hook_asks_for(
    hook: str, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    module = module_of(hook)
    manager = PluginManager.for_tests([module])
    (record,) = manager.records
    assert (record.state, record.hooks) == ("active", frozenset({hook}))
    kinds = {offered: kind for kind, offered in OFFER_HOOKS.items()}
    if hook in kinds:
        assert record.offered(kinds[hook])
        return
    hooks = await manager.open_session(SETUP)
    with caplog.at_level(logging.WARNING):
        await call(hooks, hook, heard[hook][-1])
    assert caplog.messages == []
    await hooks.close()


@each_hook
async def test_a_guards_example_denies_nothing_of_an_ordinary_session(hook: str, heard: Heard) -> None:
    if hook_info(all_specs()[hook]).kind != "guard":
        return
    hooks = await PluginManager.for_tests([module_of(hook)]).open_session(SETUP)
    assert [await hooks.guard(all_specs()[hook], context) for context in heard[hook]] == [None] * len(heard[hook])


def test_each_name_that_an_example_leaves_to_its_reader_is_used() -> None:
    assert {name for hook in all_specs() for name in yours_in(hook)} == YOURS

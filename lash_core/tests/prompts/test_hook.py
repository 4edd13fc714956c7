"""Plugins contribute to the system prompt by a hook."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from lash_core.plugins import PluginManager
from lash_core.prompts import PromptBuilder, PromptSources
from lash_hookspecs.errors import PluginError
from lash_hookspecs.markers import hookimpl
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.records.prompts import PromptContribution
from lash_hookspecs.specs.offers import SessionSetup
from lash_hookspecs.specs.prompts import PromptContext, lash_contribute_prompt

NO_SESSION = cast("SessionServices", None)


class Says:
    """A plugin that contributes what it was given."""

    def __init__(self, *contributions: Any) -> None:
        self.contributions = list(contributions)
        self.asked: list[PromptContext] = []

    @hookimpl(specname=lash_contribute_prompt.__name__)
    def contribute(self, context: PromptContext) -> list[PromptContribution]:
        self.asked.append(context)
        return self.contributions


async def collect(*plugins: object) -> list[PromptContribution]:
    setup = SessionSetup(
        session_id="s",
        parent_session_id=None,
        mode="standard",
        root=Path(),
        capabilities=frozenset(),
        services=NO_SESSION,
    )
    hooks = await PluginManager.for_tests(plugins).open_session(setup)
    context = PromptContext(
        session=NO_SESSION, session_id="s", mode="standard", turn_index=1, tools=frozenset({"search"})
    )
    return [contribution for _, contribution in hooks.collect(lash_contribute_prompt, context)]


async def test_what_plugins_contribute_stands_before_the_instructions() -> None:
    one = Says(PromptContribution(slot="guidance", content="cite"), PromptContribution(slot="intro", content="hello"))
    two = Says(PromptContribution(slot="guidance", content="be brief", priority=-1))
    found = await collect(one, two)
    built = PromptBuilder().build(PromptSources(plugins=tuple(found), instructions="You book trains."))
    assert built.text == "hello\n\nYou book trains.\n\nbe brief\n\ncite"
    assert [context.tools for context in (*one.asked, *two.asked)] == [{"search"}, {"search"}]


async def test_a_contribution_that_is_none_is_refused_naming_the_plugin() -> None:
    with pytest.raises(PluginError, match=r"lash_contribute_prompt.*PromptContribution.*'be brief'"):
        await collect(Says("be brief"))

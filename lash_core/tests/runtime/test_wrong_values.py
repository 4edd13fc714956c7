"""What an untyped caller may hand over by mistake: each is told at the door where it came in, by a typed error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lash_core.plugins.manager import PluginManager
from lash_hookspecs.errors import ConfigurationError, InvalidInput, InvalidSessionId, LashError, PolicyError
from script_files import plugins

from lash_core import Agent, Lash, LashRuntime, RuntimeEnvironment


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"plugins": None},
            "plugins cannot be None: it must be a PluginManager, such as PluginManager.discover() gives",
        ),
        ({"residency": "active"}, "residency cannot be 'active': it must be a Residency"),
        ({"plugin_policy": "strcit"}, "plugin_policy cannot be 'strcit': it must be 'compatible' or 'strict'"),
        ({"lease_ttl": -1}, "lease_ttl cannot be -1: it must be a number from 0.001 on"),
        ({"lease_ttl": float("nan")}, "lease_ttl cannot be nan: it must be a number from 0.001 on"),
        ({"max_tool_output": True}, "max_tool_output cannot be True: it must be a number from 1 on"),
        ({"max_attachment": "1 MB"}, "max_attachment cannot be '1 MB': it must be a number from 0 on"),
        ({"tool_sets": "files"}, "tool_sets cannot be 'files': it must be a tuple of names"),
        ({"root": "."}, "root cannot be '.': it must be a Path"),
        ({"retry": 3}, "retry cannot be 3: it must be a RetryPolicy"),
        ({"host": "embedded"}, "host cannot be 'embedded': it must be a Host"),
        ({"name": None}, "name cannot be None: it must be a str"),
        ({"clock": 17}, "clock cannot be 17: it must be a function"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_environment_is_made_of_what_it_needs(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RuntimeEnvironment(**{"plugins": PluginManager.for_tests([]), **values})
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": 5}, "model cannot be 5: it must be a name, such as 'openai:gpt-5'"),
        ({"instructions": ["Be brief."]}, "instructions cannot be ['Be brief.']: it must be text"),
        ({"mode": 5}, "mode cannot be 5: it must be a name"),
        ({"tools": [5]}, "a tool cannot be 5: it must be a function"),
        ({"tool_sets": "files"}, "tool_sets cannot be 'files': it must be a list of names, ['files']"),
        ({"limits": {"tokens": 5}}, "limits cannot be {'tokens': 5}: it must be TurnLimits(…)"),
        ({"model_settings": 5}, "model_settings cannot be 5: it must be a mapping of names to values"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_agent_is_described_by_what_it_takes(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Agent(**values)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("opening", "told"),
    [
        (lambda: Lash.open(None), "url cannot be None: it must be text, such as 'sqlite:///agents.db'"),  # type: ignore[arg-type]  # the mistake
        (lambda: Lash.open(agent="me"), "agent cannot be 'me': it must be an Agent(…)"),  # type: ignore[arg-type]  # the mistake
        (lambda: Lash.open(host=5), "host cannot be 5: give a name that a plugin offers, "),  # type: ignore[arg-type]  # the mistake
    ],
    ids=["url", "agent", "host"],
)
async def test_a_store_is_opened_with_what_it_takes(opening: Callable[[], Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await opening()
    assert str(refused.value).startswith(told)


async def test_the_doors_of_sessions_take_what_they_say() -> None:
    async with Lash.open(plugins=plugins()) as lash:

        async def listed() -> None:
            [each async for each in lash.sessions(labels=5)]  # type: ignore[arg-type]  # the mistake

        doors: list[tuple[Callable[[], Any], type[LashError], str]] = [
            (lambda: lash.session(5), InvalidSessionId, "a session id is text, not int: 5"),  # type: ignore[arg-type]  # the mistake
            (lambda: lash.delete(""), InvalidSessionId, "say which session is to be deleted: its id is empty"),
            (lambda: lash.resume("{}"), InvalidInput, "what is resumed is a ParkedSession, not str; "),  # type: ignore[arg-type]  # the mistake
            (lambda: LashRuntime.resume(None, lash.env), InvalidInput, "what is resumed is a ParkedSession, not "),  # type: ignore[arg-type]  # the mistake
            (listed, PolicyError, "labels: both names and values must be text"),
        ]
        for door, error, told in doors:
            with pytest.raises(error) as refused:
                await door()
            assert str(refused.value).startswith(told)

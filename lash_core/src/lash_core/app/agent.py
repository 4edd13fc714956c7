"""Who answers in a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.records.turn import TurnLimits
from lash_hookspecs.toolkit import FunctionTools
from pydantic import JsonValue

__all__ = ["Agent"]


class Agent:
    """Who answers: a model, tools and instructions.

    ::

        agent = Agent(model="openai:gpt-5", tools=[search, book], instructions="Be brief.")
    """

    def __init__(
        self,
        model: str | None = None,
        tools: Iterable[Callable[..., Any]] = (),
        instructions: str | None = None,
        *,
        mode: str | None = None,
        tool_sets: Iterable[str] = (),
        limits: TurnLimits | None = None,
        model_settings: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Describe an agent; nothing is looked up yet.

        Args:
            model: ``provider`` or ``provider:model``; ``None`` for the session's own, else the offline model.
            tools: Plain functions; one without `tool` is ``side_effecting``.
            instructions: The system prompt.
            mode: The execution mode; ``None`` for the session's own, else ``standard``.
            tool_sets: Names of plugins' tool sets, such as ``"files"``; none unless named.
            limits: What each turn may use (T12).
            model_settings: Passed to the provider, such as ``temperature``.

        Raises:
            ConfigurationError: A function cannot be offered as a tool, or a value is of the wrong type.
        """
        _check("model", model, str, "a name, such as 'openai:gpt-5'")
        _check("instructions", instructions, str, "text")
        _check("mode", mode, str, "a name")
        _check("limits", limits, TurnLimits, "TurnLimits(…)")
        _check("model_settings", model_settings, Mapping, "a mapping of names to values")
        if isinstance(tool_sets, str):
            raise ConfigurationError(f"tool_sets cannot be {tool_sets!r}: it must be a list of names, [{tool_sets!r}]")
        self.model = model
        self.tools = FunctionTools(tools)
        self.instructions = instructions
        self.mode = mode
        self.tool_sets = tuple(tool_sets)
        self.limits = limits or TurnLimits()
        self.model_settings = dict(model_settings) if model_settings is not None else None


def _check(name: str, value: object, kind: type, wanted: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"{name} cannot be {value!r:.80}: it must be {wanted}")

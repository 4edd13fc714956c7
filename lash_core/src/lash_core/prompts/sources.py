"""Who has a say in a session's system prompt, and in which order."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from lash_hookspecs.records.prompts import PromptContribution, PromptLayer

from lash_core.prompts.rendering import Prompt, render_prompt

__all__ = ["PromptBuilder", "PromptSources"]

_NOTHING = PromptLayer()


@attrs.frozen(kw_only=True)
class PromptSources:
    """What each party says, in the order in which it is merged: mode, plugins, environment, session, turn.

    Attributes:
        mode: The execution mode's layer.
        plugins: What plugins contribute, in their order.
        environment: The layer of the app that runs sessions.
        instructions: The session's instructions; its first words in the slot ``intro``.
        session: The session's layer.
        turn: The layer of this turn alone.
    """

    mode: PromptLayer = _NOTHING
    plugins: tuple[PromptContribution, ...] = ()
    environment: PromptLayer = _NOTHING
    instructions: str = ""
    session: PromptLayer = _NOTHING
    turn: PromptLayer = _NOTHING

    @property
    def layers(self) -> tuple[PromptLayer, ...]:
        """The layers, earliest first."""
        plugins = _NOTHING
        for each in self.plugins:
            plugins = plugins.append(each.slot, each)
        instructions = _NOTHING.append("intro", self.instructions) if self.instructions else _NOTHING
        return (self.mode, plugins, self.environment, instructions, self.session, self.turn)


class PromptBuilder:
    """Renders a session's prompt, and keeps the last one for as long as nothing changes."""

    def __init__(self) -> None:
        self._key: tuple[PromptSources, frozenset[str]] | None = None
        self._prompt = Prompt("", ())

    def build(self, sources: PromptSources, tools: Iterable[str] = ()) -> Prompt:
        """Render the prompt, or give the last one: the same object if it was made of equal sources and tools.

        Args:
            sources: What each party says.
            tools: Names of the tools that are available to the model.
        """
        key = (sources, frozenset(tools))
        if key != self._key:
            self._prompt = render_prompt(sources.layers, key[1])
            self._key = key
        return self._prompt

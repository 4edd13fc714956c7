"""The hook that adds to the system prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import offer

if TYPE_CHECKING:
    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.prompts import PromptContribution

__all__ = ["PromptContext", "lash_contribute_prompt"]


@attrs.frozen(kw_only=True)
class PromptContext:
    """A system prompt is about to be rendered.

    Attributes:
        session: What may be asked of the session.
        session_id: The session.
        mode: Its execution mode.
        turn_index: The number of the turn, from 1.
        tools: Names of the tools that are available to the model.
    """

    session: SessionServices
    session_id: str
    mode: str
    turn_index: int
    tools: frozenset[str]


@offer("lash_hookspecs.records.prompts:PromptContribution", since="0.1")
def lash_contribute_prompt(context: PromptContext) -> list[PromptContribution]:
    """Called before a model call whose prompt may have changed; all answers are kept, in plugin order.

    They come after the mode's layer and before those of the environment, the session and the turn, which may replace or
    clear them. Give the same answer as long as nothing has changed: a provider's cache lives on that. An error fails
    the turn and names the plugin.

    Example::

        @implements(lash_contribute_prompt)
        def guidance(context: PromptContext) -> list[PromptContribution]:
            return [PromptContribution(slot="guidance", content="Cite your sources.", requires_tools=("search",))]
    """
    raise AssertionError("a specification is never called")

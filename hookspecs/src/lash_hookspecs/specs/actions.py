"""Hooks by which a plugin takes requests from the host: typed, by name, on an open session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs

from lash_hookspecs.markers import offer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lash_hookspecs.protocols.services import SessionServices

__all__ = ["ActionContext", "PluginAction", "lash_offer_actions"]


@attrs.frozen(kw_only=True)
class ActionContext:
    """A session is open, and its actions are asked for.

    Attributes:
        session: The session; an action keeps it for when it is invoked.
        session_id: Its id.
    """

    session: SessionServices
    session_id: str


@attrs.frozen(kw_only=True)
class PluginAction:
    """A request that a host may make of a plugin in a session.

    Attributes:
        name: Unique among the actions of a session; prefix it with the plugin's name, as in ``"budget.raise"``.
        arguments: The pydantic model of what the request says.
        run: Does it; called with an instance of that model.
        description: What it does, for people.
        result: The type of what ``run`` gives, a pydantic model or any other; ``None`` for any JSON value.
    """

    name: str
    arguments: type[BaseModel]
    run: Callable[[Any], Awaitable[Any]]
    description: str = ""
    result: Any = None


@offer(PluginAction, since="0.1")
def lash_offer_actions(context: ActionContext) -> list[PluginAction]:
    """Called when a session opens, after its plugins have their snapshots; forks and children are sessions too.

    Two actions of one name are a conflict: the session is not opened. A host lists them with `LashRuntime.actions` and
    calls them with `LashRuntime.invoke`, which checks arguments and result.

    Example::

        @implements(lash_offer_actions)
        def actions(context: ActionContext) -> list[PluginAction]:
            class Raise(BaseModel):
                by: int

            async def run(request: Raise) -> str:
                return f"{request.by} more for {context.session_id}"

            return [PluginAction(name="budget.raise", arguments=Raise, result=str, run=run)]
    """
    raise AssertionError("a specification is never called")

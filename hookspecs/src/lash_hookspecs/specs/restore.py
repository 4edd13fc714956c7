"""Hooks on what a session kept: what was stored on its way back in, and what became of it (L5).

A session opens in this order: its policy, its graph, its plugins and its mode, then what each of them kept: tool
state, plugin snapshots, the mode's state; then `lash_on_session_restored`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import JSON, observe, transform

if TYPE_CHECKING:
    from pydantic import JsonValue

    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.tools import ToolState

__all__ = [
    "ModeRestored",
    "ModeStateRead",
    "ToolStateRead",
    "ToolsRestored",
    "lash_on_mode_restored",
    "lash_on_tools_restored",
    "lash_transform_mode_state",
    "lash_transform_tool_state",
]


@attrs.frozen(kw_only=True)
class ToolStateRead:
    """The stored tool state is about to be applied.

    Attributes:
        session: The session.
        session_id: Its id.
        state: What was stored.
    """

    session: SessionServices
    session_id: str
    state: ToolState


@attrs.frozen(kw_only=True)
class ToolsRestored:
    """The stored tool state was applied; nothing of it was lost.

    Attributes:
        session: The session.
        session_id: Its id.
        overridden: Tools whose stored override counts again.
        added: Tools that were not there when the state was stored; they have their own levels.
        missing: Tools that are not there any more; their entries are kept.
    """

    session: SessionServices
    session_id: str
    overridden: tuple[str, ...]
    added: tuple[str, ...]
    missing: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ModeStateRead:
    """The stored state of the mode is about to be given to it.

    Attributes:
        session: The session.
        session_id: Its id.
        mode: The mode's name.
        version: The version of the mode that stored it.
        state: What was stored.
    """

    session: SessionServices
    session_id: str
    mode: str
    version: int
    state: JsonValue


@attrs.frozen(kw_only=True)
class ModeRestored:
    """The mode has its stored state again.

    Attributes:
        session: The session.
        session_id: Its id.
        mode: The mode's name.
        stored_version: The version of the mode that stored it.
        version: The version that runs.
    """

    session: SessionServices
    session_id: str
    mode: str
    stored_version: int
    version: int


@transform("state", result="lash_hookspecs.records.tools:ToolState", since="0.1")
async def lash_transform_tool_state(context: ToolStateRead) -> ToolState:
    """Called when a session with stored tool state opens, before the state is applied; an error fails the opening.

    Example::

        @implements(lash_transform_tool_state)
        async def as_it_was(context: ToolStateRead) -> ToolState:
            return context.state
    """
    raise AssertionError("a specification is never called")


@observe(since="0.1")
async def lash_on_tools_restored(context: ToolsRestored) -> None:
    """Called when stored tool state was applied.

    Example::

        @implements(lash_on_tools_restored)
        async def tell(context: ToolsRestored) -> None:
            print("gone:", context.missing)
    """


@transform("state", result=JSON, since="0.1")
async def lash_transform_mode_state(context: ModeStateRead) -> JsonValue:
    """Called when a session with a stored mode state opens, before the mode gets it; an error fails the opening.

    Example::

        @implements(lash_transform_mode_state)
        async def as_it_was(context: ModeStateRead) -> JsonValue:
            return context.state
    """
    raise AssertionError("a specification is never called")


@observe(since="0.1")
async def lash_on_mode_restored(context: ModeRestored) -> None:
    """Called when a mode has its stored state again.

    Example::

        @implements(lash_on_mode_restored)
        async def tell(context: ModeRestored) -> None:
            print(context.mode, context.stored_version, context.version)
    """

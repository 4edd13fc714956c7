"""The contract of Lash: records, protocols, hook specifications and errors.

A plugin depends on this distribution alone. Importing it is cheap: what needs pydantic or pluggy is imported when it is
first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lash_hookspecs.errors import LashError
from lash_hookspecs.records.graph import Node
from lash_hookspecs.version import HOOKSPEC_API

if TYPE_CHECKING:
    from lash_hookspecs.markers import handles, hookimpl, hookspec, implements
    from lash_hookspecs.protocols.tools import Attachment
    from lash_hookspecs.toolkit import FunctionTools, tool

__all__ = [
    "HOOKSPEC_API",
    "Attachment",
    "FunctionTools",
    "LashError",
    "Node",
    "handles",
    "hookimpl",
    "hookspec",
    "implements",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name in ("handles", "hookimpl", "hookspec", "implements"):
        from lash_hookspecs import markers

        return getattr(markers, name)
    if name in ("FunctionTools", "tool"):
        from lash_hookspecs import toolkit

        return getattr(toolkit, name)
    if name == "Attachment":
        from lash_hookspecs.protocols import tools

        return getattr(tools, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

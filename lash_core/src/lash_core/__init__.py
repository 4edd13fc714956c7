"""Lash: a durable, pluggable runtime for LLM-agent sessions.

The front doors are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lash_hookspecs.protocols.tools import Attachment
    from lash_hookspecs.records.turn import TurnLimits, TurnResult
    from lash_hookspecs.toolkit import tool

    from lash_core.app import Agent, Lash, Session, Turn
    from lash_core.attachments.folder import FolderAttachments
    from lash_core.hosts.local_tasks import LocalTaskHost
    from lash_core.runtime.environment import Residency, RuntimeEnvironment
    from lash_core.runtime.parked import ParkedSession
    from lash_core.runtime.policy import SessionSpec
    from lash_core.runtime.runtime import LashRuntime
    from lash_core.runtime.state import PersistedSessionState
    from lash_core.sync import SyncLash

__all__ = [
    "Agent",
    "Attachment",
    "FolderAttachments",
    "Lash",
    "LashRuntime",
    "LocalTaskHost",
    "ParkedSession",
    "PersistedSessionState",
    "Residency",
    "RuntimeEnvironment",
    "Session",
    "SessionSpec",
    "SyncLash",
    "Turn",
    "TurnLimits",
    "TurnResult",
    "tool",
]

_HOMES = {
    "Agent": "lash_core.app",
    "Attachment": "lash_hookspecs.protocols.tools",
    "FolderAttachments": "lash_core.attachments.folder",
    "Lash": "lash_core.app",
    "LashRuntime": "lash_core.runtime.runtime",
    "LocalTaskHost": "lash_core.hosts.local_tasks",
    "ParkedSession": "lash_core.runtime.parked",
    "PersistedSessionState": "lash_core.runtime.state",
    "Residency": "lash_core.runtime.environment",
    "RuntimeEnvironment": "lash_core.runtime.environment",
    "Session": "lash_core.app",
    "SessionSpec": "lash_core.runtime.policy",
    "SyncLash": "lash_core.sync",
    "Turn": "lash_core.app",
    "TurnLimits": "lash_hookspecs.records.turn",
    "TurnResult": "lash_hookspecs.records.turn",
    "tool": "lash_hookspecs.toolkit",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)

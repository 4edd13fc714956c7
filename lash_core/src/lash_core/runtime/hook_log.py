"""Who is told of the calls of a session's plugins: the trace, and an app that wants to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lash_core.plugins.hook_calls import HookCall

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["hook_log"]


def hook_log(session: OpenSession) -> Callable[[HookCall], None] | None:
    """Give what a session's calls of plugins are told to; ``None`` where nobody wants to know."""
    env = session.env
    if not env.tracer.on:
        return env.on_hook_call

    def note(call: HookCall) -> None:
        turn_id = session.run.turn_id if session.run is not None else None
        fields: dict[str, str | float] = {
            "distribution": call.distribution,
            "version": call.version,
            "outcome": call.outcome,
            "duration_ms": call.milliseconds,
        }
        session.resident.tracer.hook_called(call.hook, call.plugin, fields, call.reason, turn_id)
        if env.on_hook_call is not None:
            env.on_hook_call(call)

    return note
